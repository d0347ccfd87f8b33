package peer

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// gate holds a reader back while too much of what it has handed over waits for the loop: what a peer sends too fast
// waits in the network and not in memory.
type gate struct {
	most   int64
	inside atomic.Int64
	room   chan struct{}
}

func newGate(most int64) gate { return gate{most: most, room: make(chan struct{}, 1)} }

func (g *gate) enter(n int) { g.inside.Add(int64(n)) }

// leave is called by the loop.
func (g *gate) leave(n int) {
	if now := g.inside.Add(-int64(n)); now <= g.most && now+int64(n) > g.most {
		select {
		case g.room <- struct{}{}:
		default:
		}
	}
}

// wait returns when there is room; false if the connection was closed before.
func (g *gate) wait(closed <-chan struct{}) bool {
	for g.inside.Load() > g.most {
		select {
		case <-g.room:
		case <-closed:
			return false
		}
	}
	return true
}

// doorkeeper limits the connections of a port, in all and from one host, so that strangers cannot use up what peers need.
type doorkeeper struct {
	total, perHost int

	mu     sync.Mutex // guards what follows
	all    int
	byHost map[string]int
}

func newDoorkeeper(total, perHost int) *doorkeeper {
	return &doorkeeper{total: total, perHost: perHost, byHost: make(map[string]int)}
}

func (d *doorkeeper) enter(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= d.total || d.byHost[host] >= d.perHost {
		return false
	}
	d.all++
	d.byHost[host]++
	return true
}

func (d *doorkeeper) leave(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.byHost[host]--; d.byHost[host] == 0 {
		delete(d.byHost, host)
	}
}

// hostOf returns the host of a connection's other end.
func hostOf(c net.Conn) string {
	remote := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

const (
	complaintEvery = 10 * time.Second
	mostComplaints = 1 << 10 // remembered
)

// complaints are the lines about what others do wrong. Each is said once in a while, so that nobody can fill the log.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex // guards last
	last map[string]time.Time
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, last: make(map[string]time.Time)}
}

// warn says what is wrong, unless it has just said it of the same subject.
func (c *complaints) warn(subject, text string, args ...any) {
	key, now := subject+"\x00"+text, time.Now()
	c.mu.Lock()
	said, known := c.last[key]
	quiet := known && now.Sub(said) < complaintEvery
	if !quiet {
		if len(c.last) >= mostComplaints {
			clear(c.last)
		}
		c.last[key] = now
	}
	c.mu.Unlock()
	if !quiet {
		c.log.Warn(text, args...)
	}
}
