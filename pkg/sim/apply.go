package sim

import (
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/watch"
	"github.com/zabd/zabd/pkg/zab"
)

// An applier is a server's apply loop: it changes the tree, tells watchers and answers writes, in the order of what was
// delivered and some time later.
type applier struct {
	queue   []txn.Delivery
	due     bool
	given   int // deliveries so far
	applied int
	awaited []proto.Zxid
	txn     txn.Txn
	result  tree.Result
}

func (a *applier) add(p *process, ds []txn.Delivery) {
	a.queue = append(a.queue, ds...)
	a.given += len(ds)
	a.poke(p)
}

func (a *applier) poke(p *process) {
	if !a.due && len(a.queue) > 0 {
		a.due = true
		d := p.w.upTo(p.w.profile.apply)
		if p.w.chance(40) {
			d *= 20
		}
		p.after(d, func() { a.run(p) })
	}
}

// run applies what is there, or the first part of it.
func (a *applier) run(p *process) {
	a.due = false
	n := len(a.queue)
	if n > 1 && p.w.chance(4) {
		n = 1 + p.w.rng.IntN(n)
	}
	for i := range a.queue[:n] {
		p.applyOne(&a.queue[i])
		if p.w.err != nil {
			return
		}
	}
	a.queue = append(a.queue[:0], a.queue[n:]...)
	a.applied += n
	a.tell(p)
	p.service.openUp()
	a.poke(p)
}

// await has the node told as soon as the tree has a zxid.
func (a *applier) await(p *process, z proto.Zxid) {
	a.awaited = append(a.awaited, z)
	a.tell(p)
}

func (a *applier) tell(p *process) {
	kept := a.awaited[:0]
	for _, z := range a.awaited {
		if p.tree.LastZxid() >= z {
			p.post(zab.Applied{Zxid: z})
			continue
		}
		kept = append(kept, z)
	}
	a.awaited = kept
}

func (p *process) applyOne(d *txn.Delivery) {
	switch {
	case d.Sync != nil:
		p.service.synced(d.Sync)
	case d.Tree != nil:
		p.tree = d.Tree.(*tree.Tree)
		p.prepper.Follow(p.tree)
		p.tree.Advance(d.Zxid)
	case d.Bytes == nil:
		p.tree.Advance(d.Zxid)
	default:
		p.applyEntry(d.Entry)
	}
}

func (p *process) applyEntry(e txn.Entry) {
	a := &p.apply
	if err := a.txn.Decode(e.Bytes); err != nil {
		p.w.fail("%v applies %v: %v", p, e.Zxid, err)
		return
	}
	p.tree.Apply(&a.txn, &a.result)
	p.w.history.applied(p)
	for i := range a.result.Changes {
		ch := &a.result.Changes[i]
		var event []byte
		p.watches.Fire(ch.Type, ch.Path, func(w *watch.Watcher) {
			if event == nil {
				event = serve.AppendEvent(nil, ch.Type, ch.Path, a.txn.Zxid)
			}
			w.Owner.(*visitor).write(event)
			p.w.Stats.Notifications++
		})
	}
	p.service.committed(&a.txn, &a.result)
}
