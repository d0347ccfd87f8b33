package prep

import (
	"fmt"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

var hundred = make([]byte, 100)

func set100(path string) []byte {
	return (&proto.SetDataRequest{Path: path, Data: hundred, Version: -1}).AppendTo(nil)
}

func create100(path string, flags int32) []byte {
	return (&proto.CreateRequest{Path: path, Data: hundred, ACL: proto.WorldAll(), Flags: flags}).AppendTo(nil)
}

// cycle prepares requests over and over, and applies each window of them as one batch.
type cycle struct {
	*bench
	reqs   []proto.Request
	window int
	next   int
	flight []txn.Entry
	txn    txn.Txn
	result tree.Result
}

func newCycle(tb testing.TB, window int, reqs ...proto.Request) *cycle {
	b := newBench(tb)
	b.submit(proto.OpCreate, createBody("/a", 0))
	b.settle()
	for i := range reqs {
		reqs[i].Session = session
	}
	return &cycle{bench: b, reqs: reqs, window: window}
}

func (c *cycle) prepareOne() {
	c.last++
	c.flight = append(c.flight, c.prep.Prepare(&c.reqs[c.next], c.last, 1))
	c.next = (c.next + 1) % len(c.reqs)
	if len(c.flight) < c.window {
		return
	}
	for _, e := range c.flight {
		if err := c.txn.Decode(e.Bytes); err != nil || c.txn.Header.Type == proto.OpError {
			c.tb.Fatalf("%v of %v: %v", c.txn.Header.Type, c.txn.Zxid, c.txn.Err)
		}
		c.tree.Apply(&c.txn, &c.result)
	}
	c.flight = c.flight[:0]
}

func setCycle(tb testing.TB, window int) *cycle {
	return newCycle(tb, window, proto.Request{Op: proto.OpSetData, Body: set100("/a")})
}

// createCycle creates nodes and deletes them again, so that the tree stays as it is.
func createCycle(tb testing.TB, window int) *cycle {
	var reqs []proto.Request
	for i := range 64 {
		reqs = append(reqs, proto.Request{Op: proto.OpCreate, Body: create100(fmt.Sprintf("/a/n%d", i), 0)})
	}
	for i := range 64 {
		reqs = append(reqs, proto.Request{Op: proto.OpDelete, Body: versionBody(fmt.Sprintf("/a/n%d", i), -1)})
	}
	return newCycle(tb, window, reqs...)
}

// TestAllocationBudget: an entry is one allocation; the pending records and lists in flight are used again.
func TestAllocationBudget(t *testing.T) {
	for name, c := range map[string]struct {
		cycle  *cycle
		budget float64
	}{
		"setData": {setCycle(t, 1), 1}, "setData in flight": {setCycle(t, 64), 1},
		"create and delete": {createCycle(t, 1), 2}, "create and delete in flight": {createCycle(t, 64), 2},
	} {
		for range 10_000 {
			c.cycle.prepareOne()
		}
		if n := testing.AllocsPerRun(5_000, c.cycle.prepareOne); n > c.budget {
			t.Errorf("%s: preparing and applying one allocates %v times, budget %v", name, n, c.budget)
		}
	}
}

func BenchmarkPrepareAndApply(b *testing.B) {
	for _, window := range []int{1, 64, 1024} {
		for name, c := range map[string]*cycle{"set": setCycle(b, window), "create": createCycle(b, window)} {
			b.Run(fmt.Sprintf("%s/%d", name, window), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(100)
				for b.Loop() {
					c.prepareOne()
				}
			})
		}
	}
}

// BenchmarkPrepare has the preparation alone, of what is then forgotten.
func BenchmarkPrepare(b *testing.B) {
	for _, bc := range []struct {
		name string
		op   proto.Op
		body []byte
	}{
		{"set", proto.OpSetData, set100("/a")},
		{"create", proto.OpCreate, create100("/a/n", 0)},
		{"sequential", proto.OpCreate, create100("/a/n-", proto.FlagEphemeralSequential)},
		{"refused", proto.OpCreate, create100("/a", 0)},
		{"multi", proto.OpMulti, multiBody(createOp("/x", 0), createOp("/x/y", 0), proto.MultiOp{Type: proto.OpSetData, Path: "/a", Version: -1})},
	} {
		b.Run(bc.name, func(b *testing.B) {
			w := newCycle(b, 1)
			req := &proto.Request{Session: session, Op: bc.op, Body: bc.body}
			w.prep.settle(w.tree) // else Prepare would, behind the mark
			b.ReportAllocs()
			for b.Loop() {
				m := w.prep.mark()
				w.prep.Prepare(req, w.last+1, 1)
				w.prep.rollBack(m)
			}
		})
	}
}

// BenchmarkMassExpiry closes 10,000 sessions at once, each with an ephemeral.
func BenchmarkMassExpiry(b *testing.B) {
	const sessions = 10_000
	w := newCycle(b, 1)
	for id := range int64(sessions) {
		w.as(1000+id, nil, proto.OpCreateSession, jute.AppendInt(nil, 30000))
		w.as(1000+id, nil, proto.OpCreate, createBody("/a/e-", proto.FlagEphemeralSequential))
	}
	w.settle()
	last := w.last
	b.ReportAllocs()
	for b.Loop() {
		w.last = last
		for id := range int64(sessions) {
			w.last++
			w.prep.Prepare(&proto.Request{Session: 1000 + id, Op: proto.OpCloseSession}, w.last, 1)
		}
		w.prep.Reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sessions, "ns/session")
}
