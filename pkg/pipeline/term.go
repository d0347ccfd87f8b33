package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
)

// A term is one stretch of time in which clients are served, from Serve to Unserve. A client belongs to the term that it
// came in and ends with it, so that nothing it has asked for reaches the replicator later.
type term struct {
	leads   bool          // this server leads
	over    chan struct{} // closed at its end
	lease   atomic.Int64  // a serve.Lease
	waiting atomic.Bool   // somebody waits for extended

	mu       sync.Mutex
	extended chan struct{} // closed by the next extension; nil while nobody waits
}

func newTerm() *term { return &term{over: make(chan struct{})} }

func (t *term) isOver() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// extend sets the lease and wakes those who have waited for a longer one.
func (t *term) extend(l serve.Lease) {
	t.lease.Store(int64(l))
	if !t.waiting.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting.Swap(false) {
		close(t.extended)
		t.extended = nil
	}
}

// mayRead tells whether what has been read may leave now.
func (t *term) mayRead(clock func() time.Duration) bool {
	l := serve.Lease(t.lease.Load())
	return l == serve.Always || l.Holds(clock())
}

// await waits until what has been read may leave; false when it never may, because term or server end first.
func (t *term) await(clock func() time.Duration, stop <-chan struct{}) bool {
	for {
		t.mu.Lock()
		if t.extended == nil {
			t.extended = make(chan struct{})
		}
		extended := t.extended
		t.waiting.Store(true)
		t.mu.Unlock()
		if t.mayRead(clock) { // an extension from here on finds us waiting
			return true
		}
		select {
		case <-extended:
		case <-t.over:
			return false
		case <-stop:
			return false
		}
	}
}

// end lets nothing leave, and nobody in, any more.
func (t *term) end() {
	t.extend(0)
	close(t.over)
}

// Serve lets clients in, behind all that has been delivered (peer.Service).
func (p *Pipeline) Serve() {
	if p.newest != nil {
		return
	}
	t := newTerm()
	t.leads = p.leads
	p.newest = t
	p.order(func() { p.begin(t) })
}

// Extend says until when reads may be answered, by Config.Clock (peer.Service). It concerns the term that the last Serve
// has begun.
func (p *Pipeline) Extend(until time.Duration) {
	if p.newest != nil {
		p.newest.extend(serve.Lease(until))
	}
}

// Unserve lets clients in no more (peer.Service). When it returns nothing passes to the replicator and no read is
// answered; the connections are closed, and what they have asked for is dropped, behind all that has been delivered.
func (p *Pipeline) Unserve() {
	t := p.newest
	if t == nil {
		return
	}
	p.newest, p.leads = nil, false
	p.smu.Lock()
	t.end()
	if p.term == t {
		p.term, p.begun = nil, make(chan struct{})
	}
	p.smu.Unlock()
	p.vmu.Lock()
	p.validations.Reset()
	p.vmu.Unlock()
	p.order(p.dismiss)
}

// begin opens a term, unless it has been ended since.
func (p *Pipeline) begin(t *term) {
	p.smu.Lock()
	defer p.smu.Unlock()
	if t.isOver() {
		return
	}
	p.term = t
	close(p.begun)
	if t.leads && p.cfg.Reaping.Interval > 0 {
		go p.reapFor(t)
	}
}

// dismiss ends all sessions' stay here. The sockets are closed aside: the apply loop has to go on.
func (p *Pipeline) dismiss() {
	p.smu.Lock()
	sessions := p.sessions
	p.sessions = make(map[int64]*clientSession)
	p.smu.Unlock()
	var clients []*Client
	for _, s := range sessions {
		s.mu.Lock()
		s.End()
		p.drop(s)
		if c, ok := s.Conn().(*Client); ok {
			s.Detach(c)
			clients = append(clients, c)
		}
		s.mu.Unlock()
		s.ended.Store(true)
	}
	p.makeRoom()
	go func() {
		for _, c := range clients {
			c.tr.Close()
		}
	}()
}

// current returns the term that has begun; nil if there is none, and then what is closed when one begins.
func (p *Pipeline) current() (*term, <-chan struct{}) {
	p.smu.RLock()
	defer p.smu.RUnlock()
	return p.term, p.begun
}

// Admit lets a connection in. While clients are not served it waits for that; false when it has waited in vain, and the
// connection is to be closed.
func (p *Pipeline) Admit(c *Client) bool {
	t, begun := p.current()
	if t == nil {
		limit := time.NewTimer(p.cfg.ServeWait)
		defer limit.Stop()
		for t == nil {
			select {
			case <-begun:
			case <-limit.C:
				return false
			case <-p.stop:
				return false
			}
			t, begun = p.current()
		}
	}
	if t.leads && p.cfg.OnlyFollowersServe {
		return false
	}
	c.term, c.now = t, p.cfg.Clock()
	return true
}

// submit hands requests to the replicator; they end with the term.
func (p *Pipeline) submit(t *term, rs []*proto.Request) {
	if p.pass(t, rs) {
		p.repl.Drive()
	}
}

// pass gives requests to the replicator, unless the term is over. Drive follows, without any lock.
func (p *Pipeline) pass(t *term, rs []*proto.Request) bool {
	p.smu.RLock()
	defer p.smu.RUnlock()
	if p.term != t || len(rs) == 0 {
		return false
	}
	p.repl.Submit(rs)
	return true
}
