package zab

import (
	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/txn"
)

// onReplace puts another tree in the place of a standalone server's. Its clients end, for what they know is of the old one.
// The new tree stands above every zxid that was given before, here or where it comes from: no number means two things, and
// no client that comes back has seen more than the server has.
//
// What was logged before goes its way first: the disk takes it before the tree, and says so.
func (n *Node) onReplace(in Replace, ef *Effects) {
	if n.role != Standalone || !n.serving {
		return
	}
	l := n.lead
	z := next(max(l.assigned, in.Zxid))
	n.serving, l.syncs, l.assigned, l.proposed = false, nil, z, z
	n.say(ef, true, "the tree is replaced by another, which goes on at %v", z)
	n.store(Install{Tree: in.Tree, Zxid: z}, ef)
}

// replaced goes on with a tree that is durable.
func (n *Node) replaced(s Install, ef *Effects) {
	if n.head < len(n.pending) {
		invariant.That(false, "zab: %v is pending, and the tree is replaced", n.pending[n.head].Zxid)
	}
	n.applied, n.logged, n.synced, n.committed = s.Zxid, s.Zxid, s.Zxid, s.Zxid
	n.lead.acked[0] = s.Zxid
	n.recent.reset()
	ef.Deliver = append(ef.Deliver, txn.Delivery{Tree: s.Tree, Entry: txn.Entry{Zxid: s.Zxid}})
	ef.AwaitApplied = s.Zxid
}

// serveReplaced lets clients in again, to sessions of the new tree.
func (n *Node) serveReplaced(ef *Effects) {
	n.serving = true
	ef.Lead, ef.Replaced = true, n.applied
	if n.cfg.Clients != nil {
		n.trackSessions()
	}
}
