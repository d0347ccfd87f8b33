package recipe

import (
	"context"
	"errors"

	"github.com/zabd/zabd/pkg/client"
)

// ErrExhausted says that a sequence has no more ids.
var ErrExhausted = errors.New("recipe: the sequence has no more ids; go on with Blocks, or at another path")

// A Sequence gives out ids that grow by one, each only once: 1, 2, 3, up to 2^31-1. An id costs one write, in which users do
// not get into each other's way: it is the version of the node. An id whose answer is lost is given to nobody.
type Sequence struct{ dir }

// NewSequence returns the sequence at path, a node of its own. Nothing is asked of the server.
func NewSequence(c *client.Client, path string, o Options) *Sequence {
	return &Sequence{dir{c, path, o.ACL, client.ModePersistent}}
}

// Next returns an id that nobody else gets, higher than all that were given before it was called.
func (s *Sequence) Next(ctx context.Context) (id int64, err error) {
	err = s.made(ctx, func() error {
		return s.again(ctx, func() error {
			stat, err := s.c.Set(ctx, s.path, nil, -1)
			id = int64(stat.Version)
			return err
		})
	})
	if err == nil && id < 0 {
		return 0, ErrExhausted
	}
	return id, err
}

// Blocks gives out ids of 63 bits, each only once, and asks the server once for each block of them. They grow within a
// process; what is left of a block when the process ends is given to nobody.
type Blocks struct {
	counter *Counter
	size    int64

	turn       chan struct{} // one slot; whose it is may use the rest, and asks the server for all who wait
	next, last int64         // of the block
}

// NewBlocks returns the generator whose node is path. It takes size ids at a time; others may take other sizes. Nothing is
// asked of the server.
func NewBlocks(c *client.Client, path string, size int, o Options) *Blocks {
	return &Blocks{counter: NewCounter(c, path, Decimal, o), size: int64(max(size, 1)), turn: make(chan struct{}, 1), next: 1}
}

// Next returns an id that nobody else gets.
func (b *Blocks) Next(ctx context.Context) (int64, error) {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	defer func() { <-b.turn }()
	for b.next > b.last {
		last, err := b.counter.Add(ctx, b.size)
		switch {
		case client.Uncertain(err) && ctx.Err() == nil: // then the block is given to nobody
			continue
		case err != nil:
			return 0, err
		}
		b.next, b.last = last-b.size+1, last
	}
	b.next++
	return b.next - 1, nil
}
