package zab

import (
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
)

const withObserver = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\n" +
	"server.4=d:1:2:observer\nversion=0"

// settled starts all servers and waits until they serve.
func settled(t *testing.T, seed uint64, config string) *cluster {
	t.Helper()
	c := newCluster(t, seed, config)
	for _, id := range c.ids() {
		c.hosts[id].start()
	}
	c.run("an ensemble", c.allServe(c.ids()...))
	return c
}

// follower returns a server with a vote that follows.
func (c *cluster) follower() *host {
	for _, id := range c.ids() {
		if h := c.hosts[id]; h.up && h.node.Role() == Following {
			return h
		}
	}
	c.t.Fatal("nobody follows")
	return nil
}

func (c *cluster) others(id ensemble.ID) []ensemble.ID {
	return slices.DeleteFunc(c.ids(), func(o ensemble.ID) bool { return o == id })
}

func TestReturningFollowerGetsWhatItMissed(t *testing.T) {
	for _, k := range []struct {
		name   string
		missed int32
		wiped  bool
		packet string
	}{
		{"from memory", 3, false, "DIFF"}, {"from the log's files", 40, false, "DIFF"}, {"the whole tree", 8, true, "SNAP"},
	} {
		t.Run(k.name, func(t *testing.T) {
			for seed := range uint64(20) {
				c := settled(t, seed, threeServers)
				c.write(1, 1, 1, 2, 3)
				f := c.follower()
				f.kill()
				rest := c.others(f.id)
				for i := range k.missed {
					c.write(rest[i%2], 10+i, rest...)
				}
				if k.wiped {
					f.log, f.base, f.below, f.accepted, f.current = nil, 0, nil, 0, 0
					for _, id := range rest { // no log that reaches back to its beginning
						h := c.hosts[id]
						h.base, h.log, h.below = h.last(), nil, slices.Clone(h.tree)
					}
				}
				clear(f.got)
				f.start()
				c.run("the follower", c.allServe(1, 2, 3))
				c.write(f.id, 99, 1, 2, 3)
				if f.got[k.packet] != 1 {
					t.Fatalf("seed %d: it got %v, want one %s", seed, f.got, k.packet)
				}
			}
		})
	}
}

// TestTailThatNobodyAcknowledgedIsDropped: server 3 leads and logs entries alone. The others go on without it.
func TestTailThatNobodyAcknowledgedIsDropped(t *testing.T) {
	for seed := range uint64(20) {
		for _, alone := range []bool{true, false} {
			c := settled(t, seed, threeServers)
			c.write(2, 1, 1, 2, 3)
			old := c.leader()
			rest := c.others(old.id)
			before := old.last()
			for link, w := range c.wires { // the followers hear no more of it
				if w.open && w.acceptor == old.id {
					c.cut(link)
					w.to[w.dialer].events = nil
				}
			}
			old.step(Submit{[]*proto.Request{{Session: 1, Xid: 5, Op: proto.OpSetData}, {Session: 1, Xid: 6, Op: proto.OpSetData}}})
			for old.last() == before && c.once() {
			}
			if old.last() == before {
				t.Fatal("the old leader has logged nothing")
			}
			old.kill()
			for _, id := range rest { // and notice it in time
				f := c.hosts[id].node.follow
				if f != nil {
					c.hosts[id].step(Closed{f.link})
				}
			}
			c.run("another leader", c.allServe(rest...))
			if !alone {
				c.write(rest[0], 20, rest...)
			}
			clear(old.got)
			old.start()
			c.run("the old leader", c.allServe(1, 2, 3))
			c.write(old.id, 30, 1, 2, 3)
			want := "TRUNC"
			if !alone {
				want = "SNAP" // once the new epoch has an entry, nobody can tell where the old one ended
			}
			if old.got[want] != 1 {
				t.Fatalf("seed %d: it got %v, want one %s\n%v", seed, old.got, want, c.said)
			}
		}
	}
}

func TestObserverHearsOfCommittedEntriesOnly(t *testing.T) {
	for seed := range uint64(20) {
		c := settled(t, seed, withObserver)
		o := c.hosts[4]
		if o.node.Role() != Observing {
			t.Fatalf("server 4 is %v", o.node.Role())
		}
		clear(o.got)
		for i := range int32(5) {
			c.write(ensemble.ID(1+i%4), i, 1, 2, 3, 4)
		}
		if o.got["INFORM"] != 5 || o.got["PROPOSAL"]+o.got["COMMIT"] > 0 {
			t.Fatalf("seed %d: the observer got %v", seed, o.got)
		}
		o.kill()
		c.write(1, 50, 1, 2, 3)
		o.start()
		c.run("the observer", c.allServe(4))
		c.write(4, 51, 1, 2, 3, 4)
		if voters, of, others := c.leader().node.Synced(); voters != 3 || of != 3 || others != 1 {
			t.Fatalf("%d of %d voters and %d others in sync", voters, of, others)
		}
	}
}

func TestSessionBelongsToWhoeverHasItsClient(t *testing.T) {
	for seed := range uint64(20) {
		c := settled(t, seed, threeServers)
		l := c.leader()
		rest := c.others(l.id)
		a, b := c.hosts[rest[0]], c.hosts[rest[1]]
		a.step(Submit{[]*proto.Request{{Session: 5, Op: proto.OpCreateSession, Body: []byte{0, 0, 3, 232}}}})
		c.run("a session", func() bool { return len(b.tree) == 1 && len(l.tree) == 1 && len(a.tree) == 1 })
		b.step(Revalidate{session.Touch{ID: 5, Timeout: 1000}})
		b.step(Revalidate{session.Touch{ID: 6, Timeout: 1000}})
		c.run("answers", func() bool { return len(b.validated) == 2 })
		if !b.validated[0].OK || b.validated[1].OK {
			t.Fatalf("%+v", b.validated)
		}
		a.step(Submit{[]*proto.Request{{Session: 5, Xid: 1, Op: proto.OpSetData}}})
		c.run("a refusal", func() bool { return len(l.log) == 2 })
		if code := l.log[1].Bytes[len(l.log[1].Bytes)-4:]; !slices.Equal(code, []byte{0xff, 0xff, 0xff, 0x8a}) {
			t.Fatalf("the old server's write became %x, want -118", code)
		}
	}
}

func TestSyncComesBehindWhatWasProposed(t *testing.T) {
	for seed := range uint64(20) {
		c := settled(t, seed, threeServers)
		f := c.follower()
		f.step(Submit{[]*proto.Request{
			{Session: 1, Xid: 1, Op: proto.OpSetData}, {Session: 1, Xid: 2, Op: proto.OpSync}, {Session: 1, Xid: 3, Op: proto.OpSetData},
		}})
		c.run("the sync", func() bool { return f.syncs == 1 })
		if len(f.tree) < 1 {
			t.Fatalf("seed %d: the sync came before the write", seed)
		}
		l := c.leader()
		l.step(Submit{[]*proto.Request{{Session: 1, Op: proto.OpSetData}, {Session: 1, Op: proto.OpSync}}})
		c.run("the leader's own sync", func() bool { return l.syncs == 1 })
	}
}

// TestNothingIsLostWhereServersComeAndGo kills and starts servers at random while clients write.
func TestNothingIsLostWhereServersComeAndGo(t *testing.T) {
	for seed := range uint64(40) {
		c := settled(t, seed, withObserver)
		xid := int32(0)
		for range 30 {
			id := c.ids()[c.rng.IntN(4)]
			h := c.hosts[id]
			if h.up {
				h.kill()
			} else {
				h.start()
			}
			for range c.rng.IntN(200) {
				if at := c.hosts[c.ids()[c.rng.IntN(4)]]; at.up && c.rng.IntN(10) == 0 {
					xid++
					at.step(Submit{[]*proto.Request{{Session: 9, Xid: xid, Op: proto.OpSetData}}})
				}
				c.once()
			}
		}
		longest := c.hosts[1]
		for _, id := range c.ids() {
			if h := c.hosts[id]; h.up && h.node.Serving() && len(h.tree) > len(longest.tree) {
				longest = h
			}
		}
		committed := slices.Clone(longest.tree)
		serving := longest.up && longest.node.Serving()
		for _, id := range c.ids() {
			if !c.hosts[id].up {
				c.hosts[id].start()
			}
		}
		c.run("all", c.allServe(c.ids()...))
		c.write(1, 9999, c.ids()...)
		if serving && !slices.Equal(committed, c.hosts[2].tree[:len(committed)]) {
			t.Fatalf("seed %d: %v was served, and now it is %v", seed, committed, c.hosts[2].tree)
		}
	}
}

// TestVoterThatHasPromisedMoreIsTakenIn: server 1 was about to lead an epoch that came to nothing, and the others have
// begun one before it.
func TestVoterThatHasPromisedMoreIsTakenIn(t *testing.T) {
	for seed := range uint64(20) {
		c := settled(t, seed, threeServers)
		c.write(1, 1, 1, 2, 3)
		f := c.follower()
		f.kill()
		f.accepted++
		c.write(c.leader().id, 2, c.others(f.id)...)
		f.start()
		c.run("all three", c.allServe(1, 2, 3))
		c.write(f.id, 3, 1, 2, 3)
		if e := c.leader().node.Epoch(); e <= f.accepted-1 {
			t.Fatalf("seed %d: epoch %d, and server %d had promised to follow none before %d", seed, e, f.id, f.accepted)
		}
	}
}
