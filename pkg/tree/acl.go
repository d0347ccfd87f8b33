package tree

import "github.com/zabd/zabd/pkg/proto"

// openACL is the index of "no list was ever given": world:anyone with all permissions, key -1 in snapshots.
const openACL uint32 = 0

// aclTable holds each list of permissions once. Its indexes are the keys of snapshots.
type aclTable struct {
	lists []aclEntry
	index map[string]uint32 // by encoded list
	free  []uint32
	late  []uint32 // unused, but perhaps named by a walk that runs
	buf   []byte
	walks int
}

type aclEntry struct {
	acl  []proto.ACL // never changed
	key  string
	uses int
}

func (t *aclTable) init() {
	t.lists = []aclEntry{{acl: proto.WorldAll(), uses: 1}}
	t.index = make(map[string]uint32)
}

// use returns the index of a list and counts one use more.
func (t *aclTable) use(acl []proto.ACL) uint32 {
	t.buf = proto.AppendACLs(t.buf[:0], acl)
	if i, ok := t.index[string(t.buf)]; ok {
		t.lists[i].uses++
		return i
	}
	e := aclEntry{acl: cloneACL(acl), key: string(t.buf), uses: 1}
	var i uint32
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
		t.lists[i] = e
	} else {
		i = uint32(len(t.lists))
		t.lists = append(t.lists, e)
	}
	t.index[e.key] = i
	return i
}

// drop counts one use less. An index is not used again while a walk might name it.
func (t *aclTable) drop(i uint32) {
	if i == openACL {
		return
	}
	e := &t.lists[i]
	if e.uses--; e.uses > 0 {
		return
	}
	delete(t.index, e.key)
	*e = aclEntry{}
	if t.walks > 0 {
		t.late = append(t.late, i)
	} else {
		t.free = append(t.free, i)
	}
}

func (t *aclTable) endWalk() {
	if t.walks--; t.walks == 0 {
		t.free = append(t.free, t.late...)
		t.late = t.late[:0]
	}
}

func cloneACL(acl []proto.ACL) []proto.ACL {
	own := make([]proto.ACL, len(acl))
	for i, a := range acl {
		own[i] = proto.ACL{Perms: a.Perms, ID: proto.ID{Scheme: string([]byte(a.ID.Scheme)), ID: string([]byte(a.ID.ID))}}
	}
	return own
}
