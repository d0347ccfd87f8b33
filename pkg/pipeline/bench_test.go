package pipeline

import (
	"runtime"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/proto"
)

// sink is a socket that takes everything, and counts it.
type sink struct{ taken int }

func (s *sink) TryWrite(b []byte) (int, error) { return s.Write(b) }
func (s *sink) Write(b []byte) (int, error)    { s.taken += len(b); return len(b), nil }
func (s *sink) Close()                         {}
func (s *sink) Gone() bool                     { return false }

// newSink returns a client with a session, on a server that commits at once and may read until then.
func newSink(tb testing.TB, until time.Duration) *Client {
	r := newRig(tb)
	r.commitAtOnce()
	r.p.Serve()
	r.p.Extend(until)
	c := r.p.NewClient(&sink{}, "127.0.0.1", false)
	if !r.p.Admit(c) || !r.p.Open(c, timeout) {
		tb.Fatal("no session")
	}
	return c
}

// round sends a frame many times at once and returns when all is answered.
func (c *Client) round(frame []byte, n int) {
	c.Begin()
	for range n {
		_, _ = c.Handle(frame)
	}
	c.Idle()
	for c.Queued() > 0 {
		runtime.Gosched()
	}
}

const (
	forever = 1<<63 - 1
	leased  = time.Hour // the clock is looked at
)

// TestAllocations: a read allocates nothing but the place in the pool of the buffer that it is sent in; a write, what is
// kept of it besides, and what the replicator of the test takes.
func TestAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		until  time.Duration
		frame  []byte
		budget float64
	}{
		"read":               {forever, frame(1, proto.OpGetData, get("/", false)), 1},
		"read under a lease": {leased, frame(1, proto.OpGetData, get("/", false)), 1},
		"ping":               {forever, frame(-2, proto.OpPing, nil), 1},
		"write":              {forever, frame(1, proto.OpSetData, set("/")), 5},
		"sync":               {forever, frame(1, proto.OpSync, get("/", false)), 3},
	} {
		client := newSink(t, c.until)
		if n := testing.AllocsPerRun(200, func() { client.round(c.frame, 1) }); n > c.budget {
			t.Errorf("a %s allocates %v times, budget %v", name, n, c.budget)
		}
	}
}

func BenchmarkRound(b *testing.B) {
	for _, bc := range []struct {
		name  string
		until time.Duration
		frame []byte
	}{
		{"get", forever, frame(1, proto.OpGetData, get("/zookeeper/quota", false))},
		{"get-leased", leased, frame(1, proto.OpGetData, get("/zookeeper/quota", false))},
		{"set", forever, frame(1, proto.OpSetData, set("/"))},
	} {
		for _, n := range []int{1, 64} {
			b.Run(bc.name+map[int]string{1: "/1", 64: "/64"}[n], func(b *testing.B) {
				c := newSink(b, bc.until)
				b.ReportAllocs()
				for b.Loop() {
					c.round(bc.frame, n)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
			})
		}
	}
}
