package serve

import (
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// watch answers addWatch, checkWatches and removeWatches. They look neither at the path nor at the tree. A watch that is
// removed makes no event: the client tells its own.
func (r *Reader) watch(dst []byte, op proto.Op, q *proto.WatchModeRequest) ([]byte, proto.Code) {
	if op == proto.OpAddWatch {
		return r.addWatch(dst, q.Path, proto.WatchMode(q.Mode))
	}
	typ := proto.WatcherType(q.Mode)
	if !typ.Valid() {
		return dst, proto.MarshallingError
	}
	found := false
	if op == proto.OpCheckWatches {
		found = r.Watches.Has(q.Path, r.Watcher, typ)
	} else {
		found = r.Watches.Remove(q.Path, r.Watcher, typ)
	}
	if !found {
		return dst, proto.NoWatcher
	}
	return dst, proto.OK
}

// addWatch is answered by a record that says "no error" once more.
func (r *Reader) addWatch(dst []byte, path string, mode proto.WatchMode) ([]byte, proto.Code) {
	switch mode {
	case proto.ModePersistent:
		r.Watches.AddPersistent(path, r.Watcher)
	case proto.ModeRecursive:
		r.Watches.AddRecursive(path, r.Watcher)
	default:
		return dst, proto.MarshallingError
	}
	return jute.AppendInt(dst, int32(proto.OK)), proto.OK
}

// setWatches registers the watches that a client had on its former connection. What has changed since the zxid that
// it saw last is told at once, in front of the reply, with zxid -1 and without a look at the ACL. Nothing is told to
// persistent watches. A null vector is an error when its turn comes: what stands before it counts, as to ZooKeeper.
func (r *Reader) setWatches(dst []byte, req *proto.Request) []byte {
	d := jute.NewDecoder(req.Body)
	var q proto.SetWatchesRequest
	decode := q.Decode
	if req.Op == proto.OpSetWatches2 {
		decode = q.Decode2
	}
	code := proto.MarshallingError
	if decode(&d) == nil {
		dst, code = r.replay(dst, &q)
		if code == proto.OK && req.Op == proto.OpSetWatches2 {
			code = r.setPersistent(&q)
		}
	}
	return AppendError(dst, req.Xid, r.Tree.LastZxid(), code)
}

func (r *Reader) setPersistent(q *proto.SetWatchesRequest) proto.Code {
	for _, path := range q.Persistent {
		r.Watches.AddPersistent(path, r.Watcher)
	}
	if q.Persistent == nil || q.Recursive == nil {
		return proto.MarshallingError
	}
	for _, path := range q.Recursive {
		r.Watches.AddRecursive(path, r.Watcher)
	}
	return proto.OK
}

// replay registers the one-shot watches of setWatches, or tells what has become of their nodes.
func (r *Reader) replay(dst []byte, q *proto.SetWatchesRequest) ([]byte, proto.Code) {
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
	if q.Data == nil || q.Exist == nil {
		return dst, proto.MarshallingError
	}
	for _, path := range q.Exist {
		if _, ok := r.Tree.Find(path); ok {
			dst = AppendEvent(dst, proto.EventCreated, path, -1)
		} else {
			r.Watches.AddData(path, r.Watcher)
		}
	}
	if q.Child == nil {
		return dst, proto.MarshallingError
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
	return dst, proto.OK
}
