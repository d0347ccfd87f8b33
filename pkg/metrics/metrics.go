// Package metrics has the types that the parts of a server count with, and the registry that knows all of them by
// ZooKeeper's names. A part has a struct of its own whose fields say their names:
//
//	type Stats struct {
//		Opened  metrics.Counter `metric:"connection_request_count"`
//		Latency metrics.Summary `metric:"readlatency,advanced"`
//	}
//
// It increments them where the event happens; Registry.Add makes them known. Nothing is global, nothing that counts
// takes a lock or allocates. It is the only importer of the Prometheus client.
package metrics

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A Counter counts events. Its zero value is ready; any goroutine may use it.
type Counter struct{ n atomic.Int64 }

// Add counts n events.
func (c *Counter) Add(n int64) { c.n.Add(n) }

// Load returns how many there were.
func (c *Counter) Load() int64 { return c.n.Load() }

// Reset lets the count begin anew.
func (c *Counter) Reset() { c.n.Store(0) }

// The buckets of a Summary: each value up to exact has one, and behind that each power of two has parts of them, so
// that a percentile is wrong by less than a sixteenth.
const (
	exact   = 32
	parts   = 16
	topBits = 31 // values above are counted as the largest
	buckets = exact + (topBits-5)*parts
)

// A Summary adds up values, which are not negative: milliseconds, bytes or numbers of things. Its zero value is ready;
// any goroutine may use it.
type Summary struct {
	sum, most atomic.Int64
	least     atomic.Int64 // plus one; 0 = no value yet
	buckets   [buckets]atomic.Int64
	turned    atomic.Pointer[window]
}

// A window is what a Summary had at the last two turns.
type window struct{ before, last *State }

// Observe adds one value.
func (s *Summary) Observe(v int64) { s.ObserveN(v, 1) }

// ObserveN adds the same value n times.
func (s *Summary) ObserveN(v, n int64) {
	if n <= 0 {
		return
	}
	v = max(v, 0)
	s.buckets[bucketOf(v)].Add(n)
	s.sum.Add(v * n)
	for m := s.most.Load(); v > m && !s.most.CompareAndSwap(m, v); m = s.most.Load() {
	}
	for m := s.least.Load(); (m == 0 || v+1 < m) && !s.least.CompareAndSwap(m, v+1); m = s.least.Load() {
	}
}

func bucketOf(v int64) int {
	if v < exact {
		return int(v)
	}
	n := bits.Len64(uint64(v))
	if n > topBits {
		return buckets - 1
	}
	return exact + (n-6)*parts + int(v>>(n-5))&(parts-1)
}

// bottomOf returns the smallest value of a bucket.
func bottomOf(i int) int64 {
	if i < exact {
		return int64(i)
	}
	n := (i-exact)/parts + 6
	return int64(parts+(i-exact)%parts) << (n - 5)
}

// A State is a Summary at one moment.
type State struct {
	Count, Sum, Min, Max int64
	counts               [buckets]int64
}

// State returns what has been added so far.
func (s *Summary) State() *State {
	st := &State{Sum: s.sum.Load(), Max: s.most.Load(), Min: max(s.least.Load()-1, 0)}
	for i := range s.buckets {
		st.counts[i] = s.buckets[i].Load()
		st.Count += st.counts[i]
	}
	return st
}

// Mean returns the average; 0 without values.
func (s *State) Mean() float64 {
	if s.Count == 0 {
		return 0
	}
	return float64(s.Sum) / float64(s.Count)
}

// Quantile returns the value that a share q of all values does not exceed, about; 0 without values.
func (s *State) Quantile(q float64) int64 {
	rank := int64(q*float64(s.Count) + 0.5)
	rank = min(max(rank, 1), s.Count)
	seen := int64(0)
	for i, n := range s.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(max(bottomOf(i), s.Min), s.Max)
		}
	}
	return 0
}

// turn begins another part of the time that recent looks back on.
func (s *Summary) turn() {
	w := &window{before: &State{}, last: s.State()}
	if old := s.turned.Load(); old != nil {
		w.before = old.last
	}
	s.turned.Store(w)
}

// recent returns what has been added since the last turn but one; its sum, least and largest value are those of all.
func (s *Summary) recent() *State {
	st := s.State()
	if w := s.turned.Load(); w != nil {
		st.Count = 0
		for i := range st.counts {
			st.counts[i] = max(st.counts[i]-w.before.counts[i], 0)
			st.Count += st.counts[i]
		}
	}
	return st
}

func (s *Summary) reset() {
	s.turned.Store(nil)
	for i := range s.buckets {
		s.buckets[i].Store(0)
	}
	s.sum.Store(0)
	s.most.Store(0)
	s.least.Store(0)
}

// mostKeys bounds a Set: clients choose some of the keys.
const mostKeys = 256

// A Set is a Summary for each key: a server, or the first name of a path. Its zero value is ready. Whoever observes
// often keeps what With returns.
type Set struct {
	mu    sync.RWMutex // guards what follows
	of    map[string]*Summary
	spill Summary // of the keys that are too many; nobody is told
}

// With returns the Summary of a key.
func (s *Set) With(key string) *Summary {
	s.mu.RLock()
	sum := s.of[key]
	s.mu.RUnlock()
	if sum != nil {
		return sum
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch sum := s.of[key]; {
	case sum != nil:
		return sum
	case len(s.of) >= mostKeys:
		return &s.spill
	case s.of == nil:
		s.of = make(map[string]*Summary)
	}
	sum = new(Summary)
	s.of[key] = sum
	return sum
}

func (s *Set) reset() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sum := range s.of {
		sum.reset()
	}
}

func (s *Set) each(f func(key string, sum *Summary)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range sortedKeys(s.of) {
		f(key, s.of[key])
	}
}

// Counters are a Counter for each key, for what happens rarely. The zero value is ready.
type Counters struct {
	mu sync.Mutex // guards what follows
	of map[string]int64
}

// Add adds n to the counter of a key. Keys that are too many are not counted.
func (c *Counters) Add(key string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.of[key]; !known && len(c.of) >= mostKeys {
		return
	}
	if c.of == nil {
		c.of = make(map[string]int64)
	}
	c.of[key] += n
}

func (c *Counters) values() map[string]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]float64, len(c.of))
	for key, n := range c.of {
		out[key] = float64(n)
	}
	return out
}

func (c *Counters) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.of {
		c.of[key] = 0
	}
}
