package metrics

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Kind is what sort of metric a name stands for, in the order in which mntr prints them.
type Kind int

// The kinds. An advanced one has percentiles; a set has one for each key.
const (
	KindGauge Kind = iota
	KindGaugeSet
	KindCounter
	KindCounterSet
	KindSummary
	KindAdvanced
	KindSet
	KindAdvancedSet
)

// String returns the kind in ZooKeeper's words.
func (k Kind) String() string {
	return [...]string{"gauge", "gauge set", "counter", "counter set", "summary", "summary with percentiles", "summary set", "summary set with percentiles"}[k]
}

// metric is one name. What is nil is of another kind.
type metric struct {
	name  string
	kind  Kind
	value func() float64 // of a gauge, and of a counter that somebody else keeps
	float bool           // it is printed with decimals
	when  func() bool    // nil = always
	count *Counter
	sum   *Summary
	set   *Set
	each  func() map[string]float64 // of gauges
	many  *Counters
}

func (m *metric) applies() bool { return m.when == nil || m.when() }

// A Registry knows the metrics of one server. It is filled before it is asked.
type Registry struct {
	metrics    []*metric
	prometheus *prometheus.Registry
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	r := &Registry{prometheus: prometheus.NewRegistry()}
	r.prometheus.MustRegister(collector{r})
	return r
}

// ExportRuntime lets Prometheus know of the process and of Go's runtime, which stand in for those of Java's.
func (r *Registry) ExportRuntime() {
	r.prometheus.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

func (r *Registry) add(m *metric) {
	for _, other := range r.metrics {
		if other.name == m.name {
			panic("metrics: " + m.name + " is registered twice")
		}
	}
	at, _ := slices.BinarySearchFunc(r.metrics, m.kind+1, func(x *metric, k Kind) int { return int(x.kind - k) })
	r.metrics = slices.Insert(r.metrics, at, m)
}

// Gauge registers a whole number that is read when somebody asks.
func (r *Registry) Gauge(name string, value func() float64) { r.add(&metric{name: name, value: value}) }

// FloatGauge registers a number that is printed with decimals.
func (r *Registry) FloatGauge(name string, value func() float64) {
	r.add(&metric{name: name, value: value, float: true})
}

// GaugeWhen registers a gauge that is there only while when says so.
func (r *Registry) GaugeWhen(name string, when func() bool, value func() float64) {
	r.add(&metric{name: name, value: value, when: when})
}

// GaugeSet registers whole numbers, each under a key, that are read when somebody asks.
func (r *Registry) GaugeSet(name string, each func() map[string]float64) {
	r.add(&metric{name: name, kind: KindGaugeSet, each: each})
}

// Counter registers a count that somebody else keeps.
func (r *Registry) Counter(name string, value func() float64) {
	r.add(&metric{name: name, kind: KindCounter, value: value})
}

// Count registers a counter by a name that no tag says.
func (r *Registry) Count(name string, c *Counter) {
	r.add(&metric{name: name, kind: KindCounter, count: c})
}

// Add registers every field of a struct, given by pointer, that has a tag metric: its name, and behind a comma advanced
// for percentiles.
func (r *Registry) Add(stats any) {
	v := reflect.ValueOf(stats).Elem()
	for i := range v.NumField() {
		tag, ok := v.Type().Field(i).Tag.Lookup("metric")
		if !ok {
			continue
		}
		name, detail, _ := strings.Cut(tag, ",")
		m := &metric{name: name}
		switch f := v.Field(i).Addr().Interface().(type) {
		case *Counter:
			m.kind, m.count = KindCounter, f
		case *Counters:
			m.kind, m.many, m.each = KindCounterSet, f, f.values
		case *Summary:
			m.kind, m.sum = KindSummary, f
		case *Set:
			m.kind, m.set = KindSet, f
		default:
			panic(fmt.Sprintf("metrics: %s is a %T, which is no metric", name, f))
		}
		if detail == "advanced" {
			m.kind++
		}
		r.add(m)
	}
}

// Reset lets all counters and summaries begin anew, but for those that somebody else keeps.
func (r *Registry) Reset() {
	for _, m := range r.metrics {
		switch {
		case m.count != nil:
			m.count.Reset()
		case m.many != nil:
			m.many.reset()
		case m.sum != nil:
			m.sum.reset()
		case m.set != nil:
			m.set.reset()
		}
	}
}

// Turn lets the percentiles of /metrics be of what has come since the last call but one. Those of Values are of all.
func (r *Registry) Turn() {
	for _, m := range r.metrics {
		switch {
		case m.sum != nil:
			m.sum.turn()
		case m.set != nil:
			m.set.each(func(_ string, s *Summary) { s.turn() })
		}
	}
}

// A Name is one metric and its kind.
type Name struct {
	Name string
	Kind Kind
}

// Names returns all that is registered.
func (r *Registry) Names() []Name {
	names := make([]Name, len(r.metrics))
	for i, m := range r.metrics {
		names[i] = Name{m.name, m.kind}
	}
	return names
}

// A Value is one line of mntr, without its prefix.
type Value struct {
	Name string
	Text string // a number: whole, or with decimals
}

// Values returns the values of now in the order of mntr: gauges, counters, summaries, sets.
func (r *Registry) Values() (out []Value) {
	for _, m := range r.metrics {
		if !m.applies() {
			continue
		}
		switch m.kind {
		case KindGauge, KindCounter:
			out = append(out, Value{m.name, m.text()})
		case KindGaugeSet, KindCounterSet:
			values := m.each()
			for _, key := range sortedKeys(values) {
				out = append(out, Value{key + "_" + m.name, strconv.FormatInt(int64(values[key]), 10)})
			}
		case KindSummary, KindAdvanced:
			out = appendSummary(out, m.name, m.sum, m.kind == KindAdvanced)
		case KindSet, KindAdvancedSet:
			m.set.each(func(key string, s *Summary) {
				out = appendSummary(out, key+"_"+m.name, s, m.kind == KindAdvancedSet)
			})
		}
	}
	return out
}

func (m *metric) number() float64 {
	if m.count != nil {
		return float64(m.count.Load())
	}
	return m.value()
}

func (m *metric) text() string {
	if m.float {
		return Decimal(m.number())
	}
	return strconv.FormatInt(int64(m.number()), 10)
}

// percentiles are those of mntr.
var percentiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}}

func appendSummary(out []Value, name string, sum *Summary, advanced bool) []Value {
	s := sum.State()
	whole := func(prefix string, n int64) {
		out = append(out, Value{prefix + "_" + name, strconv.FormatInt(n, 10)})
	}
	out = append(out, Value{"avg_" + name, Decimal(s.Mean())})
	whole("min", s.Min)
	whole("max", s.Max)
	whole("cnt", s.Count)
	whole("sum", s.Sum)
	if advanced {
		for _, p := range percentiles {
			whole(p.name, s.Quantile(p.q))
		}
	}
	return out
}

// Decimal prints a number as Java prints a double rounded to four places.
func Decimal(f float64) string {
	text := strings.TrimRight(strconv.FormatFloat(f, 'f', 4, 64), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

// Handler answers /metrics. The names are ZooKeeper's, without a prefix.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.prometheus, promhttp.HandlerOpts{})
}

// collector shows the registry to Prometheus.
type collector struct{ r *Registry }

// Describe implements prometheus.Collector: what there is changes with the role.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.r.metrics {
		if !m.applies() {
			continue
		}
		switch m.kind {
		case KindGauge:
			out <- prometheus.MustNewConstMetric(describe(m), prometheus.GaugeValue, m.number())
		case KindCounter:
			out <- prometheus.MustNewConstMetric(describe(m), prometheus.CounterValue, m.number())
		case KindGaugeSet, KindCounterSet:
			desc, typ := describe(m, "key"), prometheus.GaugeValue
			if m.kind == KindCounterSet {
				typ = prometheus.CounterValue
			}
			for key, v := range m.each() {
				out <- prometheus.MustNewConstMetric(desc, typ, v, key)
			}
		case KindSummary, KindAdvanced:
			out <- m.summary(describe(m), m.sum)
		case KindSet, KindAdvancedSet:
			desc := describe(m, "key")
			m.set.each(func(key string, s *Summary) { out <- m.summary(desc, s, key) })
		}
	}
}

// describe returns a metric's description: the help is the name, as in ZooKeeper.
func describe(m *metric, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(m.name, m.name, labels, nil)
}

// summary returns the quantiles that ZooKeeper exports.
func (m *metric) summary(desc *prometheus.Desc, sum *Summary, labels ...string) prometheus.Metric {
	s, recent := sum.State(), sum.recent()
	shown := []float64{0.5}
	if m.kind == KindAdvanced || m.kind == KindAdvancedSet {
		shown = []float64{0.5, 0.9, 0.99}
	}
	quantiles := make(map[float64]float64, len(shown))
	for _, q := range shown {
		quantiles[q] = float64(recent.Quantile(q))
	}
	return prometheus.MustNewConstSummary(desc, uint64(s.Count), float64(s.Sum), quantiles, labels...)
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
