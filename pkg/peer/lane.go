package peer

import (
	"sync"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/zab"
)

// waker wakes one goroutine, once for all that has come since it last looked.
type waker chan struct{}

func newWaker() waker { return make(waker, 1) }

func (w waker) poke() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// lane is a queue into a loop: a slice under a mutex that the loop takes whole. It is bounded by what may be on its way
// at once: requests by what clients may have outstanding (package server), packets and votes by their links' gates.
type lane[T any] struct {
	wake waker

	mu    sync.Mutex // guards items
	items []T
	taken []T // the loop's half of the swap
}

// add brings something to the loop.
func (l *lane[T]) add(items ...T) {
	l.put(items...)
	l.wake.poke()
}

// put is add for a caller that sees to the turn itself (Peer.drive).
func (l *lane[T]) put(items ...T) {
	l.mu.Lock()
	l.items = append(l.items, items...)
	l.mu.Unlock()
}

// take returns what has come since the last call. The slice is the caller's until the next one.
func (l *lane[T]) take() []T {
	clear(l.taken)
	l.mu.Lock()
	l.items, l.taken = l.taken[:0], l.items
	l.mu.Unlock()
	return l.taken
}

// completions is the lane of what the node has asked for and is done.
type completions struct{ lane[completion] }

// completion is Synced, if synced is not 0, or in.
type completion struct {
	synced proto.Zxid
	in     zab.Input
}

// putSynced tells how far the log is durable. It is one slot whose newest value wins; but it stays in its place among the
// other changes of the disk.
func (c *completions) putSynced(z proto.Zxid) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.items); n > 0 && c.items[n-1].synced != 0 {
		c.items[n-1].synced = z
	} else {
		c.items = append(c.items, completion{synced: z})
	}
}
