package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// errSilent ends a connection from which nothing has come for two thirds of the session's timeout, pings or not.
var errSilent = errors.New("the server is silent")

// run connects, attends to the connection until it breaks, and begins anew, until the client has ended.
func (c *Client) run() {
	defer close(c.ended)
	defer c.end()
	for c.ctx.Err() == nil {
		conn, server, err := c.connect()
		if err != nil {
			continue
		}
		began := time.Now()
		c.attend(conn)
		c.rota.lasted(time.Since(began))
		c.disconnected(server, conn.Broken())
	}
}

// end tells everybody that the client has ended.
func (c *Client) end() {
	c.mu.Lock()
	if c.final == nil {
		c.final = ErrClosed
	}
	final, waiting := c.final, c.waiting
	c.waiting = nil
	if c.patience != nil {
		c.patience.Stop()
	}
	c.setState(StateClosed, nil)
	c.mu.Unlock()
	for _, k := range waiting {
		k.fail(final)
	}
	c.watches.endAll(final)
}

// connect tries one server, after a pause if all have been tried.
func (c *Client) connect() (conn *wire.Conn, server string, err error) {
	server, pause := c.rota.next()
	if !c.rest(pause) {
		return nil, server, c.ctx.Err()
	}
	c.mu.Lock()
	if c.final != nil { // Close is about to stop run
		c.mu.Unlock()
		<-c.ctx.Done()
		return nil, server, ErrClosed
	}
	o := wire.Options{
		Timeout: c.o.Timeout, SessionID: c.session.ID, Password: c.session.Password, LastZxid: c.LastZxid(), ReadOnly: c.o.ReadOnly,
		MaxReply: c.o.MaxReply, Dial: c.o.Dial, Event: c.notified,
	}
	if !c.seenQuorum { // a server without a quorum has given the session, and alone knows it
		o.SessionID, o.Password = 0, nil
	}
	each := max(c.timeout/time.Duration(len(c.servers)), time.Second)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, each)
	defer cancel()
	conn, err = wire.Dial(ctx, server, o)
	if err == nil {
		if err = c.prime(ctx, conn, server); err == nil {
			return conn, server, nil
		}
		conn.Close()
	}
	if errors.Is(err, wire.ErrRefused) && o.SessionID != 0 {
		c.rota.stay()
		c.expired()
		return nil, server, err
	}
	err = explain(server, err)
	c.failed(server, err)
	return nil, server, err
}

// explain makes a failed attempt fit to be read by who knows addresses and servers, not this code.
func explain(server string, err error) error {
	var op *net.OpError
	var large *wire.TooLargeError // text, taken for a length
	switch {
	case errors.As(err, &op) && op.Op == "dial": // which names the address
		return op
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s has closed the connection instead of giving a session: it has no quorum, or too many connections", server)
	case errors.As(err, &large), errors.Is(err, wire.ErrFrame), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, jute.ErrShort),
		errors.Is(err, jute.ErrLength):
		return fmt.Errorf("%s does not answer as a ZooKeeper server does: %w", server, err)
	}
	return fmt.Errorf("%s: %w", server, err)
}

// rest waits, and tells whether to go on.
func (c *Client) rest(pause time.Duration) bool {
	if pause <= 0 {
		return c.ctx.Err() == nil
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// failed notes why a server was of no use.
func (c *Client) failed(server string, err error) {
	if c.ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	c.last = err
	c.mu.Unlock()
	c.log.Warn("zookeeper: cannot connect", "server", server, "err", err)
	if f := c.o.Metrics.Lost; f != nil {
		f(server, err)
	}
}

// prime makes a new connection fit for calls: credentials first, then the watches that the old one had, then the calls that
// have waited. On failure whatever was sent is answered when the connection is closed.
func (c *Client) prime(ctx context.Context, conn *wire.Conn, server string) error {
	for _, a := range c.credentials() {
		if _, err := conn.Call(ctx, proto.OpAuth, &proto.AuthRequest{Scheme: a.Scheme, Auth: a.Credential}, nil); err != nil {
			if errors.Is(err, ErrAuthFailed) {
				c.fatal(StateAuthFailed, &Error{Op: proto.OpAuth, Path: a.Scheme, Code: ErrAuthFailed})
			}
			return err
		}
	}
	lasting := c.watches.restore(conn, c.LastZxid())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final != nil {
		if !c.keep { // Close has found no connection to say so on
			_ = conn.Send(proto.OpCloseSession, &pinger{c})
		}
		return c.final
	}
	fresh := c.session.ID != conn.SessionID
	c.server, c.timeout, c.session.ID, c.session.Password = server, conn.Timeout, conn.SessionID, conn.Password
	c.seenQuorum = c.seenQuorum || !conn.ReadOnly
	// Reads of the lost connection come before what was never sent: all in the order in which they were made.
	slices.SortFunc(c.waiting, func(a, b *call) int { return cmp.Compare(a.seq, b.seq) })
	for i, k := range c.waiting {
		if err := conn.Send(k.op, k); err != nil {
			c.waiting = c.waiting[i:]
			return err
		}
	}
	c.waiting = nil
	c.conn.Store(conn)
	state := StateConnected
	if conn.ReadOnly {
		state = StateReadOnly
	}
	c.setState(state, nil)
	for _, w := range lasting {
		w.tell(Event{Type: EventReconnected, Path: c.toClient(w.path)})
	}
	c.log.Info("zookeeper: connected", "server", server, "session", fmt.Sprintf("%#x", conn.SessionID), "new", fresh,
		"timeout", conn.Timeout, "readonly", conn.ReadOnly)
	if f := c.o.Metrics.Connected; f != nil {
		f(server)
	}
	return nil
}

// attend pings when nothing else is sent, ends a connection that is silent, and returns when it has ended.
func (c *Client) attend(conn *wire.Conn) {
	const parts, silence, idle = 6, 4, 2 // of the timeout: two thirds without a sign, one third without a word of ours
	tick := time.NewTicker(conn.Timeout / parts)
	defer tick.Stop()
	ping := &pinger{c}
	better := c.seekQuorum(conn)
	heard, said := conn.Activity()
	silent, quiet := 0, 0
	for {
		select {
		case <-conn.Done():
			return
		case <-c.ctx.Done():
			conn.Close()
			return
		case server := <-better:
			c.rota.prefer(server)
			conn.Fail(fmt.Errorf("%s has a quorum", server))
			continue
		case <-tick.C:
		}
		reads, writes := conn.Activity()
		silent, quiet = silent+1, quiet+1
		if reads != heard {
			silent = 0
		}
		if writes != said {
			quiet = 0
		}
		heard, said = reads, writes
		if silent >= silence {
			conn.Fail(fmt.Errorf("%w: nothing has come for %v", errSilent, conn.Timeout*silence/parts))
		} else if quiet >= idle {
			_ = conn.Send(proto.OpPing, ping) // fails when the connection has ended, which comes up next
		}
	}
}

// pinger is a request without a record whose answer does not matter.
type pinger struct{ c *Client }

func (p *pinger) AppendTo(dst []byte) []byte { return dst }

func (p *pinger) Answer(z proto.Zxid, _ []byte, _ error) { p.c.seen(z) }

// seen notes the newest zxid; it is called by the goroutine that reads, after all events up to that zxid.
func (c *Client) seen(z proto.Zxid) {
	if z > 0 {
		c.zxid.Store(int64(z))
	}
}

// disconnected notes that a connection has ended; the session lives on for a while.
func (c *Client) disconnected(server string, err error) {
	c.mu.Lock()
	if conn := c.conn.Swap(nil); conn != nil {
		c.heard = conn.Heard()
	}
	if c.final != nil {
		c.mu.Unlock()
		return
	}
	err = &LossError{server, err}
	c.setState(StateDisconnected, err)
	c.mu.Unlock()
	c.log.Warn("zookeeper: disconnected", "server", server, "err", err)
	if f := c.o.Metrics.Lost; f != nil {
		f(server, err)
	}
}

// expired ends the session, and what waits under it; the next connection has a new one.
func (c *Client) expired() {
	err := &Error{Op: proto.OpCreateSession, Code: ErrSessionExpired}
	if c.o.OneSession {
		c.fatal(StateExpired, err)
		return
	}
	c.mu.Lock()
	waiting, id := c.waiting, c.session.ID
	c.waiting = nil
	if c.final == nil {
		c.setState(StateExpired, err)
		c.over = make(chan struct{})
	}
	c.session, c.seenQuorum = Session{}, false
	c.mu.Unlock()
	c.log.Warn("zookeeper: session expired", "session", fmt.Sprintf("%#x", id))
	for _, k := range waiting {
		k.fail(ErrSessionExpired)
	}
	c.watches.endAll(ErrSessionExpired)
}

// fatal ends the client.
func (c *Client) fatal(s State, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final != nil {
		return
	}
	c.final = err
	c.setState(s, err)
	c.cancel()
	c.log.Error("zookeeper: the client has ended", "state", s.String(), "err", err)
}

// credentials returns what is to be told to each server.
func (c *Client) credentials() []Auth {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.auth)
}
