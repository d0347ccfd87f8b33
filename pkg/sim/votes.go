package sim

import (
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/zab"
)

// A voteLink is a process's way to one other server's election port: a connection that comes and goes, and one place
// for a message that waits. The newest message takes the place; the last one that was sent is sent again on the next
// connection, if nothing waits. The server with the larger id opens the connection; the smaller one knocks, and is called
// back.
type voteLink struct {
	p       *process
	peer    *host
	e       *end // nil: no connection
	busy    bool // an attempt is under way
	knocked time.Duration
	backoff time.Duration
	retries int  // of them only the newest counts
	writing bool // the place will be looked at
	waiting []byte
	last    []byte
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = time.Second
	callTime     = 500 * time.Millisecond // for a larger id to call back
)

func (p *process) openVoteLinks() {
	for _, h := range p.w.hosts {
		v := &voteLink{p: p, peer: h, backoff: firstBackoff, knocked: -callTime}
		p.votes = append(p.votes, v)
		if h != p.h {
			p.after(0, func() {
				if v.wanted() {
					v.connect()
				}
			})
		}
	}
}

// wanted tells whether a link is kept open, whatever there is to say.
func (v *voteLink) wanted() bool { return v.p.node.Members().IsVoter(v.peer.id) }

// ballot puts a message in the place for its server.
func (p *process) ballot(b election.Ballot) {
	h := p.w.host(b.To)
	if h == nil || h == p.h {
		return
	}
	if p.w.tracing() {
		p.w.tracef("%v > %v  %v %v", p, b.To, b.Note.State, b.Note.Vote)
	}
	p.w.mix(uint64(p.h.id), uint64(b.To), uint64(b.Note.State), uint64(b.Note.Leader), uint64(b.Note.Zxid))
	v := p.votes[h.place]
	v.waiting = b.Note.AppendTo(nil)
	v.write()
	if v.e == nil && !v.wanted() {
		v.connect()
	}
}

// write sends what waits, a moment later.
func (v *voteLink) write() {
	if v.writing || v.e == nil || v.waiting == nil {
		return
	}
	v.writing = true
	v.p.after(v.p.w.upTo(200*time.Microsecond), func() {
		v.writing = false
		if v.e != nil && v.waiting != nil {
			v.last, v.waiting = v.waiting, nil
			v.e.send(whole, v.last)
		}
	})
}

// connect opens a link unless there is one, or is about to be.
func (v *voteLink) connect() {
	p, w, to := v.p, v.p.w, v.peer
	if v.e != nil || v.busy || w.now-v.knocked < callTime {
		v.retry()
		return
	}
	v.busy = true
	p.after(w.net.delay(p.h.place, to.place), func() {
		switch {
		case !w.open(p.h, to):
			v.failed(w.between(100*time.Millisecond, 500*time.Millisecond), false)
		case to.p == nil:
			v.failed(w.net.delay(to.place, p.h.place), true)
		case to.id > p.h.id:
			v.busy, v.knocked = false, w.now
			there := to.p.votes[p.h.place]
			to.p.after(0, there.callBack)
			v.retry()
		default:
			mine, theirs := w.net.join(p.h.place, to.place)
			mine.owner, theirs.owner = nobody{}, nobody{}
			p.ends = append(p.ends, mine)
			to.p.ends = append(to.p.ends, theirs)
			there := to.p.votes[p.h.place]
			to.p.after(0, func() { there.adopt(theirs) })
			p.after(w.net.delay(to.place, p.h.place), func() {
				v.busy = false
				v.adopt(mine)
			})
		}
	})
}

// failed says so after a while, and tries again later.
func (v *voteLink) failed(d time.Duration, refused bool) {
	v.p.after(d, func() {
		v.busy = false
		v.p.post(zab.LinkDown{Peer: v.peer.id, Refused: refused})
		v.retry()
	})
}

// retry connects again after a while, if there is a need.
func (v *voteLink) retry() {
	if v.e != nil {
		return
	}
	v.retries++
	n, wait := v.retries, v.backoff
	v.backoff = min(2*wait, lastBackoff)
	v.p.after(wait, func() {
		if n == v.retries && v.e == nil && (v.wanted() || v.waiting != nil) {
			v.connect()
		}
	})
}

// callBack connects to a server with a smaller id that has knocked: it has lost its end of the link.
func (v *voteLink) callBack() {
	if v.e != nil {
		v.e.owner = nobody{}
		v.e.close()
		v.e = nil
	}
	v.connect()
}

// nobody owns a connection that its process does not use.
type nobody struct{}

func (nobody) received(frame) {}
func (nobody) closed(bool)    {}

// adopt goes on with a new connection.
func (v *voteLink) adopt(e *end) {
	if !e.open {
		v.connect()
		return
	}
	if v.e != nil {
		v.e.owner = nobody{}
		v.e.close()
	}
	v.e, v.backoff, v.knocked, e.owner = e, firstBackoff, -callTime, &voteEnd{v, e}
	if v.waiting == nil {
		v.waiting = v.last
	}
	v.p.post(zab.LinkUp{Peer: v.peer.id})
	v.write()
}

// A voteEnd is what a voteLink has of one connection.
type voteEnd struct {
	v *voteLink
	e *end
}

func (x *voteEnd) received(f frame) {
	note, err := election.DecodeNotification(f.data)
	if err != nil {
		x.v.p.w.fail("%v sends %v what is no vote: %v", x.v.peer, x.v.p, err)
		return
	}
	x.v.p.post(zab.Heard{From: x.v.peer.id, Note: note})
}

func (x *voteEnd) closed(reset bool) {
	if v := x.v; v.e == x.e && !v.p.dead {
		v.e = nil
		v.p.post(zab.LinkDown{Peer: v.peer.id, Refused: reset})
		v.connect()
	}
}
