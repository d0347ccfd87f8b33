package zab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
)

// A cluster runs nodes in memory: every link, disk and tree answers at once, in an order that a seed shuffles between
// links. What a server applies is a list of zxids instead of a tree.
type cluster struct {
	t       *testing.T
	rng     *rand.Rand
	members *ensemble.Config // with which every server is started first
	changes bool             // reconfigEnabled
	hosts   map[ensemble.ID]*host
	now     time.Duration
	wires   map[LinkID]*wire
	links   LinkID
	lanes   []*lane
	said    []string
}

// lane is an ordered stream of events; different lanes are not ordered.
type lane struct{ events []func() }

func (l *lane) add(f func()) { l.events = append(l.events, f) }

// wire is one connection on the quorum port.
type wire struct {
	dialer, acceptor ensemble.ID
	to               map[ensemble.ID]*lane
	open             bool
}

// host is one server and what survives it.
type host struct {
	c                 *cluster
	id                ensemble.ID
	node              *Node
	up                bool
	life              int
	log               []txn.Entry  // durable
	base              proto.Zxid   // of the snapshot below the log
	below             []proto.Zxid // what that holds
	accepted, current uint32
	active, next      *ensemble.Config // durable
	tree              []proto.Zxid     // applied
	disk              *lane
	ef                Effects
	touched           []session.Touch
	sessions          []session.Touch
	got               map[string]int // kinds of packets received
	validated         []Validation
	syncs             int
}

func newCluster(t *testing.T, seed uint64, config string) *cluster {
	t.Helper()
	members, err := ensemble.ParseConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), members: members, hosts: map[ensemble.ID]*host{}, wires: map[LinkID]*wire{},
	}
	for _, m := range members.Members {
		c.add(m.ID, members)
	}
	return c
}

// add adds a server that is not started yet.
func (c *cluster) add(id ensemble.ID, members *ensemble.Config) {
	c.hosts[id] = &host{c: c, id: id, disk: c.lane(), got: map[string]int{}, active: members}
}

const threeServers = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\nversion=0"

func (c *cluster) lane() *lane {
	l := &lane{}
	c.lanes = append(c.lanes, l)
	return l
}

func (h *host) last() proto.Zxid {
	if len(h.log) > 0 {
		return h.log[len(h.log)-1].Zxid
	}
	return h.base
}

// start starts a server from what its disk holds.
func (h *host) start() {
	h.up = true
	h.life++
	h.tree = slices.Clone(h.below)
	for _, e := range h.log {
		h.tree = append(h.tree, e.Zxid)
	}
	h.node = New(Start{
		Self: h.id, Members: h.active, Next: h.next, Reconfig: h.c.changes, Clients: h, Last: h.last(), AcceptedEpoch: h.accepted, CurrentEpoch: h.current,
		Recent: slices.Clone(h.log), CommitLogCap: 5, Tick: 100 * time.Millisecond, InitLimit: time.Second, SyncLimit: 500 * time.Millisecond,
		Extensions: AllExtensions,
	})
	for id, o := range h.c.hosts {
		if id != h.id && o.up {
			o.step(LinkUp{h.id})
		}
	}
	h.step(Tick{})
	for id, o := range h.c.hosts {
		if id != h.id && o.up {
			h.step(LinkUp{id})
		} else if id != h.id {
			h.step(LinkDown{id, true})
		}
	}
}

// kill ends a server; what its disk lane had not done is lost.
func (h *host) kill() {
	h.up = false
	h.disk.events = nil
	for link, w := range h.c.wires {
		if w.open && (w.dialer == h.id || w.acceptor == h.id) {
			h.c.cut(link)
		}
	}
	for id, o := range h.c.hosts {
		if id != h.id && o.up {
			o.step(LinkDown{h.id, true})
		}
	}
}

func (c *cluster) cut(link LinkID) {
	w := c.wires[link]
	if !w.open {
		return
	}
	w.open = false
	for id, l := range w.to {
		o := c.hosts[id]
		l.add(func() { o.step(Closed{link}) })
	}
}

func (h *host) Heard(int64) (time.Duration, time.Duration, bool) { return 0, 0, false }
func (h *host) Touched(dst []session.Touch) []session.Touch {
	dst = append(dst, h.touched...)
	h.touched = nil
	return dst
}

func (h *host) Sessions(f func(int64, int32)) {
	for _, s := range h.sessions {
		f(s.ID, int32(s.Timeout/time.Millisecond))
	}
}
func (h *host) Expiring(int64) {}

func (h *host) step(in Input) {
	if !h.up {
		return
	}
	h.ef.Reset()
	h.node.Step(h.c.now, in, &h.ef)
	ef := h.ef
	h.ef = Effects{}
	h.carryOut(&ef)
}

func (h *host) carryOut(ef *Effects) {
	c := h.c
	for _, l := range ef.Lines {
		c.said = append(c.said, fmt.Sprintf("%v %d: %s", c.now, h.id, l.Text))
	}
	if ef.Fatal != nil {
		c.t.Fatalf("server %d: %v\n%s", h.id, ef.Fatal, strings.Join(c.said, "\n"))
	}
	for _, d := range ef.Deliver {
		h.apply(d)
	}
	h.store(ef)
	for _, b := range ef.Ballots {
		if to, in := c.hosts[b.To], (Heard{h.id, b.Note}); to != nil {
			c.lane().add(func() { to.step(in) })
		}
	}
	if ef.Dial != 0 {
		h.dial(ef.Dial)
	}
	for _, e := range ef.Send {
		h.send(e)
	}
	for _, s := range ef.Stream {
		h.stream(s)
	}
	for _, f := range ef.FindLog {
		h.find(f)
	}
	for _, link := range ef.Hangup {
		c.hangup(link, h.id)
	}
	h.validated = append(h.validated, ef.Validated...)
	if ef.AwaitApplied != 0 {
		z := ef.AwaitApplied
		h.disk.add(func() { h.step(Applied{z}) })
	}
	if len(ef.Prepare) > 0 {
		var es []txn.Entry
		for _, s := range ef.Prepare {
			x := txn.Txn{Header: txn.Header{Session: s.Request.Session, Cxid: s.Request.Xid, Zxid: s.Zxid, Type: proto.OpError}}
			switch {
			case s.Request.Op == proto.OpReconfig:
				h.changeMembers(&x, s)
			case s.Request.Moved:
				x.Err = proto.SessionMoved
			case s.Request.Op == proto.OpCreateSession:
				x.Header.Type, x.Timeout = s.Request.Op, 1000
			}
			es = append(es, x.Entry())
		}
		h.step(Propose{es})
	}
}

func (h *host) apply(d txn.Delivery) {
	switch {
	case d.Sync != nil:
		h.syncs++
	case d.Tree != nil:
		h.tree = slices.Clone(*d.Tree.(*[]proto.Zxid))
	case d.Bytes != nil:
		h.tree = append(h.tree, d.Zxid)
	}
}

func (h *host) store(ef *Effects) {
	life := h.life
	alive := func(f func()) func() {
		return func() {
			if h.up && h.life == life {
				f()
			}
		}
	}
	write := func(es []txn.Entry) {
		h.disk.add(alive(func() {
			h.log = append(h.log, es...)
			h.step(Synced{es[len(es)-1].Zxid})
		}))
	}
	if len(ef.Append) > 0 {
		write(slices.Clone(ef.Append))
	}
	for _, s := range ef.Store {
		switch s := s.(type) {
		case SaveEpochs:
			h.disk.add(alive(func() { h.accepted, h.current = s.Accepted, s.Current; h.step(Stored{}) }))
		case Truncate:
			h.disk.add(alive(func() { h.truncate(s) }))
		case Install:
			h.disk.add(alive(func() {
				for _, e := range s.Entries {
					*s.Tree.(*[]proto.Zxid) = append(*s.Tree.(*[]proto.Zxid), e.Zxid)
				}
				h.log, h.base, h.below = nil, s.Zxid, slices.Clone(*s.Tree.(*[]proto.Zxid))
				h.step(Stored{})
			}))
		case SaveNext:
			h.disk.add(alive(func() { h.next = s.Config; h.step(Stored{}) }))
		case Activate:
			h.disk.add(alive(func() { h.activate(s.Config); h.step(Stored{}) }))
		case AppendBehind:
			write(s.Entries)
			h.disk.add(alive(func() { h.step(Stored{}) }))
		}
	}
}

func (h *host) truncate(s Truncate) {
	if s.To < h.base {
		h.step(Stored{NoBase: true})
		return
	}
	h.log = slices.DeleteFunc(h.log, func(e txn.Entry) bool { return e.Zxid > s.To })
	a := Stored{Last: h.last()}
	if s.Rebuild {
		tree := slices.Clone(h.below)
		for _, e := range h.log {
			tree = append(tree, e.Zxid)
		}
		a.Tree = &tree
	}
	h.step(a)
}

func (h *host) dial(to ensemble.ID) {
	c := h.c
	o := c.hosts[to]
	c.lane().add(func() {
		if !o.up {
			h.step(DialFailed{to})
			return
		}
		c.links++
		link := c.links
		c.wires[link] = &wire{h.id, to, map[ensemble.ID]*lane{h.id: c.lane(), to: c.lane()}, true}
		o.step(Accepted{link})
		h.step(Dialed{to, link})
	})
}

func (c *cluster) other(link LinkID, self ensemble.ID) (*host, *lane) {
	w := c.wires[link]
	id := w.dialer
	if id == self {
		id = w.acceptor
	}
	return c.hosts[id], w.to[id]
}

func (h *host) send(e Envelope) {
	w := h.c.wires[e.Link]
	if w == nil || !w.open {
		return
	}
	o, l := h.c.other(e.Link, h.id)
	b := e.Packet.AppendTo(nil)
	if len(b) > e.Packet.Size() {
		h.c.t.Fatalf("%v takes %d bytes, and Size says %d", e.Packet.Type, len(b), e.Packet.Size())
	}
	var p Packet
	d := jute.NewDecoder(b)
	if err := p.Decode(&d); err != nil || d.Len() != 0 {
		h.c.t.Fatalf("%v: %v, %d bytes left", e.Packet.Type, err, d.Len())
	}
	l.add(func() { o.got[p.Type.String()]++; o.step(Received{Link: e.Link, Packet: p}) })
}

func (h *host) stream(s Stream) {
	o, l := h.c.other(s.Link, h.id)
	if s.Snapshot {
		tree := slices.Clone(h.tree)
		var z proto.Zxid
		if len(tree) > 0 {
			z = tree[len(tree)-1]
		}
		if h.node.lead != nil {
			z = max(z, h.node.lead.start)
		}
		l.add(func() {
			o.got["SNAP"]++
			o.step(Received{Link: s.Link, Packet: Packet{Type: TypeSnap, Zxid: z}, Tree: &tree})
		})
		h.disk.add(func() { h.step(Streamed{s.Link, z}) })
		return
	}
	h.disk.add(func() {
		for _, e := range h.log {
			if e.Zxid > s.After && e.Zxid <= s.Through {
				h.send(Envelope{s.Link, Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}})
				h.send(Envelope{s.Link, Packet{Type: TypeCommit, Zxid: e.Zxid}})
			}
		}
		h.step(Streamed{s.Link, s.Through})
	})
}

func (h *host) find(f Find) {
	h.disk.add(func() {
		a := LogFound{Link: f.Link, Usable: len(h.log) > 0 && h.base <= f.Zxid, Floor: h.base}
		for _, e := range h.log {
			if e.Zxid <= f.Zxid {
				a.Floor = e.Zxid
			} else if a.Next == 0 {
				a.Next = e.Zxid
			}
		}
		h.step(a)
	})
}

func (c *cluster) hangup(link LinkID, by ensemble.ID) {
	w := c.wires[link]
	if w == nil || !w.open {
		return
	}
	w.open = false
	o, l := c.other(link, by)
	l.add(func() { o.step(Closed{link}) })
}

// run lets everything happen that is due, and time go on, until done says so.
func (c *cluster) run(what string, done func() bool) {
	c.t.Helper()
	for range 200_000 {
		if done() {
			return
		}
		if !c.once() {
			c.now += 10 * time.Millisecond
			for _, id := range c.ids() {
				if h := c.hosts[id]; h.up {
					if at, ok := h.node.Wake(); ok && at <= c.now {
						h.step(Tick{})
					}
				}
			}
		}
	}
	c.t.Fatalf("%s does not come about:\n%s", what, strings.Join(c.said, "\n"))
}

func (c *cluster) ids() []ensemble.ID {
	var ids []ensemble.ID
	for id := range c.hosts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// once lets one event happen.
func (c *cluster) once() bool {
	var busy []*lane
	kept := c.lanes[:0]
	for _, l := range c.lanes {
		if len(l.events) > 0 {
			busy = append(busy, l)
		}
		if len(l.events) > 0 || c.permanent(l) {
			kept = append(kept, l)
		}
	}
	c.lanes = kept
	if len(busy) == 0 {
		return false
	}
	l := busy[c.rng.IntN(len(busy))]
	f := l.events[0]
	l.events = l.events[1:]
	f()
	return true
}

func (c *cluster) permanent(l *lane) bool {
	for _, h := range c.hosts {
		if h.disk == l {
			return true
		}
	}
	for _, w := range c.wires {
		for _, x := range w.to {
			if x == l {
				return true
			}
		}
	}
	return false
}

// leader returns the one that serves, if there is one.
func (c *cluster) leader() *host {
	for _, id := range c.ids() {
		if h := c.hosts[id]; h.up && h.node.Role() == Leading && h.node.Serving() {
			return h
		}
	}
	return nil
}

func (c *cluster) allServe(ids ...ensemble.ID) func() bool {
	return func() bool {
		for _, id := range ids {
			if !c.hosts[id].up || !c.hosts[id].node.Serving() {
				return false
			}
		}
		return true
	}
}

// write submits a write at a server and waits until it is everywhere among ids.
func (c *cluster) write(at ensemble.ID, xid int32, ids ...ensemble.ID) {
	c.t.Helper()
	before := len(c.hosts[at].tree)
	c.hosts[at].step(Submit{[]*proto.Request{{Session: 7, Xid: xid, Op: proto.OpSetData}}})
	c.run("a write", func() bool {
		for _, id := range ids {
			if !slices.Equal(c.hosts[id].tree, c.hosts[at].tree) {
				return false
			}
		}
		return len(c.hosts[at].tree) > before
	})
}

func TestThreeServersElectWriteAndFailOver(t *testing.T) {
	for seed := range uint64(30) {
		c := newCluster(t, seed, threeServers)
		for _, id := range c.ids() {
			c.hosts[id].start()
		}
		c.run("an ensemble", c.allServe(1, 2, 3))
		for i := range int32(8) {
			c.write(ensemble.ID(1+i%3), i, 1, 2, 3)
		}
		old := c.leader()
		old.kill()
		c.run("another leader", func() bool { return c.leader() != nil && c.leader() != old })
		rest := slices.DeleteFunc(c.ids(), func(id ensemble.ID) bool { return id == old.id })
		c.run("a follower", c.allServe(rest...))
		for i := range int32(8) {
			c.write(rest[i%2], 100+i, rest...)
		}
		old.start()
		c.run("the old leader", c.allServe(1, 2, 3))
		c.write(old.id, 200, 1, 2, 3)
		if n := len(c.hosts[1].tree); n != 17 {
			t.Fatalf("seed %d: %d entries, want 17", seed, n)
		}
	}
}
