package client

import (
	"bytes"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// Stat is what there is to know of a node besides its data.
type Stat = proto.Stat

// ACL gives permissions to an id.
type ACL = proto.ACL

// A Mode is what kind of node a create makes.
type Mode int32

// The modes. A sequential node's name gets a number of ten digits that its parent counts. A container goes when it has had
// children and has none any more.
const (
	ModePersistent           = Mode(proto.FlagPersistent)
	ModeEphemeral            = Mode(proto.FlagEphemeral)
	ModePersistentSequential = Mode(proto.FlagSequential)
	ModeEphemeralSequential  = Mode(proto.FlagEphemeralSequential)
	ModeContainer            = Mode(proto.FlagContainer)
)

func (m Mode) sequential() bool {
	return m&Mode(proto.FlagSequential) != 0 && m <= ModeEphemeralSequential
}

// What calls return as one value.
type (
	// Created is a node that was made, by its full name.
	Created struct {
		Path string
		Stat Stat
	}
	// Node is a node's data.
	Node struct {
		Data []byte
		Stat Stat
	}
	// Existence is the Stat of a node that may not be there.
	Existence struct {
		Exists bool
		Stat   Stat
	}
	// Children are the names of a node's children, in no order.
	Children struct {
		Names []string
		Stat  Stat
	}
	// Access is a node's access control list.
	Access struct {
		ACL  []ACL
		Stat Stat
	}
)

func decodeStat(d *jute.Decoder, v *Stat) error { return v.Decode(d) }

func decodeNode(d *jute.Decoder, v *Node) error {
	v.Data = bytes.Clone(d.Buffer())
	return v.Stat.Decode(d)
}

// keep returns a decoder of bytes that may be kept.
func keep(d *jute.Decoder) *jute.Decoder {
	k := jute.NewDecoder(bytes.Clone(d.Rest()))
	return &k
}

// checkCreate is checkPath for a path that gets a number behind it.
func checkCreate(path string, m Mode) error {
	if m.sequential() {
		path += "1"
	}
	return checkPath(path)
}

func withDefault(acl []ACL) []ACL {
	if len(acl) == 0 {
		return proto.WorldAll()
	}
	return acl
}

func (c *Client) create(path string, data []byte, m Mode, acl []ACL) *Future[Created] {
	op := proto.OpCreate2
	if m == ModeContainer {
		op = proto.OpCreateContainer
	}
	r := &proto.CreateRequest{Path: c.toServer(path), Data: data, ACL: withDefault(acl), Flags: int32(m)}
	f := future(c, op, path, r, c.decodeCreated)
	f.weight, f.err = len(path)+len(data), checkCreate(path, m)
	return f
}

func (c *Client) createTTL(path string, data []byte, m Mode, ttl time.Duration, acl []ACL) *Future[Created] {
	r := &proto.CreateTTLRequest{Path: c.toServer(path), Data: data, ACL: withDefault(acl), Flags: proto.FlagTTL, TTL: ttl.Milliseconds()}
	if m.sequential() {
		r.Flags = proto.FlagTTLSequential
	}
	f := future(c, proto.OpCreateTTL, path, r, c.decodeCreated)
	f.weight, f.err = len(path)+len(data), checkCreate(path, m)
	return f
}

func (c *Client) decodeCreated(d *jute.Decoder, v *Created) error {
	var r proto.CreateReply
	err := r.Decode(keep(d))
	v.Path, v.Stat = c.toClient(r.Path), r.Stat
	return err
}

func (c *Client) delete(path string, version int32) *Future[struct{}] {
	f := future[struct{}](c, proto.OpDelete, path, &proto.VersionRequest{Path: c.toServer(path), Version: version}, nil)
	f.err = checkPath(path)
	return f
}

func (c *Client) set(path string, data []byte, version int32) *Future[Stat] {
	r := &proto.SetDataRequest{Path: c.toServer(path), Data: data, Version: version}
	f := future(c, proto.OpSetData, path, r, decodeStat)
	f.weight, f.err = len(path)+len(data), checkPath(path)
	return f
}

// read prepares a read that may leave a one-shot watch.
func read[T any](c *Client, op proto.Op, path string, w *watcher, k watchKind, decode func(*jute.Decoder, *T) error) *Future[T] {
	f := future(c, op, path, &proto.ReadRequest{Path: c.toServer(path), Watch: w != nil}, decode)
	f.err = checkPath(path)
	if w != nil {
		w.kind, w.path = k, c.toServer(path)
		f.watcher = w
	}
	return f
}

func (c *Client) get(path string, w *watcher) *Future[Node] {
	return read(c, proto.OpGetData, path, w, dataWatch, decodeNode)
}

func (c *Client) exists(path string, w *watcher) *Future[Existence] {
	return read(c, proto.OpExists, path, w, dataWatch, func(d *jute.Decoder, v *Existence) error {
		v.Exists = true
		return v.Stat.Decode(d)
	})
}

func (c *Client) children(path string, w *watcher) *Future[Children] {
	return read(c, proto.OpGetChildren2, path, w, childWatch, func(d *jute.Decoder, v *Children) error {
		var r proto.Children2Reply
		err := r.Decode(keep(d))
		v.Names, v.Stat = r.Names, r.Stat
		return err
	})
}

func (c *Client) acl(path string) *Future[Access] {
	f := future(c, proto.OpGetACL, path, &proto.PathRequest{Path: c.toServer(path)}, func(d *jute.Decoder, v *Access) error {
		var r proto.ACLReply
		err := r.Decode(keep(d))
		v.ACL, v.Stat = r.ACL, r.Stat
		return err
	})
	f.err = checkPath(path)
	return f
}

func (c *Client) setACL(path string, acl []ACL, version int32) *Future[Stat] {
	r := &proto.SetACLRequest{Path: c.toServer(path), ACL: acl, Version: version}
	f := future(c, proto.OpSetACL, path, r, decodeStat)
	f.err = checkPath(path)
	return f
}

func (c *Client) sync(path string) *Future[struct{}] {
	f := future[struct{}](c, proto.OpSync, path, &proto.OptString{Text: c.toServer(path)}, nil)
	f.err = checkPath(path)
	return f
}

func (c *Client) ephemerals(prefix string) *Future[[]string] {
	server := c.chroot + prefix
	if prefix == "" || prefix == "/" {
		server = c.chroot + "/"
	}
	return future(c, proto.OpGetEphemerals, prefix, &proto.OptString{Text: server}, func(d *jute.Decoder, v *[]string) error {
		var r proto.ChildrenReply
		err := r.Decode(keep(d))
		for i, path := range r.Names {
			r.Names[i] = c.toClient(path)
		}
		*v = r.Names
		return err
	})
}

func (c *Client) countAll(path string) *Future[int] {
	f := future(c, proto.OpGetAllChildrenNumber, path, &proto.PathRequest{Path: c.toServer(path)}, func(d *jute.Decoder, v *int) error {
		*v = int(d.Int())
		return d.Err()
	})
	f.err = checkPath(path)
	return f
}

func (c *Client) whoAmI() *Future[[]proto.ID] {
	return future(c, proto.OpWhoAmI, "", nil, func(d *jute.Decoder, v *[]proto.ID) error {
		var r proto.IDsReply
		err := r.Decode(keep(d))
		*v = r.IDs
		return err
	})
}

// config prepares a read of the ensemble's configuration, which no chroot hides.
func (c *Client) config(w *watcher) *Future[Node] {
	f := future(c, proto.OpGetData, configNode, &proto.ReadRequest{Path: configNode, Watch: w != nil}, decodeNode)
	if w != nil {
		w.kind, w.path, f.watcher = dataWatch, configNode, w
	}
	return f
}

func (c *Client) reconfig(joining, leaving, members string, version int64) *Future[Node] {
	opt := func(s string) proto.OptString { return proto.OptString{Text: s, Null: s == ""} }
	r := &proto.ReconfigRequest{Joining: opt(joining), Leaving: opt(leaving), NewMembers: opt(members), ConfigID: version}
	return future(c, proto.OpReconfig, "", r, decodeNode)
}
