package zab

import (
	"math"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// next returns the zxid behind z: an epoch that has used up its counter is followed by the first zxid of the next.
// (The zxid with counter 0 stands for the beginning of an epoch and is never a txn's.)
func next(z proto.Zxid) proto.Zxid {
	if z.Counter() == math.MaxUint32 {
		return proto.MakeZxid(z.Epoch()+1, 1)
	}
	return z + 1
}

// onSubmit gives each request its place in the order of all writes.
func (n *Node) onSubmit(rs []*proto.Request, ef *Effects) {
	for _, r := range rs {
		n.assigned = next(n.assigned)
		ef.Prepare = append(ef.Prepare, txn.Slot{Zxid: n.assigned, Request: r})
	}
}

// onPropose has the prepared entries logged and waits for a quorum to hold them.
func (n *Node) onPropose(es []txn.Entry, ef *Effects) {
	for _, e := range es {
		if e.Zxid != next(n.proposed) || e.Zxid > n.assigned {
			invariant.That(false, "zab: propose %v after %v, assigned %v", e.Zxid, n.proposed, n.assigned)
		}
		n.proposed = e.Zxid
		n.pending = append(n.pending, e)
		ef.Append = append(ef.Append, e)
	}
}

// onAck records that the voter in slot has stored everything through z, and commits what a quorum now holds.
func (n *Node) onAck(slot int, z proto.Zxid, ef *Effects) {
	if z <= n.acked[slot] {
		return
	}
	n.acked[slot] = z
	for n.head < len(n.pending) && ensemble.Reached(n.quorum, n.acked, n.pending[n.head].Zxid) {
		e := n.pending[n.head]
		n.committed = e.Zxid
		n.recent.add(e)
		ef.Deliver = append(ef.Deliver, e)
		n.pending[n.head] = txn.Entry{} // its bytes are the collector's once the committed log drops them
		n.head++
	}
	if 2*n.head >= len(n.pending) { // close the gap when that costs no more than what made it
		kept := copy(n.pending, n.pending[n.head:])
		clear(n.pending[kept:])
		n.pending, n.head = n.pending[:kept], 0
	}
}
