// Package wire has the connection to a ZooKeeper or zabd server that every test and benchmark uses: handshake,
// pipelined calls, notifications. It does not reconnect, ping or choose among servers.
package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
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
	MaxFrame  int // bytes of a reply (64 MiB)
	// Event is told each notification, in order with the replies; it must not wait for a call of the same connection.
	Event func(e proto.WatcherEvent, z proto.Zxid)
}

// Errors of a connection, besides proto.Code and those of the network.
var (
	ErrClosed  = errors.New("wire: connection closed")
	ErrRefused = errors.New("wire: session refused")
	ErrFrame   = errors.New("wire: malformed frame")
)

// A Record is a request that can be encoded.
type Record interface{ AppendTo(dst []byte) []byte }

// A Reply is a record that can be decoded. It may keep what it is given.
type Reply interface{ Decode(d *jute.Decoder) error }

// A Call is one request on its way. Err and Zxid are set when Done is closed.
type Call struct {
	Xid  int32
	Op   proto.Op
	Err  error // a proto.Code where the server refused
	Zxid proto.Zxid
	Done chan struct{}

	reply Reply
}

// A Conn is a connection with a session. It may be used by any number of goroutines; calls are answered in the order
// in which they were made.
type Conn struct {
	SessionID int64
	Password  []byte
	Timeout   time.Duration

	nc    net.Conn
	event func(proto.WatcherEvent, proto.Zxid)
	limit int

	mu    sync.Mutex // guards what follows
	xid   int32
	out   []byte
	calls []*Call // sent and not answered, in order
	err   error
	wake  chan struct{}
	done  sync.WaitGroup
}

// Dial connects and takes a session.
func Dial(ctx context.Context, addr string, o Options) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("wire: dial: %w", err)
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxFrame == 0 {
		o.MaxFrame = 64 << 20
	}
	c := &Conn{nc: nc, event: o.Event, limit: o.MaxFrame, wake: make(chan struct{}, 1)}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	r := bufio.NewReaderSize(nc, 64<<10)
	if err := c.handshake(r, o); err != nil {
		stop()
		_ = nc.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	stop()
	c.done.Add(2)
	go func() { defer c.done.Done(); c.fail(c.readLoop(r)) }()
	go func() { defer c.done.Done(); c.fail(c.writeLoop()) }()
	return c, nil
}

func (c *Conn) handshake(r *bufio.Reader, o Options) error {
	if o.Password == nil {
		o.Password = make([]byte, proto.PasswordSize)
	}
	req := proto.ConnectRequest{
		LastZxidSeen: o.LastZxid, Timeout: int32(o.Timeout.Milliseconds()), SessionID: o.SessionID,
		Password: o.Password, HasReadOnly: true,
	}
	if _, err := c.nc.Write(frame(req.AppendTo(make([]byte, 4)))); err != nil {
		return fmt.Errorf("wire: handshake: %w", err)
	}
	b, err := c.readFrame(r)
	if err != nil {
		return fmt.Errorf("wire: handshake: %w", err)
	}
	d := jute.NewDecoder(b)
	var resp proto.ConnectResponse
	if err := resp.Decode(&d); err != nil {
		return fmt.Errorf("wire: handshake: %w", err)
	}
	if resp.SessionID == 0 || resp.Timeout <= 0 {
		return ErrRefused
	}
	c.SessionID, c.Password = resp.SessionID, resp.Password
	c.Timeout = time.Duration(resp.Timeout) * time.Millisecond
	return nil
}

// frame sets the length in the first four bytes.
func frame(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (c *Conn) readFrame(r *bufio.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 0 || n > c.limit {
		return nil, ErrFrame
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// Go sends a request without waiting. req and reply may be nil.
func (c *Conn) Go(op proto.Op, req Record, reply Reply) *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.xid++
	xid := c.xid
	switch op {
	case proto.OpPing:
		xid = proto.XidPing
	case proto.OpAuth:
		xid = proto.XidAuth
	case proto.OpSetWatches, proto.OpSetWatches2:
		xid = proto.XidSetWatches
	}
	call := &Call{Xid: xid, Op: op, Done: make(chan struct{}), reply: reply}
	if c.err != nil {
		call.Err = c.err
		close(call.Done)
		return call
	}
	at := len(c.out)
	h := proto.RequestHeader{Xid: xid, Op: op}
	c.out = h.AppendTo(append(c.out, 0, 0, 0, 0))
	if req != nil {
		c.out = req.AppendTo(c.out)
	}
	frame(c.out[at:])
	c.calls = append(c.calls, call)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return call
}

// Wait waits for a call's answer. When ctx ends first, the call stays under way and its answer is dropped.
func (c *Conn) Wait(ctx context.Context, call *Call) (proto.Zxid, error) {
	select {
	case <-call.Done:
		return call.Zxid, call.Err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Call sends a request and waits for the answer.
func (c *Conn) Call(ctx context.Context, op proto.Op, req Record, reply Reply) (proto.Zxid, error) {
	return c.Wait(ctx, c.Go(op, req, reply))
}

// WriteRaw sends bytes as they are, for those who want to know what a server makes of them.
func (c *Conn) WriteRaw(b []byte) error {
	_, err := c.nc.Write(b)
	return err
}

// Close closes the connection, and not the session. Calls under way fail with ErrClosed.
func (c *Conn) Close() {
	c.fail(ErrClosed)
	c.done.Wait()
}

// Broken waits for the end of the connection and returns its reason.
func (c *Conn) Broken() error {
	c.done.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection; the first reason counts.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	_ = c.nc.Close()
	for _, call := range c.calls {
		call.Err = err
		close(call.Done)
	}
	c.calls = nil
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// writeLoop sends all that is queued in one write.
func (c *Conn) writeLoop() error {
	var b []byte
	for range c.wake {
		c.mu.Lock()
		if c.err != nil {
			c.mu.Unlock()
			return c.err
		}
		b, c.out = c.out, b[:0]
		c.mu.Unlock()
		if _, err := c.nc.Write(b); err != nil {
			return fmt.Errorf("wire: write: %w", err)
		}
	}
	return nil
}

func (c *Conn) readLoop(r *bufio.Reader) error {
	for {
		b, err := c.readFrame(r)
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
				c.event(e, h.Zxid)
			}
			continue
		}
		if err := c.answer(&h, &d); err != nil {
			return err
		}
	}
}

// answer completes the call that a reply is for: the oldest with that xid. Only auth is answered ahead of others.
func (c *Conn) answer(h *proto.ReplyHeader, d *jute.Decoder) error {
	c.mu.Lock()
	i := 0
	for i < len(c.calls) && c.calls[i].Xid != h.Xid {
		i++
	}
	if i == len(c.calls) {
		c.mu.Unlock()
		return fmt.Errorf("wire: reply to xid %d, which was not sent: %w", h.Xid, ErrFrame)
	}
	call := c.calls[i]
	if i == 0 {
		c.calls = c.calls[1:]
	} else {
		c.calls = append(c.calls[:i], c.calls[i+1:]...)
	}
	c.mu.Unlock()
	call.Zxid = h.Zxid
	switch {
	case h.Err != proto.OK:
		call.Err = h.Err
	case call.reply != nil:
		if err := call.reply.Decode(d); err != nil {
			call.Err = fmt.Errorf("wire: reply to %v: %w", call.Op, err)
		}
	}
	close(call.Done)
	return nil
}
