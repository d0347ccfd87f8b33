package peer

import (
	"net"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
)

// TestLinkOfAServerThatIsDismissed: a connection that is made while the other server ceases to be a member is closed. Nobody else
// would ever do so.
func TestLinkOfAServerThatIsDismissed(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1)
	e := c.servers[1].peer.election
	gone := e.others[3]
	left, err := ensemble.NewConfig(c.members.Members[:2]...)
	if err != nil {
		t.Fatal(err)
	}
	e.follow(left, nil)
	e.mu.Lock()
	gone.next = looking(1)
	e.mu.Unlock()
	ours, theirs := net.Pipe()
	e.adopt(gone, ours)
	if n, err := theirs.Read(make([]byte, 1)); err == nil {
		t.Errorf("it sends %d bytes", n)
	}
}

// TestChangeThatCameToNothing leaves no link to those who would have joined.
func TestChangeThatCameToNothing(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1)
	p := c.servers[1].peer
	active, err := ensemble.NewConfig(c.members.Members[:2]...)
	if err != nil {
		t.Fatal(err)
	}
	p.election.follow(active, c.members.WithVersion(5))
	if p.election.others[3] == nil {
		t.Fatal("no link to server 3 is wanted")
	}
	p.election.follow(active, active)
	if p.election.others[3] != nil {
		t.Error("a link to server 3 is kept")
	}
}
