// Package server is the client port: it accepts connections within limits, reads handshakes and frames, and hands them
// to package pipeline. What a request means is not its business.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/pipeline"
)

// Config is what a Server needs.
type Config struct {
	Pipeline               *pipeline.Pipeline
	Log                    *slog.Logger
	MaxFrame               int // bytes of a request (jute.maxbuffer)
	MinTimeout, MaxTimeout time.Duration
	MaxPerAddress          int           // connections from one address; 0 = no limit
	MaxTotal               int           // 0 = no limit
	HandshakeTimeout       time.Duration // until a connection must have a session
	// FourLetter answers a four-letter word, behind which rest was read; false when it is none, so that the bytes are a
	// frame's length.
	FourLetter func(word string, rest []byte) ([]byte, bool)
}

// A Server serves clients on any number of listeners.
type Server struct {
	cfg Config

	mu     sync.Mutex // guards what follows
	conns  map[*conn]struct{}
	byAddr map[string]int
	closed bool

	listeners []net.Listener
	buffers   sync.Pool // of *[readSize]byte, for input
	done      sync.WaitGroup
	Stats     Stats
}

// Stats counts what becomes of connections. The tags are ZooKeeper's names.
type Stats struct {
	Requests    metrics.Counter `metric:"connection_request_count"` // handshakes
	Rejected    metrics.Counter `metric:"connection_rejected"`      // by a limit
	Dropped     metrics.Counter `metric:"connection_drop_count"`    // by the client, without closing its session
	Sessionless metrics.Counter `metric:"sessionless_connections_expired"`
	NotServed   metrics.Counter `metric:"cnxn_closed_without_zk_server_running"`
}

// New returns a server that serves nobody yet.
func New(cfg Config) *Server {
	return &Server{
		cfg: cfg, conns: make(map[*conn]struct{}), byAddr: make(map[string]int),
		buffers: sync.Pool{New: func() any { return new([readSize]byte) }},
	}
}

// Serve accepts clients on l in the background until Close.
func (s *Server) Serve(l net.Listener) {
	s.listeners = append(s.listeners, l)
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		s.accept(l)
	}()
}

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: those that are open go on
			s.cfg.Log.Warn("accept failed", "address", l.Addr().String(), "err", err)
			if !s.pause(100 * time.Millisecond) {
				return
			}
			continue
		}
		tc, ok := nc.(*net.TCPConn)
		if !ok || !s.admit(tc) {
			s.Stats.Rejected.Add(1)
			_ = nc.Close()
		}
	}
}

// pause waits before the next attempt to accept; false when the server has been closed.
func (s *Server) pause(d time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed
}

// admit starts to serve a connection unless that would be one too many.
func (s *Server) admit(tc *net.TCPConn) bool {
	c, err := newConn(s, tc)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.cfg.MaxTotal > 0 && len(s.conns) >= s.cfg.MaxTotal {
		return false
	}
	if n := s.byAddr[c.ip]; s.cfg.MaxPerAddress > 0 && n >= s.cfg.MaxPerAddress {
		s.cfg.Log.Warn("too many connections from one address", "address", c.ip, "limit", s.cfg.MaxPerAddress)
		return false
	}
	s.conns[c] = struct{}{}
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

func (s *Server) release(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.byAddr[c.ip]--; s.byAddr[c.ip] == 0 {
		delete(s.byAddr, c.ip)
	}
	s.cfg.Pipeline.Stats.Connections.Add(-1)
}

// Close stops accepting, closes every connection and waits until nobody is served any more.
func (s *Server) Close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// ConnInfo describes one connection to an operator.
type ConnInfo struct {
	Remote  string
	Session int64
	Timeout time.Duration
	Queued  int
	Since   time.Time     // when it was accepted
	Asks    bool          // a four-letter word, and nothing else
	Heard   time.Duration // when its client was heard of, by the pipeline's clock
	Counts  pipeline.ConnStats
}

// ResetConns lets the counts of all connections begin anew.
func (s *Server) ResetConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if p := c.client.Load(); p != nil {
			p.ResetCounts()
		}
	}
}

// CloseSome closes the connections that are drawn, of those that have clients, and returns how many.
func (s *Server) CloseSome(draw func() bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.client.Load() != nil && draw() {
			c.Close()
			n++
		}
	}
	return n
}

// Conns describes the connections of now, in no order.
func (s *Server) Conns() []ConnInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]ConnInfo, 0, len(s.conns))
	for c := range s.conns {
		out = append(out, c.info())
	}
	return out
}
