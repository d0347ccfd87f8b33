package recipe

import (
	"context"
	"errors"
	"math"

	"github.com/zabd/zabd/pkg/client"
)

// ErrBusy is the answer of a Try: others are ahead.
var ErrBusy = errors.New("recipe: held by another")

// A Mutex is a lock that one holds at a time, first come first served. It may be used by any number of goroutines, each
// of which contends for itself; it is not re-entrant.
type Mutex struct{ at contest }

// NewMutex returns the lock whose contenders are children of path. Nothing is asked of the server.
func NewMutex(c *client.Client, path string, o Options) *Mutex {
	return &Mutex{newContest(c, path, o)}
}

// Lock waits until the lock is held. When ctx ends first, its cause is returned.
func (m *Mutex) Lock(ctx context.Context) (*Hold, error) { return m.at.enter(ctx, exclusive, true) }

// TryLock returns ErrBusy where Lock would wait.
func (m *Mutex) TryLock(ctx context.Context) (*Hold, error) { return m.at.enter(ctx, exclusive, false) }

// Contenders returns who holds the lock, and who waits for it in what order.
func (m *Mutex) Contenders(ctx context.Context) ([]Contender, error) {
	return m.at.contenders(ctx, math.MaxInt)
}

// An RWMutex is held by one writer or any number of readers, first come first served: a reader waits for writers that
// came before it, and no other.
type RWMutex struct{ at contest }

// NewRWMutex returns the lock whose contenders are children of path. Nothing is asked of the server.
func NewRWMutex(c *client.Client, path string, o Options) *RWMutex {
	return &RWMutex{newContest(c, path, o)}
}

// Lock waits until the lock is held for writing.
func (m *RWMutex) Lock(ctx context.Context) (*Hold, error) { return m.at.enter(ctx, writer, true) }

// TryLock returns ErrBusy where Lock would wait.
func (m *RWMutex) TryLock(ctx context.Context) (*Hold, error) { return m.at.enter(ctx, writer, false) }

// RLock waits until the lock is held for reading. A reader's token is higher than that of every writer before it.
func (m *RWMutex) RLock(ctx context.Context) (*Hold, error) { return m.at.enter(ctx, reader, true) }

// TryRLock returns ErrBusy where RLock would wait.
func (m *RWMutex) TryRLock(ctx context.Context) (*Hold, error) { return m.at.enter(ctx, reader, false) }

// Contenders returns holders and waiters in their order.
func (m *RWMutex) Contenders(ctx context.Context) ([]Contender, error) {
	return m.at.contenders(ctx, math.MaxInt)
}
