package election

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
)

// TestEnsemblesAgree lets ensembles elect while servers start, die and return and links break, and then lets the leader
// die alone. A leader whom a quorum follows has no less than a quorum has; in the end all follow one; and after the
// lonely death no voter waits: no time passes until the best of those left leads.
func TestEnsemblesAgree(t *testing.T) {
	total := new(world)
	for seed := range uint64(100) {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 3 {
				w.trouble()
				w.failOver()
			}
			total.early += w.early
			total.late += w.late
			total.faults += w.faults
		})
		if !ok {
			t.Logf("replay: go test ./pkg/election -run 'TestEnsemblesAgree/%d$'", seed)
		}
	}
	if total.early == 0 || total.late == 0 || total.faults == 0 {
		t.Errorf("decided early %d times, late %d times, %d faults: something never happens", total.early, total.late, total.faults)
	}
}

// A server is one Election and what its shell has: for each other server the last message, which waits until there is
// a link, and what is under way on it.
type server struct {
	e      *Election
	id     ensemble.ID
	alive  bool
	last   proto.Zxid
	epoch  uint32
	since  time.Duration // when it last had a leader
	looked time.Duration
	told   bool          // it leads, or follows, a leader whom a quorum follows
	giveUp time.Duration // otherwise: when it looks again
	ef     Effects
	lanes  []lane
}

// Those who are elected or follow, and have no quorum by then, look again.
const (
	leaderPatience   = 2 * time.Second
	followerPatience = time.Second
)

type lane struct {
	last    *Notification
	waiting bool
	flying  []Notification
}

type link struct{ a, b *server }

type world struct {
	t       *testing.T
	r       *rand.Rand
	members *ensemble.Config
	now     time.Duration
	servers []*server
	up      map[[2]ensemble.ID]bool
	dials   []link

	trace []string

	early, late, faults int
}

func (w *world) say(format string, args ...any) {
	if len(w.trace) >= 200 {
		w.trace = append(w.trace[:0], w.trace[100:]...)
	}
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Fatalf(format+"\nafter:\n%s", append(args, strings.Join(w.trace, "\n"))...)
}

func newWorld(t *testing.T, seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	observers := r.IntN(2)
	n := 3 + r.IntN(5) + observers
	w := &world{t: t, r: r, members: members(t, n, observers), now: time.Hour, up: make(map[[2]ensemble.ID]bool)}
	for id := range n {
		w.servers = append(w.servers, &server{id: ensemble.ID(id + 1), last: proto.Zxid(r.IntN(4)), epoch: uint32(r.IntN(2))})
	}
	return w
}

func pair(a, b *server) [2]ensemble.ID { return [2]ensemble.ID{min(a.id, b.id), max(a.id, b.id)} }

// took carries out what a server wants.
func (w *world) took(s *server) {
	for _, b := range s.ef.Send {
		l := &s.lanes[b.To-1]
		l.last, l.waiting = &b.Note, true
	}
	for _, id := range s.ef.Connect {
		w.dials = append(w.dials, link{s, w.servers[id-1]})
	}
	if s.ef.Decided {
		w.say("%v %d = %s", w.now, s.id, show(s.e.State(), s.e.Vote()))
		if w.now == s.looked {
			w.early++
		} else {
			w.late++
		}
		s.giveUp = w.now + followerPatience
		if s.e.State() == Leading {
			s.giveUp = w.now + leaderPatience
		}
		w.establish(w.servers[s.e.Vote().Leader-1])
	}
	s.ef.Reset()
}

func (w *world) look(s *server) {
	w.say("%v %d looks with %d/%d", w.now, s.id, s.last, s.epoch)
	s.looked, s.told = w.now, false
	s.e.Look(w.now, s.since, s.last, s.epoch, &s.ef)
	w.took(s)
}

func (w *world) start(s *server) {
	s.e, s.alive, s.since = New(Options{Self: s.id, Members: w.members}), true, w.now
	s.lanes = make([]lane, len(w.servers))
	w.look(s)
}

func (w *world) kill(s *server) {
	w.say("%v %d dies", w.now, s.id)
	s.alive, s.told = false, false
	for _, o := range w.servers {
		w.cut(s, o, w.r.IntN(2) == 0)
	}
}

// cut ends a link. A shell keeps its links open, and so it dials again.
func (w *world) cut(a, b *server, reset bool) {
	if !w.up[pair(a, b)] {
		return
	}
	w.say("%v %d and %d part", w.now, a.id, b.id)
	delete(w.up, pair(a, b))
	a.lanes[b.id-1].flying, b.lanes[a.id-1].flying = nil, nil
	for _, l := range []link{{a, b}, {b, a}} {
		if l.a.alive {
			l.a.e.LinkDown(w.now, l.b.id, reset, &l.a.ef)
			w.took(l.a)
			w.dials = append(w.dials, l)
		}
	}
}

func (w *world) dial(l link) {
	switch {
	case !l.a.alive || w.up[pair(l.a, l.b)]:
	case !l.b.alive:
		l.a.e.LinkDown(w.now, l.b.id, true, &l.a.ef)
		w.took(l.a)
	default:
		w.up[pair(l.a, l.b)] = true
		for _, l := range []link{{l.a, l.b}, {l.b, l.a}} {
			l.a.e.LinkUp(w.now, l.b.id, &l.a.ef)
			w.took(l.a)
			lane := &l.a.lanes[l.b.id-1]
			lane.waiting = lane.last != nil
		}
	}
}

// actions returns all that can happen without time passing.
func (w *world) actions() []func() {
	var can []func()
	for i, l := range w.dials {
		can = append(can, func() {
			w.dials = append(w.dials[:i:i], w.dials[i+1:]...)
			w.dial(l)
		})
	}
	for _, s := range w.servers {
		for i := range s.lanes {
			o, l := w.servers[i], &s.lanes[i]
			if !s.alive || !w.up[pair(s, o)] {
				continue
			}
			if l.waiting {
				can = append(can, func() { l.waiting, l.flying = false, append(l.flying, *l.last) })
			}
			if len(l.flying) > 0 {
				can = append(can, func() {
					n := l.flying[0]
					l.flying = l.flying[1:]
					w.say("%v %d to %d: %s", w.now, s.id, o.id, show(n.State, n.Vote))
					o.e.Heard(w.now, s.id, n, &o.ef)
					w.took(o)
				})
			}
		}
		if s.alive && s.e.State() != Looking && w.forsaken(s) {
			can = append(can, func() { w.look(s) })
		}
	}
	return can
}

// forsaken tells whether a server knows that its leader does not lead, or, leading, that no quorum follows any more.
func (w *world) forsaken(s *server) bool {
	leader, vote := w.servers[s.e.Vote().Leader-1], s.e.Vote()
	if s.told && s == leader {
		return !w.members.Holds(func(id ensemble.ID) bool { return w.follows(id, s) })
	}
	if s.told {
		return !leader.told || leader.e.State() != Leading
	}
	n, ok := s.e.Said(leader.id)
	return w.now >= s.giveUp || ok && n.Leader != leader.id && n.Round >= vote.Round
}

// pass lets time go on until a server wants it, or by a little less.
func (w *world) pass() bool {
	next := time.Duration(1 << 62)
	for _, s := range w.servers {
		if s.alive {
			if at, ok := s.e.Wake(); ok {
				next = min(next, at)
			} else if !s.told {
				next = min(next, s.giveUp)
			}
		}
	}
	if next == 1<<62 {
		return false
	}
	if next > w.now {
		w.now += 1 + time.Duration(w.r.Int64N(int64(next-w.now)))
	}
	for _, s := range w.servers {
		if s.alive {
			s.e.Tick(w.now, &s.ef)
			w.took(s)
		}
	}
	return true
}

// step lets one thing happen; false if nothing can.
func (w *world) step() bool {
	can := w.actions()
	if len(can) == 0 || w.r.IntN(100) == 0 {
		return w.pass()
	}
	can[w.r.IntN(len(can))]()
	return true
}

func (w *world) fault() {
	w.faults++
	a, b := w.servers[w.r.IntN(len(w.servers))], w.servers[w.r.IntN(len(w.servers))]
	switch {
	case !a.alive:
		w.start(a)
	case w.r.IntN(3) == 0:
		w.kill(a)
	case a != b:
		w.cut(a, b, w.r.IntN(2) == 0)
	}
}

// trouble is a time of faults, after which all servers run and find a leader.
func (w *world) trouble() {
	for _, i := range w.r.Perm(len(w.servers)) {
		if !w.servers[i].alive {
			w.start(w.servers[i])
		}
		for range w.r.IntN(40) {
			w.step()
			if w.r.IntN(20) == 0 {
				w.fault()
			}
		}
	}
	for _, s := range w.servers {
		if !s.alive {
			w.start(s)
		}
	}
	w.findLeader()
}

// findLeader lets the servers go on until nothing happens any more: then all who live follow one leader.
func (w *world) findLeader() {
	for steps := 0; w.step(); steps++ {
		if steps > 200_000 {
			w.fail("the election does not end")
		}
	}
	leader := w.leader()
	for _, s := range w.servers {
		if s.alive && (leader == nil || !s.told || s.e.Vote().Leader != leader.id) {
			w.fail("server %d says %v %+v in the end", s.id, s.e.State(), s.e.Vote())
		}
	}
}

func (w *world) leader() *server {
	for _, s := range w.servers {
		if s.told && s.e.State() == Leading {
			return s
		}
	}
	return nil
}

func (w *world) follows(id ensemble.ID, leader *server) bool {
	s := w.servers[id-1]
	return s.alive && s.e.State() != Looking && s.e.Vote().Leader == leader.id
}

// establish lets a leader lead if a quorum follows it, and those who follow have what it has.
func (w *world) establish(leader *server) {
	if !leader.alive || leader.e.State() != Leading || !w.members.Holds(func(id ensemble.ID) bool { return w.follows(id, leader) }) {
		return
	}
	if !leader.told {
		best := leader.stands()
		if !w.members.Holds(func(id ensemble.ID) bool {
			has := w.servers[id-1].stands()
			has.Leader = best.Leader // a leader that returns before its followers look is elected by their word, whatever its id
			return !better(has, best)
		}) {
			w.fail("%+v leads, and a quorum has more", best)
		}
		leader.epoch++
	}
	for _, s := range w.servers {
		if w.follows(s.id, leader) {
			s.told, s.last, s.epoch, s.since = true, leader.last, leader.epoch, w.now
			s.e.SetPeerEpoch(leader.epoch)
		}
	}
}

func (s *server) stands() Vote { return Vote{Leader: s.id, Zxid: s.last, PeerEpoch: int64(s.epoch)} }

// failOver kills the leader alone.
func (w *world) failOver() {
	for _, s := range w.servers {
		s.last += proto.Zxid(w.r.IntN(3))
		s.since = w.now
	}
	w.kill(w.leader())
	var best *server
	for _, id := range w.members.Voters() {
		if s := w.servers[id-1]; s.alive && (best == nil || better(s.stands(), best.stands())) {
			best = s
		}
	}
	for can := w.actions(); len(can) > 0; can = w.actions() {
		can[w.r.IntN(len(can))]()
	}
	for _, id := range w.members.Voters() {
		if s := w.servers[id-1]; s.alive && !w.follows(id, best) {
			w.fail("server %d waits, %v %+v, after the leader's death; server %d is the best", id, s.e.State(), s.e.Vote(), best.id)
		}
	}
	w.findLeader()
}
