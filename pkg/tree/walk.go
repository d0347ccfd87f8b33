package tree

import (
	"slices"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
)

// SessionInfo is a session as snapshots hold it; the timeout is in milliseconds.
type SessionInfo struct {
	ID      int64
	Timeout int32
}

// ACLInfo is a list and its key as snapshots hold them.
type ACLInfo struct {
	Key  int64
	List []proto.ACL
}

// A Walk gives every node as it was when the walk began, while the tree goes on changing. It visits the living nodes
// depth first; a change to a node that it has not reached saves the old version first, and a node that is removed
// before its turn comes at the end.
//
// Invariant: every node with a czxid up to Zxid is visited, or saved, or unchanged since the walk began.
type Walk struct {
	Zxid     proto.Zxid
	Digest   uint64
	Sessions []SessionInfo
	ACLs     []ACLInfo

	t       *Tree
	cursor  Ref      // the next node to visit
	visited []uint64 // one bit for each slot
	saved   map[Ref]*version
	dead    []*version
	path    []byte
}

type version struct {
	path string
	data []byte
	acl  uint32
	stat proto.StatPersisted
}

// NewWalk begins a walk at the last zxid applied. It copies sessions and ACLs.
func (t *Tree) NewWalk() *Walk {
	w := &Walk{
		Zxid: t.last, Digest: t.digest, t: t, cursor: root,
		visited: make([]uint64, int(t.used)/64+1), saved: make(map[Ref]*version),
	}
	for _, id := range t.sessionIDs() {
		w.Sessions = append(w.Sessions, SessionInfo{id, t.sessions[id]})
	}
	for i, e := range t.acls.lists {
		if uint32(i) != openACL && e.uses > 0 {
			w.ACLs = append(w.ACLs, ACLInfo{int64(i), e.acl})
		}
	}
	t.acls.walks++
	t.walks = append(t.walks, w)
	return w
}

// Close ends the walk, at its end or before.
func (w *Walk) Close() {
	if i := slices.Index(w.t.walks, w); i >= 0 {
		w.t.walks = slices.Delete(w.t.walks, i, i+1)
		w.t.acls.endWalk()
	}
}

// Next gives up to limit nodes, parents before their children, and tells whether there are more. What is passed to
// yield is good for that call only.
func (w *Walk) Next(limit int, yield func(path string, data []byte, acl int64, st *proto.StatPersisted)) (more bool) {
	t := w.t
	for ; limit > 0 && w.cursor != none; limit-- {
		r := w.cursor
		n := t.at(r)
		if n.czxid > int64(w.Zxid) { // new, and all below it is
			w.cursor = t.behind(r, false)
			continue
		}
		if v := w.saved[r]; v != nil {
			v.give(yield)
			delete(w.saved, r)
		} else {
			w.path = t.appendPath(w.path[:0], r)
			st := n.persisted()
			yield(string(w.path), t.heap.get(n.data), aclKey(n.acl), &st)
		}
		w.visited[r/64] |= 1 << (r % 64)
		w.cursor = t.behind(r, true)
	}
	if w.cursor != none {
		return true
	}
	slices.SortFunc(w.dead, func(a, b *version) int { return strings.Compare(a.path, b.path) })
	for ; limit > 0 && len(w.dead) > 0; limit-- {
		w.dead[0].give(yield)
		w.dead = w.dead[1:]
	}
	return len(w.dead) > 0
}

func (v *version) give(yield func(string, []byte, int64, *proto.StatPersisted)) {
	yield(v.path, v.data, aclKey(v.acl), &v.stat)
}

// aclKey returns the key in snapshots.
func aclKey(i uint32) int64 {
	if i == openACL {
		return -1
	}
	return int64(i)
}

// owes tells whether the walk has still to give the node, in the version that the tree holds now.
func (w *Walk) owes(r Ref) bool {
	if w.t.at(r).czxid > int64(w.Zxid) {
		return false
	}
	seen := int(r/64) < len(w.visited) && w.visited[r/64]&(1<<(r%64)) != 0
	return !seen && w.saved[r] == nil
}

// save keeps the present version of a node for every walk that has not reached it. It comes before any change.
func (t *Tree) save(r Ref) {
	for _, w := range t.walks {
		if w.owes(r) {
			w.saved[r] = t.version(r)
		}
	}
}

// bury does the same before the node is removed, and moves a walk on that stands on it.
func (t *Tree) bury(r Ref) {
	for _, w := range t.walks {
		switch v := w.saved[r]; {
		case v != nil:
			w.dead = append(w.dead, v)
			delete(w.saved, r)
		case w.owes(r):
			w.dead = append(w.dead, t.version(r))
		}
		if w.cursor == r {
			w.cursor = t.behind(r, false)
		}
	}
}

func (t *Tree) version(r Ref) *version {
	n := t.at(r)
	v := &version{path: t.Path(r), acl: n.acl, stat: n.persisted()}
	if data := t.heap.get(n.data); data != nil {
		v.data = append([]byte{}, data...)
	}
	return v
}
