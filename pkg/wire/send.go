package wire

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// alone is up to how many bytes a lone request is written by the goroutine that makes it: the socket's buffer, empty
// by then, takes so many without waiting.
const alone = 32 << 10

// Send sends a request. An error says that it was not, and will have no Answer: the connection has ended.
func (c *Conn) Send(op proto.Op, req Request) error {
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	at := len(c.out)
	h := proto.RequestHeader{Xid: c.nextXid(op), Op: op}
	c.out = req.AppendTo(h.AppendTo(append(c.out, 0, 0, 0, 0)))
	frame(c.out[at:])
	c.sent = append(c.sent, sent{h.Xid, req})
	c.unsent++
	switch {
	case c.writing:
		c.mu.Unlock()
	case len(c.sent) == 1 && len(c.out) <= alone:
		c.writing = true
		b := c.takeOut(nil)
		c.mu.Unlock()
		c.write(b)
		c.mu.Lock()
		c.written(b)
		c.mu.Unlock()
	default:
		c.writing = true
		c.mu.Unlock()
		c.signal()
	}
	return nil
}

// nextXid numbers a request; those that come in no order with others have numbers of their kind.
func (c *Conn) nextXid(op proto.Op) int32 {
	switch op {
	case proto.OpPing:
		return proto.XidPing
	case proto.OpAuth:
		return proto.XidAuth
	case proto.OpSetWatches, proto.OpSetWatches2:
		return proto.XidSetWatches
	}
	c.xid++
	if c.xid < 0 {
		c.xid = 1
	}
	return c.xid
}

// takeOut takes all that is to be sent and leaves spare, which is empty.
func (c *Conn) takeOut(spare []byte) []byte {
	b := c.out
	c.out, c.unsent = spare, 0
	return b
}

func (c *Conn) write(b []byte) {
	c.writes.Add(1)
	if _, err := c.nc.Write(b); err != nil {
		c.Fail(fmt.Errorf("wire: write: %w", err))
	}
}

// written ends a turn of writing; if more has come meanwhile, the writing goroutine goes on. b is free for use.
func (c *Conn) written(b []byte) {
	if len(c.out) > 0 {
		c.signal()
		return
	}
	c.writing = false
	if c.out == nil && cap(b) <= 2*alone {
		c.out = b[:0]
	}
}

// writeLoop sends all that is queued in one write.
func (c *Conn) writeLoop() {
	var spare []byte
	for range c.wake {
		runtime.Gosched() // who is about to make a request makes it before the write, not after it
		c.mu.Lock()
		if c.err != nil {
			c.mu.Unlock()
			return
		}
		b := c.takeOut(spare)
		c.mu.Unlock()
		if len(b) > 0 {
			c.write(b)
		}
		spare = nil
		if cap(b) <= 1<<20 {
			spare = b[:0]
		}
		c.mu.Lock()
		c.written(nil)
		c.mu.Unlock()
	}
}

// A Reply is a record that can be decoded. It may keep what it is given.
type Reply interface{ Decode(d *jute.Decoder) error }

// A Call is one request on its way. Err and Zxid are set when Done is closed.
type Call struct {
	Op   proto.Op
	Err  error // a proto.Code where the server refused
	Zxid proto.Zxid
	Done chan struct{}

	record Record
	reply  Reply
}

// AppendTo appends the request's record.
func (call *Call) AppendTo(dst []byte) []byte {
	if call.record == nil {
		return dst
	}
	return call.record.AppendTo(dst)
}

// Answer takes the reply.
func (call *Call) Answer(z proto.Zxid, body []byte, err error) {
	call.Zxid, call.Err = z, err
	if lost, ok := err.(*LostError); ok {
		call.Err = lost.Err
	}
	if err == nil && call.reply != nil {
		d := jute.NewDecoder(bytes.Clone(body))
		if err := call.reply.Decode(&d); err != nil {
			call.Err = fmt.Errorf("wire: reply to %v: %w", call.Op, err)
		}
	}
	close(call.Done)
}

// Go sends a request without waiting. req and reply may be nil.
func (c *Conn) Go(op proto.Op, req Record, reply Reply) *Call {
	call := &Call{Op: op, Done: make(chan struct{}), record: req, reply: reply}
	if err := c.Send(op, call); err != nil {
		call.Err = err
		close(call.Done)
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
