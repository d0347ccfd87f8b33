package serve

import (
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// maxMultiRead bounds the bytes of one answer: a short request may name a large node any number of times.
const maxMultiRead = 64 << 20

// multiRead answers several getData and getChildren at once, each by its result or its code; it leaves no watch.
//
// Reads that stand together with writes are no multi at all. Writes alone are refused when they are to be run, and
// ZooKeeper sends the results so far beside the code: an empty list.
func (r *Reader) multiRead(dst []byte, req *proto.Request) []byte {
	var q proto.MultiRequest
	d := jute.NewDecoder(req.Body)
	if q.Decode(&d) != nil {
		return AppendError(dst, req.Xid, r.Tree.LastZxid(), proto.MarshallingError)
	}
	reads := 0
	for i := range q.Ops {
		if op := q.Ops[i].Type; op == proto.OpGetData || op == proto.OpGetChildren {
			reads++
		}
	}
	if reads > 0 && reads < len(q.Ops) {
		return AppendError(dst, req.Xid, r.Tree.LastZxid(), proto.MarshallingError)
	}
	code := proto.OK
	if reads < len(q.Ops) {
		code, q.Ops = proto.MarshallingError, nil
	}
	at := len(dst)
	dst = beginFrame(dst, req.Xid, r.Tree.LastZxid(), code)
	for i := range q.Ops {
		if dst = r.readOne(dst, &q.Ops[i], req.IDs); len(dst)-at > maxMultiRead {
			return AppendError(dst[:at], req.Xid, r.Tree.LastZxid(), proto.MarshallingError)
		}
	}
	return endFrame(proto.AppendMultiEnd(dst), at)
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
