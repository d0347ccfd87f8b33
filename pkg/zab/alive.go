package zab

import (
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
)

// tickLead is a leader's and a standalone server's look at the time.
func (n *Node) tickLead(ef *Effects) {
	l := n.lead
	if n.now >= l.nextTurn {
		l.nextTurn = n.now + max(n.cfg.Tick/2, time.Millisecond)
		n.turn(ef)
	}
	if n.lead == l && n.now >= l.nextExpiry {
		l.nextExpiry = n.boundary()
		if l.ready || n.role == Standalone && n.serving {
			n.expire(ef)
		}
	}
}

// boundary returns the next moment at which sessions can be due.
func (n *Node) boundary() time.Duration {
	tick := max(n.cfg.Tick, time.Millisecond)
	return n.now - n.now%tick + tick
}

// turn looks after the learners: half a tick has passed since the last.
func (n *Node) turn(ef *Effects) {
	l := n.lead
	l.turns++
	if n.role == Standalone {
		return
	}
	if !l.established && n.now-l.began > n.cfg.InitLimit {
		n.leave(ef, "no quorum has followed within initLimit")
		return
	}
	if limit := n.cfg.EpochLimit; limit > 0 && !l.agreedOn && n.now-l.began > limit {
		n.Stats.Disloyal++
		n.leave(ef, "no quorum has agreed on an epoch within %v", limit)
		return
	}
	for _, x := range slices.Clone(l.learners) {
		n.tend(x, ef)
	}
	left := l.established && l.turns%2 == 0 && !n.followed()
	switch {
	case l.retired && (left || n.now > l.leaves):
		n.handOver(ef)
	case left:
		n.leave(ef, "a quorum follows no more")
	}
}

// tend drops a learner that is too slow, or asks it for a sign of life.
func (n *Node) tend(x *learner, ef *Effects) {
	l := n.lead
	limit := n.cfg.InitLimit
	if x.phase >= joined {
		limit = n.cfg.SyncLimit
	}
	switch {
	case x.phase == joined && !l.established, x.phase == agreed && !l.begun, x.phase == informed && !l.announced:
		return // it waits for us
	case n.now-x.heard > limit:
		n.Stats.Dropped++
		n.say(ef, true, "%v was silent for %v", x, n.now-x.heard)
		n.drop(x, ef)
		return
	case x.phase == synced && x.watched > x.acked && !x.observer && n.now-x.since > n.cfg.SyncLimit:
		n.Stats.Dropped++
		n.say(ef, true, "%v has not acknowledged %v for %v", x, x.watched, n.now-x.since)
		n.drop(x, ef)
		return
	}
	if l.established && x.live {
		n.send(x, Packet{Type: TypePing, Zxid: l.proposed}, ef)
	}
}

// followed tells whether we and the voters that are in time are a quorum.
func (n *Node) followed() bool {
	in := make([]bool, len(n.lead.acked))
	in[n.lead.slot] = true
	for _, x := range n.lead.learners {
		if x.slot >= 0 && x.phase == synced && n.now-x.heard <= n.cfg.SyncLimit {
			in[x.slot] = true
		}
	}
	return n.lead.quorum.Holds(in)
}

// ServeUntil returns until when reads may be answered: for as long as no other leader can have served anybody by the
// rules of the ensemble's limits, as far as this server can tell.
func (n *Node) ServeUntil() time.Duration {
	switch {
	case !n.serving:
		return 0
	case n.role == Standalone:
		return forever
	case n.follow != nil:
		return n.follow.heard + n.cfg.SyncLimit
	}
	l := n.lead
	l.heard[l.slot] = n.now
	latest := time.Duration(0)
	for _, at := range l.heard {
		if at > latest && ensemble.Reached(l.quorum, l.heard, at) {
			latest = at
		}
	}
	return latest + n.cfg.SyncLimit
}

// Synced returns how many voters of how many are in sync, this server included, and how many learners without a vote.
func (n *Node) Synced() (voters, of, others int) {
	if n.lead == nil || n.role == Standalone {
		return 1, 1, 0
	}
	if n.lead.slot < n.lead.quorum.Voters() {
		voters = 1
	}
	for _, x := range n.lead.learners {
		switch {
		case x.phase != synced:
		case x.slot >= 0:
			voters++
		default:
			others++
		}
	}
	return voters, n.lead.quorum.Voters(), others
}

// NonVoting returns how many of the learners in sync that have no vote follow, rather than observe: servers that are about to be
// added, or were removed.
func (n *Node) NonVoting() (count int) {
	if n.lead == nil || n.role == Standalone {
		return 0
	}
	for _, x := range n.lead.learners {
		if x.phase == synced && x.slot < 0 && !x.observer {
			count++
		}
	}
	return count
}

// fromLearner handles what one of our learners says.
func (n *Node) fromLearner(x *learner, p Packet, ef *Effects) {
	x.heard = n.now
	if x.slot >= 0 && x.phase == synced {
		n.lead.heard[x.slot] = n.now
	}
	switch x.phase {
	case greeted:
		n.onInfo(x, &p, ef)
	case offered:
		n.onAckEpoch(x, &p, ef)
	case joining:
		n.onJoin(x, &p, ef)
	case joined: // ZooKeeper before 3.9.2 acknowledges here what came in synchronisation
	case synced:
		n.onPacket(x, p, ef)
	default:
		n.turnAway(x, ef, "it says %v, and nothing was asked", p.Type)
	}
}

// onPacket handles what a learner says that serves.
func (n *Node) onPacket(x *learner, p Packet, ef *Effects) {
	switch p.Type {
	case TypeAck:
		if p.Zxid.Counter() == 0 {
			return // the second answer to NEWLEADER
		}
		if p.Zxid > n.lead.proposed {
			n.turnAway(x, ef, "it acknowledges %v, and we have proposed %v", p.Zxid, n.lead.proposed)
			return
		}
		x.acked = max(x.acked, p.Zxid)
		if x.acked >= x.watched {
			x.watched, x.since = n.lead.proposed, n.now
		}
		if x.slot >= 0 {
			n.onAck(x.slot, p.Zxid, ef)
		}
	case TypePing:
		n.onTouches(p.Data)
	case TypeRequest, TypeValidate:
		if n.lead.ready {
			n.onQuestion(x, p, ef)
			return
		}
		n.lead.waiting = append(n.lead.waiting, func(ef *Effects) { n.onQuestion(x, p, ef) })
	default:
		n.say(ef, true, "%v sends %v, which is ignored", x, p.Type)
	}
}

// onQuestion handles what a learner's client wants.
func (n *Node) onQuestion(x *learner, p Packet, ef *Effects) {
	if p.Type == TypeValidate {
		n.onValidate(x, &p, ef)
		return
	}
	r, err := decodeRequest(&p)
	if err != nil {
		n.turnAway(x, ef, "%v", err)
		return
	}
	if r.Op != proto.OpSync {
		n.admit(r, int64(x.link), ef)
		if n.lead != nil {
			x.asked = n.lead.assigned
		}
		return
	}
	x.syncs = append(x.syncs, n.lead.assigned)
	n.releaseSyncs(x, ef)
}
