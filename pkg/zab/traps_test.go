package zab

import (
	"errors"
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

func TestTrap02_EntriesThatATreeHasAlready(t *testing.T) {
	r := newRig(t, 1, 0)
	r.follow(3, 1, 1)
	r.step(snap(1, zx(1, 5)))
	for c := uint32(4); c <= 6; c++ {
		r.step(proposal(1, zx(1, c)), packet(1, TypeCommit, zx(1, c)))
	}
	r.step(packet(1, TypeNewLeader, zx(1, 0)))
	ef := r.take()
	in, ok := ef.Store[0].(Install)
	if !ok || in.Zxid != zx(1, 6) || !equal(zxids(in.Entries), []proto.Zxid{zx(1, 6)}) || len(ef.Append) > 0 {
		t.Fatalf("stored: %+v, appended: %v", ef.Store, zxids(ef.Append))
	}
	r.stored()
	r.want("1: ACK 1.0")
	r.step(packet(1, TypeUpToDate, noZxid))
	if ef := r.take(); len(ef.Deliver) != 1 || ef.Deliver[0].Tree != "tree at 1.5" || ef.Deliver[0].Zxid != zx(1, 6) {
		t.Fatalf("delivered: %+v", ef.Deliver)
	}
	// Those that were on their way when the tree was sent may come still later.
	r.step(proposal(1, zx(1, 6)), packet(1, TypeCommit, zx(1, 6)), proposal(1, zx(1, 7)), packet(1, TypeCommit, zx(1, 7)))
	if ef := r.take(); !equal(delivered(ef.Deliver), []proto.Zxid{zx(1, 7)}) || !equal(zxids(ef.Append), []proto.Zxid{zx(1, 7)}) {
		t.Fatalf("delivered: %v, appended: %v", delivered(ef.Deliver), zxids(ef.Append))
	}
}

func TestTrap03_TailIsVotedWithAndNotApplied(t *testing.T) {
	r := newRig(t, 1, 1, zx(1, 1))
	r.follow(3, 1, 2)
	r.step(packet(1, TypeDiff, zx(1, 1)), packet(1, TypeNewLeader, zx(2, 0)))
	r.stored()
	r.step(packet(1, TypeUpToDate, noZxid), proposal(1, zx(2, 1)), packet(1, TypeCommit, zx(2, 1)), proposal(1, zx(2, 2)))
	r.stored()
	r.take()
	r.step(Closed{1})
	ef := r.take()
	if len(ef.Deliver) > 0 || len(ef.Ballots) == 0 || ef.Ballots[0].Note.Zxid != zx(2, 2) || ef.Ballots[0].Note.PeerEpoch != 2 {
		t.Fatalf("delivered %v, votes %+v", delivered(ef.Deliver), ef.Ballots)
	}
}

func TestTrap03_BrokenTreeLeavesTheOldOne(t *testing.T) {
	r := newRig(t, 1, 1, zx(1, 1))
	r.follow(3, 1, 2)
	r.step(snap(1, zx(2, 9)), proposal(1, zx(2, 10)), packet(1, TypeCommit, zx(2, 10)), Closed{1})
	ef := r.take()
	if len(ef.Store)+len(ef.Append)+len(ef.Deliver) > 0 || ef.Ballots[0].Note.Zxid != zx(1, 1) {
		t.Fatalf("stored %v, delivered %v, votes %+v", ef.Store, delivered(ef.Deliver), ef.Ballots)
	}
	r.follow(3, 2, 2)
	r.step(packet(2, TypeDiff, zx(1, 1)), packet(2, TypeNewLeader, zx(2, 0)))
	r.stored()
	r.step(packet(2, TypeUpToDate, noZxid))
	if ef := r.take(); len(ef.Deliver) > 0 {
		t.Fatalf("delivered: %+v", ef.Deliver)
	}
}

func TestTrap06_LearnerInSynchronisation(t *testing.T) {
	r := newRig(t, 1, 0)
	r.follow(3, 1, 1)
	ping := packet(1, TypePing, zx(1, 1))
	r.step(packet(1, TypeDiff, zx(1, 1)), ping, packet(1, TypeSync, 0), proposal(1, zx(1, 1)), packet(1, TypeCommit, zx(1, 1)), ping)
	r.want("")
	r.step(packet(1, TypeNewLeader, zx(1, 0)), ping, Synced{zx(1, 1)})
	r.want("") // the epoch is not durable
	r.step(Stored{}, ping)
	r.want("1: ACK 1.0")
	r.step(packet(1, TypeUpToDate, noZxid), ping)
	r.want("1: ACK 1.0, 1: PING 1.1")
}

func TestTrap06_EntriesHaveNoHoles(t *testing.T) {
	for _, k := range []struct {
		name string
		next proto.Zxid
	}{{"a hole", zx(1, 3)}, {"a later epoch that does not begin", zx(2, 2)}} {
		t.Run(k.name, func(t *testing.T) {
			r := newRig(t, 1, 0)
			r.follow(3, 1, 2)
			r.step(packet(1, TypeDiff, zx(2, 5)), proposal(1, zx(1, 1)), proposal(1, k.next))
			ef := r.take()
			if !slices.Contains(ef.Hangup, 1) || !equal(zxids(ef.Append), []proto.Zxid{zx(1, 1)}) {
				t.Fatalf("hangs up %v, appends %v", ef.Hangup, zxids(ef.Append))
			}
		})
	}
}

func TestTrap06_SecondAckCountsForNothing(t *testing.T) {
	r := newRig(t, 3, 0)
	r.lead(0)
	r.step(packet(1, TypeAck, zx(1, 0)), Applied{zx(1, 0)})
	r.take()
	at := r.propose()
	r.step(Synced{at}, packet(1, TypeAck, zx(1, 0)))
	if ef := r.take(); len(ef.Deliver)+len(ef.Hangup) > 0 {
		t.Fatalf("delivered %v, hangs up %v", delivered(ef.Deliver), ef.Hangup)
	}
	r.step(packet(1, TypeAck, at))
	if ef := r.take(); !equal(delivered(ef.Deliver), []proto.Zxid{at}) {
		t.Fatalf("delivered %v", delivered(ef.Deliver))
	}
}

func TestTrap07_ChoiceOfSynchronisation(t *testing.T) {
	long := []proto.Zxid{zx(1, 4), zx(1, 5), zx(1, 6), zx(2, 1), zx(2, 2), zx(2, 4)} // which has a hole, as no log should
	for _, k := range []struct {
		name    string
		p, last proto.Zxid
		history []proto.Zxid
		want    course
	}{
		{"nothing is missing", zx(2, 4), zx(2, 4), long, course{TypeDiff, zx(2, 4), zx(2, 4)}},
		{"nothing is anywhere", 0, 0, nil, course{TypeDiff, 0, 0}},
		{"an epoch without entries, to its own learner", zx(3, 0), zx(3, 0), long, course{TypeDiff, zx(3, 0), zx(3, 0)}},
		{"the last entry, and an epoch has begun", zx(2, 4), zx(3, 0), long, course{TypeDiff, zx(2, 4), zx(2, 4)}},
		{"in the middle", zx(1, 5), zx(2, 4), long, course{TypeDiff, zx(2, 4), zx(1, 5)}},
		{"the oldest", zx(1, 4), zx(2, 4), long, course{TypeDiff, zx(2, 4), zx(1, 4)}},
		{"above the maximum", zx(2, 7), zx(2, 4), long, course{TypeTrunc, zx(2, 4), zx(2, 4)}},
		{"above the maximum, an epoch's start", zx(3, 0), zx(2, 4), long, course{TypeSnap, 0, 0}},
		{"an epoch's start", zx(2, 0), zx(2, 4), long, course{TypeDiff, zx(2, 4), zx(2, 0)}},
		{"missing within its epoch", zx(2, 3), zx(2, 4), long, course{TypeTrunc, zx(2, 2), zx(2, 2)}},
		{"missing at the end of its epoch", zx(1, 7), zx(2, 4), long, course{TypeSnap, 0, 0}},
		{"below the minimum", zx(1, 3), zx(2, 4), long, course{}},
		{"a new server, and an epoch has begun", 0, zx(1, 0), nil, course{}},
		{"a server that lost its data", noZxid, zx(2, 4), long, course{}},
	} {
		t.Run(k.name, func(t *testing.T) {
			recent := newCommittedLog(10)
			for _, at := range k.history {
				recent.add(noneEntry(at))
			}
			for tail := range len(k.history) + 1 { // a leader's own tail counts as well as what is committed
				h := history{recent: &committedLog{ring: recent.ring[:tail]}}
				h.tail = recent.ring[tail:]
				if got := choose(k.p, k.last, h); got != k.want {
					t.Fatalf("choose(%s, %s), %d of the tail: %v, want %v", short(k.p), short(k.last), len(h.tail), got, k.want)
				}
			}
		})
	}
}

func TestTrap07_ChoiceByTheLogsFiles(t *testing.T) {
	for _, k := range []struct {
		name           string
		p, floor, next proto.Zxid
		want           course
	}{
		{"logged", zx(1, 3), zx(1, 3), zx(1, 4), course{TypeDiff, zx(2, 4), zx(1, 3)}},
		{"an epoch's start", zx(2, 0), zx(1, 9), zx(2, 1), course{TypeDiff, zx(2, 4), zx(2, 0)}},
		{"missing within its epoch", zx(1, 3), zx(1, 2), zx(1, 4), course{TypeTrunc, zx(1, 2), zx(1, 2)}},
		{"missing at the end of its epoch", zx(1, 3), zx(1, 2), zx(2, 1), course{TypeSnap, 0, 0}},
	} {
		t.Run(k.name, func(t *testing.T) {
			if got := chooseByLog(k.p, k.floor, k.next, zx(2, 4)); got != k.want {
				t.Fatalf("%v, want %v", got, k.want)
			}
		})
	}
}

// TestTrap07_LogThatIsTooLarge: how large it may be, its padding counted, is for those to say who have the files.
func TestTrap07_LogThatIsTooLarge(t *testing.T) {
	for _, usable := range []bool{true, false} {
		r := newRig(t, 3, 1, zx(1, 8), zx(1, 9))
		r.lead(zx(1, 2))
		ef := r.take()
		if len(ef.FindLog) != 1 || ef.FindLog[0] != (Find{1, zx(1, 2)}) || len(ef.Stream) > 0 {
			t.Fatalf("looks for %+v, sends %+v", ef.FindLog, ef.Stream)
		}
		r.step(LogFound{Link: 1, Usable: usable, Floor: zx(1, 2), Next: zx(1, 3)})
		ef = r.take()
		if want := (Stream{Link: 1, After: zx(1, 2), Through: zx(1, 9)}); usable && (len(ef.Stream) != 1 || ef.Stream[0] != want) {
			t.Fatalf("sends %+v, want %+v", ef.Stream, want)
		}
		if !usable && (len(ef.Stream) != 1 || !ef.Stream[0].Snapshot) {
			t.Fatalf("sends %+v, want the tree", ef.Stream)
		}
	}
}

func TestTrap08_TruncationToWhatTheLogLacks(t *testing.T) {
	r := newRig(t, 1, 1, zx(1, 1), zx(1, 2), zx(1, 4), zx(1, 5)) // as after error txns of 3.9.5 that share a zxid
	r.follow(3, 1, 2)
	r.step(packet(1, TypeTrunc, zx(1, 3)), proposal(1, zx(2, 1)), packet(1, TypeCommit, zx(2, 1)), packet(1, TypeNewLeader, zx(2, 0)))
	ef := r.take()
	if want := (Truncate{To: zx(1, 3), Rebuild: true}); len(ef.Store) != 1 || ef.Store[0] != want || len(ef.Append) > 0 {
		t.Fatalf("stored %+v, appended %v, want %+v and nothing before its answer", ef.Store, zxids(ef.Append), want)
	}
	r.step(Stored{Last: zx(1, 2), Tree: "tree at 1.2"})
	if ef := r.take(); !equal(zxids(ef.Append), []proto.Zxid{zx(2, 1)}) {
		t.Fatalf("appended %v", zxids(ef.Append))
	}
	r.stored()
	r.want("1: ACK 2.0")
	r.step(packet(1, TypeUpToDate, noZxid))
	ef = r.take()
	if len(ef.Deliver) != 2 || ef.Deliver[0].Tree != "tree at 1.2" || ef.Deliver[0].Zxid != zx(1, 2) || ef.Deliver[1].Zxid != zx(2, 1) {
		t.Fatalf("delivered %+v", ef.Deliver)
	}
	if r.n.recent.len() != 1 {
		t.Fatalf("learners to come would get what was truncated: %v", zxids(r.n.recent.ring))
	}
}

func TestTrap14_LearnerThatIsAheadLosesItsOwnLinkOnly(t *testing.T) {
	r := newRig(t, 3, 1, zx(1, 5))
	r.lead()
	r.greet(1, 1)
	r.greet(2, 2)
	r.stored()
	r.take()
	r.step(ackEpoch(1, zx(1, 6), 1))
	if ef := r.take(); !slices.Equal(ef.Hangup, []LinkID{1}) || r.n.Role() != Leading {
		t.Fatalf("hangs up %v, is %v", ef.Hangup, r.n.Role())
	}
	r.step(ackEpoch(2, zx(1, 5), 1))
	r.stored()
	r.want("2: DIFF 1.5, 2: NEWLEADER 2.0")
	r.step(packet(2, TypeAck, zx(2, 0)))
	r.want("2: UPTODATE -1")
	// Who comes once a quorum has agreed is not compared, but brought to our history.
	r.greet(3, 1)
	r.step(ackEpoch(3, zx(1, 6), 1))
	r.want("3: LEADERINFO 2.0, 3: TRUNC 1.5, 3: NEWLEADER 2.0")
}

func TestTrap16_DecidedVoteKeepsItsZxid(t *testing.T) {
	r := newRig(t, 3, 1, zx(1, 5))
	r.lead(zx(1, 5))
	r.step(packet(1, TypeAck, zx(2, 0)), Applied{zx(2, 0)})
	r.propose()
	r.take()
	vote := election.Vote{Leader: 3, Zxid: zx(1, 5), Round: r.n.Election().Round(), PeerEpoch: 2}
	r.step(Heard{2, election.Notification{Vote: election.Vote{Leader: 2, Zxid: zx(1, 4), Round: 1, PeerEpoch: 1}, Version: 2}})
	ef := r.take()
	if len(ef.Ballots) != 1 || ef.Ballots[0].To != 2 || ef.Ballots[0].Note.State != election.Leading || ef.Ballots[0].Note.Vote != vote {
		t.Fatalf("answers %+v, want %+v", ef.Ballots, vote)
	}
}

// TestTrap16_StaleVotesAreNormal: a link repeats its last message whenever it opens.
func TestTrap16_StaleVotesAreNormal(t *testing.T) {
	r := newRig(t, 1, 1, zx(1, 5))
	round := r.n.Election().Round()
	r.follow(3, 1, 2)
	r.step(packet(1, TypeDiff, zx(1, 5)), packet(1, TypeNewLeader, zx(2, 0)))
	r.stored()
	r.step(packet(1, TypeUpToDate, noZxid))
	r.take()
	for _, from := range []ensemble.ID{2, 3} {
		for _, named := range []ensemble.ID{1, 2, 3} {
			v := election.Vote{Leader: named, Zxid: zx(1, 5), Round: round, PeerEpoch: 1}
			r.step(Heard{from, election.Notification{Vote: v, Version: 2}})
		}
	}
	if ef := r.take(); len(ef.Hangup) > 0 || !r.n.Serving() || r.n.Leader() != 3 {
		t.Fatalf("hangs up %v, follows %d", ef.Hangup, r.n.Leader())
	}
}

func TestTrap22_NoRequestStopsCommits(t *testing.T) {
	r := newRig(t, 3, 0)
	r.lead(0)
	r.step(packet(1, TypeAck, zx(1, 0)), Applied{zx(1, 0)})
	r.take()
	ask := func(op proto.Op, body []byte) {
		p := requestPacket(&proto.Request{Session: 7, Xid: 1, Op: op, Body: body, IDs: []proto.ID{{Scheme: "ip", ID: "127.0.0.1"}}})
		r.step(Received{Link: 1, Packet: p})
	}
	root := (&proto.CreateRequest{Path: "/a", ACL: proto.WorldAll()}).AppendTo(nil)
	ask(proto.OpCreateSession, []byte{0, 0, 117, 48})
	ask(proto.OpCheck, jute.AppendInt(jute.AppendString(nil, "/"), -1))
	ask(proto.OpCreate, root[:5])
	ask(proto.OpMulti, []byte{1, 2, 3})
	ask(proto.OpSetData, nil)
	ask(proto.OpDeleteContainer, (&proto.PathRequest{Path: "/zookeeper"}).AppendTo(nil))
	ask(proto.Op(99), nil)
	ask(proto.OpCreate, root)
	p := prep.New(tree.New(), prep.Options{Digest: true, Ensemble: true})
	for i, s := range r.take().Prepare {
		if s.Zxid != zx(1, uint32(i+1)) {
			t.Fatalf("request %d gets the zxid %s", i, short(s.Zxid))
		}
		e := p.Prepare(s.Request, s.Zxid, 1)
		var x txn.Txn
		if err := x.Decode(e.Bytes); err != nil {
			t.Fatalf("the entry of %v: %v", s.Request.Op, err)
		}
		if failed := x.Header.Type == proto.OpError; failed != (i != 0 && i != 7) {
			t.Fatalf("%v becomes %+v", s.Request.Op, x)
		}
		r.step(Propose{[]txn.Entry{e}})
	}
	for c := uint32(1); c <= 8; c++ {
		r.step(packet(1, TypeAck, zx(1, c)))
	}
	r.stored()
	if ef := r.take(); len(ef.Deliver) != 8 || len(ef.Hangup) > 0 {
		t.Fatalf("delivered %v, hangs up %v", delivered(ef.Deliver), ef.Hangup)
	}
	r.step(Received{Link: 1, Packet: Packet{Type: TypeRequest, Zxid: noZxid, Data: []byte{1, 2, 3}}})
	if ef := r.take(); !slices.Equal(ef.Hangup, []LinkID{1}) || len(ef.Prepare) > 0 || !r.n.Serving() {
		t.Fatalf("a request of three bytes: hangs up %v, prepares %v", ef.Hangup, ef.Prepare)
	}
}

// TestTrap22_UnreadableEntryIsNotLogged: a leader that sends one is left, before it reaches the log.
func TestTrap22_UnreadableEntryIsNotLogged(t *testing.T) {
	for _, data := range [][]byte{nil, {1, 2, 3}, noneEntry(zx(1, 2)).Bytes, append([]byte{}, noneEntry(zx(1, 1)).Bytes[:35]...)} {
		r := newRig(t, 1, 0)
		r.follow(3, 1, 1)
		r.step(packet(1, TypeDiff, zx(1, 1)), Received{Link: 1, Packet: Packet{Type: TypeProposal, Zxid: zx(1, 1), Data: data}})
		if ef := r.take(); len(ef.Append) > 0 || !slices.Contains(ef.Hangup, 1) {
			t.Fatalf("%x: appends %v, hangs up %v", data, zxids(ef.Append), ef.Hangup)
		}
	}
}

// TestTrap23_OwnTailIsSentAsCommitted: a 3.9.5 follower acknowledges NEWLEADER without the proposals that had no COMMIT.
func TestTrap23_OwnTailIsSentAsCommitted(t *testing.T) {
	r := newRig(t, 3, 1, zx(1, 1), zx(1, 2))
	r.follow(2, 9, 2)
	r.step(packet(9, TypeDiff, zx(1, 2)), packet(9, TypeNewLeader, zx(2, 0)))
	r.stored()
	r.step(packet(9, TypeUpToDate, noZxid), proposal(9, zx(2, 1)), packet(9, TypeCommit, zx(2, 1)), proposal(9, zx(2, 2)))
	r.stored()
	r.step(Closed{9})
	r.take()
	r.lead(zx(1, 2))
	r.want("1: LEADERINFO 3.0, 1: DIFF 2.2, 1: PROPOSAL 2.1, 1: COMMIT 2.1, 1: PROPOSAL 2.2, 1: COMMIT 2.2, 1: NEWLEADER 3.0")
	r.step(packet(1, TypeAck, zx(3, 0)))
	ef := r.take()
	if !equal(delivered(ef.Deliver), []proto.Zxid{zx(2, 2), zx(3, 0)}) {
		t.Fatalf("delivered %v: the tail belongs to the history once a quorum has it", delivered(ef.Deliver))
	}
}

func TestTrap23_AckOfNewLeaderCoversNoOpenProposal(t *testing.T) {
	r := newRig(t, 3, 0)
	r.lead(0)
	r.step(packet(1, TypeAck, zx(1, 0)), Applied{zx(1, 0)})
	at := r.propose()
	r.step(Synced{at}, Closed{1})
	r.take()
	r.greet(2, 2)
	r.step(ackEpoch(2, zx(1, 0), -1))
	r.want("2: LEADERINFO 1.0, 2: DIFF 1.0, 2: PROPOSAL 1.1, 2: NEWLEADER 1.0")
	r.step(packet(2, TypeAck, zx(1, 0)), packet(2, TypeAck, zx(1, 0)))
	if ef := r.take(); len(ef.Deliver) > 0 {
		t.Fatalf("delivered %v", delivered(ef.Deliver))
	}
	r.step(packet(2, TypeAck, at))
	if ef := r.take(); !equal(delivered(ef.Deliver), []proto.Zxid{at}) {
		t.Fatalf("delivered %v", delivered(ef.Deliver))
	}
}

// TestTrap24_CommitsOfASynchronisationAreNoCommits: the leader dies when it has sent them, and the next one has never
// heard of them.
func TestTrap24_CommitsOfASynchronisationAreNoCommits(t *testing.T) {
	r := newRig(t, 1, 1, zx(1, 1))
	r.follow(3, 1, 2)
	r.step(packet(1, TypeDiff, zx(1, 3)))
	for c := uint32(2); c <= 3; c++ {
		r.step(proposal(1, zx(1, c)), packet(1, TypeCommit, zx(1, c)))
	}
	r.step(packet(1, TypeNewLeader, zx(2, 0)))
	if ef := r.take(); !equal(zxids(ef.Append), []proto.Zxid{zx(1, 2), zx(1, 3)}) || len(ef.Deliver) > 0 {
		t.Fatalf("appended %v, delivered %v", zxids(ef.Append), delivered(ef.Deliver))
	}
	r.stored()
	r.step(Closed{1})
	if ef := r.take(); len(ef.Deliver) > 0 || r.n.Committed() != 0 {
		t.Fatalf("delivered %v, committed %v", delivered(ef.Deliver), r.n.Committed())
	}
	r.follow(2, 2, 3)
	r.step(packet(2, TypeTrunc, zx(1, 1)))
	if ef := r.take(); len(ef.Store) != 1 || ef.Store[0] != (Truncate{To: zx(1, 1)}) {
		t.Fatalf("stored %+v: the tree has none of it, and stays", ef.Store)
	}
	r.step(Stored{Last: zx(1, 1)}, packet(2, TypeNewLeader, zx(3, 0)))
	r.stored()
	r.step(packet(2, TypeUpToDate, noZxid))
	if ef := r.take(); len(ef.Deliver) > 0 || ef.Fatal != nil || !r.n.Serving() {
		t.Fatalf("delivered %+v, %v", ef.Deliver, ef.Fatal)
	}
}

// TestTrap25_TruncationBelowATreeThatCame: what was received by SNAP and never served may be taken back; but no log
// reaches there. The server needs a whole tree, and has no vote before.
func TestTrap25_TruncationBelowATreeThatCame(t *testing.T) {
	r := newRig(t, 1, 0)
	r.follow(3, 1, 1)
	r.step(snap(1, zx(1, 9)), packet(1, TypeNewLeader, zx(1, 0)))
	r.stored()
	r.step(Closed{1})
	r.follow(2, 2, 2)
	r.step(packet(2, TypeTrunc, zx(1, 3)))
	if ef := r.take(); len(ef.Store) != 1 || ef.Store[0] != (Truncate{To: zx(1, 3), Rebuild: true}) {
		t.Fatalf("stored %+v", ef.Store)
	}
	r.step(Stored{NoBase: true})
	ef := r.take()
	if !slices.Contains(ef.Hangup, 2) || ef.Fatal != nil || ef.Ballots[0].Note.Zxid != noZxid {
		t.Fatalf("hangs up %v, votes %+v, %v", ef.Hangup, ef.Ballots, ef.Fatal)
	}
	for _, v := range votes(r.n, 2) {
		r.step(v)
	}
	r.step(Dialed{2, 3}, Received{Link: 3, Packet: Packet{Type: TypeLeaderInfo, Zxid: zx(2, 0), Data: jute.AppendInt(nil, protocolVersion)}})
	r.want("3: FOLLOWERINFO 2.0, 3: ACKEPOCH -1")
	r.step(snap(3, zx(2, 0)), packet(3, TypeNewLeader, zx(2, 0)))
	r.stored()
	r.want("3: ACK 2.0")
	r.step(packet(3, TypeUpToDate, noZxid))
	if ef := r.take(); len(ef.Deliver) != 1 || ef.Deliver[0].Tree != "tree at 2.0" {
		t.Fatalf("delivered %+v", ef.Deliver)
	}
}

func TestTrap25_TruncationBelowALiveTreeEndsTheServer(t *testing.T) {
	r := newRig(t, 1, 0)
	r.follow(3, 1, 1)
	r.step(snap(1, zx(1, 9)), packet(1, TypeNewLeader, zx(1, 0)))
	r.stored()
	r.step(packet(1, TypeUpToDate, noZxid), Closed{1})
	r.follow(2, 2, 2)
	r.step(packet(2, TypeTrunc, zx(1, 3)))
	var lost *LostHistoryError
	if ef := r.take(); len(ef.Store) > 0 || !errors.As(ef.Fatal, &lost) || lost.To != zx(1, 3) || lost.Committed != zx(1, 9) {
		t.Fatalf("stored %+v, %v", ef.Store, ef.Fatal)
	}
}

// TestTrap25_LearnerWithoutABaseGetsATree: its last zxid is -1.
func TestTrap25_LearnerWithoutABaseGetsATree(t *testing.T) {
	for _, k := range []struct {
		name string
		disk []proto.Zxid
	}{{"from a leader with entries", []proto.Zxid{zx(1, 1), zx(1, 2)}}, {"from a leader without", nil}} {
		t.Run(k.name, func(t *testing.T) {
			r := newRig(t, 3, 1, k.disk...)
			r.lead(noZxid, r.n.Logged())
			ef := r.take()
			if len(ef.FindLog) == 1 {
				r.step(LogFound{Link: 1})
				ef = r.take()
			}
			if len(ef.Stream) != 1 || !ef.Stream[0].Snapshot || ef.Stream[0].Link != 1 {
				t.Fatalf("looks for %+v, sends %+v", ef.FindLog, ef.Stream)
			}
		})
	}
}
