// Package watch knows who waits for a change of which node, and tells them. What they are told, and whether they may
// know it, is the caller's business.
//
// The table's locks are innermost: a read registers under the tree's read lock, the apply loop fires under its write
// lock, and so no change falls between what was read and the watch for the next.
package watch

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/zabd/zabd/pkg/proto"
)

// kind is what a watch is for. All kinds may stand side by side on a path, for one watcher too.
type kind uint8

const (
	data       kind = iota // once: the node is made, changed or removed
	child                  // once: a child is made or removed, or the node is removed
	persistent             // each time, what data and child are for
	recursive              // each time, what data is for, of the node and all below it
	kinds
)

// set is a set of kinds.
type set uint8

func only(k kind) set { return 1 << k }

func (s set) has(k kind) bool { return s&only(k) != 0 }

// ZooKeeper keeps two tables, and counts a watcher once for each path in each of them, whatever the kinds.
const (
	dataSide  = set(1<<data | 1<<persistent | 1<<recursive)
	childSide = set(1<<child | 1<<persistent)
)

// weight is for how many watches the kinds of one watcher on one path count.
func (s set) weight() int {
	n := 0
	if s&dataSide != 0 {
		n++
	}
	if s&childSide != 0 {
		n++
	}
	return n
}

// A Watcher is one connection's hold on the table.
type Watcher struct {
	Owner any // the caller's

	mu    sync.Mutex // guards lists; taken inside a shard's lock
	lists [kinds]map[*list]struct{}

	told uint64 // the last change that it was told, by Table.fires
}

// NewWatcher returns a watcher without watches.
func NewWatcher(owner any) *Watcher { return &Watcher{Owner: owner} }

func (w *Watcher) isOn(k kind, l *list) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.lists[k][l]
	return ok
}

func (w *Watcher) add(k kind, l *list) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lists[k] == nil {
		w.lists[k] = make(map[*list]struct{})
	}
	w.lists[k][l] = struct{}{}
}

func (w *Watcher) remove(k kind, l *list) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.lists[k], l)
	if len(w.lists[k]) == 0 {
		w.lists[k] = nil
	}
}

// all returns the paths of its watches of one kind.
func (w *Watcher) all(k kind) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	paths := make([]string, 0, len(w.lists[k]))
	for l := range w.lists[k] {
		paths = append(paths, l.path)
	}
	return paths
}

const shards = 64

// A Table holds the watches of all connections. It may be used by any number of goroutines.
//
// Invariants:
//
//	w is in the list of a path and kind in the path's shard exactly if that list is in w.lists[k]
//	a list is not empty
//	roots is the number of recursive watches
type Table struct {
	seed   maphash.Seed // spreads paths over the shards, which nothing shows
	shards [shards]shard

	mu    sync.Mutex // one Fire at a time; guards what follows and every told; taken before a shard's lock
	roots int
	fires uint64
}

type shard struct {
	mu    sync.Mutex
	lists [kinds]index
	count int // as ZooKeeper counts; 0 only if there are none
}

// list is who watches one path, in the order of registration. All of them share the path's one copy; most have one, and
// cost no more.
type list struct {
	path  string
	first *Watcher
	more  *[]*Watcher // nil if there are none
}

func (l *list) add(w *Watcher) {
	switch {
	case l.first == nil:
		l.first = w
	case l.more == nil:
		l.more = &[]*Watcher{w}
	default:
		*l.more = append(*l.more, w)
	}
}

// remove tells whether anybody is left.
func (l *list) remove(w *Watcher) bool {
	if l.more == nil {
		return false
	}
	i := 0
	if l.first == w {
		l.first = (*l.more)[0]
	} else {
		i = slices.Index(*l.more, w)
	}
	if *l.more = slices.Delete(*l.more, i, i+1); len(*l.more) == 0 {
		l.more = nil
	}
	return true
}

// each calls f with all of a list; nil has none.
func (l *list) each(f func(*Watcher)) {
	if l == nil {
		return
	}
	f(l.first)
	if l.more != nil {
		for _, w := range *l.more {
			f(w)
		}
	}
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{seed: maphash.MakeSeed()}
}

// place is a path and where what is known of it stands.
type place struct {
	*shard
	tag  uint32
	path string
}

func (t *Table) place(path string) place {
	h := maphash.String(t.seed, path)
	return place{&t.shards[h%shards], uint32(h / shards), path}
}

// AddData lets w be told once when the node is made, changed or removed.
func (t *Table) AddData(path string, w *Watcher) { t.place(path).add(data, w) }

// AddChild lets w be told once when a child is made or removed, or the node itself is removed.
func (t *Table) AddChild(path string, w *Watcher) { t.place(path).add(child, w) }

// AddPersistent lets w be told each time what AddData and AddChild are for.
func (t *Table) AddPersistent(path string, w *Watcher) { t.place(path).add(persistent, w) }

// AddRecursive lets w be told each time the node, or one below it, is made, changed or removed.
func (t *Table) AddRecursive(path string, w *Watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.place(path).add(recursive, w) {
		t.roots++
	}
}

// lists are those of one path, nil where nobody watches.
type lists [kinds]*list

// look returns the lists of the place. Its shard is locked, here and below.
func (p place) look() (at lists) {
	for k := range kinds {
		at[k] = p.lists[k].get(p.tag, p.path)
	}
	return at
}

// of returns the kinds of watches that w has.
func (at *lists) of(w *Watcher) (has set) {
	for k, l := range at {
		if l != nil && w.isOn(kind(k), l) {
			has |= only(kind(k))
		}
	}
	return has
}

// add tells whether the watch is new.
func (p place) add(k kind, w *Watcher) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.look()
	before := at.of(w)
	if before.has(k) {
		return false
	}
	l := at[k]
	if l == nil {
		l = &list{path: strings.Clone(p.path)} // it may alias a buffer
		p.lists[k].put(p.tag, l)
	}
	l.add(w)
	w.add(k, l)
	p.count += (before | only(k)).weight() - before.weight()
	return true
}

// Fire calls tell once for each watcher that a change concerns, and uses up the watches that are for once. tell must
// not come back to the table.
func (t *Table) Fire(typ proto.EventType, path string, tell func(*Watcher)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fires++
	t.fireAt(t.place(path), typ, tell)
	if t.roots == 0 || typ == proto.EventChildrenChanged {
		return
	}
	for dir := parent(path); dir != ""; dir = parent(dir) {
		p := t.place(dir)
		p.mu.Lock()
		t.tell(p.lists[recursive].get(p.tag, dir), tell)
		p.mu.Unlock()
	}
}

// fireAt tells those who watch the path itself.
func (t *Table) fireAt(p place, typ proto.EventType, tell func(*Watcher)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		return
	}
	at := p.look()
	if typ != proto.EventChildrenChanged {
		t.tell(p.take(data, &at), tell)
		t.tell(at[recursive], tell)
	}
	if typ == proto.EventChildrenChanged || typ == proto.EventDeleted {
		t.tell(p.take(child, &at), tell)
	}
	t.tell(at[persistent], tell)
}

// tell tells each of a list who does not know of this change.
func (t *Table) tell(l *list, tell func(*Watcher)) {
	l.each(func(w *Watcher) {
		if w.told != t.fires {
			w.told = t.fires
			tell(w)
		}
	})
}

// parent returns the path of a node's parent; "" if it has none.
func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i == 0 && path != "/" {
		return "/"
	}
	return path[:max(i, 0)]
}

// take removes all watches of one kind.
func (p place) take(k kind, at *lists) *list {
	l := at[k]
	if l == nil {
		return nil
	}
	l.each(func(w *Watcher) { p.forget(k, at, w) })
	p.drop(k, at)
	return l
}

// drop removes a list that nobody has any more.
func (p place) drop(k kind, at *lists) {
	p.lists[k].drop(p.tag, p.path)
	at[k] = nil
}

// forget takes a watch off its watcher and off the count.
func (p place) forget(k kind, at *lists, w *Watcher) {
	before := at.of(w)
	w.remove(k, at[k])
	p.count -= before.weight() - (before &^ only(k)).weight()
}

// remove tells whether there was such a watch.
func (p place) remove(k kind, w *Watcher) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.look()
	if at[k] == nil || !w.isOn(k, at[k]) {
		return false
	}
	p.forget(k, &at, w)
	if !at[k].remove(w) {
		p.drop(k, &at)
	}
	return true
}

func (t *Table) remove(k kind, path string, w *Watcher) bool {
	if k != recursive {
		return t.place(path).remove(k, w)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.place(path).remove(k, w)
	if was {
		t.roots--
	}
	return was
}

// RemoveAll removes every watch of w, whose connection is gone.
func (t *Table) RemoveAll(w *Watcher) {
	for k := range kinds {
		for _, path := range w.all(k) {
			t.remove(k, path, w) // unless it has fired meanwhile
		}
	}
}

// of returns the kinds that a client's word stands for; none if there is no such word.
func of(typ proto.WatcherType) set {
	switch typ {
	case proto.WatcherChildren:
		return only(child)
	case proto.WatcherData:
		return only(data)
	case proto.WatcherAny:
		return 1<<kinds - 1
	case proto.WatcherPersistent:
		return only(persistent)
	case proto.WatcherRecursive:
		return only(recursive)
	}
	return 0
}

// Has tells whether w has watches of this type on a path.
func (t *Table) Has(path string, w *Watcher, typ proto.WatcherType) bool {
	p := t.place(path)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.look()
	return at.of(w)&of(typ) != 0
}

// Remove removes the watches of this type that w has on a path, and tells whether there were any.
func (t *Table) Remove(path string, w *Watcher, typ proto.WatcherType) bool {
	removed := false
	for k := range kinds {
		if of(typ).has(k) && t.remove(k, path, w) {
			removed = true
		}
	}
	return removed
}
