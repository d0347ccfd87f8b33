package serve

import (
	"slices"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// maxMultiRead bounds the bytes of one answer: a short request may name a large node any number of times.
const maxMultiRead = 64 << 20

// multiRead answers several getData and getChildren at once, each by its result or its code; it leaves no watch.
//
// Reads that stand together with writes are no multi at all, and neither are writes that could not be decoded. A write, and a read of a null path, fail when their turn comes:
// then the whole is refused, and the results so far are sent beside the code, as by ZooKeeper.
func (r *Reader) multiRead(dst []byte, req *proto.Request) []byte {
	var q proto.MultiRequest
	d := jute.NewDecoder(req.Body)
	if q.Decode(&d) != nil || mixed(q.Ops) || slices.ContainsFunc(q.Ops, undecodable) {
		return AppendError(dst, req.Xid, r.Tree.LastZxid(), proto.MarshallingError)
	}
	at := len(dst)
	dst = beginFrame(dst, req.Xid, r.Tree.LastZxid(), proto.OK)
	for i := range q.Ops {
		o := &q.Ops[i]
		if !isRead(o) || o.Null {
			setCode(dst[at:], proto.MarshallingError)
			break
		}
		if dst = r.readOne(dst, o, req.IDs); len(dst)-at > maxMultiRead {
			return AppendError(dst[:at], req.Xid, r.Tree.LastZxid(), proto.MarshallingError)
		}
	}
	return endFrame(proto.AppendMultiEnd(dst), at)
}

func isRead(o *proto.MultiOp) bool { return o.Type == proto.OpGetData || o.Type == proto.OpGetChildren }

// mixed tells whether there are reads and others.
func mixed(ops []proto.MultiOp) bool {
	reads := 0
	for i := range ops {
		if isRead(&ops[i]) {
			reads++
		}
	}
	return reads > 0 && reads < len(ops)
}

// undecodable tells whether ZooKeeper cannot make an operation of the flags of a create.
func undecodable(o proto.MultiOp) bool {
	switch o.Type {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		return o.Flags < 0 || o.Flags >= proto.FlagTTL
	}
	return false
}

func (r *Reader) readOne(dst []byte, o *proto.MultiOp, ids []proto.ID) []byte {
	h := proto.MultiHeader{Type: o.Type}
	out, code := h.AppendTo(dst), proto.OK
	q := proto.ReadRequest{Path: o.Path}
	if o.Type == proto.OpGetData {
		out, code = r.getData(out, &q, ids)
	} else {
		out, code = r.getChildren(out, &q, o.Type, ids)
	}
	if code == proto.OK {
		return out
	}
	h = proto.MultiHeader{Type: proto.OpError, Err: code}
	return jute.AppendInt(h.AppendTo(dst), int32(code))
}
