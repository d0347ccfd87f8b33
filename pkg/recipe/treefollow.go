package recipe

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/zabd/zabd/pkg/client"
)

// reading is how many nodes are asked for at a time.
const reading = 64

// follow takes what the watch tells, in batches: each node that has changed is read once for a batch.
func (t *Tree) follow(ctx context.Context, w *client.Watch) {
	defer close(t.ended)
	defer func() { w.Close() }()
	for {
		dirty, missed, ended, err := gather(ctx, w)
		if err == nil && ended {
			w.Close()
			w, err = t.watch(ctx)
			missed = true
		}
		switch {
		case err != nil:
		case missed:
			err = t.readAll(ctx)
		default:
			err = t.refresh(ctx, dirty)
		}
		if err != nil {
			t.mu.Lock()
			t.err = err
			t.mu.Unlock()
			return
		}
	}
}

// gather waits for events and returns the paths that they name, or that events were missed.
func gather(ctx context.Context, w *client.Watch) (dirty map[string]bool, missed, ended bool, err error) {
	dirty = map[string]bool{}
	for {
		var e client.Event
		stands := true
		select {
		case e, stands = <-w.Events():
		default:
			if len(dirty) > 0 || missed {
				return dirty, missed, false, nil
			}
			select {
			case e, stands = <-w.Events():
			case <-ctx.Done():
				return nil, false, false, client.ErrClosed
			}
		}
		switch {
		case !stands && errors.Is(w.Err(), client.ErrClosed):
			return nil, false, true, w.Err()
		case !stands:
			return nil, true, true, nil
		case e.Type == client.EventReconnected:
			missed = true
		default:
			dirty[e.Path] = true
		}
	}
}

// watch watches anew.
func (t *Tree) watch(ctx context.Context) (w *client.Watch, err error) {
	err = t.at.again(ctx, func() error {
		w, err = t.at.c.AddWatch(ctx, t.at.path, client.Recursive)
		return err
	})
	return w, err
}

// readAll reads the whole tree, level by level, and removes what is not there any more. What changes meanwhile, the watch
// tells.
func (t *Tree) readAll(ctx context.Context) error {
	seen := map[string]bool{}
	for level := []string{t.at.path}; len(level) > 0; {
		nodes, err := t.read(ctx, level)
		if err != nil {
			return err
		}
		level = nil
		var parents []string
		for _, n := range nodes {
			seen[n.Path] = true
			t.put(n)
			if n.Stat.NumChildren > 0 {
				parents = append(parents, n.Path)
			}
		}
		var mu sync.Mutex
		err = each(ctx, parents, func(ctx context.Context, path string) error {
			d := dir{c: t.at.c, path: path}
			names, err := d.list(ctx)
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				level = append(level, d.in(name))
			}
			return err
		})
		if err != nil {
			return err
		}
		slices.Sort(level)
	}
	t.mu.RLock()
	known := slices.Sorted(maps.Keys(t.nodes))
	t.mu.RUnlock()
	for _, path := range known {
		if !seen[path] {
			t.remove(path)
		}
	}
	return nil
}

// refresh reads some nodes anew. Parents come before their children.
func (t *Tree) refresh(ctx context.Context, dirty map[string]bool) error {
	paths := slices.Sorted(maps.Keys(dirty))
	nodes, err := t.read(ctx, paths)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if n, ok := nodes[path]; ok {
			t.put(n)
		} else {
			t.remove(path)
		}
	}
	return nil
}

// read reads nodes; those that are not there are left out.
func (t *Tree) read(ctx context.Context, paths []string) (map[string]Node, error) {
	var mu sync.Mutex
	nodes := map[string]Node{}
	err := each(ctx, paths, func(ctx context.Context, path string) error {
		data, stat, err := dir{c: t.at.c, path: path}.getSelf(ctx)
		if errors.Is(err, client.ErrNoNode) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		nodes[path] = Node{path, data, stat}
		return err
	})
	return nodes, err
}

// each calls f for each path, some at a time, and returns the first error.
func each(ctx context.Context, paths []string, f func(ctx context.Context, path string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, reading)
	var wg sync.WaitGroup
	for _, path := range paths {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f(ctx, path); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// put takes a node as it was read.
func (t *Tree) put(n Node) {
	t.mu.Lock()
	old, known := t.nodes[n.Path]
	t.nodes[n.Path] = n
	if parent, name, ok := t.split(n.Path); ok {
		if t.below[parent] == nil {
			t.below[parent] = map[string]bool{}
		}
		t.below[parent][name] = true
	}
	t.mu.Unlock()
	if !known || old.Stat.Mzxid != n.Stat.Mzxid || old.Stat.Czxid != n.Stat.Czxid {
		t.tell(Change{Node: n})
	}
}

// remove removes a node, and first all that is below it.
func (t *Tree) remove(path string) {
	for _, name := range t.Children(path) {
		t.remove(dir{path: path}.in(name))
	}
	t.mu.Lock()
	n, known := t.nodes[path]
	delete(t.nodes, path)
	delete(t.below, path)
	if parent, name, ok := t.split(path); ok {
		delete(t.below[parent], name)
	}
	t.mu.Unlock()
	if known {
		t.tell(Change{Node: n, Removed: true})
	}
}

// split returns the parent of a path below the root of the Tree, and its name there.
func (t *Tree) split(path string) (parent, name string, ok bool) {
	if path == t.at.path {
		return "", "", false
	}
	i := strings.LastIndexByte(path, '/')
	return path[:max(1, i)], path[i+1:], true
}

func (t *Tree) tell(c Change) {
	if t.notify != nil {
		t.notify(c)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.changed)
	t.changed = make(chan struct{})
}
