package peer

import (
	"context"
	"net"
	"slices"
	"sync"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
)

// changeMembers carries out that other members count from now on, or may come to. What is nil stays as it is.
func (p *Peer) changeMembers(active, next *ensemble.Config) {
	n := p.cfg.Network
	if next != nil {
		p.next = next
	}
	if active != nil {
		before, _ := p.members.Member(n.Self)
		p.members = active
		if p.next != nil && p.next.Version <= active.Version {
			p.next = nil
		}
		if now, ok := active.Member(n.Self); ok && n.Listen != nil {
			if !slices.Equal(before.Quorum, now.Quorum) {
				p.quorum.listening.move(n.Listen, now.Quorum)
			}
			if !slices.Equal(before.Election, now.Election) {
				p.election.listening.move(n.Listen, now.Election)
			}
		}
	}
	p.election.follow(p.members, p.next)
	if active != nil {
		p.cfg.Members(active)
	}
}

// follow keeps links to the members that count, and to those that may come to. Who was one and is one no more loses its
// link, and is a stranger if it comes again.
func (e *electionPort) follow(active, next *ensemble.Config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	known := make(map[ensemble.ID]bool)
	for _, config := range []*ensemble.Config{active, next} {
		if config == nil {
			continue
		}
		for _, m := range config.Members {
			switch {
			case m.ID != e.cfg.Self:
				e.know(m, known[m.ID])
			case !known[m.ID]:
				e.hello = helloOf(e.cfg, m)
			}
			known[m.ID] = true
		}
	}
	for id, c := range e.others {
		if !known[id] && !c.stranger {
			e.dismiss(c)
		}
	}
}

func helloOf(cfg *Network, m ensemble.Member) []byte {
	h := election.Hello{Version: election.HelloAddress, ID: m.ID, Addrs: m.Election[:1]}
	if cfg.MultiAddress {
		h.Version, h.Addrs = election.HelloAddresses, m.Election
	}
	return h.AppendTo(nil)
}

func newCorrespondent(id ensemble.ID) *correspondent {
	none := func() {}
	return &correspondent{id: id, knock: newWaker(), backoff: firstBackoff, stop: none, end: none}
}

// know keeps a link to a member, if it votes. again: the active configuration has the member, too, and its address comes
// first. The caller holds mu.
func (e *electionPort) know(m ensemble.Member, again bool) {
	c := e.others[m.ID]
	votes := m.Role == ensemble.Participant
	if again {
		if !slices.Equal(c.addrs, m.Election) {
			c.also = m.Election
		}
		c.wanted = c.wanted || votes
		return
	}
	added := c == nil
	if added {
		c = newCorrespondent(m.ID)
		e.others[m.ID] = c
	}
	c.addrs, c.also, c.wanted = m.Election, nil, votes
	if added || c.stranger {
		c.stranger = false
		c.ctx, c.end = context.WithCancel(e.ctx)
		if e.started {
			e.tasks.Go(func() { e.keep(c.ctx, c) })
		}
	}
	if votes {
		c.knock.poke()
	}
}

// dismiss ends the link to a server that is a member no more. The caller holds mu.
func (e *electionPort) dismiss(c *correspondent) {
	c.end()
	c.stranger, c.wanted, c.next = true, false, nil
	if c.conn != nil {
		c.conn.close()
	} else {
		delete(e.others, c.id)
	}
}

// listening is the open listeners of a port, which moves when the server gets another address.
type listening struct {
	ctx    context.Context
	tasks  *sync.WaitGroup
	accept func(net.Listener) // serves one until it is closed
	fail   func(error)

	mu     sync.Mutex // guards what follows
	open   []net.Listener
	stop   context.CancelFunc // ends a move that is under way
	closed bool
}

func newListening(p *Peer, accept func(net.Listener)) listening {
	return listening{ctx: p.ctx, tasks: &p.tasks, accept: accept, fail: p.fail, stop: func() {}}
}

// serve accepts connections on listeners that are open; false if the port has been closed.
func (l *listening) serve(open []net.Listener) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		closeListeners(open)
		return false
	}
	l.open = open
	for _, x := range open {
		l.tasks.Go(func() { l.accept(x) })
	}
	return true
}

// move closes the port and opens it at other addresses, in the background; links that were made stay. A port that cannot
// be opened ends the server, as it does at a start: the others look for it there.
func (l *listening) move(open func(context.Context, []ensemble.Addr) ([]net.Listener, error), to []ensemble.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
	closeListeners(l.open)
	l.open = nil
	ctx, stop := context.WithCancel(l.ctx)
	l.stop = stop
	l.tasks.Go(func() {
		opened, err := open(ctx, to)
		switch {
		case ctx.Err() != nil: // another move, or the end
			closeListeners(opened)
		case err != nil:
			l.fail(err)
		default:
			l.serve(opened)
		}
	})
}

func (l *listening) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.stop()
	closeListeners(l.open)
}

func closeListeners(all []net.Listener) {
	for _, x := range all {
		_ = x.Close()
	}
}
