package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// cluster is an ensemble in one process. Servers are named s1, s2 and so on, each with quorum port 1 and election port 2;
// where those really are is the network's business.
type cluster struct {
	t       *testing.T
	members *ensemble.Config
	net     *network
	clock   func() time.Duration
	servers map[ensemble.ID]*testServer
	tune    func(*zab.Start, *Network)

	mu      sync.Mutex // with changed: something has happened
	changed *sync.Cond
	lines   []string
}

// network leads addresses of the cluster to ports that the kernel has chosen, or to pipes.
type network struct {
	listen func() net.Listener
	dial   func(context.Context, net.Listener) (net.Conn, error)

	mu     sync.Mutex // guards what follows
	ports  map[string]net.Listener
	silent map[string]bool // addresses that answer nothing
	conns  map[string][]net.Conn
}

func loopback(t *testing.T) *network {
	return &network{
		listen: func() net.Listener {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Error(err)
			}
			return l
		},
		dial: func(ctx context.Context, l net.Listener) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", l.Addr().String())
		},
		ports: map[string]net.Listener{}, silent: map[string]bool{}, conns: map[string][]net.Conn{},
	}
}

func (n *network) open(address string) net.Listener {
	l := n.listen()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[address] = l
	return l
}

func (n *network) shut(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ports, address)
}

func (n *network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l, silent := n.ports[address], n.silent[address]
	n.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if l == nil {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	}
	c, err := n.dial(ctx, l)
	if err == nil {
		n.mu.Lock()
		n.conns[address] = append(n.conns[address], c)
		n.mu.Unlock()
	}
	return c, err
}

// cut closes every connection that was made to an address.
func (n *network) cut(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns[address] {
		_ = c.Close()
	}
	delete(n.conns, address)
}

// testServer is one server and, beyond its life, its disk.
type testServer struct {
	c       *cluster
	id      ensemble.ID
	disk    *memLog
	service *ledgerService
	peer    *Peer
	fatal   error
}

func quorumAddr(id ensemble.ID) string   { return fmt.Sprintf("s%d:1", id) }
func electionAddr(id ensemble.ID) string { return fmt.Sprintf("s%d:2", id) }

// newCluster returns an ensemble of so many voters and observers, of which none is started.
func newCluster(t *testing.T, n *network, voters, observers int) *cluster {
	t.Helper()
	var text strings.Builder
	for i := range voters + observers {
		role := "participant"
		if i >= voters {
			role = "observer"
		}
		fmt.Fprintf(&text, "server.%d=s%d:1:2:%s\n", i+1, i+1, role)
	}
	members, err := ensemble.ParseConfig(text.String())
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	c := &cluster{
		t: t, members: members, net: n, servers: map[ensemble.ID]*testServer{},
		clock: func() time.Duration { return time.Since(begun) },
		tune:  func(*zab.Start, *Network) {},
	}
	c.changed = sync.NewCond(&c.mu)
	for _, m := range members.Members {
		c.servers[m.ID] = &testServer{c: c, id: m.ID, disk: &memLog{c: c, usable: true}}
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			s.stop()
		}
	})
	return c
}

// start starts servers from what their disks hold.
func (c *cluster) start(ids ...ensemble.ID) {
	c.t.Helper()
	for _, id := range ids {
		c.servers[id].start()
	}
}

func (s *testServer) start() {
	c := s.c
	s.service = &ledgerService{c: c, started: make(chan struct{}), led: s.disk.rebuild()}
	start := zab.Start{
		Self: s.id, Members: c.members, Clients: s.service, Last: s.disk.last(),
		AcceptedEpoch: s.disk.accepted, CurrentEpoch: s.disk.current, Recent: slices.Clone(s.disk.entries), CommitLogCap: 500,
		Tick: 100 * time.Millisecond, InitLimit: time.Minute, SyncLimit: time.Minute, Extensions: zab.AllExtensions,
	}
	n := &Network{
		Self: s.id, Members: c.members, Dial: c.net.Dial, Trees: s.service,
		Quorum:    []net.Listener{c.net.open(quorumAddr(s.id))},
		Election:  []net.Listener{c.net.open(electionAddr(s.id))},
		MaxPacket: 1 << 20, FirstPacket: time.Minute, HelloTimeout: time.Minute, ConnectTimeout: time.Minute, CnxTimeout: time.Minute,
	}
	c.tune(&start, n)
	s.peer = New(Config{
		Node: zab.New(start), Log: s.disk, Service: s.service, Clock: c.clock, MaxBatch: 1 << 20, Durable: func() {},
		Fatal: func(err error) { c.note(func() { s.fatal = err }) }, Logger: slog.New(&lineHandler{c: c, server: s.id}), Network: n,
	})
	s.service.peer = s.peer
	close(s.service.started)
	s.peer.Start()
}

func (s *testServer) stop() {
	if s.peer == nil {
		return
	}
	s.c.net.shut(quorumAddr(s.id))
	s.c.net.shut(electionAddr(s.id))
	s.peer.Close()
	s.peer = nil
}

// note changes what tests wait for.
func (c *cluster) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed.Broadcast()
}

// await waits until a condition holds, which is looked at after every change.
func (c *cluster) await(holds func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !holds() {
		c.changed.Wait()
	}
}

// awaitServing waits until servers serve, and returns the one of them that leads.
func (c *cluster) awaitServing(ids ...ensemble.ID) (leader *testServer) {
	c.await(func() bool {
		leader = nil
		for _, id := range ids {
			s := c.servers[id]
			if !s.service.serving {
				return false
			}
			if s.peer.Role() == zab.Leading {
				leader = s
			}
		}
		return leader != nil
	})
	return leader
}

// awaitLine waits for a line of a server's log that contains all of these.
func (c *cluster) awaitLine(id ensemble.ID, parts ...string) {
	prefix := fmt.Sprintf("%d: ", id)
	c.await(func() bool {
		return slices.ContainsFunc(c.lines, func(line string) bool {
			return strings.HasPrefix(line, prefix) && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
		})
	})
}

var nextXid int32

// write submits a write at a server and waits until all of these have applied it. What a change of leaders has lost is
// written again.
func (c *cluster) write(at *testServer, seenBy ...ensemble.ID) {
	c.t.Helper()
	for applied := false; !applied; {
		nextXid++
		xid, term := nextXid, 0
		c.await(func() bool { term = at.service.terms; return at.service.serving })
		at.peer.Submit([]*proto.Request{{Session: 1, Xid: xid, Op: proto.OpSetData}})
		c.await(func() bool {
			applied = !slices.ContainsFunc(seenBy, func(id ensemble.ID) bool { return !slices.Contains(c.servers[id].service.led.xids, xid) })
			return applied || !at.service.serving || at.service.terms != term
		})
	}
}

// sameHistory compares what servers have applied.
func (c *cluster) sameHistory(ids ...ensemble.ID) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids[1:] {
		if got, want := c.servers[id].service.led, c.servers[ids[0]].service.led; !slices.Equal(got.xids, want.xids) {
			c.t.Errorf("server %d has applied %v, and %d %v", id, got.xids, ids[0], want.xids)
		}
	}
}

func newLogger(c *cluster) *slog.Logger { return slog.New(&lineHandler{c: c}) }

// lineHandler keeps the lines of the log.
type lineHandler struct {
	slog.Handler
	c      *cluster
	server ensemble.ID
}

func (h *lineHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	line := fmt.Sprintf("%d: %s", h.server, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	h.c.note(func() { h.c.lines = append(h.c.lines, line) })
	return nil
}

// ledger is a tree of the simplest kind: what was written, in order.
type ledger struct {
	zxid proto.Zxid
	xids []int32
}

func (l *ledger) apply(e txn.Entry) {
	h, _ := txn.DecodeHeader(e.Bytes)
	l.zxid, l.xids = e.Zxid, append(slices.Clone(l.xids), h.Cxid)
}

// ledgerService serves nobody but the test. It is guarded by the cluster.
type ledgerService struct {
	c       *cluster
	peer    *Peer
	started chan struct{} // peer is set
	led     ledger
	serving bool
	terms   int // begun
	until   time.Duration
	synced  []int32
	valid   map[int64]bool
}

func (s *ledgerService) Prepare(dst []txn.Entry, batch []txn.Slot) []txn.Entry {
	for _, b := range batch {
		t := txn.Txn{Header: txn.Header{Session: b.Request.Session, Cxid: b.Request.Xid, Zxid: b.Zxid, Type: proto.OpError}}
		dst = append(dst, t.Entry())
	}
	return dst
}

func (s *ledgerService) Deliver(ds []txn.Delivery) {
	s.c.note(func() {
		for _, d := range ds {
			switch {
			case d.Bytes != nil:
				s.led.apply(d.Entry)
			case d.Tree != nil:
				s.led = *d.Tree.(*ledger)
			case d.Sync != nil:
				s.synced = append(s.synced, d.Sync.Xid)
			default:
				s.led.zxid = d.Zxid
			}
		}
	})
}

func (s *ledgerService) NotifyApplied(z proto.Zxid) {
	go func() {
		<-s.started
		s.peer.Applied(z)
	}()
}

func (s *ledgerService) Validated(id int64, ok bool) {
	s.c.note(func() {
		if s.valid == nil {
			s.valid = map[int64]bool{}
		}
		s.valid[id] = ok
	})
}
func (s *ledgerService) Apply()                     {}
func (s *ledgerService) Lead()                      {}
func (s *ledgerService) Serve()                     { s.c.note(func() { s.serving = true; s.terms++ }) }
func (s *ledgerService) Unserve()                   { s.c.note(func() { s.serving = false }) }
func (s *ledgerService) Extend(until time.Duration) { s.c.note(func() { s.until = until }) }

func (s *ledgerService) Heard(int64) (last, timeout time.Duration, ok bool) { return 0, 0, false }
func (s *ledgerService) Touched(dst []session.Touch) []session.Touch        { return dst }
func (s *ledgerService) Sessions(func(id int64, timeoutMillis int32))       {}
func (s *ledgerService) Expiring(int64)                                     {}

// The ledger as a stream: its length, and its xids.
func (s *ledgerService) Send(w io.Writer, begin func(proto.Zxid) error) error {
	s.c.mu.Lock()
	led := s.led
	s.c.mu.Unlock()
	if err := begin(led.zxid); err != nil {
		return err
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.BigEndian, int32(len(led.xids)))
	_ = binary.Write(&b, binary.BigEndian, led.xids)
	_, err := w.Write(b.Bytes())
	return err
}

func (s *ledgerService) Restore(r io.Reader, at proto.Zxid) (any, error) {
	var n int32
	if err := binary.Read(r, binary.BigEndian, &n); err != nil {
		return nil, err
	}
	led := &ledger{zxid: at, xids: make([]int32, n)}
	return led, binary.Read(r, binary.BigEndian, led.xids)
}

// memLog is a disk. It is guarded by the cluster, and belongs to one log writer at a time.
type memLog struct {
	c                 *cluster
	unsynced          []txn.Entry
	entries           []txn.Entry
	base              ledger // the snapshot below the entries
	accepted, current uint32
	active, next      *ensemble.Config
	usable            bool // the files may be sent to a learner
	finds             int
	block             chan struct{} // if not nil, Sync waits for it
	changes           []string
}

func (l *memLog) last() proto.Zxid {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].Zxid
	}
	return l.base.zxid
}

func (l *memLog) rebuild() ledger {
	led := l.base
	for _, e := range l.entries {
		led.apply(e)
	}
	return led
}

func (l *memLog) Append(es []txn.Entry) error {
	l.unsynced = append(l.unsynced, es...)
	return nil
}

func (l *memLog) Sync() error {
	if l.block != nil {
		<-l.block
	}
	l.c.note(func() {
		l.entries = append(l.entries, l.unsynced...)
		l.unsynced = nil
	})
	return nil
}

func (l *memLog) SaveEpochs(accepted, current uint32) error {
	l.c.note(func() { l.accepted, l.current = accepted, current })
	return nil
}

func (l *memLog) SaveNext(c *ensemble.Config) error {
	l.c.note(func() { l.next = c })
	return nil
}

func (l *memLog) Activate(c *ensemble.Config) error {
	l.c.note(func() { l.active, l.next = c, nil })
	return nil
}

func (l *memLog) Truncate(to proto.Zxid, rebuild bool) (Left, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if to < l.base.zxid {
		return Left{}, ErrNoBase
	}
	l.changes = append(l.changes, "truncate")
	l.entries = slices.DeleteFunc(l.entries, func(e txn.Entry) bool { return e.Zxid > to })
	left := Left{Last: l.last()}
	if rebuild {
		led := l.rebuild()
		left.Tree = &led
	}
	return left, nil
}

func (l *memLog) Install(tree any, entries []txn.Entry, at proto.Zxid) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	led := tree.(*ledger)
	for _, e := range entries {
		led.apply(e)
	}
	led.zxid = at
	l.changes = append(l.changes, "install")
	l.base, l.entries = *led, nil
	return nil
}

func (l *memLog) Find(last proto.Zxid) (Found, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.finds++
	f := Found{Usable: l.usable && last >= l.base.zxid, Floor: l.base.zxid}
	for _, e := range l.entries {
		if e.Zxid <= last {
			f.Floor = e.Zxid
		} else if f.Next == 0 {
			f.Next = e.Zxid
		}
	}
	return f, nil
}

func (l *memLog) ReadFrom(after proto.Zxid) (Entries, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if after < l.base.zxid {
		return nil, errors.New("gone")
	}
	return &memCursor{slices.DeleteFunc(slices.Clone(l.entries), func(e txn.Entry) bool { return e.Zxid <= after })}, nil
}

type memCursor struct{ entries []txn.Entry }

func (c *memCursor) Next(through proto.Zxid) (txn.Entry, error) {
	if len(c.entries) == 0 || c.entries[0].Zxid > through {
		return txn.Entry{}, io.EOF
	}
	e := c.entries[0]
	c.entries = c.entries[1:]
	return e, nil
}

func (c *memCursor) Close() error { return nil }
