//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

const (
	belfry = "/watched"
	bell   = belfry + "/n" // is set again and again
	bat    = belfry + "/x" // comes and goes
)

// ring is a round of the writer whose writes are watched.
func ring(w *writer) []step {
	return []step{w.set(bell, "rung"), w.create(bat, "", 0), w.set(bell, "rung"), w.set(bat, "flies"), w.remove(bat)}
}

// watch is one of a watcher's three.
type watch struct {
	op   proto.Op // that arms it
	path string

	armed bool
	seen  proto.Zxid      // the node's last change when the watch was armed, 0 if there was no node
	fired proto.EventType // since it was armed
	count int             // of events
}

// watcher is a guest that arms a watch of each kind, and each again when it has fired. Each time that it is armed a watch
// must fire once, for a change behind what was read, and before any answer that shows the change.
type watcher struct {
	*guest
	rings chan struct{}

	mu      sync.Mutex // events come beside the turns
	watches []*watch
}

func newWatcher(g *guest) *watcher {
	w := &watcher{guest: g, rings: make(chan struct{}, 1)}
	w.watches = []*watch{{op: proto.OpGetData, path: bell}, {op: proto.OpGetChildren2, path: belfry}, {op: proto.OpExists, path: bat}}
	g.turn, g.event, g.armed = w.turn, w.onEvent, w.again
	g.permits = make(chan struct{}, 1)
	g.permits <- struct{}{} // it writes nothing and never rests
	return w
}

// turn arms what is not armed, lets some time pass, and looks whether a change went untold.
func (w *watcher) turn(ctx context.Context) error {
	for _, x := range w.watches {
		if err := w.arm(ctx, x); err != nil {
			return fmt.Errorf("arm %v %s: %w", x.op, x.path, err)
		}
	}
	select {
	case <-w.rings:
	case <-time.After(50 * time.Millisecond):
	case <-w.lost:
		return lostError{wire.ErrClosed}
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := w.call(ctx, syncPath("/"), nil); err != nil {
		return err
	}
	for _, x := range w.watches {
		z, err := w.change(ctx, x, false)
		if err != nil {
			return err
		}
		w.mu.Lock()
		untold := x.armed && z != x.seen
		w.mu.Unlock()
		if untold {
			return fmt.Errorf("no event for %v %s: changed at %#x, and at %#x when the watch was armed", x.op, x.path, int64(z), int64(x.seen))
		}
	}
	return nil
}

func (w *watcher) arm(ctx context.Context, x *watch) error {
	w.mu.Lock()
	armed, fired := x.armed, x.fired
	x.armed = true // an event may overtake what follows the answer
	if !armed {
		x.fired = 0
	}
	w.mu.Unlock()
	if armed {
		return nil
	}
	z, err := w.change(ctx, x, true)
	if err != nil {
		w.mu.Lock()
		x.armed, x.fired = false, fired // nobody knows of the watch
		w.mu.Unlock()
		return err
	}
	wasThere := x.seen != 0
	came := fired == proto.EventCreated
	switch {
	case fired == 0: // the first time
	case x.op == proto.OpExists && came == wasThere:
		return fmt.Errorf("event %d, although the node was there: %v", fired, wasThere)
	case z <= x.seen && z != 0, z == 0 && x.seen == 0 && !came:
		return fmt.Errorf("event %d for nothing: changed at %#x, and at %#x when the watch was armed", fired, int64(z), int64(x.seen))
	}
	x.seen = z
	return nil
}

// change is the zxid of the last change that the watch would tell of.
func (w *watcher) change(ctx context.Context, x *watch, arm bool) (proto.Zxid, error) {
	r := read(x.op, x.path, arm)
	switch x.op {
	case proto.OpGetChildren2:
		var reply proto.Children2Reply
		err := w.call(ctx, r, &reply)
		return reply.Stat.Pzxid, err
	case proto.OpGetData:
		var reply proto.DataReply
		err := w.call(ctx, r, &reply)
		return reply.Stat.Mzxid, err
	}
	var reply proto.Stat
	err := w.call(ctx, r, &reply)
	if errors.Is(err, proto.NoNode) {
		return 0, nil
	}
	return reply.Mzxid, err
}

// onEvent takes an event, which must be of a watch that is armed.
func (w *watcher) onEvent(e proto.WatcherEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.watches {
		if x.path != e.Path || !x.armed || (e.Type == proto.EventChildrenChanged) != (x.op == proto.OpGetChildren2) {
			continue
		}
		x.armed, x.fired = false, e.Type
		x.count++
		select {
		case w.rings <- struct{}{}:
		default:
		}
		return
	}
	w.e.report(fmt.Errorf("%v: event %d of %s, for which no watch was armed", w.guest, e.Type, e.Path))
}

// again is the watches that a new connection must set.
func (w *watcher) again() *proto.SetWatchesRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &proto.SetWatchesRequest{RelativeZxid: w.last, Data: []string{}, Exist: []string{}, Child: []string{}}
	for _, x := range w.watches {
		switch {
		case !x.armed:
		case x.op == proto.OpGetChildren2:
			r.Child = append(r.Child, x.path)
		case x.op == proto.OpExists && x.seen == 0:
			r.Exist = append(r.Exist, x.path)
		default:
			r.Data = append(r.Data, x.path)
		}
	}
	return r
}
