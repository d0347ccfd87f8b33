package pipeline

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/tree"
)

// clientSession is a session whose client is, or was last, connected to this server.
type clientSession struct {
	id      int64
	timeout atomic.Int64 // nanoseconds; as agreed with the newest connection
	heard   atomic.Int64 // when the client was last heard of, by Config.Clock
	fresh   atomic.Bool  // that was since the last Touched
	ended   atomic.Bool  // it is in no table any more

	claims int // connections that are about to be its own; guarded by Pipeline.smu

	mu            sync.Mutex       // guards what follows
	serve.Session                  // its connections are *Client
	unsent        []*proto.Request // the last writes and syncs of its order, which the replicator does not have yet
}

// session returns the session with that id if a client has been here with it.
func (p *Pipeline) session(id int64) *clientSession {
	p.smu.RLock()
	defer p.smu.RUnlock()
	return p.sessions[id]
}

// claim returns the session with that id for a connection of the term t, making it known here; nil if the term is over.
// disclaim follows.
func (p *Pipeline) claim(t *term, id int64, timeout time.Duration) *clientSession {
	p.smu.Lock()
	defer p.smu.Unlock()
	if p.term != t {
		return nil
	}
	s := p.sessions[id]
	if s == nil {
		s = &clientSession{id: id}
		p.sessions[id] = s
	}
	s.claims++
	s.timeout.Store(int64(timeout))
	return s
}

// disclaim follows claim. A session that was refused, and that nobody else is about, is forgotten.
func (p *Pipeline) disclaim(s *clientSession, refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := s.Conn() == nil && s.Len() == 0
	p.smu.Lock()
	defer p.smu.Unlock()
	if s.claims--; refused && idle && s.claims == 0 {
		p.remove(s)
	}
}

// remove takes a session out of the table, whose lock is held.
func (p *Pipeline) remove(s *clientSession) {
	s.ended.Store(true)
	if p.sessions[s.id] == s {
		delete(p.sessions, s.id)
	}
}

// forget ends a session whose closing was applied. The session is locked. A client that asked for it gets its answer
// first; another one has been silent, and may not even be reading.
func (p *Pipeline) forget(s *clientSession, asked bool) {
	s.End()
	p.smu.Lock()
	p.remove(s)
	p.smu.Unlock()
	p.drop(s)
	c, ok := s.Conn().(*Client)
	switch {
	case !ok:
		return
	case asked:
		c.out.finish()
		p.touch(c)
	default:
		c.tr.Close()
	}
	s.Detach(c)
}

// hear records when a session's client was heard of.
func (p *Pipeline) hear(s *clientSession, now time.Duration) {
	s.heard.Store(int64(now))
	if s.fresh.Load() || s.fresh.Swap(true) {
		return
	}
	p.fmu.Lock()
	defer p.fmu.Unlock()
	if len(p.fresh) == cap(p.fresh) { // nobody may ever ask for them: before there are more, those that have ended go
		p.fresh = slices.DeleteFunc(p.fresh, func(s *clientSession) bool { return s.ended.Load() })
	}
	p.fresh = append(p.fresh, s)
}

// Touched appends the sessions heard of here since the last call, in the order of their ids (zab.Clients).
func (p *Pipeline) Touched(dst []session.Touch) []session.Touch {
	p.fmu.Lock()
	fresh := p.fresh
	p.fresh = nil
	p.fmu.Unlock()
	from := len(dst)
	for _, s := range fresh {
		s.fresh.Store(false)
		if !s.ended.Load() {
			dst = append(dst, session.Touch{ID: s.id, Timeout: time.Duration(s.timeout.Load())})
		}
	}
	slices.SortFunc(dst[from:], func(a, b session.Touch) int { return cmp.Compare(a.ID, b.ID) })
	return dst
}

// Heard tells when a session's client was last heard of, and its timeout (zab.Clients).
func (p *Pipeline) Heard(id int64) (last, timeout time.Duration, ok bool) {
	s := p.session(id)
	if s == nil {
		return 0, 0, false
	}
	return time.Duration(s.heard.Load()), time.Duration(s.timeout.Load()), true
}

// Sessions calls f with every session of the tree, in the order of their ids (zab.Clients).
func (p *Pipeline) Sessions(f func(id int64, timeoutMillis int32)) {
	var all []tree.SessionInfo
	p.View(func(t *tree.Tree) {
		all = make([]tree.SessionInfo, 0, t.SessionCount())
		t.Sessions(func(id int64, timeout int32) { all = append(all, tree.SessionInfo{ID: id, Timeout: timeout}) })
	})
	for _, s := range all {
		f(s.ID, s.Timeout)
	}
}

// Expiring lets a session take no requests and no connection any more (zab.Clients). One whose client is not here needs
// nothing: Revalidate will say that it does not live.
func (p *Pipeline) Expiring(id int64) {
	if p.cfg.Expired != nil {
		p.cfg.Expired(id)
	}
	if s := p.session(id); s != nil {
		s.mu.Lock()
		s.End()
		s.mu.Unlock()
	}
}

// Open asks for a new session for c, which was admitted, and waits until it exists and the answer, which leaves when its txn is
// applied, is sent: the server may be about to end. False: the term is over before that, and the connection is to be closed.
func (p *Pipeline) Open(c *Client, timeout time.Duration) bool {
	s := p.claim(c.term, p.newID(), timeout)
	if s == nil {
		return false
	}
	p.hear(s, c.now)
	millis := int32(timeout / time.Millisecond)
	req := &proto.Request{
		Session: s.id, Op: proto.OpCreateSession,
		Body: []byte{byte(millis >> 24), byte(millis >> 16), byte(millis >> 8), byte(millis)},
	}
	s.mu.Lock()
	_, ok := s.Attach(c)
	if ok {
		c.session = s
		s.Push(c.item(req))
		c.account()
	}
	s.mu.Unlock()
	p.disclaim(s, false)
	if !ok {
		return false
	}
	p.Stats.Ops.count(proto.OpCreateSession, 1)
	p.submit(c.term, []*proto.Request{req})
	if !p.answered(c) {
		return false
	}
	c.flush()
	c.out.waitSent()
	return true
}

// newID returns a session id that is not in use.
func (p *Pipeline) newID() int64 {
	p.idmu.Lock()
	defer p.idmu.Unlock()
	return p.cfg.IDs.Next(func(id int64) bool {
		p.mu.RLock()
		_, lives := p.tree.SessionTimeout(id)
		p.mu.RUnlock()
		return lives || p.session(id) != nil
	})
}

// answered waits for the answer that c has asked for; false if it was no, or if the term is over first.
func (p *Pipeline) answered(c *Client) bool {
	select {
	case ok := <-c.answer:
		return ok
	case <-c.term.over:
	case <-p.stop:
	}
	return false
}

// Attach gives c, which was admitted, an existing session. Every other connection of that session is closed first, even
// if the password then proves wrong. Whether the session lives the replicator says, whichever server it was made on.
// False: it was refused, which the answer says, or the term is over and there is no answer; the connection is to be
// closed behind it.
func (p *Pipeline) Attach(c *Client, id int64, password []byte, timeout time.Duration) bool {
	p.Stats.ConnectionRevalidates.Add(1)
	p.expel(id)
	if !session.PasswordOK(id, password) {
		c.refuse()
		return false
	}
	s := p.claim(c.term, id, timeout) // known here from now on, so that its end, which may come meanwhile, finds it
	if s == nil {
		return false
	}
	ok := p.revalidate(c, id, timeout) && p.answered(c) && p.take(s, c)
	p.disclaim(s, !ok)
	switch {
	case ok:
		c.welcome(s)
	case !c.term.isOver() && !p.stopped():
		c.refuse()
	}
	return ok
}

// expel closes the connection that a session has here.
func (p *Pipeline) expel(id int64) {
	s := p.session(id)
	if s == nil {
		return
	}
	s.mu.Lock()
	old, ok := s.Conn().(*Client)
	if ok {
		s.Detach(old)
	}
	s.mu.Unlock()
	if ok {
		old.tr.Close()
	}
}

// revalidate asks whether a session lives, in one order with all who ask; false if the term is over.
func (p *Pipeline) revalidate(c *Client, id int64, timeout time.Duration) bool {
	p.smu.RLock()
	defer p.smu.RUnlock()
	if p.term != c.term {
		return false
	}
	p.vmu.Lock()
	defer p.vmu.Unlock()
	p.validations.Ask(id, c)
	p.repl.Revalidate(id, timeout)
	return true
}

// Validated answers the oldest Revalidate of that session that has no answer (peer.Service).
func (p *Pipeline) Validated(id int64, ok bool) {
	p.vmu.Lock()
	c, asked := p.validations.Answer(id).(*Client)
	p.vmu.Unlock()
	if asked {
		c.answer <- ok // it asks once
	}
}

// take makes c the connection of a session; false if that is ending.
func (p *Pipeline) take(s *clientSession, c *Client) bool {
	p.hear(s, c.now)
	s.mu.Lock()
	old, ok := s.Attach(c)
	if ok {
		c.session = s
	}
	s.mu.Unlock()
	if old, was := old.(*Client); was {
		old.tr.Close()
	}
	return ok
}
