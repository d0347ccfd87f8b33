package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/zab"
)

var errOverflow = errors.New("it does not take what is sent, and too much waits for it")

const (
	mostLinks        = 1 << 10 // accepted on the quorum port
	mostLinksPerHost = 64
)

// linkEvent is what the loop learns of a link.
type linkEvent struct {
	link   *link
	kind   linkKind
	peer   ensemble.ID // of linkDialed and linkFailed
	packet zab.Packet  // of linkReceived, as what follows
	tree   any
	size   int
}

type linkKind int

const (
	linkReceived linkKind = iota
	linkAccepted
	linkClosed
	linkDialed
	linkFailed
)

// quorumPort makes links: it accepts on the own quorum addresses, and dials those of a leader.
type quorumPort struct {
	cfg        *Network
	log        Log
	stats      *Stats
	events     *lane[linkEvent]
	done       func(zab.Input) // brings a completion to the loop
	drive      func()          // has the loop look at what was put into events
	listening  listening
	complaints *complaints
	door       *doorkeeper
	ids        atomic.Int64
	ctx        context.Context
	tasks      *sync.WaitGroup

	mu     sync.Mutex // guards what follows
	open   map[*link]struct{}
	closed bool
}

func newQuorumPort(p *Peer) *quorumPort {
	q := &quorumPort{
		cfg: p.cfg.Network, log: p.cfg.Log, stats: &p.stats, events: &p.linked, done: func(in zab.Input) { p.completed.add(completion{in: in}) },
		drive:      p.drive,
		complaints: p.complaints, door: newDoorkeeper(mostLinks, mostLinksPerHost), ctx: p.ctx, tasks: &p.tasks,
		open: make(map[*link]struct{}),
	}
	q.listening = newListening(p, q.accept)
	return q
}

func (q *quorumPort) newID() zab.LinkID { return zab.LinkID(q.ids.Add(1)) }

// accept serves one listener until it is closed.
func (q *quorumPort) accept(l net.Listener) {
	acceptAll(q.ctx, l, q.complaints, func(c net.Conn) {
		host := hostOf(c)
		if !q.door.enter(host) {
			q.complaints.warn(host, "too many connections to the quorum port", "address", host)
			_ = c.Close()
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(q.cfg.FirstPacket))
		gather(c, q.cfg.LeaderDelay)
		if !q.start(newLink(q, c, false), func() { q.door.leave(host) }) {
			q.door.leave(host)
		}
	})
}

// start runs a link's reader and writer; false if the port is closed.
func (q *quorumPort) start(l *link, ended func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		_ = l.conn.Close()
		return false
	}
	q.open[l] = struct{}{}
	q.tasks.Go(l.write)
	q.tasks.Go(func() {
		l.read()
		q.mu.Lock()
		delete(q.open, l)
		q.mu.Unlock()
		ended()
	})
	return true
}

// dial connects to a server's quorum port, by all its addresses at once, and tells the loop what came of it, unless stop
// is called before.
func (q *quorumPort) dial(m ensemble.Member) (stop func()) {
	ctx, stop := context.WithCancel(q.ctx)
	q.tasks.Go(func() {
		timed, cancel := context.WithTimeout(ctx, q.cfg.ConnectTimeout)
		defer cancel()
		c, err := q.cfg.dial(timed, m.Quorum)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
		case err != nil:
			q.events.add(linkEvent{kind: linkFailed, peer: m.ID})
		default:
			gather(c, q.cfg.FollowerDelay)
			l := newLink(q, c, true)
			q.events.add(linkEvent{link: l, kind: linkDialed, peer: m.ID})
			q.start(l, func() {})
		}
	})
	return stop
}

// close ends all links.
func (q *quorumPort) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for l := range q.open {
		l.close(net.ErrClosed)
	}
}

// report logs why a link has ended, if that is the other end's fault. That it went away is for the node to tell.
func (q *quorumPort) report(l *link) {
	switch err := l.reason; {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
	case errors.Is(err, os.ErrDeadlineExceeded) && !l.known:
		q.complaints.warn(hostOf(l.conn), "a connection to the quorum port says nothing", "address", l.remote, "for", q.cfg.FirstPacket)
	default:
		q.complaints.warn(hostOf(l.conn), "link closed", "address", l.remote, "err", err)
	}
}

// acceptAll hands over every connection until the listener is closed.
func acceptAll(ctx context.Context, l net.Listener, c *complaints, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			serve(conn)
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return
		default: // out of descriptors: those that are open go on
			c.warn(l.Addr().String(), "accept failed", "address", l.Addr().String(), "err", err)
			if !pause(ctx, 100*time.Millisecond) {
				return
			}
		}
	}
}

// pause waits; false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
