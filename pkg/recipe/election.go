package recipe

import (
	"context"
	"errors"
	"math"

	"github.com/zabd/zabd/pkg/client"
)

// ErrNoLeader says that nobody stands for election.
var ErrNoLeader = errors.New("recipe: nobody leads")

// An Election makes one of its candidates the leader. Another leads when the leader resigns or its session ends: the one who
// has waited longest.
type Election struct{ at contest }

// NewElection returns the election whose candidates are children of path. Nothing is asked of the server.
func NewElection(c *client.Client, path string, o Options) *Election {
	return &Election{newContest(c, path, o)}
}

// Campaign waits until it is the leader. The Hold's Context ends when it no longer is; Release resigns; the Token is that
// of the term: each leader's is higher than those of all before.
func (e *Election) Campaign(ctx context.Context) (*Hold, error) {
	return e.at.enter(ctx, exclusive, true)
}

// Run leads again and again: each time it is the leader it calls lead with a context that ends with the leadership, and
// resigns when lead returns. It returns when ctx ends, when lead returns an error though it still led, or when the client
// has ended.
func (e *Election) Run(ctx context.Context, lead func(ctx context.Context, h *Hold) error) error {
	for {
		h, err := e.Campaign(ctx)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { h.end(context.Cause(ctx)) })
		err = lead(h.Context(), h)
		stop()
		released := h.Release(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && released == nil:
			return err
		}
	}
}

// Candidates returns the leader, and then who follows in what order.
func (e *Election) Candidates(ctx context.Context) ([]Contender, error) {
	return e.at.contenders(ctx, math.MaxInt)
}

// Leader returns who leads, or ErrNoLeader.
func (e *Election) Leader(ctx context.Context) (Contender, error) {
	all, err := e.at.contenders(ctx, 1)
	if err != nil {
		return Contender{}, err
	}
	if len(all) == 0 {
		return Contender{}, ErrNoLeader
	}
	return all[0], nil
}
