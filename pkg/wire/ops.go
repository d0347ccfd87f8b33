package wire

import (
	"context"

	"github.com/zabd/zabd/pkg/proto"
)

// Create makes a node that anyone may do anything with, and returns its path. flags are proto.FlagEphemeral and others.
func (c *Conn) Create(ctx context.Context, path string, data []byte, flags int32) (string, error) {
	var r proto.PathReply
	_, err := c.Call(ctx, proto.OpCreate, &proto.CreateRequest{Path: path, Data: data, ACL: proto.WorldAll(), Flags: flags}, &r)
	return r.Path, err
}

// Delete removes a node; version -1 removes any.
func (c *Conn) Delete(ctx context.Context, path string, version int32) error {
	_, err := c.Call(ctx, proto.OpDelete, &proto.VersionRequest{Path: path, Version: version}, nil)
	return err
}

// Exists returns a node's Stat; proto.NoNode if it is not there. Either way a watch is left if asked for.
func (c *Conn) Exists(ctx context.Context, path string, watch bool) (proto.Stat, error) {
	var r proto.Stat
	_, err := c.Call(ctx, proto.OpExists, &proto.ReadRequest{Path: path, Watch: watch}, &r)
	return r, err
}

// Get returns a node's data and Stat.
func (c *Conn) Get(ctx context.Context, path string, watch bool) ([]byte, proto.Stat, error) {
	var r proto.DataReply
	_, err := c.Call(ctx, proto.OpGetData, &proto.ReadRequest{Path: path, Watch: watch}, &r)
	return r.Data, r.Stat, err
}

// Set replaces a node's data; version -1 replaces any.
func (c *Conn) Set(ctx context.Context, path string, data []byte, version int32) (proto.Stat, error) {
	var r proto.Stat
	_, err := c.Call(ctx, proto.OpSetData, &proto.SetDataRequest{Path: path, Data: data, Version: version}, &r)
	return r, err
}

// GetACL returns a node's list.
func (c *Conn) GetACL(ctx context.Context, path string) ([]proto.ACL, proto.Stat, error) {
	var r proto.ACLReply
	_, err := c.Call(ctx, proto.OpGetACL, &proto.PathRequest{Path: path}, &r)
	return r.ACL, r.Stat, err
}

// SetACL replaces a node's list; version is that of the list, -1 any.
func (c *Conn) SetACL(ctx context.Context, path string, acl []proto.ACL, version int32) (proto.Stat, error) {
	var r proto.Stat
	_, err := c.Call(ctx, proto.OpSetACL, &proto.SetACLRequest{Path: path, ACL: acl, Version: version}, &r)
	return r, err
}

// Children returns the names of a node's children, and its Stat.
func (c *Conn) Children(ctx context.Context, path string, watch bool) ([]string, proto.Stat, error) {
	var r proto.Children2Reply
	_, err := c.Call(ctx, proto.OpGetChildren2, &proto.ReadRequest{Path: path, Watch: watch}, &r)
	return r.Names, r.Stat, err
}

// Sync returns once the server has all that was committed before.
func (c *Conn) Sync(ctx context.Context, path string) error {
	_, err := c.Call(ctx, proto.OpSync, &proto.OptString{Text: path}, nil)
	return err
}

// Multi does all operations or none; the results tell why none.
func (c *Conn) Multi(ctx context.Context, ops ...proto.MultiOp) ([]proto.MultiResult, error) {
	var r proto.MultiReply
	_, err := c.Call(ctx, proto.OpMulti, &proto.MultiRequest{Ops: ops}, &r)
	return r.Results, err
}

// Auth adds an id to the connection.
func (c *Conn) Auth(ctx context.Context, scheme, credential string) error {
	_, err := c.Call(ctx, proto.OpAuth, &proto.AuthRequest{Scheme: scheme, Auth: []byte(credential)}, nil)
	return err
}

// Ping keeps the session alive.
func (c *Conn) Ping(ctx context.Context) error {
	_, err := c.Call(ctx, proto.OpPing, nil, nil)
	return err
}

// CloseSession ends the session, and with it the connection.
func (c *Conn) CloseSession(ctx context.Context) error {
	_, err := c.Call(ctx, proto.OpCloseSession, nil, nil)
	return err
}

// AddWatch leaves a watch that stays, whether the node is there or not.
func (c *Conn) AddWatch(ctx context.Context, path string, mode proto.WatchMode) error {
	_, err := c.Call(ctx, proto.OpAddWatch, &proto.WatchModeRequest{Path: path, Mode: int32(mode)}, nil)
	return err
}

// RemoveWatches removes this connection's watches of one type from a path; proto.NoWatcher if there are none. Events that
// are under way still come.
func (c *Conn) RemoveWatches(ctx context.Context, path string, typ proto.WatcherType) error {
	_, err := c.Call(ctx, proto.OpRemoveWatches, &proto.WatchModeRequest{Path: path, Mode: int32(typ)}, nil)
	return err
}
