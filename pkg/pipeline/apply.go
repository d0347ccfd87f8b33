package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/turn"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/watch"
)

// stepSize is how many deliveries are taken while the tree is locked once.
const stepSize = 128

// applier is the state of the apply loop, whose turns are the sole writers of the tree. It never waits for a client.
type applier struct {
	mu     sync.Mutex // guards queue, orders, closed and since when the queue is not empty
	queue  []txn.Delivery
	queued time.Duration
	orders []order
	closed bool
	loop   *turn.Loop
	done   chan struct{}

	taken   []txn.Delivery // the turn's half of the swap
	came    time.Duration  // when the first of them was delivered
	step    stepCounts
	wall    wallClock
	spaces  namespaces // of writes
	awaited proto.Zxid // the replicator wants to know when the tree has it; 0 = nothing
	txn     txn.Txn
	result  tree.Result
	event   []byte    // the current change's notification, encoded once for all its watchers
	touched []*Client // clients with new answers
	fan     fan
	since   time.Duration
	busy    Busy
}

// An order is something that the apply loop is to do behind the first deliveries of the queue.
type order struct {
	behind int
	do     func()
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

func (a *applier) init(work func()) {
	a.loop, a.done = turn.New(work), make(chan struct{})
}

// Deliver queues what happens to the tree; Apply must follow (peer.Service). What is queued is bounded by what clients
// may have outstanding.
func (p *Pipeline) Deliver(ds []txn.Delivery) {
	a := &p.apply
	a.mu.Lock()
	if len(a.queue) == 0 {
		a.queued = p.cfg.Clock()
	}
	a.queue = append(a.queue, ds...)
	a.mu.Unlock()
	p.Stats.Delivered.Add(int64(len(ds)))
}

// atOnce is how many deliveries are little: so many are applied by whoever has them delivered.
const atOnce = 16

// Apply sees to it that what was delivered is applied: on the caller's goroutine if it is little (peer.Service).
func (p *Pipeline) Apply() {
	a := &p.apply
	a.mu.Lock()
	n := len(a.queue)
	a.mu.Unlock()
	switch {
	case n > atOnce:
		a.loop.Wake()
	case n > 0:
		a.loop.Drive()
	}
}

// order queues something else for the apply loop to do.
func (p *Pipeline) order(do func()) {
	a := &p.apply
	a.mu.Lock()
	a.orders = append(a.orders, order{len(a.queue), do})
	a.mu.Unlock()
	a.loop.Wake()
}

// NotifyApplied asks for one call of the replicator's Applied, as soon as all that was delivered is applied and the tree
// has z (peer.Service).
func (p *Pipeline) NotifyApplied(z proto.Zxid) {
	p.order(func() {
		p.apply.awaited = z
		p.report()
	})
}

// report tells the replicator that the tree has what is awaited.
func (p *Pipeline) report() {
	if z := p.apply.awaited; z != 0 && p.tree.LastZxid() >= z {
		p.apply.awaited = 0
		p.repl.Applied(z)
	}
}

// Run is the apply loop, as far as nobody else takes its turns. It returns when Close was called and the queue is empty.
func (p *Pipeline) Run() {
	a := &p.apply
	defer close(a.done)
	for range a.loop.C {
		a.loop.Take()
		a.mu.Lock()
		over := a.closed && len(a.queue)+len(a.orders) == 0
		a.mu.Unlock()
		if over {
			return
		}
	}
}

// applyTurn does all that has come.
func (p *Pipeline) applyTurn() {
	a := &p.apply
	now := p.cfg.Clock()
	a.busy.since.Store(int64(now) + 1)
	a.mu.Lock()
	a.queue, a.taken, a.came = a.taken[:0], a.queue, a.queued
	orders := a.orders
	a.orders = nil
	a.mu.Unlock()
	p.Stats.DeliverBatch.Observe(int64(len(a.taken)))
	done := 0
	for _, o := range orders {
		p.applyAll(a.taken[done:o.behind], now)
		done = o.behind
		o.do()
		now = p.cfg.Clock()
	}
	p.applyAll(a.taken[done:], now)
	clear(a.taken)
	a.busy.since.Store(0)
}

// Close ends the apply loop behind all that has been delivered.
func (p *Pipeline) Close() {
	p.apply.mu.Lock()
	p.apply.closed = true
	p.apply.mu.Unlock()
	p.apply.loop.Wake()
	<-p.apply.done
}

// applyAll applies deliveries, beginning now.
func (p *Pipeline) applyAll(ds []txn.Delivery, now time.Duration) {
	for len(ds) > 0 {
		n := min(len(ds), stepSize)
		p.applyStep(ds[:n], now)
		p.flushTouched()
		p.report()
		if ds = ds[n:]; len(ds) > 0 {
			now = p.cfg.Clock()
		}
	}
}

func (p *Pipeline) applyStep(ds []txn.Delivery, now time.Duration) {
	p.beginStep(now)
	defer p.endStep()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range ds {
		switch d := &ds[i]; {
		case d.Bytes != nil:
			p.applyOne(d.Entry)
		case d.Tree != nil:
			p.swap(d.Tree.(*tree.Tree))
		case d.Sync != nil:
			p.answerSync(d.Sync)
		default:
			p.tree.Advance(d.Zxid)
		}
	}
}

// Furnish has the tree furnished anew, behind all that was delivered.
func (p *Pipeline) Furnish() {
	p.order(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cfg.Furnish(p.tree)
	})
}

// swap goes on with another tree. Nobody is served meanwhile, so that no watch is for what the old one had. Walks go on
// with the tree that they began with.
func (p *Pipeline) swap(t *tree.Tree) {
	p.tree = t
	p.cfg.Furnish(t)
	p.prepper.Follow(t)
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
	p.countTxn()
	if p.cfg.Audit != nil && a.txn.Header.Type == proto.OpCloseSession {
		p.auditEphemerals()
	}
	for i := range a.result.Changes {
		p.fire(&a.result.Changes[i])
	}
	s := p.session(a.txn.Session)
	if s == nil {
		p.Stats.ServerCommitWait.Observe(a.step.waited)
		return
	}
	s.mu.Lock()
	queued := s.Len()
	it, verdict := s.Commit(a.txn.Cxid, a.txn.Header.Type, a.result.Code)
	if verdict == serve.Foreign {
		p.Stats.ServerCommitWait.Observe(a.step.waited)
	} else {
		p.Stats.LocalCommitWait.Observe(a.step.waited)
		p.Stats.SessionQueue.Observe(int64(queued))
		p.answerWrite(s, it, verdict)
	}
	if a.txn.Header.Type == proto.OpCloseSession {
		p.forget(s, verdict != serve.Foreign)
	}
	s.mu.Unlock()
}

// fire tells every watcher of a change that may read the node concerned.
func (p *Pipeline) fire(ch *tree.Change) {
	a := &p.apply
	a.event = a.event[:0]
	told := int64(0)
	p.watches.Fire(ch.Type, ch.Path, func(w *watch.Watcher) {
		c := w.Owner.(*Client)
		if !p.cfg.Auth.Permit(ch.ACL, proto.PermRead, c.identity()) {
			return
		}
		if len(a.event) == 0 {
			a.event = serve.AppendEvent(a.event, ch.Type, ch.Path, a.txn.Zxid)
		}
		told++
		if c.out.notify(a.event, p.cfg.EventBytes) {
			a.fan.add(c)
		} else {
			p.Stats.EventOverflows.Add(1)
			c.tr.Close()
		}
	})
	if told > 0 {
		p.countEvents(ch.Type, told)
	}
}

// answerWrite answers the request of the current txn, and then the reads that have waited for it. The session is locked.
func (p *Pipeline) answerWrite(s *clientSession, it serve.Item, v serve.Verdict) {
	p.settle(it, &p.Stats.UpdateLatency)
	if p.cfg.Audit != nil {
		p.audit(it.From.(*Client), it.Req)
	}
	p.Stats.WriteWait.Observe((p.apply.since - time.Duration(it.Start)).Milliseconds())
	switch c := it.From.(*Client); {
	case v == serve.Welcome:
		c.welcome(s)
		c.answer <- true
		p.touch(c)
	case c.gone.Load():
		p.Stats.StaleReply.Add(1)
	case v == serve.Moved:
		c.gone.Store(true)
		c.out.finish()
		p.touch(c)
	default:
		c.out.write(it.Req, &p.apply.result)
		p.touch(c)
	}
	p.answerReads(s)
}

// answerSync answers a sync, and then the reads that have waited for it.
func (p *Pipeline) answerSync(r *proto.Request) {
	s := p.session(r.Session)
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.Synced(r)
	if !ok {
		return // its term is over
	}
	p.settle(it, &p.Stats.ReadLatency)
	if c := it.From.(*Client); !c.gone.Load() {
		c.out.sync(r, p.tree.LastZxid())
		p.touch(c)
	} else {
		p.Stats.StaleReply.Add(1)
	}
	p.answerReads(s)
}

// answerReads answers the reads that have nothing more to wait for. The session is locked.
func (p *Pipeline) answerReads(s *clientSession) {
	n := int64(0)
	for it, ok := s.NextRead(); ok; it, ok = s.NextRead() {
		n++
		p.settle(it, &p.Stats.ReadLatency)
		p.Stats.ReadWait.Observe((p.apply.since - time.Duration(it.Start)).Milliseconds())
		if c := it.From.(*Client); !c.gone.Load() {
			c.answerRead(it.Req)
			c.spaces.tell()
			p.touch(c)
		} else {
			p.Stats.StaleReply.Add(1)
		}
	}
	p.countReads(n, s.Len() == 0)
}

// settle takes one request off the accounts: it is answered.
func (p *Pipeline) settle(it serve.Item, latency *metrics.Summary) {
	p.unaccount(it)
	took := p.apply.since - time.Duration(it.Start)
	p.Stats.answered(latency, 1, took)
	c := it.From.(*Client)
	c.out.mu.Lock()
	c.out.tally.took(1, took, p.apply.since)
	c.out.mu.Unlock()
}

// drop takes all requests of a session off the accounts, which nobody will answer. The session is locked.
func (p *Pipeline) drop(s *clientSession) {
	for it, ok := s.Pop(); ok; it, ok = s.Pop() {
		p.unaccount(it)
	}
}

func (p *Pipeline) unaccount(it serve.Item) {
	p.Stats.Outstanding.Add(-1)
	it.From.(*Client).pending.Add(-1)
}

// touch marks a client as having a new answer.
func (p *Pipeline) touch(c *Client) {
	if !c.touched {
		c.touched = true
		p.apply.touched = append(p.apply.touched, c)
	}
}

// flushTouched sends what the last step has put out, answers first, without waiting for any client.
func (p *Pipeline) flushTouched() {
	a := &p.apply
	for i, c := range a.touched {
		c.touched = false
		c.tryFlush()
		a.touched[i] = nil
	}
	a.touched = a.touched[:0]
	a.fan.flush()
	p.makeRoom()
}

// makeRoom wakes the clients that wait until fewer requests are outstanding.
func (p *Pipeline) makeRoom() {
	if p.crowded.Load() > 0 {
		p.room.Lock()
		p.roomy.Broadcast()
		p.room.Unlock()
	}
}
