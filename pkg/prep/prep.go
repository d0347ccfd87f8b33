// Package prep is the leader's work on a write: it checks the request against the tree as it will be once everything
// in flight has been applied, and makes it a txn without conditions, or an error txn that says why not.
//
// Which check comes first is what clients see; the order is that of PrepRequestProcessor in ZooKeeper 3.9.5.
package prep

import (
	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// Options are the settings of a server that concern writes.
type Options struct {
	auth.Rules
	Digest          bool // txns carry the digest of the tree behind them
	NoExtendedTypes bool // nodes cannot have a time to live
	MaxEntry        int  // bytes of an entry that every server's log can be read back with; 0 = any
	NoPaths         bool // the end of a session does not list its ephemerals
	EnforceQuota    bool // hard limits refuse writes; soft ones, too, are told to Exceeded
	Exceeded        func(Excess)
	Reconfig        Reconfig
	Ensemble        bool // a session that nobody knows has expired; a server alone says that it is unknown
}

// A Prepper turns requests into entries. It has one owner, who holds the tree's read lock during Prepare.
type Prepper struct {
	tree *tree.Tree
	opt  Options
	overlay

	world []proto.ACL // what nearly every node has, shared by all in flight

	txn  txn.Txn // scratch, as are the next two
	ops  proto.MultiRequest
	acls []proto.ACL
	req  *proto.Request
	z    proto.Zxid

	ensemble *txn.Reconfig // of the request in hand, if it may change that
}

// New returns a prepper with nothing in flight.
func New(t *tree.Tree, o Options) *Prepper {
	return &Prepper{tree: t, opt: o, overlay: newOverlay(o.Digest), world: proto.WorldAll()}
}

// Follow makes t the tree that requests are checked against, in the place of another. The tree's lock is held for
// writing, and Reset comes before the next Prepare.
func (p *Prepper) Follow(t *tree.Tree) { p.tree = t }

// Prepare makes the entry with zxid z of a request, at the leader's time in milliseconds. The entry keeps nothing of
// the request, but what is in flight may: the request must not change.
func (p *Prepper) Prepare(r *proto.Request, z proto.Zxid, now int64) txn.Entry {
	p.settle(p.tree)
	p.req, p.z = r, z
	x := &p.txn
	x.Header = txn.Header{Session: r.Session, Cxid: r.Xid, Zxid: z, Time: now, Type: r.Op}
	x.Body = txn.Body{ACL: nil, Paths: x.Body.Paths[:0], Subs: x.Body.Subs[:0]}
	before := p.mark()
	code := p.prepare(&x.Body)
	if code == proto.OK {
		// A digest where a list could stand would be read as one.
		listless := r.Op == proto.OpCloseSession && p.opt.NoPaths
		x.HasDigest, x.Digest = p.opt.Digest && !listless, txn.Digest{Version: txn.DigestVersion, Tree: p.digest}
		e := x.Entry()
		if p.opt.MaxEntry == 0 || len(e.Bytes) <= p.opt.MaxEntry {
			return e
		}
		p.rollBack(before) // a list of ids behind "auth" can make much of a small request
		code = proto.MarshallingError
	}
	x.Header.Type, x.HasDigest = proto.OpError, false
	x.Body = txn.Body{Err: code, Subs: x.Body.Subs[:0]}
	return x.Entry()
}

func (p *Prepper) prepare(b *txn.Body) proto.Code {
	d := jute.NewDecoder(p.req.Body)
	switch op := p.req.Op; op {
	case proto.OpCreateSession:
		timeout := d.Int()
		if d.Err() != nil {
			return proto.MarshallingError
		}
		return p.createSession(timeout, b)
	case proto.OpCloseSession:
		return p.closeSession(b)
	case proto.OpMulti:
		return p.multi(&d, b)
	case proto.OpReconfig:
		var r proto.ReconfigRequest
		if r.Decode(&d) != nil {
			return proto.MarshallingError
		}
		return p.reconfig(&r, b)
	default:
		o := proto.MultiOp{Type: op}
		if code := p.decode(&d, &o); code != proto.OK {
			return code
		}
		return p.one(op, &o, b)
	}
}

// decode reads the record of a single write. A check alone is none: no server could read it back from its log.
// A null path is no record where ZooKeeper looks for a parent in it; elsewhere it is a path that names nothing.
func (p *Prepper) decode(d *jute.Decoder, o *proto.MultiOp) proto.Code {
	switch o.Type {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		o.Path, o.Data, o.ACL, o.Flags, o.TTL = d.String(), d.Buffer(), p.decodeACLs(d), d.Int(), -1
		if o.Type == proto.OpCreateTTL {
			o.TTL = d.Long()
		}
	case proto.OpDelete:
		o.Path, o.Version = d.String(), d.Int()
	case proto.OpDeleteContainer:
		o.Path = d.String()
	case proto.OpSetData:
		o.Path, _ = d.OptString()
		o.Data, o.Version = d.Buffer(), d.Int()
	case proto.OpSetACL:
		o.Path, _ = d.OptString()
		o.ACL, o.Version = p.decodeACLs(d), d.Int()
	default:
		return proto.Unimplemented
	}
	if d.Err() != nil {
		return proto.MarshallingError
	}
	return proto.OK
}

func (p *Prepper) decodeACLs(d *jute.Decoder) []proto.ACL {
	acl := proto.DecodeACLs(d, p.acls)
	if acl != nil {
		p.acls = acl
	}
	return acl
}

// one prepares an operation of type op, alone or in a multi.
func (p *Prepper) one(op proto.Op, o *proto.MultiOp, b *txn.Body) proto.Code {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return p.create(op, o, b)
	case proto.OpDelete:
		return p.delete(o, b)
	case proto.OpDeleteContainer:
		return p.deleteContainer(o, b)
	case proto.OpSetData:
		return p.setData(o, b)
	case proto.OpSetACL:
		return p.setACL(o, b)
	case proto.OpCheck:
		return p.check(o, b)
	}
	return proto.Unimplemented
}

// multi prepares all operations, each upon what those before it will have done. One that fails takes back the others,
// and stays in the txn as an error, with everything behind it.
func (p *Prepper) multi(d *jute.Decoder, b *txn.Body) proto.Code {
	m := &p.ops
	if m.Decode(d) != nil {
		return proto.MarshallingError
	}
	for i := range m.Ops {
		if !multiType(&m.Ops[i]) {
			return proto.MarshallingError
		}
	}
	mark := p.mark()
	failed := false
	for i := range m.Ops {
		o := &m.Ops[i]
		sub := txn.Body{Type: logged(o.Type)}
		code := proto.RuntimeInconsistency
		if !failed {
			code = p.one(o.Type, o, &sub)
		}
		if code == proto.MarshallingError { // the limits or stats of a quota are no such thing
			p.rollBack(mark)
			b.Subs = b.Subs[:0]
			return code
		}
		if code != proto.OK {
			sub = txn.Body{Type: proto.OpError, Err: code}
			if !failed {
				p.rollBack(mark)
			}
			failed = true
		}
		b.Subs = append(b.Subs, sub)
	}
	return proto.OK
}

// logged returns the type under which an operation of a multi is logged: ZooKeeper 3.8.0 does not apply what stands
// in a multi from a create2 on.
func logged(op proto.Op) proto.Op {
	if op == proto.OpCreate2 {
		return proto.OpCreate
	}
	return op
}

// multiType sets the operation's type from its flags, as ZooKeeper does in a multi; false where they make the whole
// multi undecodable.
func multiType(o *proto.MultiOp) bool {
	switch o.Type {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		o.TTL = -1
		switch {
		case o.Flags < 0 || o.Flags >= proto.FlagTTL:
			return false
		case o.Flags == proto.FlagContainer:
			o.Type = proto.OpCreateContainer
		}
	case proto.OpCreateTTL:
		switch {
		case o.Flags == proto.FlagContainer:
			o.Type, o.TTL = proto.OpCreateContainer, -1
		case o.Flags >= 0 && o.Flags < proto.FlagContainer:
			o.Type, o.TTL = proto.OpCreate, -1
		}
	case proto.OpGetData, proto.OpGetChildren:
		return false
	}
	return true
}

func (p *Prepper) createSession(timeout int32, b *txn.Body) proto.Code {
	b.Timeout = timeout
	p.sessionBegins(p.z, p.req.Session)
	return proto.OK
}

// closeSession lists what the session will own when everything in flight is applied. The parents keep counting the
// children that go: to delete one of them is refused until the close is applied.
func (p *Prepper) closeSession(b *txn.Body) proto.Code {
	id := p.req.Session
	b.HasPaths, b.Paths = !p.opt.NoPaths, append(b.Paths[:0], p.ephemeralsOf(p.tree, id)...)
	for _, path := range b.Paths {
		dir := parentOf(path)
		if parent, ok := p.look(p.tree, dir); ok {
			parent.stat.Pzxid = max(parent.stat.Pzxid, p.z)
			p.change(p.z, dir, parent)
		}
		if node, ok := p.look(p.tree, path); ok {
			p.remove(p.z, path, node)
		}
	}
	p.sessionEnds(p.z, id)
	if p.opt.NoPaths {
		b.Paths = b.Paths[:0]
	}
	b.Paths = p.fitting(b.Paths)
	return proto.OK
}

// fitting returns a list of ephemerals, and an empty one in the place of what no entry can hold. Whoever applies it removes
// what is not listed all the same: it belongs to the session.
func (p *Prepper) fitting(paths []string) []string {
	const around = 128
	size := around
	for _, path := range paths {
		size += 4 + len(path)
	}
	if p.opt.MaxEntry > 0 && size > p.opt.MaxEntry {
		return paths[:0]
	}
	return paths
}

// checkSession refuses requests of a session that does not live, that is being closed, or that is another server's.
func (p *Prepper) checkSession(ephemeral bool) proto.Code {
	switch p.sessionState(p.tree, p.req.Session) {
	case sessionClosing:
		return proto.SessionExpired
	case sessionUnknown:
		if ephemeral || p.opt.Ensemble {
			return proto.SessionExpired
		}
		return proto.UnknownSession
	}
	if p.req.Moved {
		return proto.SessionMoved
	}
	return proto.OK
}
