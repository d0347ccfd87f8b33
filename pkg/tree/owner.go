package tree

import "github.com/zabd/zabd/pkg/proto"

// Types says which kinds of nodes an owner can stand for, by a server's settings (EphemeralType).
type Types struct {
	NoTTL  bool // the owner of a TTL node is a session: extended types are off
	TTL353 bool // every negative owner is a TTL node's, as ZooKeeper 3.5.3 wrote them; a container's is not
}

// kind is what the owner of a node makes of it.
type kind uint8

const (
	plain kind = iota
	ephemeral
	container
	timed
)

func (ts Types) kind(owner int64) kind {
	switch {
	case owner == 0:
		return plain
	case owner == proto.ContainerOwner:
		return container
	case !ts.NoTTL && (uint64(owner)&proto.TTLMask == proto.TTLMask || ts.TTL353 && owner < 0):
		return timed
	}
	return ephemeral
}

// valid tells whether an owner is of a form that some server writes. ZooKeeper keeps 16 bits of a TTL node's for later.
func (ts Types) valid(owner int64) bool {
	return ts.NoTTL || ts.TTL353 || uint64(owner)&proto.TTLMask != proto.TTLMask || uint64(owner)>>40&0xffff == 0
}

// register notes a node's owner.
func (t *Tree) register(r Ref) {
	switch owner := t.at(r).owner; t.Types.kind(owner) {
	case ephemeral:
		m := t.ephemerals[owner]
		if m == nil {
			m = make(map[Ref]struct{})
			t.ephemerals[owner] = m
		}
		m[r] = struct{}{}
		t.owned++
	case container, timed:
		t.transients.add(r)
	}
}

// unregister follows register.
func (t *Tree) unregister(r Ref) {
	switch owner := t.at(r).owner; t.Types.kind(owner) {
	case ephemeral:
		m := t.ephemerals[owner]
		delete(m, r)
		t.owned--
		if len(m) == 0 {
			delete(t.ephemerals, owner)
		}
	case container, timed:
		t.transients.remove(r)
	}
}

// transients are nodes that go when they have outlived their use, as a list, so that one can look through it in parts.
type transients struct {
	list  []Ref
	place map[Ref]int32 // in the list
}

func (s *transients) add(r Ref) {
	if s.place == nil {
		s.place = make(map[Ref]int32)
	}
	s.place[r] = int32(len(s.list))
	s.list = append(s.list, r)
}

// remove puts the last of the list in the place of r: whoever looks through it from its end misses nobody.
func (s *transients) remove(r Ref) {
	i, last := s.place[r], len(s.list)-1
	moved := s.list[last]
	s.list[i], s.place[moved] = moved, i
	s.list = s.list[:last]
	delete(s.place, r)
}

// TransientCount returns the number of containers and TTL nodes.
func (t *Tree) TransientCount() int { return len(t.transients.list) }

// Outlived appends to dst the paths of those that have outlived their use among the up to limit containers and TTL nodes
// in front of the place end, and returns the place for the next call; 0 when there are no more. The first call has
// TransientCount. Times are in milliseconds, now is the leader's.
//
// A container without children has, unless it never had any: then it has only if neverUsed is not 0 and passed since it
// was written. A TTL node has without children and when its time has passed since it was written.
func (t *Tree) Outlived(dst []string, end, limit int, now, neverUsed int64) ([]string, int) {
	end = min(end, len(t.transients.list))
	from := max(end-limit, 0)
	for _, r := range t.transients.list[from:end] {
		n := t.at(r)
		if n.children > 0 {
			continue
		}
		age := now - n.mtime
		gone := n.cversion > 0 || neverUsed != 0 && age > neverUsed
		if t.Types.kind(n.owner) == timed {
			ttl := n.owner & proto.MaxTTL
			gone = ttl != 0 && age > ttl
		}
		if gone {
			dst = append(dst, t.Path(r))
		}
	}
	return dst, from
}
