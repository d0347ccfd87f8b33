package pipeline

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

const timeout = 10 * time.Second

// rig is a pipeline whose replicator is the test: what clients ask for waits until it is committed.
type rig struct {
	t testing.TB
	p *Pipeline

	loop sync.Mutex // held by whoever plays the peer loop; guards last
	last proto.Zxid

	mu       sync.Mutex // guards what follows
	requests []*proto.Request
	asked    []session.Touch
	applied  []proto.Zxid
	wake     chan struct{} // for the loop that commits at once; nil if there is none
}

func newRig(t testing.TB) *rig {
	start, tr := time.Now(), tree.New()
	r := &rig{t: t, last: proto.MakeZxid(1, 0)}
	r.p = New(Config{
		Tree: tr, Prepper: prep.New(tr, prep.Options{Digest: true, Ensemble: true}), IDs: session.NewIDs(1, 0),
		Clock: func() time.Duration { return time.Since(start) }, WallMillis: func() int64 { return 1000 },
		Limits: Limits{Outstanding: 1000}, EventBytes: 1 << 20,
	})
	r.p.Connect(r)
	go r.p.Run()
	t.Cleanup(func() {
		if !r.p.stopped() {
			r.p.Stop()
		}
		r.p.Close()
	})
	return r
}

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t)) })
}

func (r *rig) Submit(rs []*proto.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, rs...)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// deliver has the pipeline apply what is committed.
func (r *rig) deliver(ds []txn.Delivery) {
	r.p.Deliver(ds)
	r.p.Apply()
}

// Drive has nothing to do: commit says when.
func (r *rig) Drive() {}

// commitAtOnce lets every request be through.
func (r *rig) commitAtOnce() {
	wake := make(chan struct{}, 1)
	r.mu.Lock()
	r.wake = wake
	r.mu.Unlock()
	go func() {
		for range wake {
			r.commit(-1)
		}
	}()
	r.t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		close(wake)
		r.wake = nil
	})
}

func (r *rig) Revalidate(id int64, timeout time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, session.Touch{ID: id, Timeout: timeout})
}

func (r *rig) Applied(z proto.Zxid) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = append(r.applied, z)
}

// commit lets the oldest n requests be through, in order; -1 = all.
func (r *rig) commit(n int) {
	r.loop.Lock()
	defer r.loop.Unlock()
	r.mu.Lock()
	if n < 0 {
		n = len(r.requests)
	}
	qs := r.requests[:n]
	r.requests = r.requests[n:]
	r.mu.Unlock()
	ds := make([]txn.Delivery, n)
	for i, q := range qs {
		if q.Op == proto.OpSync {
			ds[i].Sync = q
		} else {
			ds[i].Entry = r.entry(q)
		}
	}
	r.deliver(ds)
}

// entry prepares a request, whoever it is from.
func (r *rig) entry(q *proto.Request) txn.Entry {
	r.last++
	return r.p.Prepare(nil, []txn.Slot{{Zxid: r.last, Request: q}})[0]
}

// waiting returns the numbers of the requests that are not committed.
func (r *rig) waiting() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := ""
	for _, q := range r.requests {
		out += fmt.Sprintf("%d ", q.Xid)
	}
	return out
}

// serve lets clients in, for as long as they like.
func (r *rig) serve() {
	r.p.Serve()
	r.p.Extend(1<<63 - 1)
	synctest.Wait()
}

// conn is a client's socket: what it was sent is there to be read.
type conn struct {
	mu     sync.Mutex
	out    []byte
	closed bool
	during func() // once, while the apply loop writes
}

func (c *conn) TryWrite(b []byte) (int, error) {
	if f := c.during; f != nil {
		c.during = nil
		f()
	}
	return c.Write(b)
}

func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, fmt.Errorf("closed")
	}
	c.out = append(c.out, b...)
	return len(b), nil
}

func (c *conn) Gone() bool { return false }

func (c *conn) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
}

// user is a client and its reading goroutine, which the test gives its turns.
type user struct {
	*Client
	rig  *rig
	conn *conn
	busy sync.WaitGroup
}

func (r *rig) dial() *user {
	u := &user{rig: r, conn: &conn{}}
	u.Client = r.p.NewClient(u.conn, "127.0.0.1", false)
	return u
}

// open gives a new user a session.
func (r *rig) open() *user {
	r.t.Helper()
	u := r.dial()
	u.turn(func() {
		if !r.p.Admit(u.Client) || !r.p.Open(u.Client, timeout) {
			r.t.Error("no new session")
		}
	})
	synctest.Wait()
	r.commit(1)
	u.busy.Wait()
	synctest.Wait()
	if got := u.read(); got != fmt.Sprintf("welcome %#x ", u.SessionID()) {
		r.t.Fatalf("a new session: %q", got)
	}
	return u
}

// attach shows a session's password on a new connection; done tells how that ended.
func (r *rig) attach(id int64, password []byte) (u *user, done func() bool) {
	u = r.dial()
	ok := false
	u.turn(func() {
		ok = r.p.Admit(u.Client) && r.p.Attach(u.Client, id, password, timeout)
		if ok {
			u.Idle()
		} else {
			u.Finish()
		}
	})
	synctest.Wait()
	return u, func() bool { u.busy.Wait(); synctest.Wait(); return ok }
}

func (u *user) turn(f func()) {
	u.busy.Add(1)
	go func() {
		defer u.busy.Done()
		f()
	}()
}

// frame is a request without its length.
func frame(xid int32, op proto.Op, body []byte) []byte {
	h := proto.RequestHeader{Xid: xid, Op: op}
	return append(h.AppendTo(nil), body...)
}

// say sends frames at once, and waits until nothing more happens.
func (u *user) say(frames ...[]byte) {
	u.turn(func() {
		u.Begin()
		for _, f := range frames {
			if _, err := u.Handle(f); err != nil {
				u.rig.t.Error(err)
			}
		}
		u.Idle()
	})
	synctest.Wait()
}

// read takes what the user was told: each reply as number and code, each event with its path, and at the end whether the
// connection is closed.
func (u *user) read() string {
	u.conn.mu.Lock()
	defer u.conn.mu.Unlock()
	out, b := "", u.conn.out
	u.conn.out = nil
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint32(b))
		out += describe(b[4:4+n]) + " "
		b = b[4+n:]
	}
	if u.conn.closed {
		out += "closed"
	}
	return out
}

func describe(b []byte) string {
	d := jute.NewDecoder(b)
	var w proto.ConnectResponse
	if len(b) == 36 && w.Decode(&d) == nil && len(w.Password) == 16 { // without the flag for read-only
		if w.SessionID == 0 {
			return "refused"
		}
		return fmt.Sprintf("welcome %#x", w.SessionID)
	}
	d = jute.NewDecoder(b)
	var h proto.ReplyHeader
	if err := h.Decode(&d); err != nil {
		return err.Error()
	}
	switch {
	case h.Xid == proto.XidNotification:
		var e proto.WatcherEvent
		_ = e.Decode(&d)
		return "event" + e.Path
	case h.Err != proto.OK:
		return fmt.Sprintf("%d!%d", h.Xid, h.Err)
	}
	return fmt.Sprint(h.Xid)
}

func get(path string, watch bool) []byte {
	return (&proto.ReadRequest{Path: path, Watch: watch}).AppendTo(nil)
}

func set(path string) []byte {
	return (&proto.SetDataRequest{Path: path, Data: []byte("x"), Version: -1}).AppendTo(nil)
}

func create(path string, flags int32) []byte {
	return (&proto.CreateRequest{Path: path, ACL: proto.WorldAll(), Flags: flags}).AppendTo(nil)
}

func passwordOf(id int64) []byte {
	pw := session.Password(id)
	return pw[:]
}

// expect compares what a user was told.
func (u *user) expect(t testing.TB, when, want string) {
	t.Helper()
	if got := u.read(); got != want {
		t.Fatalf("%s: told %q, want %q", when, got, want)
	}
}
