package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/zab"
)

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
	// callTime is for a larger id to call back. To ask again before would make ZooKeeper drop the link that it has made.
	callTime = 500 * time.Millisecond

	mostGreeters        = 1 << 8 // connections that have not said who they are
	mostGreetersPerHost = 16
)

// electionPort keeps one link to every other server that takes part in elections: it is opened by the larger id. A
// smaller one that wants a link connects, says who it is, and is called back. Links stay open between elections.
//
// What has to be sent to a server waits in one place, where a later message replaces an earlier one; and when a link is
// opened the last one is sent again. So votes may come late, twice, or not at all.
type electionPort struct {
	cfg        *Network
	events     *lane[voteEvent]
	complaints *complaints
	door       *doorkeeper
	ctx        context.Context
	tasks      *sync.WaitGroup
	listening  listening

	mu      sync.Mutex // guards what follows and the correspondents
	hello   []byte
	others  map[ensemble.ID]*correspondent
	started bool
	closed  bool
}

// voteEvent is what the loop learns from the election port. gate and size are those of a message.
type voteEvent struct {
	in   zab.Input
	gate *gate
}

// correspondent is another server, as the election port sees it.
type correspondent struct {
	id       ensemble.ID
	addrs    []ensemble.Addr
	also     []ensemble.Addr // that it may get; tried in turn with addrs
	wanted   bool            // a link is kept open; otherwise only as long as there is something to send
	stranger bool            // not in our configuration
	conn     *electionConn   // nil = none
	next     []byte          // the frame that waits to be sent
	last     []byte          // the frame that was taken last
	callTo   []ensemble.Addr // where it has asked to be called back, which we have not done yet
	asked    time.Time       // when we have asked to be called back
	knock    waker           // a link is needed at once
	stop     func()          // ends the attempt that is under way
	backoff  time.Duration
	ctx      context.Context // of keep and its attempts; it ends when the server is a member no more
	end      func()
}

func newElectionPort(p *Peer) *electionPort {
	cfg := p.cfg.Network
	e := &electionPort{
		cfg: cfg, events: &p.votes, complaints: p.complaints, ctx: p.ctx, tasks: &p.tasks,
		door: newDoorkeeper(mostGreeters, mostGreetersPerHost), others: make(map[ensemble.ID]*correspondent),
	}
	e.listening = newListening(p, func(l net.Listener) { acceptAll(e.ctx, l, e.complaints, e.welcome) })
	return e
}

// start accepts and connects until ctx ends.
func (e *electionPort) start(listeners []net.Listener) {
	e.mu.Lock()
	e.started = true
	for _, c := range e.others {
		e.tasks.Go(func() { e.keep(c.ctx, c) })
	}
	e.mu.Unlock()
	e.listening.serve(listeners)
}

func (e *electionPort) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, c := range e.others {
		if c.conn != nil {
			c.conn.close()
		}
	}
}

// send puts messages into the places where they wait for their links.
func (e *electionPort) send(ballots []election.Ballot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range ballots {
		c := e.others[ballots[i].To]
		if c == nil {
			continue
		}
		c.next = frame(&ballots[i].Note)
		if c.conn != nil {
			c.conn.wake.poke()
		} else if !c.wanted {
			c.knock.poke()
		}
	}
}

// connect opens links now that would be opened later.
func (e *electionPort) connect(ids []ensemble.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		if c := e.others[id]; c != nil && c.conn == nil {
			c.knock.poke()
		}
	}
}

// keep opens the link to one server whenever there is none, at first at once and then less and less often. It is the
// only one that does so: there is never more than one attempt.
func (e *electionPort) keep(life context.Context, c *correspondent) {
	timer := time.NewTimer(lastBackoff)
	defer timer.Stop()
	for {
		timer.Stop()
		if wait, missing := e.missing(c); missing {
			timer.Reset(wait)
		}
		select {
		case <-timer.C:
		case <-c.knock:
		case <-life.Done():
			return
		}
		if ctx, addrs, need := e.needed(life, c); need {
			e.attempt(ctx, c, addrs)
		}
	}
}

// missing tells after what time a link has to be opened.
func (e *electionPort) missing(c *correspondent) (time.Duration, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.conn != nil {
		c.backoff = firstBackoff
		return 0, false
	}
	wait := c.backoff
	c.backoff = min(2*wait, lastBackoff)
	return wait, c.wanted || c.next != nil
}

// needed tells whether a link is to be opened now, by which addresses, and how long that may take.
func (e *electionPort) needed(life context.Context, c *correspondent) (ctx context.Context, addrs []ensemble.Addr, need bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.conn != nil || life.Err() != nil || time.Since(c.asked) < callTime {
		return nil, nil, false
	}
	addrs, c.callTo = c.callTo, nil
	if len(addrs) == 0 {
		addrs = c.addrs
		if c.also != nil {
			c.addrs, c.also = c.also, c.addrs
		}
	}
	ctx, c.stop = context.WithTimeout(life, e.cfg.CnxTimeout)
	return ctx, addrs, true
}

// attempt connects and says who we are. The smaller id is then called back.
func (e *electionPort) attempt(ctx context.Context, c *correspondent, addrs []ensemble.Addr) {
	defer c.stop()
	e.mu.Lock()
	hello := e.hello
	e.mu.Unlock()
	conn, err := e.cfg.dial(ctx, addrs)
	if err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(e.cfg.CnxTimeout))
		_, err = conn.Write(hello) // in one piece: ZooKeeper reads the address with one call
		_ = conn.SetWriteDeadline(time.Time{})
		switch {
		case err == nil && c.id < e.cfg.Self:
			e.adopt(c, conn)
			return
		case err == nil:
			err = e.heardOut(conn)
		}
		_ = conn.Close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case c.conn != nil || e.closed:
	case err != nil:
		e.events.add(voteEvent{in: zab.LinkDown{Peer: c.id, Refused: refused(err)}})
	default:
		c.asked = time.Now()
	}
}

// heardOut waits for a larger id to hang up, as it does when it knows who is there. A server that is being killed may
// still take a connection, and ends it by a reset: then nobody will call back.
func (e *electionPort) heardOut(conn net.Conn) error {
	stop := context.AfterFunc(e.ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetReadDeadline(time.Now().Add(callTime))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// adopt makes a connection the link to a server, in place of the one before. The server may have been forgotten meanwhile: then
// it is to come again, as what it is by now.
func (e *electionPort) adopt(c *correspondent, conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.others[c.id] != c {
		_ = conn.Close()
		return
	}
	if c.conn != nil {
		c.conn.close()
	}
	n := newElectionConn(e, c, conn)
	c.conn, c.callTo, c.asked, c.backoff = n, nil, time.Time{}, firstBackoff
	if c.next == nil {
		c.next = c.last
	}
	e.events.add(voteEvent{in: zab.LinkUp{Peer: c.id}})
	e.tasks.Go(n.read)
	e.tasks.Go(n.write)
	n.wake.poke()
}

// lost says that a connection has ended.
func (e *electionPort) lost(n *electionConn, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n.close()
	if n.to.conn != n || e.closed {
		return
	}
	n.to.conn = nil
	e.events.add(voteEvent{in: zab.LinkDown{Peer: n.to.id, Refused: refused(err)}})
	n.to.knock.poke() // a port that is gone says so
	e.forget(n.to)
}

// welcome finds out who has connected.
func (e *electionPort) welcome(conn net.Conn) {
	host := hostOf(conn)
	if !e.door.enter(host) {
		e.complaints.warn(host, "too many connections to the election port", "address", host)
		_ = conn.Close()
		return
	}
	e.tasks.Go(func() {
		stop := context.AfterFunc(e.ctx, func() { _ = conn.Close() })
		h, err := e.greeted(conn)
		stop()
		e.door.leave(host)
		if err == nil {
			err = e.meet(h, conn)
		}
		if err != nil {
			_ = conn.Close()
			if e.ctx.Err() == nil {
				e.complaints.warn(host, "a connection to the election port is refused", "address", conn.RemoteAddr().String(), "err", err)
			}
		}
	})
}

// greeted reads the handshake and no more.
func (e *electionPort) greeted(conn net.Conn) (election.Hello, error) {
	const id, head = 8, 20 // an id; or a version, an id and a length
	_ = conn.SetReadDeadline(time.Now().Add(e.cfg.HelloTimeout))
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	var b []byte
	for size := id; ; {
		had := len(b)
		b = append(b, make([]byte, size-had)...)
		if _, err := io.ReadFull(conn, b[had:]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errors.New("it does not say who it is")
			}
			return election.Hello{}, err
		}
		h, n, err := election.DecodeHello(b)
		switch {
		case n > 0 || err != nil:
			return h, err
		case size == id:
			size = head
		default:
			size = head + int(binary.BigEndian.Uint32(b[head-4:])) // which DecodeHello has found reasonable
		}
	}
}

// meet decides what becomes of a connection whose other end has said who it is.
func (e *electionPort) meet(h election.Hello, conn net.Conn) error {
	e.mu.Lock()
	c := e.others[h.ID]
	e.mu.Unlock()
	switch {
	case h.ID == e.cfg.Self:
		return fmt.Errorf("two servers with the same myid: this one and that at %v both are server %d", conn.RemoteAddr(), h.ID)
	case c == nil || c.stranger:
		return e.meetStranger(h, conn)
	case h.ID > e.cfg.Self:
		e.adopt(c, conn)
		return nil
	}
	_ = conn.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.conn != nil { // it has lost its end
		c.conn.close()
		c.conn = nil
	}
	c.callTo = h.Addrs
	c.stop() // an attempt that still waits for an answer by another way, or from before
	c.knock.poke()
	return nil
}
