package serve

import (
	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/watch"
)

// A Reader answers requests that change nothing but the watches of one connection. Its owner holds the tree's read
// lock during each call, so that a watch is registered in the same instant as the state it was asked about was read.
type Reader struct {
	Tree    *tree.Tree // the one of the moment
	Watches *watch.Table
	Watcher *watch.Watcher // the connection's
	SkipACL bool
}

// Supported tells whether the server knows requests of this type. Any other is answered by Unimplemented, with zxid
// -1, and ends the connection.
func Supported(op proto.Op) bool {
	switch op {
	case proto.OpExists, proto.OpGetData, proto.OpGetACL, proto.OpGetChildren, proto.OpGetChildren2, proto.OpSync,
		proto.OpPing, proto.OpSetWatches, proto.OpAuth, proto.OpCreate, proto.OpCreate2, proto.OpDelete,
		proto.OpSetData, proto.OpSetACL, proto.OpMulti, proto.OpCloseSession:
		return true
	}
	return false
}

// Append appends the frame that answers a read to dst; in front of it the events that setWatches replays.
func (r *Reader) Append(dst []byte, req *proto.Request) []byte {
	if req.Op == proto.OpSetWatches {
		return r.setWatches(dst, req)
	}
	at := len(dst)
	dst = beginFrame(dst, req.Xid, r.Tree.LastZxid(), proto.OK)
	out, code := r.record(dst, req)
	if code != proto.OK {
		return AppendError(dst[:at], req.Xid, r.Tree.LastZxid(), code)
	}
	return endFrame(out, at)
}

// record appends the record of the reply, or says why there is none.
func (r *Reader) record(dst []byte, req *proto.Request) ([]byte, proto.Code) {
	d := jute.NewDecoder(req.Body)
	switch req.Op {
	case proto.OpPing:
		return dst, proto.OK
	case proto.OpGetACL:
		var q proto.PathRequest
		if q.Decode(&d) != nil {
			return dst, proto.MarshallingError
		}
		return r.getACL(dst, q.Path, req.IDs)
	}
	var q proto.ReadRequest
	if q.Decode(&d) != nil {
		return dst, proto.MarshallingError
	}
	switch req.Op {
	case proto.OpExists:
		return r.exists(dst, &q, req.IDs)
	case proto.OpGetData:
		return r.getData(dst, &q, req.IDs)
	case proto.OpGetChildren, proto.OpGetChildren2:
		return r.getChildren(dst, &q, req.Op, req.IDs)
	}
	return dst, proto.Unimplemented
}

// permit checks a node's ACL for any of the needed bits.
func (r *Reader) permit(ref tree.Ref, need proto.Perm, ids []proto.ID) bool {
	return r.SkipACL || auth.Permit(r.Tree.ACL(ref), need, ids)
}

// find returns a node that must be there and grant any of the needed bits.
func (r *Reader) find(path string, need proto.Perm, ids []proto.ID) (tree.Ref, proto.Code) {
	ref, ok := r.Tree.Find(path)
	switch {
	case !ok:
		return ref, proto.NoNode
	case !r.permit(ref, need, ids):
		return ref, proto.NoAuth
	}
	return ref, proto.OK
}

func (r *Reader) exists(dst []byte, q *proto.ReadRequest, ids []proto.ID) ([]byte, proto.Code) {
	for i := range len(q.Path) {
		if q.Path[i] == 0 {
			return dst, proto.BadArguments
		}
	}
	ref, ok := r.Tree.Find(q.Path)
	if ok && !r.permit(ref, proto.PermRead, ids) {
		return dst, proto.NoAuth
	}
	if q.Watch {
		r.Watches.AddData(q.Path, r.Watcher)
	}
	if !ok {
		return dst, proto.NoNode
	}
	st := r.Tree.Stat(ref)
	return st.AppendTo(dst), proto.OK
}

func (r *Reader) getData(dst []byte, q *proto.ReadRequest, ids []proto.ID) ([]byte, proto.Code) {
	ref, code := r.find(q.Path, proto.PermRead, ids)
	if code != proto.OK {
		return dst, code
	}
	if q.Watch {
		r.Watches.AddData(q.Path, r.Watcher)
	}
	st := r.Tree.Stat(ref)
	return st.AppendTo(jute.AppendBuffer(dst, r.Tree.Data(ref))), proto.OK
}

func (r *Reader) getChildren(dst []byte, q *proto.ReadRequest, op proto.Op, ids []proto.ID) ([]byte, proto.Code) {
	ref, code := r.find(q.Path, proto.PermRead, ids)
	if code != proto.OK {
		return dst, code
	}
	if q.Watch {
		r.Watches.AddChild(q.Path, r.Watcher)
	}
	dst = r.Tree.AppendChildren(dst, ref)
	if op == proto.OpGetChildren2 {
		st := r.Tree.Stat(ref)
		dst = st.AppendTo(dst)
	}
	return dst, proto.OK
}

// getACL needs READ or ADMIN; without ADMIN the digests of passwords stay hidden.
func (r *Reader) getACL(dst []byte, path string, ids []proto.ID) ([]byte, proto.Code) {
	ref, code := r.find(path, proto.PermRead|proto.PermAdmin, ids)
	if code != proto.OK {
		return dst, code
	}
	acl := r.Tree.ACL(ref)
	if !r.permit(ref, proto.PermAdmin, ids) {
		acl = auth.DisplayACL(acl)
	}
	st := r.Tree.Stat(ref)
	return st.AppendTo(proto.AppendACLs(dst, acl)), proto.OK
}

// setWatches registers the watches that a client had on its former connection. What has changed since the zxid that
// it saw last is told at once, in front of the reply, with zxid -1 and without a look at the ACL.
func (r *Reader) setWatches(dst []byte, req *proto.Request) []byte {
	d := jute.NewDecoder(req.Body)
	var q proto.SetWatchesRequest
	if q.Decode(&d) != nil {
		return AppendError(dst, req.Xid, r.Tree.LastZxid(), proto.MarshallingError)
	}
	for _, path := range q.Data {
		switch ref, ok := r.Tree.Find(path); {
		case !ok:
			dst = AppendEvent(dst, proto.EventDeleted, path, -1)
		case r.Tree.Stat(ref).Mzxid > q.RelativeZxid:
			dst = AppendEvent(dst, proto.EventDataChanged, path, -1)
		default:
			r.Watches.AddData(path, r.Watcher)
		}
	}
	for _, path := range q.Exist {
		if _, ok := r.Tree.Find(path); ok {
			dst = AppendEvent(dst, proto.EventCreated, path, -1)
		} else {
			r.Watches.AddData(path, r.Watcher)
		}
	}
	for _, path := range q.Child {
		switch ref, ok := r.Tree.Find(path); {
		case !ok:
			dst = AppendEvent(dst, proto.EventDeleted, path, -1)
		case r.Tree.Stat(ref).Pzxid > q.RelativeZxid:
			dst = AppendEvent(dst, proto.EventChildrenChanged, path, -1)
		default:
			r.Watches.AddChild(path, r.Watcher)
		}
	}
	return AppendError(dst, req.Xid, r.Tree.LastZxid(), proto.OK)
}
