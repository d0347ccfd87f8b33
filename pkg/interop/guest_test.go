//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// guest is a client with one session, which it takes along from member to member: it goes on elsewhere when its
// connection is lost, and returns to its home once that serves again. One goroutine has it, but for its events.
type guest struct {
	name    string
	e       *ensemble
	home    *member
	at      *member // which it is attached to
	timeout time.Duration

	conn     *wire.Conn
	lost     chan struct{} // closed with the connection
	session  int64
	password []byte
	last     proto.Zxid // the highest that a reply carried
	turns    atomic.Int64

	// permits gives one for each turn and takes it back when the turn is completed. It is empty while the guest must rest:
	// all it does then is to keep its session.
	permits chan struct{}
	holds   bool // a permit
	// turn is a piece of its work. When the connection is lost it is called again on the next, to finish the same piece.
	turn func(ctx context.Context) error
	// event is told notifications, on the connection's goroutine.
	event func(proto.WatcherEvent)
	// armed are the watches to set again on a new connection.
	armed func() *proto.SetWatchesRequest
}

// lostError is the end of a connection, which a guest survives.
type lostError struct{ error }

func (g *guest) String() string {
	return fmt.Sprintf("%s (session %#x, server %d)", g.name, g.session, g.at.id)
}

// call sends a request and waits for the answer.
func (g *guest) call(ctx context.Context, r request, reply wire.Reply) error {
	return g.wait(ctx, g.conn.Go(r.op, r.body, reply))
}

func (g *guest) wait(ctx context.Context, call *wire.Call) error {
	z, err := g.conn.Wait(ctx, call)
	g.last = max(g.last, z)
	var code proto.Code
	if err != nil && !errors.As(err, &code) && !errors.Is(err, wire.ErrFrame) {
		return lostError{err}
	}
	return err
}

// look reads a node.
func (g *guest) look(ctx context.Context, path string) (n content, there bool, err error) {
	var r proto.DataReply
	err = g.call(ctx, get(path), &r)
	if errors.Is(err, proto.NoNode) {
		return content{}, false, nil
	}
	return node{data: string(r.Data), stat: r.Stat}.content(), err == nil, err
}

// attach finds a member that takes the session, beginning with the guest's home. No member may refuse it.
func (g *guest) attach(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := slices.Index(g.e.members, g.home); ; i = (i + 1) % len(g.e.members) {
		err := g.attachTo(ctx, g.e.members[i])
		if !errors.As(err, new(lostError)) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (g *guest) attachTo(ctx context.Context, m *member) error {
	dial, cancel := context.WithTimeout(ctx, 5*time.Second) // a stopped server takes a connection and says nothing
	defer cancel()
	o := wire.Options{Timeout: g.timeout, SessionID: g.session, Password: g.password, LastZxid: g.last}
	if g.event != nil {
		o.Event = func(e proto.WatcherEvent, _ proto.Zxid) { g.event(e) }
	}
	conn, err := wire.Dial(dial, m.addr, o)
	if errors.Is(err, wire.ErrRefused) {
		return fmt.Errorf("%v lost its session: server %d refuses it", g, m.id)
	}
	if err != nil {
		return lostError{err}
	}
	if g.session != 0 && conn.SessionID != g.session {
		return fmt.Errorf("%v got session %#x on server %d", g, conn.SessionID, m.id)
	}
	g.at, g.conn, g.session, g.password = m, conn, conn.SessionID, conn.Password
	lost := make(chan struct{})
	g.lost = lost
	go func() {
		_ = conn.Broken()
		close(lost)
	}()
	if g.armed == nil || g.last == 0 {
		return nil
	}
	if err := g.call(ctx, request{proto.OpSetWatches, g.armed()}, nil); err != nil {
		return fmt.Errorf("%v: set the watches again: %w", g, err)
	}
	return nil
}

// live takes turns until ctx ends and keeps the session alive.
func (g *guest) live(ctx context.Context) error {
	ping := time.NewTicker(g.timeout / 4)
	defer ping.Stop()
	pace := time.NewTicker(20 * time.Millisecond) // leaves the processors to servers that start
	defer pace.Stop()
	defer func() { g.conn.Close() }()
	for {
		err := g.stay(ctx, ping.C, pace.C)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.As(err, new(lostError)):
			return fmt.Errorf("%v: %w", g, err)
		}
		g.conn.Close()
		if err := g.attach(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// stay takes turns on one connection.
func (g *guest) stay(ctx context.Context, ping, pace <-chan time.Time) error {
	for {
		if g.holds {
			<-pace
			if err := g.turn(ctx); err != nil {
				return err
			}
			g.turns.Add(1)
			g.holds = false
			g.permits <- struct{}{}
		}
		if g.at != g.home && g.home.serving.Load() {
			return lostError{errors.New("home serves again")}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.lost:
			return lostError{wire.ErrClosed}
		case <-ping:
			g.conn.Go(proto.OpPing, nil, nil)
		case <-g.permits:
			g.holds = true
		}
	}
}
