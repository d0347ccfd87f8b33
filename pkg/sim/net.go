package sim

import (
	"time"
)

// A network joins places: those of the hosts, and behind them those of the clients. What is sent from one place to
// another comes late, or stands still for as long as the way is blocked, as TCP would try again and again; it is lost
// only with its connection.
type network struct {
	w       *World
	blocked [][]bool // from, to
	base    [][]time.Duration
	slow    time.Duration // more delay everywhere
	conns   []*conn       // with an end that is open, or something on the way
}

func (n *network) init(w *World) {
	n.w = w
	places := len(w.members.Members) + w.profile.spares + w.profile.clients
	n.blocked, n.base = make([][]bool, places), make([][]time.Duration, places)
	for i := range places {
		n.blocked[i], n.base[i] = make([]bool, places), make([]time.Duration, places)
	}
	for i := range places {
		for j := range i {
			d := w.between(w.profile.latency/4, w.profile.latency)
			n.base[i][j], n.base[j][i] = d, d
		}
	}
}

// delay returns how long a message takes.
func (n *network) delay(from, to int) time.Duration {
	d := n.base[from][to]/2 + n.w.upTo(n.base[from][to]) + n.w.upTo(n.slow)
	if n.w.chance(50) {
		d += n.w.upTo(20 * n.w.profile.latency)
	}
	return d
}

// block stops what goes from one place to the other, or lets it go on.
func (n *network) block(from, to int, on bool) {
	if n.blocked[from][to] == on {
		return
	}
	n.blocked[from][to] = on
	if !on {
		n.kick(func(e *end) bool { return e.place == from && e.peer.place == to })
	}
}

// heal lets everything go on.
func (n *network) heal() {
	for i := range n.blocked {
		for j := range n.blocked[i] {
			n.block(i, j, false)
		}
	}
}

// kick has those ends try again that were stuck.
func (n *network) kick(which func(*end) bool) {
	for _, c := range n.conns {
		for i := range c {
			if e := &c[i]; e.stuck && which(e) {
				e.stuck = false
				e.pumpIn(n.w.upTo(100 * time.Millisecond))
			}
		}
	}
}

// sweep forgets connections that nobody can hear of any more.
func (n *network) sweep() {
	kept := n.conns[:0]
	for _, c := range n.conns {
		if c[0].open || c[1].open || len(c[0].queue) > 0 || len(c[1].queue) > 0 {
			kept = append(kept, c)
		}
	}
	clear(n.conns[len(kept):])
	n.conns = kept
}

// A conn is a TCP connection.
type conn [2]end

// An end is one side of a connection: what its owner has sent, in order and not yet there.
type end struct {
	w     *World
	place int
	peer  *end
	owner owner
	open  bool // its owner uses it: it has neither closed it nor been told that it is closed
	queue []frame
	last  time.Duration // when the newest frame arrives at the earliest
	due   bool          // pump is on the agenda
	stuck bool          // and only a kick helps
	cut   bool          // nothing arrives any more
}

// An owner is told what happens at its end of a connection.
type owner interface {
	received(f frame)
	closed(reset bool)
}

type frame struct {
	kind frameKind
	data []byte
	sent time.Duration
	at   time.Duration
}

type frameKind uint8

const (
	whole   frameKind = iota // one message
	portion                  // bytes that make no message yet
	fin                      // the sender has closed
)

// join makes a connection between two places, of which nobody knows yet.
func (n *network) join(from, to int) (a, b *end) {
	c := &conn{}
	a, b = &c[0], &c[1]
	*a = end{w: n.w, place: from, peer: b, open: true}
	*b = end{w: n.w, place: to, peer: a, open: true}
	n.conns = append(n.conns, c)
	if len(n.conns) > 64 {
		n.sweep()
	}
	return a, b
}

// send puts a message on its way.
func (e *end) send(kind frameKind, data []byte) {
	if !e.open && kind != fin || e.cut {
		return
	}
	e.last = max(e.last, e.w.now+e.w.net.delay(e.place, e.peer.place))
	e.queue = append(e.queue, frame{kind: kind, data: data, sent: e.w.now, at: e.last})
	e.pumpIn(e.queue[0].at - e.w.now)
}

func (e *end) pumpIn(d time.Duration) {
	if !e.due && !e.stuck && len(e.queue) > 0 {
		e.due = true
		e.w.after(d, e.pump)
	}
}

// pump lets what is due arrive.
func (e *end) pump() {
	e.due = false
	for len(e.queue) > 0 && e.queue[0].at <= e.w.now {
		if e.w.net.blocked[e.place][e.peer.place] || !e.w.reachable(e.peer.place) {
			e.stuck = true
			return
		}
		f := e.queue[0]
		e.queue = e.queue[1:]
		switch {
		case !e.peer.open && f.kind != fin: // the other host knows nothing of it: it answers with a reset
			e.queue = nil
			if e.open && !e.w.net.blocked[e.peer.place][e.place] {
				e.w.after(e.w.net.delay(e.peer.place, e.place), func() { e.shut(true) })
			}
			return
		case !e.peer.open:
		case f.kind == fin:
			e.peer.shut(false)
		default:
			e.peer.owner.received(f)
		}
	}
	if len(e.queue) > 0 {
		e.pumpIn(e.queue[0].at - e.w.now)
	}
}

// shut tells the owner that the connection is at its end.
func (e *end) shut(reset bool) {
	if e.open {
		e.open = false
		e.owner.closed(reset)
	}
}

// close ends the connection behind what was sent; its owner is told nothing.
func (e *end) close() {
	if e.open {
		e.open = false
		e.send(fin, nil)
	}
}

// lose drops some of what is on its way.
func (e *end) lose() {
	if n := len(e.queue); n > 0 {
		e.queue = e.queue[:e.w.rng.IntN(n+1)]
	}
}

// abandon is what the process's death does to its end: the kernel says so to the other side, if it lives on itself.
func (e *end) abandon(kernel bool) {
	if !e.open {
		return
	}
	e.open = false
	e.lose()
	if kernel {
		e.send(fin, nil)
	}
}

// reset cuts a connection on the way: each side loses what it has under way, and hears of it in its own time.
func (e *end) reset() {
	for _, x := range []*end{e, e.peer} {
		x.lose()
		x.cut = true
		x.w.after(x.w.upTo(5*time.Millisecond), func() {
			x.queue = nil
			x.peer.shut(true)
		})
	}
}

// reachable tells whether the machine in a place is on.
func (w *World) reachable(place int) bool { return place >= len(w.hosts) || w.hosts[place].on }
