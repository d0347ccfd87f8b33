//go:build bench

package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

const (
	failoverBase = "/failover"
	writeTimeout = 10 * time.Second       // an answer that takes longer does not come
	dialTimeout  = 500 * time.Millisecond // of connection and session together
	retryPause   = 3 * time.Millisecond   // when no server has given a session
)

// A writer is a client that knows all servers and creates one node after the other. When its connection breaks it takes
// its session to the next server, at once.
type writer struct {
	id    int
	addrs []string
	at    int // the server in use
	seen  *sight

	conn     *wire.Conn // nil if there is none
	session  int64
	password []byte
	zxid     proto.Zxid

	next   int      // number of the node that is written next; none is written twice
	acked  []string // names of the nodes whose creation was acknowledged
	lost   int      // sessions that were refused
	denied []error  // answers that are errors
}

func (w *writer) dir() string { return fmt.Sprintf("%s/client-%d", failoverBase, w.id) }

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	data := make([]byte, 100)
	for ctx.Err() == nil {
		if w.conn == nil && !w.connect(ctx) {
			continue
		}
		w.next++
		name := fmt.Sprintf("%08d", w.next)
		req := &proto.CreateRequest{Path: w.dir() + "/" + name, Data: data, ACL: proto.WorldAll()}
		opCtx, cancel := context.WithTimeout(ctx, writeTimeout)
		zxid, err := w.conn.Call(opCtx, proto.OpCreate, req, nil)
		cancel()
		if err == nil {
			w.zxid = zxid
			w.acked = append(w.acked, name)
			w.seen.acknowledged(w)
			continue
		}
		var code proto.Code
		if errors.As(err, &code) && code != proto.SessionMoved && ctx.Err() == nil {
			w.denied = append(w.denied, fmt.Errorf("create %s: %w", req.Path, err))
		}
		w.conn.Close()
		w.conn = nil
	}
	if w.conn != nil {
		w.conn.Close()
	}
}

// connect tries each server once, beginning with the one after the last.
func (w *writer) connect(ctx context.Context) bool {
	for range w.addrs {
		w.at = (w.at + 1) % len(w.addrs)
		dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
		c, err := wire.Dial(dialCtx, w.addrs[w.at], wire.Options{SessionID: w.session, Password: w.password, LastZxid: w.zxid})
		cancel()
		if err == nil {
			w.conn, w.session, w.password = c, c.SessionID, c.Password
			w.seen.connected(w)
			return true
		}
		if errors.Is(err, wire.ErrRefused) && w.session != 0 {
			w.session, w.password = 0, nil
			w.lost++
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(retryPause):
	}
	return false
}

// missing returns which acknowledged nodes a server does not have.
func (w *writer) missing(ctx context.Context, addr string) ([]string, error) {
	c, err := wire.Dial(ctx, addr, wire.Options{Timeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Sync(ctx, failoverBase); err != nil {
		return nil, err
	}
	names, _, err := c.Children(ctx, w.dir(), false)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []string
	for _, name := range w.acked {
		if _, found := slices.BinarySearch(names, name); !found {
			out = append(out, w.dir()+"/"+name)
		}
	}
	return out, c.CloseSession(ctx)
}

// A sight is what all writers together see of the servers: the acknowledged writes, and the gaps between them.
type sight struct {
	mu    sync.Mutex
	total int       // acknowledged writes
	last  time.Time // when one was acknowledged
	worst time.Duration

	killed  time.Time
	session time.Duration    // from the kill until a session was given
	fresh   map[*writer]bool // whose connection is younger than the kill
	write   time.Duration    // from the kill until a write was acknowledged on such a connection
	enough  chan struct{}    // closed after a number of such writes
	want    int
}

// begin starts a new measurement, at the time of a kill. The returned channel is closed when the writers are at work
// again.
func (s *sight) begin(want int) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed, s.worst, s.session, s.write = time.Now(), 0, 0, 0
	s.fresh, s.want, s.enough = map[*writer]bool{}, want, make(chan struct{})
	return s.enough
}

// gap returns the longest time without an acknowledged write since begin, or since it was asked for last.
func (s *sight) gap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := max(s.worst, time.Since(s.last))
	s.worst = 0
	return worst
}

// phases returns how long after the kill there was a session, and a write on it.
func (s *sight) phases() (session, write time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.write
}

func (s *sight) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func (s *sight) connected(w *writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh == nil {
		return
	}
	s.fresh[w] = true
	if s.session == 0 {
		s.session = time.Since(s.killed)
	}
}

func (s *sight) acknowledged(w *writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.total++
	s.worst = max(s.worst, now.Sub(s.last))
	s.last = now
	if !s.fresh[w] {
		return
	}
	if s.write == 0 {
		s.write = now.Sub(s.killed)
	}
	if s.want--; s.want == 0 {
		close(s.enough)
	}
}
