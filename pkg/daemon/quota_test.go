package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// TestQuotas: hard limits refuse where enforceQuota says so; what is counted stands in the stats node, in the metrics, and
// in a server that starts again.
func TestQuotas(t *testing.T) {
	for _, lines := range []string{"", "enforceQuota=true"} {
		dir, ctx := t.TempDir(), t.Context()
		s := configured(t, dir, lines)
		c := dial(t, s, client.Options{})
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
		if data, _, err := dial(t, s, client.Options{}).Get(ctx, tree.QuotaPath+"/app/"+tree.StatsNode, false); err != nil || string(data) != held {
			t.Errorf("with %q after a restart the stats are %s, %v; want %s", lines, data, err, held)
		}
	}
}
