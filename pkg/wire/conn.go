// Package wire has one connection to a ZooKeeper or zabd server: handshake, pipelined requests, notifications. It does
// not reconnect, ping or choose among servers: package client does. Tests and loads use it bare.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// Options say how to connect. The zero value asks for a new session of 10 s.
type Options struct {
	Timeout   time.Duration
	SessionID int64 // to attach to
	Password  []byte
	LastZxid  proto.Zxid
	ReadOnly  bool // a server that has no quorum will do
	MaxReply  int  // bytes of a reply (64 MiB)
	// Dial opens the socket (net.Dialer's).
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Event is told each notification, in order with the replies; it must not wait for a call of the same connection.
	Event func(e proto.WatcherEvent, z proto.Zxid)
}

// Errors of a connection, besides proto.Code and those of the network.
var (
	ErrClosed  = errors.New("wire: connection closed")
	ErrRefused = errors.New("wire: session refused")
	ErrFrame   = errors.New("wire: malformed frame")
)

// A LostError tells a Request that its connection ended before the reply came. What was not Sent has not happened.
type LostError struct {
	Sent bool
	Err  error
}

// Error returns the reason.
func (e *LostError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *LostError) Unwrap() error { return e.Err }

// A TooLargeError is the answer to a request whose reply was longer than MaxReply, and was skipped.
type TooLargeError struct{ Size, Limit int }

// Error tells both numbers.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("wire: the reply has %d bytes, more than MaxReply, %d", e.Size, e.Limit)
}

// A Record is a request that can be encoded.
type Record interface{ AppendTo(dst []byte) []byte }

// A Request is what a Conn sends, and gives the reply to.
type Request interface {
	Record
	// Answer is called once by the goroutine that reads, in order with notifications. The reply's body is valid during
	// the call only. err is a proto.Code, a *LostError or a *TooLargeError.
	Answer(z proto.Zxid, body []byte, err error)
}

// A Conn is a connection with a session. It may be used by any number of goroutines; requests are answered in the order
// in which they were made.
type Conn struct {
	SessionID int64
	Password  []byte
	Timeout   time.Duration
	ReadOnly  bool // the server has no quorum

	nc       net.Conn
	event    func(proto.WatcherEvent, proto.Zxid)
	maxReply int
	began    time.Time
	reads    atomic.Uint64 // that brought something
	heard    atomic.Int64  // when the last did, in nanoseconds since began
	writes   atomic.Uint64

	mu      sync.Mutex // guards what follows
	xid     int32
	out     []byte
	sent    []sent // not answered, in order
	unsent  int    // how many at the end of sent are in out and nowhere else
	writing bool   // somebody writes, and takes along what is in out
	err     error

	wake    chan struct{}
	writer  sync.WaitGroup
	drained chan struct{} // closed when every request has had its answer, and the goroutines are gone
}

// sent is a request on its way.
type sent struct {
	xid int32
	req Request
}

// mostHandshake is how long a server may take to answer a handshake that asks for a shorter session timeout than this.
const mostHandshake = 10 * time.Second

// Dial connects and takes a session.
func Dial(ctx context.Context, addr string, o Options) (*Conn, error) {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	nc, err := o.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("wire: dial: %w", err)
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxReply == 0 {
		o.MaxReply = 64 << 20
	}
	c := &Conn{nc: nc, event: o.Event, maxReply: o.MaxReply, began: time.Now(), wake: make(chan struct{}, 1), drained: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(max(o.Timeout, mostHandshake))) // a server that starts may take a connection and never look at it
	r := bufio.NewReaderSize(reader{c}, 64<<10)
	if err := c.handshake(r, o); err != nil {
		stop()
		_ = nc.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("wire: handshake: no answer: %w", ctx.Err())
		}
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err()
	}
	_ = nc.SetDeadline(time.Time{})
	c.writer.Add(1)
	go func() { defer c.writer.Done(); c.writeLoop() }()
	go func() { c.Fail(c.readLoop(r)); c.writer.Wait(); c.drain() }()
	return c, nil
}

// reader notes the reads of a connection.
type reader struct{ c *Conn }

func (r reader) Read(b []byte) (int, error) {
	n, err := r.c.nc.Read(b)
	if n > 0 {
		r.c.reads.Add(1)
		r.c.heard.Store(int64(time.Since(r.c.began)))
	}
	return n, err
}

func (c *Conn) handshake(r *bufio.Reader, o Options) error {
	if o.Password == nil {
		o.Password = make([]byte, proto.PasswordSize)
	}
	req := proto.ConnectRequest{
		LastZxidSeen: o.LastZxid, Timeout: int32(min(o.Timeout.Milliseconds(), math.MaxInt32)), SessionID: o.SessionID,
		Password: o.Password, ReadOnly: o.ReadOnly, HasReadOnly: true,
	}
	if _, err := c.nc.Write(frame(req.AppendTo(make([]byte, 4)))); err != nil {
		return fmt.Errorf("wire: handshake: %w", err)
	}
	b, err := c.readFrame(r)
	if err != nil {
		return fmt.Errorf("wire: handshake: %w", err)
	}
	d := jute.NewDecoder(b)
	if len(b) == proto.ReplyHeaderSize { // a server without a quorum that gives no sessions
		var h proto.ReplyHeader
		if err := h.Decode(&d); err == nil && h.Err != proto.OK {
			return fmt.Errorf("wire: handshake: %w", h.Err)
		}
		return fmt.Errorf("wire: handshake: %w", ErrFrame)
	}
	var resp proto.ConnectResponse
	if err := resp.Decode(&d); err != nil {
		return fmt.Errorf("wire: handshake: %w", err)
	}
	if resp.SessionID == 0 || resp.Timeout <= 0 {
		return ErrRefused
	}
	c.SessionID, c.Password, c.ReadOnly = resp.SessionID, bytes.Clone(resp.Password), resp.ReadOnly
	c.Timeout = time.Duration(resp.Timeout) * time.Millisecond
	return nil
}

// frame sets the length in the first four bytes.
func frame(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// readFrame reads the length and the bytes of a frame, which alias the reader's buffer if they fit.
func (c *Conn) readFrame(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head)))
	if n < 0 {
		return nil, fmt.Errorf("%w: length %d", ErrFrame, n)
	}
	if n > c.maxReply {
		return nil, &TooLargeError{n, c.maxReply}
	}
	if 4+n > r.Size() {
		_, _ = r.Discard(4)
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		return b, err
	}
	b, err := r.Peek(4 + n)
	if err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	_, _ = r.Discard(4 + n)
	return b[4:], nil
}

// Done returns a channel that is closed after the end of the connection, when every request has had its answer.
func (c *Conn) Done() <-chan struct{} { return c.drained }

// Broken waits until then and returns the reason.
func (c *Conn) Broken() error {
	<-c.drained
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close closes the connection, and not the session. Calls under way fail with ErrClosed.
func (c *Conn) Close() {
	c.Fail(ErrClosed)
	<-c.drained
}

// Fail ends the connection, without waiting; the first reason counts.
func (c *Conn) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	_ = c.nc.Close()
	c.signal()
}

func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Activity returns how often something has come from the server, and gone to it.
func (c *Conn) Activity() (reads, writes uint64) { return c.reads.Load(), c.writes.Load() }

// Heard returns when something last came from the server.
func (c *Conn) Heard() time.Time { return c.began.Add(time.Duration(c.heard.Load())) }

func (c *Conn) readLoop(r *bufio.Reader) error {
	for {
		b, err := c.readFrame(r)
		if large, ok := err.(*TooLargeError); ok {
			err = c.skip(r, large)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("wire: read: %w", err)
		}
		d := jute.NewDecoder(b)
		var h proto.ReplyHeader
		if err := h.Decode(&d); err != nil {
			return fmt.Errorf("wire: reply header: %w", err)
		}
		if h.Xid == proto.XidNotification {
			var e proto.WatcherEvent
			if err := e.Decode(&d); err != nil {
				return fmt.Errorf("wire: notification: %w", err)
			}
			if c.event != nil {
				e.Path = string([]byte(e.Path)) // it aliases the buffer
				c.event(e, h.Zxid)
			}
			continue
		}
		req, err := c.take(h.Xid)
		if err != nil {
			return err
		}
		if h.Err != proto.OK {
			req.Answer(h.Zxid, d.Rest(), h.Err)
			continue
		}
		req.Answer(h.Zxid, d.Rest(), nil)
	}
}

// skip answers the request whose reply is too large, and leaves out the reply.
func (c *Conn) skip(r *bufio.Reader, large *TooLargeError) error {
	b, err := r.Peek(4 + proto.ReplyHeaderSize)
	if err != nil {
		return err
	}
	d := jute.NewDecoder(b[4:])
	var h proto.ReplyHeader
	if err := h.Decode(&d); err != nil {
		return err
	}
	req, err := c.take(h.Xid)
	if err != nil {
		return fmt.Errorf("a frame of %d bytes: %w", large.Size, ErrFrame)
	}
	_, err = r.Discard(4 + large.Size)
	req.Answer(h.Zxid, nil, large)
	return err
}

// take removes the request that a reply is for: the oldest with that xid. Only auth is answered ahead of others.
func (c *Conn) take(xid int32) (Request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := 0
	for i < len(c.sent) && c.sent[i].xid != xid {
		i++
	}
	if i == len(c.sent) {
		return nil, fmt.Errorf("wire: reply to xid %d, which was not sent: %w", xid, ErrFrame)
	}
	req := c.sent[i].req
	if i == 0 {
		c.sent[0] = sent{}
		c.sent = c.sent[1:]
	} else {
		c.sent = append(c.sent[:i], c.sent[i+1:]...)
	}
	c.unsent = min(c.unsent, len(c.sent))
	return req, nil
}

// drain tells all that have had no reply.
func (c *Conn) drain() {
	c.mu.Lock()
	rest, unsent, err := c.sent, c.unsent, c.err
	c.sent, c.out = nil, nil
	c.mu.Unlock()
	defer close(c.drained)
	for i, s := range rest {
		s.req.Answer(0, nil, &LostError{Sent: i < len(rest)-unsent, Err: err})
	}
}
