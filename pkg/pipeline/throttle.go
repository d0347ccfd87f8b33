package pipeline

import (
	"errors"
	"time"

	"github.com/zabd/zabd/pkg/limit"
	"github.com/zabd/zabd/pkg/proto"
)

// Limits bound what clients may have under way together.
type Limits struct {
	Outstanding int            // requests that may wait before a client with one of its own is read no further; 0 = any
	Requests    limit.Requests // none are held back if Most is 0
}

// SetLimits changes the limits.
func (p *Pipeline) SetLimits(l Limits) {
	p.outstanding.Store(int64(l.Outstanding))
	if r := l.Requests; r.Most > 0 {
		p.requests.Store(&r)
	} else {
		p.requests.Store(nil)
	}
	p.makeRoom()
}

// waitForRoom waits while the client has requests outstanding and the server has too many.
func (p *Pipeline) waitForRoom(c *Client) {
	crowded := func() bool {
		limit := p.outstanding.Load()
		return limit > 0 && p.Stats.Outstanding.Load() > limit && c.pending.Load() > 0 && !p.stopped()
	}
	p.waitWhile(crowded)
}

// Crowded returns how many clients are not read, because too many requests are outstanding.
func (p *Pipeline) Crowded() int { return int(p.crowded.Load()) }

// waitWhileLocked is waitWhile for what is guarded by p.room.
func (p *Pipeline) waitWhileLocked(holds func() bool) {
	p.crowded.Add(1)
	p.room.Lock()
	for holds() {
		p.roomy.Wait()
	}
	p.room.Unlock()
	p.crowded.Add(-1)
}

// waitWhile waits while something holds that fewer outstanding requests, or the end, put an end to.
func (p *Pipeline) waitWhile(holds func() bool) {
	if !holds() {
		return
	}
	p.waitWhileLocked(holds)
}

// WaitAnswered returns when nothing waits that this client has asked for.
func (c *Client) WaitAnswered() {
	c.p.waitWhile(func() bool { return c.pending.Load() > 0 && !c.p.stopped() })
}

// errStale ends the connection of a request that nobody waits for any more.
var errStale = errors.New("pipeline: the request is stale")

// handleThrottled is dispatch where requests may have to wait.
func (c *Client) handleThrottled(r *limit.Requests, h proto.RequestHeader, body []byte) (done bool, err error) {
	late, err := c.throttle(r, h.Op)
	switch {
	case err != nil:
		return true, err
	case late:
		c.read(proto.RequestHeader{Xid: h.Xid, Op: proto.OpError}, nil)
	default:
		done, err = c.dispatch(h, body)
	}
	c.unreserve()
	return done, err
}

// throttle has a request wait until fewer are outstanding, and reserves its place among them. It tells whether the
// request has waited too long to be carried out.
func (c *Client) throttle(r *limit.Requests, op proto.Op) (late bool, err error) {
	p := c.p
	if p.reserve(r.Most) {
		c.reserved = true
		return false, nil
	}
	c.handOver() // what this client has sent before may be what it waits for
	p.Stats.Throttled.Add(1)
	timeout := c.Timeout()
	for !p.stopped() {
		if r.DropStale && r.Stale(p.cfg.Clock()-c.now, timeout, c.isGone) {
			p.Stats.Stale.Add(1)
			p.Stats.StaleDropped.Add(1)
			return false, errStale
		}
		if p.reserve(r.Most) {
			c.reserved = true
			break
		}
		p.stall(r)
	}
	waited := p.cfg.Clock() - c.now
	p.Stats.ThrottleTime.Observe(waited.Milliseconds())
	if r.Late(waited) && op != proto.OpCloseSession && op != proto.OpCreateSession {
		p.Stats.ThrottledOps.Add(1)
		return true, nil
	}
	return false, nil
}

func (c *Client) isGone() bool { return c.gone.Load() || c.tr.Gone() }

// reserve counts one more outstanding request, unless there are as many as there may be.
func (p *Pipeline) reserve(most int) bool {
	for {
		n := p.Stats.Outstanding.Load()
		if n >= int64(most) {
			return false
		}
		if p.Stats.Outstanding.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unreserve gives back the place of a request that did not have to wait for anything.
func (c *Client) unreserve() {
	if c.reserved {
		c.reserved = false
		c.p.Stats.Outstanding.Add(-1)
		c.p.makeRoom()
	}
}

// stall waits until fewer requests are outstanding, but not for longer than a step.
func (p *Pipeline) stall(r *limit.Requests) {
	over := false // guarded by p.room
	t := time.AfterFunc(r.Stall, func() {
		p.room.Lock()
		over = true
		p.roomy.Broadcast()
		p.room.Unlock()
	})
	defer t.Stop()
	p.waitWhileLocked(func() bool { return !over && p.Stats.Outstanding.Load() >= int64(r.Most) && !p.stopped() })
}
