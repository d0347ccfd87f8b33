package metrics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

type part struct {
	Sent    Counter  `metric:"packets_sent"`
	Snap    Summary  `metric:"snapshottime"`
	Read    Summary  `metric:"readlatency,advanced"`
	Written Set      `metric:"write_per_namespace"`
	Refused Counters `metric:"quota_exceeded_error_per_namespace"`
	Private Counter
}

func filled() (*Registry, *part) {
	r, p := NewRegistry(), &part{}
	r.Add(p)
	leads := false
	r.Gauge("znode_count", func() float64 { return 8 })
	r.FloatGauge("avg_latency", func() float64 { return 11.0 / 3 })
	r.GaugeWhen("learners", func() bool { return leads }, func() float64 { return 2 })
	r.GaugeSet("quota_count_limit_per_namespace", func() map[string]float64 { return map[string]float64{"b": 4, "a": -1} })
	p.Refused.Add("a", 1)
	p.Refused.Add("a", 1)
	p.Sent.Add(3)
	p.Snap.Observe(4)
	p.Snap.Observe(1)
	p.Read.ObserveN(7, 99)
	p.Read.Observe(20)
	p.Written.With("b").Observe(5)
	return r, p
}

func lines(r *Registry) string {
	var b strings.Builder
	for _, v := range r.Values() {
		fmt.Fprintln(&b, v.Name, v.Text)
	}
	return b.String()
}

func TestValuesAreThoseOfMntr(t *testing.T) {
	r, _ := filled()
	want := `znode_count 8
avg_latency 3.6667
a_quota_count_limit_per_namespace -1
b_quota_count_limit_per_namespace 4
packets_sent 3
a_quota_exceeded_error_per_namespace 2
avg_snapshottime 2.5
min_snapshottime 1
max_snapshottime 4
cnt_snapshottime 2
sum_snapshottime 5
avg_readlatency 7.13
min_readlatency 7
max_readlatency 20
cnt_readlatency 100
sum_readlatency 713
p50_readlatency 7
p95_readlatency 7
p99_readlatency 7
p999_readlatency 20
avg_b_write_per_namespace 5.0
min_b_write_per_namespace 5
max_b_write_per_namespace 5
cnt_b_write_per_namespace 1
sum_b_write_per_namespace 5
`
	if got := lines(r); got != want {
		t.Errorf("Values:\n%swant\n%s", got, want)
	}
}

func TestPrometheusHasTheSameNames(t *testing.T) {
	r, _ := filled()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"# HELP znode_count znode_count\n# TYPE znode_count gauge\nznode_count 8\n", "# TYPE packets_sent counter\npackets_sent 3\n",
		`snapshottime{quantile="0.5"} 1`, "snapshottime_count 2\n", "snapshottime_sum 5\n",
		`readlatency{quantile="0.5"} 7`, `readlatency{quantile="0.9"} 7`, `readlatency{quantile="0.99"} 7`,
		`quota_count_limit_per_namespace{key="b"} 4`, "# TYPE quota_exceeded_error_per_namespace counter\n",
		`quota_exceeded_error_per_namespace{key="a"} 2`, `write_per_namespace{key="b",quantile="0.5"} 5`, `write_per_namespace_sum{key="b"} 5`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in\n%s", want, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "learners") {
		t.Error("a follower tells of its learners")
	}
}

func TestReset(t *testing.T) {
	r, p := filled()
	r.Reset()
	if p.Sent.Load() != 0 || p.Refused.values()["a"] != 0 || *p.Read.State() != (State{}) || *p.Written.With("b").State() != (State{}) {
		t.Errorf("after Reset:\n%s", lines(r))
	}
	p.Read.Observe(0)
	if s := p.Read.State(); s.Count != 1 || s.Min != 0 || s.Max != 0 {
		t.Errorf("a new value = %d, %d, %d", s.Count, s.Min, s.Max)
	}
}

func TestPercentilesAreNear(t *testing.T) {
	var s Summary
	var all []int64
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		v := int64(math.Exp(random.Float64() * 20))
		all = append(all, v)
		s.Observe(v)
	}
	slices.Sort(all)
	for _, p := range percentiles {
		want := float64(all[int(p.q*float64(len(all)))-1])
		if got := float64(s.State().Quantile(p.q)); math.Abs(got-want) > want/parts+1 {
			t.Errorf("%s = %v, want %v", p.name, got, want)
		}
	}
}

func TestEveryValueHasItsBucket(t *testing.T) {
	for _, v := range []int64{0, 31, 32, 33, 47, 48, 63, 64, 65, 1 << 20, 1<<30 - 1, 1 << 30, 1<<31 - 1, 1 << 40} {
		i := bucketOf(v)
		if i < 0 || i >= buckets || bottomOf(i) > v || v < 1<<topBits && i+1 < buckets && bottomOf(i+1) <= v {
			t.Errorf("bucketOf(%d) = %d, which begins at %d", v, i, bottomOf(i))
		}
	}
	var s Summary
	s.Observe(-5)
	if st := s.State(); st.Min != 0 || st.Sum != 0 || st.Count != 1 {
		t.Errorf("a clock that was set back counts as %+v", st)
	}
}

func TestKeysAreBounded(t *testing.T) {
	var s Set
	for i := range 2 * mostKeys {
		s.With(fmt.Sprint(i)).Observe(1)
	}
	n := 0
	s.each(func(string, *Summary) { n++ })
	var c Counters
	for i := range 2 * mostKeys {
		c.Add(fmt.Sprint(i), 1)
	}
	if n != mostKeys || len(c.values()) != mostKeys {
		t.Errorf("%d keys, and %d of counters", n, len(c.values()))
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	p := &part{}
	p.Written.With("a")
	if n := testing.AllocsPerRun(100, func() {
		p.Sent.Add(1)
		p.Read.Observe(12345)
		p.Written.With("a").Observe(3)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTwoServersInOneProcess have registries of their own.
func TestTwoServersInOneProcess(t *testing.T) {
	for range 2 {
		NewRegistry().Gauge("znode_count", func() float64 { return 1 })
	}
}
