// Package election is ZooKeeper's fast leader election: what a server says on the election port, and what it makes of
// what the others say. It owns the bytes of that port and a state machine without a clock, which ends by naming a
// leader. Connections, and the one message that waits for each of them, are left to the shell; whether the leader
// can lead is for package zab to find out.
//
// A server that looks for a leader tells every voter its proposal: first itself, then the best it has heard of. Votes
// are counted by rounds, and all are lifted to the highest. A server that has a leader answers those who look, and so
// lets them join. What is done otherwise than in ZooKeeper is said at unanimous, onVote, answerStranger and Heard.
package election

import (
	"cmp"
	"maps"
	"math"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
)

// Options are what an Election starts with. Durations that are 0 are ZooKeeper's.
type Options struct {
	Self     ensemble.ID
	Members  *ensemble.Config // the active membership
	Next     *ensemble.Config // the last seen, if that is not active
	Reconfig bool             // memberships that come with messages may be adopted

	MinInterval, MaxInterval time.Duration // between repeated votes, at first and at most; it doubles
	FinalizeWait             time.Duration // for better votes after a quorum agrees
}

// A Ballot is a notification and the server that it goes to. A later one for the same server takes the place of one that
// has not been sent.
type Ballot struct {
	To   ensemble.ID
	Note Notification
}

// Effects is what must be done after a call. The caller owns it and resets it.
type Effects struct {
	Send    []Ballot
	Connect []ensemble.ID // open a link to each of these at once, unless there is one
	Decided bool          // State and Vote say what has come out
	// Newer is a membership newer than ours, of other members, that came with a message while looking. The message
	// was dropped. With Options.Reconfig it may be of the same members, and is to be adopted: SetMembers, then Look.
	Newer *ensemble.Config
	// Differs are servers whose list of members is not ours; each is named once.
	Differs []ensemble.ID
}

// Reset empties the effects and keeps their space.
func (ef *Effects) Reset() {
	clear(ef.Send)
	*ef = Effects{Send: ef.Send[:0], Connect: ef.Connect[:0], Differs: ef.Differs[:0]}
}

// notLogged is the last zxid of a server that does not know what it holds. It can follow, and its vote does not count.
const notLogged = proto.Zxid(-1)

// maxPeers bounds the servers that are remembered; those outside the membership are forgotten first.
const maxPeers = 1024

// A peer is what is known of another server.
type peer struct {
	up       bool          // the link is open
	down     bool          // its host refused or reset a connection, and there has been none since
	downAt   time.Duration // when
	heard    bool
	differs  bool          // its list of members is not ours
	said     Notification  // the last message, without its config
	answered time.Duration // when it last got an answer of answerStranger
}

// An Election is one server's part in all elections of its life. It has one owner, which hands in the time: durations
// since some fixed moment.
//
// Invariants:
//
//	looking: proposal is never worse than initial, and its round is the current one
//	votes holds nothing of an older round
//	waiting only while looking, and a quorum agrees with proposal
type Election struct {
	Options
	who   *ensemble.Electorate // the voters of the active membership, and of the next
	text  string               // the active membership
	voter bool                 // whether we are one of the active membership
	peers map[ensemble.ID]*peer

	state    State
	begun    bool // Look has been called
	round    int64
	vote     Vote // of the last election; before the first one is decided, for ourselves
	own      Vote // for ourselves, with what our log has
	tries    int  // rounds that we might have stood in since a leader was last established
	initial  Vote // what we stand for in this election
	proposal Vote // the best so far
	votes    []ballot
	others   []ballot // of servers that say they have a leader, whatever their round

	since    time.Duration // when the last leader was last known to live
	interval time.Duration
	resend   time.Duration // when to repeat the proposal
	waiting  bool          // a quorum agrees; until finalize a better vote may come
	finalize time.Duration
}

// New returns an election that has not begun.
func New(o Options) *Election {
	o.MinInterval = cmp.Or(o.MinInterval, 200*time.Millisecond)
	o.MaxInterval = cmp.Or(o.MaxInterval, time.Minute)
	o.FinalizeWait = cmp.Or(o.FinalizeWait, 200*time.Millisecond)
	e := &Election{Options: o, peers: make(map[ensemble.ID]*peer)}
	e.setMembers(o.Members, o.Next)
	return e
}

// setMembers has votes counted by the voters of a membership, and of the next one, if there is one.
func (e *Election) setMembers(active, next *ensemble.Config) {
	e.who = ensemble.NewElectorate(active, next)
	e.Members, e.Next = active, e.who.Next
	e.text, e.voter, e.waiting = active.Text(), active.IsVoter(e.Self), false
	voters := len(e.who.Voters())
	e.votes, e.others = make([]ballot, voters), make([]ballot, voters)
}

// SetMembers says that another membership is active, or that another was seen last, and asks for links to voters who were
// none before. What was decided stays so. While looking it must be followed by Look: votes have been counted by other rules.
func (e *Election) SetMembers(active, next *ensemble.Config, ef *Effects) {
	before := e.who
	e.setMembers(active, next)
	for _, id := range e.who.Voters() {
		if id != e.Self && !before.IsVoter(id) && !e.peer(id).up {
			ef.Connect = append(ef.Connect, id)
		}
	}
}

// Appoint decides without an election, as a leader suggests when a membership becomes active in which another must lead.
// Zxid is that of the change.
func (e *Election) Appoint(leader ensemble.ID, zxid proto.Zxid, ef *Effects) {
	if e.vote.Leader != leader {
		e.vote = Vote{Leader: leader, Zxid: zxid, Round: -1, PeerEpoch: -1}
	}
	e.decide(e.vote, ef)
}

// State returns Looking, or what the last election has made of this server.
func (e *Election) State() State { return e.state }

// Vote returns the decided vote; while looking, that of the election before.
func (e *Election) Vote() Vote { return e.vote }

// Round returns the number of the current or last election.
func (e *Election) Round() int64 { return e.round }

// SetPeerEpoch says which epoch the decided leader has established. The vote keeps the zxid with which it was won.
func (e *Election) SetPeerEpoch(epoch uint32) {
	if e.state != Looking {
		e.vote.PeerEpoch, e.tries = int64(epoch), 0
	}
}

// Said returns the last message of a server, without its config.
func (e *Election) Said(id ensemble.ID) (Notification, bool) {
	p, ok := e.peers[id]
	if !ok || !p.heard {
		return Notification{}, false
	}
	return p.said, true
}

// Look begins an election, with the last zxid in the log and the epoch. Since is when the last leader was last known to
// live: a server whose host has refused a connection from then on is not waited for.
func (e *Election) Look(now, since time.Duration, last proto.Zxid, epoch uint32, ef *Effects) {
	e.own = Vote{Leader: e.Self, Zxid: last, PeerEpoch: int64(epoch)}
	if !e.begun {
		e.begun, e.vote = true, e.own
	}
	e.stand()
	e.state, e.since = Looking, since
	e.interval = e.MinInterval
	clear(e.others)
	e.begin(now, e.round+1, e.initial, ef)
	e.connect(ef)
	e.settle(now, ef)
}

// stand makes us a candidate of a round that is about to begin, or not. A voter of the next membership alone is one about
// every other time: those who have not seen that membership do not know it, so that it would stand in the way of others;
// and yet it may be the only one that can lead, if it has more than they. (In ZooKeeper it never is.) The times are spread
// by the golden ratio, beginning with one at which it does not stand: so they keep step with nobody else's attempts.
func (e *Election) stand() {
	e.tries++
	e.initial = e.own
	if !e.voter && (!e.who.IsVoter(e.Self) || uint64(e.tries)*0x9e3779b97f4a7c15 >= 1<<63) {
		e.initial = Vote{Leader: math.MinInt64, Zxid: math.MinInt64, PeerEpoch: math.MinInt64}
	}
}

// Heard takes in a message, in any state.
func (e *Election) Heard(now time.Duration, from ensemble.ID, n Notification, ef *Effects) {
	if from == e.Self || !e.begun {
		return
	}
	p := e.peer(from)
	if n.Config != "" && n.Config != e.text {
		c, err := ensemble.ParseConfig(n.Config)
		differs := err != nil || !c.SameMembers(e.Members)
		changes := e.Reconfig && err == nil && c.Version != e.Members.Version // and one of us does not know yet
		if differs && !changes && !p.differs {
			ef.Differs = append(ef.Differs, from)
		}
		p.differs = differs && !changes
		// ZooKeeper also begins anew here, even where it may not adopt the membership. Two servers that differ for good
		// would make each other do so without end.
		if e.state == Looking && (differs || changes) && err == nil && c.Version > e.Members.Version {
			ef.Newer = c
			return
		}
	}
	n.Config = ""
	again := p.heard && p.said == n
	p.heard, p.said = true, n
	switch {
	case !e.who.IsVoter(from):
		e.answerStranger(now, from, p, again, ef)
	case e.state != Looking:
		if n.State == Looking {
			e.send(from, e.vote, ef)
		}
	default:
		if n.State == Looking && n.Round < e.round {
			e.send(from, e.proposal, ef)
		}
		e.count(now, from, n, ef)
	}
}

// answerStranger answers somebody who does not vote, in every state. The same question within the shortest interval gets
// one answer: two servers that hold each other for observers would answer each other's answers for ever.
func (e *Election) answerStranger(now time.Duration, from ensemble.ID, p *peer, again bool, ef *Effects) {
	if again && now < p.answered+e.MinInterval {
		return
	}
	p.answered = now
	v := e.vote
	v.Round = e.round
	e.send(from, v, ef)
}

// Tick says that time has passed. An election that has not ended repeats its proposal, or ends because nothing better
// has come.
func (e *Election) Tick(now time.Duration, ef *Effects) {
	at, wants := e.Wake()
	switch {
	case !wants || now < at:
	case e.waiting:
		e.decide(e.proposal, ef)
	default:
		e.interval = min(2*e.interval, e.MaxInterval)
		if !e.voter && e.who.IsVoter(e.Self) && e.interval > 4*e.MinInterval {
			e.stand()
			e.begin(now, e.round+1, e.initial, ef)
		} else {
			e.propose(now, e.proposal, ef)
		}
		e.connect(ef)
	}
}

// Wake returns when a Tick is due; false if only another call can change anything.
func (e *Election) Wake() (time.Duration, bool) {
	if e.waiting {
		return e.finalize, true
	}
	return e.resend, e.state == Looking && e.begun
}

// LinkUp says that the link to a server is open. What was last sent to it is the shell's to repeat.
func (e *Election) LinkUp(_ time.Duration, id ensemble.ID, _ *Effects) {
	p := e.peer(id)
	p.up, p.down = true, false
}

// LinkDown says that the link to a server is closed, or could not be opened. Refused means that the server's host said so,
// by a refusal or a reset: then the server is known to be down until a link to it opens. Silence says nothing.
func (e *Election) LinkDown(now time.Duration, id ensemble.ID, refused bool, ef *Effects) {
	p := e.peer(id)
	lost := p.up
	p.up = false
	if refused {
		p.down, p.downAt = true, now
	}
	if e.state != Looking || !e.begun {
		return
	}
	if lost && e.who.IsVoter(id) {
		ef.Connect = append(ef.Connect, id) // a dead process refuses, and is not waited for
	}
	if e.waiting {
		e.settle(now, ef)
	}
}

func (e *Election) peer(id ensemble.ID) *peer {
	p := e.peers[id]
	if p == nil {
		if len(e.peers) >= maxPeers {
			maps.DeleteFunc(e.peers, func(id ensemble.ID, _ *peer) bool {
				_, member := e.who.Member(id)
				return !member
			})
		}
		p = new(peer)
		e.peers[id] = p
	}
	return p
}

// begin starts to count a round, with a proposal that everyone is told.
func (e *Election) begin(now time.Duration, round int64, proposal Vote, ef *Effects) {
	e.round = round
	clear(e.votes)
	e.propose(now, proposal, ef)
}

// propose tells every voter the proposal and casts our own vote for it.
func (e *Election) propose(now time.Duration, proposal Vote, ef *Effects) {
	proposal.Round = e.round
	e.proposal, e.waiting = proposal, false
	e.resend = now + e.interval
	for slot, id := range e.who.Voters() {
		if id != e.Self {
			e.send(id, proposal, ef)
		} else if e.initial.Zxid != notLogged {
			e.votes[slot] = ballot{Vote: proposal, cast: true}
		}
	}
}

func (e *Election) connect(ef *Effects) {
	for _, id := range e.who.Voters() {
		if id != e.Self && !e.peer(id).up {
			ef.Connect = append(ef.Connect, id)
		}
	}
}

func (e *Election) send(to ensemble.ID, v Vote, ef *Effects) {
	ef.Send = append(ef.Send, Ballot{To: to, Note: Notification{State: e.state, Vote: v, Version: version, Config: e.text}})
}
