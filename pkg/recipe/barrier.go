package recipe

import (
	"context"
	"path"
	"slices"

	"github.com/zabd/zabd/pkg/client"
)

// A Barrier holds up all who come until it is lifted. It stands while its node is there.
type Barrier struct{ dir }

// NewBarrier returns the barrier at path. Nothing is asked of the server.
func NewBarrier(c *client.Client, path string, o Options) *Barrier {
	return &Barrier{dir{c, path, o.ACL, client.ModePersistent}}
}

// Set puts the barrier up, if it is not.
func (b *Barrier) Set(ctx context.Context) error { return b.make(ctx) }

// Lift lets all go on, if the barrier stands.
func (b *Barrier) Lift(ctx context.Context) error {
	_, err := b.remove(ctx, b.path)
	return err
}

// Wait returns when the barrier does not stand.
func (b *Barrier) Wait(ctx context.Context) error {
	parent, name := path.Split(b.path)
	return dir{c: b.c, path: path.Clean(parent)}.awaitGone(ctx, name)
}

// ready is the node by which a double barrier opens.
const ready = "ready"

// A DoubleBarrier lets a number of members begin together and end together. It can be used again and again by the same
// number.
type DoubleBarrier struct {
	dir
	members int
	id      string
}

// NewDoubleBarrier returns the barrier at path for a number of members. Nothing is asked of the server.
func NewDoubleBarrier(c *client.Client, path string, members int, o Options) *DoubleBarrier {
	return &DoubleBarrier{dir{c, path, o.ACL, client.ModeContainer}, members, o.ID}
}

// An Inside is a member that has entered a double barrier.
type Inside struct {
	at *DoubleBarrier
	h  *Hold
}

// Enter waits until all members have entered. When ctx ends first, this one has not entered.
func (b *DoubleBarrier) Enter(ctx context.Context) (*Inside, error) {
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	h, err := b.holdNamed(ctx, newGUID(), []byte(b.id))
	if err != nil {
		return nil, err
	}
	for {
		open, fired, err := b.opened(ctx)
		if err == nil && !open {
			open, err = b.count(ctx)
		}
		switch {
		case err != nil:
			return nil, h.withdraw(err)
		case open:
			return &Inside{b, h}, nil
		}
		select {
		case e := <-fired:
			if e.Type == client.EventCreated { // members on other libraries take the node away again before all have seen it
				return &Inside{b, h}, nil
			}
		case <-h.ctx.Done():
			return nil, h.Err()
		case <-ctx.Done():
			return nil, h.withdraw(context.Cause(ctx))
		}
	}
}

// opened tells whether all have entered, with a watch of that.
func (b *DoubleBarrier) opened(ctx context.Context) (open bool, fired <-chan client.Event, err error) {
	err = b.again(ctx, func() error {
		_, open, fired, err = b.c.ExistsW(ctx, b.in(ready))
		return err
	})
	return open, fired, err
}

// clear removes a ready node that nobody is left of. Members of this round cannot have made it: this one is not among
// them yet.
func (b *DoubleBarrier) clear(ctx context.Context) error {
	names, err := b.list(ctx)
	if err != nil || len(names) != 1 || names[0] != ready {
		return err
	}
	_, err = b.remove(ctx, b.in(ready))
	return err
}

// count opens the barrier if all are there.
func (b *DoubleBarrier) count(ctx context.Context) (bool, error) {
	names, err := b.list(ctx)
	if err != nil || len(names) < b.members {
		return false, err
	}
	open := b.sub(ready)
	open.kind = client.ModePersistent
	return true, open.make(ctx)
}

// Leave waits until all members have left, or are gone. Who is first by name waits for the last, and the others for the
// first, so that a member that leaves wakes one, and the last one to leave all.
func (i *Inside) Leave(ctx context.Context) error {
	b := i.at
	names, err := b.list(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(names, i.h.name()) {
		return i.h.gone()
	}
	// Those of the next round have other names: who is quick must not be waited for.
	round := slices.DeleteFunc(names, func(name string) bool { return name == ready })
	slices.Sort(round)
	for {
		others, err := b.remaining(ctx, round, i.h.name())
		if err != nil {
			return err
		}
		if len(others) == 0 {
			break
		}
		other := others[0]
		if i.h.name() < other {
			other = others[len(others)-1]
		} else if err := i.h.Release(ctx); err != nil {
			return err
		}
		if err := b.awaitGone(ctx, other); err != nil {
			return err
		}
	}
	if err := i.h.Release(ctx); err != nil {
		return err
	}
	_, err = b.remove(ctx, b.in(ready))
	return err
}

// remaining returns who of the round is still inside, but for one.
func (b *DoubleBarrier) remaining(ctx context.Context, round []string, but string) ([]string, error) {
	names, err := b.list(ctx)
	return slices.DeleteFunc(slices.Clone(round), func(name string) bool {
		return name == but || !slices.Contains(names, name)
	}), err
}
