package client

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// Options of a client. The zero value is a good one.
type Options struct {
	// Timeout is what the session may be without a connection before the servers end it (10 s). They have limits of their
	// own: SessionTimeout tells what was agreed. A call waits as long for a connection, and then fails.
	Timeout time.Duration
	// Session takes over a session that Detach has left.
	Session *Session
	// OneSession ends the client with its session: after an expiry all calls fail. Without it there is a new session.
	OneSession bool
	// ReadOnly lets the client use a server that has no quorum, for reads, until it finds one that has.
	ReadOnly bool
	// Auth is given to each server before any call.
	Auth []Auth
	// MaxRequest is what servers take in one request: their jute.maxbuffer (1 MiB - 1 byte). What is longer is refused here,
	// because they would cut the connection.
	MaxRequest int
	// MaxReply is what this client takes in one reply (64 MiB).
	MaxReply int
	// RetryMin and RetryMax bound the pause after all servers have been tried in vain (100 ms, 5 s). It doubles from the one
	// to the other, less a random part.
	RetryMin, RetryMax time.Duration
	// Dial opens a connection; (&tls.Dialer{Config: c}).DialContext has it encrypted (net.Dialer's).
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Log is told of connections and sessions that come and go (nothing).
	Log *slog.Logger
	// Metrics are told what the client does.
	Metrics Metrics
	// Notified is told of each event of a node, once, before its watches are. It is called by the goroutine that reads, must be
	// quick and may not call the client.
	Notified func(e Event)
}

// Metrics are hooks for counting. Each may be nil, is called by the client's own goroutines, must be quick and may not call
// the client.
type Metrics struct {
	// Call is told of each call that ended, and how long it took from its start.
	Call func(op proto.Op, took time.Duration, err error)
	// Connected is told of each connection with a session.
	Connected func(server string)
	// Lost is told why a connection ended, or did not come about.
	Lost func(server string, err error)
	// Event is told of each notification.
	Event func(t EventType)
}

// Auth is a credential: for scheme digest, "user:password".
type Auth struct {
	Scheme     string
	Credential []byte
}

// A Session is what a client needs to take over a session from another one.
type Session struct {
	ID       int64
	Password []byte
	LastZxid proto.Zxid
}

// A Client has a session with one of several servers, and keeps it when servers fail. It may be used by any number of
// goroutines.
type Client struct {
	o       Options
	servers []string
	chroot  string
	log     *slog.Logger
	rota    *rota // of the goroutine run

	conn atomic.Pointer[wire.Conn] // calls go here; nil while there is none, written under mu
	seq  atomic.Uint64             // of calls, in the order in which they were made
	zxid atomic.Int64              // the last that a server has told

	watches  watches
	notifier notifier

	ctx    context.Context // of connecting
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned

	mu         sync.Mutex // guards what follows
	state      State
	server     string // connected to, or last
	session    Session
	timeout    time.Duration // agreed
	seenQuorum bool          // the session was given by a server that has one
	auth       []Auth
	waiting    []*call       // for a connection
	patience   *time.Timer   // runs while anything waits
	last       error         // why there is no connection
	heard      time.Time     // when a server last said something, while there is no connection
	final      error         // why there will be none
	keep       bool          // Detach leaves the session
	changed    chan struct{} // closed and replaced when state changes
	listeners  []chan SessionEvent
	over       chan struct{} // closed when the present session is over
}

// New returns a client that connects in the background to one of the servers, given as "host:port,host:port/chroot".
// An error is an *AddressError or a *PathError. The client must be closed.
func New(servers string, o Options) (*Client, error) {
	list, chroot, err := parseServers(servers)
	if err != nil {
		return nil, err
	}
	o.setDefaults()
	c := &Client{
		o: o, servers: list, chroot: chroot, log: o.Log, auth: slices.Clone(o.Auth), timeout: o.Timeout,
		ended: make(chan struct{}), changed: make(chan struct{}), over: make(chan struct{}), state: StateConnecting,
	}
	c.rota = newRota(slices.Clone(list), &o)
	if o.Session != nil {
		c.session, c.seenQuorum = *o.Session, true
		c.zxid.Store(int64(o.Session.LastZxid))
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.watches.init()
	go c.run()
	return c, nil
}

func (o *Options) setDefaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.Timeout, 10*time.Second)
	set(&o.RetryMin, 100*time.Millisecond)
	set(&o.RetryMax, 5*time.Second)
	if o.MaxRequest == 0 {
		o.MaxRequest = 0xfffff
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Connected waits until there is a session with a server. It fails with a *NotConnectedError, or when the client has
// ended.
func (c *Client) Connected(ctx context.Context) error {
	for {
		c.mu.Lock()
		state, final, changed := c.state, c.final, c.changed
		c.mu.Unlock()
		switch {
		case final != nil:
			return &Error{Op: proto.OpCreateSession, Code: codeOf(final), Err: final}
		case state == StateConnected, state == StateReadOnly:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &Error{Op: proto.OpCreateSession, Code: proto.OperationTimeout, Err: c.whyNot(ctx.Err())}
		}
	}
}

// SessionID returns the session's number; 0 if there was none yet.
func (c *Client) SessionID() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.ID
}

// SessionTimeout returns what was agreed with the servers, or what will be asked for.
func (c *Client) SessionTimeout() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timeout
}

// SessionOver returns a channel that is closed when the present session has ended: by expiry, or because the client has.
// What the session held, ephemeral nodes and locks, is not ours any more.
func (c *Client) SessionOver() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// Server returns the address of the server that the client is, or was last, connected to.
func (c *Client) Server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// LastZxid returns the newest zxid that a server has told.
func (c *Client) LastZxid() proto.Zxid { return proto.Zxid(c.zxid.Load()) }

// Close ends the session, and with it its ephemeral nodes, once the calls under way are answered, and the client. If there
// is no connection, they stay until the session times out, and that is an error.
func (c *Client) Close() error {
	err := c.finish(true)
	<-c.ended
	return err
}

// Detach ends the client and leaves the session to whoever takes it over within its timeout.
func (c *Client) Detach() Session {
	_ = c.finish(false)
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	s.LastZxid = c.LastZxid()
	return s
}

// finish refuses new calls, ends the session if asked to, and stops run.
func (c *Client) finish(endSession bool) error {
	defer c.cancel()
	c.mu.Lock()
	if c.final != nil {
		c.mu.Unlock()
		return nil
	}
	c.final, c.keep = ErrClosed, !endSession
	conn, session, waiting := c.conn.Load(), c.session.ID, c.waiting
	c.conn.Store(nil)
	c.waiting = nil
	c.mu.Unlock()
	for _, k := range waiting {
		k.fail(ErrClosed)
	}
	if !endSession || session == 0 {
		return nil
	}
	if conn == nil {
		return &Error{Op: proto.OpCloseSession, Code: ErrConnectionLoss, Err: c.whyNot(nil)}
	}
	if _, err := conn.Call(context.Background(), proto.OpCloseSession, nil, nil); err != nil {
		return &Error{Op: proto.OpCloseSession, Code: codeOf(err), Err: err}
	}
	return nil
}

// whyNot returns why there is no connection, with the context's error in front if there is one.
func (c *Client) whyNot(ctxErr error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	not := &NotConnectedError{c.servers, c.last}
	if ctxErr == nil {
		return not
	}
	return &endedError{ctxErr, not}
}
