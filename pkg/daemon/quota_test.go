package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"
)

// TestQuotas: hard limits refuse where enforceQuota says so; what is counted stands in the stats node, in the metrics, and
// in a server that starts again.
func TestQuotas(t *testing.T) {
	for _, lines := range []string{"", "enforceQuota=true"} {
		dir, ctx := t.TempDir(), t.Context()
		s := configured(t, dir, lines)
		c := dial(t, s, wire.Options{})
		for _, n := range []struct{ path, data string }{
			{"/app", ""},
			{tree.QuotaPath + "/app", ""},
			{tree.QuotaPath + "/app/" + tree.LimitsNode, "count=-1,bytes=-1=;byteHardLimit=8;countHardLimit=3"},
			{tree.QuotaPath + "/app/" + tree.StatsNode, "count=1,bytes=0"},
			{"/app/one", "1234"},
			{"/app/two", "5678"},
		} {
			if _, err := c.Create(ctx, n.path, []byte(n.data), 0); err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Set(ctx, "/app/one", []byte("12345"), -1)
		held, metric := "count=3,bytes=9", "app_quota_exceeded_error_per_namespace 1\n"
		if lines != "" {
			held = "count=3,bytes=8"
		}
		if errors.Is(err, proto.QuotaExceeded) != (lines != "") || err != nil && lines == "" {
			t.Errorf("with %q beyond a hard limit: %v", lines, err)
		}
		if data, _, err := c.Get(ctx, tree.QuotaPath+"/app/"+tree.StatsNode, false); err != nil || string(data) != held {
			t.Errorf("with %q the stats are %s, %v; want %s", lines, data, err, held)
		}
		var told strings.Builder
		for _, v := range s.Metrics() {
			told.WriteString(v.Name + " " + v.Text + "\n")
		}
		for _, want := range []string{
			"app_quota_count_limit_per_namespace 3\n", "app_quota_bytes_limit_per_namespace 8\n",
			"app_quota_count_usage_per_namespace 3\n", "app_quota_bytes_usage_per_namespace " + held[len(held)-1:] + "\n",
		} {
			if !strings.Contains(told.String(), want) {
				t.Errorf("with %q no metric %s", lines, want)
			}
		}
		if strings.Contains(told.String(), metric) != (lines != "") {
			t.Errorf("with %q: %s", lines, metric)
		}
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		s = configured(t, dir, lines)
		if data, _, err := dial(t, s, wire.Options{}).Get(ctx, tree.QuotaPath+"/app/"+tree.StatsNode, false); err != nil || string(data) != held {
			t.Errorf("with %q after a restart the stats are %s, %v; want %s", lines, data, err, held)
		}
	}
}

// TestQuotasInAnEnsemble: all members count alike, those that were away, too, and the leader refuses for all.
func TestQuotasInAnEnsemble(t *testing.T) {
	h, ctx := newHosts(t, 3, 0), t.Context()
	h.tune = func(c *config.Config) { c.EnforceQuota = true }
	h.start(1, 2, 3)
	leader := h.awaitLeader(1, 2, 3)
	follower, away := 1+leader%3, 1+(leader+1)%3
	c := h.connect(follower, wire.Options{})
	stats := tree.QuotaPath + "/app/" + tree.StatsNode
	create := func(path, data string) error {
		_, err := c.Create(ctx, path, []byte(data), 0)
		return err
	}
	if err := errors.Join(create("/app", ""), create(tree.QuotaPath+"/app", ""),
		create(tree.QuotaPath+"/app/"+tree.LimitsNode, "countHardLimit=4"), create(stats, ""), create("/app/1", "one")); err != nil {
		t.Fatal(err)
	}
	h.stop(away)
	if err := errors.Join(create("/app/2", "two"), create("/app/3", "three")); err != nil {
		t.Fatal(err)
	}
	h.start(away)
	h.await(away, zab.Following)
	if err := create("/app/4", ""); !errors.Is(err, proto.QuotaExceeded) {
		t.Fatalf("beyond the limit: %v", err)
	}
	for id := range h.running {
		other := h.connect(id, wire.Options{})
		if err := other.Sync(ctx, "/"); err != nil {
			t.Fatal(err)
		}
		if data, _, err := other.Get(ctx, stats, false); err != nil || string(data) != "count=4,bytes=11" {
			t.Errorf("server %d has %s, %v", id, data, err)
		}
	}
}
