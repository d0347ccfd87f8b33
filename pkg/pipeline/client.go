package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/watch"
)

// Transport is a client's socket, as package server provides it.
type Transport interface {
	// TryWrite writes what can be written at once.
	TryWrite(b []byte) (int, error)
	// Write writes all of b and waits for it.
	Write(b []byte) (int, error)
	// Close ends the connection; the reader finds out by its next read.
	Close()
	// Gone tells whether the client has closed its end.
	Gone() bool
}

// A Client is one connection's place in the pipeline: who it is, what it watches and what is on its way to it. Handle
// and Idle belong to the goroutine that reads the connection.
type Client struct {
	p       *Pipeline
	tr      Transport
	ip      string
	ids     atomic.Pointer[[]proto.ID] // never changed in place: requests in flight share it
	out     output
	pending atomic.Int32 // own requests that wait in the session's queue
	gone    atomic.Bool
	touched bool        // the apply loop's: it has a new answer
	told    atomic.Bool // it has a new notification and is in the fan
	term    *term       // set by Admit
	answer  chan bool   // one slot, used once: whether the session that was asked for lives

	// What follows belongs to the reading goroutine; the reader, to whoever holds the tree's lock for it.
	reader      serve.Reader
	session     *clientSession
	hasReadOnly bool
	closing     bool
	reserved    bool          // the request in hand counts as outstanding already
	now         time.Duration // when the current input was read
	wrote       bool          // something that may not have gone to the replicator yet
	space       requestSpace
	reading     bool // holds the tree's read lock
	reads       int  // answered since the lock was taken
	served      int64
	intake      intake
	spaces      namespaces // of reads; to whoever holds the tree's lock for the reader
}

// NewClient returns a client that has only its address to show. hasReadOnly tells whether its handshake had that flag.
func (p *Pipeline) NewClient(tr Transport, ip string, hasReadOnly bool) *Client {
	c := &Client{p: p, tr: tr, ip: ip, hasReadOnly: hasReadOnly, answer: make(chan bool, 1)}
	c.ids.Store(&[]proto.ID{{Scheme: "ip", ID: ip}})
	c.out.pool, c.out.drained.L = p.buffers, &c.out.mu
	c.reader = serve.Reader{Watches: p.watches, Watcher: watch.NewWatcher(c), Rules: p.cfg.Auth.Rules}
	c.spaces.set = &p.Stats.ReadBytes
	c.out.tally.ConnStats = noConnStats
	c.out.tally.Received = 1 // the handshake
	c.now = p.cfg.Clock()
	return c
}

// SessionID returns the id of the client's session; 0 before it has one.
func (c *Client) SessionID() int64 {
	if c.session == nil {
		return 0
	}
	return c.session.id
}

// Timeout returns the session's timeout; 0 before it has one.
func (c *Client) Timeout() time.Duration {
	if c.session == nil {
		return 0
	}
	return time.Duration(c.session.timeout.Load())
}

// Queued returns how many requests of this connection wait for a write to be committed.
func (c *Client) Queued() int { return int(c.pending.Load()) }

// identity returns the ids that the connection has now.
func (c *Client) identity() []proto.ID { return *c.ids.Load() }

// welcome answers the handshake with the session.
func (c *Client) welcome(s *clientSession) {
	pw := session.Password(s.id)
	c.out.connect(&proto.ConnectResponse{
		Timeout: int32(time.Duration(s.timeout.Load()) / time.Millisecond), SessionID: s.id,
		Password: pw[:], HasReadOnly: c.hasReadOnly,
	})
}

func (c *Client) refuse() { c.out.connect(&proto.ConnectResponse{HasReadOnly: c.hasReadOnly}) }

// Begin tells that new input has been read.
func (c *Client) Begin() {
	c.now = c.p.cfg.Clock()
	c.p.hear(c.session, c.now)
}

// Handle takes one frame. An error ends the connection at once; when done is true it ends as soon as everything has
// been answered. The frame may be reused after the call.
func (c *Client) Handle(frame []byte) (done bool, err error) {
	d := jute.NewDecoder(frame)
	var h proto.RequestHeader
	if err := h.Decode(&d); err != nil {
		return true, fmt.Errorf("pipeline: request header: %w", err)
	}
	if c.closing {
		return false, nil // what follows a closeSession is dropped
	}
	if h.Op == proto.OpPing {
		h.Xid = proto.XidPing
	}
	c.intake.count(&c.p.Stats, h.Op, len(frame)+4)
	body := d.Rest()
	if r := c.p.requests.Load(); r != nil && h.Op != proto.OpPing && h.Op != proto.OpAuth {
		return c.handleThrottled(r, h, body)
	}
	return c.dispatch(h, body)
}

// dispatch has a request answered, or puts it where it will be.
func (c *Client) dispatch(h proto.RequestHeader, body []byte) (done bool, err error) {
	switch {
	case h.Op == proto.OpAuth:
		return c.authenticate(h.Xid, body)
	case h.Op == proto.OpSasl:
		return c.sasl(h.Xid, body)
	case !c.p.cfg.Auth.Serves(c.identity()):
		c.out.refuse(h.Xid, 0, proto.SessionClosedRequireSasl)
		return true, nil
	case h.Op == proto.OpCreateSession: // a server's, not a client's: nothing of it is decoded
		c.write(&proto.Request{Session: c.session.id, Xid: h.Xid, Op: h.Op, IDs: c.identity()})
	case !serve.Supported(h.Op):
		c.out.refuse(h.Xid, -1, proto.Unimplemented)
		return true, nil
	case c.p.cfg.EagerACL && c.forbidden(h, body):
	case serve.Replicated(h.Op):
		c.closing = h.Op == proto.OpCloseSession
		c.write(c.space.request(c.session.id, h, body, c.identity()))
	default:
		c.read(h, body)
	}
	return false, nil
}

// forbidden answers a write that the ACLs forbid. One that stands behind others of its session is left to the leader, so
// that its answer comes in its turn.
func (c *Client) forbidden(h proto.RequestHeader, body []byte) bool {
	c.lock()
	s := c.session
	s.mu.Lock()
	now, _ := s.Read(c)
	s.mu.Unlock()
	if !now {
		return false
	}
	c.reader.Tree = c.p.tree
	code := c.reader.Forbids(&proto.Request{Op: h.Op, Body: body, IDs: c.identity()})
	if code != proto.OK {
		c.out.forbid(h.Xid, code)
	}
	return code != proto.OK
}

// lock takes the tree's read lock; release gives it back.
func (c *Client) lock() {
	if !c.reading {
		c.lockTree()
	}
}

func (c *Client) lockTree() {
	c.p.mu.RLock()
	c.reading = true
}

// write puts a write or a sync into the session's order, which goes to the replicator when the input has run dry. One that
// the session does not take is dropped without an answer, as ZooKeeper drops it.
func (c *Client) write(req *proto.Request) {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Submit(c.item(req)) {
		c.account()
		s.unsent, c.wrote = append(s.unsent, req), true
	}
}

// sendWrites hands to the replicator what the session has not sent yet, in the session's order, by whichever connection it
// has come: an older one may still have been reading when this one took the session. So the session is locked.
func (c *Client) sendWrites() {
	if !c.wrote {
		return
	}
	c.wrote = false
	s := c.session
	s.mu.Lock()
	passed := c.p.pass(c.term, s.unsent)
	clear(s.unsent)
	s.unsent = s.unsent[:0]
	s.mu.Unlock()
	if passed {
		c.p.repl.Drive()
	}
}

func (c *Client) item(req *proto.Request) serve.Item {
	return serve.Item{Req: req, From: c, Start: int64(c.now)}
}

// account counts a request that waits in its session's queue.
func (c *Client) account() {
	c.pending.Add(1)
	if !c.reserved {
		c.p.Stats.Outstanding.Add(1)
	}
	c.reserved = false
}

// readsPerLock bounds how long one connection's reads hold the tree, together with readBytesPerLock.
const (
	readsPerLock     = 64
	readBytesPerLock = 128 << 10
)

// read answers a read now, or parks it behind the writes of its session.
func (c *Client) read(h proto.RequestHeader, body []byte) {
	c.lock()
	s := c.session
	s.mu.Lock()
	now, waits := s.Read(c)
	if waits {
		s.Push(c.item(c.space.request(s.id, h, body, c.identity())))
		c.account()
	}
	s.mu.Unlock()
	if !now {
		return
	}
	req := proto.Request{Session: s.id, Xid: h.Xid, Op: h.Op, Body: body, IDs: c.identity()}
	queued := c.answerRead(&req)
	c.served++
	if c.reads++; c.reads >= readsPerLock || queued >= readBytesPerLock {
		c.release()
		if queued >= readBytesPerLock {
			c.flush()
		}
	}
}

// answerRead answers a read out of the tree of the moment, which is locked; it returns the number of bytes queued.
func (c *Client) answerRead(req *proto.Request) int {
	c.reader.Tree = c.p.tree
	n, size := c.out.read(&c.reader, req)
	c.spaces.observeRead(req.Op, c.reader.Path, size)
	return n
}

func (c *Client) release() {
	if c.reading {
		c.spaces.tell()
		c.p.mu.RUnlock()
		c.reading, c.reads = false, 0
	}
}

// Idle tells that all input so far has been handled: what it asked for goes on, what it was answered is sent. It
// returns when the connection may be read on.
func (c *Client) Idle() {
	c.handOver()
	c.p.waitForRoom(c)
}

// handOver lets go of all that has been handled.
func (c *Client) handOver() {
	c.release()
	c.sendWrites()
	c.tell()
	c.flush()
}

// tell adds what was read and answered to the counts, before the answers leave.
func (c *Client) tell() {
	received := c.intake.packets
	if received == 0 {
		return
	}
	c.intake.tell(&c.p.Stats)
	now := c.p.cfg.Clock()
	c.p.Stats.answered(&c.p.Stats.ReadLatency, c.served, now-c.now)
	c.out.mu.Lock()
	c.out.tally.Received += received
	c.out.tally.took(c.served, now-c.now, now)
	c.out.mu.Unlock()
	c.served = 0
}

// authenticate adds ids to the connection at once, ahead of what waits.
func (c *Client) authenticate(xid int32, body []byte) (done bool, err error) {
	d := jute.NewDecoder(body)
	var a proto.AuthRequest
	if err := a.Decode(&d); err != nil {
		return true, fmt.Errorf("pipeline: auth request: %w", err)
	}
	more, code := c.p.cfg.Auth.Authenticate(a.Scheme, a.Auth, c.ip)
	if code == proto.OK {
		ids := slices.Clone(c.identity())
		for _, id := range more {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		c.ids.Store(&ids)
	}
	if a.Scheme == auth.EnsembleScheme {
		c.p.Stats.ensembleAuth(code, len(a.Auth) > 0)
	}
	if code == proto.BadArguments {
		return true, nil // the client is to go to another server, which an answer would not make it do
	}
	c.out.refuse(xid, 0, code)
	return code != proto.OK, nil
}

// sasl answers a token at once, by none: that tells a client that there is no SASL here, and it goes on without.
func (c *Client) sasl(xid int32, body []byte) (done bool, err error) {
	d := jute.NewDecoder(body)
	var r proto.TokenRecord
	if err := r.Decode(&d); err != nil {
		return true, fmt.Errorf("pipeline: sasl request: %w", err)
	}
	if r.Token == nil {
		return true, errors.New("pipeline: sasl request without a token")
	}
	c.out.sasl(xid)
	return false, nil
}

// Finish sends everything and closes the connection.
func (c *Client) Finish() {
	c.out.finish()
	c.flush()
	c.out.waitSent()
	c.closeIfLast()
}

// Detach ends the client: its connection is gone. Its writes stay in the session's order.
func (c *Client) Detach() {
	c.release()
	c.gone.Store(true)
	if s := c.session; s != nil {
		s.mu.Lock()
		s.Detach(c)
		s.mu.Unlock()
	}
	c.sendWrites()                // they stand in the session's order, and so must be decided
	c.p.View(func(*tree.Tree) {}) // behind whatever the apply loop is registering for this client
	c.p.watches.RemoveAll(c.reader.Watcher)
}

// requestSpace makes requests that outlive their frame, many in one allocation.
type requestSpace struct {
	requests []proto.Request
	bytes    []byte
}

const (
	requestChunk = 8
	bytesChunk   = 2 << 10
)

func (sp *requestSpace) request(id int64, h proto.RequestHeader, body []byte, ids []proto.ID) *proto.Request {
	if len(sp.requests) == 0 {
		sp.requests = make([]proto.Request, requestChunk)
	}
	r := &sp.requests[0]
	sp.requests = sp.requests[1:]
	*r = proto.Request{Session: id, Xid: h.Xid, Op: h.Op, Body: sp.copy(body), IDs: ids}
	return r
}

func (sp *requestSpace) copy(body []byte) []byte {
	if len(body) > bytesChunk/4 {
		return slices.Clone(body)
	}
	if len(sp.bytes) < len(body) {
		sp.bytes = make([]byte, bytesChunk)
	}
	b := sp.bytes[:len(body):len(body)]
	sp.bytes = sp.bytes[len(body):]
	copy(b, body)
	return b
}
