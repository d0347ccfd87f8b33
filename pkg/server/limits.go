package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/limit"
)

// Limits are what clients may take of a server together.
type Limits struct {
	MaxPerAddress    int           // connections from one address; 0 = no limit
	MaxTotal         int           // 0 = no limit
	HandshakeTimeout time.Duration // until a connection must have a session
	Sessions         limit.Rate    // at which sessions are opened and resumed
	Large            limit.Large
}

// SetLimits changes the limits; connections that are open stay.
func (s *Server) SetLimits(l Limits) {
	before := s.limits.Swap(&l)
	if before != nil && before.Sessions == l.Sessions {
		return
	}
	s.throttled.Lock()
	defer s.throttled.Unlock()
	s.bucket.Set(l.Sessions, s.cfg.Clock())
}

// SetTight says whether there is too little memory to begin anything: then neither connections nor requests above
// readSize are taken, and those that are there go on.
func (s *Server) SetTight(tight bool) { s.tight.Store(tight) }

// DropProbability returns the probability with which sessions are turned away.
func (s *Server) DropProbability() float64 {
	s.throttled.Lock()
	defer s.throttled.Unlock()
	return s.bucket.Drop()
}

// maySession tells whether a session may be opened or resumed now.
func (s *Server) maySession(resumed bool) bool {
	if s.limits.Load().Sessions.Tokens <= 0 {
		return true
	}
	chance := s.cfg.Chance()
	s.throttled.Lock()
	defer s.throttled.Unlock()
	ok := s.bucket.Take(resumed, s.cfg.Clock(), chance)
	s.Stats.Deficit.Observe(int64(s.bucket.Missing()))
	return ok
}

// ErrLarge says that a request is large and that there is no room for it.
var ErrLarge = errors.New("too many large requests")

// mayTake tells whether a request of n bytes may be read.
func (s *Server) mayTake(n int) error {
	large := s.limits.Load().Large
	if !large.Fits(n, s.large.Load()) || n > readSize && s.tight.Load() {
		s.Stats.Large.Add(1)
		return fmt.Errorf("server: request of %d bytes: %w", n, ErrLarge)
	}
	return nil
}

// begin counts a large request, of n bytes, that has been read, where most may be under way; end must follow unless there
// was no room.
func (s *Server) begin(n int, most int64) error {
	if s.large.Add(int64(n)) > most {
		s.large.Add(-int64(n))
		s.Stats.Large.Add(1)
		return fmt.Errorf("server: request of %d bytes: %w", n, ErrLarge)
	}
	return nil
}

func (s *Server) end(n int) { s.large.Add(-int64(n)) }
