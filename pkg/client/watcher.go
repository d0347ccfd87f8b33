package client

import (
	"context"
	"sync"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// notified passes on a notification. The goroutine that reads calls it, in order with the replies.
func (c *Client) notified(e proto.WatcherEvent, z proto.Zxid) {
	t := EventType(e.Type)
	if f := c.o.Metrics.Event; f != nil {
		f(t)
	}
	event := Event{Type: t, Path: c.toClient(e.Path), Zxid: max(z, 0)}
	if f := c.o.Notified; f != nil {
		f(event)
	}
	for _, w := range c.watches.fire(t, e.Path) {
		w.tell(event)
	}
}

// once returns a one-shot watch with a channel.
func once() (*watcher, <-chan Event) {
	ch := make(chan Event, 1)
	return &watcher{tell: func(e Event) { ch <- e; close(ch) }}, ch
}

// onceFunc returns a one-shot watch with a callback.
func (c *Client) onceFunc(fn func(Event)) *watcher {
	return &watcher{tell: func(e Event) { c.notifier.add(func() { fn(e) }) }}
}

// maxQueue is how many events wait for who does not take them, before a Watch ends with ErrOverflow.
const maxQueue = 1 << 16

// A Watch is persistent or recursive. It stands until it is closed or its session is over; each connection restores it.
type Watch struct {
	c   *Client
	one *watcher
	ch  chan Event
	end chan struct{} // closed when the watch has ended

	mu      sync.Mutex
	queue   []Event
	pumping bool // a goroutine moves the queue into ch, and closes that at the end
	err     error
}

// Events returns the channel of the watch's events. It is closed when the watch has ended; Err says why.
func (w *Watch) Events() <-chan Event { return w.ch }

// Err returns why the watch has ended: ErrClosed after Close, or the end of the client, ErrSessionExpired, ErrRemoved,
// ErrOverflow; nil if it stands.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Close ends the watch. Events that have not been taken are dropped.
func (w *Watch) Close() {
	w.tell(Event{Type: EventEnded, Err: ErrClosed})
	w.c.unwatch(w.one)
}

// unwatch forgets a watch, and asks the server to do so if it was the last of its kind on its path. A server before 3.9
// does not know these types; what it still sends is for nobody.
func (c *Client) unwatch(one *watcher) {
	t := proto.WatcherPersistent
	if one.kind == recursiveWatch {
		t = proto.WatcherRecursive
	}
	c.watches.drop(one, func() {
		if conn := c.conn.Load(); conn != nil {
			conn.Go(proto.OpRemoveWatches, &proto.WatchModeRequest{Path: one.path, Mode: int32(t)}, nil)
		}
	})
}

func (w *Watch) tell(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return
	case e.Type == EventEnded:
		w.stop(e.Err)
		return
	case len(w.queue) >= maxQueue:
		w.stop(ErrOverflow)
		go w.c.unwatch(w.one)
		return
	}
	w.queue = append(w.queue, e)
	if !w.pumping {
		w.pumping = true
		go w.pump()
	}
}

// stop is called with mu held.
func (w *Watch) stop(err error) {
	w.err, w.queue = err, nil
	close(w.end)
	if !w.pumping {
		close(w.ch)
	}
}

func (w *Watch) pump() {
	for {
		w.mu.Lock()
		if w.err != nil {
			close(w.ch)
			w.mu.Unlock()
			return
		}
		if len(w.queue) == 0 {
			w.pumping = false
			w.mu.Unlock()
			return
		}
		e := w.queue[0]
		w.queue = w.queue[1:]
		w.mu.Unlock()
		select {
		case w.ch <- e:
		case <-w.end:
		}
	}
}

func (c *Client) newWatch() *Watch {
	w := &Watch{c: c, ch: make(chan Event), end: make(chan struct{})}
	w.one = &watcher{tell: w.tell}
	return w
}

// addWatch makes the call that leaves a persistent watch.
func (c *Client) addWatch(ctx context.Context, path string, mode WatchMode, one *watcher) error {
	one.kind, one.path = persistentWatch, c.toServer(path)
	if mode == Recursive {
		one.kind = recursiveWatch
	}
	f := future[struct{}](c, proto.OpAddWatch, path, &proto.WatchModeRequest{Path: one.path, Mode: int32(mode)}, nil)
	f.watcher, f.err = one, checkPath(path)
	c.watches.expect(one, 1)
	defer c.watches.expect(one, -1)
	_, err := f.do(ctx)
	if err != nil {
		one.gone.Store(true)
		c.unwatch(one) // it may have been left all the same
	}
	return err
}

// AddWatch leaves a watch that stays, whether the node is there or not (servers since 3.6).
func (c *Client) AddWatch(ctx context.Context, path string, mode WatchMode) (*Watch, error) {
	w := c.newWatch()
	if err := c.addWatch(ctx, path, mode, w.one); err != nil {
		return nil, err
	}
	return w, nil
}

// AddWatchFunc is AddWatch with a callback in place of a channel (see Future.Then). The last event is EventEnded. stop
// removes the watch; what is under way still comes.
func (c *Client) AddWatchFunc(ctx context.Context, path string, mode WatchMode, fn func(Event)) (stop func(), err error) {
	one := c.onceFunc(fn)
	if err := c.addWatch(ctx, path, mode, one); err != nil {
		return nil, err
	}
	return func() { c.unwatch(one) }, nil
}

// WatcherType is which watches RemoveWatches and HasWatch are about.
type WatcherType = proto.WatcherType

// The types of watches. Servers before 3.9 do not know the last two.
const (
	WatchesOfChildren = proto.WatcherChildren // one-shot, by ChildrenW
	WatchesOfData     = proto.WatcherData     // one-shot, by GetW and ExistsW
	WatchesOfAny      = proto.WatcherAny      // all there are
	WatchesPersistent = proto.WatcherPersistent
	WatchesRecursive  = proto.WatcherRecursive
)

// RemoveWatches removes this client's watches of one type from a path, and ends them with ErrRemoved; ErrNoWatcher if there
// are none.
func (c *Client) RemoveWatches(ctx context.Context, path string, t WatcherType) error {
	f := c.watchCall(proto.OpRemoveWatches, path, t)
	f.decode = func(*jute.Decoder) error {
		c.watches.remove(c.toServer(path), t)
		return nil
	}
	_, err := f.do(ctx)
	return err
}

// CheckWatches asks the server whether this client has watches of a type on a path; ErrNoWatcher if not.
func (c *Client) CheckWatches(ctx context.Context, path string, t WatcherType) error {
	_, err := c.watchCall(proto.OpCheckWatches, path, t).do(ctx)
	return err
}

// ForgetWatches removes watches as RemoveWatches does, without asking the server: for when there is none.
func (c *Client) ForgetWatches(path string, t WatcherType) { c.watches.remove(c.toServer(path), t) }

func (c *Client) watchCall(op proto.Op, path string, t WatcherType) *Future[struct{}] {
	f := future[struct{}](c, op, path, &proto.WatchModeRequest{Path: c.toServer(path), Mode: int32(t)}, nil)
	f.err = checkPath(path)
	return f
}
