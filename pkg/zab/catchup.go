package zab

import (
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// catchUp is how far a learner has been brought: a cursor into our history and not a copy of it. Behind a tree, or where
// our memory does not reach back, it gets parts of the log's files until memory has the rest.
type catchUp struct {
	opening PacketType
	sent    proto.Zxid // everything up to here was sent
	rounds  int        // parts of the log so far
	waits   bool       // for our own disk
	// hold is on when the log grows faster than we can send it: from here on what is committed is kept for this learner.
	hold    bool
	backlog []txn.Entry
	held    int // bytes of backlog
}

const (
	patientRounds = 3
	// mostHeld bounds a backlog in bytes. A learner that needs more has to begin again.
	mostHeld = 64 << 20
)

// synchronise begins to bring a learner to our history.
func (n *Node) synchronise(x *learner, ef *Effects) {
	x.phase = catching
	if n.cfg.ForceSnapshot {
		n.open(x, wholeTree, ef)
		return
	}
	if x.extensions&LeaderAck != 0 && x.last > n.last() && x.last.Epoch() == n.lead.epoch && x.last <= n.lead.proposed {
		// What it has behind our history are our own proposals of this epoch, and it may know that they are committed
		// before we do. It keeps them: DIFF names less than it has.
		x.last = n.last()
	}
	c := choose(x.last, n.last(), n.history())
	switch {
	case c.opening == 0 && n.cfg.NoLogSync:
		n.open(x, wholeTree, ef)
	case c.opening == 0:
		ef.FindLog = append(ef.FindLog, Find{x.link, x.last})
	default:
		n.open(x, c, ef)
	}
}

func (n *Node) onLogFound(in LogFound, ef *Effects) {
	x := n.learner(in.Link)
	if x == nil || x.phase != catching {
		return
	}
	c := wholeTree
	if in.Usable {
		h := n.history()
		highest := n.last()
		if h.len() > 0 {
			highest = h.at(h.len() - 1).Zxid
		}
		c = chooseByLog(x.last, in.Floor, in.Next, highest)
	}
	if c.opening == TypeDiff {
		n.Stats.DiffFromLog++
	}
	n.open(x, c, ef)
}

// open sends the packet that tells a learner what it gets, and goes on.
func (n *Node) open(x *learner, c course, ef *Effects) {
	if x.observer && n.crowded(c.opening) {
		n.turnAway(x, ef, "too many learners are being brought up")
		return
	}
	x.opening = c.opening
	n.say(ef, false, "%v, whose last zxid is %v, gets %v from %v", x, x.last, c.opening, c.after)
	if c.opening == TypeSnap {
		n.Stats.Snaps++
		ef.Stream = append(ef.Stream, Stream{Link: x.link, Snapshot: true})
		return
	}
	if c.opening == TypeTrunc {
		n.Stats.Truncs++
	} else {
		n.Stats.Diffs++
	}
	n.send(x, Packet{Type: c.opening, Zxid: c.zxid}, ef)
	x.sent = c.after
	n.advance(x, ef)
}

// crowded tells whether as many learners as may be are being brought up by a tree, or by differences.
func (n *Node) crowded(opening PacketType) bool {
	count, most := 0, n.cfg.MaxDiffs
	if opening == TypeSnap {
		most = n.cfg.MaxSnaps
	}
	for _, y := range n.lead.learners {
		if y.opening != 0 && y.phase < joined && (y.opening == TypeSnap) == (opening == TypeSnap) {
			count++
		}
	}
	return most > 0 && count >= most
}

// onStreamed goes on behind a tree or a part of the log.
func (n *Node) onStreamed(in Streamed, ef *Effects) {
	x := n.learner(in.Link)
	if x == nil || x.phase != catching {
		return
	}
	x.heard = n.now
	x.sent = max(x.sent, in.Through)
	n.advance(x, ef)
}

// advance sends what is missing: from memory, and then the learner is up to date; or a part of the log.
func (n *Node) advance(x *learner, ef *Effects) {
	h := n.history()
	x.waits = false
	switch {
	case x.hold:
		for _, e := range x.backlog {
			n.sendCommitted(x, e, ef)
		}
		x.hold, x.backlog, x.held = false, nil, 0
	case h.len() == 0 && x.sent >= n.lastEntry() || h.len() > 0 && x.sent >= h.at(h.len()-1).Zxid:
	case h.len() > 0 && (x.sent >= h.at(0).Zxid || next(x.sent) == h.at(0).Zxid):
		for i := h.from(x.sent + 1); i < h.len(); i++ {
			n.sendCommitted(x, *h.at(i), ef)
		}
	default:
		through := min(n.synced, n.last())
		if x.waits = through <= x.sent; x.waits {
			return // a quorum without us has more than our disk
		}
		x.rounds++
		x.hold = x.rounds > patientRounds && n.synced >= n.lastEntry()
		ef.Stream = append(ef.Stream, Stream{Link: x.link, After: x.sent, Through: through})
		return
	}
	n.goLive(x, ef)
}

// resume goes on with the learners that have waited for our disk.
func (n *Node) resume(ef *Effects) {
	for _, x := range n.lead.learners {
		if x.waits {
			n.advance(x, ef)
		}
	}
}

// sendCommitted sends an entry that is part of every history from now on.
func (n *Node) sendCommitted(x *learner, e txn.Entry, ef *Effects) {
	if e.Zxid <= x.sent {
		return
	}
	n.send(x, Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}, ef)
	n.send(x, Packet{Type: TypeCommit, Zxid: e.Zxid}, ef)
	x.sent = e.Zxid
}

// keep remembers a committed entry for the learners that are waiting for one.
func (n *Node) keep(e txn.Entry, ef *Effects) {
	for i := 0; i < len(n.lead.learners); i++ {
		x := n.lead.learners[i]
		if !x.hold {
			continue
		}
		x.backlog = append(x.backlog, e)
		if x.held += len(e.Bytes); x.held > mostHeld {
			n.Stats.Dropped++
			n.turnAway(x, ef, "it takes our log more slowly than it grows")
			i--
		}
	}
}

// goLive lets a learner have all that comes from now on, and asks it to follow.
func (n *Node) goLive(x *learner, ef *Effects) {
	l := n.lead
	if l.established && !x.observer {
		for _, e := range n.pending[n.head:] {
			n.send(x, Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}, ef)
		}
	}
	x.live, x.phase, x.heard = true, joining, n.now
	n.send(x, Packet{Type: TypeNewLeader, Zxid: proto.MakeZxid(l.epoch, 0), Data: []byte(n.who.LastSeen().Text())}, ef)
}

// onJoin takes the answer to NEWLEADER: the learner has our history on its disk.
func (n *Node) onJoin(x *learner, p *Packet, ef *Effects) {
	if p.Type != TypeAck || p.Zxid != proto.MakeZxid(n.lead.epoch, 0) {
		n.turnAway(x, ef, "it answers NEWLEADER by %v %v", p.Type, p.Zxid)
		return
	}
	x.phase = joined
	switch l := n.lead; {
	case !l.established:
		n.establish(ef)
	case l.reconfig != 0 && x.extensions == 0: // at UPTODATE it would go by the members that NEWLEADER names: see reconfigured
	default:
		n.welcome(x, ef)
	}
}

// welcome lets a learner serve. It may have waited for this for long: it has its time from here on, but what we know of it
// is as old as its last word.
func (n *Node) welcome(x *learner, ef *Effects) {
	x.phase = synced
	n.send(x, Packet{Type: TypeUpToDate, Zxid: noZxid}, ef)
	if x.slot >= 0 {
		n.lead.heard[x.slot] = x.heard
	}
	x.heard = n.now
}

// establish begins the broadcast as soon as a quorum has our history on its disks. What we had logged is thereby
// committed, whoever proposed it.
func (n *Node) establish(ef *Effects) {
	l := n.lead
	if l.established || !l.begun {
		return
	}
	have := make([]bool, len(l.acked))
	have[l.slot] = true // our epoch was stored behind all that we have logged
	for _, x := range l.learners {
		if x.slot >= 0 && x.phase == joined {
			have[x.slot] = true
		}
	}
	if !l.quorum.Holds(have) {
		return
	}
	n.Stats.Leaderships++
	if n.head < len(n.pending) {
		n.Stats.TailsInherited++
	}
	l.inherited = n.logged
	n.deliver(n.logged, ef)
	start := proto.MakeZxid(l.epoch, 0)
	n.applied, n.logged, l.start, l.assigned, l.proposed = start, start, start, start, start
	ef.Deliver = append(ef.Deliver, txn.Delivery{Entry: txn.Entry{Zxid: start}})
	ef.AwaitApplied = start
	if n.who.Next != nil { // with our history it is committed
		l.successor = n.designate(func(slot int) (proto.Zxid, bool) { return 0, have[slot] })
		n.activate(n.who.Next, ef)
		n.retire(ef)
	}
	l.established, l.since = true, n.now
	clear(l.acked)
	l.acked[l.slot] = start
	for _, x := range l.learners {
		if x.phase == joined {
			n.welcome(x, ef)
		}
	}
	n.say(ef, false, "leading epoch %d from %v on", l.epoch, l.inherited)
}
