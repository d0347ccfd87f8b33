package peer

import (
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/zab"
)

func TestThreeServersElectWriteAndOutliveTheirLeader(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1, 2, 3)
	leader := c.awaitServing(1, 2, 3)
	for _, s := range c.servers {
		c.write(s, 1, 2, 3)
	}
	c.sameHistory(1, 2, 3)
	leader.stop()
	left := slices.DeleteFunc([]ensemble.ID{1, 2, 3}, func(id ensemble.ID) bool { return id == leader.id })
	c.awaitServing(left...)
	for _, id := range left {
		c.write(c.servers[id], left...)
	}
	c.start(leader.id)
	c.awaitServing(1, 2, 3)
	c.write(leader, 1, 2, 3)
	c.sameHistory(1, 2, 3)
}

func TestTheThirdServerFollowsTheTwoThatElectedALeader(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 1)
	c.start(1)
	c.start(2)
	if leader := c.awaitServing(1, 2); leader.id != 2 {
		t.Errorf("server %d leads, want the higher id", leader.id)
	}
	c.write(c.servers[1], 1, 2)
	c.start(3, 4)
	c.awaitServing(1, 2, 3, 4)
	if got := c.servers[3].peer.Role(); got != zab.Following {
		t.Errorf("server 3 is %v", got)
	}
	if got := c.servers[4].peer.Role(); got != zab.Observing {
		t.Errorf("server 4 is %v", got)
	}
	for id := range ensemble.ID(4) {
		c.write(c.servers[id+1], 1, 2, 3, 4)
	}
	c.sameHistory(1, 2, 3, 4)
}

func TestALearnerWhoseLinkIsCutComesBack(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1, 2, 3)
	for range 3 {
		c.net.cut(quorumAddr(c.awaitServing(1, 2, 3).id))
		for _, s := range c.servers {
			s.peer.Submit([]*proto.Request{{Session: 1, Xid: 0, Op: proto.OpSetData}}) // may be lost with the link
		}
		c.write(c.servers[1], 1, 2, 3)
	}
	c.awaitServing(1, 2, 3)
	for _, s := range c.servers {
		c.write(s, 1, 2, 3) // comes behind whatever was not lost
	}
	c.sameHistory(1, 2, 3)
}

// TestWaysToBringALearnerUp lets a server join late: by its leader's memory, by the log's files, and by the whole tree.
func TestWaysToBringALearnerUp(t *testing.T) {
	for _, way := range []struct {
		name     string
		kept     int
		usable   bool
		stat     func(zab.Stats) int
		searches int
	}{
		{"memory", 500, true, func(s zab.Stats) int { return s.Diffs }, 0},
		{"log", 3, true, func(s zab.Stats) int { return s.DiffFromLog }, 1},
		{"tree", 3, false, func(s zab.Stats) int { return s.Snaps }, 1},
	} {
		t.Run(way.name, func(t *testing.T) {
			c := newCluster(t, loopback(t), 3, 0)
			c.tune = func(s *zab.Start, _ *Network) { s.CommitLogCap = way.kept }
			c.start(1, 2, 3)
			c.awaitServing(1, 2, 3)
			c.write(c.servers[3], 1, 2, 3)
			c.servers[1].stop()
			leader := c.awaitServing(2, 3)
			leader.disk.usable = way.usable
			for range 20 {
				c.write(leader, 2, 3)
			}
			before, _ := leader.peer.Status()
			searches := leader.disk.finds
			c.start(1)
			c.awaitServing(1, 2, 3)
			c.write(c.servers[1], 1, 2, 3)
			c.sameHistory(1, 2, 3)
			after, ok := leader.peer.Status()
			if !ok || way.stat(after.Stats) != way.stat(before.Stats)+1 || leader.disk.finds != searches+way.searches {
				t.Errorf("%+v, then %+v; the log was searched %d times", before.Stats, after.Stats, leader.disk.finds)
			}
			if after.InSync != 3 || after.Voters != 3 || after.Learners != 2 || after.Seen != 3 {
				t.Errorf("status %+v: %v", after, after)
			}
			c.servers[1].stop()
			c.start(1) // from what it has been given
			c.awaitServing(1, 2, 3)
			c.write(c.servers[1], 1, 2, 3)
			c.sameHistory(1, 2, 3)
		})
	}
}

func TestSyncsAndRevalidationsAreAnsweredAtEveryServer(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1, 2, 3)
	c.awaitServing(1, 2, 3)
	for id, s := range c.servers {
		s.peer.Submit([]*proto.Request{{Session: 1, Xid: int32(id), Op: proto.OpSync}})
		c.await(func() bool { return slices.Contains(s.service.synced, int32(id)) })
		s.peer.Revalidate(int64(id), 0)
		c.await(func() bool { _, answered := s.service.valid[int64(id)]; return answered })
		if s.service.valid[int64(id)] {
			t.Errorf("server %d says that a session lives that nobody has opened", id)
		}
	}
}
