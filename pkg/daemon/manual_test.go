package daemon

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/metrics"
)

//go:generate go test -run TestTheManualOfMetrics -update .

var update = flag.Bool("update", false, "write docs/metrics.md")

const manual = "../../docs/metrics.md"

// absent are ZooKeeper's metrics that there are not, by the reason.
var absent = []struct{ why, names string }{
	{"this release has no TLS, where ZooKeeper counts them", `auth_failed_count non_mtls_local_conn_count non_mtls_remote_conn_count
		outstanding_tls_handshake tls_handshake_exceeded unsuccessful_handshake insecure_admin_count`},
	{"a watch goes together with its connection: there are no dead watchers", `add_dead_watcher_stall_time dead_watchers_queued
		dead_watchers_cleared dead_watchers_cleaner_latency`},
	{"replies are made from the tree each time: there is no cache", `response_packet_cache_hits response_packet_cache_misses
		response_packet_get_children_cache_hits response_packet_get_children_cache_misses`},
	{"a buffer of a Java library", "netty_queued_buffer_capacity"},
	{"there is no Java virtual machine: go_gc_duration_seconds tells of pauses", "jvm_pause_time_ms"},
	{"requests are not handed to a pool of threads", `time_waiting_empty_pool_in_commit_processor_read_ms
		concurrent_request_processing_in_commit_processor`},
	{"what waits for a write waits in its session alone; there is no queue of all", `read_commit_proc_req_queued
		write_commit_proc_req_queued pending_session_queue_size`},
	{"this is no step of its own: it is done in the turn of the loop that begins it", `prep_processor_queue_time_ms proposal_latency
		proposal_process_time commit_process_time read_final_proc_time_ms write_final_proc_time_ms`},
	{"propagation_latency has it; a commit carries no time", "commit_propagation_latency"},
	{"observers connect to the leader: there are no observer masters in this release", `om_commit_process_time_ms
		om_proposal_process_time_ms learner_request_processor_queue_size`},
	{"closing a socket waits for nobody", "socket_closing_time"},
	{"every request of a learner goes the same way", `requests_not_forwarded_to_commit_processor
		skip_learner_request_to_next_processor_count`},
	{"an unrecoverable error ends the process, which its exit code tells", "unrecoverable_error_count"},
	{"a text of mntr of an observer of an observer master", "observer_master_id"},
}

// zooKeepers are the names that ZooKeeper has from 3.9 on, with how its recordings print them: "", summary, percentiles,
// and set behind that; unknown of those that nothing had moved there.
func zooKeepers(t *testing.T) map[string]string {
	t.Helper()
	names := make(map[string]string)
	stat := regexp.MustCompile(`^(avg|min|max|cnt|sum|p50|p95|p99|p999)_(.*)$`)
	key := regexp.MustCompile(`^[^_]+_(learner_handler_qp_size|learner_handler_qp_time_ms|ack_latency|read_per_namespace|write_per_namespace)$`)
	for _, role := range []string{"standalone", "leader", "follower", "observer"} {
		text, err := os.ReadFile("../../testdata/golden39/admin/4lw-" + role + "/mntr.txt")
		if err != nil {
			t.Fatal(err)
		}
		whole := make(map[string]bool)
		for line := range strings.Lines(string(text)) {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "zk_"), "\t")
			whole[name] = true
		}
		for name := range whole {
			kind := ""
			if m := stat.FindStringSubmatch(name); m != nil && whole["cnt_"+m[2]] {
				name, kind = m[2], "summary"
				if whole["p50_"+m[2]] {
					kind = "percentiles"
				}
			}
			if m := key.FindStringSubmatch(name); m != nil {
				name, kind = m[1], kind+" set"
			}
			names[name] = kind
		}
	}
	for _, name := range strings.Fields(`version server_state peer_state`) {
		delete(names, name)
	}
	for _, name := range strings.Fields(`ack_latency read_per_namespace ttl_node_created_count ttl_node_deleted_count
		quota_count_limit_per_namespace quota_bytes_limit_per_namespace quota_count_usage_per_namespace quota_bytes_usage_per_namespace
		quota_exceeded_error_per_namespace op_count_add_watch op_count_check op_count_check_watches op_count_close_session op_count_create
		op_count_create_session op_count_delete op_count_exists op_count_get_acl op_count_get_all_children_number op_count_get_children
		op_count_get_data op_count_get_ephemerals op_count_multi op_count_multi_read op_count_ping op_count_reconfig
		op_count_remove_watches op_count_set_acl op_count_set_data op_count_set_watches op_count_sync op_count_total op_count_who_am_i`) {
		if _, recorded := names[name]; !recorded {
			names[name] = unknown
		}
	}
	return names
}

const unknown = "unknown"

// printed is how a kind of ours is printed, in the same words.
var printed = map[metrics.Kind]string{
	metrics.KindGauge: "", metrics.KindCounter: "", metrics.KindSummary: "summary", metrics.KindAdvanced: "percentiles",
	metrics.KindSet: "summary set", metrics.KindAdvancedSet: "percentiles set",
}

// shownBy returns, for each metric that is moved, what moves it and the test in which it does.
func shownBy() map[string]string {
	shown := make(map[string]string)
	add := func(test string, movers ...mover) {
		for _, m := range movers {
			for _, name := range strings.Fields(m.moves) {
				if shown[name] == "" {
					shown[name] = m.what + " | daemon." + test
				}
			}
		}
	}
	add("TestMetricsOfAServerAloneMove", alone...)
	add("TestMetricsOfALostClientMove", gone...)
	for _, l := range limited {
		add("TestMetricsOfLimitsMove", l.mover)
	}
	add("TestMetricsOfAnEnsembleMove", members...)
	for name, e := range elsewhere {
		shown[name] = "| " + strings.TrimPrefix(e.test, "pkg/")
	}
	for name, why := range unmoved {
		shown[name] = "nothing: " + why + " |"
	}
	return shown
}

// registered returns all metrics of a member of an ensemble that keeps an audit log.
func registered(t *testing.T) []metrics.Name {
	t.Helper()
	h := newHosts(t, 3, 0)
	h.start(1)
	names := h.running[1].registry.Names()
	r := metrics.NewRegistry()
	s := startWith(t, "audit.enable=true\naudit.file="+filepath.Join(t.TempDir(), "audit"))
	r.Add(&s.audit.Stats)
	return append(names, r.Names()...)
}

// TestTheManualOfMetrics: docs/metrics.md says which metrics there are and what moves them. Each of ours is moved by a
// test, and each of ZooKeeper's is there, or has a reason not to be. Write it with go generate.
func TestTheManualOfMetrics(t *testing.T) {
	names, theirs, shown := registered(t), zooKeepers(t), shownBy()
	slices.SortFunc(names, func(a, b metrics.Name) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString(manualHead)
	ours := make(map[string]bool)
	for _, n := range names {
		ours[n.Name] = true
		if shown[n.Name] == "" {
			t.Errorf("%s: no test moves it", n.Name)
		}
		from := ""
		if kind, known := theirs[n.Name]; !known {
			from = " (zabd's own)"
		} else if kind != unknown && kind != printed[n.Kind] {
			t.Errorf("%s is a %v, and ZooKeeper prints a %q", n.Name, n.Kind, kind)
		}
		fmt.Fprintf(&b, "| %s%s | %v | %s |\n", n.Name, from, n.Kind, shown[n.Name])
	}
	for name := range shown {
		if !ours[name] {
			t.Errorf("%s: a test moves it, and there is none", name)
		}
	}
	b.WriteString("\n## ZooKeeper's that there are not\n\n| name | why |\n| --- | --- |\n")
	for _, a := range absent {
		for _, name := range strings.Fields(a.names) {
			if _, known := theirs[name]; ours[name] || !known {
				t.Errorf("%s: is there, or not ZooKeeper's", name)
			}
			delete(theirs, name)
			fmt.Fprintf(&b, "| %s | %s |\n", name, a.why)
		}
	}
	for name := range theirs {
		if !ours[name] {
			t.Errorf("%s: is not there, and nobody says why", name)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(manual, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(manual); err != nil || string(got) != b.String() {
		t.Errorf("%s is stale (%v): go generate ./pkg/daemon", manual, err)
	}
}

const manualHead = `# Metrics

This file is made by ` + "`go generate ./pkg/daemon`" + `: every metric, what moves it, and the test in which it does. The names, kinds and
units are ZooKeeper's: times are milliseconds. mntr prints them behind zk_, the admin command monitor and /metrics as they stand. A
summary is avg_, min_, max_, cnt_ and sum_, with percentiles p50_, p95_, p99_ and p999_ as well; one that belongs to a set has
its key, a server's id or the first name of a path, between that and its name (/metrics: the label key). The percentiles on
/metrics are of late: see metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds. go_* and process_* are on /metrics alone.

| name | kind | moved when | shown by |
| --- | --- | --- | --- |
`

// TestMetricsAreMovedElsewhere: the tests that are named are there, and look at the metric.
func TestMetricsAreMovedElsewhere(t *testing.T) {
	for name, e := range elsewhere {
		dir, test, _ := strings.Cut(e.test, ".")
		files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "func "+test+"(t *testing.T)") && strings.Contains(string(text), e.says)
		}
		if !found {
			t.Errorf("%s: %s is not there, or does not look at %s", name, e.test, e.says)
		}
	}
}
