package pipeline

import (
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// MayDoAll tells whether a credential is one, and whether it may do everything with the root, as an operator must.
func (p *Pipeline) MayDoAll(scheme string, credential []byte, ip string) (known, may bool) {
	ids, code := p.cfg.Auth.Authenticate(scheme, credential, ip)
	if code != proto.OK {
		return false, false
	}
	var acl []proto.ACL
	p.View(func(t *tree.Tree) {
		if root, ok := t.Find("/"); ok {
			acl = t.ACL(root)
		}
	})
	for _, perm := range []proto.Perm{proto.PermRead, proto.PermWrite, proto.PermCreate, proto.PermDelete, proto.PermAdmin} {
		if !p.cfg.Auth.Permit(acl, perm, ids) {
			return true, false
		}
	}
	return true, true
}
