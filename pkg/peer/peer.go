// Package peer is the shell of package zab: the one loop that owns the node and the table of sessions, and the log
// writer beside it. It brings inputs to the node in batches, carries out what the node asks for, and decides nothing
// of the protocol itself.
//
//	clients -> Submit -> loop -> Prepare -> log writer -> Synced -> loop -> Deliver -> apply loop
//
// The loop never blocks on a send: its inbox and the queues that it fills are slices under a mutex, swapped whole, with
// one wake-up for as much as has queued up. They are bounded by what clients may have outstanding (package server).
package peer

import (
	"runtime"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// Log is what package peer asks of stable storage. Package datadir provides it.
type Log interface {
	// Append takes entries for the next Sync.
	Append(entries []txn.Entry) error
	// Sync makes everything appended durable.
	Sync() error
}

// Service is the server that the peer replicates for. Package pipeline provides it. No method may block for long.
type Service interface {
	// Prepare appends the entry of each request to dst, in order.
	Prepare(dst []txn.Entry, batch []txn.Slot) []txn.Entry
	// Deliver takes committed entries, to be applied in order. It keeps the entries and not the slice.
	Deliver(entries []txn.Entry)
	// Heard tells when a session's client was last heard of, and the timeout it has agreed to; false if unknown here.
	Heard(id int64) (last, timeout time.Duration, ok bool)
	// Expiring tells that a session is about to be closed: it takes no requests and no connection any more.
	Expiring(id int64)
}

// Config is what a Peer needs.
type Config struct {
	Node     *zab.Node
	Log      Log
	Service  Service
	Sessions *session.Table // with all sessions that live
	Clock    func() time.Duration
	Tick     time.Duration // between looks at the sessions
	MaxBatch int           // bytes that the log writer may append before it syncs
	Durable  func()        // called by the log writer after each sync
	Fatal    func(error)   // called once, when the log has failed; nothing is acknowledged afterwards
}

// A Peer runs one node.
type Peer struct {
	cfg      Config
	node     *zab.Node      // loop
	sessions *session.Table // loop
	log      *logWriter
	busy     Busy

	mu    sync.Mutex // guards in
	in    inbox
	wake  chan struct{}
	quit  chan struct{}
	done  sync.WaitGroup
	taken inbox // the loop's half of the swap
	eff   zab.Effects
	batch []txn.Entry
}

// inbox is what has come in since the loop last looked. Completions (synced) and clients have lanes of their own.
type inbox struct {
	requests []*proto.Request
	touches  []touch
	synced   proto.Zxid
}

type touch struct {
	id      int64
	timeout time.Duration
}

// Start begins to run a node.
func Start(cfg Config) *Peer {
	p := &Peer{
		cfg: cfg, node: cfg.Node, sessions: cfg.Sessions,
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	p.log = newLogWriter(cfg, p.onSynced)
	p.done.Add(2)
	go func() { defer p.done.Done(); p.loop() }()
	go func() { defer p.done.Done(); p.log.run() }()
	return p
}

// Close stops the loop and then the log writer, which first makes durable what has been appended.
func (p *Peer) Close() {
	close(p.quit)
	p.log.close()
	p.done.Wait()
}

// Loops returns the stamps of the peer's loops, by name.
func (p *Peer) Loops() map[string]*Busy {
	return map[string]*Busy{"peer loop": &p.busy, "log writer": &p.log.busy}
}

// Submit brings requests of one client in order. The peer keeps the requests and not the slice.
func (p *Peer) Submit(rs []*proto.Request) {
	p.mu.Lock()
	p.in.requests = append(p.in.requests, rs...)
	p.mu.Unlock()
	p.poke()
}

// Touch tells that a session has a new timeout.
func (p *Peer) Touch(id int64, timeout time.Duration) {
	p.mu.Lock()
	p.in.touches = append(p.in.touches, touch{id, timeout})
	p.mu.Unlock()
	p.poke()
}

// onSynced is one slot whose newest value wins.
func (p *Peer) onSynced(z proto.Zxid) {
	p.mu.Lock()
	p.in.synced = z
	p.mu.Unlock()
	p.poke()
}

func (p *Peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Peer) loop() {
	tick := time.NewTicker(p.cfg.Tick)
	defer tick.Stop()
	for {
		select {
		case <-p.wake:
			runtime.Gosched() // readers that have input add it to this turn
			p.busy.begin()
			p.turn()
		case <-tick.C:
			p.busy.begin()
			p.expire()
		case <-p.quit:
			return
		}
		p.busy.end()
	}
}

// turn handles all that has come in. What is committed leaves first: somebody waits for it.
func (p *Peer) turn() {
	p.mu.Lock()
	p.in, p.taken = p.taken, p.in
	p.mu.Unlock()
	in := &p.taken
	if in.synced > 0 {
		p.step(zab.Synced{Zxid: in.synced})
	}
	for _, t := range in.touches {
		if p.sessions.Has(t.id) {
			p.sessions.Touch(t.id, t.timeout, p.cfg.Clock())
		}
	}
	if len(in.requests) > 0 {
		p.step(zab.Submit{Requests: in.requests})
	}
	clear(in.requests)
	clear(in.touches)
	*in = inbox{requests: in.requests[:0], touches: in.touches[:0]}
}

// step gives the node one input and carries out the effects, until it asks for no more preparation.
func (p *Peer) step(in zab.Input) {
	for in != nil {
		p.eff.Reset()
		p.node.Step(in, &p.eff)
		in = nil
		if len(p.eff.Deliver) > 0 {
			p.trackSessions(p.eff.Deliver)
			p.cfg.Service.Deliver(p.eff.Deliver)
		}
		if len(p.eff.Append) > 0 {
			p.log.append(p.eff.Append)
		}
		if len(p.eff.Prepare) > 0 {
			clear(p.batch)
			p.batch = p.cfg.Service.Prepare(p.batch[:0], p.eff.Prepare)
			in = zab.Propose{Entries: p.batch}
		}
	}
}

// trackSessions keeps the table in step with the committed opening and closing of sessions.
func (p *Peer) trackSessions(es []txn.Entry) {
	for _, e := range es {
		switch h, _ := txn.DecodeHeader(e.Bytes); h.Type {
		case proto.OpCreateSession:
			d := jute.NewDecoder(e.Bytes[txn.HeaderSize:])
			p.sessions.Touch(h.Session, time.Duration(d.Int())*time.Millisecond, p.cfg.Clock())
		case proto.OpCloseSession:
			p.sessions.Remove(h.Session)
		}
	}
}

// expire closes the sessions that have been silent for too long.
func (p *Peer) expire() {
	ids := p.sessions.Expire(p.cfg.Clock(), p.cfg.Service.Heard)
	if len(ids) == 0 {
		return
	}
	rs := make([]*proto.Request, len(ids))
	for i, id := range ids {
		p.cfg.Service.Expiring(id)
		rs[i] = &proto.Request{Session: id, Op: proto.OpCloseSession}
	}
	p.step(zab.Submit{Requests: rs})
}
