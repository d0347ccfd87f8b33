package recipe

import (
	"context"
	"slices"
	"sync"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// A Node is a node of a Tree.
type Node struct {
	Path string
	Data []byte // of the Tree: not to be changed
	Stat proto.Stat
}

// A Change is what has become of a node of a Tree.
type Change struct {
	Node    // as it is, or was before it was removed
	Removed bool
}

// A Tree is a copy of a node and all below it, kept up to date. It may lag behind the server, and differ from any one
// moment of it while changes come in, but each node is as it was at some time, never goes back, and once there are no more
// changes all is as the server has it. It outlives sessions.
type Tree struct {
	at     dir
	notify func(Change)
	stop   context.CancelFunc
	ended  chan struct{}

	mu      sync.RWMutex // guards what follows
	nodes   map[string]Node
	below   map[string]map[string]bool // names of children, by path of the parent
	changed chan struct{}
	err     error
}

// OpenTree returns a copy of the node at path, which may be missing, and of all below it. notify, if not nil, is told
// each change, one at a time, those of the first reading too; it must not wait for the Tree.
func OpenTree(ctx context.Context, c *client.Client, path string, notify func(Change)) (*Tree, error) {
	t := &Tree{
		at: dir{c: c, path: path}, notify: notify, ended: make(chan struct{}),
		nodes: map[string]Node{}, below: map[string]map[string]bool{}, changed: make(chan struct{}),
	}
	w, err := c.AddWatch(ctx, path, client.Recursive)
	if err != nil {
		return nil, err
	}
	if err := t.readAll(ctx); err != nil {
		w.Close()
		return nil, err
	}
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	go t.follow(ctx, w)
	return t, nil
}

// Get returns a node.
func (t *Tree) Get(path string) (Node, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, ok := t.nodes[path]
	return n, ok
}

// Children returns the names of a node's children, in order.
func (t *Tree) Children(path string) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	names := make([]string, 0, len(t.below[path]))
	for name := range t.below[path] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Len returns the number of nodes.
func (t *Tree) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.nodes)
}

// Changed returns a channel that is closed when something changes next. Ask for it before what it is about.
func (t *Tree) Changed() <-chan struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.changed
}

// Done returns a channel that is closed when the Tree follows no longer.
func (t *Tree) Done() <-chan struct{} { return t.ended }

// Err says why it follows no longer; nil while it does.
func (t *Tree) Err() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.err
}

// Close ends it. What it holds stays to be read.
func (t *Tree) Close() {
	t.stop()
	<-t.ended
}
