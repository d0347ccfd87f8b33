package metrics

import (
	"fmt"
	"testing"
)

func TestValues(t *testing.T) {
	r := NewRegistry()
	var s Summary
	r.Gauge("znode_count", func() float64 { return 8 })
	r.Counter("packets_received", func() float64 { return 3 })
	r.Gauge("avg_latency", func() float64 { return 1.23456 })
	r.Summary("snapshottime", &s)
	s.Observe(4)
	s.Observe(2)
	got, err := r.Values()
	want := "[{avg_latency 1.2346} {packets_received 3} {snapshottime_count 2} {snapshottime_max 4} {snapshottime_sum 6} {znode_count 8}]"
	if err != nil || fmt.Sprint(got) != want {
		t.Fatalf("Values = %v, %v\nwant %s", got, err, want)
	}
}

// TestTwoServersInOneProcess have registries of their own.
func TestTwoServersInOneProcess(t *testing.T) {
	for range 2 {
		NewRegistry().Gauge("znode_count", func() float64 { return 1 })
	}
}
