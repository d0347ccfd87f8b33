//go:build interop

package interop

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zabd/zabd/pkg/client"
)

// BenchmarkClients has our client and go-zookeeper/zk do the same against one server, with so many calls under way on one
// connection; "futures" are made by a single goroutine.
func BenchmarkClients(b *testing.B) {
	s := serve(b, underTest)
	theirs := s.connect(b)
	ours, err := client.New(s.addr, client.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ours.Close() })
	ctx := context.Background()
	if _, _, err := ours.Create(ctx, "/n", make([]byte, 100), client.ModePersistent); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 100)
	for _, op := range []struct {
		name   string
		ours   func() error
		theirs func() error
		future func() interface{ Done() <-chan struct{} }
	}{
		{
			"get",
			func() error { _, _, err := ours.Get(ctx, "/n"); return err },
			func() error { _, _, err := theirs.Get("/n"); return err },
			func() interface{ Done() <-chan struct{} } { return ours.Async().Get("/n") },
		},
		{
			"set",
			func() error { _, err := ours.Set(ctx, "/n", data, -1); return err },
			func() error { _, err := theirs.Set("/n", data, -1); return err },
			func() interface{ Done() <-chan struct{} } { return ours.Async().Set("/n", data, -1) },
		},
	} {
		for _, outstanding := range []int{1, 16, 64, 256} {
			name := fmt.Sprintf("%s/%d/", op.name, outstanding)
			b.Run(name+"zabd", func(b *testing.B) { each(b, outstanding, op.ours) })
			b.Run(name+"go-zookeeper", func(b *testing.B) { each(b, outstanding, op.theirs) })
			b.Run(name+"futures", func(b *testing.B) { window(b, outstanding, op.future) })
		}
	}
}

// each has so many goroutines make calls.
func each(b *testing.B, goroutines int, call func() error) {
	var n atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for n.Add(1) <= int64(b.N) {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// window keeps so many futures under way.
func window(b *testing.B, size int, call func() interface{ Done() <-chan struct{} }) {
	pending := make([]interface{ Done() <-chan struct{} }, size)
	for i := range b.N + size {
		if f := pending[i%size]; f != nil {
			<-f.Done()
			pending[i%size] = nil
		}
		if i < b.N {
			pending[i%size] = call()
		}
	}
}
