package peer

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
)

// looking is what a server says that looks for a leader.
func looking(id ensemble.ID) []byte {
	n := election.Notification{Vote: election.Vote{Leader: id, Round: 1}, State: election.Looking, Version: 2}
	return frame(&n)
}

// TestStrangersLearnWhoLeads: a server with a list that we do not have, which names us, gets a link like any other, opened by
// the larger id, and the same answer as an observer. The election goes on without it.
func TestStrangersLearnWhoLeads(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1, 2, 3)
	leader := c.awaitServing(1, 2, 3).id
	larger := c.stranger(electionAddr(leader))
	if _, err := larger.Write(append(hello(election.HelloLegacy, 77), looking(77)...)); err != nil {
		t.Fatal(err)
	}
	elsewhere := c.net.open("elsewhere:9")
	defer elsewhere.Close()
	c.say(electionAddr(leader), hello(election.HelloAddress, 0, ensemble.Addr{Host: "elsewhere", Port: 9}))
	smaller, err := elsewhere.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer smaller.Close()
	greeting := make([]byte, len(hello(election.HelloAddress, leader, c.members.Members[leader-1].Election...)))
	if _, err := io.ReadFull(smaller, greeting); err != nil || ensemble.ID(binary.BigEndian.Uint64(greeting[8:])) != leader {
		t.Fatalf("handshake %x, %v", greeting, err)
	}
	if _, err := smaller.Write(looking(0)); err != nil {
		t.Fatal(err)
	}
	for id, conn := range map[string]io.Reader{"77": larger, "0": smaller} {
		if n := readNote(t, conn); n.Leader != leader || n.State != election.Leading || n.Config != c.members.Text() {
			t.Errorf("server %s is told %+v", id, n)
		}
	}
	for _, s := range c.servers {
		c.write(s, 1, 2, 3)
	}
	if st, _ := c.servers[leader].peer.Status(); st.Stats.Elections != 1 {
		t.Errorf("%d elections", st.Stats.Elections)
	}
}

// TestStrangersAreFewAndForgotten has more of them come than may, and one of them go.
func TestStrangersAreFewAndForgotten(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1, 2, 3)
	c.awaitServing(1, 2, 3)
	come := func(id ensemble.ID) io.ReadCloser {
		conn := c.stranger(electionAddr(1))
		if _, err := conn.Write(append(hello(election.HelloLegacy, id), looking(id)...)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	var first io.Closer
	for id := ensemble.ID(100); id < 100+mostStrangers; id++ {
		conn := come(id)
		readNote(t, conn)
		if first == nil {
			first = conn
		}
	}
	c.servers[1].peer.complaints.forget() // of the start, when a link may have been dropped for another
	_ = come(200)
	c.awaitLine(1, "refused", "server 200 is not in this server's configuration, and 16 others")
	_ = first.Close()
	for answer := make([]byte, 1); ; { // refused until the place is free
		if _, err := come(201).Read(answer); err == nil {
			return
		}
	}
}
