package pipeline

import (
	"sync"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/tree"
)

// output is what is on its way to a client. Whoever flushes takes all that is queued; while somebody does, others only
// queue. An idle client holds no buffer.
type output struct {
	mu       sync.Mutex
	pool     *sync.Pool // of *[]byte
	drained  sync.Cond  // signalled when a flush ends
	buf      []byte
	events   int  // bytes of notifications in buf
	reads    int  // replies to reads in buf, which leave only while the term's lease holds
	held     int  // how many of those had to wait, and are counted
	flushing bool // somebody is writing and will take what is queued meanwhile
	last     bool // nothing follows: close behind the last byte
	failed   bool
	tally    tally
}

// highWater is how much may be queued before the client's own reader waits for it to be sent.
const highWater = 256 << 10

// Buffers between these sizes are used again.
const (
	minBuffer = 4 << 10
	maxBuffer = highWater
)

func newBufferPool() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, 0, minBuffer); return &b }}
}

// begin locks the output and returns its buffer to append to.
func (o *output) begin() []byte {
	o.mu.Lock()
	if o.buf == nil {
		o.buf = *o.pool.Get().(*[]byte)
	}
	return o.buf
}

// end stores the buffer and unlocks.
func (o *output) end(b []byte) int {
	if o.failed {
		b = b[:0]
	}
	o.buf = b
	o.mu.Unlock()
	return len(b)
}

// endReply stores the buffer with the reply to a request at its end, and unlocks.
func (o *output) endReply(b []byte, req *proto.Request, z proto.Zxid) (queued, size int) {
	size = len(b) - len(o.buf)
	o.tally.reply(req, z, size-4)
	return o.end(b), size
}

// read answers a read; it returns the number of bytes queued, and of those that answer it.
func (o *output) read(r *serve.Reader, req *proto.Request) (queued, size int) {
	b := o.begin()
	o.reads++
	return o.endReply(r.Append(b, req), req, r.Tree.LastZxid())
}

// sync answers a sync.
func (o *output) sync(req *proto.Request, z proto.Zxid) {
	o.endReply(serve.AppendSync(o.begin(), req, z), req, z)
}

// write answers a write.
func (o *output) write(req *proto.Request, res *tree.Result) {
	o.endReply(serve.AppendWrite(o.begin(), req, res), req, res.Zxid)
}

// refuse answers a request without a record.
func (o *output) refuse(xid int32, z proto.Zxid, code proto.Code) {
	b := o.begin()
	o.tally.frame()
	o.end(serve.AppendError(b, xid, z, code))
}

// sasl answers a token by none.
func (o *output) sasl(xid int32) {
	o.end(serve.AppendNoToken(o.begin(), xid))
}

// forbid answers a write by what was read.
func (o *output) forbid(xid int32, code proto.Code) {
	b := o.begin()
	o.reads++
	o.end(serve.AppendError(b, xid, 0, code))
}

// notify queues a notification; false if more than limit bytes of them wait already.
func (o *output) notify(event []byte, limit int) bool {
	b := o.begin()
	o.events += len(event)
	o.tally.frame()
	ok := o.events <= limit
	o.end(append(b, event...))
	return ok
}

// connect answers a handshake. The zero response is a refusal.
func (o *output) connect(r *proto.ConnectResponse) {
	if r.Password == nil {
		r.Password = make([]byte, proto.PasswordSize)
	}
	b := o.begin()
	o.tally.frame()
	o.end(serve.AppendConnect(b, r))
}

// finish lets nothing follow what is queued.
func (o *output) finish() {
	o.mu.Lock()
	o.last = true
	o.mu.Unlock()
}

// take gives the queued bytes to the one who flushes; nil when there are none, which ends the flush.
func (o *output) take() []byte {
	if len(o.buf) == 0 || o.failed {
		o.flushing = false
		if o.buf != nil {
			o.recycle(o.buf)
			o.buf = nil
		}
		o.drained.Broadcast()
		return nil
	}
	b := o.buf
	o.buf, o.events, o.reads = nil, 0, 0
	return b
}

// fail says that nothing can be sent any more.
func (o *output) fail() {
	o.mu.Lock()
	o.failed = true
	o.mu.Unlock()
}

func (o *output) recycle(b []byte) {
	if cap(b) >= minBuffer && cap(b) <= maxBuffer {
		b = b[:0]
		o.pool.Put(&b)
	}
}

// take gives the queued bytes to the one who flushes; none end the flush. held: there are replies to reads among them
// that must not leave yet, whoever has put them there. The lease is looked at behind the reads. The output is locked.
func (c *Client) take() (b []byte, held bool) {
	o := &c.out
	if o.reads > 0 && !o.failed {
		held = !c.term.mayRead(c.p.cfg.Clock)
		if held || o.held > 0 {
			c.p.Stats.ReadsHeld.Add(int64(o.reads - o.held))
			o.held = o.reads
		}
		if held {
			return nil, true
		}
		o.held = 0
	}
	if len(o.buf) > 0 && !o.failed {
		o.tally.tell(&c.p.Stats, len(o.buf), o.events)
	}
	return o.take(), false
}

// claim makes the caller the one who flushes, if there is something to send and nobody else is at it. The output is
// locked.
func (c *Client) claim() (b []byte, held bool) {
	if c.out.flushing {
		return nil, false
	}
	c.out.flushing = true
	return c.take()
}

// sent gives a written buffer back and takes what was queued meanwhile.
func (c *Client) sent(b []byte, err error) (next []byte, held bool) {
	o := &c.out
	o.recycle(b)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = o.failed || err != nil
	return c.take()
}

// flush sends what is queued and waits for the socket. When somebody else is at it, it waits only above the high-water
// mark: a client that does not read is read no further.
func (c *Client) flush() {
	o := &c.out
	o.mu.Lock()
	for o.flushing && len(o.buf) > highWater && !o.failed {
		o.drained.Wait()
	}
	b, held := c.claim()
	o.mu.Unlock()
	c.send(b, held)
}

// send writes b, which was claimed, and all that is queued meanwhile. What is held it waits for.
func (c *Client) send(b []byte, held bool) {
	for b != nil || held {
		if held {
			b, held = c.awaitLease()
			continue
		}
		_, err := c.tr.Write(b)
		b, held = c.sent(b, err)
	}
	c.closeIfLast()
}

// awaitLease waits until what is held may leave, and takes it. Without hope for that the connection ends.
func (c *Client) awaitLease() (b []byte, held bool) {
	if !c.term.await(c.p.cfg.Clock, c.p.stop) {
		c.out.fail()
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.take()
}

// tryFlush sends what may leave and the socket takes at once; the rest goes to a goroutine that waits.
func (c *Client) tryFlush() {
	o := &c.out
	o.mu.Lock()
	b, held := c.claim()
	o.mu.Unlock()
	for b != nil {
		n, err := c.tr.TryWrite(b)
		if err == nil && n < len(b) {
			go c.send(b[n:], false)
			return
		}
		b, held = c.sent(b, err)
	}
	if held {
		go c.send(nil, true)
		return
	}
	c.closeIfLast()
}

// waitSent waits until nobody is sending any more.
func (o *output) waitSent() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.flushing {
		o.drained.Wait()
	}
}

// closeIfLast closes the connection once everything that was to be said has been sent.
func (c *Client) closeIfLast() {
	o := &c.out
	o.mu.Lock()
	last := (o.last || o.failed) && !o.flushing && len(o.buf) == 0
	o.mu.Unlock()
	if last {
		c.tr.Close()
	}
}
