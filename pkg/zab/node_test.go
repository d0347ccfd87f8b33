package zab

import (
	"math"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

func entries(zs ...proto.Zxid) []txn.Entry {
	out := make([]txn.Entry, len(zs))
	for i, z := range zs {
		out[i] = txn.Entry{Zxid: z, Bytes: []byte{byte(z)}}
	}
	return out
}

func requests(count int) []*proto.Request {
	rs := make([]*proto.Request, count)
	for i := range rs {
		rs[i] = &proto.Request{Op: proto.OpSetData}
	}
	return rs
}

func zxids(es []txn.Entry) []proto.Zxid {
	var out []proto.Zxid
	for _, e := range es {
		out = append(out, e.Zxid)
	}
	return out
}

func delivered(ds []txn.Delivery) []proto.Zxid {
	var out []proto.Zxid
	for _, d := range ds {
		out = append(out, d.Zxid)
	}
	return out
}

func equal(a, b []proto.Zxid) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// submit takes n requests to the point where they are appended.
func submit(t *testing.T, n *Node, count int) []proto.Zxid {
	t.Helper()
	var ef Effects
	n.Step(0, Submit{requests(count)}, &ef)
	var zs []proto.Zxid
	for _, s := range ef.Prepare {
		zs = append(zs, s.Zxid)
	}
	ef.Reset()
	n.Step(0, Propose{entries(zs...)}, &ef)
	if !equal(zxids(ef.Append), zs) || len(ef.Deliver) > 0 {
		t.Fatalf("proposing %v appends %v and delivers %v", zs, zxids(ef.Append), delivered(ef.Deliver))
	}
	return zs
}

func TestNothingIsDeliveredBeforeItIsDurable(t *testing.T) {
	n := NewStandalone(Start{Last: proto.MakeZxid(3, 7), CommitLogCap: 2})
	first, second := submit(t, n, 2), submit(t, n, 1)
	if want := []proto.Zxid{proto.MakeZxid(3, 8), proto.MakeZxid(3, 9)}; !equal(first, want) {
		t.Fatalf("requests got %v, want %v", first, want)
	}
	var ef Effects
	n.Step(0, Synced{first[0]}, &ef)
	if !equal(delivered(ef.Deliver), first[:1]) || n.Outstanding() != 2 {
		t.Fatalf("synced %v delivers %v", first[0], delivered(ef.Deliver))
	}
	ef.Reset()
	n.Step(0, Synced{first[0]}, &ef) // told twice
	n.Step(0, Synced{second[0]}, &ef)
	if !equal(delivered(ef.Deliver), []proto.Zxid{first[1], second[0]}) || n.Committed() != second[0] {
		t.Fatalf("synced %v delivers %v", second[0], delivered(ef.Deliver))
	}
	if got, ok := n.CommittedSince(nil, first[1]); !ok || !equal(zxids(got), second) {
		t.Fatalf("committed since %v: %v, %v", first[1], zxids(got), ok)
	}
	if _, ok := n.CommittedSince(nil, first[0]-1); ok {
		t.Fatal("the committed log claims entries that it has dropped")
	}
}

func TestCommittedLogIsSeeded(t *testing.T) {
	n := NewStandalone(Start{Last: 5, Recent: entries(3, 4, 5), CommitLogCap: 10})
	if got, ok := n.CommittedSince(nil, 3); !ok || !equal(zxids(got), []proto.Zxid{4, 5}) {
		t.Fatalf("%v, %v", zxids(got), ok)
	}
}

func TestCounterRunsOut(t *testing.T) {
	n := NewStandalone(Start{Last: proto.MakeZxid(4, math.MaxUint32-1), CommitLogCap: 1})
	want := []proto.Zxid{proto.MakeZxid(4, math.MaxUint32), proto.MakeZxid(5, 1)}
	if got := submit(t, n, 2); !equal(got, want) {
		t.Fatalf("zxids %v, want %v", got, want)
	}
	var ef Effects
	n.Step(0, Synced{want[1]}, &ef)
	if !equal(delivered(ef.Deliver), want) {
		t.Fatalf("delivered %v", delivered(ef.Deliver))
	}
}

func TestProposalOutOfOrderIsABrokenInvariant(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("a hole between proposals is accepted")
		}
	}()
	n := NewStandalone(Start{CommitLogCap: 1})
	var ef Effects
	n.Step(0, Submit{requests(2)}, &ef)
	n.Step(0, Propose{entries(2)}, &ef)
}

func TestStepsAllocateLittle(t *testing.T) {
	n := NewStandalone(Start{CommitLogCap: 500})
	var ef Effects
	rs := requests(1)
	es := make([]txn.Entry, 1)
	got := testing.AllocsPerRun(1000, func() {
		ef.Reset()
		n.Step(0, Submit{rs}, &ef)
		es[0].Zxid = ef.Prepare[0].Zxid
		n.Step(0, Propose{es}, &ef)
		n.Step(0, Synced{es[0].Zxid}, &ef)
	})
	if got > 3 { // the inputs themselves
		t.Fatalf("a write costs %v allocations", got)
	}
	t.Logf("%v allocations for a write alone", got)
}
