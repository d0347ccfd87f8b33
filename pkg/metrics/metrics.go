// Package metrics has every counter and gauge by ZooKeeper's names. It is the only importer of the Prometheus client;
// the registerer is injected. The parts of the server count with atomics of their own, and what is registered here
// reads them: nothing on the hot path knows of metrics.
package metrics

import (
	"sort"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A Registry holds the metrics of one server.
type Registry struct{ *prometheus.Registry }

// NewRegistry returns an empty registry.
func NewRegistry() Registry { return Registry{prometheus.NewRegistry()} }

// Gauge registers a value that is read when somebody asks. The help text is the name, as in ZooKeeper.
func (r Registry) Gauge(name string, value func() float64) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: name}, value))
}

// Counter registers a value that only grows.
func (r Registry) Counter(name string, value func() float64) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: name}, value))
}

// Summary registers count and sum of durations in milliseconds, with minimum and maximum beside them.
func (r Registry) Summary(name string, s *Summary) {
	r.Counter(name+"_count", func() float64 { return float64(s.count.Load()) })
	r.Counter(name+"_sum", func() float64 { return float64(s.sum.Load()) })
	r.Gauge(name+"_max", func() float64 { return float64(s.most.Load()) })
}

// A Summary adds up whole milliseconds. Observe may be called by any goroutine.
type Summary struct{ count, sum, most atomic.Int64 }

// Observe adds one value.
func (s *Summary) Observe(millis int64) {
	s.count.Add(1)
	s.sum.Add(millis)
	for m := s.most.Load(); millis > m && !s.most.CompareAndSwap(m, millis); m = s.most.Load() {
	}
}

// A Value is one metric with its value of now.
type Value struct {
	Name string
	Text string
}

// Values returns all metrics, sorted by name; integers without decimals.
func (r Registry) Values() ([]Value, error) {
	families, err := r.Gather()
	if err != nil {
		return nil, err
	}
	var out []Value
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out = append(out, Value{f.GetName(), text(f.GetType(), m)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func text(t dto.MetricType, m *dto.Metric) string {
	v := m.GetGauge().GetValue()
	if t == dto.MetricType_COUNTER {
		v = m.GetCounter().GetValue()
	}
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}
