//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// crowd is a number of clients that write all the time, each by a session that it takes from server to server.
type crowd struct {
	s       *site
	stop    context.CancelFunc
	done    sync.WaitGroup
	writers []*writer

	mu    sync.Mutex
	count int           // of acknowledged writes
	last  time.Time     // of an acknowledged write
	worst time.Duration // without one
}

type writer struct {
	c     *crowd
	dir   string
	at    int // the server in use
	conn  *wire.Conn
	last  wire.Options // of the session
	acked []string
	lost  int   // sessions that were refused
	wrong error // an answer that is an error
}

const pace = 10 * time.Millisecond // between the writes of one client

// begin has clients write to all hosts of a site.
func begin(t *testing.T, s *site, clients int) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c := &crowd{s: s, stop: stop, last: time.Now()}
	t.Cleanup(func() { stop(); c.done.Wait() })
	for i := range clients {
		w := &writer{c: c, at: i, dir: fmt.Sprintf("/e2e-%d-%d", time.Now().UnixNano(), i)}
		c.writers = append(c.writers, w)
		w.connect(ctx)
		if w.conn == nil {
			t.Fatal("no server takes a client")
		}
		if _, err := w.conn.Create(ctx, w.dir, nil, 0); err != nil {
			t.Fatal(err)
		}
		c.done.Go(func() { w.run(ctx) })
	}
	return c
}

func (w *writer) run(ctx context.Context) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil && w.wrong == nil; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if w.conn == nil && !w.connect(ctx) {
			continue
		}
		name := fmt.Sprintf("%08d", n) // none is written twice
		opCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := w.conn.Create(opCtx, w.dir+"/"+name, nil, 0)
		cancel()
		if err == nil {
			w.acked = append(w.acked, name)
			w.c.acknowledged()
			continue
		}
		if code := proto.Code(0); errors.As(err, &code) && code != proto.SessionMoved {
			w.wrong = err
		}
		w.conn.Close()
		w.conn = nil
	}
}

// connect tries each server once, beginning with the one after the last.
func (w *writer) connect(ctx context.Context) bool {
	for range w.c.s.hosts {
		w.at = w.at%len(w.c.s.hosts) + 1
		dialCtx, cancel := context.WithTimeout(ctx, time.Second)
		conn, err := w.c.s.dial(dialCtx, w.at, w.last)
		cancel()
		if err == nil {
			w.conn, w.last.SessionID, w.last.Password = conn, conn.SessionID, conn.Password
			return true
		}
		if errors.Is(err, wire.ErrRefused) && w.last.SessionID != 0 {
			w.last = wire.Options{}
			w.lost++
		}
	}
	return false
}

// dial connects to a server, from the operator's place.
func (s *site) dial(ctx context.Context, n int, o wire.Options) (c *wire.Conn, err error) {
	o.Timeout = 20 * time.Second
	if e := within(s.netns, func() { c, err = wire.Dial(ctx, addressOf(n)+":2181", o) }); e != nil {
		return nil, e
	}
	return c, err
}

func (c *crowd) acknowledged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	c.worst, c.last = max(c.worst, time.Since(c.last)), time.Now()
}

// written waits until so many more writes have been acknowledged.
func (c *crowd) written(more int) {
	c.s.t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.count
	}
	began := count()
	c.s.hosts[0].until("clients write", func() bool { return count() >= began+more })
}

// gap returns the longest time without an acknowledged write since it was asked for last.
func (c *crowd) gap() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	worst := max(c.worst, time.Since(c.last))
	c.worst = 0
	return worst
}

// end stops the clients and looks for every acknowledged write, and every session, on every server.
func (c *crowd) end(t *testing.T) {
	t.Helper()
	c.stop()
	c.done.Wait()
	count := 0
	for n := 1; n <= len(c.s.hosts); n++ {
		conn, err := c.s.dial(t.Context(), n, wire.Options{})
		if err != nil {
			t.Fatalf("zk%d: %v", n, err)
		}
		for _, w := range c.writers {
			err := conn.Sync(t.Context(), w.dir)
			names, _, err2 := conn.Children(t.Context(), w.dir, false)
			if err := errors.Join(err, err2, w.wrong); err != nil {
				t.Fatalf("zk%d: %s: %v", n, w.dir, err)
			}
			slices.Sort(names)
			for _, name := range w.acked {
				if _, found := slices.BinarySearch(names, name); !found {
					t.Errorf("zk%d: %s/%s was acknowledged and is not there", n, w.dir, name)
				}
			}
			count += len(w.acked)
		}
		conn.Close()
	}
	for _, w := range c.writers {
		if w.lost > 0 {
			t.Errorf("%s: %d sessions were lost", w.dir, w.lost)
		}
	}
	t.Logf("%d writes of %d clients acknowledged, all there on %d servers", count/len(c.s.hosts), len(c.writers), len(c.s.hosts))
}
