package daemon

import (
	"os"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/peer"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/zab"
)

// stats are the counts of what the daemon does itself, by ZooKeeper's names. Times are in milliseconds.
type stats struct {
	Snapshot   metrics.Summary `metric:"snapshottime"`
	Restore    metrics.Summary `metric:"restore_time"`
	Load       metrics.Summary `metric:"dbinittime"`
	LoadTree   metrics.Summary `metric:"startup_snap_load_time"`
	LoadLog    metrics.Summary `metric:"startup_txns_load_time"`
	LoadedTxns metrics.Summary `metric:"startup_txns_loaded"`

	QuotaExceeded metrics.Counters `metric:"quota_exceeded_error_per_namespace"`
}

// loaded counts what it took to make the tree of the files.
func (st *stats) loaded(rec *datadir.Recovered, took time.Duration) {
	st.Load.Observe(took.Milliseconds())
	if rec.Snapshot != "" {
		st.LoadTree.Observe(rec.SnapshotTook.Milliseconds())
	}
	if rec.Replayed > 0 {
		st.LoadLog.Observe(rec.LogTook.Milliseconds())
		st.LoadedTxns.Observe(int64(rec.Replayed))
	}
}

// Metrics implements admin.Source.
func (s *Server) Metrics() []metrics.Value { return s.registry.Values() }

// register makes the counts of all parts known by ZooKeeper's names.
func (s *Server) register() {
	r := s.registry
	s.registerTree()
	s.registerQuotas()
	s.registerService()
	if s.cfg.Members != nil {
		s.registerEnsemble()
	}
	s.registerLeader()
	for _, counts := range []any{&s.stats, &s.adminStats, &s.pipeline.Stats, &s.pipeline.Stats.Ops, &s.clients.Stats, s.peer.Stats()} {
		r.Add(counts)
	}
	if s.audit != nil {
		r.Add(&s.audit.Stats)
	}
	r.ExportRuntime()
}

// znodeCount is the number of nodes as ZooKeeper counts them: the root is twice in its table, as "" and as "/". Who watches an
// ensemble of both compares what its servers say.
func znodeCount(t *tree.Tree) int { return t.NodeCount() + 1 }

// registerTree makes known what the tree holds.
func (s *Server) registerTree() {
	r := s.registry
	ofTree := func(f func(*tree.Tree) int64) func() float64 {
		return func() (v float64) {
			s.pipeline.View(func(t *tree.Tree) { v = float64(f(t)) })
			return v
		}
	}
	r.Gauge("znode_count", ofTree(func(t *tree.Tree) int64 { return int64(znodeCount(t)) }))
	r.Gauge("ephemerals_count", ofTree(func(t *tree.Tree) int64 { return int64(t.EphemeralCount()) }))
	r.Gauge("approximate_data_size", ofTree(func(t *tree.Tree) int64 { return t.DataSize() + int64(len("/")) }))
	r.Gauge("tree_memory_bytes", ofTree((*tree.Tree).MemoryBytes))
	r.Gauge("global_sessions", ofTree(func(t *tree.Tree) int64 { return int64(t.SessionCount()) }))
	r.Gauge("connection_drop_probability", s.clients.DropProbability)
	r.Gauge("watch_count", func() float64 { return float64(s.pipeline.Watches().Count()) })
}

// registerService makes known how clients are served.
func (s *Server) registerService() {
	r, st := s.registry, &s.pipeline.Stats
	latency := func(which int) func() float64 {
		return func() float64 {
			least, mean, most := st.Latency()
			return float64([...]time.Duration{least, mean, most}[which]) / float64(time.Millisecond)
		}
	}
	size := func(which int) func() float64 {
		return func() float64 {
			last, least, most := st.Sizes.Load()
			return float64([...]int64{last, least, most}[which])
		}
	}
	r.Gauge("num_alive_connections", func() float64 { return float64(st.Connections.Load()) })
	r.Gauge("outstanding_requests", func() float64 { return float64(st.Outstanding.Load()) })
	r.Gauge("packets_received", func() float64 { return float64(st.Received.Load()) })
	r.Gauge("packets_sent", func() float64 { return float64(st.Sent.Load()) })
	r.Gauge("min_latency", latency(0))
	r.FloatGauge("avg_latency", latency(1))
	r.Gauge("max_latency", latency(2))
	r.Gauge("last_client_response_size", size(0))
	r.Gauge("min_client_response_size", size(1))
	r.Gauge("max_client_response_size", size(2))
	r.Gauge("uptime", func() float64 { return float64(time.Since(s.started).Milliseconds()) })
	r.Gauge("open_file_descriptor_count", openDescriptors)
	r.Gauge("max_file_descriptor_count", maxDescriptors)
	// ZooKeeper always has this one; there are no local sessions in this release.
	r.Gauge("local_sessions", func() float64 { return 0 })
}

func openDescriptors() float64 {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return float64(len(fds))
}

// peerCache keeps the peer's status for a moment: one look at all metrics asks the loop once.
type peerCache struct {
	mu sync.Mutex // guards what follows; held while the loop is asked, so that only one asks
	at time.Time
	st peer.Status
}

// peerCacheAge is for how long a status is good enough for a metric.
const peerCacheAge = 20 * time.Millisecond

func (s *Server) ofPeer(f func(peer.Status) int64) func() float64 {
	return func() float64 {
		c := &s.lastStatus
		c.mu.Lock()
		defer c.mu.Unlock()
		if time.Since(c.at) > peerCacheAge {
			c.st, _ = s.peer.Status()
			c.at = time.Now()
		}
		return float64(f(c.st))
	}
}

// registerEnsemble makes known what only a member of an ensemble has; some of it, only while it leads.
func (s *Server) registerEnsemble() {
	r := s.registry
	r.Gauge("quorum_size", s.ofPeer(func(st peer.Status) int64 { return int64(st.Voters) }))
	leads := func() bool { return s.peer.Role() == zab.Leading }
	for _, g := range []struct {
		name  string
		value func(peer.Status) int64
	}{
		{"learners", func(st peer.Status) int64 { return int64(st.Learners) }},
		{"synced_followers", func(st peer.Status) int64 { return int64(max(st.InSync-1, 0)) }},
		{"synced_observers", func(st peer.Status) int64 { return int64(st.Others - st.NonVoting) }},
		{"synced_non_voting_followers", func(st peer.Status) int64 { return int64(st.NonVoting) }},
		{"pending_syncs", func(st peer.Status) int64 { return int64(st.PendingSyncs) }},
		{"leader_uptime", func(st peer.Status) int64 { return (time.Since(s.started) - st.Since).Milliseconds() }},
		{"last_proposal_size", func(st peer.Status) int64 { return int64(st.Sizes[0]) }},
		{"min_proposal_size", func(st peer.Status) int64 { return int64(st.Sizes[1]) }},
		{"max_proposal_size", func(st peer.Status) int64 { return int64(st.Sizes[2]) }},
	} {
		r.GaugeWhen(g.name, leads, s.ofPeer(g.value))
	}
}

// registerLeader makes known what a leader counts; a server alone is its own.
func (s *Server) registerLeader() {
	r := s.registry
	r.Counter("diff_count", s.ofPeer(func(st peer.Status) int64 { return int64(st.Stats.Diffs + st.Stats.Truncs) }))
	r.Counter("snap_count", s.ofPeer(func(st peer.Status) int64 { return int64(st.Stats.Snaps) }))
	r.Counter("proposal_count", s.ofPeer(func(st peer.Status) int64 { return st.Stats.Proposals }))
	r.Counter("commit_count", s.ofPeer(func(st peer.Status) int64 { return st.Stats.Commits }))
	r.Counter("revalidate_count", s.ofPeer(func(st peer.Status) int64 { return st.Stats.Revalidated }))
	r.Counter("stale_sessions_expired", s.ofPeer(func(st peer.Status) int64 { return st.Stats.Expired }))
}

// metricsLoop turns the window of the percentiles on /metrics.
func (s *Server) metricsLoop() {
	t := time.NewTicker(s.cfg.MetricsTurn)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.registry.Turn()
		case <-s.quit:
			return
		}
	}
}
