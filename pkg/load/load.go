// Package load puts a server under a known load and measures what it does: throughput, latency, CPU, memory. The
// generator shares its machine with the server, so it is as cheap as it can be made: frames are built once, and replies
// are counted by their headers.
package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// A Shape is how many connections there are, and how many requests each has under way.
type Shape struct{ Conns, Outstanding int }

func (s Shape) String() string { return fmt.Sprintf("%dx%d", s.Conns, s.Outstanding) }

// A Result is what was measured.
type Result struct {
	Ops      int
	Errors   int // replies with an error code
	Elapsed  time.Duration
	P50, P99 time.Duration
}

// Rate returns operations in a second.
func (r Result) Rate() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// Run keeps Outstanding requests of an operation under way on each of Conns connections for a time. The connections go
// to the servers in turn. The operation's nodes must be there (Prepare).
func Run(ctx context.Context, addrs []string, op Operation, s Shape, d time.Duration) (Result, error) {
	workers := make([]*worker, s.Conns)
	for i := range workers {
		w, err := dial(ctx, addrs[i%len(addrs)], op, i, s.Outstanding)
		if err != nil {
			return Result{}, err
		}
		workers[i] = w
		defer w.close()
	}
	began := time.Now()
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = w.run(began.Add(d))
		}()
	}
	wg.Wait()
	r := Result{Elapsed: time.Since(began)}
	var all []time.Duration
	for _, w := range workers {
		r.Ops += w.ops
		r.Errors += w.errors
		all = append(all, w.latencies...)
	}
	slices.Sort(all)
	if n := len(all); n > 0 {
		r.P50, r.P99 = all[n/2], all[n*99/100]
	}
	return r, errors.Join(errs...)
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
}

func dial(ctx context.Context, addr string, op Operation, i, window int) (*worker, error) {
	nc, err := open(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &worker{nc: nc, next: op.frames(i), window: window, sent: make([]time.Time, window)}, nil
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
		return nil, fmt.Errorf("load: handshake: %w", err)
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
				return fmt.Errorf("load: write: %w", err)
			}
			out = out[:0]
		}
		n, err := w.nc.Read(in[have:])
		if err != nil {
			return fmt.Errorf("load: read: %w", err)
		}
		have += n
		now = time.Now()
		replies, used, failed := count(in[:have])
		have = copy(in, in[used:have])
		w.errors += failed
		for range replies {
			w.latencies = append(w.latencies, now.Sub(w.sent[w.ops%w.window]))
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

// Prepare makes the nodes that the operations work on.
func Prepare(ctx context.Context, addr string) error {
	c, err := wire.Dial(ctx, addr, wire.Options{Timeout: 30 * time.Second})
	if err != nil {
		return err
	}
	defer c.Close()
	calls := []*wire.Call{}
	create := func(path string, data []byte) {
		calls = append(calls, c.Go(proto.OpCreate, &proto.CreateRequest{Path: path, Data: data, ACL: proto.WorldAll()}, nil))
	}
	create(base, nil)
	create(base+"/kids", nil)
	create(base+"/seq", nil)
	for i := range 1000 {
		create(fmt.Sprintf("%s/kids/child-%06d", base, i), nil)
	}
	for i := range maxConns {
		create(nodeOf(i), make([]byte, 100))
	}
	for _, call := range calls {
		if _, err := c.Wait(ctx, call); err != nil && !errors.Is(err, proto.NodeExists) {
			return fmt.Errorf("load: prepare: %w", err)
		}
	}
	return c.CloseSession(ctx)
}
