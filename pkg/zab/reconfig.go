package zab

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// A change of members is an entry of type reconfig, whose zxid is the version of the membership in it. From when a server
// logs it until it knows that it is committed the server goes by two memberships, the active one and this next one, and
// nothing is decided but by quorums of both. (Shraer et al., see ensemble.Electorate.)
//
// Invariants:
//
//	who logs such an entry has its membership on the disk before, as the next one; so no ACK, and no vote, comes from a
//	server that holds the entry and would let a quorum of the old membership alone decide
//	there is one next membership at most: a leader proposes no second change before the first is committed, so that
//	whoever logs the second knows that of the first
//	active is only what was committed: by COMMITANDACTIVATE, by UPTODATE, by a leader that is established, or as another
//	server's active one
//	a next membership whose entry is not in the log any more is forgotten: nothing was promised by it

// reconfigOf returns the membership that an entry is about, if that is to be heeded; nil for other entries.
func (n *Node) reconfigOf(e txn.Entry) (*ensemble.Config, error) {
	if !n.cfg.Reconfig || n.who == nil || !isReconfig(e) {
		return nil, nil
	}
	var x txn.Txn
	if err := x.Decode(e.Bytes); err != nil {
		return nil, fmt.Errorf("zab: reconfig %v: %w", e.Zxid, err)
	}
	c, err := ensemble.ParseConfig(string(x.Data))
	if err != nil {
		return nil, fmt.Errorf("zab: reconfig %v: %w", e.Zxid, err)
	}
	if c.Version != int64(e.Zxid) {
		return nil, fmt.Errorf("zab: reconfig %v has version %x", e.Zxid, c.Version)
	}
	return c, nil
}

func isReconfig(e txn.Entry) bool {
	if len(e.Bytes) < txn.HeaderSize {
		return false
	}
	h, err := txn.DecodeHeader(e.Bytes)
	return err == nil && h.Type == proto.OpReconfig
}

// counted tells whether a version is the zxid of an entry, and not that of an epoch's beginning or of a file's.
func counted(version int64) bool { return proto.Zxid(version).Counter() != 0 }

// nextMembers returns the membership that may become active; nil if there is none.
func (n *Node) nextMembers() *ensemble.Config {
	if n.who == nil {
		return nil
	}
	return n.who.Next
}

// unlogged tells whether the entry of a saved membership is not in the log. Then it did not reach it, and has not been
// acknowledged; and it is to be forgotten before the log grows past it.
func unlogged(s *Start) bool {
	if s.Next == nil || !counted(s.Next.Version) {
		return false
	}
	z := proto.Zxid(s.Next.Version)
	if len(s.Recent) == 0 || z < s.Recent[0].Zxid {
		return z > s.Last // below is a tree, which does not tell
	}
	return !slices.ContainsFunc(s.Recent, func(e txn.Entry) bool { return e.Zxid == z && isReconfig(e) })
}

// startMembers returns the memberships that a server goes by when it starts.
func startMembers(s *Start) *ensemble.Electorate {
	if s.Reconfig && unlogged(s) {
		return ensemble.NewElectorate(s.Members, nil)
	}
	return ensemble.NewElectorate(s.Members, s.Next)
}

// recallMembers takes note of the memberships in the log: what was saved beside it may have been about a history that was
// to come in its place.
func (n *Node) recallMembers(ef *Effects) {
	if n.cfg.Reconfig && unlogged(&n.cfg) {
		n.forgetNext(ef)
	}
	for _, e := range n.cfg.Recent {
		c, err := n.reconfigOf(e)
		switch {
		case err != nil:
			n.say(ef, true, "%v", err)
		case c != nil && c.Version > n.who.LastSeen().Version:
			n.seeEntry(c, ef)
		}
	}
}

// setMembers lets everything go by other memberships from now on.
func (n *Node) setMembers(active, next *ensemble.Config, ef *Effects) {
	before := n.who
	n.who = ensemble.NewElectorate(active, next)
	n.vote(func(v *election.Effects) { n.el.SetMembers(active, n.who.Next, v) }, ef)
	if n.lead != nil {
		n.seat(before)
	}
}

// see takes note of a membership that may become active.
func (n *Node) see(c *ensemble.Config, ef *Effects) {
	if c.Version <= n.who.Active.Version || n.who.Next != nil && n.who.Next.Version == c.Version {
		return
	}
	n.setMembers(n.who.Active, c, ef)
	ef.Next = c
	n.store(SaveNext{c}, ef)
}

// seeEntry takes note of the membership in an entry that is about to be logged. The one before it was committed, or this
// one would not have been proposed.
func (n *Node) seeEntry(c *ensemble.Config, ef *Effects) {
	if next := n.who.Next; next != nil && next.Version < c.Version {
		n.activate(next, ef)
	}
	n.see(c, ef)
}

// unsee forgets a next membership that came to nothing.
func (n *Node) unsee(ef *Effects) {
	n.Stats.Undone++
	n.setMembers(n.who.Active, nil, ef)
	n.forgetNext(ef)
}

// forgetNext has the disk forget a next membership, and the shell its links.
func (n *Node) forgetNext(ef *Effects) {
	ef.Next = n.who.Active
	n.store(SaveNext{}, ef)
}

// activate makes a membership that is committed the active one.
func (n *Node) activate(c *ensemble.Config, ef *Effects) {
	if c.Version <= n.who.Active.Version {
		return
	}
	n.setMembers(c, n.who.Next, ef)
	ef.Members = c
	n.store(Activate{c}, ef)
	n.say(ef, false, "the membership of version %x is active: servers %v vote", c.Version, c.Voters())
}

// place returns what a server that does not lead is by the active membership. Who is not listed follows, without a vote.
func (n *Node) place() Role {
	if m, listed := n.who.Active.Member(n.self); listed && m.Role == ensemble.Observer {
		return Observing
	}
	return Following
}

// keeps tells whether a server votes by another membership, and is reached by other servers where it was before.
func keeps(id ensemble.ID, before *ensemble.Electorate, now *ensemble.Config) bool {
	x, known := before.Member(id)
	y, _ := now.Member(id)
	return known && now.IsVoter(id) && slices.Equal(x.Quorum, y.Quorum)
}

// Following.

// onLeadersMembers takes the membership that comes with NEWLEADER, which the leader has seen last. It is durable before the
// leader's history is.
func (n *Node) onLeadersMembers(p *Packet, ef *Effects) error {
	f := n.follow
	if !n.cfg.Reconfig {
		return nil
	}
	c, err := ensemble.ParseConfig(string(p.Data))
	if err != nil {
		return err
	}
	f.members = c
	var before *ensemble.Config
	for _, e := range f.behind {
		if x, _ := n.reconfigOf(e); x != nil { // it was looked at when it came
			if before != nil {
				n.activate(before, ef) // or this one would not have been proposed
			}
			n.see(x, ef) // in place of what may be of another history
			before = x
		}
	}
	next := n.who.Next
	switch logged := next != nil && counted(next.Version) && f.tree == nil && proto.Zxid(next.Version) <= n.logged; {
	case logged && next.Version >= c.Version: // it is part of the leader's history, or behind it
	case logged:
		n.seeEntry(c, ef)
	case c.Version > n.who.Active.Version:
		n.see(c, ef)
	case next != nil:
		n.unsee(ef)
	}
	return nil
}

// activateLeaders makes active what the leader had seen last when it was established; false if we leave it for that: our
// role is another by it, or the leader is none that we know. A change that is still under way is not committed, though
// the leader has named it.
func (n *Node) activateLeaders(ef *Effects) bool {
	f := n.follow
	if !n.cfg.Reconfig || f.members == nil {
		return true
	}
	before := n.who
	for _, c := range []*ensemble.Config{f.members, n.who.Next} {
		if c != nil && (!counted(c.Version) || proto.Zxid(c.Version) <= max(f.history, n.committed)) {
			n.activate(c, ef)
		}
	}
	if n.who.Active.SameMembers(before.Active) {
		return true
	}
	if n.place() != n.role || !keeps(f.leader, before, n.who.Active) {
		n.leave(ef, "by the membership of version %x another must be followed, or otherwise", n.who.Active.Version)
		return false
	}
	return true
}

// onActivate takes the commit of a change of members. If another server is to lead, or we are to follow otherwise, we do so
// at once, without an election.
func (n *Node) onActivate(p *Packet, ef *Effects) {
	f := n.follow
	d := jute.NewDecoder(p.Data)
	suggested := ensemble.ID(d.Long())
	if d.Err() != nil {
		n.leave(ef, "leader %d sends %v with %d bytes of data", f.leader, p.Type, len(p.Data))
		return
	}
	if p.Type == TypeInformAndActivate {
		q := Packet{Type: TypeInform, Zxid: p.Zxid, Data: d.Rest()}
		if !n.onEntry(&q, ef) {
			return
		}
		n.deliver(p.Zxid, ef)
	} else if n.onCommit(p.Zxid, ef); n.follow != f {
		return
	}
	next := n.who.Next
	if next == nil || next.Version != int64(p.Zxid) {
		return // we do not heed it, or know it already
	}
	n.activate(next, ef)
	if suggested != f.leader || n.place() != n.role {
		n.succeed(suggested, p.Zxid, ef)
	}
}

// succeed ends leading or following, and follows whom a leader has suggested, or leads, without an election. If it comes
// to nothing an election follows.
func (n *Node) succeed(leader ensemble.ID, z proto.Zxid, ef *Effects) {
	if !n.who.Active.IsVoter(leader) {
		n.leave(ef, "server %d is to lead, which does not vote", leader)
		return
	}
	n.say(ef, false, "server %d leads by the membership of version %x", leader, n.who.Active.Version)
	n.quit(ef)
	n.role = Looking
	n.Stats.Appointed++
	n.vote(func(v *election.Effects) { n.el.Appoint(leader, z, v) }, ef)
	if n.follow != nil {
		n.follow.appointed = true
	}
}

// firstChange returns up to where a follower may commit what it and its leader have stored: not across a change of members.
func (n *Node) firstChange() proto.Zxid {
	if next := n.nextMembers(); next != nil && counted(next.Version) {
		return proto.Zxid(next.Version) - 1
	}
	return math.MaxInt64
}

// Leading.

// seat gives the voters their slots anew. What is known of each stays.
func (n *Node) seat(before *ensemble.Electorate) {
	l, old := n.lead, *n.lead
	voters := n.who.Voters()
	l.makeSlots(n.who)
	move := func(slot, was int) {
		l.acked[slot], l.heard[slot], l.present[slot], l.agreed[slot] = old.acked[was], old.heard[was], old.present[was], old.agreed[was]
	}
	for slot, id := range voters {
		if was, ok := before.Slot(id); ok {
			move(slot, was)
		}
	}
	l.slot = n.ownSlot()
	move(l.slot, old.slot)
	for _, x := range l.learners {
		if x.slot = n.slotOf(x); x.slot >= 0 && !before.IsVoter(x.id) && x.phase == synced {
			l.acked[x.slot], l.heard[x.slot] = x.acked, x.heard
		}
	}
}

// makeSlots makes room for what is known of each voter, and behind that for ourselves, if we do not vote: no rule counts it.
func (l *leadership) makeSlots(who *ensemble.Electorate) {
	slots := len(who.Voters()) + 1
	l.quorum, l.before = who.Quorum(), who.Active.Quorum()
	l.acked, l.heard = make([]proto.Zxid, slots), make([]time.Duration, slots)
	l.present, l.agreed = make([]bool, slots), make([]bool, slots)
}

func (n *Node) ownSlot() int {
	if slot, votes := n.who.Slot(n.self); votes {
		return slot
	}
	return len(n.who.Voters())
}

// slotOf returns a learner's slot; -1 if it has no vote, or has come as an observer. One that is to vote by the next membership
// observes until that is active. It promises an epoch and stores a history like others, and may be needed for that: it counts
// until we are established.
func (n *Node) slotOf(x *learner) int {
	slot, votes := n.who.Slot(x.id)
	if !votes || x.phase == greeted || x.observer && (n.lead.established || n.who.Active.IsVoter(x.id)) {
		return -1
	}
	return slot
}

// reconfigState returns what the preparation of a reconfig must know. As long as one is being prepared the next has the
// same.
func (n *Node) reconfigState() *txn.Reconfig {
	l := n.lead
	if l.asked == nil || l.askedAt <= l.proposed {
		l.asked = &txn.Reconfig{Enabled: n.cfg.Reconfig, Pending: n.who.Next != nil || l.retired, Active: n.who.Active}
		l.asked.InSync = append(l.asked.InSync, n.self)
		for _, x := range l.learners {
			m, _ := n.who.Active.Member(x.id) // who has just become an observer is about to come again as one
			if !x.observer && m.Role != ensemble.Observer && x.phase == synced && n.now-x.heard <= n.cfg.SyncLimit {
				l.asked.InSync = append(l.asked.InSync, x.id)
			}
		}
	}
	l.askedAt = l.assigned
	return l.asked
}

// firstVersion gives a membership its first version, by which it is known from all those that servers are started with. It
// becomes active with the epoch.
func (n *Node) firstVersion(ef *Effects) {
	if n.cfg.Reconfig && n.who.LastSeen().Version == 0 {
		n.see(n.who.Active.WithVersion(int64(proto.MakeZxid(n.lead.epoch, 0))), ef)
	}
}

// designate returns who leads by the next membership: ourselves, if we vote there, at the same addresses; else the voter
// there that holds most of those that hold the change.
func (n *Node) designate(holds func(slot int) (proto.Zxid, bool)) ensemble.ID {
	next := n.who.Next
	if keeps(n.self, n.who, next) {
		return n.self
	}
	best, most := ensemble.ID(0), proto.Zxid(-1)
	for _, id := range next.Voters() {
		slot, _ := n.who.Slot(id)
		if z, ok := holds(slot); ok && id != n.self && z > most {
			best, most = id, z
		}
	}
	return best
}

// announceChange tells a learner that a change of members is committed, and who leads by it.
func (n *Node) announceChange(x *learner, e txn.Entry, ef *Effects) {
	data := jute.AppendLong(nil, int64(n.lead.successor))
	if x.observer {
		n.send(x, Packet{Type: TypeInformAndActivate, Zxid: e.Zxid, Data: append(data, e.Bytes...)}, ef)
		return
	}
	n.send(x, Packet{Type: TypeCommitAndActivate, Zxid: e.Zxid, Data: data}, ef)
}

// reconfigured goes on by the membership that is committed. A leader that is not to lead by it commits nothing more.
func (n *Node) reconfigured(ef *Effects) {
	l := n.lead
	l.reconfig = 0
	n.activate(n.who.Next, ef)
	n.Stats.Reconfigs++
	for _, x := range l.learners {
		if x.phase == joined {
			n.welcome(x, ef)
		}
	}
	n.retire(ef)
}

// retire has a leader that is not to lead any more wait for its learners to leave. It does not wait for long: those who know
// the change already would stay, and come.
func (n *Node) retire(ef *Effects) {
	l := n.lead
	if l.successor == n.self {
		return
	}
	l.retired, l.leaves = true, n.now+n.cfg.SyncLimit
	n.say(ef, false, "server %d is to lead: this one waits for its learners to leave", l.successor)
}

// handOver ends the leadership of one that is not to lead any more: its learners have left, or have had the time for that.
func (n *Node) handOver(ef *Effects) {
	n.succeed(n.lead.successor, proto.Zxid(n.who.Active.Version), ef)
}
