package tree

import (
	"hash/maphash"

	"github.com/zabd/zabd/pkg/proto"
)

// A Ref names a node while it exists; 0 names none.
type Ref uint32

const (
	none Ref = 0
	root Ref = 1
)

// node is one znode: 112 bytes without a pointer. Siblings form a doubly linked list, newest first.
type node struct {
	czxid, mzxid, pzxid         int64
	ctime, mtime                int64
	owner                       int64 // ephemeralOwner as persisted
	version, cversion, aversion int32
	children                    int32
	parent, firstChild          Ref
	prev, next                  Ref
	chain                       Ref // the next node in the same bucket of the index
	acl                         uint32
	digest                      uint32 // the node's share in the tree's digest
	mark                        uint32 // hash of parent and name, and flagHidden
	name, data                  blob
}

// flagHidden marks nodes below /zookeeper, which have no share in the digest. What is left of a mark is the hash.
const flagHidden = 1 << 31

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

// nodes holds all nodes, in chunks that never move, and finds a child by its parent and name. The index is a linear
// hash (W. Litwin, VLDB 1980): it grows by one bucket with each insertion, so that no write ever waits for a rehash.
type nodes struct {
	chunks []*[chunkSize]node
	free   Ref // freed nodes, linked by next
	used   Ref // nodes ever handed out
	count  int

	heap    heap
	seed    maphash.Seed // decides only the order within buckets, which nothing shows
	buckets [][]Ref      // segments of chunkSize buckets
	split   uint64       // the next bucket to be split
	mask    uint64       // of the current round; buckets below split already use twice as many
}

func (ns *nodes) init() {
	ns.seed = maphash.MakeSeed()
	ns.mask = chunkSize - 1
	ns.buckets = [][]Ref{make([]Ref, chunkSize)}
	ns.used = none
}

func (ns *nodes) at(r Ref) *node { return &ns.chunks[r>>chunkBits][r&(chunkSize-1)] }

func (ns *nodes) name(r Ref) []byte { return ns.heap.get(ns.at(r).name) }

// hash returns the hash by which the index finds a child, of 31 bits.
func (ns *nodes) hash(parent Ref, name string) uint32 {
	return uint32(maphash.String(ns.seed, name)^uint64(parent)*0x9E3779B97F4A7C15) &^ flagHidden
}

func (ns *nodes) bucket(mark uint32) *Ref {
	h := uint64(mark &^ flagHidden)
	i := h & ns.mask
	if i < ns.split {
		i = h & (ns.mask<<1 | 1)
	}
	return &ns.buckets[i>>chunkBits][i&(chunkSize-1)]
}

// child returns the child of parent with that name.
func (ns *nodes) child(parent Ref, name string) Ref {
	return ns.childOf(parent, name, ns.hash(parent, name))
}

// childOf is child for those who know the hash.
func (ns *nodes) childOf(parent Ref, name string, hash uint32) Ref {
	for r := *ns.bucket(hash); r != none; {
		n := ns.at(r)
		if n.parent == parent && n.mark&^flagHidden == hash && string(ns.heap.get(n.name)) == name {
			return r
		}
		r = n.chain
	}
	return none
}

// add makes a child of parent, whose name has that hash; parent none makes the root. The index must grow then.
func (ns *nodes) add(parent Ref, name string, hash uint32) Ref {
	r := ns.free
	if r != none {
		ns.free = ns.at(r).next
	} else {
		ns.used++
		r = ns.used
		if int(r>>chunkBits) == len(ns.chunks) {
			ns.chunks = append(ns.chunks, new([chunkSize]node))
		}
	}
	ns.count++
	n := ns.at(r)
	*n = node{parent: parent, mark: hash}
	if parent == none {
		return r
	}
	n.name = ns.heap.put([]byte(name))
	p := ns.at(parent)
	if n.next = p.firstChild; n.next != none {
		ns.at(n.next).prev = r
	}
	p.firstChild = r
	p.children++
	ns.link(r)
	return r
}

// link puts a node into its bucket.
func (ns *nodes) link(r Ref) {
	n := ns.at(r)
	b := ns.bucket(n.mark)
	n.chain, *b = *b, r
}

// grow splits one bucket when there are more nodes than buckets.
func (ns *nodes) grow() {
	size := ns.mask + 1 + ns.split
	if uint64(ns.count) <= size {
		return
	}
	if size>>chunkBits == uint64(len(ns.buckets)) {
		ns.buckets = append(ns.buckets, make([]Ref, chunkSize))
	}
	from := &ns.buckets[ns.split>>chunkBits][ns.split&(chunkSize-1)]
	moved := *from
	*from = none
	if ns.split++; ns.split > ns.mask {
		ns.split, ns.mask = 0, ns.mask<<1|1
	}
	for moved != none {
		rest := ns.at(moved).chain
		ns.link(moved)
		moved = rest
	}
}

// double makes the index anew, of twice as many buckets, when there are more nodes than that. It is grow for a tree that
// is being loaded and that nobody waits for: the nodes are visited in the order in which they lie, which is faster.
func (ns *nodes) double() {
	if uint64(ns.count) <= ns.mask+1+ns.split {
		return
	}
	ns.mask, ns.split = ns.mask<<1|1, 0
	all := make([]Ref, ns.mask+1)
	ns.buckets = ns.buckets[:0]
	for ; len(all) > 0; all = all[chunkSize:] {
		ns.buckets = append(ns.buckets, all[:chunkSize:chunkSize])
	}
	for r := root; r <= ns.used; r++ {
		if ns.at(r).parent != none { // the root is in no bucket, nor is what is free
			ns.link(r)
		}
	}
}

// remove takes out a node without children.
func (ns *nodes) remove(r Ref) {
	n := ns.at(r)
	b := ns.bucket(n.mark)
	for *b != r {
		b = &ns.at(*b).chain
	}
	*b = n.chain
	p := ns.at(n.parent)
	p.children--
	if n.prev != none {
		ns.at(n.prev).next = n.next
	} else {
		p.firstChild = n.next
	}
	if n.next != none {
		ns.at(n.next).prev = n.prev
	}
	ns.heap.drop(n.name)
	ns.heap.drop(n.data)
	*n = node{next: ns.free}
	ns.free = r
	ns.count--
}

// appendPath appends the path of r, "" for the root.
func (ns *nodes) appendPath(dst []byte, r Ref) []byte {
	if r == root {
		return dst
	}
	dst = ns.appendPath(dst, ns.at(r).parent)
	return append(append(dst, '/'), ns.name(r)...)
}

// behind returns the node behind r in depth-first order, with or without what lies below r.
func (ns *nodes) behind(r Ref, descend bool) Ref {
	if c := ns.at(r).firstChild; descend && c != none {
		return c
	}
	for r != root {
		n := ns.at(r)
		if n.next != none {
			return n.next
		}
		r = n.parent
	}
	return none
}

func (n *node) persisted() proto.StatPersisted {
	return proto.StatPersisted{
		Czxid: proto.Zxid(n.czxid), Mzxid: proto.Zxid(n.mzxid), Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: n.cversion, Aversion: n.aversion,
		EphemeralOwner: n.owner, Pzxid: proto.Zxid(n.pzxid),
	}
}

func (n *node) setPersisted(st *proto.StatPersisted) {
	n.czxid, n.mzxid, n.pzxid = int64(st.Czxid), int64(st.Mzxid), int64(st.Pzxid)
	n.ctime, n.mtime, n.owner = st.Ctime, st.Mtime, st.EphemeralOwner
	n.version, n.cversion, n.aversion = st.Version, st.Cversion, st.Aversion
}
