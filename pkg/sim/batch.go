package sim

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A Batch is a range of seeds to run.
type Batch struct {
	From    uint64
	Count   int
	Workers int
	Most    int                 // failures after which it ends; 0 = any number
	Failed  func(uint64, error) // called for each failure, by one worker at a time
}

// Result is what became of a batch.
type Result struct {
	Stats  Stats
	Seeds  int // that were run
	Failed int
	Took   time.Duration
}

// Run runs every seed of the batch.
func (b Batch) Run() Result {
	began := time.Now()
	var next atomic.Int64
	var mu sync.Mutex // guards all
	var all Result
	var workers sync.WaitGroup
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return b.Most > 0 && all.Failed >= b.Most
	}
	for range max(b.Workers, 1) {
		workers.Go(func() {
			for !enough() {
				n := next.Add(1) - 1
				if n >= int64(b.Count) {
					return
				}
				seed := b.From + uint64(n)
				w := NewWorld(seed)
				err := w.Run()
				mu.Lock()
				all.Stats.Add(&w.Stats)
				all.Seeds++
				if err != nil {
					all.Failed++
					b.Failed(seed, err)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	all.Took = time.Since(began)
	return all
}

// Replay returns the command that runs a seed again and tells what happens.
func Replay(seed uint64) string {
	return fmt.Sprintf("go test ./pkg/sim -run TestSeeds -sim.seed=%d -sim.trace", seed)
}

// Report prints the result, and returns false unless all went well.
func (r *Result) Report(out io.Writer) bool {
	r.Stats.Print(out, r.Seeds, r.Took)
	missing := r.Stats.Missing()
	if len(missing) > 0 {
		_, _ = fmt.Fprintf(out, "never happened: %v\n", missing)
	}
	if r.Failed > 0 {
		_, _ = fmt.Fprintf(out, "%d seeds failed\n", r.Failed)
	}
	return r.Failed == 0 && len(missing) == 0
}
