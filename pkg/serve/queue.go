// Package serve keeps one session's requests in order and turns results into replies, as pure code that the shell
// (package pipeline) drives: what may run now, what waits behind a write of its own session, and what bytes answer it.
package serve

import "github.com/zabd/zabd/pkg/proto"

// An Item is a request that waits for its turn. From is whoever sent it: opaque here.
type Item struct {
	Req   *proto.Request
	From  any
	Start int64 // when it was read, for the caller's statistics
}

// A Queue holds what a session has outstanding, in the order of arrival: writes that are not yet committed, syncs that
// are not yet through, and the reads behind them. It outlives the connection that its requests came by. Its owner
// guards it.
//
// Invariant: a queue that is not empty begins with a write or a sync.
type Queue struct {
	items []Item // from head on
	head  int
}

// Replicated tells whether a request of this type goes to the replicator, and what is behind it waits until it is
// through.
func Replicated(op proto.Op) bool { return op.IsWrite() || op == proto.OpSync }

// Len returns the number of requests that wait.
func (q *Queue) Len() int { return len(q.items) - q.head }

// Push adds a request behind all others.
func (q *Queue) Push(it Item) { q.items = append(q.items, it) }

// Complete takes the write at the head if it is the one that a committed txn of this session with this cxid answers. A
// txn that another server forwarded, or that a server made, finds no request here.
func (q *Queue) Complete(cxid int32, op proto.Op) (Item, bool) {
	if q.Len() == 0 {
		return Item{}, false
	}
	r := q.items[q.head].Req
	if r.Xid != cxid || !answers(op, r.Op) {
		return Item{}, false
	}
	return q.pop(), true
}

// answers tells whether a txn of type op can be what a request of type asked became.
func answers(op, asked proto.Op) bool {
	switch {
	case !asked.IsWrite():
		return false
	case op == asked, op == proto.OpError:
		return true
	}
	return op.IsCreate() && asked.IsCreate()
}

// Synced takes the sync at the head if it is this one: all that was committed when the leader had it has come. A sync
// is nobody else's, so that it needs no number.
func (q *Queue) Synced(r *proto.Request) (Item, bool) {
	if q.Len() == 0 || q.items[q.head].Req != r {
		return Item{}, false
	}
	return q.pop(), true
}

// NextRead takes the request at the head if it is a read: everything it had to wait for is done.
func (q *Queue) NextRead() (Item, bool) {
	if q.Len() == 0 || Replicated(q.items[q.head].Req.Op) {
		return Item{}, false
	}
	return q.pop(), true
}

// Pop takes the request at the head, whatever it is: its session has ended.
func (q *Queue) Pop() (Item, bool) {
	if q.Len() == 0 {
		return Item{}, false
	}
	return q.pop(), true
}

func (q *Queue) pop() Item {
	it := q.items[q.head]
	q.items[q.head] = Item{}
	q.head++
	switch {
	case q.head == len(q.items) && q.head > 256:
		q.items, q.head = nil, 0 // an idle session holds no buffers
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head > 64 && 2*q.head >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return it
}
