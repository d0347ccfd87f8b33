package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies are counted, not kept: a long run takes no more memory than a short one.
type latencies struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newLatencies() *latencies {
	return &latencies{h: hdrhistogram.New(int64(time.Microsecond), int64(10*time.Minute), 3)}
}

func (l *latencies) take(all []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range all {
		if l.h.RecordValue(int64(d)) != nil {
			_ = l.h.RecordValue(int64(10 * time.Minute)) // the most that is told apart
		}
	}
}

// at returns the latency that so many of a hundred do not exceed.
func (l *latencies) at(percentile float64) time.Duration {
	return time.Duration(l.h.ValueAtPercentile(percentile))
}
