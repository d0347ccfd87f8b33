//go:build interop

package interop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// crowd is the guests of an ensemble: at each member a writer, a hose, a watcher and one that is only there; and one
// whose writes the watchers watch.
type crowd struct {
	e        *ensemble
	writers  []*guest // all that write
	watchers []*watcher
	idlers   []*guest
	checks   []func(nodes) error // whether a tree holds what was acknowledged
	permits  chan struct{}       // of the writers: one for each, or none
	working  bool
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// gather brings the guests in. The writers rest until they are let work.
func gather(e *ensemble) *crowd {
	e.t.Helper()
	c := &crowd{e: e, permits: make(chan struct{}, 1+2*len(e.members))}
	roots := map[string]string{belfry: "", bell: ""}
	guestOf := func(m *member, trade string) *guest {
		return &guest{name: fmt.Sprintf("%s%d", trade, m.id), e: e, home: m, at: m, timeout: longSession}
	}
	writerOf := func(m *member, trade string) *guest {
		g := guestOf(m, trade)
		g.permits = c.permits
		c.writers = append(c.writers, g)
		return g
	}
	ringer := newWriter(writerOf(e.members[0], "ringer"), belfry, ring)
	ringer.nodes[bell] = content{}
	c.checks = append(c.checks, ringer.check)
	for _, m := range e.members {
		w := newWriter(writerOf(m, "writer"), fmt.Sprintf("/writer%d", m.id), everything)
		h := newHose(writerOf(m, "hose"), fmt.Sprintf("/hose%d", m.id))
		roots[w.root], roots[h.path] = "", "0"
		c.checks = append(c.checks, w.check, h.check)
		c.watchers = append(c.watchers, newWatcher(guestOf(m, "watcher")))
		idler := guestOf(m, "idler")
		idler.timeout = 15 * time.Second // so short that its life depends on its pings
		c.idlers = append(c.idlers, idler)
	}
	e.furnish(e.members[0], roots)
	ctx, cancel := context.WithCancel(e.t.Context())
	c.cancel = cancel
	e.t.Cleanup(c.end)
	for _, g := range c.guests() {
		// A follower of 3.8.0 may, once in a long while, leave a new session unanswered.
		e.await(g.name+" gets a session", func() bool { return g.attachTo(ctx, g.home) == nil })
		c.wg.Go(func() {
			if err := g.live(ctx); err != nil {
				e.report(err)
			}
		})
	}
	return c
}

// furnish creates nodes with their data by way of a member, in three txns.
func (e *ensemble) furnish(m *member, roots map[string]string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	c, err := wire.Dial(ctx, m.addr, wire.Options{})
	if err != nil {
		e.fatalf("%v", err)
	}
	defer c.Close()
	var ops []proto.MultiOp
	for _, path := range slices.Sorted(maps.Keys(roots)) { // a parent before what is below it
		ops = append(ops, proto.MultiOp{Type: proto.OpCreate, Path: path, Data: []byte(roots[path]), ACL: proto.WorldAll()})
	}
	if _, err := c.Multi(ctx, ops...); err != nil {
		e.fatalf("create %v: %v", roots, err)
	}
	if err := c.CloseSession(ctx); err != nil {
		e.fatalf("%v", err)
	}
}

func (c *crowd) guests() []*guest {
	all := slices.Concat(c.idlers, c.writers)
	for _, w := range c.watchers {
		all = append(all, w.guest)
	}
	return all
}

// end stops the guests where they are.
func (c *crowd) end() {
	c.cancel()
	c.wg.Wait()
}

// work lets the writers work.
func (c *crowd) work() {
	c.working = true
	for range cap(c.permits) {
		c.permits <- struct{}{}
	}
}

// rest returns when no writer does anything, or waits for anything.
func (c *crowd) rest() {
	c.e.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; c.working && n < cap(c.permits); {
		select {
		case <-c.permits:
			n++
		case <-tick.C:
			c.e.check()
		case <-timeout.C:
			c.e.fatalf("only %d of %d writers come to rest", n, cap(c.permits))
		}
	}
	c.working = false
}

// turns waits until each of the guests has taken n more.
func (c *crowd) turns(n int64, guests ...*guest) {
	c.e.t.Helper()
	until := make([]int64, len(guests))
	for i, g := range guests {
		until[i] = g.turns.Load() + n
	}
	for i, g := range guests {
		c.e.await(fmt.Sprintf("%s, which has taken %d turns, takes %d", g.name, until[i]-n, n), func() bool { return g.turns.Load() >= until[i] })
	}
}

// busy waits until each writer has written a good deal more.
func (c *crowd) busy() {
	c.e.t.Helper()
	c.turns(15, c.writers...)
}

// agree brings the writers to rest and finds the same on all members: the tree with every Stat and ACL, in it exactly
// what was acknowledged, and the guests' sessions; and no watcher waits for an event.
func (c *crowd) agree() {
	c.e.t.Helper()
	c.rest()
	for _, w := range c.watchers {
		c.turns(2, w.guest) // the second begins now, and looks for events that are due
	}
	tree := c.e.sameTree()
	for _, check := range c.checks {
		if err := check(tree); err != nil {
			c.e.fatalf("%v", err)
		}
	}
	var sessions []int64
	for _, g := range c.guests() {
		sessions = append(sessions, g.session)
	}
	c.e.sameSessions(sessions)
	c.e.sameDigests()
}

// leave closes the sessions, each on its guest's home. Nothing of them stays.
func (c *crowd) leave() {
	c.e.t.Helper()
	c.agree()
	c.end()
	for _, w := range c.watchers {
		for _, x := range w.watches {
			if x.count == 0 {
				c.e.fatalf("%v: no event ever for %v %s", w.guest, x.op, x.path)
			}
		}
	}
	ctx, cancel := context.WithTimeout(c.e.t.Context(), patience)
	defer cancel()
	for _, g := range c.guests() {
		g.armed, g.event = nil, nil
		err := g.attachTo(ctx, g.home)
		if err == nil {
			err = g.call(ctx, request{proto.OpCloseSession, nil}, nil)
		}
		if err != nil {
			c.e.fatalf("%v leaves: %v", g, err)
		}
		g.conn.Close()
	}
	for path, n := range c.e.sameTree() {
		if n.stat.EphemeralOwner != 0 {
			c.e.fatalf("%s is there, although session %#x was closed", path, n.stat.EphemeralOwner)
		}
	}
	c.e.sameSessions(nil)
	c.e.check()
}
