package recipe

import (
	"context"
	"errors"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// A Group is those who have joined and whose sessions live.
type Group struct{ dir }

// NewGroup returns the group whose members are children of path. Nothing is asked of the server.
func NewGroup(c *client.Client, path string, o Options) *Group {
	return &Group{dir{c, path, o.ACL, client.ModeContainer}}
}

// A Member is one of a group.
type Member struct {
	ID   string
	Data []byte
	Stat proto.Stat
}

// A Membership is one's own place in a group. The embedded Hold's Release leaves, and its Context ends with the membership.
type Membership struct {
	*Hold
	ID string
}

// Set changes what the group sees of this member.
func (m *Membership) Set(ctx context.Context, data []byte) error {
	return m.at.again(ctx, func() error {
		_, err := m.at.c.Set(ctx, m.path, data, -1)
		return err
	})
}

// Join makes a member called id. Where another session's member has that id, it waits until that is gone: a
// program that is started anew takes the place of its former life.
func (g *Group) Join(ctx context.Context, id string, data []byte) (*Membership, error) {
	for {
		h, err := g.holdNamed(ctx, id, data)
		if !errors.Is(err, client.ErrNodeExists) {
			if err != nil {
				return nil, err
			}
			return &Membership{h, id}, nil
		}
		if err := g.awaitGone(ctx, id); err != nil {
			return nil, err
		}
	}
}

// Members returns those who are in the group, by id.
func (g *Group) Members(ctx context.Context) ([]Member, error) {
	names, err := g.list(ctx)
	if err != nil {
		return nil, err
	}
	var all []Member
	for _, name := range names {
		data, stat, err := g.get(ctx, name)
		switch {
		case errors.Is(err, client.ErrNoNode): // left meanwhile
		case err != nil:
			return nil, err
		default:
			all = append(all, Member{name, data, stat})
		}
	}
	return all, nil
}

// Follow calls f with the members, and again whenever the group or what is seen of a member has changed, until ctx ends or
// the session does. Changes that come together are told together.
func (g *Group) Follow(ctx context.Context, f func([]Member)) error {
	t, err := OpenTree(ctx, g.c, g.path, nil)
	if err != nil {
		return err
	}
	defer t.Close()
	for {
		changed := t.Changed()
		var all []Member
		for _, name := range t.Children(g.path) {
			if n, ok := t.Get(g.in(name)); ok {
				all = append(all, Member{name, n.Data, n.Stat})
			}
		}
		f(all)
		select {
		case <-changed:
		case <-t.Done():
			return t.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
