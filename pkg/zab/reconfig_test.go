package zab

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// activate is what the disk does with an active membership.
func (h *host) activate(c *ensemble.Config) {
	h.active = c
	if h.next != nil && h.next.Version <= c.Version {
		h.next = nil
	}
}

// changeMembers prepares a change of members, whose request is a list of them.
func (h *host) changeMembers(x *txn.Txn, s txn.Slot) {
	next, err := ensemble.ParseMembers(string(s.Request.Body))
	if err != nil {
		h.c.t.Fatal(err)
	}
	switch r := s.Reconfig; {
	case !r.Enabled:
		x.Err = proto.ReconfigDisabled
	case r.Pending:
		x.Err = proto.ReconfigInProgress
	case !next.Holds(func(id ensemble.ID) bool { return slices.Contains(r.InSync, id) }):
		x.Err = proto.NewConfigNoQuorum
	default:
		r.Pending = true
		x.Header.Type, x.Path, x.Version = proto.OpReconfig, "/zookeeper/config", -1
		x.Data = []byte(next.WithVersion(int64(s.Zxid)).Text())
	}
}

// servers returns a list of members: those with a negative number observe.
func servers(ids ...int) string {
	var lines []string
	for _, id := range ids {
		role := "participant"
		if id < 0 {
			id, role = -id, "observer"
		}
		lines = append(lines, fmt.Sprintf("server.%d=h%d:1:2:%s", id, id, role))
	}
	return strings.Join(lines, "\n")
}

func membersOf(t *testing.T, ids ...int) *ensemble.Config {
	t.Helper()
	c, err := ensemble.ParseConfig(servers(ids...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// changing starts the first servers of an ensemble that may change.
func changing(t *testing.T, seed uint64, ids ...int) *cluster {
	t.Helper()
	c := newCluster(t, seed, servers(ids...))
	c.changes = true
	for _, id := range c.ids() {
		c.hosts[id].start()
	}
	c.run("an ensemble", c.allServe(c.ids()...))
	return c
}

// join starts a server that knows some members, and waits until it follows.
func (c *cluster) join(id ensemble.ID, knows ...int) *host {
	c.t.Helper()
	c.add(id, membersOf(c.t, knows...))
	c.hosts[id].start()
	c.run("a newcomer", c.allServe(id))
	return c.hosts[id]
}

// change asks a server for other members, and waits until all that are among ids go by them.
func (c *cluster) change(at ensemble.ID, list string, ids ...ensemble.ID) {
	c.t.Helper()
	before := c.hosts[at].node.who.Active.Version
	c.hosts[at].step(Submit{[]*proto.Request{{Session: 7, Op: proto.OpReconfig, Body: []byte(list)}}})
	c.run("a change of members", func() bool {
		for _, id := range ids {
			h := c.hosts[id]
			if w := h.node.who; !h.node.Serving() || w.Next != nil || w.Active.Version <= before || h.active != w.Active || h.next != nil {
				return false
			}
		}
		return true
	})
}

func (c *cluster) elections() (n int) {
	for _, h := range c.hosts {
		n += h.node.Stats.Elections - h.node.Stats.Appointed
	}
	return n
}

// TestFirstVersion: a membership without a version gets that of the epoch in which it is first active.
func TestFirstVersion(t *testing.T) {
	for seed := range uint64(20) {
		c := changing(t, seed, 1, 2, -3)
		for _, h := range c.hosts {
			c.run("a version", func() bool {
				return h.node.who.Active.Version == 1<<32 && h.active == h.node.who.Active && h.next == nil
			})
		}
	}
}

// TestMembersChange: servers come, change their roles, and go, each time without an election.
func TestMembersChange(t *testing.T) {
	for seed := range uint64(30) {
		c := changing(t, seed, 1, 2, 3)
		c.write(1, 1, 1, 2, 3)
		c.join(4, 1, 2, 3, 4)
		if c.hosts[4].node.Role() != Following || c.leader().node.lead.quorum.Voters() != 3 {
			t.Fatalf("seed %d: server 4 is %v, of %d voters", seed, c.hosts[4].node.Role(), c.leader().node.lead.quorum.Voters())
		}
		before := c.elections()
		for i, step := range []struct {
			list string
			role Role
		}{
			{servers(1, 2, 3, 4), Following}, {servers(1, 2, 3, -4), Observing}, {servers(1, 2, 3, 4), Following}, {servers(1, 2, 3), Following},
		} {
			c.change(ensemble.ID(i%4+1), step.list, 1, 2, 3, 4)
			c.write(4, int32(10+i), 1, 2, 3, 4)
			want, _ := ensemble.ParseConfig(step.list)
			if l := c.leader().node; c.hosts[4].node.Role() != step.role || l.lead.quorum.Voters() != len(want.Voters()) || !l.who.Active.SameMembers(want) {
				t.Fatalf("seed %d, %d: server 4 is %v, of %d voters", seed, i, c.hosts[4].node.Role(), l.lead.quorum.Voters())
			}
		}
		if n := c.elections(); n != before {
			t.Fatalf("seed %d: %d elections\n%s", seed, n-before, strings.Join(c.said, "\n"))
		}
	}
}

// TestTrap04LeaderIsMovedWithoutElection: the leader leaves, or becomes an observer, and a server that it has named leads at
// once.
func TestTrap04LeaderIsMovedWithoutElection(t *testing.T) {
	for seed := range uint64(30) {
		for _, stays := range []bool{false, true} {
			c := changing(t, seed, 1, 2, 3)
			c.write(1, 1, 1, 2, 3)
			old := c.leader()
			var ids []int
			for _, id := range c.ids() {
				if id != old.id {
					ids = append(ids, int(id))
				} else if stays {
					ids = append(ids, -int(id))
				}
			}
			before, at := c.elections(), c.now
			c.change(ensemble.ID(1+seed%3), servers(ids...), 1, 2, 3)
			if l := c.leader(); l == nil || l == old || c.elections() != before || old.node.Role() == Leading {
				t.Fatalf("seed %d: %d elections\n%s", seed, c.elections()-before, strings.Join(c.said, "\n"))
			}
			if d := c.now - at; d > 0 {
				t.Fatalf("seed %d: it takes %v\n%s", seed, d, strings.Join(c.said, "\n"))
			}
			c.write(old.id, 5, 1, 2, 3)
			if want := map[bool]Role{false: Following, true: Observing}[stays]; old.node.Role() != want {
				t.Fatalf("seed %d: the old leader is %v", seed, old.node.Role())
			}
		}
	}
}

// TestSuggestedLeaderThatDies: only the first attempt goes without an election.
func TestSuggestedLeaderThatDies(t *testing.T) {
	for seed := range uint64(30) {
		c := changing(t, seed, 1, 2, 3, 4)
		old := c.leader()
		var ids []int
		for _, id := range c.others(old.id) {
			ids = append(ids, int(id))
		}
		old.step(Submit{[]*proto.Request{{Session: 7, Op: proto.OpReconfig, Body: []byte(servers(ids...))}}})
		c.run("a suggestion", func() bool { return old.node.lead == nil || old.node.lead.retired })
		if old.node.lead != nil {
			c.hosts[old.node.lead.successor].kill()
			rest := slices.DeleteFunc(c.ids(), func(id ensemble.ID) bool { return !c.hosts[id].up })
			c.run("another leader", c.allServe(rest...))
			c.write(rest[0], 9, rest...)
		}
	}
}

// TestChangeThatIsNotCommittedNeedsBoth: the leader dies when a change has reached some servers. Whatever becomes of it, all
// end with one membership and one history.
func TestChangeThatIsNotCommittedNeedsBoth(t *testing.T) {
	came := map[bool]int{}
	for seed := range uint64(60) {
		c := changing(t, seed, 1, 2, 3)
		c.write(1, 1, 1, 2, 3)
		c.join(4, 1, 2, 3, 4)
		c.join(5, 1, 2, 3, 5)
		l := c.leader()
		l.step(Submit{[]*proto.Request{{Session: 7, Op: proto.OpReconfig, Body: []byte(servers(1, 4, 5))}}})
		for range c.rng.IntN(40) {
			c.once()
		}
		for _, id := range c.ids() {
			if h := c.hosts[id]; h == l || c.rng.IntN(3) == 0 {
				h.kill()
			}
		}
		for range c.rng.IntN(100) {
			c.once()
		}
		for _, id := range c.ids() {
			if h := c.hosts[id]; !h.up {
				h.start()
			}
		}
		c.run("all", c.allServe(1, 2, 3, 4, 5))
		c.write(1, 99, 1, 2, 3, 4, 5)
		for _, h := range c.hosts {
			if w := h.node.who; w.Next != nil || w.Active.Text() != c.hosts[1].node.who.Active.Text() {
				t.Fatalf("seed %d: server %d goes by %q", seed, h.id, w.Active.Text())
			}
		}
		came[c.hosts[1].node.who.Active.IsVoter(4)]++
	}
	if came[true] == 0 || came[false] == 0 {
		t.Errorf("the change has come about or not: %v", came)
	}
}

// TestObserverThatIsToVote is needed when a leader finds the change in its log: no quorum of the new members is there without it.
// It comes as an observer, for the change is not active.
func TestObserverThatIsToVote(t *testing.T) {
	inherited := 0
	for seed := range uint64(40) {
		c := changing(t, seed, -1, 2, 3, 4)
		c.hosts[1].kill()
		c.leader().step(Submit{[]*proto.Request{{Session: 7, Op: proto.OpReconfig, Body: []byte(servers(1, 2, 3, -4))}}})
		c.run("a change that is logged", func() bool { return c.hosts[3].last().Counter() > 0 })
		for _, id := range c.ids()[1:] {
			c.hosts[id].kill()
		}
		if c.hosts[4].active.Version == c.hosts[3].active.Version && c.hosts[3].next != nil {
			inherited++
		}
		for _, id := range []ensemble.ID{1, 3, 4} {
			c.hosts[id].start()
		}
		c.run("an ensemble without server 2", c.allServe(1, 3, 4))
		c.write(1, 9, 1, 3, 4)
	}
	if inherited == 0 {
		t.Error("the change was committed each time")
	}
}
