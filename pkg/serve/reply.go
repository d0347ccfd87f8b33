package serve

import (
	"encoding/binary"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// beginFrame appends the length, still open, and the header of a reply.
func beginFrame(dst []byte, xid int32, z proto.Zxid, code proto.Code) []byte {
	h := proto.ReplyHeader{Xid: xid, Zxid: z, Err: code}
	return h.AppendTo(jute.AppendInt(dst, 0))
}

// endFrame closes the frame that began at offset at.
func endFrame(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// setCode changes the code in the header of a reply, which stands at the beginning of frame.
func setCode(frame []byte, code proto.Code) {
	const offset = 4 + 4 + 8 // behind the length, the xid and the zxid
	binary.BigEndian.PutUint32(frame[offset:], uint32(code))
}

// AppendError appends the frame of a reply without a record.
func AppendError(dst []byte, xid int32, z proto.Zxid, code proto.Code) []byte {
	return endFrame(beginFrame(dst, xid, z, code), len(dst))
}

// AppendNoToken appends the frame that answers a sasl token by none.
func AppendNoToken(dst []byte, xid int32) []byte {
	at := len(dst)
	var none proto.TokenRecord
	return endFrame(none.AppendTo(beginFrame(dst, xid, 0, proto.OK)), at)
}

// AppendEvent appends the frame of a notification. z is the zxid of the change, or -1 when the event is replayed by
// setWatches.
func AppendEvent(dst []byte, typ proto.EventType, path string, z proto.Zxid) []byte {
	at := len(dst)
	dst = beginFrame(dst, proto.XidNotification, z, proto.OK)
	e := proto.WatcherEvent{Type: typ, State: proto.StateConnected, Path: path}
	return endFrame(e.AppendTo(dst), at)
}

// AppendConnect appends the frame that answers a handshake. A refusal has session 0 and an empty password.
func AppendConnect(dst []byte, r *proto.ConnectResponse) []byte {
	at := len(dst)
	return endFrame(r.AppendTo(jute.AppendInt(dst, 0)), at)
}

// AppendSync appends the frame that answers a sync with its path, whatever that is.
func AppendSync(dst []byte, req *proto.Request, z proto.Zxid) []byte {
	d := jute.NewDecoder(req.Body)
	var path proto.OptString
	if path.Decode(&d) != nil {
		return AppendError(dst, req.Xid, z, proto.MarshallingError)
	}
	at := len(dst)
	return endFrame(path.AppendTo(beginFrame(dst, req.Xid, z, proto.OK)), at)
}

// AppendWrite appends the frame that answers a write whose txn had this result.
func AppendWrite(dst []byte, req *proto.Request, res *tree.Result) []byte {
	at := len(dst)
	dst = beginFrame(dst, req.Xid, res.Zxid, res.Code)
	if res.Code == proto.OK || req.Op == proto.OpMulti {
		dst = appendWriteRecord(dst, req, res)
	}
	return endFrame(dst, at)
}

func appendWriteRecord(dst []byte, req *proto.Request, res *tree.Result) []byte {
	switch req.Op {
	case proto.OpCreate:
		return jute.AppendString(dst, res.Path)
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return res.Stat.AppendTo(jute.AppendString(dst, res.Path))
	case proto.OpSetData, proto.OpSetACL:
		return res.Stat.AppendTo(dst)
	case proto.OpReconfig:
		r := proto.DataReply{Data: res.Data, Stat: res.Stat}
		return r.AppendTo(dst)
	case proto.OpMulti:
		return appendMulti(dst, req, res)
	}
	return dst
}

// appendMulti answers a multi. The reply's header says OK even where an operation failed: the results tell. Only a
// multi that could not be decoded, which left an error txn without subs, is answered by its code alone.
func appendMulti(dst []byte, req *proto.Request, res *tree.Result) []byte {
	if res.Code != proto.OK && len(res.Subs) == 0 {
		return dst
	}
	asked := proto.MultiRequest{}
	d := jute.NewDecoder(req.Body)
	_ = asked.Decode(&d) // it was decoded when it was prepared
	binary.BigEndian.PutUint32(dst[len(dst)-4:], 0)
	failed := false
	for i := range res.Subs {
		failed = failed || res.Subs[i].Type == proto.OpError
	}
	reply := proto.MultiReply{Results: make([]proto.MultiResult, len(res.Subs))}
	for i := range res.Subs {
		reply.Results[i] = multiResult(asked.Ops, i, &res.Subs[i], failed)
	}
	return reply.AppendTo(dst)
}

// multiResult answers one operation. In a failed multi those before the failing one are errors with code OK.
func multiResult(asked []proto.MultiOp, i int, sub *tree.SubResult, failed bool) proto.MultiResult {
	if failed {
		return proto.MultiResult{Type: proto.OpError, Err: sub.Code}
	}
	r := proto.MultiResult{Type: sub.Type, Path: sub.Path, Stat: sub.Stat}
	if sub.Type.IsCreate() {
		r.Type = createResultType(sub.Type, asked, i)
	}
	return r
}

// createResultType returns the type of a create's result: with a Stat (create2) for create2 and for containers and TTL
// nodes, whose kind the flags tell. A create2 is logged as create, so the request decides and not the txn.
func createResultType(logged proto.Op, asked []proto.MultiOp, i int) proto.Op {
	if i < len(asked) {
		switch o := &asked[i]; {
		case o.Type == proto.OpCreate2, o.Type == proto.OpCreateContainer, o.Flags >= proto.FlagContainer:
			return proto.OpCreate2
		}
	}
	if logged == proto.OpCreate {
		return proto.OpCreate
	}
	return proto.OpCreate2
}
