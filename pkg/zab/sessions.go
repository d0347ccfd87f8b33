package zab

import (
	"cmp"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
)

// watchSessions keeps the sessions in step with what is committed.
func (n *Node) watchSessions(e txn.Entry) {
	if len(e.Bytes) < txn.HeaderSize {
		return
	}
	switch h, _ := txn.DecodeHeader(e.Bytes); h.Type {
	case proto.OpCreateSession:
		d := jute.NewDecoder(e.Bytes[txn.HeaderSize:])
		timeout := time.Duration(d.Int()) * time.Millisecond
		if n.lead != nil {
			n.sessions.Touch(h.Session, timeout, n.now)
		} else if n.follow != nil {
			if n.fresh == nil {
				n.fresh = make(map[int64]time.Duration)
			}
			n.fresh[h.Session] = timeout
		}
	case proto.OpCloseSession:
		n.sessions.Forget(h.Session)
		delete(n.fresh, h.Session)
	}
}

// expire asks for the end of every session that has been silent for too long.
func (n *Node) expire(ef *Effects) {
	for _, id := range n.sessions.Expire(n.now, n.cfg.Clients.Heard) {
		n.cfg.Clients.Expiring(id)
		if n.lead != nil {
			n.Stats.Expired++
			n.admit(&proto.Request{Session: id, Op: proto.OpCloseSession}, session.Self, ef)
		}
	}
}

// onTouches takes the sessions that a learner has heard of.
func (n *Node) onTouches(data []byte) {
	if !n.lead.ready {
		return // each has its whole timeout before it
	}
	eachTouch(data, func(t session.Touch) {
		if n.sessions.Has(t.ID) {
			n.sessions.Touch(t.ID, t.Timeout, n.now)
		}
	})
}

// touches returns what a learner tells its leader: the sessions heard of here, and once those that are new anywhere.
func (n *Node) touches() []session.Touch {
	ts := n.cfg.Clients.Touched(nil)
	if len(n.fresh) == 0 {
		return ts
	}
	for id, timeout := range n.fresh {
		ts = append(ts, session.Touch{ID: id, Timeout: timeout})
	}
	clear(n.fresh)
	slices.SortStableFunc(ts, func(a, b session.Touch) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(ts, func(a, b session.Touch) bool { return a.ID == b.ID })
}

// move makes a server the owner of a session whose client has come to it.
func (n *Node) move(t session.Touch, origin int64) bool {
	ok := n.sessions.Move(t.ID, origin, t.Timeout, n.now)
	if ok {
		n.Stats.SessionsMoved++
	}
	return ok
}

// onRevalidate asks, or says, whether a session lives whose client has come to us. A server that does not serve has no
// answer: a no would tell the client that its session has expired.
func (n *Node) onRevalidate(t session.Touch, ef *Effects) {
	switch {
	case n.lead != nil && n.serving:
		ef.Validated = append(ef.Validated, Validation{t.ID, n.move(t, session.Self)})
	case n.follow != nil && n.serving:
		n.follow.asked = append(n.follow.asked, t.ID)
		ef.Send = append(ef.Send, Envelope{n.follow.link, validateRequest(t)})
	}
}

// onValidate answers a learner's question.
func (n *Node) onValidate(x *learner, p *Packet, ef *Effects) {
	if len(p.Data) < touchSize {
		n.turnAway(x, ef, "REVALIDATE of %d bytes", len(p.Data))
		return
	}
	n.Stats.Revalidated++
	d := jute.NewDecoder(p.Data)
	t := session.Touch{ID: d.Long(), Timeout: time.Duration(d.Int()) * time.Millisecond}
	n.send(x, validateAnswer(t.ID, n.move(t, int64(x.link))), ef)
}

// SessionsDue returns the ids of the sessions that are tracked, by when they are due; nil if others track them.
func (n *Node) SessionsDue() map[time.Duration][]int64 {
	if n.lead == nil {
		return nil
	}
	return n.sessions.Due()
}
