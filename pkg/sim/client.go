package sim

import (
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
)

// A client has one session at a time, and one connection for it: it moves on to another server when that breaks, or
// because it likes to.
type client struct {
	w     *World
	n     int
	place int

	host      *host // where it is connected
	e         *end
	attempt   int // counts connections; what belongs to an older one is void
	connected bool
	session   int64
	timeout   time.Duration
	since     time.Duration // of the connection
	began     bool          // its session was acknowledged to it
	seen      proto.Zxid    // the newest zxid of any reply
	heard     time.Duration // of the server
	xid       int32
	sent      []*request
	watches   []*armed
	leaving   bool // closeSession was sent
	values    int
}

func newClient(w *World, n int) *client {
	return &client{w: w, n: n, place: len(w.hosts) + n}
}

func (c *client) String() string { return fmt.Sprintf("client %d", c.n) }

// connect tries the next server.
func (c *client) connect() {
	w := c.w
	if w.err != nil || c.e != nil {
		return
	}
	c.attempt++
	attempt := c.attempt
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	retry := func() { w.after(w.between(5*time.Millisecond, w.profile.retry), c.connect) }
	w.after(w.net.delay(c.place, h.place), func() {
		if attempt != c.attempt || c.e != nil {
			return
		}
		if !h.on || h.p == nil || h.p.stopped {
			retry()
			return
		}
		if c.session != 0 && c.host != h {
			w.Stats.ClientsMoved++
		}
		mine, theirs := w.net.join(c.place, h.place)
		c.e, c.host, c.connected, c.heard = mine, h, false, w.now
		mine.owner = &clientEnd{c, mine}
		h.p.service.accept(theirs)
		c.greet()
		c.watchOver(attempt)
	})
}

// greet sends the handshake.
func (c *client) greet() {
	if c.session == 0 {
		c.timeout = c.w.between(c.w.profile.sessionTimeout/2, c.w.profile.sessionTimeout).Truncate(time.Millisecond)
	}
	q := proto.ConnectRequest{LastZxidSeen: c.seen, Timeout: int32(c.timeout / time.Millisecond), SessionID: c.session}
	if c.session != 0 {
		pw := session.Password(c.session)
		q.Password = pw[:]
	}
	c.e.send(whole, q.AppendTo(nil))
}

// watchOver sends pings, and gives a silent server up.
func (c *client) watchOver(attempt int) {
	c.w.after(c.timeout/4, func() {
		if attempt != c.attempt || c.e == nil {
			return
		}
		if c.w.now-c.heard > c.timeout*2/3 {
			c.disconnect()
			return
		}
		if c.connected && len(c.sent) == 0 {
			c.send(&request{op: proto.OpPing})
		}
		c.watchOver(attempt)
	})
}

// disconnect gives the connection up and looks for another.
func (c *client) disconnect() {
	if c.e == nil {
		return
	}
	e := c.e
	c.e = nil
	e.close()
	c.lost()
}

// lost is what the end of a connection means: of what has no answer nobody knows what becomes of it.
func (c *client) lost() {
	c.connected, c.e = false, nil
	c.w.Stats.Unknown += len(c.sent)
	c.sent = nil
	if c.leaving {
		c.reset()
	}
	c.w.after(c.w.between(time.Millisecond, c.w.profile.retry), c.connect)
}

// reset forgets the session.
func (c *client) reset() {
	c.session, c.began, c.seen, c.xid, c.watches, c.leaving = 0, false, 0, 0, nil, false
}

// A clientEnd is one connection of a client.
type clientEnd struct {
	c *client
	e *end
}

func (x *clientEnd) closed(bool) {
	if x.c.e == x.e {
		x.c.lost()
	}
}

// received takes frames; there are several where setWatches is answered.
func (x *clientEnd) received(f frame) {
	c := x.c
	d := jute.NewDecoder(f.data)
	for d.Len() > 0 && c.e == x.e && c.w.err == nil {
		body := jute.NewDecoder(d.Buffer())
		if d.Err() != nil {
			c.w.fail("%v gets %d bytes that are no frames: %v", c, len(f.data), d.Err())
			return
		}
		c.take(&body)
	}
}

// take takes one frame.
func (c *client) take(d *jute.Decoder) {
	c.heard = c.w.now
	if !c.connected {
		c.welcomed(d)
		return
	}
	var h proto.ReplyHeader
	if err := h.Decode(d); err != nil {
		c.w.fail("%v: %v", c, err)
		return
	}
	if h.Xid == proto.XidNotification {
		c.notified(h.Zxid, d)
		return
	}
	c.answered(h, d)
}

// welcomed takes the answer to the handshake.
func (c *client) welcomed(d *jute.Decoder) {
	w := c.w
	var r proto.ConnectResponse
	if err := r.Decode(d); err != nil {
		w.fail("%v: %v", c, err)
		return
	}
	if w.tracing() {
		w.tracef("%v at %v: session %x", c, c.host, r.SessionID)
	}
	w.mix(0xc0, uint64(c.n), uint64(r.SessionID))
	switch {
	case r.SessionID == 0 && c.session == 0:
		w.fail("%v asks for a session and gets none", c)
		return
	case r.SessionID == 0:
		w.checkRefused(c)
		c.reset()
		c.disconnect()
		return
	case c.session != 0 && r.SessionID != c.session:
		w.fail("%v asks for session %x and gets %x", c, c.session, r.SessionID)
		return
	}
	if c.session == 0 {
		w.checkNewSession(c, r.SessionID)
	}
	c.session, c.connected, c.began, c.since = r.SessionID, true, true, w.now
	c.rearm()
	c.think(c.attempt)
}

// think sends the next requests after a while, again and again.
func (c *client) think(attempt int) {
	w := c.w
	d := w.upTo(2 * w.profile.think)
	if w.quiet {
		return
	}
	w.after(d, func() {
		if attempt != c.attempt || !c.connected || w.quiet {
			return
		}
		n := 1
		if w.chance(4) {
			n += w.rng.IntN(3)
		}
		for range n {
			if len(c.sent) < 6 && !c.leaving {
				c.send(c.draw())
			}
		}
		c.think(attempt)
	})
}

// send sends a request.
func (c *client) send(r *request) {
	w := c.w
	c.xid++
	r.xid, r.tip = c.xid, len(w.history.committed)
	switch r.op {
	case proto.OpPing:
		c.xid--
		r.xid = proto.XidPing
	case proto.OpSetWatches:
		c.xid--
		r.xid = proto.XidSetWatches
	case proto.OpCloseSession:
		c.leaving = true
	}
	if w.tracing() {
		w.tracef("%v asks %v for %v", c, c.host, r)
	}
	w.mix(uint64(c.n), uint64(r.xid), uint64(r.op))
	h := proto.RequestHeader{Xid: r.xid, Op: r.op}
	c.sent = append(c.sent, r)
	c.e.send(whole, append(h.AppendTo(nil), r.body()...))
	w.Stats.Requests++
}
