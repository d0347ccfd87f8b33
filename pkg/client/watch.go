package client

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zabd/zabd/pkg/proto"
)

// An EventType is what a watch tells.
type EventType int

// What happens to nodes, as in the protocol, and to watches.
const (
	EventCreated         = EventType(proto.EventCreated)
	EventDeleted         = EventType(proto.EventDeleted)
	EventDataChanged     = EventType(proto.EventDataChanged)
	EventChildrenChanged = EventType(proto.EventChildrenChanged)
	// EventReconnected tells a persistent watch that it stands again after the connection was lost. What happened between
	// is not told: read the nodes anew.
	EventReconnected EventType = 100
	// EventEnded is the last of a watch that did not fire: Err says why.
	EventEnded EventType = 101
)

var eventNames = map[EventType]string{
	EventCreated: "created", EventDeleted: "deleted", EventDataChanged: "data changed",
	EventChildrenChanged: "children changed", EventReconnected: "reconnected", EventEnded: "ended",
}

// String returns the type in words.
func (t EventType) String() string { return eventNames[t] }

// An Event is what a watch tells.
type Event struct {
	Type EventType
	Path string
	Zxid proto.Zxid // of the change, if the server tells: those since 3.9 do, but for changes while there was no connection
	Err  error      // of EventEnded: ErrSessionExpired, ErrClosed, ErrRemoved or ErrOverflow
}

// A WatchMode is what a persistent watch is about.
type WatchMode = proto.WatchMode

// A persistent watch tells of the node's data and of its children, a recursive one of the node and all below it, whose
// children are nodes of their own to it.
const (
	Persistent = proto.ModePersistent
	Recursive  = proto.ModeRecursive
)

// watchKind is a table of watches; those of nodes that are not there stand apart, because setWatches tells them apart.
type watchKind int

const (
	dataWatch watchKind = iota
	existWatch
	childWatch
	persistentWatch
	recursiveWatch
	watchKinds
)

// watcher is one watch of one user. tell must not wait; a one-shot watch is told one thing.
type watcher struct {
	kind watchKind
	path string // the server's
	tell func(e Event)
	gone atomic.Bool // nobody waits for the call that leaves it
}

// watches are those that the server has, or had when the connection was lost.
type watches struct {
	mu    sync.Mutex
	table [watchKinds]map[string][]*watcher
	// coming counts the persistent ones whose call is under way, so that none is removed together with one that ends.
	coming [watchKinds]map[string]int
}

func (w *watches) init() {
	for i := range w.table {
		w.table[i] = map[string][]*watcher{}
		w.coming[i] = map[string]int{}
	}
}

func (w *watches) add(one *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.table[one.kind][one.path] = append(w.table[one.kind][one.path], one)
}

// expect counts a persistent watch whose call begins, by 1, or ends, by -1.
func (w *watches) expect(one *watcher, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.coming[one.kind]
	if n[one.path] += by; n[one.path] == 0 {
		delete(n, one.path)
	}
}

// drop forgets one watch, and calls last if it was the last of its kind on its path and no other is coming. One that begins to
// come meanwhile waits until last has returned.
func (w *watches) drop(one *watcher, last func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.table[one.kind]
	i := slices.Index(t[one.path], one)
	if i < 0 {
		return
	}
	t[one.path] = slices.Delete(t[one.path], i, i+1)
	if len(t[one.path]) > 0 {
		return
	}
	delete(t, one.path)
	if w.coming[one.kind][one.path] == 0 {
		last()
	}
}

// take removes all watches of some kinds from a path and returns them. mu is held.
func (w *watches) take(path string, of ...watchKind) (out []*watcher) {
	for _, k := range of {
		out = append(out, w.table[k][path]...)
		delete(w.table[k], path)
	}
	return out
}

// fire returns the watches that an event of a node is for, and forgets those that are one-shot.
func (w *watches) fire(t EventType, path string) (out []*watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch t {
	case EventCreated, EventDataChanged:
		out = w.take(path, dataWatch, existWatch)
	case EventDeleted:
		out = w.take(path, dataWatch, existWatch, childWatch)
	case EventChildrenChanged:
		out = w.take(path, childWatch)
	}
	out = append(out, w.table[persistentWatch][path]...)
	if len(w.table[recursiveWatch]) == 0 || t == EventChildrenChanged {
		return out
	}
	for above := path; ; above = above[:max(strings.LastIndexByte(above, '/'), 1)] {
		out = append(out, w.table[recursiveWatch][above]...)
		if above == "/" || above == "" {
			return out
		}
	}
}

// endAll forgets all watches and tells them why.
func (w *watches) endAll(err error) {
	w.mu.Lock()
	var all []*watcher
	for i := range w.table {
		for path := range w.table[i] {
			all = append(all, w.take(path, watchKind(i))...)
		}
	}
	w.mu.Unlock()
	for _, one := range all {
		one.tell(Event{Type: EventEnded, Err: err})
	}
}

// remove forgets the watches on a path that a type names, and tells them.
func (w *watches) remove(path string, t proto.WatcherType) {
	of := map[proto.WatcherType][]watchKind{
		proto.WatcherChildren: {childWatch}, proto.WatcherData: {dataWatch, existWatch},
		proto.WatcherAny:        {dataWatch, existWatch, childWatch, persistentWatch, recursiveWatch},
		proto.WatcherPersistent: {persistentWatch}, proto.WatcherRecursive: {recursiveWatch},
	}[t]
	w.mu.Lock()
	gone := w.take(path, of...)
	w.mu.Unlock()
	for _, one := range gone {
		one.tell(Event{Type: EventEnded, Err: ErrRemoved})
	}
}
