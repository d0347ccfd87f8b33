package sim

import (
	"bytes"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/zab"
)

// longest is the most that a path or a node's data may have, in bytes.
const longest = 1 << 20

// A link is a process's end of a connection on the quorum port.
type link struct {
	p    *process
	id   zab.LinkID
	e    *end
	peer *host
}

// newLink makes an end known to its process.
func (p *process) newLink(e *end, peer *host) *link {
	p.lastLink++
	l := &link{p: p, id: p.lastLink, e: e, peer: peer}
	e.owner = l
	p.links[l.id] = l
	p.ends = append(p.ends, e)
	return l
}

// dial connects to a server's quorum port.
func (p *process) dial(id ensemble.ID) {
	w, to := p.w, p.w.host(id)
	p.after(w.net.delay(p.h.place, to.place), func() {
		switch {
		case !w.open(p.h, to):
			p.after(w.between(50*time.Millisecond, 300*time.Millisecond), func() { p.post(zab.DialFailed{Peer: id}) })
			return
		case to.p == nil:
			p.after(w.net.delay(to.place, p.h.place), func() { p.post(zab.DialFailed{Peer: id}) })
			return
		}
		mine, theirs := w.net.join(p.h.place, to.place)
		there := to.p.newLink(theirs, p.h)
		here := p.newLink(mine, to)
		there.p.post(zab.Accepted{Link: there.id})
		p.after(w.net.delay(to.place, p.h.place), func() { p.post(zab.Dialed{Peer: id, Link: here.id}) })
	})
}

// hangup closes a link behind what was sent.
func (p *process) hangup(id zab.LinkID) {
	if l := p.links[id]; l != nil {
		delete(p.links, id)
		l.e.close()
	}
}

// sendPacket puts a packet on a link, as bytes.
func (p *process) sendPacket(id zab.LinkID, pk *zab.Packet) {
	l := p.links[id]
	if l == nil {
		return
	}
	if p.w.tracing() {
		p.w.tracef("%v > %v  %v %v %d bytes", p, l.peer.id, pk.Type, pk.Zxid, len(pk.Data))
	}
	p.w.mix(uint64(p.h.id), uint64(l.peer.id), uint64(pk.Type), uint64(pk.Zxid))
	l.e.send(whole, pk.AppendTo(make([]byte, 0, pk.Size())))
}

// received decodes a packet, and the tree behind it.
func (l *link) received(f frame) {
	w := l.p.w
	if f.kind == portion {
		l.p.postFrom(zab.Alive{Link: l.id}, l.peer, f.sent)
		if other, ok := l.e.peer.owner.(*link); ok && !other.p.dead {
			other.p.post(zab.Alive{Link: other.id})
		}
		return
	}
	in := zab.Received{Link: l.id}
	d := jute.NewDecoder(f.data)
	if err := in.Packet.Decode(&d); err != nil {
		w.fail("%v sends %v what is no packet: %v", l.peer, l.p, err)
		return
	}
	rest := d.Rest()
	switch {
	case in.Packet.Type == zab.TypeSnap:
		t := tree.Empty()
		if err := snapshot.ReadStream(bytes.NewReader(rest), t, in.Packet.Zxid, longest); err != nil {
			w.fail("%v sends %v a tree that cannot be read: %v", l.peer, l.p, err)
			return
		}
		in.Tree = t
	case len(rest) > 0:
		w.fail("%v: %d bytes behind a %v", l.p, len(rest), in.Packet.Type)
	}
	l.p.postFrom(in, l.peer, f.sent)
}

func (l *link) closed(bool) {
	if !l.p.dead && l.p.links[l.id] == l {
		delete(l.p.links, l.id)
		l.p.post(zab.Closed{Link: l.id})
	}
}

// open tells whether two machines can make a connection.
func (w *World) open(a, b *host) bool {
	return b.on && !w.net.blocked[a.place][b.place] && !w.net.blocked[b.place][a.place]
}

// host returns the machine of a server.
func (w *World) host(id ensemble.ID) *host {
	for _, h := range w.hosts {
		if h.id == id {
			return h
		}
	}
	return nil
}
