package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/zab"
)

// calmBound is how long it may take from the end of all faults until all is well.
const calmBound = 20 * time.Second

// settle looks again and again whether all is well.
func (w *World) settle() {
	why := w.unsettled()
	switch {
	case why == "":
		w.done = true
		w.checkEphemerals()
	case w.now-w.calmAt > calmBound:
		w.fail("%v after all faults have stopped, %s", w.now-w.calmAt, why)
	default:
		w.after(50*time.Millisecond, w.settle)
	}
}

// unsettled says what is not well yet: a leader serves, so does everyone, all trees are the same and have all that was
// committed, every client is connected and has its answers, and no sessions are left but theirs.
func (w *World) unsettled() string {
	leader := w.leader()
	if leader == nil {
		return "nobody leads"
	}
	for _, h := range w.hosts {
		switch p := h.p; {
		case p == nil:
			return fmt.Sprintf("%v does not run", h)
		case w.profile.changes && (p.node.Members().Next != nil || h.next != nil || h.active.Text() != leader.h.active.Text()):
			return fmt.Sprintf("%v goes by version %x", p, p.node.Members().LastSeen().Version)
		case !p.service.open || p.node.Epoch() != leader.node.Epoch():
			return fmt.Sprintf("%v does not serve in epoch %d: it is %v", p, leader.node.Epoch(), p.node.Role())
		case w.history.index(p.tree.LastZxid()) != len(w.history.committed):
			return fmt.Sprintf("%v has a tree at %v, and %v is committed", p, p.tree.LastZxid(), w.history.tip())
		}
		w.history.applied(h.p)
	}
	for _, c := range w.clients {
		if !c.connected || len(c.sent) > 0 {
			return fmt.Sprintf("%v waits (connected: %v) for %v", c, c.connected, c.sent)
		}
	}
	for id, s := range w.model.sessions {
		if s.ends == 0 && !slices.ContainsFunc(w.clients, func(c *client) bool { return c.session == id }) {
			return "a session lives that no client has"
		}
	}
	return ""
}

// checkEphemerals compares what the trees say of sessions with the model.
func (w *World) checkEphemerals() {
	for _, h := range w.hosts {
		t := h.p.tree
		owned := 0
		for id, s := range w.model.sessions {
			if _, lives := t.SessionTimeout(id); lives != (s.ends == 0) {
				w.fail("%v has session %x: %v, and it ends at %d", h.p, id, lives, s.ends)
			}
			for path := range s.owned {
				if r, ok := t.Find(path); !ok || t.Stat(r).EphemeralOwner != id {
					w.fail("%v lacks the ephemeral %s of session %x", h.p, path, id)
				}
				owned++
			}
		}
		if n := t.EphemeralCount(); n != owned {
			w.fail("%v has %d ephemerals, and the living sessions have %d", h.p, n, owned)
		}
	}
}

// expired is told of a session that a server ends by itself. When all is well this is none whose client has been there
// for its timeout.
func (w *World) expired(id int64) {
	for _, c := range w.clients {
		if c.session != id || !c.connected || !w.calm {
			continue
		}
		if since := max(c.since, w.calmAt+2*time.Second); w.now-since > c.timeout {
			w.fail("session %x expires, whose %v has been with %v since %v", id, c, c.host, c.since)
		}
	}
}

// checkFresh fails if a server answers a read though it has not heard of its ensemble for the failure time. What it has
// heard may have been on its way for a while, but not for longer than that again.
func (w *World) checkFresh(p *process) {
	limit := w.profile.syncLimit
	fresh := func(h *host) bool {
		return w.now-p.heardAt[h.place] <= limit && w.now-p.heardOf[h.place] <= 2*limit+w.profile.tick
	}
	if p.role != zab.Leading {
		if l := w.host(p.node.Leader()); l == nil || !fresh(l) {
			w.fail("%v answers a read, and has heard of others at %v, what they sent at %v", p, p.heardAt, p.heardOf)
		}
		return
	}
	if !p.node.Members().Holds(func(id ensemble.ID) bool { return id == p.h.id || fresh(w.host(id)) }) {
		w.fail("%v answers a read, and has heard of others at %v, what they sent at %v", p, p.heardAt, p.heardOf)
	}
}
