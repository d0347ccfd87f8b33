package prep

import (
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// create prepares a create of any kind. Alone, the kind is the opcode's and only the rest is the flags'.
func (p *Prepper) create(op proto.Op, o *proto.MultiOp, b *txn.Body) proto.Code {
	if o.Flags < proto.FlagPersistent || o.Flags > proto.FlagTTLSequential {
		return proto.BadArguments
	}
	if code := p.checkTTL(op, o); code != proto.OK {
		return code
	}
	ephemeral := o.Flags == proto.FlagEphemeral || o.Flags == proto.FlagEphemeralSequential
	if code := p.checkSession(ephemeral); code != proto.OK {
		return code
	}
	if !hasParent(o.Path) {
		return proto.BadArguments
	}
	acl, code := p.fixACL(o.ACL)
	if code != proto.OK {
		return code
	}
	dir := parentOf(o.Path)
	parent, ok := p.look(p.tree, dir)
	if !ok {
		return proto.NoNode
	}
	if !p.permit(&parent, proto.PermCreate) {
		return proto.NoAuth
	}
	path := o.Path
	if o.Flags == proto.FlagSequential || o.Flags == proto.FlagEphemeralSequential || o.Flags == proto.FlagTTLSequential {
		path = sequential(path, parent.stat.Cversion)
	}
	if !proto.ValidatePath(path) {
		return proto.BadArguments
	}
	if _, exists := p.look(p.tree, path); exists || path == "/" {
		return proto.NodeExists
	}
	if parent.ephemeral {
		return proto.NoChildrenForEphemerals
	}
	if code := p.checkQuota(path, 1, int64(len(o.Data))); code != proto.OK {
		return code
	}
	p.createRecords(op, o, dir, path, acl, &parent, b)
	return proto.OK
}

func (p *Prepper) createRecords(op proto.Op, o *proto.MultiOp, dir, path string, acl []proto.ACL, parent *record, b *txn.Body) {
	b.Path, b.Data, b.ACL, b.TTL = path, o.Data, acl, o.TTL
	b.ParentCVersion = parent.stat.Cversion + 1
	child := record{exists: true, acl: acl, data: o.Data}
	child.stat = proto.StatPersisted{Czxid: p.z, Mzxid: p.z, Pzxid: p.z, Ctime: p.txn.Time, Mtime: p.txn.Time}
	switch {
	case op == proto.OpCreateContainer:
		child.stat.EphemeralOwner = proto.ContainerOwner
	case op == proto.OpCreateTTL:
		child.stat.EphemeralOwner = int64(proto.TTLMask | uint64(o.TTL))
	case o.Flags == proto.FlagEphemeral || o.Flags == proto.FlagEphemeralSequential:
		b.Ephemeral = true
		child.ephemeral, child.stat.EphemeralOwner = true, p.req.Session
	}
	parent.children++
	if b.ParentCVersion > parent.stat.Cversion { // not after 2^31 creates: then it stays as it is
		parent.stat.Cversion, parent.stat.Pzxid = b.ParentCVersion, p.z
	}
	p.change(p.z, dir, *parent)
	p.change(p.z, path, child)
}

// checkTTL refuses a time to live where there must be none, none where there must be one, and any if they are off. That
// createTTL needs flags that say so has no counterpart in ZooKeeper 3.9.5, which logs a negative time that it cannot
// apply.
func (p *Prepper) checkTTL(op proto.Op, o *proto.MultiOp) proto.Code {
	timed := o.Flags == proto.FlagTTL || o.Flags == proto.FlagTTLSequential
	switch {
	case timed && p.opt.NoExtendedTypes:
		return proto.Unimplemented
	case timed && (o.TTL <= 0 || o.TTL > proto.MaxTTL), !timed && (o.TTL >= 0 || op == proto.OpCreateTTL):
		return proto.BadArguments
	}
	return proto.OK
}

// sequential appends the number of creates that the parent has seen.
func sequential(path string, n int32) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	const width = 10
	return path + sign + strings.Repeat("0", max(width-len(sign)-len(digits), 0)) + digits
}

// hasParent tells whether there is a parent to look for in a path that may be malformed otherwise.
func hasParent(path string) bool {
	return strings.IndexByte(path, '/') >= 0 && strings.IndexByte(path, 0) < 0
}

// parentOf returns the path of the parent as the overlay knows it, "" for the root.
func parentOf(path string) string { return path[:strings.LastIndexByte(path, '/')] }

// canDelete tells whether a path can be deleted at all.
func canDelete(path string) bool {
	return !tree.IsSystem(path) && hasParent(path)
}

// fixACL returns the list to store, which no later request changes.
func (p *Prepper) fixACL(acl []proto.ACL) ([]proto.ACL, proto.Code) {
	if len(acl) == 1 && acl[0] == p.world[0] {
		return p.world, proto.OK
	}
	return p.opt.FixACL(acl, p.req.IDs)
}

func (p *Prepper) permit(r *record, need proto.Perm) bool {
	return p.opt.Permit(r.acl, need, p.req.IDs)
}

// next returns the version behind current, unless the client expected another one than that. -1 expects any.
func next(current, expected int32) (int32, bool) {
	return current + 1, expected == -1 || expected == current
}

func (p *Prepper) delete(o *proto.MultiOp, b *txn.Body) proto.Code {
	if code := p.checkSession(false); code != proto.OK {
		return code
	}
	if !canDelete(o.Path) {
		return proto.BadArguments
	}
	dir := parentOf(o.Path)
	parent, ok := p.look(p.tree, dir)
	if !ok {
		return proto.NoNode
	}
	if !p.permit(&parent, proto.PermDelete) {
		return proto.NoAuth
	}
	node, ok := p.look(p.tree, o.Path)
	if !ok {
		return proto.NoNode
	}
	if _, ok := next(node.stat.Version, o.Version); !ok {
		return proto.BadVersion
	}
	if node.children > 0 {
		return proto.NotEmpty
	}
	p.deleteRecords(o.Path, dir, node, parent, b)
	return proto.OK
}

func (p *Prepper) deleteRecords(path, dir string, node, parent record, b *txn.Body) {
	b.Path = path
	parent.children--
	parent.stat.Pzxid = max(parent.stat.Pzxid, p.z)
	p.change(p.z, dir, parent)
	p.remove(p.z, path, node)
}

// deleteContainer prepares the removal of a container or TTL node that has outlived its use. The leader asks for it
// without a session. ZooKeeper 3.9.5 lets any client remove any node this way, unless it is ephemeral or has children;
// here a client needs the right to delete, and no other node goes. The session is not checked, but that it is here.
func (p *Prepper) deleteContainer(o *proto.MultiOp, b *txn.Body) proto.Code {
	if p.req.Session != 0 && p.req.Moved {
		return proto.SessionMoved
	}
	if !canDelete(o.Path) {
		return proto.BadArguments
	}
	dir := parentOf(o.Path)
	parent, ok := p.look(p.tree, dir)
	if !ok {
		return proto.NoNode
	}
	if p.req.Session != 0 && !p.permit(&parent, proto.PermDelete) {
		return proto.NoAuth
	}
	node, ok := p.look(p.tree, o.Path)
	switch {
	case !ok:
		return proto.NoNode
	case node.children > 0:
		return proto.NotEmpty
	case node.ephemeral || node.stat.EphemeralOwner == 0:
		return proto.BadVersion
	}
	p.deleteRecords(o.Path, dir, node, parent, b)
	return proto.OK
}

// target finds the node that an operation on a single node is about, and checks the session and the right.
func (p *Prepper) target(path string, need proto.Perm) (record, proto.Code) {
	node, ok := p.look(p.tree, path)
	switch {
	case !ok:
		return node, proto.NoNode
	case !p.permit(&node, need):
		return node, proto.NoAuth
	}
	return node, proto.OK
}

// valid checks session and path, which comes before everything else.
func (p *Prepper) valid(path string) proto.Code {
	if code := p.checkSession(false); code != proto.OK {
		return code
	}
	if !proto.ValidatePath(path) {
		return proto.BadArguments
	}
	return proto.OK
}

func (p *Prepper) setData(o *proto.MultiOp, b *txn.Body) proto.Code {
	if code := p.valid(o.Path); code != proto.OK {
		return code
	}
	node, code := p.target(o.Path, proto.PermWrite)
	if code != proto.OK {
		return code
	}
	if code := p.checkQuota(o.Path, 0, int64(len(o.Data)-len(node.data))); code != proto.OK {
		return code
	}
	version, ok := next(node.stat.Version, o.Version)
	if !ok {
		return proto.BadVersion
	}
	b.Path, b.Data, b.Version = o.Path, o.Data, version
	node.data = o.Data
	node.stat.Version, node.stat.Mzxid, node.stat.Mtime = version, p.z, p.txn.Time
	p.change(p.z, o.Path, node)
	return proto.OK
}

func (p *Prepper) setACL(o *proto.MultiOp, b *txn.Body) proto.Code {
	if code := p.valid(o.Path); code != proto.OK {
		return code
	}
	acl, code := p.fixACL(o.ACL)
	if code != proto.OK {
		return code
	}
	node, code := p.target(o.Path, proto.PermAdmin)
	if code != proto.OK {
		return code
	}
	version, ok := next(node.stat.Aversion, o.Version)
	if !ok {
		return proto.BadVersion
	}
	b.Path, b.ACL, b.Version = o.Path, acl, version
	node.acl, node.stat.Aversion = acl, version
	p.change(p.z, o.Path, node)
	return proto.OK
}

func (p *Prepper) check(o *proto.MultiOp, b *txn.Body) proto.Code {
	if code := p.valid(o.Path); code != proto.OK {
		return code
	}
	node, code := p.target(o.Path, proto.PermRead)
	if code != proto.OK {
		return code
	}
	version, ok := next(node.stat.Version, o.Version)
	if !ok {
		return proto.BadVersion
	}
	b.Path, b.Version = o.Path, version
	return proto.OK
}
