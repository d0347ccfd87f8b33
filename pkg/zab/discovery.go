package zab

import (
	"fmt"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// farthestEpoch is how far above ours an epoch may be that a learner claims to have accepted. Epochs are used up one by
// one, so that a greater one is damage, or malice: it would use up all that are left.
const farthestEpoch = 1 << 20

// phase is how far a learner has come with us.
type phase int

const (
	greeted  phase = iota // connected; FOLLOWERINFO or OBSERVERINFO is due
	informed              // the new epoch is not settled yet
	offered               // LEADERINFO was sent; ACKEPOCH is due
	agreed                // until a quorum has agreed, too
	catching              // being brought to our history
	joining               // NEWLEADER was sent; its ACK is due
	joined                // acknowledged; until a quorum has, too
	synced                // UPTODATE was sent
)

// A learner is the other end of one link on our quorum port.
//
// Invariants:
//
//	live: everything up to the last proposal was sent
//	its acknowledgements count from joined on, and only those that came by this link
type learner struct {
	link       LinkID
	id         ensemble.ID
	observer   bool
	slot       int // among the voters; -1 if it has no vote
	phase      phase
	accepted   uint32
	last       proto.Zxid // its last zxid when it came
	extensions uint64
	heard      time.Duration
	early      *Packet // came before we knew that we lead

	catchUp
	live    bool
	syncs   []proto.Zxid  // its clients' syncs wait for these
	watched proto.Zxid    // a proposal that it has to acknowledge in time
	since   time.Duration // when that was sent
	acked   proto.Zxid
	asked   proto.Zxid // of the last write of its clients
	assured proto.Zxid // so far it has our own ACK
}

func (l *learner) String() string {
	kind := "follower"
	if l.observer {
		kind = "observer"
	}
	return fmt.Sprintf("%s %d", kind, l.id)
}

// leadership is what a leader has besides what every server has.
type leadership struct {
	quorum ensemble.Quorum
	slot   int          // our own, behind those of the voters if we have no vote
	acked  []proto.Zxid // one position for each voter: no map and no scan per request
	heard  []time.Duration

	// A change of members that is under way: from its entry on quorum counts, and up to there before does.
	reconfig  proto.Zxid // of the entry; 0 if there is none
	before    ensemble.Quorum
	successor ensemble.ID   // who leads by the last change that was committed
	retired   bool          // it is not we: nothing more is committed, until our learners have left
	leaves    time.Duration // when we do not wait for that any more
	asked     *txn.Reconfig // what the preparation was told last, of a request up to askedAt
	askedAt   proto.Zxid

	// Discovery. What we began with is what learners are compared with.
	began     time.Duration
	ownEpoch  uint32
	ownLast   proto.Zxid
	highest   uint32 // accepted epoch of those who came
	epoch     uint32 // the one that begins; 0 until a quorum is there
	announced bool   // our acceptedEpoch is durable
	present   []bool // by slot
	agreed    []bool
	agreedOn  bool // a quorum has agreed
	begun     bool // our currentEpoch is durable

	established bool
	since       time.Duration
	start       proto.Zxid // of the epoch: its zxid with counter 0
	ready       bool       // the tree has all that went before: requests are prepared
	inherited   proto.Zxid // which the tree must have
	waiting     []func(*Effects)
	assigned    proto.Zxid // the last zxid given to a request
	proposed    proto.Zxid // the last zxid that came back as an entry
	syncs       []ownSync

	learners   []*learner // in the order in which they came
	nextTurn   time.Duration
	turns      int
	nextExpiry time.Duration
}

func (n *Node) beginLeading(ef *Effects) {
	l := &leadership{
		slot: n.ownSlot(), began: n.now, ownEpoch: n.currentEpoch, ownLast: n.logged, highest: n.acceptedEpoch,
		nextTurn: n.now + n.cfg.Tick/2, nextExpiry: n.boundary(),
	}
	l.makeSlots(n.who)
	l.present[l.slot], l.agreed[l.slot] = true, true
	n.role, n.lead = Leading, l
	n.adopt(ef)
	n.say(ef, false, "leading, if a quorum comes; last zxid %v, epoch %d", n.logged, n.currentEpoch)
	early := n.lobby
	n.lobby = nil
	l.learners = early
	n.gather(ef)
	for _, x := range slices.Clone(early) {
		if x.early != nil {
			p := *x.early
			x.early = nil
			n.fromLearner(x, p, ef)
		}
	}
}

func (n *Node) onAccepted(link LinkID, ef *Effects) {
	x := &learner{link: link, slot: -1, heard: n.now}
	switch {
	case n.role == Leading:
		n.lead.learners = append(n.lead.learners, x)
	case n.role == Looking, n.nextMembers() != nil: // perhaps we are about to lead by those
		n.lobby = append(n.lobby, x)
	default:
		ef.Hangup = append(ef.Hangup, link)
	}
}

// learner returns whoever is at the other end of a link.
func (n *Node) learner(link LinkID) *learner {
	xs := n.lobby
	if n.lead != nil {
		xs = n.lead.learners
	}
	for _, x := range xs {
		if x.link == link {
			return x
		}
	}
	return nil
}

// turnAway ends a link for a reason that an operator should know.
func (n *Node) turnAway(x *learner, ef *Effects, format string, args ...any) {
	n.Stats.Refused++
	n.say(ef, true, "%v is turned away: %s", x, fmt.Sprintf(format, args...))
	n.drop(x, ef)
}

// drop forgets a learner and closes its link. What it has acknowledged counts no more: by its next link it must
// acknowledge anew.
func (n *Node) drop(x *learner, ef *Effects) {
	ef.Hangup = append(ef.Hangup, x.link)
	n.forget(x)
}

func (n *Node) forget(x *learner) {
	same := func(y *learner) bool { return y == x }
	n.lobby = slices.DeleteFunc(n.lobby, same)
	if n.lead != nil {
		n.lead.learners = slices.DeleteFunc(n.lead.learners, same)
		if x.slot >= 0 && x.phase >= joined {
			n.lead.acked[x.slot], n.lead.heard[x.slot] = 0, 0 // it may follow another by now
		}
	}
}

// onInfo takes a learner's first packet.
func (n *Node) onInfo(x *learner, p *Packet, ef *Effects) {
	if p.Type != TypeFollowerInfo && p.Type != TypeObserverInfo {
		n.turnAway(x, ef, "its first packet is %v", p.Type)
		return
	}
	info, err := decodeLearnerInfo(p.Data)
	if err != nil {
		n.turnAway(x, ef, "%v", err)
		return
	}
	x.id, x.observer, x.accepted = info.id, p.Type == TypeObserverInfo, p.Zxid.Epoch()
	x.extensions = info.extensions & n.cfg.Extensions
	if n.cfg.ForceSnapshot {
		x.extensions &^= LeaderAck // the tree could lack what the learner has committed
	}
	l := n.lead
	switch {
	case info.version < protocolVersion:
		n.turnAway(x, ef, "its protocol is version %#x, older than %#x", info.version, protocolVersion)
		return
	case info.configVersion > n.who.LastSeen().Version && n.cfg.Reconfig && !l.established:
		n.leave(ef, "%v has a membership of version %x, later than our %x: another may have to lead", x, info.configVersion, n.who.Active.Version)
		return
	case info.configVersion > n.who.LastSeen().Version:
		n.turnAway(x, ef, "its configuration has version %x, later than our %x", info.configVersion, n.who.Active.Version)
		return
	case x.id == n.self:
		n.turnAway(x, ef, "it has our own id")
		return
	case x.accepted > n.acceptedEpoch && x.accepted-n.acceptedEpoch > farthestEpoch:
		n.turnAway(x, ef, "it has accepted epoch %d, and we %d", x.accepted, n.acceptedEpoch)
		return
	}
	for _, y := range l.learners {
		if y != x && y.id == x.id {
			n.say(ef, false, "%v has connected again", x)
			n.drop(y, ef)
			break
		}
	}
	_, listed := n.who.Member(x.id)
	if !listed {
		n.say(ef, !n.cfg.Reconfig, "%v is not in our configuration: it is served and does not count", x)
	}
	x.phase = informed
	x.slot = n.slotOf(x)
	if x.slot >= 0 && l.epoch != 0 && x.accepted > l.epoch {
		// It has promised to follow no epoch before a later one, which came to nothing. It could never follow us.
		n.leave(ef, "%v has accepted epoch %d, and we lead %d: a later one must begin", x, x.accepted, l.epoch)
		return
	}
	if l.epoch == 0 && listed {
		l.highest = max(l.highest, x.accepted)
		if x.slot >= 0 {
			l.present[x.slot] = true
		}
		n.gather(ef)
	}
	if l.announced {
		n.offer(x, ef)
	}
}

// gather settles the new epoch as soon as a quorum has come.
func (n *Node) gather(ef *Effects) {
	if l := n.lead; l.epoch == 0 && l.quorum.Holds(l.present) {
		l.epoch = l.highest + 1
		n.store(SaveEpochs{l.epoch, n.currentEpoch}, ef)
	}
}

// offer tells a learner the new epoch.
func (n *Node) offer(x *learner, ef *Effects) {
	data := appendExtensions(jute.AppendInt(nil, protocolVersion), x.extensions)
	x.phase = offered
	n.send(x, Packet{Type: TypeLeaderInfo, Zxid: proto.MakeZxid(n.lead.epoch, 0), Data: data}, ef)
}

func (n *Node) send(x *learner, p Packet, ef *Effects) {
	ef.Send = append(ef.Send, Envelope{x.link, p})
}

// leaderStored goes on when an epoch is durable.
func (n *Node) leaderStored(s Store, ef *Effects) {
	l := n.lead
	e, ok := s.(SaveEpochs)
	if !ok || l.epoch == 0 || e.Accepted != l.epoch {
		return
	}
	switch {
	case !l.announced:
		l.announced = true
		for _, x := range l.learners {
			if x.phase == informed {
				n.offer(x, ef)
			}
		}
		n.agree(ef)
	case e.Current == l.epoch:
		l.begun = true
		n.el.SetPeerEpoch(l.epoch)
		for _, x := range slices.Clone(l.learners) {
			if x.phase == agreed {
				n.synchronise(x, ef)
			}
		}
		n.establish(ef)
	}
}

// onAckEpoch takes a learner's promise to follow no older epoch, and what its history is.
func (n *Node) onAckEpoch(x *learner, p *Packet, ef *Effects) {
	l := n.lead
	if p.Type != TypeAckEpoch || len(p.Data) < 4 {
		n.turnAway(x, ef, "%v with %d bytes of data, instead of ACKEPOCH", p.Type, len(p.Data))
		return
	}
	d := jute.NewDecoder(p.Data)
	epoch := d.Int() // -1: it had promised that before; this is no new one
	x.last = p.Zxid
	counts := epoch != -1 && x.last != noZxid
	if counts && !l.begun && !l.quorum.Holds(l.agreed) && ahead(uint32(epoch), x.last, l.ownEpoch, l.ownLast) {
		n.turnAway(x, ef, "it is ahead of us: epoch %d, zxid %v against %d, %v", epoch, x.last, l.ownEpoch, l.ownLast)
		return
	}
	x.phase = agreed
	if l.begun {
		n.synchronise(x, ef)
		return
	}
	if counts && x.slot >= 0 {
		l.agreed[x.slot] = true
	}
	n.agree(ef)
}

// agree begins the new epoch as soon as a quorum has promised. Our own epoch goes up behind all that we have logged.
func (n *Node) agree(ef *Effects) {
	l := n.lead
	if l.announced && !l.agreedOn && l.quorum.Holds(l.agreed) {
		l.agreedOn = true
		n.firstVersion(ef)
		n.store(SaveEpochs{l.epoch, l.epoch}, ef)
	}
}

// ahead tells whether one history is more recent than another: that of the later epoch, and in the same epoch the longer.
func ahead(epoch uint32, last proto.Zxid, than uint32, thanLast proto.Zxid) bool {
	return epoch > than || epoch == than && last > thanLast
}
