package prep

import (
	"errors"
	"slices"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// Reconfig are the settings that concern changes of the members.
type Reconfig struct {
	Enabled         bool
	Standalone      bool // a voter alone would serve without an ensemble: there are to be two at least
	SeveralNetworks bool // a member may have several addresses
}

// PrepareSlot is Prepare of a request that may be about the ensemble: then its slot tells of that.
func (p *Prepper) PrepareSlot(s txn.Slot, now int64) txn.Entry {
	p.ensemble = s.Reconfig
	e := p.Prepare(s.Request, s.Zxid, now)
	if p.ensemble != nil && p.txn.Header.Type == proto.OpReconfig {
		p.ensemble.Pending = true
	}
	p.ensemble = nil
	return e
}

// reconfig prepares a change of the members, whose version is the txn's zxid. Whether the client may is asked last.
func (p *Prepper) reconfig(r *proto.ReconfigRequest, b *txn.Body) proto.Code {
	if !p.opt.Reconfig.Enabled {
		return proto.ReconfigDisabled
	}
	if code := p.checkSession(false); code != proto.OK {
		return code
	}
	e := p.ensemble
	switch {
	case e == nil:
		return proto.Unimplemented
	case e.Pending:
		return proto.ReconfigInProgress
	case r.ConfigID != -1 && r.ConfigID != e.Active.Version:
		return proto.BadVersion
	}
	next, code := p.newMembers(e.Active, r)
	if code != proto.OK {
		return code
	}
	if !next.Holds(func(id ensemble.ID) bool { return slices.Contains(e.InSync, id) }) {
		return proto.NewConfigNoQuorum
	}
	node, code := p.target(tree.ConfigPath, proto.PermWrite)
	if code != proto.OK {
		return code
	}
	b.Path, b.Data, b.Version = tree.ConfigPath, []byte(next.WithVersion(int64(p.z)).Text()), -1
	node.data = b.Data
	node.stat.Version, node.stat.Mzxid, node.stat.Mtime = b.Version, p.z, p.txn.Time
	p.change(p.z, tree.ConfigPath, node)
	return proto.OK
}

// newMembers returns what a request makes of the members.
func (p *Prepper) newMembers(active *ensemble.Config, r *proto.ReconfigRequest) (*ensemble.Config, proto.Code) {
	var next *ensemble.Config
	var err error
	if !r.NewMembers.Null {
		next, err = ensemble.ParseMembers(r.NewMembers.Text)
	} else {
		next, err = active.Change(r.Joining.Text, r.Leaving.Text)
	}
	least := 1
	if p.opt.Reconfig.Standalone {
		least = 2
	}
	switch {
	case errors.Is(err, ensemble.ErrNoNumber):
		return nil, proto.MarshallingError
	case err != nil, len(next.Voters()) < least, slices.ContainsFunc(next.Members, p.cannotStart):
		return nil, proto.BadArguments
	}
	return next, proto.OK
}

// cannotStart tells whether a server of ours with that line would refuse to start. ZooKeeper takes some of them.
func (p *Prepper) cannotStart(m ensemble.Member) bool {
	mostID := ensemble.ID(255)
	if !p.opt.NoExtendedTypes {
		mostID--
	}
	samePort := func(a ensemble.Addr) bool { return slices.Contains(m.Election, a) }
	return m.ID < 1 || m.ID > mostID || len(m.Quorum) > 1 && !p.opt.Reconfig.SeveralNetworks || slices.ContainsFunc(m.Quorum, samePort)
}
