package zab

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// A story is a tale as it is told: all servers, each in the company of the recorded ones.
type story struct {
	t          *testing.T
	tale       *tale
	set        string
	strict     bool // see tale.loose
	exceptions map[string]bool
	commitLog  int
	captures   []*capture
	members    *ensemble.Config
	config     []byte // the node that shows the membership, in a tree that was sent to somebody
	configStat proto.StatPersisted
	replicas   map[ensemble.ID]*replica
	links      map[ensemble.ID]LinkID // that are open, by who has dialled
	last       LinkID
	told       map[string]*tally

	// What is being told: item of capture, at base from its beginning on.
	now, base time.Duration
	capture   *capture
	item      *item
	conns     map[string]LinkID
}

func newStory(t *testing.T, set string, k *tale, told map[string]*tally, exceptions map[string]bool) *story {
	s := &story{
		t: t, set: set, tale: k, told: told, strict: !k.loose, exceptions: exceptions, commitLog: k.commitLog,
		replicas: map[ensemble.ID]*replica{}, links: map[ensemble.ID]LinkID{},
	}
	text := ""
	for _, name := range k.captures {
		c := readCapture(t, set, name)
		s.captures = append(s.captures, c)
		if text = c.text; k.changes {
			text = c.first
		}
		for _, it := range c.items {
			if it.stream == nil {
				continue
			}
			sent := s.treeOf(it.stream, it.packet.Zxid)
			if r, ok := sent.Find(configPath); ok {
				s.config, s.configStat = slices.Clone(sent.Data(r)), sent.Persisted(r)
			}
		}
	}
	members, err := ensemble.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	s.members = members
	for _, m := range members.Members {
		s.replicas[m.ID] = &replica{s: s, id: m.ID, active: members}
	}
	return s
}

// where names the item that is being told.
func (s *story) where() string {
	if s.item == nil {
		return s.captures[0].name
	}
	return fmt.Sprintf("%s.jsonl:%d", s.capture.name, s.item.line)
}

// configPath is the node that shows the membership. Each server writes it by itself when it starts.
const configPath = "/zookeeper/config"

// emptyTree returns the tree that every server begins with. Its membership is as in the trees that were sent.
func (s *story) emptyTree() *tree.Tree {
	t, w := tree.Empty(), tree.New().NewWalk()
	defer w.Close()
	for _, l := range w.ACLs {
		t.LoadACL(l.Key, l.List)
	}
	w.Next(1000, func(path string, data []byte, acl int64, st *proto.StatPersisted) {
		if path == configPath && s.config != nil {
			data, st = s.config, &s.configStat
		}
		if err := t.LoadNode(path, data, acl, st); err != nil {
			s.t.Fatal(err)
		}
	})
	if err := t.FinishLoad(0); err != nil {
		s.t.Fatal(err)
	}
	return t
}

func (s *story) run() {
	if s.tale.before != nil {
		s.recall(s.tale.before)
	}
	for _, c := range s.captures {
		s.tell(c)
	}
}

// patience is how long a packet may lie in a link at most before it is read. Servers read later than a packet is seen.
const patience = 30 * time.Millisecond

func (s *story) tell(c *capture) {
	s.begin(c)
	for i := range c.items {
		s.item = &c.items[i]
		s.now = max(s.now, s.base+s.item.at)
		for _, id := range slices.Sorted(maps.Keys(s.replicas)) {
			for r := s.replicas[id]; len(r.inbox) > 0 && r.inbox[0].at < s.now-patience; {
				r.read()
			}
		}
		switch s.item.kind {
		case itemOpen:
			s.opened(s.item)
		case itemSaid:
			s.said(s.item)
		case itemClosed:
			s.closed(s.item)
		}
	}
	s.end()
}

// begin takes up the links that were open. Of those that are not mentioned the learner has been stopped.
func (s *story) begin(c *capture) {
	const round = 2 * time.Second
	s.capture, s.item, s.conns = c, nil, map[string]LinkID{}
	s.base = (s.now + round).Truncate(round)
	if b, ok := s.tale.boundary[c.name]; ok {
		s.base += round - b%round
	}
	s.now = s.base
	there := map[ensemble.ID]bool{}
	for i := range c.items {
		if it := &c.items[i]; it.kind == itemThere {
			s.item, there[it.learner] = it, true
			s.conns[it.conn] = s.links[it.learner]
			if s.conns[it.conn] == 0 {
				s.t.Fatalf("%s: no link of server %d is open", s.where(), it.learner)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.links)) {
		if !there[id] {
			s.stop(s.replicas[id])
		}
	}
}

// end reads what is left. What the servers have said and the capture has not seen can only be signs of life; and all serve
// and know the same to be committed.
func (s *story) end() {
	s.now += patience
	committed := map[proto.Zxid]bool{}
	for _, id := range slices.Sorted(maps.Keys(s.replicas)) {
		r := s.replicas[id]
		for r.read() {
		}
		if r.node != nil {
			committed[r.node.Committed()] = true
			if !r.node.Serving() {
				s.t.Errorf("%s: at the end server %d does not serve: it is %v", s.capture.name, id, r.node.Role())
			}
		}
		for _, link := range slices.Sorted(maps.Keys(r.sent)) {
			for _, p := range r.sent[link] {
				if s.strict && p.Type != TypePing {
					s.t.Errorf("%s: server %d also says %v %v", s.capture.name, id, p.Type, p.Zxid)
				}
			}
		}
		r.sent = map[LinkID][]Packet{}
	}
	if len(committed) != 1 {
		s.t.Errorf("%s: at the end the servers know to be committed %v", s.capture.name, committed)
	}
}

// stop ends a server; the others notice.
func (s *story) stop(r *replica) {
	r.node, r.inbox, r.writes, r.sent = nil, nil, nil, nil
	for link := range r.open {
		s.cut(link)
	}
	r.open = nil
}

// cut closes a link for those who have it open.
func (s *story) cut(link LinkID) {
	for _, id := range slices.Sorted(maps.Keys(s.replicas)) {
		if r := s.replicas[id]; r.node != nil && r.open[link] {
			delete(r.open, link)
			r.inbox = append(r.inbox, arrival{at: s.now, in: Closed{link}})
		}
	}
	maps.DeleteFunc(s.links, func(_ ensemble.ID, l LinkID) bool { return l == link })
}

// opened lets a server connect to its leader. A connection that says nothing is one of several to the same server.
func (s *story) opened(it *item) {
	s.last++
	link := s.last
	s.conns[it.conn] = link
	leader := s.replicas[it.leader]
	if leader.node == nil {
		leader.start()
	}
	if leader.node.Role() != Leading {
		leader.elect(leader.id)
	}
	leader.open[link] = true
	leader.step(Accepted{link})
	if it.learner == 0 {
		return
	}
	r := s.replicas[it.learner]
	if r.node == nil {
		if s.tale.wiped[strings.TrimPrefix(s.capture.name, s.set+"/")] == r.id {
			r.log, r.accepted, r.current = nil, 0, 0
		}
		r.start()
	}
	r.elect(leader.id)
	r.open[link], s.links[r.id] = true, link
	r.step(Dialed{leader.id, link})
}

// closed lets a server close a link, or die, if the link is of use to it.
func (s *story) closed(it *item) {
	link := s.conns[it.conn]
	r := s.replicas[it.leader]
	if !it.byLeader {
		r = s.replicas[it.learner]
	}
	for s.tale.changes && r != nil && r.open[link] && r.read() { // it leaves because of what it has heard
	}
	switch {
	case r != nil && r.node != nil && r.open[link] && it.learner != 0:
		s.stop(r)
	default:
		s.cut(link)
	}
}

// said lets a server say what was recorded, and another hear it.
func (s *story) said(it *item) {
	link := s.conns[it.conn]
	from, to := s.replicas[it.learner], s.replicas[it.leader]
	if it.byLeader {
		from, to = to, from
	}
	if from.node != nil {
		s.expect(from, link, it)
	}
	if to.node == nil {
		return
	}
	in := Received{Link: link, Packet: it.packet}
	if it.stream != nil {
		in.Tree = s.treeOf(it.stream, it.packet.Zxid)
	}
	to.inbox = append(to.inbox, arrival{s.now, in, it.touches})
	s.tally(to).heard++
}

func (s *story) tally(r *replica) *tally {
	k := fmt.Sprintf("%s: %v %d", s.capture.name, r.node.Role(), r.id)
	if s.told[k] == nil {
		s.told[k] = &tally{}
	}
	return s.told[k]
}

// omits tells whether a packet is one that 3.8 sends and 3.9 does not: it acknowledges each of the entries which a
// synchronisation has brought, besides NEWLEADER.
func (s *story) omits(r *replica, it *item) bool {
	return s.set == "golden" && !it.byLeader && it.packet.Type == TypeAck && it.packet.Zxid.Counter() != 0 && it.packet.Zxid <= r.brought
}

// expect lets happen what a packet comes from, and compares it.
func (s *story) expect(r *replica, link LinkID, it *item) {
	if s.omits(r, it) {
		return
	}
	for tries := 0; len(r.sent[link]) == 0; tries++ {
		if !r.provoke(it, tries == 0) {
			break
		}
	}
	k := s.tally(r)
	k.said++
	got := []byte(nil)
	if q := r.sent[link]; len(q) > 0 {
		got = q[0].AppendTo(nil)
		if s.strict || bytes.Equal(got, it.raw) {
			r.sent[link] = q[1:]
		}
	}
	if it.byLeader && committing(it.packet.Type) {
		r.sync(it.packet.Zxid)
	}
	if bytes.Equal(got, it.raw) {
		k.same++
		if it.stream != nil && s.strict {
			s.compareTrees(r.streams[link], it.stream)
		}
		return
	}
	at := s.where()
	if _, ok := s.exceptions[at]; ok {
		s.exceptions[at] = true
	} else if s.strict {
		s.t.Errorf("%s: server %d, %v, says on link %d %x\nrecorded %v %x", at, r.id, r.node.Role(), link, got, it.packet.Type, it.raw)
	}
}

func committing(t PacketType) bool {
	return t == TypeCommit || t == TypeInform || t == TypeCommitAndActivate || t == TypeInformAndActivate
}

// provoke lets one thing happen that a packet can come from: first what it says itself, then what has come, and at last
// the work of the disk.
func (r *replica) provoke(it *item, first bool) bool {
	switch p := &it.packet; {
	case p.Type == TypePing && it.byLeader && first:
		if l := r.node.lead; l != nil && l.nextTurn < r.s.now+patience {
			r.s.now = max(r.s.now, l.nextTurn) // the recorded server's clock is not ours
		}
		r.step(Tick{})
		return true
	case it.byLeader && p.Type == TypeProposal && len(r.slots) > 0:
		return r.propose(it)
	case (committing(p.Type) || p.Type == TypeAck && p.Zxid.Counter() != 0) && r.sync(p.Zxid):
		return true
	case p.Type == TypeRequest && first:
		q, err := decodeRequest(p)
		if err != nil {
			r.s.t.Fatal(err)
		}
		if q.IDs == nil {
			q.IDs = []proto.ID{{Scheme: "ip", ID: "127.0.0.1"}}
		}
		r.step(Submit{[]*proto.Request{q}})
		return true
	case p.Type == TypeValidate && !it.byLeader && first:
		eachTouch(p.Data, func(t session.Touch) { r.step(Revalidate{t}) })
		return true
	}
	if r.read() {
		return true
	}
	if it.byLeader && it.packet.Type == TypeProposal && r.propose(it) {
		return true
	}
	return r.write()
}

// propose has a request prepared, at the time that the recorded proposal names.
func (r *replica) propose(it *item) bool {
	var x txn.Txn
	if err := x.Decode(it.packet.Data); err != nil {
		r.s.t.Fatalf("%s: %v", r.s.where(), err)
	}
	switch {
	case it.packet.Zxid <= r.node.Logged():
		return false
	case len(r.slots) > 0:
	case x.Header.Type == proto.OpCloseSession && x.Cxid == 0:
		r.step(Tick{}) // it has expired
	default:
		r.step(Submit{[]*proto.Request{r.s.requestOf(&x)}})
	}
	if len(r.slots) == 0 || r.slots[0].Zxid != it.packet.Zxid {
		return false
	}
	slot := r.slots[0]
	r.slots = r.slots[1:]
	e := txn.Entry{Zxid: slot.Zxid, Bytes: it.packet.Data}
	if r.s.strict && slot.Request != refused {
		e = r.prep.PrepareSlot(slot, x.Time)
	}
	r.step(Propose{[]txn.Entry{e}})
	return true
}

// refused is a request of a leader's own client of which nothing is known, but that it came to an error.
var refused = &proto.Request{Op: proto.OpSetData}

// requestOf returns the request of a leader's own client, of which only the txn is known.
func (s *story) requestOf(x *txn.Txn) *proto.Request {
	q := &proto.Request{Session: x.Session, Xid: x.Cxid, Op: x.Header.Type, IDs: []proto.ID{{Scheme: "ip", ID: "127.0.0.1"}}}
	switch x.Header.Type {
	case proto.OpCreateSession:
		q.Body = append(q.Body, byte(x.Timeout>>24), byte(x.Timeout>>16), byte(x.Timeout>>8), byte(x.Timeout))
	case proto.OpCloseSession:
	case proto.OpCreate:
		q.Body = (&proto.CreateRequest{Path: x.Path, Data: x.Data, ACL: x.ACL}).AppendTo(nil)
	case proto.OpSetData:
		q.Body = (&proto.SetDataRequest{Path: x.Path, Data: x.Data, Version: -1}).AppendTo(nil)
	case proto.OpReconfig:
		q.IDs = append(q.IDs, proto.ID{Scheme: "super"})
		q.Body = (&proto.ReconfigRequest{
			Joining: proto.OptString{Null: true}, Leaving: proto.OptString{Null: true}, NewMembers: proto.OptString{Text: string(x.Data)}, ConfigID: -1,
		}).AppendTo(nil)
	case proto.OpError:
		return refused
	default:
		if s.strict {
			s.t.Fatalf("%s: nobody has asked for a txn of type %v", s.where(), x.Header.Type)
		}
	}
	return q
}

// compareTrees compares two trees on their way to a learner. A tree has its nodes in the order of a hash table where it
// was recorded, and knows its lists by other numbers.
func (s *story) compareTrees(got, want []byte) {
	a, b := s.described(got), s.described(want)
	if len(got) != len(want) || !slices.Equal(a, b) {
		s.t.Errorf("%s: a tree of %d bytes is sent, and not of %d:\n%q\n%q", s.where(), len(got), len(want), a, b)
	}
}

// described returns what a tree holds, a line for each session and node, sorted.
func (s *story) described(stream []byte) []string {
	w := s.treeOf(stream, 0).NewWalk()
	defer w.Close()
	lists := map[int64][]proto.ACL{}
	for _, l := range w.ACLs {
		lists[l.Key] = l.List
	}
	var lines []string
	for _, x := range w.Sessions {
		lines = append(lines, fmt.Sprintf("session %#x %d", x.ID, x.Timeout))
	}
	w.Next(1<<20, func(path string, data []byte, acl int64, st *proto.StatPersisted) {
		lines = append(lines, fmt.Sprintf("%s %q %v %+v", path, data, lists[acl], *st))
	})
	slices.Sort(lines)
	return lines
}
