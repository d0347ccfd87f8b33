package client

import (
	"context"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// AnyVersion matches every version of a node.
const AnyVersion int32 = -1

// Create makes a node and returns its name, which a sequential mode gives a number to. Without an ACL anyone may do anything.
func (c *Client) Create(ctx context.Context, path string, data []byte, m Mode, acl ...ACL) (string, Stat, error) {
	v, err := c.create(path, data, m, acl).do(ctx)
	return v.Path, v.Stat, err
}

// CreateTTL makes a node, ModePersistent or ModePersistentSequential, that goes when it has had no change and no child for ttl
// (servers with extendedTypesEnabled).
func (c *Client) CreateTTL(ctx context.Context, path string, data []byte, m Mode, ttl time.Duration, acl ...ACL) (string, Stat, error) {
	v, err := c.createTTL(path, data, m, ttl, acl).do(ctx)
	return v.Path, v.Stat, err
}

// Delete removes a node that has no children.
func (c *Client) Delete(ctx context.Context, path string, version int32) error {
	_, err := c.delete(path, version).do(ctx)
	return err
}

// Set replaces a node's data.
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (Stat, error) {
	return c.set(path, data, version).do(ctx)
}

// Get returns a node's data.
func (c *Client) Get(ctx context.Context, path string) ([]byte, Stat, error) {
	v, err := c.get(path, nil).do(ctx)
	return v.Data, v.Stat, err
}

// GetW returns a node's data, and a channel that tells once when that changes or the node goes.
func (c *Client) GetW(ctx context.Context, path string) ([]byte, Stat, <-chan Event, error) {
	w, ch := once()
	v, err := c.get(path, w).do(ctx)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	return v.Data, v.Stat, ch, nil
}

// GetFunc is GetW with a callback in place of a channel (see Future.Then).
func (c *Client) GetFunc(ctx context.Context, path string, fn func(Event)) ([]byte, Stat, error) {
	v, err := c.get(path, c.onceFunc(fn)).do(ctx)
	return v.Data, v.Stat, err
}

// Exists tells whether a node is there.
func (c *Client) Exists(ctx context.Context, path string) (Stat, bool, error) {
	v, err := c.exists(path, nil).do(ctx)
	return v.Stat, v.Exists, err
}

// ExistsW tells whether a node is there, and returns a channel that tells once when it comes, changes or goes.
func (c *Client) ExistsW(ctx context.Context, path string) (Stat, bool, <-chan Event, error) {
	w, ch := once()
	v, err := c.exists(path, w).do(ctx)
	if err != nil {
		return Stat{}, false, nil, err
	}
	return v.Stat, v.Exists, ch, nil
}

// ExistsFunc is ExistsW with a callback in place of a channel (see Future.Then).
func (c *Client) ExistsFunc(ctx context.Context, path string, fn func(Event)) (Stat, bool, error) {
	v, err := c.exists(path, c.onceFunc(fn)).do(ctx)
	return v.Stat, v.Exists, err
}

// Children returns the names of a node's children, sorted.
func (c *Client) Children(ctx context.Context, path string) ([]string, Stat, error) {
	v, err := c.children(path, nil).do(ctx)
	slices.Sort(v.Names)
	return v.Names, v.Stat, err
}

// ChildrenW returns the names of a node's children, sorted, and a channel that tells once when one comes or goes, or the
// node itself goes.
func (c *Client) ChildrenW(ctx context.Context, path string) ([]string, Stat, <-chan Event, error) {
	w, ch := once()
	v, err := c.children(path, w).do(ctx)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	slices.Sort(v.Names)
	return v.Names, v.Stat, ch, nil
}

// ChildrenFunc is ChildrenW with a callback in place of a channel (see Future.Then).
func (c *Client) ChildrenFunc(ctx context.Context, path string, fn func(Event)) ([]string, Stat, error) {
	v, err := c.children(path, c.onceFunc(fn)).do(ctx)
	slices.Sort(v.Names)
	return v.Names, v.Stat, err
}

// ACL returns a node's access control list. The Stat's Aversion is what SetACL compares with.
func (c *Client) ACL(ctx context.Context, path string) ([]ACL, Stat, error) {
	v, err := c.acl(path).do(ctx)
	return v.ACL, v.Stat, err
}

// SetACL replaces a node's access control list.
func (c *Client) SetACL(ctx context.Context, path string, acl []ACL, version int32) (Stat, error) {
	return c.setACL(path, acl, version).do(ctx)
}

// Sync returns when the server knows all that was committed before: reads that follow see it.
func (c *Client) Sync(ctx context.Context, path string) error {
	_, err := c.sync(path).do(ctx)
	return err
}

// Ephemerals returns the ephemeral nodes of this session whose names begin with prefix; "" or "/" for all (servers since 3.6).
func (c *Client) Ephemerals(ctx context.Context, prefix string) ([]string, error) {
	return c.ephemerals(prefix).do(ctx)
}

// AllChildrenNumber returns how many nodes there are below a node, at any depth (servers since 3.6).
func (c *Client) AllChildrenNumber(ctx context.Context, path string) (int, error) {
	return c.countAll(path).do(ctx)
}

// WhoAmI returns the ids that the server knows this connection by (servers since 3.7).
func (c *Client) WhoAmI(ctx context.Context) ([]proto.ID, error) {
	return c.whoAmI().do(ctx)
}

// Config returns the ensemble's configuration.
func (c *Client) Config(ctx context.Context) ([]byte, Stat, error) {
	v, err := c.config(nil).do(ctx)
	return v.Data, v.Stat, err
}

// ConfigW is Config with a channel that tells once when that changes.
func (c *Client) ConfigW(ctx context.Context) ([]byte, Stat, <-chan Event, error) {
	w, ch := once()
	v, err := c.config(w).do(ctx)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	return v.Data, v.Stat, ch, nil
}

// Reconfig changes the members of the ensemble: those that join, as lines of zoo.cfg, those that leave, as ids, or all that
// there are to be; each separated by commas, "" for none. version is that of the present configuration, -1 for any. It
// returns the new one.
func (c *Client) Reconfig(ctx context.Context, joining, leaving, members string, version int64) ([]byte, Stat, error) {
	v, err := c.reconfig(joining, leaving, members, version).do(ctx)
	return v.Data, v.Stat, err
}

// AddAuth adds a credential to the session: for scheme digest, "user:password". Later connections give it again. The server
// that refuses it cuts the connection, and the credential is forgotten.
func (c *Client) AddAuth(ctx context.Context, scheme string, credential []byte) error {
	f := future[struct{}](c, proto.OpAuth, scheme, &proto.AuthRequest{Scheme: scheme, Auth: credential}, nil)
	f.decode = func(*jute.Decoder) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.auth = append(c.auth, Auth{scheme, slices.Clone(credential)})
		return nil
	}
	_, err := f.do(ctx)
	return err
}
