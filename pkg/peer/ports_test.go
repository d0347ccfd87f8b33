package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/zab"
)

// stranger connects to a port of the cluster.
func (c *cluster) stranger(address string) net.Conn {
	c.t.Helper()
	conn, err := c.net.Dial(c.t.Context(), "tcp", address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// say sends bytes and waits for the other end to close.
func (c *cluster) say(address string, b []byte) {
	c.t.Helper()
	conn := c.stranger(address)
	if _, err := conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Errorf("%s: %v", address, err)
	}
}

// forget lets everything be said again.
func (c *complaints) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.last)
}

func hello(version int64, id ensemble.ID, addrs ...ensemble.Addr) []byte {
	h := election.Hello{Version: version, ID: id, Addrs: addrs}
	return h.AppendTo(nil)
}

// TestBadInputIsSaidAndHarmsNobody sends what no peer sends to the ports of an ensemble that goes on to write.
func TestBadInputIsSaidAndHarmsNobody(t *testing.T) {
	c := newCluster(t, loopback(t), 3, 0)
	c.start(1, 2, 3)
	leader := c.awaitServing(1, 2, 3)
	id := leader.id
	oversized := zab.Packet{Type: zab.TypeFollowerInfo, Data: make([]byte, 2<<20)}
	snap := zab.Packet{Type: zab.TypeSnap}
	ack := zab.Packet{Type: zab.TypeAck}
	huge := jute.AppendInt(hello(election.HelloAddress, 1)[:16], 1<<30)
	for _, bad := range []struct {
		name, address string
		bytes         []byte
		line          []string
	}{
		{"text on the quorum port", quorumAddr(id), []byte("GET / HTTP/1.1\r\n\r\n"), []string{"link closed", "no packet of the quorum port", "127.0.0.1"}},
		{"an oversized packet", quorumAddr(id), oversized.AppendTo(nil)[:100], []string{"link closed", "a field of 2097152 bytes", "127.0.0.1"}},
		{"a tree from a learner", quorumAddr(id), snap.AppendTo(nil), []string{"SNAP comes from a leader only"}},
		{"no FOLLOWERINFO", quorumAddr(id), ack.AppendTo(nil), []string{"its first packet is ACK"}},
		{"text on the election port", electionAddr(id), []byte("\xffET / HTTP/1.1\r\n\r\n"), []string{"refused", "handshake", "127.0.0.1"}},
		{"an overlong address", electionAddr(id), huge, []string{"refused", "an address of 1073741824 bytes"}},
		{"our own id", electionAddr(id), hello(election.HelloLegacy, id), []string{"refused", "two servers with the same myid"}},
		{"an unknown id without an address", electionAddr(id), hello(election.HelloLegacy, 0), []string{"refused", "server 0 is not in this server's configuration"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			leader.peer.complaints.forget()
			c.say(bad.address, bad.bytes)
			c.awaitLine(id, bad.line...)
		})
	}
	for _, s := range c.servers {
		c.write(s, 1, 2, 3)
	}
	if st, _ := leader.peer.Status(); st.Stats.Elections != 1 {
		t.Errorf("%d elections", st.Stats.Elections)
	}
}

// TestAMessageThatIsNoneClosesOnlyItsLink sends frames of impossible length, and one that does not decode, as a member.
func TestAMessageThatIsNoneClosesOnlyItsLink(t *testing.T) {
	c := newCluster(t, loopback(t), 2, 0)
	c.start(1)
	for _, bad := range []struct {
		frame []byte
		line  string
	}{
		{[]byte{0, 0, 0, 0}, "a message of 0 bytes"},
		{[]byte{0, 8, 0, 1}, "a message of 524289 bytes"},
	} {
		c.say(electionAddr(1), append(hello(election.HelloLegacy, 2), bad.frame...))
		c.awaitLine(1, "a link on the election port is closed", bad.line, "peer=2")
		c.servers[1].peer.complaints.forget()
	}
	member := c.stranger(electionAddr(1))
	if _, err := member.Write(append(hello(election.HelloLegacy, 2), 0, 0, 0, 2, 1, 1)); err != nil {
		t.Fatal(err)
	}
	c.awaitLine(1, "a message on the election port is dropped", "peer=2")
	readNote(t, member) // the link is still there
}

// readNote reads a message.
func readNote(t *testing.T, conn io.Reader) election.Notification {
	t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	n, err := election.DecodeNotification(b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTheLastMessageIsSentAgain connects as a larger id, several times, by every version of the handshake: the vote of the
// server comes each time.
func TestTheLastMessageIsSentAgain(t *testing.T) {
	c := newCluster(t, loopback(t), 2, 0)
	c.tune = func(s *zab.Start, _ *Network) { s.MinNotification, s.MaxNotification = time.Hour, time.Hour } // never by itself
	c.start(1)
	for _, b := range [][]byte{
		hello(election.HelloLegacy, 2),
		hello(election.HelloAddress, 2, ensemble.Addr{Host: "s2", Port: 2}),
		hello(election.HelloAddresses, 2, ensemble.Addr{Host: "s2", Port: 2}, ensemble.Addr{Host: "other", Port: 2}),
	} {
		member := c.stranger(electionAddr(1))
		if _, err := member.Write(b); err != nil {
			t.Fatal(err)
		}
		if n := readNote(t, member); n.Leader != 1 || n.State != election.Looking || n.Config != c.members.Text() {
			t.Errorf("%+v", n)
		}
	}
}

// TestASmallerIDIsCalledBack connects as a smaller id, which is hung up on and called back, at the address it has given,
// or without one at the configured one.
func TestASmallerIDIsCalledBack(t *testing.T) {
	c := newCluster(t, loopback(t), 2, 0)
	configured, elsewhere := c.net.open(electionAddr(1)), c.net.open("elsewhere:9")
	defer configured.Close()
	defer elsewhere.Close()
	c.start(2)
	accept := func(l net.Listener) net.Conn {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		want := hello(election.HelloAddress, 2, ensemble.Addr{Host: "s2", Port: 2})
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("handshake %x, %v, want %x", got, err, want)
		}
		readNote(t, conn)
		return conn
	}
	first := accept(configured) // by itself
	c.say(electionAddr(2), hello(election.HelloAddress, 1, ensemble.Addr{Host: "elsewhere", Port: 9}))
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the link of a server that has lost its end: %v", err)
	}
	accept(elsewhere)
	c.say(electionAddr(2), hello(election.HelloLegacy, 1))
	accept(configured)
}

// TestWhoAsksIsNotKeptWaiting has an attempt under way that nobody answers when the other server asks to be called.
func TestWhoAsksIsNotKeptWaiting(t *testing.T) {
	n := loopback(t)
	n.silent[electionAddr(1)] = true
	c := newCluster(t, n, 2, 0)
	elsewhere := n.open("elsewhere:9")
	defer elsewhere.Close()
	c.start(2)
	c.say(electionAddr(2), hello(election.HelloAddress, 1, ensemble.Addr{Host: "elsewhere", Port: 9}))
	conn, err := elsewhere.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestAServerThatTakesAConnectionAndDiesIsKnownToBeDown resets the connection of a smaller id, as the host does for a
// process that was killed before it had read the handshake. The other voter's vote is then not waited for.
func TestAServerThatTakesAConnectionAndDiesIsKnownToBeDown(t *testing.T) {
	n := loopback(t)
	c := newCluster(t, n, 3, 0)
	dying := n.open(electionAddr(3))
	defer dying.Close()
	c.start(1)
	conn, err := dying.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // a close is a reset
		t.Fatal(err)
	}
	_ = conn.Close()
	again, err := dying.Accept() // at the next pause, and not when it would have had time to call back
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	e := c.servers[1].peer.election
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.others[3].asked.IsZero() {
		t.Error("the server waits to be called back by one that is gone")
	}
}

// TestAQuorumIsNotDelayedByAHostThatAnswersNothing has a voter whose addresses swallow everything.
func TestAQuorumIsNotDelayedByAHostThatAnswersNothing(t *testing.T) {
	n := loopback(t)
	n.silent[quorumAddr(3)], n.silent[electionAddr(3)] = true, true
	c := newCluster(t, n, 3, 0)
	c.start(1, 2)
	c.write(c.awaitServing(1, 2), 1, 2)
}

func TestTheFirstAddressThatAnswersCounts(t *testing.T) {
	n := loopback(t)
	n.silent["mute:1"] = true
	l := n.open("good:1")
	defer l.Close()
	addr := func(host string) ensemble.Addr { return ensemble.Addr{Host: host, Port: 1} }
	conn, err := dialAny(t.Context(), n.Dial, []ensemble.Addr{addr("mute"), addr("shut"), addr("good")})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if _, err := dialAny(t.Context(), n.Dial, []ensemble.Addr{addr("shut"), addr("gone")}); !refused(err) {
		t.Errorf("all addresses refuse: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dialAny(ctx, n.Dial, []ensemble.Addr{addr("shut"), addr("mute")}); err == nil || refused(err) {
		t.Errorf("one address is silent: %v", err)
	}
}

// pipes is a network without sockets, for tests in which time passes at once.
func pipes() *network {
	return &network{
		listen: func() net.Listener { return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})} },
		dial: func(ctx context.Context, l net.Listener) (net.Conn, error) {
			here, there := net.Pipe()
			select {
			case l.(*pipeListener).conns <- there:
				return here, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-l.(*pipeListener).closed:
				return nil, syscall.ECONNREFUSED
			}
		},
		ports: map[string]net.Listener{}, silent: map[string]bool{}, conns: map[string][]net.Conn{},
	}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// TestSilentPeersAreHungUpOn connects to both ports and says nothing, or half of a handshake.
func TestSilentPeersAreHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, pipes(), 3, 0)
		c.tune = func(_ *zab.Start, n *Network) { n.FirstPacket, n.HelloTimeout = 3*time.Second, 2*time.Second }
		c.start(1)
		for _, mute := range []struct {
			address string
			half    []byte
			after   time.Duration
			line    string
		}{
			{quorumAddr(1), []byte{0, 0, 0, 11}, 3 * time.Second, "a connection to the quorum port says nothing"},
			{electionAddr(1), hello(election.HelloAddress, 2, ensemble.Addr{Host: "s2", Port: 2})[:12], 2 * time.Second, "it does not say who it is"},
		} {
			conn := c.stranger(mute.address)
			begun := time.Now()
			if _, err := conn.Write(mute.half); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", mute.address, err)
			}
			if waited := time.Since(begun); waited != mute.after {
				t.Errorf("%s: hung up after %v, want %v", mute.address, waited, mute.after)
			}
			c.awaitLine(1, mute.line)
		}
		for _, s := range c.servers {
			s.stop()
		}
	})
}

// TestLinksAreDialedLessAndLessOften has a server alone: it tries its peers at once, then with growing pauses.
func TestLinksAreDialedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, pipes(), 3, 0)
		dials := 0
		c.tune = func(s *zab.Start, n *Network) {
			s.MinNotification, s.MaxNotification = time.Hour, time.Hour // whoever looks asks for links as well
			n.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
				if strings.HasPrefix(address, "s3") {
					c.note(func() { dials++ })
				}
				return nil, syscall.ECONNREFUSED
			}
		}
		c.start(1)
		<-time.After(time.Minute)
		synctest.Wait()
		c.servers[1].stop()
		if dials < 15 || dials > 25 { // 50 ms doubling to 5 s makes 8, and then one each 5 s
			t.Errorf("%d attempts in a minute", dials)
		}
	})
}

func TestFloodsAreBounded(t *testing.T) {
	d := newDoorkeeper(5, 3)
	for i, want := range []bool{true, true, true, false} {
		if got := d.enter("a"); got != want {
			t.Errorf("connection %d of a host: %v", i, got)
		}
	}
	for i, want := range []bool{true, true, false} {
		if got := d.enter("b"); got != want {
			t.Errorf("connection %d of another host: %v", i, got)
		}
	}
	d.leave("a")
	if !d.enter("b") {
		t.Error("a place that was left is not given away")
	}
}

func TestPortsAreTriedAgain(t *testing.T) {
	c := newCluster(t, loopback(t), 1, 0)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := taken.Addr().(*net.TCPAddr).Port
	ports := Ports{Retries: 1, Log: newLogger(c)}
	addrs := []ensemble.Addr{{Host: "127.0.0.1", Port: port}}
	if _, err := ports.Open(t.Context(), addrs); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Open() = %v", err)
	}
	ports.Retries = 0
	opened := make(chan []net.Listener)
	go func() {
		ls, err := ports.Open(t.Context(), addrs)
		if err != nil {
			t.Error(err)
		}
		opened <- ls
	}()
	c.awaitLine(0, "a port cannot be opened yet")
	_ = taken.Close()
	for _, l := range <-opened {
		_ = l.Close()
	}
	ports.AllIPs = true
	ls, err := ports.Open(t.Context(), append(addrs, ensemble.Addr{Host: "no.such.host.invalid", Port: port}))
	if err != nil || len(ls) != 1 || !ls[0].Addr().(*net.TCPAddr).IP.IsUnspecified() {
		t.Errorf("on all addresses: %v, %v", ls, err)
	}
	for _, l := range ls {
		_ = l.Close()
	}
}

// TestALinkThatIsNotReadIsClosed sends more to a peer than it takes.
func TestALinkThatIsNotReadIsClosed(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	c := newCluster(t, loopback(t), 1, 0)
	var events lane[linkEvent]
	events.wake = newWaker()
	q := &quorumPort{cfg: &Network{MaxPacket: 1 << 20}, events: &events, complaints: newComplaints(newLogger(c)), open: map[*link]struct{}{}, tasks: &sync.WaitGroup{}}
	l := newLink(q, here, false)
	q.start(l, func() {})
	p := zab.Packet{Type: zab.TypeProposal, Data: make([]byte, 1000)}
	sent := 0
	for l.send(&p, 100_000) {
		l.wake.poke()
		sent += p.Size()
	}
	if sent < 90_000 || sent > 110_000 {
		t.Errorf("%d bytes are queued", sent)
	}
	l.close(errOverflow)
	q.tasks.Wait()
	if got := events.take(); len(got) != 1 || got[0].kind != linkClosed {
		t.Errorf("%+v", got)
	}
	c.awaitLine(0, "link closed", errOverflow.Error())
	if _, err := here.Write(nil); !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, os.ErrClosed) {
		t.Errorf("the connection: %v", err)
	}
}
