package recipe

import (
	"context"
	"slices"

	"github.com/zabd/zabd/pkg/client"
)

// A Semaphore is held by up to a number of holders at a time. Waiters stand in line at a lock, and only its holder looks at
// the leases: each lease that is given back wakes one. There is no fencing by tokens among holders of a semaphore.
type Semaphore struct {
	queue  contest // of those who wait
	leases dir
	most   int
	id     string
}

// NewSemaphore returns the semaphore at path. All who use it must say the same number. Nothing is asked of the server.
func NewSemaphore(c *client.Client, path string, most int, o Options) *Semaphore {
	at := dir{c, path, o.ACL, client.ModeContainer}
	o.Layout = Curator
	return &Semaphore{newContest(c, at.in("locks"), o), at.sub("leases"), most, o.ID}
}

// Acquire waits until there is a lease.
func (s *Semaphore) Acquire(ctx context.Context) (*Hold, error) { return s.acquire(ctx, true) }

// TryAcquire returns ErrBusy where Acquire would wait.
func (s *Semaphore) TryAcquire(ctx context.Context) (*Hold, error) { return s.acquire(ctx, false) }

func (s *Semaphore) acquire(ctx context.Context, wait bool) (*Hold, error) {
	first, err := s.queue.enter(ctx, exclusive, wait)
	if err != nil {
		return nil, err
	}
	h, err := s.lease(ctx, first, wait)
	if !wait { // another who only tries is not to find it busy
		_ = first.Release(ctx)
	}
	return h, first.withdraw(err)
}

// lease takes a lease, for the first in line.
func (s *Semaphore) lease(ctx context.Context, first *Hold, wait bool) (*Hold, error) {
	guid := newGUID()
	h, err := s.leases.hold(ctx, protected(guid, "lease-"), guid, []byte(s.id))
	if err != nil {
		return nil, err
	}
	for {
		// The first look leaves no watch, which would tell of what does not matter any more.
		names, err := s.leases.list(ctx)
		var changed <-chan client.Event
		if err == nil && wait && len(names) > s.most {
			names, changed, err = s.leases.listW(ctx)
		}
		switch {
		case err != nil:
			return nil, h.withdraw(err)
		case !slices.Contains(names, h.name()):
			return nil, h.gone()
		case len(names) <= s.most:
			return h, nil
		case !wait:
			return nil, h.busy(ctx)
		}
		select {
		case <-changed:
		case <-first.ctx.Done():
			return nil, h.withdraw(first.Err())
		case <-ctx.Done():
			return nil, h.withdraw(context.Cause(ctx))
		}
	}
}
