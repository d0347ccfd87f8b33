// Package turn takes the wake-up out of a loop that has little to do: whoever brings it work does that work itself, on
// its own goroutine, if nobody else is at it. Waking another goroutine costs more than most turns, and where messages
// come singly their latency is mostly wake-ups.
package turn

import (
	"sync"
	"sync/atomic"
)

// A Loop takes turns, one at a time. Its own goroutine is the one that receives from C and then calls Take; any other may
// call Drive. What the turn owns belongs to whoever is at it.
type Loop struct {
	C     chan struct{} // one slot: a turn is wanted
	turn  func()
	right sync.Mutex  // to take a turn
	due   atomic.Bool // something has come since the last turn began
}

// New returns a loop. A turn takes all that has been brought before it began.
func New(turn func()) *Loop { return &Loop{C: make(chan struct{}, 1), turn: turn} }

// Wake has the loop's own goroutine take a turn, once for all that has come by then.
func (l *Loop) Wake() {
	select {
	case l.C <- struct{}{}:
	default:
	}
}

// Take takes a turn, behind the one that is under way.
func (l *Loop) Take() {
	l.right.Lock()
	l.take()
}

// Drive takes a turn now. If one is under way it leaves the next to the loop's own goroutine. The caller holds no lock that
// a turn takes.
func (l *Loop) Drive() {
	l.due.Store(true)
	if l.right.TryLock() {
		l.take()
	}
}

// Stop waits for the turn that is under way. There is none behind it.
func (l *Loop) Stop() { l.right.Lock() }

// take takes a turn and gives the right to it back. Who has failed to get it meanwhile has said so before it tried.
func (l *Loop) take() {
	l.due.Store(false)
	l.turn()
	l.right.Unlock()
	if l.due.Load() {
		l.Wake()
	}
}
