//go:build bench

package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
)

// A crowd is many connections with a session each, at one server.
type crowd []net.Conn

const (
	atATime   = 64              // of what is done to a crowd
	crowdWait = 2 * time.Minute // an answer that takes longer does not come
)

// allowDescriptors lets this program, and the servers that it starts, have n connections.
func allowDescriptors(t *testing.T, n int) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	need := uint64(n + 200) // what a server has besides them
	if l.Max < need {
		t.Fatalf("the hard limit of descriptors is %d (ulimit -Hn), and %d are needed", l.Max, need)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
}

// gather opens n sessions, some at a time.
func gather(t *testing.T, e *lab.Ensemble, n int) crowd {
	t.Helper()
	c := make(crowd, n)
	each(t, e, n, func(i int) error {
		nc, err := open(t.Context(), e.Servers[0].Addr)
		if err != nil {
			return err
		}
		c[i] = nc
		return nc.SetDeadline(time.Now().Add(crowdWait))
	})
	return c
}

// dismiss ends the sessions.
func (c crowd) dismiss(t *testing.T, e *lab.Ensemble) {
	t.Helper()
	each(t, e, len(c), func(i int) error {
		if _, err := c[i].Write(goodbye); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c[i])
		return errors.Join(err, c[i].Close())
	})
}

// each calls f with 0 to n-1, in parts that have a goroutine each.
func each(t *testing.T, e *lab.Ensemble, n int, f func(i int) error) {
	t.Helper()
	parts := min(atATime, n)
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for part := range parts {
		wg.Go(func() {
			for i := part; i < n && errs[part] == nil; i += parts {
				errs[part] = f(i)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
}

// An inbox reads replies and notifications, and keeps what it has read of the next one.
type inbox struct {
	nc   net.Conn
	buf  []byte
	have int
}

// take reads n of them.
func (in *inbox) take(n int) error {
	if in.buf == nil {
		in.buf = make([]byte, 64<<10)
	}
	for n > 0 {
		got, err := in.nc.Read(in.buf[in.have:])
		if err != nil {
			return fmt.Errorf("load: read: %w", err)
		}
		in.have += got
		replies, used, failed := count(in.buf[:in.have])
		if in.have = copy(in.buf, in.buf[used:in.have]); in.have == len(in.buf) {
			in.buf = append(in.buf, make([]byte, len(in.buf))...)
		}
		if failed > 0 || replies > n {
			return fmt.Errorf("load: %d replies, of which %d are errors, instead of %d", replies, failed, n)
		}
		n -= replies
	}
	return nil
}
