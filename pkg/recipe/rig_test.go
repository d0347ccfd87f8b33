package recipe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
	"github.com/zabd/zabd/pkg/proto"
)

// serve starts a server in this process and returns its address.
func serve(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	text := "dataDir=" + t.TempDir() + "\nclientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\ntickTime=100\n" +
		"minSessionTimeout=100\nmaxSessionTimeout=60000\nmaxClientCnxns=0\nadmin.enableServer=false\nextendedTypesEnabled=true\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := daemon.Start(context.Background(), cfg, daemon.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s.ClientAddr()
}

// connect returns a client with a session that outlasts the test.
func connect(t testing.TB, addr string, o client.Options) *client.Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	c, err := client.New(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.Connected(context.Background()))
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got returns a value whose making must not fail.
func got[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// A wire is how a client's connections fail.
type wire struct {
	cut      atomic.Bool   // no new connection comes about
	requests atomic.Int32  // the connection breaks before so many requests have been sent; 0 = it does not
	answers  atomic.Int32  // the server does what it is asked to, and the answer of that number is lost
	asked    chan proto.Op // calls that have ended

	mu    sync.Mutex
	conns []net.Conn
}

var errCut = errors.New("the wire is cut")

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if w.cut.Load() {
		return nil, errCut
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	return &faulty{c, w}, nil
}

// breaks cuts the connection, and keeps it cut.
func (w *wire) breaks() {
	w.cut.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
}

// mend lets connections come about again.
func (w *wire) mend() { w.cut.Store(false) }

// faulty is a connection over a wire.
type faulty struct {
	net.Conn
	w *wire
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.w.requests.Load() > 0 && f.w.requests.Add(-1) == 0 {
		_ = f.Close()
	}
	return f.Conn.Write(b)
}

func (f *faulty) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if err == nil && f.w.answers.Load() > 0 && f.w.answers.Add(-1) == 0 {
		_ = f.Close()
		return 0, errCut
	}
	return n, err
}

// overWire connects over a wire that can fail.
func overWire(t testing.TB, addr string, timeout time.Duration) (*client.Client, *wire) {
	t.Helper()
	w := &wire{asked: make(chan proto.Op, 1<<16)}
	return connect(t, addr, client.Options{
		Timeout: timeout, Dial: w.dial, RetryMin: time.Millisecond, RetryMax: time.Millisecond,
		Metrics: client.Metrics{Call: func(op proto.Op, _ time.Duration, _ error) { w.asked <- op }},
	}), w
}

// eachLoss calls f again and again, each time with another of the requests or answers of its client being lost, until f has
// asked for less than that.
func eachLoss(t *testing.T, addr string, f func(t *testing.T, c *client.Client, root string)) {
	for kind, lose := range map[string]func(w *wire) *atomic.Int32{
		"request": func(w *wire) *atomic.Int32 { return &w.requests },
		"answer":  func(w *wire) *atomic.Int32 { return &w.answers },
	} {
		c, w := overWire(t, addr, time.Minute)
		for n, more := int32(1), true; more; n++ {
			t.Run(fmt.Sprintf("%s %d", kind, n), func(t *testing.T) {
				lose(w).Store(n)
				f(t, c, fmt.Sprintf("/%s%d", kind, n))
				more = lose(w).Swap(0) == 0
			})
		}
	}
}
