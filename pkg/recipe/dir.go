package recipe

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// Options are what recipes have in common. The zero value is good.
type Options struct {
	Layout Layout      // how the nodes of contenders are called (Curator)
	ID     string      // what a contender's node says about its owner
	ACL    []proto.ACL // of all nodes made (anyone may do everything)
}

// A dir is a node whose children a recipe makes.
type dir struct {
	c    *client.Client
	path string
	acl  []proto.ACL
	kind client.Mode // of the node itself and of parents that are missing: Persistent, or Container
}

// in returns the path of a child.
func (d dir) in(name string) string {
	if d.path == "/" {
		return "/" + name
	}
	return d.path + "/" + name
}

// sub returns a child as a dir.
func (d dir) sub(name string) dir {
	d.path = d.in(name)
	return d
}

// passing tells whether an error is one that goes with the connection or the session. What a hold of an old session misses
// under the new one, it finds out by itself.
func passing(err error) bool {
	return errors.Is(err, client.ErrConnectionLoss) || errors.Is(err, client.ErrSessionExpired) || errors.Is(err, client.ErrSessionMoved)
}

// again calls f until it does not fail by a lost connection. What f does may happen twice.
func (d dir) again(ctx context.Context, f func() error) error {
	for {
		err := f()
		if ctx.Err() != nil || !passing(err) {
			return err
		}
		if err := d.c.Connected(ctx); err != nil {
			return err
		}
	}
}

// make makes the node, and its parents where they are missing.
func (d dir) make(ctx context.Context) error {
	for {
		err := d.again(ctx, func() error {
			_, _, err := d.c.Create(ctx, d.path, []byte{}, d.kind, d.acl...) // kazoo's counter trips over data that are null
			return err
		})
		switch {
		case errors.Is(err, client.ErrNodeExists):
			return nil
		case !errors.Is(err, client.ErrNoNode):
			return err
		}
		parent := d
		parent.path = d.path[:max(1, strings.LastIndexByte(d.path, '/'))]
		if parent.path == "/" { // of a chroot that is missing
			return err
		}
		if err := parent.make(ctx); err != nil {
			return err
		}
	}
}

// made calls f, and again once the node has been made if f found it missing: one that is a container may go at any time
// when it is empty.
func (d dir) made(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !errors.Is(err, client.ErrNoNode) {
			return err
		}
		if err := d.make(ctx); err != nil {
			return err
		}
	}
}

// get returns the data of a child.
func (d dir) get(ctx context.Context, name string) (data []byte, stat proto.Stat, err error) {
	err = d.again(ctx, func() error {
		data, stat, err = d.c.Get(ctx, d.in(name))
		return err
	})
	return data, stat, err
}

// getW is get with a watch of the data, if there is such a child.
func (d dir) getW(ctx context.Context, name string) (fired <-chan client.Event, err error) {
	err = d.again(ctx, func() error {
		_, _, fired, err = d.c.GetW(ctx, d.in(name))
		return err
	})
	return fired, err
}

// awaitGone returns when there is no child of that name.
func (d dir) awaitGone(ctx context.Context, name string) error {
	for {
		fired, err := d.getW(ctx, name)
		if errors.Is(err, client.ErrNoNode) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-fired:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// exists returns whether there is a child of that name.
func (d dir) exists(ctx context.Context, name string) (stat proto.Stat, ok bool, err error) {
	err = d.again(ctx, func() error {
		stat, ok, err = d.c.Exists(ctx, d.in(name))
		return err
	})
	return stat, ok, err
}

// list returns the names of the children; none where there is no node.
func (d dir) list(ctx context.Context) (names []string, err error) {
	err = d.again(ctx, func() error {
		names, _, err = d.c.Children(ctx, d.path)
		return err
	})
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// listW is list with a watch. The node is made if it is missing.
func (d dir) listW(ctx context.Context) (names []string, changed <-chan client.Event, err error) {
	err = d.made(ctx, func() error {
		return d.again(ctx, func() error {
			names, _, changed, err = d.c.ChildrenW(ctx, d.path)
			return err
		})
	})
	return names, changed, err
}

// protect makes an ephemeral sequential child exactly once, though answers may be lost: the name begins with prefix, which
// carries the GUID. When it gives up, it sees to it that no such node stays.
func (d dir) protect(ctx context.Context, prefix, guid string, data []byte) (name string, stat proto.Stat, err error) {
	for {
		err = d.made(ctx, func() error {
			name, stat, err = d.c.Create(ctx, d.in(prefix), data, client.ModeEphemeralSequential, d.acl...)
			return err
		})
		if err == nil {
			return name[strings.LastIndexByte(name, '/')+1:], stat, nil
		}
		mine := func(name string) bool { return carries(name, guid) }
		uncertain := client.Uncertain(err)
		if ctx.Err() == nil && passing(err) {
			if err = d.c.Connected(ctx); err == nil && uncertain {
				name, stat, err = d.find(ctx, mine)
			}
			if err == nil && name != "" {
				return name, stat, nil
			}
			if err == nil {
				continue
			}
		}
		if uncertain {
			go d.drop(context.WithoutCancel(ctx), mine)
		}
		return "", stat, err
	}
}

// find looks for a node of this session: name is "" when its create, whose answer was lost, has not happened and will
// not. The sync is done behind the create, wherever that was on its way: a server keeps what it was sent by a session in
// order, across connections; and what came through a server that the session has left since is refused by the leader.
func (d dir) find(ctx context.Context, mine func(name string) bool) (name string, stat proto.Stat, err error) {
	err = d.again(ctx, func() error { return d.c.Sync(ctx, d.path) })
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return "", stat, err
	}
	names, err := d.list(ctx)
	if err != nil {
		return "", stat, err
	}
	for _, name := range slices.DeleteFunc(names, func(name string) bool { return !mine(name) }) {
		stat, ok, err := d.exists(ctx, name)
		if err != nil || ok && stat.EphemeralOwner == d.c.SessionID() {
			return name, stat, err
		}
	}
	return "", stat, nil
}

// drop removes a node of this session, if there is one. If the session ends first, that takes the node.
func (d dir) drop(ctx context.Context, mine func(name string) bool) {
	if err := d.c.Connected(ctx); err != nil {
		return
	}
	if name, _, err := d.find(ctx, mine); err == nil && name != "" {
		_, _ = d.remove(ctx, d.in(name))
	}
}

// remove removes a node. there tells whether it was there, as far as that can be known: if the answer was lost, it was.
func (d dir) remove(ctx context.Context, path string) (there bool, err error) {
	uncertain := false
	err = d.again(ctx, func() error {
		err := d.c.Delete(ctx, path, -1)
		uncertain = uncertain || client.Uncertain(err)
		return err
	})
	if errors.Is(err, client.ErrNoNode) {
		return uncertain, nil
	}
	return err == nil, err
}

// update replaces the node's data by what f makes of it, making the node if it is missing. f is called anew when another
// was quicker. If it cannot be known whether the change has happened, the error says so.
func (d dir) update(ctx context.Context, f func(old []byte) ([]byte, error)) error {
	for {
		var stat proto.Stat
		err := d.made(ctx, func() error {
			old, was, err := d.getSelf(ctx)
			if err != nil {
				return err
			}
			stat = was
			data, err := f(old)
			if err != nil {
				return err
			}
			_, err = d.c.Set(ctx, d.path, data, stat.Version)
			return err
		})
		switch {
		case errors.Is(err, client.ErrBadVersion):
			continue
		case ctx.Err() != nil || !passing(err):
			return err
		case !client.Uncertain(err):
			if err := d.c.Connected(ctx); err != nil {
				return err
			}
			continue
		}
		unchanged, lookErr := d.unchanged(ctx, stat)
		if lookErr != nil || !unchanged {
			return err
		}
	}
}

// unchanged tells, after a change whose answer was lost, whether neither it nor another has happened.
func (d dir) unchanged(ctx context.Context, since proto.Stat) (bool, error) {
	if err := d.again(ctx, func() error { return d.c.Sync(ctx, d.path) }); err != nil {
		return false, err
	}
	_, stat, err := d.getSelf(ctx)
	return stat.Mzxid == since.Mzxid, err
}

// getSelf returns the data of the node itself.
func (d dir) getSelf(ctx context.Context) (data []byte, stat proto.Stat, err error) {
	err = d.again(ctx, func() error {
		data, stat, err = d.c.Get(ctx, d.path)
		return err
	})
	return data, stat, err
}
