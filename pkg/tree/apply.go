package tree

import (
	"bytes"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// A Result is what a txn did. It is the caller's; Apply fills it anew each time.
type Result struct {
	Zxid    proto.Zxid
	Code    proto.Code
	Path    string     // of a created node
	Stat    proto.Stat // of a node that was created or set
	Data    []byte     // of a reconfig: the new list of members
	Subs    []SubResult
	Changes []Change

	TTLMade, TTLGone int // TTL nodes
}

// A SubResult is what one operation of a multi did. In a failed multi all have the type OpError.
type SubResult struct {
	Type proto.Op
	Code proto.Code
	Path string
	Stat proto.Stat
}

// A Change is what a watcher may want to know, and the list whose READ decides whether it may.
type Change struct {
	Type proto.EventType
	Path string
	ACL  []proto.ACL
}

func (r *Result) reset(z proto.Zxid) {
	clear(r.Subs)
	clear(r.Changes)
	*r = Result{Zxid: z, Subs: r.Subs[:0], Changes: r.Changes[:0]}
}

// Apply changes the tree by one txn and fills r. It may be applied a second time, and to a tree that has later txns in
// part, as happens to snapshots of Java servers: then r.Code tells what was there already or no longer. Strings in r
// and its data alias the txn.
func (t *Tree) Apply(x *txn.Txn, r *Result) {
	r.reset(x.Zxid)
	if x.Header.Type == proto.OpMulti {
		t.multi(&x.Header, x.Subs, r)
	} else {
		s := t.one(&x.Header, x.Header.Type, &x.Body, r)
		r.Code, r.Path, r.Stat = s.Code, s.Path, s.Stat
		if x.Header.Type == proto.OpReconfig {
			r.Data = x.Data
		}
	}
	t.last = max(t.last, x.Zxid)
}

// multi applies all or, where one of them is an error, nothing.
func (t *Tree) multi(h *txn.Header, subs []txn.Body, r *Result) {
	failed := -1
	for i := range subs {
		if subs[i].Type == proto.OpError {
			failed = i
			break
		}
	}
	for i := range subs {
		if failed < 0 {
			r.Subs = append(r.Subs, t.one(h, subs[i].Type, &subs[i], r))
			continue
		}
		s := SubResult{Type: proto.OpError}
		switch {
		case subs[i].Type == proto.OpError:
			s.Code = subs[i].Err
		case i > failed:
			s.Code = proto.RuntimeInconsistency
		}
		r.Subs = append(r.Subs, s)
	}
	for i := range r.Subs {
		if r.Code == proto.OK {
			r.Code = r.Subs[i].Code
		}
	}
}

func (t *Tree) one(h *txn.Header, typ proto.Op, b *txn.Body, r *Result) SubResult {
	s := SubResult{Type: typ}
	switch typ {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		t.create(h, typ, b, &s, r)
	case proto.OpDelete, proto.OpDeleteContainer:
		s.Code = t.delete(b.Path, h.Zxid, r)
	case proto.OpSetData, proto.OpReconfig:
		t.setData(h, b, &s, r)
	case proto.OpSetACL:
		t.setACL(b, &s)
	case proto.OpCreateSession:
		t.sessions[h.Session] = b.Timeout
	case proto.OpCloseSession:
		t.closeSession(h, b, r)
	case proto.OpError:
		s.Code = b.Err
	case proto.OpCheck:
	default:
		s.Code = proto.Unimplemented
	}
	return s
}

func owner(h *txn.Header, typ proto.Op, b *txn.Body) int64 {
	switch {
	case typ == proto.OpCreateContainer:
		return proto.ContainerOwner
	case typ == proto.OpCreateTTL:
		return int64(proto.TTLMask | uint64(b.TTL))
	case b.Ephemeral:
		return h.Session
	}
	return 0
}

func (t *Tree) create(h *txn.Header, typ proto.Op, b *txn.Body, s *SubResult, r *Result) {
	s.Path = b.Path
	dir, name, ok := split(b.Path)
	parent, found := t.Find(dir)
	if !found || !ok && b.Path != "/" {
		s.Code = proto.NoNode
		return
	}
	if !ok {
		s.Code = proto.NodeExists
		return
	}
	if old := t.child(parent, name); old != none {
		s.Code = proto.NodeExists
		if typ == proto.OpCreate { // a snapshot written beside the create had the child already and not the parent
			t.raise(parent, dir, b.ParentCVersion, h.Zxid)
		}
		t.replaceACL(old, b.ACL)
		return
	}
	t.raise(parent, dir, b.ParentCVersion, h.Zxid)
	c := t.insert(b.Path)
	n := t.at(c)
	z := int64(h.Zxid)
	n.czxid, n.mzxid, n.pzxid, n.ctime, n.mtime = z, z, z, h.Time, h.Time
	n.owner, n.acl = owner(h, typ, b), t.acls.use(b.ACL)
	n.data = t.heap.put(b.Data)
	t.bytes += int64(len(b.Data))
	t.register(c)
	if t.Types.kind(n.owner) == timed {
		r.TTLMade++
	}
	t.rehash(c, b.Path)
	s.Stat = t.Stat(c)
	t.beginStats(c, dir, name)
	t.account(b.Path, int64(len(b.Data)), 1)
	r.Changes = append(r.Changes, Change{proto.EventCreated, b.Path, t.ACL(c)}, t.childrenChanged(parent, dir))
}

// raise moves a parent's count of creates on, and its pzxid with it, unless it is that far already. want -1 is one more.
func (t *Tree) raise(parent Ref, path string, want int32, z proto.Zxid) {
	n := t.at(parent)
	if want == -1 {
		want = n.cversion + 1
	}
	if want > n.cversion {
		t.save(parent)
		n.cversion, n.pzxid = want, int64(z)
		t.rehash(parent, path)
	}
}

func (t *Tree) childrenChanged(parent Ref, path string) Change {
	if path == "" {
		path = "/"
	}
	return Change{proto.EventChildrenChanged, path, t.ACL(parent)}
}

// delete removes a node. The parent's pzxid moves even if the node is gone already.
func (t *Tree) delete(path string, z proto.Zxid, r *Result) proto.Code {
	dir, name, ok := split(path)
	parent, found := t.Find(dir)
	if !found || !ok {
		return proto.NoNode
	}
	if p := t.at(parent); int64(z) > p.pzxid {
		t.save(parent)
		p.pzxid = int64(z)
		t.rehash(parent, dir)
	}
	n := t.child(parent, name)
	if n == none {
		return proto.NoNode
	}
	r.Changes = append(r.Changes, Change{proto.EventDeleted, path, t.ACL(n)}, t.childrenChanged(parent, dir))
	if t.Types.kind(t.at(n).owner) == timed {
		r.TTLGone++
	}
	t.removeAll(n)
	return proto.OK
}

// removeAll removes a node and what is below it. Only the replay of a log over a snapshot that is ahead of it can find
// something there; the log makes it anew.
func (t *Tree) removeAll(top Ref) {
	for r := top; ; {
		if c := t.at(r).firstChild; c != none {
			r = c
			continue
		}
		parent := t.at(r).parent
		t.removeLeaf(r)
		if r == top {
			return
		}
		r = parent
	}
}

func (t *Tree) removeLeaf(r Ref) {
	t.bury(r)
	n := t.at(r)
	t.path = t.appendPath(t.path[:0], r)
	size := int64(t.dataLen(n.data))
	t.bytes -= int64(len(t.path)) + size
	if n.mark&flagHidden == 0 {
		t.digest -= uint64(n.digest)
	}
	t.unregister(r)
	t.acls.drop(n.acl)
	t.nodes.remove(r)
	if r == t.quota {
		t.quota = none
	}
	if t.hasQuotas() {
		t.account(string(t.path), -size, -1)
	}
}

func (t *Tree) setData(h *txn.Header, b *txn.Body, s *SubResult, r *Result) {
	ref, ok := t.Find(b.Path)
	if !ok {
		s.Code = proto.NoNode
		return
	}
	t.save(ref)
	n := t.at(ref)
	more := int64(len(b.Data) - t.dataLen(n.data))
	t.bytes += more
	n.data = t.heap.replace(n.data, b.Data)
	n.version, n.mzxid, n.mtime = b.Version, int64(h.Zxid), h.Time
	t.rehash(ref, b.Path)
	s.Stat = t.Stat(ref)
	t.account(b.Path, more, 0)
	r.Changes = append(r.Changes, Change{proto.EventDataChanged, b.Path, t.ACL(ref)})
}

// SetConfig puts the text of the members into its node, as of a version. No txn says so: the tree stands where it stood,
// and nobody is told. Nothing changes if the node has that text.
func (t *Tree) SetConfig(text []byte, version proto.Zxid, millis int64) {
	ref, ok := t.Find(ConfigPath)
	if ok && bytes.Equal(t.Data(ref), text) {
		return
	}
	var s SubResult
	var r Result
	t.setData(&txn.Header{Zxid: version, Time: millis}, &txn.Body{Path: ConfigPath, Data: text, Version: -1}, &s, &r)
}

func (t *Tree) setACL(b *txn.Body, s *SubResult) {
	ref, ok := t.Find(b.Path)
	if !ok {
		s.Code = proto.NoNode
		return
	}
	t.replaceACL(ref, b.ACL)
	n := t.at(ref)
	n.aversion = b.Version
	t.rehash(ref, b.Path)
	s.Stat = t.Stat(ref)
}

func (t *Tree) replaceACL(r Ref, acl []proto.ACL) {
	t.save(r)
	n := t.at(r)
	old := n.acl
	n.acl = t.acls.use(acl)
	t.acls.drop(old)
}

// closeSession removes the nodes that the txn lists, whoever owns them, and then what else the session has.
func (t *Tree) closeSession(h *txn.Header, b *txn.Body, r *Result) {
	delete(t.sessions, h.Session)
	for _, path := range b.Paths {
		t.delete(path, h.Zxid, r)
	}
	for _, path := range t.Ephemerals(h.Session) {
		t.delete(path, h.Zxid, r)
	}
}

// RemoveOrphans removes the ephemeral nodes of sessions that do not live, as a server does that starts alone or to
// lead. It returns how many there were.
func (t *Tree) RemoveOrphans() int {
	var dead []string
	for id := range t.ephemerals {
		if _, ok := t.sessions[id]; !ok {
			dead = append(dead, t.Ephemerals(id)...)
		}
	}
	var r Result
	for _, path := range dead {
		t.delete(path, t.last, &r)
	}
	return len(dead)
}
