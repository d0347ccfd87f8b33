package pipeline

import (
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// Reaping says how containers and TTL nodes go that have outlived their use (ContainerManager). The leader's server asks
// for it, without a session; what has changed by the time a request is prepared refuses it.
type Reaping struct {
	Interval  time.Duration // from one look for them to the next; 0 = never
	PerMinute int           // how many go
	NeverUsed time.Duration // until a container goes that never had a child; 0 = never
}

// pause returns the time from one removal to the next, in whole milliseconds.
func (r *Reaping) pause() time.Duration {
	return time.Duration(time.Minute.Milliseconds()/int64(max(r.PerMinute, 1))) * time.Millisecond
}

// most returns how many can go from one look to the next, so that the list of them is bounded. The others are found then.
func (r *Reaping) most() int {
	return int(max(int64(r.PerMinute)*r.Interval.Milliseconds()/time.Minute.Milliseconds(), 1))
}

// reapStep is how many nodes are looked at while the tree is locked once.
const reapStep = 1024

// reapFor looks after containers and TTL nodes until the term is over.
func (p *Pipeline) reapFor(t *term) {
	next := time.NewTicker(p.cfg.Reaping.Interval)
	defer next.Stop()
	for p.waits(t, next.C) && p.reap(t) {
	}
}

// reap asks for the removal of all that have outlived their use; false if the term is over.
func (p *Pipeline) reap(t *term) bool {
	pause := p.cfg.Reaping.pause()
	for _, path := range p.outlived() {
		req := &proto.Request{Op: proto.OpDeleteContainer, Body: (&proto.PathRequest{Path: path}).AppendTo(nil)}
		p.submit(t, []*proto.Request{req})
		if pause > 0 && !p.waits(t, time.After(pause)) {
			return false
		}
	}
	return !t.isOver()
}

// outlived returns the paths of nodes that can go, as the tree is now.
func (p *Pipeline) outlived() (paths []string) {
	now, neverUsed := p.cfg.WallMillis(), p.cfg.Reaping.NeverUsed.Milliseconds()
	end, most := 0, p.cfg.Reaping.most()
	p.View(func(t *tree.Tree) { end = t.TransientCount() })
	for end > 0 && len(paths) < most {
		p.View(func(t *tree.Tree) { paths, end = t.Outlived(paths, end, reapStep, now, neverUsed) })
	}
	return paths[:min(len(paths), most)]
}

// waits waits for a tick; false if the term or the server ends first.
func (p *Pipeline) waits(t *term, tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-t.over:
		return false
	case <-p.stop:
		return false
	}
}
