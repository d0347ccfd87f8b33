package watch

// index finds lists by their paths: a hash table with linear probing, of a third of the bytes of a map that has each path
// a second time. Tags are hashes of the paths, so that few lists are looked at in vain.
//
// Invariants:
//
//	len(lists) is 0 or a power of two, and a quarter of the places at least is nil
//	from a list's home, which its tag says, to its place no place is nil
type index struct {
	lists []*list
	tags  []uint32
	used  int
}

const minIndex, idleIndex = 8, 64 // places of the smallest, and of the largest that is kept when nobody is left

// find returns the place of a path's list, or the one where it would be. The index is not empty.
func (x *index) find(tag uint32, path string) int {
	mask := len(x.lists) - 1
	for i := int(tag) & mask; ; i = (i + 1) & mask {
		if l := x.lists[i]; l == nil || x.tags[i] == tag && l.path == path {
			return i
		}
	}
}

// get returns a path's list, nil if there is none.
func (x *index) get(tag uint32, path string) *list {
	if x.used == 0 {
		return nil
	}
	return x.lists[x.find(tag, path)]
}

// put adds the list of a path that has none.
func (x *index) put(tag uint32, l *list) {
	if 4*(x.used+1) > 3*len(x.lists) {
		x.grow()
	}
	i := x.find(tag, l.path)
	x.lists[i], x.tags[i] = l, tag
	x.used++
}

func (x *index) grow() {
	old := *x
	size := max(2*len(old.lists), minIndex)
	*x = index{lists: make([]*list, size), tags: make([]uint32, size)}
	for i, l := range old.lists {
		if l != nil {
			x.put(old.tags[i], l)
		}
	}
}

// drop removes a path's list, which is there, and moves those up that had to make way.
func (x *index) drop(tag uint32, path string) {
	mask, hole := len(x.lists)-1, x.find(tag, path)
	for i := (hole + 1) & mask; x.lists[i] != nil; i = (i + 1) & mask {
		if home := int(x.tags[i]); (i-home)&mask >= (i-hole)&mask {
			x.lists[hole], x.tags[hole] = x.lists[i], x.tags[i]
			hole = i
		}
	}
	x.lists[hole] = nil
	if x.used--; x.used == 0 && len(x.lists) > idleIndex {
		*x = index{}
	}
}
