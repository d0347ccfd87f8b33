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

// kind is what a watch is for.
type kind uint8

const (
	data  kind = iota // the node: made, changed, removed
	child             // its children, and its removal
	kinds
)

// A Watcher is one connection's hold on the table.
type Watcher struct {
	Owner any // the caller's

	mu    sync.Mutex // guards paths; taken inside a shard's lock
	paths [kinds]map[string]struct{}
}

// NewWatcher returns a watcher without watches.
func NewWatcher(owner any) *Watcher { return &Watcher{Owner: owner} }

func (w *Watcher) has(k kind, path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.paths[k][path]
	return ok
}

func (w *Watcher) add(k kind, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paths[k] == nil {
		w.paths[k] = make(map[string]struct{})
	}
	w.paths[k][path] = struct{}{}
}

func (w *Watcher) remove(k kind, path string) {
	w.mu.Lock()
	delete(w.paths[k], path)
	if len(w.paths[k]) == 0 {
		w.paths[k] = nil
	}
	w.mu.Unlock()
}

const shards = 64

// A Table holds the watches of all connections. It may be used by any number of goroutines.
//
// Invariant: w is in lists[k][path].watchers of the path's shard exactly if path is in w.paths[k].
type Table struct {
	seed   maphash.Seed // spreads paths over the shards, which nothing shows
	shards [shards]shard
}

type shard struct {
	mu    sync.Mutex
	lists [kinds]map[string]*list
	count int
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
func (t *Table) AddData(path string, w *Watcher) { t.add(data, path, w) }

// AddChild lets w be told once when a child is made or removed, or the node itself is removed.
func (t *Table) AddChild(path string, w *Watcher) { t.add(child, path, w) }

func (t *Table) add(k kind, path string, w *Watcher) {
	s := t.shard(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.has(k, path) {
		return
	}
	l := s.lists[k][path]
	if l == nil {
		l = &list{path: strings.Clone(path)} // it may alias a buffer
		s.lists[k][l.path] = l
	}
	w.add(k, l.path)
	l.watchers = append(l.watchers, w)
	s.count++
}

// Fire uses up the watches that a change concerns and calls tell once for each watcher: for a removal, those of the
// data first, then those of the children that have not been told.
func (t *Table) Fire(typ proto.EventType, path string, tell func(*Watcher)) {
	s := t.shard(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == 0 {
		return
	}
	switch typ {
	case proto.EventCreated, proto.EventDataChanged:
		for _, w := range s.take(data, path) {
			tell(w)
		}
	case proto.EventChildrenChanged:
		for _, w := range s.take(child, path) {
			tell(w)
		}
	case proto.EventDeleted:
		first := s.take(data, path)
		for _, w := range first {
			tell(w)
		}
		second := s.take(child, path)
		if len(second) == 0 {
			return
		}
		told := make(map[*Watcher]struct{}, len(first))
		for _, w := range first {
			told[w] = struct{}{}
		}
		for _, w := range second {
			if _, ok := told[w]; !ok {
				tell(w)
			}
		}
	}
}

// take removes all watches of one kind from a path.
func (s *shard) take(k kind, path string) []*Watcher {
	l := s.lists[k][path]
	if l == nil {
		return nil
	}
	delete(s.lists[k], path)
	s.count -= len(l.watchers)
	for _, w := range l.watchers {
		w.remove(k, path)
	}
	return l.watchers
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
			t.removeOne(k, path, w)
		}
	}
}

func (t *Table) removeOne(k kind, path string, w *Watcher) {
	s := t.shard(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[k][path]
	if l == nil || !w.has(k, path) { // fired meanwhile
		return
	}
	w.remove(k, path)
	s.count--
	if len(l.watchers) == 1 {
		delete(s.lists[k], path)
		return
	}
	i := slices.Index(l.watchers, w)
	l.watchers = slices.Delete(l.watchers, i, i+1)
}

// Counts returns how many watches there are, and on how many paths.
func (t *Table) Counts() (watches, paths int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		watches += s.count
		paths += len(s.lists[data]) + len(s.lists[child])
		s.mu.Unlock()
	}
	return watches, paths
}
