package datadir

import (
	"fmt"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
)

// A joint is where the entries of one file end and those of the next go on. Within an epoch nothing can be missing there,
// for its zxids have no gaps. What an old epoch has lost at its end leaves none: it can only be told from the digest of
// the next txn that has one. (It tells nothing of sessions that had nothing yet.)
type joint struct {
	path   string
	at     int64  // where the entries of the file before end
	reason string // what is wrong there; empty if nothing is
	torn   bool   // a crash can explain that
}

func (j *joint) String() string {
	if j.reason == "" {
		return fmt.Sprintf("%s ends at offset %d", j.path, j.at)
	}
	return fmt.Sprintf("%s ends at offset %d: %s", j.path, j.at, j.reason)
}

func (j *joint) damage(reason string) error {
	return &DamageError{j.path, &txnlog.CorruptError{Path: j.path, Offset: j.at, Reason: reason}}
}

// cross looks at the first entry that is applied behind a joint.
func (p *replay) cross(z proto.Zxid) error {
	j := p.joint
	p.joint = nil
	switch {
	case j == nil || z.Epoch() == p.last.Epoch():
		return nil
	case !j.torn:
		return j.damage(j.reason)
	case p.agreed:
		p.doubt = j
	}
	return nil
}

// settleDoubt compares the tree with the digest of the txn that was just applied.
func (p *replay) settleDoubt() error {
	t := &p.txn
	if !p.d.o.Digest || !t.HasDigest || t.Digest.Version != txn.DigestVersion {
		return nil
	}
	j := p.doubt
	p.doubt = nil
	p.agreed = p.rec.Tree.Digest() == t.Digest.Tree
	if j != nil && !p.agreed {
		return j.damage(fmt.Sprintf("entries are missing there: behind %v the tree is not what its txn says", t.Zxid))
	}
	return nil
}
