package prep

import (
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// An Excess is a quota that a write goes beyond: refused if the limit is hard, otherwise told. Subtree is what the quota is
// for, Namespace the first name in the path of the node that was to be written.
type Excess struct {
	Subtree, Namespace string
	Of                 string // "count" of nodes, or "bytes" of data
	Value, Limit       int64
	Hard               bool
}

// checkQuota refuses a write that adds nodes and bytes of data where a hard limit forbids that (ZooKeeperServer.checkQuota).
// What counts is the tree as it is: writes in flight are not in it, and can go beyond the limit together.
func (p *Prepper) checkQuota(path string, nodes, size int64) proto.Code {
	if !p.opt.EnforceQuota {
		return proto.OK
	}
	subtree, limitsAt, heldAt, ok, counted := p.tree.QuotaOf(path)
	if !ok {
		return proto.OK
	}
	limits, ok := tree.ParseQuota(p.tree.Data(limitsAt))
	if !ok {
		return proto.MarshallingError
	}
	ofNodes := nodes != 0 && max(limits.Count, limits.CountHard) > tree.NoLimit
	ofBytes := size != 0 && max(limits.Bytes, limits.BytesHard) > tree.NoLimit
	if !counted || !ofNodes && !ofBytes {
		return proto.OK
	}
	held, ok := tree.ParseQuota(p.tree.Data(heldAt))
	if !ok {
		return proto.MarshallingError
	}
	x := Excess{Subtree: subtree, Namespace: namespace(path), Of: "count"}
	if ofNodes {
		if code := p.exceeds(&x, held.Count+nodes, limits.Count, limits.CountHard); code != proto.OK {
			return code
		}
	}
	if ofBytes {
		x.Of = "bytes"
		return p.exceeds(&x, held.Bytes+size, limits.Bytes, limits.BytesHard)
	}
	return proto.OK
}

// exceeds compares with the hard limit, or with the soft one if there is no other.
func (p *Prepper) exceeds(x *Excess, value, soft, hard int64) proto.Code {
	x.Value, x.Limit, x.Hard = value, soft, false
	if hard > tree.NoLimit {
		x.Limit, x.Hard = hard, true
	}
	if value <= x.Limit {
		return proto.OK
	}
	if p.opt.Exceeded != nil {
		p.opt.Exceeded(*x)
	}
	if x.Hard {
		return proto.QuotaExceeded
	}
	return proto.OK
}

// namespace returns the first name of a path.
func namespace(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name
}
