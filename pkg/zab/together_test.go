package zab

import (
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// follows lets a node with some extensions follow server 3 by link 1, in epoch 1, until it serves.
func (r *rig) follows(extensions uint64) {
	r.t.Helper()
	r.follow(3, 1, 1)
	r.n.follow.extensions = extensions
	r.step(packet(1, TypeDiff, 0), packet(1, TypeNewLeader, zx(1, 0)))
	r.stored()
	r.step(packet(1, TypeUpToDate, noZxid))
	r.take()
}

// TestFollowerCommitsWithTheLeader: what the leader says it has stored, and we have, is committed. Neither alone is.
func TestFollowerCommitsWithTheLeader(t *testing.T) {
	one, two := zx(1, 1), zx(1, 2)
	for _, k := range []struct {
		name       string
		extensions uint64
		says       []Input
		delivered  []proto.Zxid
	}{
		{"ours first", AllExtensions, []Input{Synced{two}, packet(1, TypeAck, two)}, []proto.Zxid{one, two}},
		{"the leader's first", AllExtensions, []Input{packet(1, TypeAck, two), Synced{two}}, []proto.Zxid{one, two}},
		{"the leader's alone", AllExtensions, []Input{packet(1, TypeAck, two)}, nil},
		{"ours alone", AllExtensions, []Input{Synced{two}}, nil},
		{"the leader has less", AllExtensions, []Input{Synced{two}, packet(1, TypeAck, one)}, []proto.Zxid{one}},
		{"we have less", AllExtensions, []Input{packet(1, TypeAck, two), Synced{one}}, []proto.Zxid{one}},
		{"an older leader does not mean it", CumulativeAck | CumulativeCommit, []Input{Synced{two}, packet(1, TypeAck, two)}, nil},
		{"a commit of what is committed", AllExtensions, []Input{packet(1, TypeAck, one), Synced{one}, packet(1, TypeCommit, one)}, []proto.Zxid{one}},
	} {
		t.Run(k.name, func(t *testing.T) {
			r := newRig(t, 1, 0)
			r.follows(k.extensions)
			r.step(proposal(1, one), proposal(1, two))
			r.step(k.says...)
			if got := delivered(r.take().Deliver); !equal(got, k.delivered) {
				t.Errorf("delivered %v, want %v", got, k.delivered)
			}
		})
	}
}

// leads lets server 3 of an ensemble lead the others, which have all extensions and serve.
func leads(t *testing.T, config string, voters int) *rig {
	t.Helper()
	r := newRig(t, 3, 0)
	members, err := ensemble.ParseConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	r.lead(0, 0)
	for _, link := range []LinkID{1, 2} {
		r.step(packet(link, TypeAck, zx(1, 0)))
		r.n.learner(link).extensions = AllExtensions
	}
	r.step(Applied{zx(1, 0)})
	if r.n.lead.quorum = members.Quorum(); r.n.lead.quorum.Voters() != voters {
		t.Fatalf("%d voters", r.n.lead.quorum.Voters())
	}
	r.n.lead.acked = append(r.n.lead.acked, make([]proto.Zxid, max(0, voters-3))...)
	r.take()
	return r
}

// asks lets a learner's client write; the entry is proposed.
func (r *rig) asks(link LinkID) proto.Zxid {
	r.step(Received{Link: link, Packet: requestPacket(&proto.Request{Session: 9, Xid: 1, Op: proto.OpSetData})})
	at := r.n.lead.assigned
	r.take()
	r.step(Propose{[]txn.Entry{noneEntry(at)}})
	r.take()
	return at
}

const fiveServers = threeServers + "\nserver.4=d:1:2:participant\nserver.5=e:1:2:participant"

// TestLeaderAssuresWhoWaits: of three servers, the one whose client waits hears of the leader's disk, and no COMMIT when it
// can tell by itself.
func TestLeaderAssuresWhoWaits(t *testing.T) {
	t.Run("its own disk is last", func(t *testing.T) {
		r := leads(t, threeServers, 3)
		at := r.asks(1)
		r.step(Synced{at})
		r.want("1: ACK 1.1")
		r.step(packet(1, TypeAck, at))
		r.want("2: COMMIT 1.1")
		r.step(packet(2, TypeAck, at))
		r.want("")
	})
	t.Run("another's disk is faster", func(t *testing.T) {
		r := leads(t, threeServers, 3)
		at := r.asks(1)
		r.step(Synced{at})
		r.want("1: ACK 1.1")
		r.step(packet(2, TypeAck, at))
		r.want("1: COMMIT 1.1, 2: COMMIT 1.1")
	})
	t.Run("the leader's disk is last", func(t *testing.T) {
		r := leads(t, threeServers, 3)
		at := r.asks(1)
		r.step(packet(1, TypeAck, at))
		r.want("")
		r.step(Synced{at})
		r.want("1: COMMIT 1.1, 2: COMMIT 1.1")
	})
	t.Run("nobody waits", func(t *testing.T) {
		r := leads(t, threeServers, 3)
		at := r.propose()
		r.take()
		r.step(Synced{at})
		r.want("")
	})
	t.Run("a sync waits: its answer comes first", func(t *testing.T) {
		r := leads(t, threeServers, 3)
		first := r.asks(1)
		r.step(Received{Link: 1, Packet: requestPacket(&proto.Request{Session: 9, Xid: 2, Op: proto.OpSync})})
		second := r.asks(1)
		r.step(Synced{second})
		r.want("")
		r.step(packet(1, TypeAck, second))
		r.want("1: COMMIT 1.1, 2: COMMIT 1.1, 1: SYNC 0.0, 1: COMMIT 1.2, 2: COMMIT 1.2")
		if first >= second {
			t.Fatal("the writes have one place")
		}
	})
	t.Run("two are no quorum of five", func(t *testing.T) {
		r := leads(t, fiveServers, 5)
		r.step(Synced{r.asks(1)})
		r.want("")
	})
	t.Run("an older peer", func(t *testing.T) {
		r := leads(t, threeServers, 3)
		r.n.learner(1).extensions = CumulativeAck | CumulativeCommit
		at := r.asks(1)
		r.step(Synced{at})
		r.want("")
		r.step(packet(1, TypeAck, at))
		r.want("1: COMMIT 1.1, 2: COMMIT 1.1")
	})
}

// TestLeaderLetsAFollowerKeepItsProposals: a follower that comes back in the same epoch may have committed what its leader
// does not know to be committed. It is not cut.
func TestLeaderLetsAFollowerKeepItsProposals(t *testing.T) {
	for _, k := range []struct {
		name       string
		extensions uint64
		says       string
	}{
		{"it may have committed them", AllExtensions, "3: DIFF 1.0, 3: PROPOSAL 1.1, 3: NEWLEADER 1.0"},
		{"it cannot have", CumulativeAck | CumulativeCommit, "3: TRUNC 1.0, 3: PROPOSAL 1.1, 3: NEWLEADER 1.0"},
	} {
		t.Run(k.name, func(t *testing.T) {
			r := leads(t, threeServers, 3)
			at := r.asks(1)
			r.step(Synced{at}, Closed{1})
			r.take()
			r.n.cfg.Extensions = AllExtensions
			info := learnerInfo{id: 1, version: protocolVersion, extensions: k.extensions}
			r.step(Accepted{3}, Received{Link: 3, Packet: Packet{Type: TypeFollowerInfo, Zxid: zx(1, 0), Data: info.appendTo(nil)}})
			r.take()
			r.step(ackEpoch(3, at, -1))
			r.want(k.says)
		})
	}
}

// TestFollowerThatComesBackInTheSameEpoch has proposals that its leader does not call committed. If it knows better it goes
// on; if it does not, because it has recovered them from its disk, it shows them to nobody until it does.
func TestFollowerThatComesBackInTheSameEpoch(t *testing.T) {
	one, two := zx(1, 1), zx(1, 2)
	back := func(r *rig) {
		r.n.follow.extensions = AllExtensions
		r.step(packet(2, TypeDiff, one), proposal(2, two), packet(2, TypeNewLeader, zx(1, 0)))
		r.stored()
		r.take()
		r.step(packet(2, TypeUpToDate, noZxid))
	}
	t.Run("it has committed them", func(t *testing.T) {
		r := newRig(t, 1, 0)
		r.follows(AllExtensions)
		r.step(proposal(1, one), proposal(1, two), Synced{two}, packet(1, TypeAck, two), Closed{1})
		r.take()
		r.follow(3, 2, 1)
		back(r)
		if ef := r.take(); ef.Fatal != nil || len(ef.Deliver)+len(ef.Store) > 0 || !r.n.Serving() || r.n.Logged() != two {
			t.Errorf("serving %v, logged %v, %+v", r.n.Serving(), r.n.Logged(), ef)
		}
	})
	t.Run("it has recovered them", func(t *testing.T) {
		for name, in := range map[string][]Input{
			"COMMIT": {packet(2, TypeCommit, two)}, "our disks": {packet(2, TypeAck, two)},
		} {
			r := newRig(t, 1, 1, one, two)
			r.follow(3, 2, 1)
			back(r)
			r.want("2: ACK 1.0, 2: ACK 1.2")
			if r.n.Serving() {
				t.Fatal("it serves what nobody has committed")
			}
			if r.step(in...); !r.n.Serving() {
				t.Errorf("%s: it does not serve", name)
			}
		}
	})
}
