package zab

import (
	"math"
	"slices"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
)

// ownSync is a sync of a client of ours that waits until everything up to a zxid has been committed.
type ownSync struct {
	behind proto.Zxid
	req    *proto.Request
}

// next returns the zxid behind z. A standalone server whose epoch has used up its counter goes on in the next epoch.
// (The zxid with counter 0 stands for the beginning of an epoch and is never a txn's.)
func next(z proto.Zxid) proto.Zxid {
	if z.Counter() == math.MaxUint32 {
		return proto.MakeZxid(z.Epoch()+1, 1)
	}
	return z + 1
}

// follows tells whether an entry may stand right behind another.
func (n *Node) follows(z, behind proto.Zxid) bool {
	return behind == next(z) || behind.Epoch() > z.Epoch() && behind.Counter() == 1
}

// onSubmit gives each request its place in the order of all writes, or sends it to the leader who does.
func (n *Node) onSubmit(rs []*proto.Request, ef *Effects) {
	switch {
	case n.lead != nil && n.serving:
		for _, r := range rs {
			if n.lead == nil {
				return // the epoch's zxids have run out
			}
			if r.Op == proto.OpSync {
				n.ownSync(r, ef)
				continue
			}
			n.admit(r, session.Self, ef)
		}
	case n.follow != nil && n.serving:
		n.forward(rs, ef)
	}
}

// admit decides who a request is from, and has it prepared. The end of a session is anybody's to ask for.
func (n *Node) admit(r *proto.Request, origin int64, ef *Effects) {
	l := n.lead
	z := next(l.assigned)
	if n.role == Leading && z.Counter() == math.MaxUint32 {
		n.leave(ef, "epoch %d has no zxids left: another must begin", l.epoch)
		return
	}
	l.assigned = z
	switch {
	case r.Op == proto.OpCreateSession && origin != session.Self:
		n.sessions.Own(r.Session, origin)
	case r.Op == proto.OpCreateSession:
	case r.Op == proto.OpCloseSession:
		n.sessions.Close(r.Session)
	default:
		r.Moved = !n.sessions.Claim(r.Session, origin)
	}
	s := txn.Slot{Zxid: z, Request: r}
	if r.Op == proto.OpReconfig && n.role == Leading {
		s.Reconfig = n.reconfigState()
	}
	ef.Prepare = append(ef.Prepare, s)
}

func (n *Node) ownSync(r *proto.Request, ef *Effects) {
	l := n.lead
	if n.last() >= l.assigned {
		ef.Deliver = append(ef.Deliver, txn.Delivery{Sync: r})
		return
	}
	l.syncs = append(l.syncs, ownSync{l.assigned, r})
}

// onPropose has the prepared entries logged, by us and by all followers, and waits for a quorum to hold them.
func (n *Node) onPropose(es []txn.Entry, ef *Effects) {
	l := n.lead
	if l == nil {
		return
	}
	for _, e := range es {
		if e.Zxid != next(l.proposed) || e.Zxid > l.assigned {
			invariant.That(false, "zab: propose %v after %v, assigned %v", e.Zxid, l.proposed, l.assigned)
		}
		l.proposed = e.Zxid
		c, err := n.reconfigOf(e)
		if c == nil {
			invariant.That(err == nil, "%v", err)
			n.append(e, ef)
			continue
		}
		if l.reconfig != 0 {
			invariant.That(false, "zab: change %v of members, and %v is under way", e.Zxid, l.reconfig)
		}
		n.appendChange(e, c, ef)
		l.reconfig = e.Zxid
	}
	n.Stats.Proposals += int64(len(es))
	for _, x := range l.learners {
		if !x.live || x.observer {
			continue
		}
		for _, e := range es {
			n.send(x, Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}, ef)
		}
		if x.watched <= x.acked && len(es) > 0 {
			x.watched, x.since = l.proposed, n.now
		}
	}
}

// onSynced records that our own log is durable up to and including z.
func (n *Node) onSynced(z proto.Zxid, ef *Effects) {
	if z <= n.synced || z > n.logged {
		return
	}
	n.synced = z
	switch {
	case n.lead != nil && n.lead.established:
		n.onAck(n.lead.slot, z, ef)
		n.assure(z, ef)
		n.resume(ef)
	case n.follow != nil:
		n.acknowledge(ef)
		n.commitTogether(ef)
	}
}

// assure tells those whose clients wait that we have stored everything up to z, if a learner and we are a quorum: it need
// not wait until we have heard of its own disk, and it of that. What stands behind a sync is not for it to commit before
// the answer to the sync (see firstSync).
func (n *Node) assure(z proto.Zxid, ef *Effects) {
	if pair := 2; 2*pair <= n.lead.quorum.Voters() || n.lead.reconfig != 0 || n.lead.retired {
		return
	}
	for _, x := range n.lead.learners {
		if x.extensions&LeaderAck != 0 && x.slot >= 0 && x.phase == synced && x.acked < z && x.asked > n.last() && len(x.syncs) == 0 {
			x.assured = z
			n.send(x, Packet{Type: TypeAck, Zxid: z}, ef)
		}
	}
}

// onAck records that the voter in slot has stored everything through z, and commits what a quorum now holds.
func (n *Node) onAck(slot int, z proto.Zxid, ef *Effects) {
	l := n.lead
	if z <= l.acked[slot] {
		return
	}
	l.acked[slot] = z
	for !l.retired {
		var last proto.Zxid
		for i := n.head; i < len(n.pending) && l.holds(n.pending[i].Zxid); i++ {
			if last = n.pending[i].Zxid; last == l.reconfig {
				l.successor = n.designate(func(slot int) (proto.Zxid, bool) { return l.acked[slot], l.acked[slot] >= last })
				break
			}
		}
		for n.head < len(n.pending) && n.pending[n.head].Zxid <= last {
			n.commit(min(last, l.firstSync()), ef)
		}
		if last == 0 || last != l.reconfig {
			return
		}
		n.reconfigured(ef) // and what is behind it needs a quorum of the new voters alone
	}
}

// holds tells whether enough voters hold an entry for it to be committed.
func (l *leadership) holds(z proto.Zxid) bool {
	if z < l.reconfig {
		return ensemble.Reached(l.before, l.acked, z)
	}
	return ensemble.Reached(l.quorum, l.acked, z)
}

// firstSync returns the lowest zxid that a sync waits for. What is committed behind it must come behind the answer: a
// write that its own session has sent behind the sync would else find another request in its place.
func (l *leadership) firstSync() proto.Zxid {
	first := proto.Zxid(math.MaxInt64)
	if len(l.syncs) > 0 {
		first = l.syncs[0].behind
	}
	for _, x := range l.learners {
		if len(x.syncs) > 0 {
			first = min(first, x.syncs[0])
		}
	}
	return first
}

// commit commits what is pending up to and including z, and answers the syncs that have waited for that.
func (n *Node) commit(z proto.Zxid, ef *Effects) {
	l := n.lead
	to := n.head
	for to < len(n.pending) && n.pending[to].Zxid <= z {
		to++
	}
	for _, x := range l.learners {
		if x.live {
			n.announce(x, n.pending[n.head:to], ef)
		}
	}
	for _, e := range n.pending[n.head:to] {
		n.keep(e, ef)
	}
	n.deliver(z, ef)
	for _, x := range l.learners {
		n.releaseSyncs(x, ef)
	}
	done := 0
	for done < len(l.syncs) && l.syncs[done].behind <= n.last() {
		ef.Deliver = append(ef.Deliver, txn.Delivery{Sync: l.syncs[done].req})
		done++
	}
	l.syncs = slices.Delete(l.syncs, 0, done)
}

// announce tells a learner what is committed.
func (n *Node) announce(x *learner, es []txn.Entry, ef *Effects) {
	last := es[len(es)-1].Zxid
	if last == n.lead.reconfig {
		if len(es) > 1 {
			n.announce(x, es[:len(es)-1], ef)
		}
		n.announceChange(x, es[len(es)-1], ef)
		return
	}
	switch {
	case x.assured >= last && x.acked >= last: // it knows
	case x.observer:
		for _, e := range es {
			n.send(x, Packet{Type: TypeInform, Zxid: e.Zxid, Data: e.Bytes}, ef)
		}
	case x.extensions&CumulativeCommit != 0:
		n.send(x, Packet{Type: TypeCommit, Zxid: last}, ef)
	default:
		for _, e := range es {
			n.send(x, Packet{Type: TypeCommit, Zxid: e.Zxid}, ef)
		}
	}
}

// releaseSyncs answers the syncs of a learner's clients that have waited long enough.
func (n *Node) releaseSyncs(x *learner, ef *Effects) {
	done := 0
	for done < len(x.syncs) && x.syncs[done] <= n.last() {
		n.send(x, Packet{Type: TypeSync}, ef)
		done++
	}
	x.syncs = slices.Delete(x.syncs, 0, done)
}

// onApplied begins to serve: the tree has all that went before this epoch, so that requests can be checked against it.
func (n *Node) onApplied(z proto.Zxid, ef *Effects) {
	l := n.lead
	if n.role == Standalone && !n.serving && n.applied == l.proposed && z >= n.applied {
		n.serveReplaced(ef)
		return
	}
	if l == nil || n.role != Leading || !l.established || l.ready || z < proto.MakeZxid(l.epoch, 0) {
		return
	}
	l.ready, n.serving = true, true
	ef.Lead = true
	n.trackSessions()
	waiting := l.waiting
	l.waiting = nil
	for _, f := range waiting {
		if n.lead == l {
			f(ef)
		}
	}
}

// PendingSyncs returns how many syncs of clients wait for a commit; 0 unless this server leads.
func (n *Node) PendingSyncs() int {
	if n.lead == nil {
		return 0
	}
	waiting := len(n.lead.syncs)
	for _, x := range n.lead.learners {
		waiting += len(x.syncs)
	}
	return waiting
}
