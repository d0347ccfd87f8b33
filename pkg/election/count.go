package election

import (
	"cmp"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

// A ballot is a voter's last word, as it is counted. Version 0 takes it for the word of a server so old that its epoch
// says nothing.
type ballot struct {
	Vote
	state   State
	version int32
	cast    bool
}

// agrees tells whether two ballots are for the same outcome. Those who look must mean the very same vote. Those who have
// a leader may have found it in different rounds and by different zxids.
func (b ballot) agrees(o ballot) bool {
	switch {
	case !b.cast || !o.cast || b.Leader != o.Leader:
		return false
	case b.state == Looking || o.state == Looking:
		return b.Vote == o.Vote
	case (b.version > 0) != (o.version > 0):
		return true
	}
	return b.PeerEpoch == o.PeerEpoch
}

// backs tells whether a ballot is for a proposal of its round. Who has decided for the same leader is so, though it names
// the epoch that has been established since, and though ZooKeeper would not count it.
func (b ballot) backs(v Vote) bool {
	return b.cast && b.Leader == v.Leader && b.Round == v.Round && (b.state != Looking || b.Vote == v)
}

// better tells whether a's leader is to be preferred to b's.
func better(a, b Vote) bool {
	return cmp.Or(cmp.Compare(a.PeerEpoch, b.PeerEpoch), cmp.Compare(a.Zxid, b.Zxid), cmp.Compare(a.Leader, b.Leader)) > 0
}

// count takes in what a voter says while we look.
func (e *Election) count(now time.Duration, from ensemble.ID, n Notification, ef *Effects) {
	slot, voter := e.who.Slot(from)
	if !voter || !e.who.IsVoter(n.Leader) {
		if voter && e.who.Next != nil && n.State == Looking && n.Round > e.round && e.initial.Zxid != notLogged {
			e.stand()
			e.begin(now, n.Round, e.initial, ef) // it stood before, and does not any more
		}
		return
	}
	if e.waiting && n.Round != e.round && !better(n.Vote, e.proposal) {
		return // it cannot change the outcome; ZooKeeper discards those of this round as well, which may end the wait
	}
	switch n.State {
	case Looking:
		e.onVote(now, slot, n, ef)
	case Following, Leading:
		e.onDecided(now, slot, n, ef)
	}
}

// onVote counts the vote of a server that looks as we do. Its first one in a round is answered with ours, where ZooKeeper
// lets it wait for a repetition: what we sent before may have come while it still had a leader, and not been counted.
func (e *Election) onVote(now time.Duration, slot int, n Notification, ef *Effects) {
	if e.initial.Zxid == notLogged || n.Zxid == notLogged || n.Round < e.round {
		return
	}
	switch {
	case n.Round > e.round:
		e.stand()
		best := e.initial
		if better(n.Vote, best) {
			best = n.Vote
		}
		e.begin(now, n.Round, best, ef)
	case better(n.Vote, e.proposal):
		e.propose(now, n.Vote, ef)
	case !e.votes[slot].cast:
		e.send(e.who.Voters()[slot], e.proposal, ef)
	}
	e.votes[slot] = ballot{Vote: n.Vote, cast: true}
	e.settle(now, ef)
}

// onDecided counts the word of a server that has a leader. In our round it stands among the votes, where today's servers
// are compared by their leader alone; in any round it stands among the others.
func (e *Election) onDecided(now time.Duration, slot int, n Notification, ef *Effects) {
	b := ballot{Vote: n.Vote, state: n.State, version: n.Version, cast: true}
	if n.Round == e.round {
		e.votes[slot] = ballot{Vote: n.Vote, state: n.State, cast: true}
		if e.led(e.votes, b) && e.confirmed(e.votes, n.Vote) {
			e.decide(n.Vote, ef)
			return
		}
	}
	e.others[slot] = b
	if e.led(e.others, b) && e.confirmed(e.others, n.Vote) {
		e.round = n.Round
		e.decide(n.Vote, ef)
		return
	}
	e.settle(now, ef) // whoever decides as we would decide says so in the place of its vote
}

// agreed tells whether those who agree with b are a quorum.
func (e *Election) agreed(ballots []ballot, b ballot) bool {
	return e.who.Holds(e.agreeing(ballots, b))
}

func (e *Election) agreeing(ballots []ballot, b ballot) func(ensemble.ID) bool {
	return func(id ensemble.ID) bool {
		slot, _ := e.who.Slot(id)
		return ballots[slot].agrees(b)
	}
}

// led tells whether those who agree with b are enough for us to follow its leader. A quorum of the active membership is:
// that has decided, and a membership that we have seen and that has come to nothing must not keep us out. (ZooKeeper asks for
// a quorum of both.) Whether the leader can lead is not decided here. We ourselves lead by a quorum of both only.
func (e *Election) led(ballots []ballot, b ballot) bool {
	if b.Leader == e.Self {
		return e.agreed(ballots, b)
	}
	return e.Members.Holds(e.agreeing(ballots, b))
}

// confirmed tells whether the leader of a decided vote leads by its own word: others may follow one that is dead.
func (e *Election) confirmed(ballots []ballot, v Vote) bool {
	if v.Leader == e.Self {
		return v.Round == e.round
	}
	slot, _ := e.who.Slot(v.Leader)
	return ballots[slot].cast && ballots[slot].state == Leading
}

// settle ends the election at once if nothing better can come. Otherwise, if a quorum agrees with our proposal, a Tick does
// after the wait.
func (e *Election) settle(now time.Duration, ef *Effects) {
	if e.state != Looking {
		return
	}
	switch {
	case e.unanimous():
		e.decide(e.proposal, ef)
	case !e.agreed(e.votes, ballot{Vote: e.proposal, cast: true}):
		e.waiting = false
		if e.led(e.votes, ballot{Vote: e.proposal, cast: true}) { // those who know of no next membership decide: ask soon
			e.interval = e.MinInterval
			e.resend = min(e.resend, now+e.interval)
		}
	case !e.waiting:
		e.waiting, e.finalize = true, now+e.FinalizeWait
	}
}

// unanimous tells whether a quorum, the candidate in it, is for our proposal, and so is every voter that is not known to
// be down. Then no better vote is to be expected, and ZooKeeper's wait for one is left out. An observer is not told
// every vote, and never knows.
func (e *Election) unanimous() bool {
	backs := func(id ensemble.ID) bool {
		slot, _ := e.who.Slot(id)
		return e.votes[slot].backs(e.proposal)
	}
	for _, id := range e.who.Voters() {
		if !backs(id) && (id == e.proposal.Leader || !e.knownDown(id)) {
			return false
		}
	}
	return e.voter && e.who.Holds(backs)
}

func (e *Election) knownDown(id ensemble.ID) bool {
	p := e.peers[id]
	return p != nil && p.down && p.downAt >= e.since
}

// observes tells whether we are an observer. Who is not listed follows, without a vote: it may be given one.
func (e *Election) observes() bool {
	m, listed := e.Members.Member(e.Self)
	return listed && m.Role == ensemble.Observer
}

func (e *Election) decide(v Vote, ef *Effects) {
	e.vote, e.waiting = v, false
	switch {
	case v.Leader == e.Self:
		e.state = Leading
	case e.observes():
		e.state = Observing
	default:
		e.state = Following
	}
	ef.Decided = true
}
