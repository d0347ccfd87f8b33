package client

import (
	"context"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// A Future is a call that has been made and will have a result.
type Future[T any] struct {
	call
	value T
}

// Wait waits for the result. When ctx ends first, a call that has not been sent yet is withdrawn; a change that has been
// is an *UncertainError.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	f.await(ctx)
	select {
	case <-f.done:
		return f.value, f.err
	default:
		var none T
		return none, f.abandoned(ctx.Err())
	}
}

// Done returns a channel that is closed when there is a result, which Wait then returns at once.
func (f *Future[T]) Done() <-chan struct{} { return f.done }

// Then has fn called with the result. The callbacks of a client, those of watches too, run one at a time, in the order of
// what they tell, on a goroutine of their own: they may make calls and wait for them.
func (f *Future[T]) Then(fn func(T, error)) {
	f.then(func() { fn(f.value, f.err) })
}

// do makes the call and waits for its result.
func (f *Future[T]) do(ctx context.Context) (T, error) {
	if err := ctx.Err(); err != nil {
		var none T
		return none, &Error{Op: f.op, Path: f.path, Code: proto.OperationTimeout, Err: err}
	}
	f.start()
	return f.Wait(ctx)
}

// begin makes the call.
func (f *Future[T]) begin() *Future[T] {
	f.start()
	return f
}

// call is what a connection sees of a Future. It belongs to exactly one of: who makes it, the client's list of those that
// wait for a connection, a connection.
type call struct {
	c      *Client
	op     proto.Op
	path   string // as the caller gave it
	record wire.Record
	weight int // bytes that the record has at least
	// decode takes the body of a reply, which is valid during the call only. nil where there is nothing in it.
	decode  func(d *jute.Decoder) error
	watcher *watcher // to be registered when the server has

	seq   uint64
	lost  int       // how often it was sent and lost
	since time.Time // it waits for a connection
	began time.Time // set if it is measured

	done chan struct{} // closed when err and the value are set
	err  error
	mu   sync.Mutex // guards next
	next []func()   // to be called after done; nil after
}

// future prepares a call. decode puts the reply's body into the value.
func future[T any](c *Client, op proto.Op, path string, record wire.Record, decode func(d *jute.Decoder, v *T) error) *Future[T] {
	f := &Future[T]{}
	f.c, f.op, f.path, f.record, f.done = c, op, path, record, make(chan struct{})
	if decode != nil {
		f.decode = func(d *jute.Decoder) error { return decode(d, &f.value) }
	}
	return f
}

// start sends the call, or has it wait for a connection. One that cannot succeed fails at once.
func (k *call) start() {
	c := k.c
	if c.o.Metrics.Call != nil {
		k.began = time.Now()
	}
	if k.err != nil { // found while it was prepared
		k.fail(k.err)
		return
	}
	if limit := c.o.MaxRequest; k.weight > limit/2 {
		if n := len(k.AppendTo(make([]byte, 8, k.weight+1024))); n > limit {
			k.fail(&TooLargeError{n, limit})
			return
		}
	}
	k.seq = c.seq.Add(1)
	if conn := c.conn.Load(); conn != nil && conn.Send(k.op, k) == nil {
		return
	}
	c.wait(k)
}

// wait sends the call after all if there is a connection by now, or puts it with those that wait for one.
func (c *Client) wait(k *call) {
	c.mu.Lock()
	if err := c.final; err != nil {
		c.mu.Unlock()
		k.fail(err)
		return
	}
	if conn := c.conn.Load(); conn == nil || conn.Send(k.op, k) != nil {
		k.since = time.Now()
		c.waiting = append(c.waiting, k)
		if c.patience == nil {
			c.patience = time.AfterFunc(c.timeout, c.loseCalls)
		} else if len(c.waiting) == 1 {
			c.patience.Reset(c.timeout)
		}
	}
	c.mu.Unlock()
}

// loseCalls fails what has waited for a connection for too long.
func (c *Client) loseCalls() {
	c.mu.Lock()
	now := time.Now()
	var late, rest []*call
	for _, k := range c.waiting {
		if now.Sub(k.since) >= c.timeout {
			late = append(late, k)
		} else {
			rest = append(rest, k)
		}
	}
	c.waiting = rest
	if len(rest) > 0 {
		c.patience.Reset(c.timeout - now.Sub(rest[0].since))
	}
	c.mu.Unlock()
	for _, k := range late {
		k.fail(c.whyNot(nil))
	}
}

// withdraw takes a call out of those that wait; false if it is not there.
func (c *Client) withdraw(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.waiting {
		if w == k {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// AppendTo encodes the request.
func (k *call) AppendTo(dst []byte) []byte {
	if k.record == nil {
		return dst
	}
	return k.record.AppendTo(dst)
}

// maxLost is how often a read is sent again: what loses every connection may be the read.
const maxLost = 4

// Answer takes the reply, or the end of the connection.
func (k *call) Answer(z proto.Zxid, body []byte, err error) {
	k.c.seen(z)
	if l, ok := err.(*wire.LostError); ok {
		loss := &LossError{k.c.Server(), l.Err}
		switch {
		case !l.Sent:
			k.c.wait(k)
		case changes(k.op):
			k.finish(&UncertainError{k.op, k.path, loss})
		case k.lost >= maxLost:
			k.fail(loss)
		default:
			k.lost++
			k.c.wait(k)
		}
		return
	}
	missing := k.op == proto.OpExists && err == ErrNoNode // no error, and a watch is left all the same
	if w := k.watcher; w != nil && !w.gone.Load() && (err == nil || missing) {
		if missing {
			w.kind = existWatch
		}
		k.c.watches.add(w)
	}
	if missing {
		k.finish(nil)
		return
	}
	if err == nil && k.decode != nil {
		d := jute.NewDecoder(body)
		err = k.decode(&d)
	}
	if err == ErrAuthFailed && k.op == proto.OpAuth { // the server hangs up behind it: what is asked next must not go there
		k.c.mu.Lock() // prime may have sent it, and not be done
		conn := k.c.conn.Load()
		k.c.mu.Unlock()
		if conn != nil {
			conn.Fail(ErrAuthFailed)
		}
	}
	if err != nil {
		k.fail(err)
		return
	}
	k.finish(nil)
}

// changes tells whether it matters that an operation is not done twice.
func changes(op proto.Op) bool { return op.IsWrite() }

// fail ends the call, which has not happened.
func (k *call) fail(err error) {
	switch e := err.(type) {
	case proto.Code:
		k.finish(&Error{Op: k.op, Path: k.path, Code: e})
	case *TxnError: // which names its operation
		k.finish(e)
	default:
		k.finish(&Error{Op: k.op, Path: k.path, Code: codeOf(err), Err: err})
	}
}

func (k *call) finish(err error) {
	if f := k.c.o.Metrics.Call; f != nil {
		f(k.op, time.Since(k.began), err)
	}
	k.mu.Lock()
	k.err = err
	next := k.next
	k.next = nil
	close(k.done)
	k.mu.Unlock()
	for _, fn := range next {
		k.c.notifier.add(fn)
	}
}

// then has fn called once the call has ended.
func (k *call) then(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.done:
		k.c.notifier.add(fn)
	default:
		k.next = append(k.next, fn)
	}
}

// await returns when the call has ended or ctx has; a call that waits for a connection is then withdrawn.
func (k *call) await(ctx context.Context) {
	select {
	case <-k.done:
	case <-ctx.Done():
		if k.c.withdraw(k) {
			k.finish(&Error{Op: k.op, Path: k.path, Code: proto.OperationTimeout, Err: k.c.whyNot(ctx.Err())})
		}
	}
}

// abandoned is what becomes of a call that was sent and not waited for.
func (k *call) abandoned(err error) error {
	if changes(k.op) {
		return &UncertainError{k.op, k.path, err}
	}
	return &Error{Op: k.op, Path: k.path, Code: proto.OperationTimeout, Err: err}
}

// A notifier calls functions one at a time, in order. It has a goroutine only while there are any.
type notifier struct {
	mu      sync.Mutex
	due     []func()
	running bool
}

func (n *notifier) add(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.due = append(n.due, fn)
	if !n.running {
		n.running = true
		go n.run()
	}
}

func (n *notifier) run() {
	for {
		n.mu.Lock()
		due := n.due
		n.due = nil
		n.running = len(due) > 0
		n.mu.Unlock()
		if len(due) == 0 {
			return
		}
		for _, fn := range due {
			fn()
		}
	}
}
