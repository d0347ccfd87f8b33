package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/peer"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/zab"
)

// A stage is for members of an ensemble in a bubble of package synctest, where time passes at once: a disk in memory, and
// a network of pipes in which the test plays the servers that are not there. Server N is 240.0.0.N:2888:3888,
// which is the address of no host.
type stage struct {
	t   *testing.T
	out *lockedBuffer // the log of all

	mu     sync.Mutex // guards what follows
	ports  map[string]*pipes
	asked  []attempt // in the order in which they began
	shut   bool      // who is not there refuses, instead of saying nothing
	frozen bool      // nothing that is written arrives
}

// attempt is one try of a server to reach an address, as far as nobody answered.
type attempt struct {
	address string
	at      time.Time
	took    time.Duration // until it was given up; 0 = not yet
}

func newStage(t *testing.T) *stage {
	return &stage{t: t, out: &lockedBuffer{}, ports: make(map[string]*pipes)}
}

const (
	quorumOf   = "240.0.0.%d:2888"
	electionOf = "240.0.0.%d:3888"
)

// start starts a member of three with these settings; a tick is a second.
func (g *stage) start(id ensemble.ID, lines string) *Server {
	g.t.Helper()
	return g.startFrom(id, g.zooCfg(id, lines), vfs.NewMem(1))
}

// zooCfg writes the settings of a member.
func (g *stage) zooCfg(id ensemble.ID, lines string) (file string) {
	g.t.Helper()
	dir, text := g.t.TempDir(), "tickTime=1000\ninitLimit=20\nsyncLimit=10\nclientPort=2181\n"
	if !strings.Contains(lines, "server.1") {
		for n := 1; n <= 3; n++ {
			text += fmt.Sprintf("server.%d=240.0.0.%d:2888:3888\n", n, n)
		}
	}
	file = filepath.Join(dir, "zoo.cfg")
	if err := errors.Join(os.WriteFile(file, []byte("dataDir="+dir+"\n"+text+lines), 0o600), os.WriteFile(filepath.Join(dir, "myid"), fmt.Append(nil, id), 0o600)); err != nil {
		g.t.Fatal(err)
	}
	return file
}

// startFrom starts a member with the settings and the disk that it has.
func (g *stage) startFrom(id ensemble.ID, file string, disk vfs.FS) *Server {
	g.t.Helper()
	cfg, _, err := config.Load(file, nil, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	s, err := Start(g.t.Context(), cfg, Options{
		Log: slog.New(slog.NewTextHandler(g.out, nil)), Version: "test", FS: disk, Dial: g.dial,
		Listeners: []net.Listener{newPipes()},
		Quorum:    []net.Listener{g.open(fmt.Sprintf(quorumOf, id))}, Election: []net.Listener{g.open(fmt.Sprintf(electionOf, id))},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func (g *stage) open(address string) *pipes {
	l := newPipes()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ports[address] = l
	return l
}

func (g *stage) dial(ctx context.Context, _, address string) (net.Conn, error) {
	g.mu.Lock()
	l, shut, n := g.ports[address], g.shut, len(g.asked)
	if l == nil {
		g.asked = append(g.asked, attempt{address: address, at: time.Now()})
	}
	g.mu.Unlock()
	switch {
	case l != nil:
		here, there := net.Pipe()
		return cable{here, g}, l.bring(ctx, cable{there, g})
	case shut:
		return nil, syscall.ECONNREFUSED
	}
	<-ctx.Done()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[n].took = time.Since(g.asked[n].at)
	return nil, ctx.Err()
}

// cable is one end of a connection.
type cable struct {
	net.Conn
	g *stage
}

func (c cable) Write(b []byte) (int, error) {
	c.g.mu.Lock()
	frozen := c.g.frozen
	c.g.mu.Unlock()
	if frozen {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// freeze cuts all cables, which nobody is told.
func (g *stage) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.frozen = true
}

// attempts returns those for an address.
func (g *stage) attempts(address string) []attempt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.asked), func(a attempt) bool { return a.address != address })
}

// connect is a connection that somebody makes to a server.
func (g *stage) connect(address string) net.Conn {
	g.t.Helper()
	c, err := g.dial(g.t.Context(), "tcp", address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	return c
}

// voter connects to the election port of server 1 as a server of a larger id.
func (g *stage) voter(id ensemble.ID) net.Conn {
	g.t.Helper()
	c := g.connect(fmt.Sprintf(electionOf, 1))
	h := election.Hello{Version: election.HelloLegacy, ID: id}
	if _, err := c.Write(h.AppendTo(nil)); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// vote has the two other servers say that one of the three leads, or that they vote for it.
func (g *stage) vote(leader ensemble.ID, states map[ensemble.ID]election.State) {
	g.t.Helper()
	for id, state := range states {
		c := g.voter(id)
		go func() { _, _ = io.Copy(io.Discard, c) }()
		n := election.Notification{State: state, Vote: election.Vote{Leader: leader, Round: 1}, Version: 2}
		b := n.AppendTo(nil)
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
			g.t.Fatal(err)
		}
	}
}

// await waits for a server to take a role, and to serve in it unless it looks for a leader.
func (g *stage) await(s *Server, role zab.Role) {
	g.t.Helper()
	for st := (peer.Status{Role: -1}); st.Role != role || !st.Serving && role != zab.Looking; st, _ = s.peer.Status() {
		select {
		case <-s.changed:
		case err := <-s.Failed():
			g.t.Fatal(err)
		}
	}
}

// pipes is a port of the stage.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *pipes) bring(ctx context.Context, c net.Conn) error {
	select {
	case l.conns <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closed:
		return syscall.ECONNREFUSED
	}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// observer comes to a server that leads, at the end of its history, and returns the packet that opens what it gets; false
// if it is turned away.
func (g *stage) observer(leader, id ensemble.ID) (zab.PacketType, bool) {
	g.t.Helper()
	c := g.connect(fmt.Sprintf(quorumOf, leader))
	say := func(p zab.Packet) {
		if _, err := c.Write(p.AppendTo(nil)); err != nil {
			g.t.Fatal(err)
		}
	}
	info := jute.AppendLong(jute.AppendInt(jute.AppendLong(nil, int64(id)), 0x10000), 0) // version of the protocol, and of the members
	say(zab.Packet{Type: zab.TypeObserverInfo, Data: info})
	offer, err := readPacket(c)
	if err != nil || offer.Type != zab.TypeLeaderInfo {
		g.t.Fatal(offer, err)
	}
	say(zab.Packet{Type: zab.TypeAckEpoch, Zxid: offer.Zxid, Data: jute.AppendInt(nil, -1)})
	opening, err := readPacket(c)
	return opening.Type, err == nil
}

// readPacket reads a packet that has no ids.
func readPacket(c io.Reader) (p zab.Packet, err error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(c, b); err != nil {
		return p, err
	}
	rest := 4 + max(int(int32(binary.BigEndian.Uint32(b[12:]))), 0)
	b = append(b, make([]byte, rest)...)
	if _, err := io.ReadFull(c, b[16:]); err != nil {
		return p, err
	}
	d := jute.NewDecoder(b)
	return p, p.Decode(&d)
}
