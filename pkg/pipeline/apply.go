package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/watch"
)

// applyStep is how many txns are applied while the tree is locked once.
const applyStep = 128

// applier is the state of the apply loop, the sole writer of the tree. It never waits for a client.
type applier struct {
	mu     sync.Mutex // guards queue and closed
	queue  []txn.Entry
	closed bool
	wake   chan struct{}
	done   chan struct{}

	taken   []txn.Entry // the loop's half of the swap
	txn     txn.Txn
	result  tree.Result
	event   []byte    // the current change's notification, encoded once for all its watchers
	touched []*Client // clients with new output
	since   time.Duration
	busy    Busy
}

// Busy tells for how long the apply loop has been at its current piece of work, for a watchdog.
type Busy struct {
	since atomic.Int64 // plus one; 0 = idle
	clock func() time.Duration
}

// For returns how long the current work has taken so far; 0 when idle.
func (b *Busy) For() time.Duration {
	since := b.since.Load()
	if since == 0 {
		return 0
	}
	return b.clock() - time.Duration(since-1)
}

// Busy returns the apply loop's stamp.
func (p *Pipeline) Busy() *Busy { return &p.apply.busy }

func (a *applier) init() {
	a.wake, a.done = make(chan struct{}, 1), make(chan struct{})
}

func (a *applier) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Deliver queues committed entries (peer.Service). What is queued is bounded by what clients may have outstanding.
func (p *Pipeline) Deliver(es []txn.Entry) {
	a := &p.apply
	a.mu.Lock()
	a.queue = append(a.queue, es...)
	a.mu.Unlock()
	a.poke()
}

// Run is the apply loop. It returns when Close was called and the queue is empty.
func (p *Pipeline) Run() {
	a := &p.apply
	defer close(a.done)
	for range a.wake {
		a.busy.since.Store(int64(p.cfg.Clock()) + 1)
		a.mu.Lock()
		a.queue, a.taken = a.taken[:0], a.queue
		closed := a.closed
		a.mu.Unlock()
		for es := a.taken; len(es) > 0; {
			n := min(len(es), applyStep)
			p.applyAll(es[:n])
			p.flushTouched()
			es = es[n:]
		}
		clear(a.taken)
		a.busy.since.Store(0)
		if closed {
			return
		}
	}
}

// Close ends the apply loop behind all that has been delivered.
func (p *Pipeline) Close() {
	p.apply.mu.Lock()
	p.apply.closed = true
	p.apply.mu.Unlock()
	p.apply.poke()
	<-p.apply.done
}

func (p *Pipeline) applyAll(es []txn.Entry) {
	p.apply.since = p.cfg.Clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range es {
		p.applyOne(es[i])
	}
}

// applyOne applies a committed txn, tells the watchers and answers whoever asked for it. The tree is locked.
func (p *Pipeline) applyOne(e txn.Entry) {
	a := &p.apply
	if err := a.txn.Decode(e.Bytes); err != nil {
		invariant.That(false, "pipeline: committed entry %v: %v", e.Zxid, err)
	}
	p.tree.Apply(&a.txn, &a.result)
	if a.txn.HasDigest && a.txn.Digest.Version == txn.DigestVersion && a.txn.Digest.Tree != p.tree.Digest() {
		p.Stats.DigestErrors.Add(1)
	}
	for i := range a.result.Changes {
		p.fire(&a.result.Changes[i])
	}
	s := p.session(a.txn.Session)
	if s == nil {
		return
	}
	s.mu.Lock()
	it, asked := s.queue.Complete(a.txn.Cxid, a.txn.Header.Type)
	if asked {
		p.answerWrite(s, it)
	}
	if a.txn.Header.Type == proto.OpCloseSession {
		p.forget(s, asked)
	}
	s.mu.Unlock()
}

// fire tells every watcher of a change that may read the node concerned.
func (p *Pipeline) fire(ch *tree.Change) {
	a := &p.apply
	a.event = a.event[:0]
	p.watches.Fire(ch.Type, ch.Path, func(w *watch.Watcher) {
		c := w.Owner.(*Client)
		if !p.cfg.SkipACL && !auth.Permit(ch.ACL, proto.PermRead, c.identity()) {
			return
		}
		if len(a.event) == 0 {
			a.event = serve.AppendEvent(a.event, ch.Type, ch.Path, a.txn.Zxid)
		}
		p.Stats.Events.Add(1)
		if c.out.notify(a.event, p.cfg.EventBytes) {
			p.touch(c)
		} else {
			p.Stats.EventOverflows.Add(1)
			c.tr.Close()
		}
	})
}

// answerWrite answers the request of the current txn, and then the reads that have waited for it. The session is locked.
func (p *Pipeline) answerWrite(s *clientSession, it serve.Item) {
	a := &p.apply
	p.settle(it)
	c := it.From.(*Client)
	switch {
	case it.Req.Op == proto.OpCreateSession && a.result.Code == proto.OK:
		c.welcome(s)
		p.touch(c)
	case !c.gone.Load():
		c.out.write(it.Req, &a.result)
		p.touch(c)
	}
	for {
		it, ok := s.queue.NextRead()
		if !ok {
			return
		}
		p.settle(it)
		if c := it.From.(*Client); !c.gone.Load() {
			c.out.read(&c.reader, it.Req)
			p.touch(c)
		}
	}
}

// settle takes one request off the accounts.
func (p *Pipeline) settle(it serve.Item) {
	p.Stats.Outstanding.Add(-1)
	it.From.(*Client).pending.Add(-1)
	p.Stats.answered(1, p.apply.since-time.Duration(it.Start))
}

// touch marks a client as having new output.
func (p *Pipeline) touch(c *Client) {
	if !c.touched {
		c.touched = true
		p.apply.touched = append(p.apply.touched, c)
	}
}

// flushTouched sends what the last step has put out, without waiting for any client.
func (p *Pipeline) flushTouched() {
	a := &p.apply
	for i, c := range a.touched {
		c.touched = false
		c.tryFlush()
		a.touched[i] = nil
	}
	a.touched = a.touched[:0]
	if p.crowded.Load() > 0 {
		p.room.Lock()
		p.roomy.Broadcast()
		p.room.Unlock()
	}
}
