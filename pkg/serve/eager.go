package serve

import (
	"strings"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// Forbids tells before a write goes to the leader what the leader will say of its list, or of the ACL that stands in its
// way here and now (ZooKeeperServer.authWriteRequest). OK forbids nothing; whatever else is wrong is the leader's to say.
func (r *Reader) Forbids(req *proto.Request) proto.Code {
	d := jute.NewDecoder(req.Body)
	switch req.Op {
	case proto.OpCreate, proto.OpCreate2:
		var q proto.CreateRequest
		if q.Decode(&d) == nil {
			return r.forbids(parent(q.Path), proto.PermCreate, &q.ACL, req.IDs)
		}
	case proto.OpDelete:
		var q proto.VersionRequest
		if q.Decode(&d) == nil {
			return r.forbids(parent(q.Path), proto.PermDelete, nil, req.IDs)
		}
	case proto.OpSetData:
		var q proto.SetDataRequest
		if q.Decode(&d) == nil {
			return r.forbids(q.Path, proto.PermWrite, nil, req.IDs)
		}
	case proto.OpSetACL:
		var q proto.SetACLRequest
		if q.Decode(&d) == nil {
			return r.forbids(q.Path, proto.PermAdmin, &q.ACL, req.IDs)
		}
	}
	return proto.OK
}

// forbids looks at the list that is to be set, if any, and at the node's at path, "" for none.
func (r *Reader) forbids(path string, need proto.Perm, list *[]proto.ACL, ids []proto.ID) proto.Code {
	if path == "" {
		return proto.OK
	}
	if list != nil {
		if _, code := r.FixACL(*list, ids); code != proto.OK {
			return code
		}
	}
	if ref, ok := r.Tree.Find(path); ok && !r.permit(ref, need, ids) {
		return proto.NoAuth
	}
	return proto.OK
}

// parent returns the path of a node's parent; "" for nodes that can be neither made nor deleted.
func parent(path string) string {
	if tree.IsSystem(path) || strings.IndexByte(path, 0) >= 0 {
		return ""
	}
	switch i := strings.LastIndexByte(path, '/'); i {
	case -1:
		return ""
	case 0:
		return "/"
	default:
		return path[:i]
	}
}
