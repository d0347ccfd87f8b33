package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// A State is how a client stands with its servers.
type State int

// The states. The last three are final for the session; but for an expiry without Options.OneSession, for the client too.
const (
	StateConnecting   State = iota // there is no session yet
	StateConnected                 // calls are sent
	StateReadOnly                  // reads are sent, to a server without a quorum
	StateDisconnected              // the session may live on, if a server is found in time
	StateExpired                   // the session is over; ephemeral nodes and watches are gone
	StateAuthFailed                // a server does not take a credential of Options.Auth
	StateClosed                    // Close or Detach was called
)

var stateNames = [...]string{"connecting", "connected", "connected read-only", "disconnected", "expired", "authentication failed", "closed"}

// String returns the state in words.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", int(s))
	}
	return stateNames[s]
}

// A SessionEvent is a new State.
type SessionEvent struct {
	State   State
	Server  string // connected to, or lost
	Session int64
	Err     error // why the state is what it is, if it is a bad one
}

// State returns the present state.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Changes returns the present state, and a channel that is closed when there is another: for those who come and go, and need
// to know only how it is.
func (c *Client) Changes() (State, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.changed
}

// Heard returns when a server was last heard from. The servers end a session when they have not heard from the client for its
// timeout, which began before that.
func (c *Client) Heard() time.Time {
	if conn := c.conn.Load(); conn != nil {
		return conn.Heard()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// maxEvents is how many session events wait for who does not take them; older ones are dropped for newer.
const maxEvents = 64

// Events returns a channel of session events, which begins with the present state and is closed after StateClosed. Each
// call makes a channel of its own, for the life of the client. Who does not read it loses the oldest events.
func (c *Client) Events() <-chan SessionEvent {
	ch := make(chan SessionEvent, maxEvents)
	c.mu.Lock()
	defer c.mu.Unlock()
	ch <- SessionEvent{State: c.state, Server: c.server, Session: c.session.ID, Err: c.last}
	if c.state == StateClosed {
		close(ch)
		return ch
	}
	c.listeners = append(c.listeners, ch)
	return ch
}

// setState is called with mu held.
func (c *Client) setState(s State, err error) {
	c.state, c.last = s, err
	close(c.changed)
	c.changed = make(chan struct{})
	e := SessionEvent{State: s, Server: c.server, Session: c.session.ID, Err: err}
	for _, ch := range c.listeners {
		select {
		case ch <- e:
			continue
		default:
		}
		select { // full: the oldest goes
		case <-ch:
		default:
		}
		ch <- e // only this goroutine sends, under mu
	}
	if s == StateClosed {
		for _, ch := range c.listeners {
			close(ch)
		}
		c.listeners = nil
	}
	if s >= StateExpired {
		select {
		case <-c.over:
		default:
			close(c.over)
		}
	}
}

// endedError is a context that ended, and what the call was waiting for.
type endedError struct{ ctx, why error }

func (e *endedError) Error() string { return e.ctx.Error() + ": " + e.why.Error() }

func (e *endedError) Unwrap() []error { return []error{e.ctx, e.why} }

// codeOf returns the code that comes nearest to an error.
func codeOf(err error) proto.Code {
	switch e := err.(type) {
	case proto.Code:
		return e
	case *Error:
		return e.Code
	case *PathError, *TooLargeError:
		return ErrBadArguments
	}
	switch {
	case errors.Is(err, ErrClosed):
		return ErrSessionExpired
	case errors.Is(err, jute.ErrShort), errors.Is(err, jute.ErrLength), errors.Is(err, jute.ErrNull), errors.Is(err, proto.ErrMultiOp):
		return proto.MarshallingError
	}
	return ErrConnectionLoss
}
