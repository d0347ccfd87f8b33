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

	mu    sync.Mutex // guards paths; taken inside a shard's lock
	paths [kinds]map[string]struct{}

	told uint64 // the last change that it was told, by Table.fires
}

// NewWatcher returns a watcher without watches.
func NewWatcher(owner any) *Watcher { return &Watcher{Owner: owner} }

// on returns the kinds of watches on a path.
func (w *Watcher) on(path string) set {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.locked(path)
}

func (w *Watcher) locked(path string) (s set) {
	for k := range kinds {
		if _, ok := w.paths[k][path]; ok {
			s |= only(k)
		}
	}
	return s
}

func (w *Watcher) add(k kind, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paths[k] == nil {
		w.paths[k] = make(map[string]struct{})
	}
	w.paths[k][path] = struct{}{}
}

// remove takes one kind from a path and returns those that were there.
func (w *Watcher) remove(k kind, path string) (before set) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before = w.locked(path)
	delete(w.paths[k], path)
	if len(w.paths[k]) == 0 {
		w.paths[k] = nil
	}
	return before
}

const shards = 64

// A Table holds the watches of all connections. It may be used by any number of goroutines.
//
// Invariants:
//
//	w is in lists[k][path].watchers of the path's shard exactly if path is in w.paths[k]
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
	lists [kinds]map[string]*list
	count int // as ZooKeeper counts; 0 only if there are none
}

// list is who watches one path, in the order of registration. All of them share the path's one copy.
type list struct {
	path     string
	watchers []*Watcher
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		for k := range kinds {
			t.shards[i].lists[k] = make(map[string]*list)
		}
	}
	return t
}

func (t *Table) shard(path string) *shard { return &t.shards[maphash.String(t.seed, path)%shards] }

// AddData lets w be told once when the node is made, changed or removed.
func (t *Table) AddData(path string, w *Watcher) { t.shard(path).add(data, path, w) }

// AddChild lets w be told once when a child is made or removed, or the node itself is removed.
func (t *Table) AddChild(path string, w *Watcher) { t.shard(path).add(child, path, w) }

// AddPersistent lets w be told each time what AddData and AddChild are for.
func (t *Table) AddPersistent(path string, w *Watcher) { t.shard(path).add(persistent, path, w) }

// AddRecursive lets w be told each time the node, or one below it, is made, changed or removed.
func (t *Table) AddRecursive(path string, w *Watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shard(path).add(recursive, path, w) {
		t.roots++
	}
}

// add tells whether the watch is new.
func (s *shard) add(k kind, path string, w *Watcher) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := w.on(path)
	if before.has(k) {
		return false
	}
	l := s.lists[k][path]
	if l == nil {
		l = &list{path: strings.Clone(path)} // it may alias a buffer
		s.lists[k][l.path] = l
	}
	w.add(k, l.path)
	l.watchers = append(l.watchers, w)
	s.count += (before | only(k)).weight() - before.weight()
	return true
}

// Fire calls tell once for each watcher that a change concerns, and uses up the watches that are for once. tell must
// not come back to the table.
func (t *Table) Fire(typ proto.EventType, path string, tell func(*Watcher)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fires++
	t.fireAt(typ, path, tell)
	if t.roots == 0 || typ == proto.EventChildrenChanged {
		return
	}
	for dir := parent(path); dir != ""; dir = parent(dir) {
		s := t.shard(dir)
		s.mu.Lock()
		t.tell(s.lists[recursive][dir], tell)
		s.mu.Unlock()
	}
}

// fireAt tells those who watch the path itself.
func (t *Table) fireAt(typ proto.EventType, path string, tell func(*Watcher)) {
	s := t.shard(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == 0 {
		return
	}
	if typ != proto.EventChildrenChanged {
		t.tell(s.take(data, path), tell)
		t.tell(s.lists[recursive][path], tell)
	}
	if typ == proto.EventChildrenChanged || typ == proto.EventDeleted {
		t.tell(s.take(child, path), tell)
	}
	t.tell(s.lists[persistent][path], tell)
}

// tell tells each of a list who does not know of this change.
func (t *Table) tell(l *list, tell func(*Watcher)) {
	if l == nil {
		return
	}
	for _, w := range l.watchers {
		if w.told != t.fires {
			w.told = t.fires
			tell(w)
		}
	}
}

// parent returns the path of a node's parent; "" if it has none.
func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i == 0 && path != "/" {
		return "/"
	}
	return path[:max(i, 0)]
}

// take removes all watches of one kind from a path.
func (s *shard) take(k kind, path string) *list {
	l := s.lists[k][path]
	if l == nil {
		return nil
	}
	delete(s.lists[k], path)
	for _, w := range l.watchers {
		s.forget(k, path, w)
	}
	return l
}

// forget takes a watch that has left its list off its watcher and off the count.
func (s *shard) forget(k kind, path string, w *Watcher) {
	before := w.remove(k, path)
	s.count -= before.weight() - (before &^ only(k)).weight()
}

// remove tells whether there was such a watch.
func (s *shard) remove(k kind, path string, w *Watcher) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.on(path).has(k) {
		return false
	}
	l := s.lists[k][path]
	if len(l.watchers) == 1 {
		delete(s.lists[k], path)
	} else {
		i := slices.Index(l.watchers, w)
		l.watchers = slices.Delete(l.watchers, i, i+1)
	}
	s.forget(k, path, w)
	return true
}

func (t *Table) remove(k kind, path string, w *Watcher) bool {
	if k != recursive {
		return t.shard(path).remove(k, path, w)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.shard(path).remove(k, path, w)
	if was {
		t.roots--
	}
	return was
}

// RemoveAll removes every watch of w, whose connection is gone.
func (t *Table) RemoveAll(w *Watcher) {
	for k := range kinds {
		w.mu.Lock()
		paths := make([]string, 0, len(w.paths[k]))
		for path := range w.paths[k] {
			paths = append(paths, path)
		}
		w.mu.Unlock()
		for _, path := range paths {
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
	return w.on(path)&of(typ) != 0
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
