// Package sim runs a whole ensemble from one seed: the real cores (zab with its election, serve, prep, tree, watch,
// session) over the real files (datadir, txnlog, snapshot) on a simulated disk, network and clock, with clients, and with
// everything going wrong that may go wrong. It owns the simulated world, the faults and the checkers; it decides nothing
// of the protocol.
//
//	world.go    time and chance; trace.go what has happened, as text and as a hash
//	profile.go  what kind of world a seed makes; faults.go what goes wrong in it, and when
//	host.go     a machine: its disk, its clock, its processes
//	process.go  a server's life between start and crash: the shell of zab.Node
//	disk.go     its log worker; snapshots.go its snapshots, on disk and for learners
//	net.go      connections; links.go the quorum port; votes.go the election port
//	serving.go  a server's side of its clients; apply.go the tree, replies and watches
//	client.go   clients; ops.go what they ask for
//	members.go  servers join and leave the ensemble, and the checkers of that
//	history.go  the one order of all txns, and whether each server keeps to it
//	model.go    what that order means for each node at each time
//	answers.go  whether clients are told the truth
//	ending.go   whether all is well when faults have stopped
//	batch.go    many seeds, and what they have covered
//
// There is one goroutine in a world, and nothing in it depends on anything but the seed: two runs give one trace.
package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

// A World is one seed's ensemble.
type World struct {
	Seed  uint64
	Stats Stats

	profile profile
	rng     *rand.Rand
	now     time.Duration
	events  agenda
	trace   trace
	members *ensemble.Config // at first

	hosts   []*host // by ascending id
	net     network
	clients []*client
	history history
	model   model
	calm    bool // faults have stopped
	calmAt  time.Duration
	quiet   bool // and clients ask for nothing new
	done    bool // and all is as it should be
	err     error
}

// NewWorld makes the world of a seed.
func NewWorld(seed uint64) *World {
	w := &World{Seed: seed, rng: rand.New(rand.NewPCG(seed, 0x7a616273696d))}
	w.trace.init()
	w.profile = w.drawProfile()
	w.members = w.profile.members()
	w.history.init(w)
	w.model.init(w)
	w.net.init(w)
	for id := range len(w.members.Members) + w.profile.spares {
		w.hosts = append(w.hosts, newHost(w, ensemble.ID(id+1)))
	}
	for i := range w.profile.clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	return w
}

// Run lets the world go to its end, and says what was wrong with it.
func (w *World) Run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("at %v: %v\n%s", w.now, p, debug.Stack())
		}
	}()
	for _, h := range w.hosts {
		w.after(w.upTo(50*time.Millisecond), h.boot)
	}
	for _, c := range w.clients {
		w.after(w.upTo(200*time.Millisecond), c.connect)
	}
	w.planFaults()
	w.after(w.profile.length, w.calmDown)
	for w.err == nil && !w.done {
		fn, at, _ := w.events.next()
		w.now = at
		w.Stats.Events++
		fn()
	}
	w.collect()
	return w.err
}

// Trace returns the hash of all that has happened.
func (w *World) Trace() uint64 { return w.trace.hash }

// fail records the first thing that is wrong; the world ends with it.
func (w *World) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
		w.tracef("FAILED: %v", w.err)
	}
}

// after lets fn happen in d from now.
func (w *World) after(d time.Duration, fn func()) { w.events.add(w.now+max(d, 0), fn) }

// chance is true in one of n cases.
func (w *World) chance(n int) bool { return w.rng.IntN(n) == 0 }

// upTo returns a time between 0 and d.
func (w *World) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

// between returns a time from a to b.
func (w *World) between(a, b time.Duration) time.Duration { return a + w.upTo(b-a) }

// An agenda is what will happen, by time and, at one time, in the order of its planning: a heap.
type agenda struct {
	heap []event
	seq  uint64
}

type event struct {
	at  time.Duration
	seq uint64
	fn  func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

func (a *agenda) add(at time.Duration, fn func()) {
	a.seq++
	a.heap = append(a.heap, event{at, a.seq, fn})
	h := a.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (a *agenda) next() (func(), time.Duration, bool) {
	if len(a.heap) == 0 {
		return nil, 0, false
	}
	h := a.heap
	first := h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	a.heap = h
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	return first.fn, first.at, true
}
