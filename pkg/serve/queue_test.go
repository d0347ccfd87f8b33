package serve

import (
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

func item(xid int32, op proto.Op) Item { return Item{Req: &proto.Request{Xid: xid, Op: op}} }

func TestReadsWaitForTheWritesBeforeThem(t *testing.T) {
	var q Queue
	for _, it := range []Item{item(1, proto.OpSetData), item(2, proto.OpGetData), item(3, proto.OpPing), item(4, proto.OpCreate), item(5, proto.OpExists)} {
		q.Push(it)
	}
	if _, ok := q.NextRead(); ok {
		t.Fatal("a read passes the write before it")
	}
	if it, ok := q.Complete(1, proto.OpSetData); !ok || it.Req.Xid != 1 {
		t.Fatalf("Complete(1) = %v, %v", it, ok)
	}
	for _, want := range []int32{2, 3} {
		if it, ok := q.NextRead(); !ok || it.Req.Xid != want {
			t.Fatalf("NextRead = %v, %v; want %d", it, ok, want)
		}
	}
	if _, ok := q.NextRead(); ok {
		t.Fatal("a write is given out as a read")
	}
	if _, ok := q.Complete(4, proto.OpError); !ok {
		t.Fatal("an error txn does not answer the write it came from")
	}
	if it, ok := q.NextRead(); !ok || it.Req.Xid != 5 || q.Len() != 0 {
		t.Fatalf("NextRead = %v, %v; %d left", it, ok, q.Len())
	}
}

// TestCompleteFindsByArrival answers what came first where xids are the same, and nothing for txns of other servers.
func TestCompleteFindsByArrival(t *testing.T) {
	var q Queue
	q.Push(item(7, proto.OpCreate2))
	q.Push(item(7, proto.OpDelete))
	for _, c := range []struct {
		cxid int32
		op   proto.Op
		want proto.Op
	}{
		{0, proto.OpCloseSession, 0}, // a server's own
		{8, proto.OpCreate, 0},       // forwarded elsewhere
		{7, proto.OpDelete, 0},       // not what stands at the head
		{7, proto.OpCreate, proto.OpCreate2},
		{7, proto.OpDelete, proto.OpDelete},
		{7, proto.OpDelete, 0},
	} {
		it, ok := q.Complete(c.cxid, c.op)
		if ok != (c.want != 0) || ok && it.Req.Op != c.want {
			t.Errorf("Complete(%d, %v) = %v, %v; want %v", c.cxid, c.op, it, ok, c.want)
		}
	}
}

func TestQueueKeepsItsOrderOverMany(t *testing.T) {
	var q Queue
	next := int32(0)
	for xid := range int32(5000) {
		q.Push(item(xid, proto.OpSetData))
		if xid%3 != 0 {
			if it, ok := q.Complete(next, proto.OpSetData); !ok || it.Req.Xid != next {
				t.Fatalf("Complete(%d) = %v, %v", next, it, ok)
			}
			next++
		}
	}
	for ; next < 5000; next++ {
		if it, ok := q.Pop(); !ok || it.Req.Xid != next {
			t.Fatalf("Pop = %v, %v; want %d", it, ok, next)
		}
	}
	if _, ok := q.Pop(); ok {
		t.Fatal("an empty queue gives a request")
	}
}
