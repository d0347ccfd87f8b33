package daemon

import (
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/tree"
)

// registerQuotas makes known what quotas say, summed by the first name of their paths.
func (s *Server) registerQuotas() {
	for _, g := range []struct {
		name  string
		value func(limits, held *tree.Quota) int64
	}{
		{"quota_count_limit_per_namespace", func(l, _ *tree.Quota) int64 { return counting(l.CountHard, l.Count) }},
		{"quota_bytes_limit_per_namespace", func(l, _ *tree.Quota) int64 { return counting(l.BytesHard, l.Bytes) }},
		{"quota_count_usage_per_namespace", func(_, h *tree.Quota) int64 { return h.Count }},
		{"quota_bytes_usage_per_namespace", func(_, h *tree.Quota) int64 { return h.Bytes }},
	} {
		s.registry.GaugeSet(g.name, func() map[string]float64 { return s.sumQuotas(g.value) })
	}
}

// counting returns the limit that counts of a hard and a soft one.
func counting(hard, soft int64) int64 {
	if hard > tree.NoLimit {
		return hard
	}
	return soft
}

func (s *Server) sumQuotas(value func(limits, held *tree.Quota) int64) map[string]float64 {
	sums := make(map[string]float64)
	s.pipeline.View(func(t *tree.Tree) {
		t.EachQuota(func(subtree string, limits, held *tree.Quota) {
			name, _, _ := strings.Cut(strings.TrimPrefix(subtree, "/"), "/")
			sums[name] += float64(value(limits, held))
		})
	})
	return sums
}

// excessPause is how long the log says no more of quotas after it has.
const excessPause = time.Second

// excesses tells of writes that go beyond quotas. Its owner is the peer loop.
type excesses struct {
	last   time.Time
	silent int // since then
}

// exceeded counts a write that a hard limit has refused, and has it or one that goes beyond a soft limit said in the log,
// though not all of them when they are many.
func (s *Server) exceeded(x prep.Excess) {
	if x.Hard {
		s.stats.QuotaExceeded.Add(x.Namespace, 1)
	}
	e := &s.excesses
	now := time.Now()
	if now.Sub(e.last) < excessPause {
		e.silent++
		return
	}
	s.log.Warn("quota exceeded", "path", x.Subtree, "of", x.Of, "value", x.Value, "limit", x.Limit, "refused", x.Hard, "untold", e.silent)
	e.last, e.silent = now, 0
}
