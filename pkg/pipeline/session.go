package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/session"
)

// clientSession is a session whose client is, or was last, connected to this server.
type clientSession struct {
	id      int64
	timeout atomic.Int64 // nanoseconds; as agreed with the newest connection
	heard   atomic.Int64 // when the client was last heard of, by Config.Clock

	mu      sync.Mutex // guards what follows
	queue   serve.Queue
	client  *Client // the connection; nil when there is none
	closing bool    // takes no requests and no connection any more
}

// session returns the session with that id if a client has been here with it.
func (p *Pipeline) session(id int64) *clientSession {
	p.smu.RLock()
	defer p.smu.RUnlock()
	return p.sessions[id]
}

// adopt returns the session with that id, making it known here.
func (p *Pipeline) adopt(id int64, timeout time.Duration) *clientSession {
	p.smu.Lock()
	defer p.smu.Unlock()
	s := p.sessions[id]
	if s == nil {
		s = &clientSession{id: id}
		p.sessions[id] = s
	}
	s.timeout.Store(int64(timeout))
	s.heard.Store(int64(p.cfg.Clock()))
	return s
}

// forget ends a session whose closing was applied. The session is locked. A client that asked for it gets its answer
// first; another one has been silent, and may not even be reading.
func (p *Pipeline) forget(s *clientSession, asked bool) {
	s.closing = true
	p.smu.Lock()
	delete(p.sessions, s.id)
	p.smu.Unlock()
	for it, ok := s.queue.Pop(); ok; it, ok = s.queue.Pop() {
		p.settle(it)
	}
	switch c := s.client; {
	case c == nil:
	case asked:
		c.out.finish()
		p.touch(c)
	default:
		c.tr.Close()
	}
	s.client = nil
}

// Heard tells when a session's client was last heard of, and its timeout (peer.Service).
func (p *Pipeline) Heard(id int64) (last, timeout time.Duration, ok bool) {
	s := p.session(id)
	if s == nil {
		return 0, 0, false
	}
	return time.Duration(s.heard.Load()), time.Duration(s.timeout.Load()), true
}

// Expiring lets a session take no requests and no connection any more (peer.Service).
func (p *Pipeline) Expiring(id int64) {
	s := p.session(id)
	if s == nil {
		s = p.adopt(id, 0)
	}
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
}

// Open asks for a new session for c and waits until it exists. The answer is sent when its txn is applied.
func (p *Pipeline) Open(c *Client, timeout time.Duration) {
	id := p.cfg.IDs.Next(p.alive)
	s := p.adopt(id, timeout)
	millis := int32(timeout / time.Millisecond)
	req := &proto.Request{
		Session: id, Op: proto.OpCreateSession,
		Body: []byte{byte(millis >> 24), byte(millis >> 16), byte(millis >> 8), byte(millis)},
	}
	s.mu.Lock()
	s.client, c.session = c, s
	p.enqueue(s, c, req)
	s.mu.Unlock()
	p.repl.Submit([]*proto.Request{req})
	select {
	case <-c.welcomed:
	case <-p.stop:
	}
}

// alive tells whether a session id is in use.
func (p *Pipeline) alive(id int64) bool {
	return p.session(id) != nil || p.live(id)
}

// Attach gives c an existing session. Every other connection of that session is closed first, even if the password
// then proves wrong. False refuses: the answer says so, and the connection is to be closed behind it.
func (p *Pipeline) Attach(c *Client, id int64, password []byte, timeout time.Duration) bool {
	if s := p.session(id); s != nil {
		s.mu.Lock()
		old := s.client
		s.client = nil
		s.mu.Unlock()
		if old != nil {
			old.tr.Close()
		}
	}
	if !session.PasswordOK(id, password) || !p.attach(c, id, timeout) {
		c.refuse()
		return false
	}
	p.repl.Touch(id, timeout)
	c.welcome(c.session)
	return true
}

// attach makes c the connection of a session that lives.
func (p *Pipeline) attach(c *Client, id int64, timeout time.Duration) bool {
	if !p.live(id) {
		return false
	}
	s := p.adopt(id, timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.client, c.session = c, s
	}
	return !s.closing
}

// live tells whether the replicated table has a session.
func (p *Pipeline) live(id int64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.tree.SessionTimeout(id)
	return ok
}

// enqueue puts a request into its session's order. The session is locked.
func (p *Pipeline) enqueue(s *clientSession, c *Client, req *proto.Request) {
	s.queue.Push(serve.Item{Req: req, From: c, Start: int64(c.now)})
	c.pending.Add(1)
	p.Stats.Outstanding.Add(1)
}
