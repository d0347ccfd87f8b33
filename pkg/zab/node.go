// Package zab is a peer's whole life in the broadcast protocol as a deterministic state machine: inputs in, effects
// out, without clock, goroutine, socket, file or lock. Package peer is its shell. What is here is the leader of an
// ensemble of one, the start state of a standalone server: a sole voter that leads the epoch of its last zxid,
// without discovery and without links.
//
// (F. Junqueira, B. Reed, M. Serafini: Zab, high-performance broadcast for primary-backup systems, DSN 2011.)
package zab

import (
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// Effects is what the shell must do after a Step. Nothing in Append may be acknowledged to anyone before the input
// that reports it durable (Synced).
type Effects struct {
	Prepare []txn.Slot  // leading: answer with one Propose that holds an entry for each, in order
	Append  []txn.Entry // write to the log in order, then answer with Synced
	Deliver []txn.Entry // committed: apply in order, each exactly once
}

// Reset empties the effects and keeps their space.
func (e *Effects) Reset() {
	clear(e.Prepare)
	clear(e.Append)
	clear(e.Deliver)
	e.Prepare, e.Append, e.Deliver = e.Prepare[:0], e.Append[:0], e.Deliver[:0]
}

// Input is what can happen to a Node: Submit, Propose or Synced.
type Input interface{ input() }

// Submit brings requests of clients that connect here.
type Submit struct{ Requests []*proto.Request }

// Propose brings the prepared entries, in the order of Effects.Prepare.
type Propose struct{ Entries []txn.Entry }

// Synced reports that the log is durable up to and including Zxid.
type Synced struct{ Zxid proto.Zxid }

func (Submit) input()  {}
func (Propose) input() {}
func (Synced) input()  {}

// Start is the state that a Node begins with.
type Start struct {
	Self         ensemble.ID
	Last         proto.Zxid  // the last one in the log
	Recent       []txn.Entry // the committed entries that end with Last
	CommitLogCap int         // how many committed entries to keep for learners to come
}

// A Node is one peer's state. It has one owner, the loop of package peer.
//
// Invariants:
//
//	committed <= acked[i] for a quorum of slots i, and <= proposed
//	pending[head:] is in zxid order, without holes, from the entry behind committed to proposed
//	assigned >= proposed; what lies between is being prepared, in order
type Node struct {
	quorum    ensemble.Quorum
	self      int          // own slot in acked
	acked     []proto.Zxid // one position for each voter: no map and no scan per request
	assigned  proto.Zxid   // the last zxid given to a request
	proposed  proto.Zxid   // the last zxid that came back as an entry
	committed proto.Zxid
	pending   []txn.Entry // from head on
	head      int
	recent    committedLog
}

// NewStandalone returns a node that is its ensemble's only voter and leads the epoch of its last zxid.
func NewStandalone(s Start) *Node {
	n := &Node{
		quorum: ensemble.NewMajority(1), acked: []proto.Zxid{s.Last},
		assigned: s.Last, proposed: s.Last, committed: s.Last,
		recent: newCommittedLog(s.CommitLogCap),
	}
	for _, e := range s.Recent {
		n.recent.add(e)
	}
	return n
}

// Committed returns the last zxid that a quorum holds.
func (n *Node) Committed() proto.Zxid { return n.committed }

// Outstanding returns how many entries are proposed and not yet committed.
func (n *Node) Outstanding() int { return len(n.pending) - n.head }

// CommittedSince appends the kept committed entries with a zxid above z to dst; false if some are no longer kept.
func (n *Node) CommittedSince(dst []txn.Entry, z proto.Zxid) ([]txn.Entry, bool) {
	return n.recent.since(dst, z)
}

// Step takes one input and adds what must follow from it to ef.
func (n *Node) Step(in Input, ef *Effects) {
	switch in := in.(type) {
	case Submit:
		n.onSubmit(in.Requests, ef)
	case Propose:
		n.onPropose(in.Entries, ef)
	case Synced:
		n.onAck(n.self, in.Zxid, ef)
	}
	n.check()
}

// check says the invariants of Node in code. (The conditions stand outside of That, whose arguments would be
// allocated for every step.)
func (n *Node) check() {
	if n.committed > n.proposed || n.proposed > n.assigned {
		invariant.That(false, "zab: committed %v, proposed %v, assigned %v", n.committed, n.proposed, n.assigned)
	}
	if n.head == len(n.pending) {
		return
	}
	if first, last := n.pending[n.head].Zxid, n.pending[len(n.pending)-1].Zxid; first != next(n.committed) || last != n.proposed {
		invariant.That(false, "zab: pending %v to %v between committed %v and proposed %v", first, last, n.committed, n.proposed)
	}
}
