package peer

import (
	"errors"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/zab"
)

// Why a tree is not replaced.
var (
	ErrBusy   = errors.New("peer: the server does not serve alone, or its tree is being replaced already")
	errClosed = errors.New("peer: the server has ended")
)

// replacement is a tree that a standalone server shall go on with, and who waits for that.
type replacement struct {
	zab.Replace
	done chan proto.Zxid // 0: it is not to be
}

// Replace has a standalone server go on with another tree, which is nobody else's from here on, and which stood at a zxid
// where it comes from. It returns the zxid that the tree has here, once it is durable and clients are served again.
func (p *Peer) Replace(tree any, at proto.Zxid) (proto.Zxid, error) {
	r := replacement{zab.Replace{Tree: tree, Zxid: at}, make(chan proto.Zxid, 1)}
	p.replacing.add(r)
	select {
	case z := <-r.done:
		if z == 0 {
			return 0, ErrBusy
		}
		return z, nil
	case <-p.ctx.Done():
		return 0, errClosed
	}
}

func (p *Peer) replace(r replacement) {
	if p.node.Role() != zab.Standalone || !p.node.Serving() || p.replaced != nil {
		r.done <- 0
		return
	}
	p.replaced = r.done
	p.step(r.Replace)
}
