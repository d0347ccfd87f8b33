package zab

import (
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
)

// lobbyTime is how long a connection may wait on the quorum port of a server that does not know yet whether it leads: a
// follower may know so before its leader does.
const lobbyTime = time.Second

// look begins an election, unless the disk is still changing: then onStored does. What a server votes with is what its
// disk holds.
func (n *Node) look(ef *Effects) {
	n.role = Looking
	if len(n.storing) > 0 {
		return
	}
	n.vote(func(v *election.Effects) { n.el.Look(n.now, n.lostAt, n.logged, n.currentEpoch, v) }, ef)
	early := n.early
	n.early = nil
	for _, h := range early {
		n.onHeard(h, ef)
	}
}

// settling tells whether an election is due that has not begun.
func (n *Node) settling() bool { return n.role == Looking && len(n.storing) > 0 }

// vote lets the election take a step and does what follows from it.
func (n *Node) vote(step func(*election.Effects), ef *Effects) {
	v := &n.votes
	v.Reset()
	step(v)
	ef.Ballots = append(ef.Ballots, v.Send...)
	ef.Connect = append(ef.Connect, v.Connect...)
	for _, id := range v.Differs {
		n.say(ef, true, "server %d has another list of servers than this one", id)
	}
	if v.Newer != nil && n.cfg.Reconfig {
		n.adoptMembers(v.Newer, ef)
		return
	}
	if v.Newer != nil {
		n.say(ef, true, "another server has a newer membership, version %x: bring this one's up to date", v.Newer.Version)
	}
	if !v.Decided || n.role != Looking {
		return
	}
	n.Stats.Elections++
	leader := n.el.Vote().Leader
	switch n.el.State() {
	case election.Leading:
		n.beginLeading(ef)
	case election.Following:
		n.beginFollowing(leader, Following, ef)
	case election.Observing:
		n.beginFollowing(leader, Observing, ef)
	}
}

// adoptMembers goes on with a membership that is active elsewhere, and begins the election anew.
func (n *Node) adoptMembers(c *ensemble.Config, ef *Effects) {
	n.Stats.Adopted++
	n.say(ef, false, "another server has a newer membership, version %x", c.Version)
	n.activate(c, ef)
	n.look(ef)
}

func (n *Node) onHeard(h Heard, ef *Effects) {
	if n.settling() {
		n.early = append(n.early, h) // a vote comes once; it must not be lost
		return
	}
	n.vote(func(v *election.Effects) { n.el.Heard(n.now, h.From, h.Note, v) }, ef)
	if f := n.follow; f != nil && f.link == 0 && !f.appointed && h.From == f.leader && n.disowns(f, &h.Note) {
		n.leave(ef, "server %d does not lead: it is %v, for %d", f.leader, h.Note.State, h.Note.Leader)
	}
}

// disowns tells whether our leader's own word, and not an old one that came late, says that it is none.
func (n *Node) disowns(f *discipleship, note *election.Notification) bool {
	round := n.el.Vote().Round
	return note.Leader != f.leader && note.Round >= round || note.State == election.Looking && note.Round > round
}

func (n *Node) onTick(ef *Effects) {
	switch {
	case n.settling():
	case n.role == Looking:
		n.vote(func(v *election.Effects) { n.el.Tick(n.now, v) }, ef)
	case n.follow != nil:
		n.tickFollow(ef)
	case n.lead != nil:
		n.tickLead(ef)
	}
	for i := 0; i < len(n.lobby); {
		if l := n.lobby[i]; n.now-l.heard >= lobbyTime {
			ef.Hangup = append(ef.Hangup, l.link)
			n.lobby = append(n.lobby[:i], n.lobby[i+1:]...)
			continue
		}
		i++
	}
}

// Wake returns when the node wants a Tick at the latest; false if only another input can change anything.
func (n *Node) Wake() (time.Duration, bool) {
	at, ok := forever, false
	soonest := func(t time.Duration) { at, ok = min(at, t), true }
	switch {
	case !n.started:
		soonest(n.now)
	case n.settling():
	case n.role == Looking:
		if t, wants := n.el.Wake(); wants {
			soonest(t)
		}
	case n.follow != nil:
		soonest(min(n.follow.wake(&n.cfg), n.now+n.cfg.SyncLimit/2)) // or else a silent leader looks like our own sleep
	case n.lead != nil:
		soonest(min(n.lead.nextTurn, n.lead.nextExpiry))
	}
	for _, l := range n.lobby {
		soonest(l.heard + lobbyTime)
	}
	return at, ok
}

// leave ends leading or following: the node looks for a leader again. What was logged and not committed stays in
// pending; whoever leads next decides about it.
func (n *Node) leave(ef *Effects, format string, args ...any) {
	n.say(ef, true, format, args...)
	n.quit(ef)
	n.look(ef)
}

// quit ends leading or following.
func (n *Node) quit(ef *Effects) {
	n.serving = false
	if l := n.lead; l != nil {
		for _, x := range l.learners {
			ef.Hangup = append(ef.Hangup, x.link)
		}
		n.lostAt = n.now
		if l.established && n.logged == l.start { // an epoch without an entry leaves nothing to vote with
			n.applied, n.logged = l.inherited, l.inherited
		}
	}
	if f := n.follow; f != nil {
		if f.link != 0 {
			ef.Hangup = append(ef.Hangup, f.link)
			n.lostAt = f.heard
		}
	}
	n.lead, n.follow, n.fresh = nil, nil, nil
	n.sessions.Reset(max(n.cfg.Tick, time.Millisecond))
}

// onStored takes the answer to the oldest change of the disk.
func (n *Node) onStored(in Stored, ef *Effects) {
	if len(n.storing) == 0 {
		return
	}
	s := n.storing[0]
	n.storing = n.storing[1:]
	switch s := s.(type) {
	case SaveEpochs:
		n.acceptedEpoch, n.currentEpoch = s.Accepted, s.Current
	case Truncate:
		n.truncated(in, ef)
	case Install:
		if n.role == Standalone {
			n.replaced(s, ef)
			return
		}
		n.synced = max(n.synced, s.Zxid)
	}
	switch {
	case n.role == Looking && len(n.storing) == 0:
		n.look(ef)
	case n.follow != nil:
		n.learnerStored(s, in, ef)
	case n.lead != nil:
		n.leaderStored(s, ef)
	}
}

// truncated takes over what is left of the log.
func (n *Node) truncated(in Stored, ef *Effects) {
	if in.NoBase { // of no use to anybody, but on the disk until a whole tree has come
		n.logged, n.synced = noZxid, noZxid
		return
	}
	n.logged, n.synced = in.Last, min(n.synced, in.Last)
	if next := n.nextMembers(); next != nil && counted(next.Version) && proto.Zxid(next.Version) > in.Last {
		n.unsee(ef)
	}
	for len(n.pending) > n.head && n.pending[len(n.pending)-1].Zxid > in.Last {
		n.pending[len(n.pending)-1] = noEntry
		n.pending = n.pending[:len(n.pending)-1]
	}
	n.recent.reset()
	if in.Tree != nil {
		n.pending, n.head = nil, 0
		n.aside, n.applied = in.Tree, in.Last
	}
	n.logged = max(n.logged, n.applied) // the tree may stand at the beginning of an epoch, which no entry tells
}

// trackSessions begins to watch over all sessions of the tree; each has its whole timeout again.
func (n *Node) trackSessions() {
	n.sessions.Reset(max(n.cfg.Tick, time.Millisecond))
	n.cfg.Clients.Sessions(func(id int64, millis int32) {
		n.sessions.Touch(id, time.Duration(millis)*time.Millisecond, n.now)
	})
}
