// Package load puts a server under a known load and measures what it does: throughput, latency, CPU, memory. The
// generator shares its machine with the server, so it is as cheap as it can be made: frames are built once, and replies
// are counted by their headers.
package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/proto"
)

// A Shape is how many connections there are, and how many requests each has under way.
type Shape struct{ Conns, Outstanding int }

func (s Shape) String() string { return fmt.Sprintf("%dx%d", s.Conns, s.Outstanding) }

// ParseShape reads CONNECTIONSxOUTSTANDING.
func ParseShape(text string) (s Shape, err error) {
	conns, outstanding, _ := strings.Cut(text, "x")
	s.Conns, err = strconv.Atoi(conns)
	if err == nil {
		s.Outstanding, err = strconv.Atoi(outstanding)
	}
	if err != nil || s.Conns < 1 || s.Outstanding < 1 || s.Conns > mostAtOnce || s.Outstanding > mostAtOnce {
		return s, fmt.Errorf("load: %q is no CONNECTIONSxOUTSTANDING, such as 16x64; both are from 1 to %d", text, mostAtOnce)
	}
	return s, nil
}

// mostAtOnce bounds connections, and requests under way on each.
const mostAtOnce = 10_000

// A Result is what was measured. P50 and others are latencies, to three digits.
type Result struct {
	Ops                       int
	Errors                    int // replies with an error code
	Elapsed                   time.Duration
	P50, P90, P99, P999, Most time.Duration
}

// Rate returns operations in a second.
func (r Result) Rate() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// Run keeps Outstanding requests of an operation under way on each of Conns connections for a time, or until ctx ends, which
// is an error. The connections go to the servers in turn. The site must have been made.
func (s Site) Run(ctx context.Context, addrs []string, op Operation, shape Shape, d time.Duration) (Result, error) {
	all := newLatencies()
	workers := make([]*worker, shape.Conns)
	for i := range workers {
		w, err := s.dial(ctx, addrs[i%len(addrs)], op, i, shape.Outstanding)
		if err != nil {
			return Result{}, err
		}
		w.all, workers[i] = all, w
		defer w.close()
	}
	began := time.Now()
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = w.nc.SetDeadline(began) })
			defer stop()
			if errs[i] = w.run(began.Add(d)); ctx.Err() != nil {
				errs[i] = ctx.Err()
			}
		})
	}
	wg.Wait()
	r := Result{Elapsed: time.Since(began)}
	for _, w := range workers {
		r.Ops += w.ops
		r.Errors += w.errors
		all.take(w.latencies)
	}
	r.P50, r.P90, r.P99, r.P999, r.Most = all.at(50), all.at(90), all.at(99), all.at(99.9), all.at(100)
	for _, err := range errs {
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// Run runs an operation at the usual site, which Prepare makes.
func Run(ctx context.Context, addrs []string, op Operation, s Shape, d time.Duration) (Result, error) {
	return usual().Run(ctx, addrs, op, s, d)
}

// worker is one connection.
type worker struct {
	nc        net.Conn
	next      func(dst []byte, n int) []byte // appends the frame of request n
	window    int
	ops       int
	errors    int
	sent      []time.Time // of request n at n modulo its length
	latencies []time.Duration
	all       *latencies
}

func (s Site) dial(ctx context.Context, addr string, op Operation, i, window int) (*worker, error) {
	nc, err := open(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &worker{nc: nc, next: op.frames(s, i), window: window, sent: make([]time.Time, window), latencies: make([]time.Duration, 0, 4096)}, nil
}

// open connects and takes a new session.
func open(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("load: dial: %w", err)
	}
	req := proto.ConnectRequest{Timeout: 30000, Password: make([]byte, proto.PasswordSize), HasReadOnly: true}
	b := req.AppendTo(make([]byte, 4))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := nc.Write(b); err != nil {
		return nil, fmt.Errorf("load: handshake: %w", err)
	}
	var reply [41]byte
	if _, err := io.ReadFull(nc, reply[:]); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("load: %s takes no session (it may not serve, or maxClientCnxns is reached): %w", addr, err)
	}
	return nc, nil
}

// goodbye is closeSession, behind whose answer the server closes the connection.
var goodbye = []byte{0, 0, 0, 8, 0x7f, 0, 0, 0, 0xff, 0xff, 0xff, 0xf5}

// close ends the session, so that it is no burden on what is measured next.
func (w *worker) close() {
	_, _ = w.nc.Write(goodbye)
	_ = w.nc.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, w.nc)
	_ = w.nc.Close()
}

// took notes a latency.
func (w *worker) took(d time.Duration) {
	if len(w.latencies) == cap(w.latencies) {
		w.all.take(w.latencies)
		w.latencies = w.latencies[:0]
	}
	w.latencies = append(w.latencies, d)
}

// run sends a new request for each reply until the end, and then waits for the rest.
func (w *worker) run(end time.Time) error {
	in, out := make([]byte, 256<<10), make([]byte, 0, 64<<10)
	have, sent := 0, 0
	now := time.Now()
	for ; sent < w.window; sent++ {
		out = w.next(out, sent)
		w.sent[sent%w.window] = now
	}
	for {
		if len(out) > 0 {
			if _, err := w.nc.Write(out); err != nil {
				return fmt.Errorf("load: %v: write: %w", w.nc.RemoteAddr(), err)
			}
			out = out[:0]
		}
		n, err := w.nc.Read(in[have:])
		if err != nil {
			return fmt.Errorf("load: %v: read: %w", w.nc.RemoteAddr(), err)
		}
		have += n
		now = time.Now()
		replies, used, failed := count(in[:have])
		have = copy(in, in[used:have])
		w.errors += failed
		for range replies {
			w.took(now.Sub(w.sent[w.ops%w.window]))
			w.ops++
			if now.Before(end) {
				w.sent[sent%w.window] = now
				out = w.next(out, sent)
				sent++
			}
		}
		if w.ops == sent {
			return nil
		}
	}
}

// count returns how many whole replies b begins with, how long they are, and how many of them are errors.
func count(b []byte) (replies, used, failed int) {
	for len(b)-used >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(b[used:]))
		if len(b)-used < n {
			break
		}
		if n >= 20 && binary.BigEndian.Uint32(b[used+16:]) != 0 {
			failed++
		}
		used += n
		replies++
	}
	return replies, used, failed
}
