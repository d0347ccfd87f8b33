package sim

import (
	"fmt"

	"github.com/zabd/zabd/pkg/proto"
)

// A request is what a client asks for.
type request struct {
	op      proto.Op
	xid     int32
	path    string
	data    string
	version int32
	flags   int32
	watch   bool
	ops     []proto.MultiOp
	watches []*armed // of setWatches
	since   proto.Zxid

	reconfig *proto.ReconfigRequest
	tip      int // committed entries when it was sent
}

func (r *request) String() string {
	s := fmt.Sprintf("%d %v %s", r.xid, r.op, r.path)
	for _, o := range r.ops {
		s += fmt.Sprintf(" [%v %s]", o.Type, o.Path)
	}
	if r.watch {
		s += " with a watch"
	}
	return s
}

// body encodes the record.
func (r *request) body() []byte {
	switch r.op {
	case proto.OpCreate, proto.OpCreate2:
		return (&proto.CreateRequest{Path: r.path, Data: []byte(r.data), ACL: proto.WorldAll(), Flags: r.flags}).AppendTo(nil)
	case proto.OpDelete:
		return (&proto.VersionRequest{Path: r.path, Version: r.version}).AppendTo(nil)
	case proto.OpSetData:
		return (&proto.SetDataRequest{Path: r.path, Data: []byte(r.data), Version: r.version}).AppendTo(nil)
	case proto.OpMulti:
		return (&proto.MultiRequest{Ops: r.ops}).AppendTo(nil)
	case proto.OpGetData, proto.OpExists, proto.OpGetChildren, proto.OpGetChildren2:
		return (&proto.ReadRequest{Path: r.path, Watch: r.watch}).AppendTo(nil)
	case proto.OpReconfig:
		return r.reconfig.AppendTo(nil)
	case proto.OpSync:
		return (&proto.OptString{Text: r.path}).AppendTo(nil)
	case proto.OpSetWatches:
		q := proto.SetWatchesRequest{RelativeZxid: r.since, Data: []string{}, Exist: []string{}, Child: []string{}}
		for _, a := range r.watches {
			switch {
			case a.child:
				q.Child = append(q.Child, a.path)
			case a.absent:
				q.Exist = append(q.Exist, a.path)
			default:
				q.Data = append(q.Data, a.path)
			}
		}
		return q.AppendTo(nil)
	}
	return nil
}

// draw returns what a client asks for next.
func (c *client) draw() *request {
	w := c.w
	r := &request{path: c.drawPath(), version: -1}
	switch k := w.rng.IntN(100); {
	case k < 18:
		r.op, r.data = proto.OpCreate, c.value()
		if w.chance(3) {
			r.op = proto.OpCreate2
		}
	case k < 24:
		r.op, r.path, r.flags, r.data = proto.OpCreate, r.path+"/s-", proto.FlagSequential, c.value()
	case k < 32:
		r.op, r.path, r.flags, r.data = proto.OpCreate2, r.path+"/e", proto.FlagEphemeral, c.value()
	case k < 50:
		r.op, r.data = proto.OpSetData, c.value()
		if w.chance(3) {
			r.version = w.model.now(r.path).version
		}
	case k < 58:
		r.op = proto.OpDelete
		if children := w.model.now(r.path).children; len(children) > 0 {
			r.path += "/" + children[w.rng.IntN(len(children))]
		}
	case k < 65:
		c.drawMulti(r)
	case k < 78:
		r.op, r.watch = proto.OpGetData, w.chance(3)
	case k < 85:
		r.op, r.watch = proto.OpGetChildren2, w.chance(3)
		if w.chance(4) {
			r.path = "/"
		}
	case k < 92:
		r.op, r.watch = proto.OpExists, w.chance(3)
		if w.chance(3) {
			r.path += "/e"
		}
	case k < 98:
		r.op = proto.OpSync
	case k < 99 && w.chance(4):
		r.op, r.path = proto.OpCloseSession, ""
	default:
		r.op, r.path = proto.OpPing, ""
	}
	return r
}

// drawMulti makes a request of several operations, which often fails.
func (c *client) drawMulti(r *request) {
	w := c.w
	r.op = proto.OpMulti
	for range 1 + w.rng.IntN(3) {
		o := proto.MultiOp{Path: c.drawPath(), Version: -1}
		switch w.rng.IntN(4) {
		case 0:
			o.Type, o.Data, o.ACL = proto.OpCreate, []byte(c.value()), proto.WorldAll()
		case 1:
			o.Type = proto.OpCheck
		default:
			o.Type, o.Data = proto.OpSetData, []byte(c.value())
		}
		r.ops = append(r.ops, o)
	}
	r.path = ""
}

func (c *client) drawPath() string { return fmt.Sprintf("/k%d", c.w.rng.IntN(c.w.profile.paths)) }

// value returns data that nobody else writes.
func (c *client) value() string {
	c.values++
	return fmt.Sprintf("%d.%d", c.n, c.values)
}
