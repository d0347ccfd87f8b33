package tree

import (
	"errors"
	"fmt"

	"github.com/zabd/zabd/pkg/proto"
)

// What a snapshot can hold that no tree can.
var (
	ErrNoParent  = errors.New("node without its parent")
	ErrTwice     = errors.New("node appears twice")
	ErrACLKey    = errors.New("node names an ACL that is not there")
	ErrBadTTL    = errors.New("ephemeralOwner is no session, container or TTL")
	errNotLoaded = errors.New("snapshot ends without a root")
)

// loader is what a tree needs to know while a snapshot is read into it.
type loader struct {
	keys   map[int64]uint32
	rooted bool
	dir    []byte // the parent of the node that was loaded last, and where it is: siblings mostly stand side by side
	parent Ref
}

// LoadSession adds a live session; the timeout is in milliseconds.
func (t *Tree) LoadSession(id int64, timeout int32) { t.sessions[id] = timeout }

// LoadACL makes a list known under the key by which nodes name it.
func (t *Tree) LoadACL(key int64, acl []proto.ACL) {
	if key != -1 {
		t.loading.keys[key] = t.acls.use(acl)
	}
}

// LoadNode adds a node; its parent must have come before. The root is "".
func (t *Tree) LoadNode(path string, data []byte, acl int64, st *proto.StatPersisted) error {
	l := &t.loading
	key, ok := l.keys[acl]
	if !ok {
		return fmt.Errorf("tree: load %q, key %d: %w", path, acl, ErrACLKey)
	}
	if !t.Types.valid(st.EphemeralOwner) {
		return fmt.Errorf("tree: load %q, owner %#x: %w", path, uint64(st.EphemeralOwner), ErrBadTTL)
	}
	r := root
	if path == "" {
		if l.rooted {
			return fmt.Errorf("tree: load root: %w", ErrTwice)
		}
		l.rooted = true
	} else {
		dir, name, ok := split(path)
		parent, found := t.loadedParent(dir)
		if !ok || !found || !l.rooted {
			return fmt.Errorf("tree: load %q: %w", path, ErrNoParent)
		}
		hash := t.hash(parent, name)
		if t.childOf(parent, name, hash) != none {
			return fmt.Errorf("tree: load %q: %w", path, ErrTwice)
		}
		r = t.insertBelow(parent, path, dir, name, hash)
		t.double()
	}
	n := t.at(r)
	n.setPersisted(st)
	n.data = t.heap.replace(n.data, data)
	n.acl = key
	if key != openACL {
		t.acls.lists[key].uses++
	}
	t.bytes += int64(len(data))
	t.register(r)
	t.rehash(r, path)
	return nil
}

// loadedParent finds the parent of a node that is loaded.
func (t *Tree) loadedParent(dir string) (Ref, bool) {
	l := &t.loading
	if l.parent != none && string(l.dir) == dir {
		return l.parent, true
	}
	parent, found := t.Find(dir)
	if found {
		l.dir, l.parent = append(l.dir[:0], dir...), parent
	}
	return parent, found
}

// FinishLoad says that the snapshot is complete and at which zxid it stands. Lists that no node names are dropped.
func (t *Tree) FinishLoad(last proto.Zxid) error {
	if !t.loading.rooted {
		return fmt.Errorf("tree: load: %w", errNotLoaded)
	}
	for _, key := range t.loading.keys {
		t.acls.drop(key)
	}
	t.loading = loader{}
	t.last = last
	t.recount()
	return nil
}
