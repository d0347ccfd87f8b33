//go:build interop

package interop

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/client"
)

// pending is a Future of any kind.
type pending interface{ Done() <-chan struct{} }

// BenchmarkClients has our client and go-zookeeper/zk make the same calls to one server, so many under way on one connection:
// by as many goroutines that wait, and with futures by one. They take turns of a few milliseconds, so that whatever else the
// machine does meets all of them. The server does not sync its log, which would be most of a write.
func BenchmarkClients(b *testing.B) {
	s := serveWith(b, underTest, "admin.enableServer=false\nforceSync=no\nsnapCount=1000000\n")
	theirs := s.connect(b)
	ours, err := client.New(s.addr, client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ours.Close() })
	ctx, data := context.Background(), make([]byte, 100)
	if _, _, err := ours.Create(ctx, "/n", data, client.ModePersistent); err != nil {
		b.Fatal(err)
	}
	for _, op := range []struct {
		name         string
		ours, theirs func() error
		future       func() pending
	}{
		{
			"get",
			func() error { _, _, err := ours.Get(ctx, "/n"); return err },
			func() error { _, _, err := theirs.Get("/n"); return err },
			func() pending { return ours.Async().Get("/n") },
		},
		{
			"set",
			func() error { _, err := ours.Set(ctx, "/n", data, -1); return err },
			func() error { _, err := theirs.Set("/n", data, -1); return err },
			func() pending { return ours.Async().Set("/n", data, -1) },
		},
	} {
		for _, outstanding := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", op.name, outstanding), func(b *testing.B) {
				n, took := 20*max(outstanding, 10), [3]time.Duration{}
				turns := 0
				for b.Loop() {
					took[0] += each(b, outstanding, n, op.ours)
					took[1] += each(b, outstanding, n, op.theirs)
					took[2] += window(outstanding, n, op.future)
					turns++
				}
				rate := func(i int) float64 { return float64(n*turns) / took[i].Seconds() }
				b.ReportMetric(rate(0), "ours/s")
				b.ReportMetric(rate(1), "go-zookeeper/s")
				b.ReportMetric(rate(2), "futures/s")
				b.ReportMetric(rate(0)/rate(1), "ratio")
				b.ReportMetric(rate(2)/rate(1), "futures-ratio")
			})
		}
	}
}

// each has so many goroutines make n calls.
func each(b *testing.B, goroutines, n int, call func() error) time.Duration {
	began := time.Now()
	var made atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for made.Add(1) <= int64(n) {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// window makes n calls and keeps so many futures under way.
func window(size, n int, call func() pending) time.Duration {
	began := time.Now()
	under := make([]pending, size)
	for i := range n + size {
		if f := under[i%size]; f != nil {
			<-f.Done()
		}
		under[i%size] = nil
		if i < n {
			under[i%size] = call()
		}
	}
	return time.Since(began)
}
