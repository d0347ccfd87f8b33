// Package server is the client port: it accepts connections within limits, reads handshakes and frames, and hands them
// to package pipeline. What a request means is not its business.
package server

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/limit"
	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/pipeline"
)

// Config is what a Server needs.
type Config struct {
	Pipeline               *pipeline.Pipeline
	Log                    *slog.Logger
	MaxFrame               int // bytes of a request (jute.maxbuffer)
	MinTimeout, MaxTimeout time.Duration
	Limits                 Limits // may change later: SetLimits
	KeepAlive              bool   // have the system look after clients that say nothing
	Clock                  func() time.Duration
	Chance                 func() float64 // from 0 to 1, without 1
	// FourLetter answers a four-letter word, behind which rest was read; false when it is none, so that the bytes are a
	// frame's length.
	FourLetter func(word string, rest []byte) ([]byte, bool)
}

// A Server serves clients on any number of listeners.
type Server struct {
	cfg Config

	limits    atomic.Pointer[Limits]
	tight     atomic.Bool  // there is too little memory to begin anything
	large     atomic.Int64 // bytes of large requests under way
	spare     spare
	throttled sync.Mutex // guards bucket
	bucket    limit.Bucket

	mu        sync.Mutex // guards what follows
	conns     map[*conn]struct{}
	byAddr    map[string]int
	greeting  int           // handshakes that have not ended
	met       chan struct{} // closed when there are none; nil = nobody waits for that
	listeners []net.Listener
	closed    bool
	quit      chan struct{} // closed with it

	buffers sync.Pool // of *[readSize]byte, for input
	done    sync.WaitGroup
	Stats   Stats
}

// Stats counts what becomes of connections. The tags are ZooKeeper's names.
type Stats struct {
	Requests    metrics.Counter `metric:"connection_request_count"` // handshakes
	Rejected    metrics.Counter `metric:"connection_rejected"`      // by a limit
	Deficit     metrics.Summary `metric:"connection_token_deficit"`
	Large       metrics.Counter `metric:"large_requests_rejected"`
	Dropped     metrics.Counter `metric:"connection_drop_count"` // by the client, without closing its session
	Sessionless metrics.Counter `metric:"sessionless_connections_expired"`
	NotServed   metrics.Counter `metric:"cnxn_closed_without_zk_server_running"`
}

// New returns a server that serves nobody yet.
func New(cfg Config) *Server {
	s := &Server{
		cfg: cfg, conns: make(map[*conn]struct{}), byAddr: make(map[string]int), quit: make(chan struct{}), spare: newSpare(),
		buffers: sync.Pool{New: func() any { return new([readSize]byte) }},
	}
	s.SetLimits(cfg.Limits)
	return s
}

// Serve accepts clients on l in the background until Close, or until somebody closes l.
func (s *Server) Serve(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close()
		return
	}
	s.listeners = append(s.listeners, l)
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		s.accept(l)
	}()
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

// Who has been let in and has not said what he wants has this long for it when the server ends.
const lastWord = 100 * time.Millisecond

// Retire lets nobody in any more, and waits until those who want a session have their answer, at most a second. All who are connected
// are served until Close. Where others hold the ports as well, as zabd.socket does, who comes later waits there for the next server.
func (s *Server) Retire() {
	s.closeListeners()
	met := make(chan struct{})
	s.mu.Lock()
	if s.greeting > 0 {
		s.met = met
	} else {
		close(met)
	}
	for c := range s.conns {
		if c.client.Load() == nil {
			_ = c.tcp.SetReadDeadline(time.Now().Add(lastWord))
		}
	}
	s.mu.Unlock()
	patience := time.NewTimer(doorPatience)
	defer patience.Stop()
	select {
	case <-met:
	case <-patience.C:
	}
}

// greeted tells that a handshake has ended, one way or the other.
func (s *Server) greeted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.greeting--; s.greeting == 0 && s.met != nil {
		close(s.met)
		s.met = nil
	}
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

// Close stops accepting, closes every connection and waits until nobody is served any more.
func (s *Server) Close() {
	s.closeListeners()
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.quit)
	}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
	s.spare.close()
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
