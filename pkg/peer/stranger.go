package peer

import (
	"context"
	"fmt"
	"net"

	"github.com/zabd/zabd/pkg/election"
)

// mostStrangers is how many servers may have a link at one time that are not in our configuration.
const mostStrangers = 16

// meetStranger gives a link to a server that is not in our configuration while we are in its own: it is about to be added,
// or was taken out and still runs. It learns who leads, as an observer does, and nothing that it says counts. Without this
// members could not be changed one restart after the other: those who count the new server already need it to follow a
// leader who does not. A link is a stranger's own to ask for: once it has ended, the stranger is forgotten.
func (e *electionPort) meetStranger(h election.Hello, conn net.Conn) error {
	calledBack := h.ID < e.cfg.Self
	if calledBack && len(h.Addrs) == 0 {
		return fmt.Errorf("server %d is not in this server's configuration, and does not say where it is to be called back", h.ID)
	}
	c, err := e.admit(h)
	if err != nil {
		return err
	}
	if !calledBack {
		e.adopt(c, conn)
		return nil
	}
	_ = conn.Close()
	e.mu.Lock()
	c.stop() // an attempt for an earlier connection
	ctx, stop := context.WithTimeout(e.ctx, e.cfg.CnxTimeout)
	c.stop = stop
	e.mu.Unlock()
	e.tasks.Go(func() {
		defer stop()
		e.attempt(ctx, c, h.Addrs)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.forget(c)
	})
	return nil
}

// admit returns the correspondent that a stranger is from now on.
func (e *electionPort) admit(h election.Hello) (*correspondent, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.others[h.ID]; c != nil {
		if c.conn != nil { // it has lost its end
			c.conn.close()
			c.conn = nil
		}
		return c, nil
	}
	strangers := 0
	for _, c := range e.others {
		if c.stranger {
			strangers++
		}
	}
	if strangers >= mostStrangers {
		return nil, fmt.Errorf("server %d is not in this server's configuration, and %d others that are not have a link", h.ID, strangers)
	}
	c := newCorrespondent(h.ID)
	c.addrs, c.stranger = h.Addrs, true
	e.others[h.ID] = c
	return c, nil
}

// forget drops a stranger that has no link. The caller holds mu.
func (e *electionPort) forget(c *correspondent) {
	if c.stranger && c.conn == nil && e.others[c.id] == c {
		delete(e.others, c.id)
	}
}
