// Package tree is the replicated state: znodes with their data and ACLs, the sessions that live, and which ephemeral
// nodes belong to each. Txns change it; it checks nothing that the leader has checked before, and no txn that a server
// of any version has logged makes it fail.
//
// A node costs 112 bytes, a slot of the index and the cells of its name and data, and gives the collector nothing to
// scan: nodes lie in chunks and name each other by number, bytes lie in slabs (heap).
//
// A Tree has no lock: Apply, loading and the beginning and end of a walk need it to themselves, everything else may run
// beside other reads. (Package pipeline owns the lock.)
package tree

import (
	"slices"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// A Tree is one server's copy of the state.
//
// Invariants:
//
//	digest is the sum of the digests of all nodes that are not hidden
//	ephemerals[s] holds exactly the nodes whose owner is the session s
//	transients holds exactly the containers and TTL nodes
//	bytes is the sum of the lengths of all paths and data
type Tree struct {
	nodes
	acls       aclTable
	sessions   map[int64]int32 // timeout in milliseconds
	ephemerals map[int64]map[Ref]struct{}
	owned      int // ephemeral nodes
	last       proto.Zxid
	digest     uint64
	bytes      int64
	walks      []*Walk
	digester   Digester
	path       []byte // scratch
	loading    loader
	transients transients
	quota      Ref    // the node QuotaPath; none if it is not there
	stats      []byte // scratch

	// Types says how owners are read. It is set before anything is loaded.
	Types Types
}

// Empty returns a tree to load a snapshot into. It has a root only.
func Empty() *Tree {
	t := &Tree{sessions: make(map[int64]int32), ephemerals: make(map[int64]map[Ref]struct{})}
	t.loading.keys = map[int64]uint32{-1: openACL}
	t.nodes.init()
	t.acls.init()
	t.nodes.add(none, "", 0)
	t.at(root).data = emptyBlob
	t.rehash(root, "")
	return t
}

// New returns the tree of a new ensemble: the root, /zookeeper, and below it quota and config.
func New() *Tree {
	t := Empty()
	for _, path := range []string{systemPath, QuotaPath, ConfigPath} {
		r := t.insert(path)
		t.at(r).data = emptyBlob
		t.rehash(r, path)
	}
	config, _ := t.Find(ConfigPath)
	n := t.at(config)
	n.acl = t.acls.use([]proto.ACL{{Perms: proto.PermRead, ID: proto.ID{Scheme: "world", ID: "anyone"}}})
	n.aversion = -1
	return t
}

// insert adds a bare node below its parent, which must exist.
func (t *Tree) insert(path string) Ref {
	dir, name, _ := split(path)
	parent, _ := t.Find(dir)
	r := t.insertBelow(parent, path, dir, name, t.hash(parent, name))
	t.grow()
	return r
}

// insertBelow is insert for those who know all of it, and see to the index.
func (t *Tree) insertBelow(parent Ref, path, dir, name string, hash uint32) Ref {
	r := t.nodes.add(parent, name, hash)
	if t.at(parent).mark&flagHidden != 0 || dir == systemPath {
		t.at(r).mark |= flagHidden
	}
	t.bytes += int64(len(path))
	if path == QuotaPath {
		t.quota = r
	}
	return r
}

// rehash brings a node's digest and the tree's up to date.
func (t *Tree) rehash(r Ref, path string) {
	n := t.at(r)
	if n.mark&flagHidden != 0 {
		return
	}
	st := n.persisted()
	sum := t.digester.sum(path, t.heap.get(n.data), &st)
	t.digest += uint64(sum) - uint64(n.digest)
	n.digest = sum
}

// split returns the parent's path ("" for the root) and the last name; false if the path names no node but the root.
func split(path string) (dir, name string, ok bool) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i], path[i+1:], i+1 < len(path)
		}
	}
	return "", "", false
}

// Find returns the node with that path. "" and "/" are the root.
func (t *Tree) Find(path string) (Ref, bool) {
	if path == "" || path == "/" {
		return root, true
	}
	if path[0] != '/' {
		return none, false
	}
	r := root
	for start := 1; start <= len(path); {
		end := start
		for end < len(path) && path[end] != '/' {
			end++
		}
		if r = t.child(r, path[start:end]); r == none {
			return none, false
		}
		start = end + 1
	}
	return r, path[len(path)-1] != '/'
}

// Persisted returns what snapshots hold of a node besides data and ACL.
func (t *Tree) Persisted(r Ref) proto.StatPersisted { return t.at(r).persisted() }

// Stat returns what clients see. cversion counts creates and deletes below the node, and containers and TTL nodes
// have no owner.
func (t *Tree) Stat(r Ref) proto.Stat {
	n := t.at(r)
	st := proto.Stat{
		Czxid: proto.Zxid(n.czxid), Mzxid: proto.Zxid(n.mzxid), Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: n.cversion*2 - n.children, Aversion: n.aversion,
		DataLength: int32(t.dataLen(n.data)), NumChildren: n.children, Pzxid: proto.Zxid(n.pzxid),
	}
	if t.Types.kind(n.owner) == ephemeral {
		st.EphemeralOwner = n.owner
	}
	return st
}

func (t *Tree) dataLen(b blob) int {
	if b.class() == largeClass {
		return len(t.heap.get(b))
	}
	if b.class() == 0 {
		return 0
	}
	return b.length()
}

// IsEphemeral tells whether a node belongs to a session.
func (t *Tree) IsEphemeral(r Ref) bool { return t.Types.kind(t.at(r).owner) == ephemeral }

// Data returns a node's data, nil for null. The bytes are good until the tree changes.
func (t *Tree) Data(r Ref) []byte { return t.heap.get(t.at(r).data) }

// ACL returns a node's list, which nobody may change.
func (t *Tree) ACL(r Ref) []proto.ACL { return t.acls.lists[t.at(r).acl].acl }

// NumChildren returns how many children a node has.
func (t *Tree) NumChildren(r Ref) int { return int(t.at(r).children) }

// CountBelow returns how many nodes lie below one. It visits them all, unless it is the root.
func (t *Tree) CountBelow(r Ref) int {
	if r == root {
		return t.count - 1
	}
	n := -1 // r itself
	for at, end := r, t.behind(r, false); at != end; at = t.behind(at, true) {
		n++
	}
	return n
}

// NodeDigestOf returns a node's share in the digest.
func (t *Tree) NodeDigestOf(r Ref) uint64 { return uint64(t.at(r).digest) }

// Children calls f with each child's name until it returns false. The order says nothing.
func (t *Tree) Children(r Ref, f func(name string) bool) {
	for c := t.at(r).firstChild; c != none; c = t.at(c).next {
		if !f(string(t.name(c))) {
			return
		}
	}
}

// AppendChildren appends the names of all children as a jute vector.
func (t *Tree) AppendChildren(dst []byte, r Ref) []byte {
	n := t.at(r)
	dst = jute.AppendCount(dst, int(n.children))
	for c := n.firstChild; c != none; {
		n := t.at(c)
		dst = jute.AppendBuffer(dst, t.heap.get(n.name))
		c = n.next
	}
	return dst
}

// Path returns a node's path, "" for the root.
func (t *Tree) Path(r Ref) string { return string(t.appendPath(nil, r)) }

// Ephemerals returns the paths that belong to a session, sorted.
func (t *Tree) Ephemerals(session int64) []string {
	own := t.ephemerals[session]
	if len(own) == 0 {
		return nil
	}
	paths := make([]string, 0, len(own))
	for r := range own {
		paths = append(paths, t.Path(r))
	}
	slices.Sort(paths)
	return paths
}

// Sessions calls f with every live session, in the order of their ids; the timeout is in milliseconds.
func (t *Tree) Sessions(f func(id int64, timeout int32)) {
	for _, id := range t.sessionIDs() {
		f(id, t.sessions[id])
	}
}

func (t *Tree) sessionIDs() []int64 {
	ids := make([]int64, 0, len(t.sessions))
	for id := range t.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// SessionTimeout returns the timeout in milliseconds of a session; false if it does not live.
func (t *Tree) SessionTimeout(id int64) (int32, bool) {
	timeout, ok := t.sessions[id]
	return timeout, ok
}

// SessionCount returns the number of live sessions.
func (t *Tree) SessionCount() int { return len(t.sessions) }

// LastZxid returns the last zxid applied.
func (t *Tree) LastZxid() proto.Zxid { return t.last }

// Advance moves the last zxid on without a change: an epoch has begun.
func (t *Tree) Advance(z proto.Zxid) { t.last = max(t.last, z) }

// Digest returns the sum of all node digests.
func (t *Tree) Digest() uint64 { return t.digest }

// NodeCount returns the number of nodes, the root included.
func (t *Tree) NodeCount() int { return t.count }

// EphemeralCount returns the number of ephemeral nodes.
func (t *Tree) EphemeralCount() int { return t.owned }

// DataSize returns the sum of the lengths of all paths and data.
func (t *Tree) DataSize() int64 { return t.bytes }

// MemoryBytes returns what the nodes, their index and their bytes take.
func (t *Tree) MemoryBytes() int64 {
	const nodeSize, bucketSize = 112, 4
	return int64(len(t.chunks))*chunkSize*nodeSize + int64(len(t.buckets))*chunkSize*bucketSize + t.heap.bytes
}
