package pipeline

import (
	"strings"

	"github.com/zabd/zabd/pkg/audit"
	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// nodeTypes are ZooKeeper's names of what a create's flags say.
var nodeTypes = map[int32]string{
	proto.FlagPersistent: "persistent", proto.FlagEphemeral: "ephemeral", proto.FlagSequential: "persistent_sequential",
	proto.FlagEphemeralSequential: "ephemeral_sequential", proto.FlagContainer: "container",
	proto.FlagTTL: "persistent_with_ttl", proto.FlagTTLSequential: "persistent_sequential_with_ttl",
}

// audit records what a client of ours has asked for, and what the current txn made of it.
func (p *Pipeline) audit(c *Client, req *proto.Request) {
	res := &p.apply.result
	e := audit.Event{Session: req.Session, IP: c.ip}
	if res.Code != proto.OK {
		e.Result = audit.Failure
	}
	d := jute.NewDecoder(req.Body)
	switch req.Op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		var q proto.CreateRequest
		_ = q.Decode(&d) // what cannot be decoded has failed, and says as much as it can
		e.Operation, e.Znode, e.ZnodeType = audit.Create, q.Path, nodeTypes[q.Flags]
	case proto.OpCreateTTL:
		var q proto.CreateTTLRequest
		_ = q.Decode(&d)
		e.Operation, e.Znode, e.ZnodeType = audit.Create, q.Path, nodeTypes[q.Flags]
	case proto.OpDelete, proto.OpDeleteContainer:
		e.Operation, e.Znode = audit.Delete, d.String()
	case proto.OpSetData:
		e.Operation, e.Znode = audit.SetData, d.String()
	case proto.OpSetACL:
		var q proto.SetACLRequest
		_ = q.Decode(&d)
		e.Operation, e.Znode, e.ACL = audit.SetACL, q.Path, aclText(q.ACL)
	case proto.OpReconfig:
		e.Operation = audit.Reconfig
	case proto.OpMulti:
		p.auditMulti(e, req)
		return
	default:
		return
	}
	if res.Code == proto.OK && req.Op.IsCreate() {
		e.Znode = res.Path
	}
	p.push(e, req)
}

// push completes an event and queues it, with nothing in it that a txn or a frame holds.
func (p *Pipeline) push(e audit.Event, req *proto.Request) {
	e.User, e.Znode = users(req.IDs), strings.Clone(e.Znode)
	p.cfg.Audit.Push(e)
}

// auditMulti records what a multi did, or once that it has failed.
func (p *Pipeline) auditMulti(e audit.Event, req *proto.Request) {
	a := &p.apply
	for i := range a.result.Subs {
		if a.result.Subs[i].Type == proto.OpError {
			e.Result = audit.Failure
		}
	}
	if e.Result == audit.Failure {
		e.Operation = audit.Multi
		p.push(e, req)
		return
	}
	var asked proto.MultiRequest
	d := jute.NewDecoder(req.Body)
	_ = asked.Decode(&d) // it was decoded when it was prepared
	for i := range a.txn.Subs {
		sub := &a.txn.Subs[i]
		e.Znode, e.ZnodeType = sub.Path, ""
		switch {
		case sub.Type.IsCreate():
			e.Operation = audit.Create
			if i < len(asked.Ops) {
				e.ZnodeType = nodeTypes[asked.Ops[i].Flags]
			}
		case sub.Type == proto.OpDelete, sub.Type == proto.OpDeleteContainer:
			e.Operation = audit.Delete
		case sub.Type == proto.OpSetData:
			e.Operation = audit.SetData
		default:
			continue
		}
		p.push(e, req)
	}
}

// auditEphemerals records what went with the session that the current txn has closed. Every server does so.
func (p *Pipeline) auditEphemerals() {
	for i := range p.apply.result.Changes {
		if ch := &p.apply.result.Changes[i]; ch.Type == proto.EventDeleted {
			p.cfg.Audit.Push(audit.Event{
				Session: p.apply.txn.Session, User: p.cfg.AuditUser, Operation: audit.DeleteEphemeral, Znode: strings.Clone(ch.Path),
			})
		}
	}
}

// users names those that a client has shown itself to be.
func users(ids []proto.ID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = auth.User(id)
	}
	return strings.Join(names, ",")
}

// aclText is how ZooKeeper's record tells a list.
func aclText(acl []proto.ACL) string {
	var b strings.Builder
	for _, a := range acl {
		b.WriteString(a.ID.Scheme + ":" + a.ID.ID + ":")
		for _, p := range []struct {
			bit    proto.Perm
			letter byte
		}{
			{proto.PermCreate, 'c'},
			{proto.PermDelete, 'd'},
			{proto.PermRead, 'r'},
			{proto.PermWrite, 'w'},
			{proto.PermAdmin, 'a'},
		} {
			if a.Perms&p.bit != 0 {
				b.WriteByte(p.letter)
			}
		}
	}
	return b.String()
}
