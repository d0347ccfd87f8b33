package recipe

import (
	"context"
	"errors"

	"github.com/zabd/zabd/pkg/client"
)

// A contest is a directory whose children stand in line.
type contest struct {
	dir
	layout Layout
	id     string
}

func newContest(c *client.Client, path string, o Options) contest {
	return contest{dir{c, path, o.ACL, client.ModeContainer}, o.Layout, o.ID}
}

// A Contender is one who holds a lock or leads, or waits for it.
type Contender struct {
	ID     string // of its Options
	Path   string // of its node
	Reader bool   // asks for a lock for reading
}

// enter makes a node and waits until nobody is ahead of it, or returns ErrBusy.
func (x contest) enter(ctx context.Context, r role, wait bool) (*Hold, error) {
	guid := newGUID()
	h, err := x.hold(ctx, x.layout.prefix(r, guid), guid, []byte(x.id))
	if err != nil {
		return nil, err
	}
	for {
		names, err := x.list(ctx)
		if err != nil {
			return nil, h.withdraw(err)
		}
		predecessor, found := ahead(line(names), h.name())
		switch {
		case !found:
			return nil, h.gone()
		case predecessor == "":
			return h, nil
		case !wait:
			return nil, h.busy(ctx)
		}
		if err := x.await(ctx, h, predecessor); err != nil {
			return nil, h.withdraw(err)
		}
	}
}

// await returns when something has happened to the node of another. A watch of data leaves none behind where there is no
// node.
func (x contest) await(ctx context.Context, h *Hold, name string) error {
	fired, err := x.getW(ctx, name)
	switch {
	case errors.Is(err, client.ErrNoNode):
		return nil
	case err != nil:
		return err
	}
	select {
	case <-fired:
		return nil
	case <-h.ctx.Done():
		return h.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// contenders returns the first so many of those in line.
func (x contest) contenders(ctx context.Context, most int) ([]Contender, error) {
	names, err := x.list(ctx)
	if err != nil {
		return nil, err
	}
	var all []Contender
	for _, p := range line(names) {
		if len(all) == most {
			break
		}
		data, _, err := x.get(ctx, p.name)
		switch {
		case errors.Is(err, client.ErrNoNode):
		case err != nil:
			return nil, err
		default:
			all = append(all, Contender{ID: string(data), Path: x.in(p.name), Reader: p.shared})
		}
	}
	return all, nil
}
