package server

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// acceptPause is how long nothing is accepted after a failure: those that are open go on.
const acceptPause = 100 * time.Millisecond

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.cfg.Log.Warn("accept failed", "address", l.Addr().String(), "err", err)
			if exhausted(err) {
				s.turnAway(l)
			}
			if !s.pause(acceptPause) {
				return
			}
			continue
		}
		s.take(nc)
	}
}

// Take serves connections that have been accepted.
func (s *Server) Take(conns []net.Conn) {
	for _, nc := range conns {
		s.take(nc)
	}
}

func (s *Server) take(nc net.Conn) {
	tc, ok := nc.(*net.TCPConn)
	if !ok || !s.admit(tc) {
		s.Stats.Rejected.Add(1)
		_ = nc.Close()
	}
}

// exhausted tells whether there is no descriptor left, in the process or on the host.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// turnAway closes the connection that waits to be accepted, which else would wait until its client gives up, by the
// descriptor that is kept for this.
func (s *Server) turnAway(l net.Listener) {
	if !s.spare.give() {
		s.spare.take()
		return
	}
	if nc, err := l.Accept(); err == nil {
		s.Stats.Rejected.Add(1)
		_ = nc.Close()
	}
	s.spare.take()
}

// A spare is a descriptor that is kept. Listeners share it.
type spare struct{ slot chan *os.File }

func newSpare() spare {
	s := spare{make(chan *os.File, 1)}
	s.take()
	return s
}

// take opens a descriptor to keep, unless there is none.
func (s spare) take() {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return
	}
	select {
	case s.slot <- f:
	default:
		_ = f.Close()
	}
}

// give closes the descriptor, so that another can be opened in its place; false if there is none.
func (s spare) give() bool {
	select {
	case f := <-s.slot:
		return f.Close() == nil
	default:
		return false
	}
}

func (s spare) close() { s.give() }

// pause waits before the next attempt to accept; false when the server has been closed.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.quit:
		return false
	}
}

// admit starts to serve a connection unless that would be one too many.
func (s *Server) admit(tc *net.TCPConn) bool {
	c, err := newConn(s, tc)
	if err != nil || s.tight.Load() {
		return false
	}
	lim := s.limits.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || lim.MaxTotal > 0 && len(s.conns) >= lim.MaxTotal {
		return false
	}
	if n := s.byAddr[c.ip]; lim.MaxPerAddress > 0 && n >= lim.MaxPerAddress {
		s.cfg.Log.Warn("too many connections from one address", "address", c.ip, "limit", lim.MaxPerAddress)
		return false
	}
	s.conns[c] = struct{}{}
	s.greeting++
	s.byAddr[c.ip]++
	s.cfg.Pipeline.Stats.Connections.Add(1)
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		c.serve()
		s.release(c)
	}()
	return true
}
