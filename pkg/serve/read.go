package serve

import (
	"strings"

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
	Path    string         // what the last exists, getData, getACL or getChildren was about; good as long as its request
	auth.Rules
}

// Supported tells whether the server knows requests of this type. Any other is answered by Unimplemented, with zxid
// -1, and ends the connection.
func Supported(op proto.Op) bool {
	switch op {
	case proto.OpExists, proto.OpGetData, proto.OpGetACL, proto.OpGetChildren, proto.OpGetChildren2, proto.OpSync,
		proto.OpPing, proto.OpMultiRead, proto.OpGetEphemerals, proto.OpGetAllChildrenNumber, proto.OpWhoAmI,
		proto.OpSetWatches, proto.OpSetWatches2, proto.OpAddWatch, proto.OpCheckWatches, proto.OpRemoveWatches,
		proto.OpAuth, proto.OpSasl, proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL, proto.OpDelete,
		proto.OpDeleteContainer, proto.OpSetData, proto.OpSetACL, proto.OpReconfig, proto.OpMulti, proto.OpCloseSession:
		return true
	}
	return false
}

// Append appends the frame that answers a read to dst; in front of it the events that setWatches replays.
func (r *Reader) Append(dst []byte, req *proto.Request) []byte {
	switch req.Op {
	case proto.OpSetWatches, proto.OpSetWatches2:
		return r.setWatches(dst, req)
	case proto.OpMultiRead:
		return r.multiRead(dst, req)
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
	case proto.OpError: // whatever it was, it has waited too long
		return dst, proto.ThrottledOp
	case proto.OpWhoAmI:
		return whoAmI(dst, req.IDs), proto.OK
	case proto.OpGetACL, proto.OpGetAllChildrenNumber:
		var q proto.PathRequest
		if q.Decode(&d) != nil {
			return dst, proto.MarshallingError
		}
		if req.Op == proto.OpGetAllChildrenNumber {
			return r.getAllChildrenNumber(dst, q.Path, req.IDs)
		}
		r.Path = q.Path
		return r.getACL(dst, q.Path, req.IDs)
	case proto.OpGetEphemerals:
		var prefix proto.OptString
		if prefix.Decode(&d) != nil {
			return dst, proto.MarshallingError
		}
		return r.getEphemerals(dst, req.Session, prefix.Text), proto.OK
	case proto.OpAddWatch, proto.OpCheckWatches, proto.OpRemoveWatches:
		var q proto.WatchModeRequest
		if q.Decode(&d) != nil {
			return dst, proto.MarshallingError
		}
		return r.watch(dst, req.Op, &q)
	}
	var q proto.ReadRequest
	if q.Decode(&d) != nil {
		return dst, proto.MarshallingError
	}
	r.Path = q.Path
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
	return r.Permit(r.Tree.ACL(ref), need, ids)
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

// getAllChildrenNumber counts what lies below a node. "/" is the whole tree less the root; "", the other name of the
// root, has a prefix that the root's own name has too.
func (r *Reader) getAllChildrenNumber(dst []byte, path string, ids []proto.ID) ([]byte, proto.Code) {
	ref, code := r.find(path, proto.PermRead, ids)
	if code != proto.OK {
		return dst, code
	}
	n := r.Tree.CountBelow(ref)
	if path == "" {
		n++
	}
	return jute.AppendInt(dst, int32(n)), proto.OK
}

// getEphemerals lists the session's own nodes whose paths begin with prefix; all of them for a blank one and for "/".
func (r *Reader) getEphemerals(dst []byte, session int64, prefix string) []byte {
	if text := strings.TrimFunc(prefix, func(c rune) bool { return c <= ' ' }); text == "" || text == "/" {
		prefix = ""
	}
	own := []string{} // not nil, which is the null vector
	for _, path := range r.Tree.Ephemerals(session) {
		if strings.HasPrefix(path, prefix) {
			own = append(own, path)
		}
	}
	return proto.AppendStrings(dst, own)
}

// whoAmI shows a connection's ids without what their passwords left.
func whoAmI(dst []byte, ids []proto.ID) []byte {
	shown := make([]proto.ID, len(ids))
	for i, id := range ids {
		shown[i] = proto.ID{Scheme: id.Scheme, ID: auth.User(id)}
	}
	return (&proto.IDsReply{IDs: shown}).AppendTo(dst)
}
