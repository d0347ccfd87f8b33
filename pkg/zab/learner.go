package zab

import (
	"cmp"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// How often, and for how long, a learner tries to connect to the leader that was elected: it may know before its leader
// does.
const (
	redial     = 4 * time.Millisecond
	dialPeriod = time.Second
)

// stage is how far we have come with our leader.
type stage int

const (
	dialing   stage = iota
	promising       // FOLLOWERINFO was sent; then our acceptedEpoch is stored
	promised        // ACKEPOCH was sent; DIFF, TRUNC or SNAP is due
	cutting         // the log is being truncated; what comes meanwhile waits
	receiving       // the leader's history comes
	storing         // NEWLEADER has come, and what it asks for is being stored
	stored          // it was acknowledged; UPTODATE is due
	following       // broadcast
)

// discipleship is what a learner has besides what every server has.
//
// Invariants:
//
//	until following nothing is delivered: what the leader calls committed is part of its history, and may yet be of no
//	quorum's
//	tree is not nil between SNAP and NEWLEADER: then entries gather in behind, and the log stays as it is
type discipleship struct {
	leader     ensemble.ID
	link       LinkID // 0 while dialing
	stage      stage
	began      time.Duration
	nextDial   time.Duration // 0 while an attempt is under way
	heard      time.Duration // from the leader
	epoch      uint32        // the leader's
	extensions uint64

	appointed bool             // it was not elected: see succeed
	members   *ensemble.Config // which the leader had seen last when NEWLEADER came

	tree     any        // that came by SNAP
	treeZxid proto.Zxid // and where it stands
	behind   []txn.Entry
	history  proto.Zxid // the leader's history goes so far, as we know
	held     []Received

	unacked []proto.Zxid // appended and not acknowledged, for a leader that wants each of them
	acked   proto.Zxid
	assured proto.Zxid       // so far the leader has stored it, and is a quorum with us
	syncs   []*proto.Request // of our clients, in the order in which the leader was asked
	asked   []int64          // sessions that the leader was asked about
}

func (n *Node) beginFollowing(leader ensemble.ID, role Role, ef *Effects) {
	n.role = role
	f := &discipleship{leader: leader, began: n.now, heard: n.now}
	n.follow = f
	for _, x := range n.lobby {
		ef.Hangup = append(ef.Hangup, x.link)
	}
	n.lobby = nil
	if again := n.refusedAt + n.cfg.Tick; n.refusedAt > 0 && n.now < again {
		f.nextDial = again // it is the same leader, most likely, and in the same epoch
		return
	}
	if again := n.lostAt + n.cfg.ObserverPause; role == Observing && n.lostAt > 0 && n.now < again {
		f.nextDial = again
		return
	}
	ef.Dial = leader
}

func (n *Node) onDialed(in Dialed, ef *Effects) {
	f := n.follow
	if f == nil || f.stage != dialing || f.leader != in.Peer {
		ef.Hangup = append(ef.Hangup, in.Link) // wanted no more
		return
	}
	f.link, f.stage, f.heard = in.Link, promising, n.now
	typ := TypeFollowerInfo
	if n.role == Observing {
		typ = TypeObserverInfo
	}
	info := learnerInfo{n.self, protocolVersion, n.who.Active.Version, n.cfg.Extensions}
	n.tell(Packet{Type: typ, Zxid: proto.MakeZxid(n.acceptedEpoch, 0), Data: info.appendTo(nil)}, ef)
}

func (n *Node) onDialFailed(in DialFailed, ef *Effects) {
	f := n.follow
	if f == nil || f.stage != dialing || f.leader != in.Peer {
		return
	}
	if n.now-f.began >= dialPeriod {
		n.leave(ef, "server %d was elected and cannot be reached", f.leader)
		return
	}
	f.nextDial = n.now + cmp.Or(n.cfg.Redial, redial)
}

// limit returns how long the leader may be silent.
func (f *discipleship) limit(cfg *Start) time.Duration {
	if f.stage >= stored {
		return cfg.SyncLimit
	}
	return cfg.InitLimit
}

func (f *discipleship) wake(cfg *Start) time.Duration {
	if f.stage == dialing && f.nextDial != 0 {
		return f.nextDial
	}
	return f.heard + f.limit(cfg) + time.Millisecond
}

func (n *Node) tickFollow(ef *Effects) {
	f := n.follow
	switch {
	case f.stage == dialing && f.nextDial != 0 && n.now >= f.nextDial:
		f.nextDial = 0
		ef.Dial = f.leader
	case n.now-f.heard > f.limit(&n.cfg):
		n.leave(ef, "leader %d was silent for %v", f.leader, n.now-f.heard)
	}
}

// tell sends a packet to the leader.
func (n *Node) tell(p Packet, ef *Effects) {
	ef.Send = append(ef.Send, Envelope{n.follow.link, p})
}

// onReceived takes a packet, from the leader or from a learner.
func (n *Node) onReceived(in Received, ef *Effects) {
	if f := n.follow; f != nil && in.Link == f.link {
		f.heard = n.now
		if f.stage == cutting {
			f.held = append(f.held, in)
			return
		}
		n.fromLeader(in, ef)
		return
	}
	switch x := n.learner(in.Link); {
	case x == nil: // a link that was given up
	case n.lead == nil && x.early == nil:
		x.early = &in.Packet
	case n.lead == nil:
		n.turnAway(x, ef, "it goes on without an answer")
	default:
		n.fromLearner(x, in.Packet, ef)
	}
}

func (n *Node) fromLeader(in Received, ef *Effects) {
	p := &in.Packet
	switch n.follow.stage {
	case promising:
		n.onLeaderInfo(p, ef)
	case promised:
		n.onOpening(in, ef)
	case receiving, storing, stored:
		n.onHistory(p, ef)
	case following:
		n.onBroadcast(p, ef)
	}
}

// onLeaderInfo takes the new epoch, which we promise to take part in, and in none before it.
func (n *Node) onLeaderInfo(p *Packet, ef *Effects) {
	f := n.follow
	epoch := p.Zxid.Epoch()
	switch {
	case p.Type != TypeLeaderInfo || len(p.Data) < 4:
		n.leave(ef, "leader %d sends %v with %d bytes of data, instead of LEADERINFO", f.leader, p.Type, len(p.Data))
		return
	case epoch < n.acceptedEpoch:
		n.refusedAt = n.now
		n.leave(ef, "leader %d begins epoch %d, and we have accepted %d", f.leader, epoch, n.acceptedEpoch)
		return
	case epoch-n.acceptedEpoch > farthestEpoch:
		n.leave(ef, "leader %d begins epoch %d, and we have accepted %d: that cannot be", f.leader, epoch, n.acceptedEpoch)
		return
	}
	d := jute.NewDecoder(p.Data)
	d.Int()
	f.epoch, f.extensions = epoch, decodeExtensions(&d)&n.cfg.Extensions
	if epoch == n.acceptedEpoch {
		n.promise(-1, ef)
		return
	}
	n.store(SaveEpochs{epoch, n.currentEpoch}, ef)
}

// promise answers LEADERINFO. -1 says that this epoch had our promise before, so that it does not count.
func (n *Node) promise(epoch int32, ef *Effects) {
	n.follow.stage = promised
	n.tell(Packet{Type: TypeAckEpoch, Zxid: n.logged, Data: jute.AppendInt(nil, epoch)}, ef)
}

// onOpening takes the packet that says how we are brought to the leader's history.
func (n *Node) onOpening(in Received, ef *Effects) {
	f, p := n.follow, &in.Packet
	switch p.Type {
	case TypeDiff:
		f.stage, f.history = receiving, n.logged
		if f.extensions&LeaderAck != 0 && p.Zxid >= proto.MakeZxid(f.epoch, 0) {
			f.history = min(n.logged, p.Zxid) // behind that we have proposals of this epoch that we had already
		}
	case TypeSnap:
		if in.Tree == nil {
			n.leave(ef, "leader %d sends no tree behind SNAP", f.leader)
			return
		}
		f.stage, f.tree, f.treeZxid, f.history = receiving, in.Tree, p.Zxid, p.Zxid
	case TypeTrunc:
		n.cut(p.Zxid, ef)
	default:
		n.leave(ef, "leader %d sends %v, instead of DIFF, TRUNC or SNAP", f.leader, p.Type)
	}
}

// cut removes what we have logged and the leader has not. The tree holds what we know to be committed, and stays; only
// a tree that was recovered, or received, may hold more.
func (n *Node) cut(to proto.Zxid, ef *Effects) {
	if to < n.committed {
		n.lost(to, ef)
		return
	}
	if to < n.logged {
		n.Stats.TailsCut++
	}
	n.follow.stage = cutting
	n.store(Truncate{To: to, Rebuild: to < n.applied}, ef)
}

// learnerStored goes on when a change of the disk is durable.
func (n *Node) learnerStored(s Store, in Stored, ef *Effects) {
	f := n.follow
	switch s := s.(type) {
	case Truncate:
		if in.NoBase {
			n.leave(ef, "the log cannot be truncated to %v: without a tree before it; the leader must send a whole tree", s.To)
			return
		}
		f.stage, f.history = receiving, n.logged
		held := f.held
		f.held = nil
		for _, h := range held {
			if n.follow == f {
				n.fromLeader(h, ef)
			}
		}
	case SaveEpochs:
		switch {
		case f.stage == promising && s.Accepted == f.epoch:
			n.promise(int32(n.currentEpoch), ef)
		case f.stage == storing && s.Current == f.epoch:
			f.stage = stored
			n.el.SetPeerEpoch(f.epoch)
			n.tell(Packet{Type: TypeAck, Zxid: proto.MakeZxid(f.epoch, 0)}, ef)
		}
	}
}

// onHistory takes what comes between the opening packet and UPTODATE. PING and the like are not answered: the leader
// waits for the ACK of NEWLEADER and nothing else.
func (n *Node) onHistory(p *Packet, ef *Effects) {
	switch p.Type {
	case TypeProposal:
		n.onEntry(p, ef)
	case TypeCommit, TypeCommitAndActivate: // the membership comes into force with UPTODATE
		n.onSyncCommit(p.Zxid, ef)
	case TypeInformAndActivate:
		if q := (Packet{Type: TypeInform, Zxid: p.Zxid, Data: p.Data[min(8, len(p.Data)):]}); n.onEntry(&q, ef) {
			n.onSyncCommit(p.Zxid, ef)
		}
	case TypeInform:
		if n.onEntry(p, ef) {
			n.onSyncCommit(p.Zxid, ef)
		}
	case TypeNewLeader:
		n.onNewLeader(p, ef)
	case TypeUpToDate:
		n.onUpToDate(ef)
	}
}

// end returns the last zxid that we have of the leader's history and what it has proposed since.
func (n *Node) end() proto.Zxid {
	f := n.follow
	if f.tree == nil {
		return n.logged
	}
	if len(f.behind) > 0 {
		return f.behind[len(f.behind)-1].Zxid
	}
	return f.treeZxid
}

// onEntry takes a proposal, or an observer's news; false if it ended the link. What we have already is passed over: a
// tree may be ahead of the entries that follow it.
func (n *Node) onEntry(p *Packet, ef *Effects) bool {
	f, end := n.follow, n.end()
	if p.Zxid <= end {
		return true
	}
	if !n.follows(end, p.Zxid) {
		n.leave(ef, "leader %d sends %v behind %v: entries are missing between them", f.leader, p.Zxid, end)
		return false
	}
	e := txn.Entry{Zxid: p.Zxid, Bytes: p.Data}
	if err := n.scratch.Decode(e.Bytes); err != nil {
		n.leave(ef, "leader %d sends %v: %v", f.leader, p.Zxid, err)
		return false
	}
	if n.scratch.Zxid != p.Zxid {
		n.leave(ef, "leader %d sends %v with the header of %v", f.leader, p.Zxid, n.scratch.Zxid)
		return false
	}
	c, err := n.reconfigOf(e)
	switch {
	case err != nil:
		n.leave(ef, "leader %d: %v", f.leader, err)
		return false
	case f.tree != nil:
		f.behind = append(f.behind, e)
		return true
	case c != nil:
		n.appendChange(e, c, ef)
	default:
		n.append(e, ef)
	}
	n.owe(e.Zxid)
	return true
}

// owe remembers that an entry is to be acknowledged by itself.
func (n *Node) owe(z proto.Zxid) {
	if f := n.follow; n.role == Following && f.extensions&CumulativeAck == 0 {
		f.unacked = append(f.unacked, z)
	}
}

// onSyncCommit takes an entry into the leader's history.
func (n *Node) onSyncCommit(z proto.Zxid, ef *Effects) {
	if z > n.end() {
		n.leave(ef, "leader %d commits %v, and has sent entries up to %v", n.follow.leader, z, n.end())
		return
	}
	n.follow.history = max(n.follow.history, z)
}

// onNewLeader stores the leader's history, behind it the epoch, and then acknowledges.
func (n *Node) onNewLeader(p *Packet, ef *Effects) {
	f := n.follow
	if f.stage != receiving || p.Zxid != proto.MakeZxid(f.epoch, 0) {
		n.leave(ef, "leader %d sends NEWLEADER %v in epoch %d", f.leader, p.Zxid, f.epoch)
		return
	}
	if f.tree != nil && f.history < n.committed { // what was committed may follow the tree
		n.lost(f.history, ef)
		return
	}
	if err := n.onLeadersMembers(p, ef); err != nil {
		n.leave(ef, "leader %d sends NEWLEADER with a membership that this server cannot take: %v", f.leader, err)
		return
	}
	f.stage = storing
	if f.tree != nil {
		n.install(ef)
	}
	n.store(SaveEpochs{n.acceptedEpoch, f.epoch}, ef)
}

// install puts the received tree, with the entries that are part of the leader's history, in the place of what we have.
func (n *Node) install(ef *Effects) {
	f := n.follow
	k := 0
	for k < len(f.behind) && f.behind[k].Zxid <= f.history {
		k++
	}
	n.recent.reset()
	for _, e := range f.behind[:k] {
		n.recent.add(e)
	}
	n.store(Install{Tree: f.tree, Entries: f.behind[:k], Zxid: f.history}, ef)
	n.aside, n.pending, n.head = f.tree, nil, 0
	n.applied, n.logged, n.synced = f.history, f.history, min(n.synced, f.history)
	rest := f.behind[k:]
	f.tree, f.behind = nil, nil
	if len(rest) > 0 {
		n.store(AppendBehind{rest}, ef)
		for _, e := range rest {
			n.logged = e.Zxid
			n.pending = append(n.pending, e)
			n.owe(e.Zxid)
		}
	}
}

// onUpToDate begins to serve: a quorum has the leader's history.
func (n *Node) onUpToDate(ef *Effects) {
	f := n.follow
	if f.stage != stored {
		n.leave(ef, "leader %d sends UPTODATE before we have acknowledged", f.leader)
		return
	}
	f.stage = following
	n.adopt(ef)
	n.deliver(f.history, ef)
	n.tell(Packet{Type: TypeAck, Zxid: proto.MakeZxid(f.epoch, 0)}, ef)
	n.serving = n.applied <= max(f.history, n.committed) // a tree that was recovered may hold proposals: see show
	f.acked = f.history
	for len(f.unacked) > 0 && f.unacked[0] <= f.history {
		f.unacked = f.unacked[1:] // stored before NEWLEADER was acknowledged
	}
	n.acknowledge(ef)
	if !n.activateLeaders(ef) {
		return
	}
	n.say(ef, false, "following %d in epoch %d from %v on", f.leader, f.epoch, f.history)
}
