//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// A move is what one of three connections does: a request; or, if renew is set, the end of its session and a new one.
// A connection that the server closes comes back with its session.
type move struct {
	on    int
	renew bool
	ask   func(p *probe) request
}

// moves makes a seed's moves below a root. The connections have an id each; the last keeps persistent watches, the
// others one-shot ones: 3.8.0 has one kind for each path and connection.
func (d dice) moves() (out []move) {
	add := func(on int, r request) {
		out = append(out, move{on: on, ask: func(*probe) request { return r }})
	}
	for on := range 3 {
		add(on, identity(on))
	}
	for _, r := range []request{
		create(quotaOf(d.root), "", 0), create(quotaOf(d.root)+"/zookeeper_limits", d.limits(), 0), create(quotaOf(d.root)+"/zookeeper_stats", "", 0),
	} {
		add(0, r)
	}
	for range requestsPerSeed {
		on := d.IntN(3)
		switch d.IntN(60) {
		case 0:
			out = append(out, move{on: on, renew: true})
			add(on, identity(on))
		case 1:
			add(on, cut(d.requestOf(on), 1+d.IntN(3)))
		case 2:
			add(on, request{d.request().op, raw(make([]byte, d.IntN(30)))})
		case 3:
			add(on, request{proto.OpSetData, &proto.SetDataRequest{Path: d.path(), Data: make([]byte, 1<<20), Version: -1}})
		case 4:
			add(on, request{proto.Op(30 + d.IntN(60)), raw(nil)})
		case 5:
			out = append(out, d.rewatch(on))
		default:
			add(on, d.requestOf(on))
		}
	}
	return out
}

// identity is what a connection shows of itself.
func identity(on int) request { return auth("digest", fmt.Sprintf("u%d:p", on)) }

// requestOf is a request whose watch, if any, is of the connection's kind.
func (d dice) requestOf(on int) request {
	r := d.request()
	if q, reads := r.body.(*proto.ReadRequest); reads && on == 2 && q.Watch {
		mode := proto.ModePersistent
		if strings.HasSuffix(q.Path, "a") { // one for each path
			mode = proto.ModeRecursive
		}
		return addWatch(q.Path, int32(mode))
	}
	return r
}

// rewatch is what a client sends that comes back, with a zxid of a little while ago.
func (d dice) rewatch(on int) move {
	paths := [3][]string{{d.path()}, {d.path()}, {d.path()}}
	back := proto.Zxid(d.IntN(8))
	return move{on: on, ask: func(p *probe) request {
		z := p.last - back
		if on == 2 {
			return get(paths[0][0])
		}
		return request{proto.OpSetWatches, &proto.SetWatchesRequest{RelativeZxid: z, Data: paths[0], Exist: paths[1], Child: paths[2]}}
	}}
}

// perform plays moves one at a time.
func (y *story) perform(root string, moves []move) {
	var base proto.Zxid
	open := func(on int) *probe {
		p := y.session(10000)
		p.anyOrder = true // the ephemerals of a session that ends go in the order of Java's hash table
		p.base = base
		return p
	}
	probes := []*probe{open(0), open(1), open(2)}
	probes[0].withZxid = false
	y.all(probes[0], create(root, "", 0))
	probes[0].withZxid = true
	base = probes[0].last
	for _, p := range probes {
		p.base = base
	}
	for _, s := range moves {
		p := probes[s.on]
		if s.renew {
			y.end(p)
			probes[s.on] = open(s.on)
			continue
		}
		r := s.ask(p)
		if q, is := r.body.(*proto.SetWatchesRequest); is {
			y.tell(fmt.Sprintf("setWatches %v, %d ago", q.Data, p.last-q.RelativeZxid), p.call(r.op, r.body))
		} else {
			y.do(p, r.op, r.body)
		}
		if y.said("err -6 zxid -0x1") { // the connection ends, and what it sends meanwhile may count or not
			y.tell("then", p.answer())
		}
		if y.said("closed") {
			probes[s.on] = y.again(p)
		}
	}
	for _, p := range probes {
		y.end(p)
	}
}

// said tells whether the last answer ends so.
func (y *story) said(end string) bool { return strings.HasSuffix(y.lines[len(y.lines)-1], end) }

// end closes a session, if need be on another connection: it must not expire in the middle of what follows.
func (y *story) end(p *probe) {
	if y.do(p, proto.OpCloseSession, nil); y.said("closed") {
		y.do(y.again(p), proto.OpCloseSession, nil)
	}
}

// again comes back with the session of a connection that was closed.
func (y *story) again(p *probe) *probe {
	q := y.dial()
	q.anyOrder, q.base = true, p.base
	y.tell("come back", q.handshake(proto.ConnectRequest{Timeout: 10000, SessionID: p.session, Password: p.password, HasReadOnly: true}))
	return q
}

// difference is the first line that two stories do not share.
type difference struct {
	found      bool
	before     []string
	got, wants string
}

func (d difference) String() string {
	return fmt.Sprintf("%s\n got: %s\njava: %s", strings.Join(d.before, "\n"), d.got, d.wants)
}

// differ plays on both servers.
func differ(t *testing.T, ours, java *server, play func(y *story)) difference {
	a, b := &story{t: t, s: ours}, &story{t: t, s: java}
	play(a)
	play(b)
	for i := range max(len(a.lines), len(b.lines)) {
		line := func(y *story) string {
			if i < len(y.lines) {
				return y.lines[i]
			}
			return "(nothing)"
		}
		if got, wants := line(a), line(b); got != wants {
			return difference{true, b.lines[max(0, i-30):min(i, len(b.lines))], got, wants}
		}
	}
	return difference{}
}

// shrink leaves out of n moves what a difference does not need: halves first, single steps last. It returns the numbers of
// those that are left.
func shrink(n int, differs func(keep []int) bool) []int {
	keep := make([]int, n)
	for i := range keep {
		keep[i] = i
	}
	for size := n / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(keep); {
			if less := slices.Concat(keep[:at], keep[at+size:]); differs(less) {
				keep = less
			} else {
				at += size
			}
		}
	}
	return keep
}

// TestDifferential sends random requests of three clients to both servers, alike and in turn, and random requests of one
// client with many outstanding. What each connection is told has to be the same: answers, events and their order, Stats,
// the steps of zxids. A seed that fails is shrunk.
func TestDifferential(t *testing.T) {
	t.Parallel()
	ours, java := serve(t, underTest), serve(t, javaKind{})
	for seed := *firstSeed; seed < *firstSeed+*seedCount; seed++ {
		t.Logf("seed %d", seed)
		replay := fmt.Sprintf("replay: go test -tags interop ./pkg/interop -run TestDifferential -interop.seed=%d -interop.seeds=1", seed)
		tries := 0
		// Each try has a root of its own, below which the moves are made anew.
		try := func(keep []int) difference {
			tries++
			d := dice{rand.New(rand.NewPCG(seed, 0)), fmt.Sprintf("/turns%d.%d", seed, tries), false}
			all, some := d.moves(), []move(nil)
			for _, i := range keep {
				some = append(some, all[i])
			}
			return differ(t, ours, java, func(y *story) { y.perform(d.root, some) })
		}
		n := len(dice{rand.New(rand.NewPCG(seed, 0)), "/", false}.moves())
		if d := try(shrink(n, func([]int) bool { return false })); d.found {
			keep := shrink(n, func(keep []int) bool { return try(keep).found })
			t.Fatalf("seed %d, shrunk to %d moves\n%v\nat first:\n%v\n%s", seed, len(keep), try(keep), d, replay)
		}
		d := differ(t, ours, java, func(y *story) {
			y.pipe(dice{rand.New(rand.NewPCG(seed, 1)), fmt.Sprintf("/pipe%d", seed), true})
		})
		if d.found {
			t.Fatalf("seed %d, many outstanding\n%v\n%s", seed, d, replay)
		}
	}
}
