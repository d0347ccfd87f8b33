package zab

import (
	"bufio"
	"bytes"
	"math"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// A replica is one server of a story: a node, with the tree and the preparation of a real server, and a disk that has
// done something at the moment at which the capture shows that it was done.
type replica struct {
	s    *story
	id   ensemble.ID
	node *Node // nil while the server is down
	open map[LinkID]bool
	sent map[LinkID][]Packet // what it says and the capture has not shown yet
	tree *tree.Tree
	prep *prep.Prepper

	log               []txn.Entry      // durable
	accepted, current uint32           // durable
	active, next      *ensemble.Config // durable
	writes            []any            // entries and Stores that are to become durable, in order

	slots   []txn.Slot         // to be prepared
	inbox   []arrival          // what has come and is not read yet
	created map[int64]struct{} // sessions that the node itself tells its leader of
	touched []session.Touch    // what its clients make it tell
	brought proto.Zxid         // by the last synchronisation
	result  tree.Result
	streams map[LinkID][]byte // behind a SNAP that it sends
}

type arrival struct {
	at      time.Duration
	in      Input
	touches []session.Touch // those of the recorded answer to a PING
}

// last returns the last zxid on the disk.
func (r *replica) last() proto.Zxid {
	if len(r.log) == 0 {
		return 0
	}
	return r.log[len(r.log)-1].Zxid
}

// start starts the server from what its disk holds.
func (r *replica) start() {
	r.tree = r.rebuilt()
	r.writes, r.slots, r.inbox, r.open, r.sent = nil, nil, nil, map[LinkID]bool{}, map[LinkID][]Packet{}
	r.created, r.streams = map[int64]struct{}{}, map[LinkID][]byte{}
	r.node = New(Start{
		Self: r.id, Members: r.active, Next: r.next, Reconfig: r.s.tale.changes, Clients: r, Last: r.last(), AcceptedEpoch: r.accepted, CurrentEpoch: r.current,
		Recent: r.log[max(0, len(r.log)-r.s.commitLog):], CommitLogCap: r.s.commitLog, Tick: 2 * time.Second,
		InitLimit: 20 * time.Second, SyncLimit: 10 * time.Second,
	})
	r.step(Tick{})
}

// rebuilt returns the tree that the log makes.
func (r *replica) rebuilt() *tree.Tree {
	t := r.s.emptyTree()
	for _, e := range r.log {
		r.apply(t, e)
	}
	return t
}

func (r *replica) apply(t *tree.Tree, e txn.Entry) {
	var x txn.Txn
	if err := x.Decode(e.Bytes); err != nil {
		r.s.t.Fatalf("%v: %v", e.Zxid, err)
	}
	t.Apply(&x, &r.result)
	if r.s.strict && x.HasDigest && x.Digest.Tree != t.Digest() {
		r.s.t.Errorf("server %d: the digest behind %v is %x, and not %x", r.id, e.Zxid, t.Digest(), x.Digest.Tree)
	}
}

// votes are those by which a node follows a leader, or leads. (What is said in elections is package election's to replay.)
func votes(n *Node, leader ensemble.ID) []Heard {
	v := election.Vote{Leader: leader, Zxid: n.Logged(), Round: n.Election().Round(), PeerEpoch: int64(n.Epoch())}
	var out []Heard
	for _, id := range n.who.Voters() {
		note := election.Notification{State: election.Following, Vote: v, Version: 2}
		switch {
		case id == n.self:
			continue
		case leader == n.self:
			note.State = election.Looking
		case leader == id:
			note.State = election.Leading
		}
		out = append(out, Heard{id, note})
	}
	return out
}

func (r *replica) elect(leader ensemble.ID) {
	for _, v := range votes(r.node, leader) {
		r.step(v)
	}
}

// step gives the node an input and does what it wants.
func (r *replica) step(in Input) {
	var ef Effects
	r.node.Step(r.s.now, in, &ef)
	_, lost := in.(Closed)
	for _, l := range ef.Lines {
		if l.Warn && !lost {
			r.s.t.Errorf("%s: server %d: %s", r.s.where(), r.id, l.Text)
		}
	}
	for _, link := range ef.Hangup {
		if r.open[link] && !lost && !r.s.tale.changes {
			r.s.t.Errorf("%s: server %d hangs up", r.s.where(), r.id)
		}
		delete(r.open, link)
		if r.s.tale.changes {
			r.s.cut(link)
		}
	}
	if ef.Fatal != nil {
		r.s.t.Fatalf("%s: server %d: %v", r.s.where(), r.id, ef.Fatal)
	}
	for _, d := range ef.Deliver {
		r.deliver(d)
	}
	for _, e := range ef.Append {
		r.writes = append(r.writes, e)
	}
	for _, s := range ef.Store {
		r.writes = append(r.writes, s)
	}
	if ef.Lead {
		r.prep = prep.New(r.tree, prep.Options{Digest: true, Ensemble: true, Reconfig: prep.Reconfig{Enabled: r.s.tale.changes}})
		r.slots = nil
	}
	r.slots = append(r.slots, ef.Prepare...)
	for _, e := range ef.Send {
		r.sent[e.Link] = append(r.sent[e.Link], e.Packet)
	}
	for _, s := range ef.Stream {
		r.stream(s)
	}
	for _, f := range ef.FindLog {
		r.find(f)
	}
	if ef.AwaitApplied != 0 {
		r.step(Applied{ef.AwaitApplied})
	}
}

// deliver does the work of the apply loop.
func (r *replica) deliver(d txn.Delivery) {
	switch {
	case d.Sync != nil:
	case d.Tree != nil:
		r.tree = d.Tree.(*tree.Tree)
	case d.Bytes == nil:
		r.tree.Advance(d.Zxid)
	default:
		r.apply(r.tree, d.Entry)
		switch h, _ := txn.DecodeHeader(d.Bytes); h.Type {
		case proto.OpCreateSession:
			r.created[h.Session] = struct{}{}
		case proto.OpCloseSession:
			delete(r.created, h.Session)
		}
	}
}

func (r *replica) Heard(int64) (time.Duration, time.Duration, bool) { return 0, 0, false }
func (r *replica) Touched(dst []session.Touch) []session.Touch      { return append(dst, r.touched...) }
func (r *replica) Sessions(f func(int64, int32))                    { r.tree.Sessions(f) }
func (r *replica) Expiring(int64)                                   {}

// sync makes the entries up to z durable.
func (r *replica) sync(z proto.Zxid) bool {
	var last proto.Zxid
	for len(r.writes) > 0 {
		switch c := r.writes[0].(type) {
		case SaveNext, Activate:
			r.change()
			continue
		case AppendBehind:
			if c.Entries[0].Zxid <= z {
				r.change()
				return true
			}
		}
		e, ok := r.writes[0].(txn.Entry)
		if !ok || e.Zxid > z {
			break
		}
		r.log, r.writes, last = append(r.log, e), r.writes[1:], e.Zxid
	}
	if last != 0 {
		r.step(Synced{last})
	}
	return last != 0
}

// write lets the disk do one more thing.
func (r *replica) write() bool {
	if r.sync(math.MaxInt64) {
		return true
	}
	if len(r.writes) == 0 {
		return false
	}
	r.change()
	return true
}

// change lets the disk do what it is asked for next, and is no entry of the log.
func (r *replica) change() {
	change := r.writes[0]
	r.writes = r.writes[1:]
	answer := Stored{}
	switch c := change.(type) {
	case SaveEpochs:
		r.accepted, r.current = c.Accepted, c.Current
	case Truncate:
		r.log = slices.DeleteFunc(r.log, func(e txn.Entry) bool { return e.Zxid > c.To })
		answer.Last = r.last()
		if c.Rebuild {
			answer.Tree = r.rebuilt()
		}
	case Install:
		for _, e := range c.Entries {
			r.apply(c.Tree.(*tree.Tree), e)
		}
		r.log = nil
	case SaveNext:
		r.next = c.Config
	case Activate:
		r.active, r.next = c.Config, nil
	case AppendBehind:
		r.log = append(r.log, c.Entries...)
		r.step(Synced{r.last()})
	}
	r.step(answer)
}

// stream sends a tree, or a part of the log, as a shell does.
func (r *replica) stream(s Stream) {
	if s.Snapshot {
		z := r.tree.LastZxid()
		r.sent[s.Link] = append(r.sent[s.Link], Packet{Type: TypeSnap, Zxid: z})
		r.streams[s.Link] = treeBytes(r.tree)
		r.step(Streamed{s.Link, z})
		return
	}
	for _, e := range r.log {
		if e.Zxid > s.After && e.Zxid <= s.Through {
			r.sent[s.Link] = append(r.sent[s.Link], Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}, Packet{Type: TypeCommit, Zxid: e.Zxid})
		}
	}
	r.step(Streamed{s.Link, s.Through})
}

func (r *replica) find(f Find) {
	a := LogFound{Link: f.Link, Usable: len(r.log) > 0 && r.log[0].Zxid <= f.Zxid}
	for _, e := range r.log {
		if e.Zxid <= f.Zxid {
			a.Floor = e.Zxid
		} else if a.Next == 0 {
			a.Next = e.Zxid
		}
	}
	r.step(a)
}

// read takes the next thing that has come, if there is one.
func (r *replica) read() bool {
	if len(r.inbox) == 0 {
		return false
	}
	a := r.inbox[0]
	r.inbox = r.inbox[1:]
	in, _ := a.in.(Received)
	asked := in.Packet.Type == TypePing && r.node.Role() != Leading
	switch {
	case asked:
		// What clients have touched is not in the capture but for this. Sessions that are new the node knows by itself.
		r.touched = slices.DeleteFunc(slices.Clone(a.touches), func(t session.Touch) bool { _, known := r.created[t.ID]; return known })
	case in.Packet.Type == TypeProposal && !r.node.Serving():
		r.brought = in.Packet.Zxid
	}
	if r.step(a.in); asked {
		clear(r.created)
	}
	return true
}

// treeBytes returns a tree as a leader sends it.
func treeBytes(t *tree.Tree) []byte {
	w := t.NewWalk()
	defer w.Close()
	var out bytes.Buffer
	s := snapshot.NewStream(&out, w.Sessions, w.ACLs)
	for more := true; more; {
		more = w.Next(1000, s.Node)
	}
	_ = s.FinishStream()
	return out.Bytes()
}

// treeOf reads a tree that a leader has sent.
func (s *story) treeOf(stream []byte, z proto.Zxid) *tree.Tree {
	t := tree.Empty()
	if err := snapshot.ReadStream(bufio.NewReader(bytes.NewReader(stream)), t, z, 1<<20); err != nil {
		s.t.Fatalf("%s: %v", s.where(), err)
	}
	return t
}
