package daemon

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"
)

// A mover is something that happens to a server, and what it moves. docs/metrics.md is made of the movers.
type mover struct {
	what  string
	do    func(sc *scene)
	moves string // names of metrics
}

// A scene is where movers act, one after the other.
type scene struct {
	t             *testing.T
	s             *Server // whose metrics are looked at
	c             *wire.Conn
	hold, release func() // of the log of s
	h             *hosts
	leader        ensemble.ID
	held          *wire.Call
}

// must fails the test unless err is one of those that may be.
func (sc *scene) must(err error, may ...error) {
	sc.t.Helper()
	if err != nil && !slices.Contains(may, err) {
		sc.t.Fatal(err)
	}
}

// call has the scene's client ask for something; what it is answered does not matter, if it is answered.
func call(op proto.Op, req wire.Record) func(*scene) {
	return func(sc *scene) {
		_, err := sc.c.Call(sc.t.Context(), op, req, nil)
		if code := proto.Code(0); err != nil && !errors.As(err, &code) {
			sc.t.Fatal(err)
		}
	}
}

func path(p string) wire.Record { return &proto.PathRequest{Path: p} }

func create(p string, size int, flags int32) func(*scene) {
	return func(sc *scene) {
		_, err := sc.c.Create(sc.t.Context(), p, make([]byte, size), flags)
		sc.must(err)
	}
}

// values returns something of each metric that changes when it is moved.
func values(s *Server) map[string]string {
	all := make(map[string]string)
	for _, v := range s.registry.Values() {
		all[v.Name] = v.Text
	}
	out := make(map[string]string)
	for _, n := range s.registry.Names() {
		switch n.Kind {
		case metrics.KindGauge, metrics.KindCounter:
			out[n.Name] = all[n.Name]
		case metrics.KindSummary, metrics.KindAdvanced:
			out[n.Name] = all["cnt_"+n.Name]
		default:
			for _, name := range slices.Sorted(maps.Keys(all)) {
				if strings.HasSuffix(name, "_"+n.Name) {
					out[n.Name] += all[name] + " "
				}
			}
		}
	}
	return out
}

// attempts is how often a metric is looked at until it has moved: some are counted behind what they count.
const attempts = 3000

// play lets the movers act in turn, and checks that each moves what it says.
func (sc *scene) play(movers []mover, before map[string]string) {
	for _, m := range movers {
		if before == nil {
			before = values(sc.s)
		}
		m.do(sc)
		still := strings.Fields(m.moves)
		for range attempts {
			now := values(sc.s)
			still = slices.DeleteFunc(still, func(name string) bool { return now[name] != cmpOr(before[name], "0") })
			if len(still) == 0 {
				break
			}
			runtime.Gosched()
		}
		if len(still) > 0 {
			sc.t.Errorf("%s: %v stay as they are", m.what, still)
		}
		before = nil
	}
}

// cmpOr takes what was not there for what was 0.
func cmpOr(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

const aWriteMoves = ` prep_processor_request_queued prep_processor_queue_size outstanding_changes_queued
	sync_processor_request_queued sync_processor_queue_size sync_processor_batch_size sync_processor_queue_time_ms sync_process_time
	fsynctime sync_processor_queue_flush_time_ms sync_processor_queue_and_flush_time_ms proposal_count commit_count
	request_commit_queued commit_commit_proc_req_queued write_commit_proc_issued write_batch_time_in_commit_processor
	local_write_committed_time_ms write_commitproc_time_ms requests_in_session_queue reads_after_write_in_session_queue
	session_queues_drained propagation_latency quorum_ack_latency proposal_ack_creation_latency updatelatency avg_latency`

// alone acts on a server that serves alone.
var alone = []mover{
	{"a server starts on the files of another", func(*scene) {}, `dbinittime startup_snap_load_time startup_txns_load_time startup_txns_loaded
		znode_count max_file_descriptor_count open_file_descriptor_count`},
	{"time passes", func(*scene) {}, "uptime"},
	{"a client opens a session", func(sc *scene) { sc.c = dial(sc.t, sc.s, wire.Options{Timeout: time.Hour}) }, `connection_request_count
		num_alive_connections global_sessions op_count_create_session op_count_total packets_received packets_sent open_file_descriptor_count` + aWriteMoves},
	{"it makes a node", create("/a", 300_000, 0), `znode_count approximate_data_size tree_memory_bytes write_per_namespace op_count_create bytes_received_count
		response_bytes last_client_response_size max_client_response_size min_client_response_size outstanding_changes_removed` + aWriteMoves},
	{"it writes a few times", func(sc *scene) {
		for range 20 {
			_, err := sc.c.Set(sc.t.Context(), "/a", nil, -1)
			sc.must(err)
		}
	}, "prep_process_time"},
	{"it makes an ephemeral", create("/e", 0, proto.FlagEphemeral), "ephemerals_count"},
	{"it reads a node", call(proto.OpGetData, &proto.ReadRequest{Path: "/a"}), "readlatency read_per_namespace op_count_get_data last_client_response_size max_client_response_size"},
	{"it asks whether a node is there", call(proto.OpExists, &proto.ReadRequest{Path: "/a"}), "op_count_exists"},
	{"it reads a node's ACL", call(proto.OpGetACL, path("/a")), "op_count_get_acl"},
	{"it sets a node's ACL", call(proto.OpSetACL, &proto.SetACLRequest{Path: "/a", ACL: proto.WorldAll(), Version: -1}), "op_count_set_acl"},
	{"it lists a node's children", call(proto.OpGetChildren2, &proto.ReadRequest{Path: "/"}), "op_count_get_children"},
	{"it counts what is below a node", call(proto.OpGetAllChildrenNumber, path("/")), "op_count_get_all_children_number"},
	{"it lists its ephemerals", call(proto.OpGetEphemerals, path("/")), "op_count_get_ephemerals"},
	{"it syncs", call(proto.OpSync, path("/")), "op_count_sync"},
	{"it pings", call(proto.OpPing, nil), "op_count_ping"},
	{"it asks who it is", call(proto.OpWhoAmI, nil), "op_count_who_am_i"},
	{"it sends a multi", call(proto.OpMulti, &proto.MultiRequest{}), "op_count_multi"},
	{"it sends a multiRead", call(proto.OpMultiRead, &proto.MultiRequest{}), "op_count_multi_read"},
	{"it asks for a reconfiguration", call(proto.OpReconfig, &proto.ReconfigRequest{}), "op_count_reconfig"},
	{"it brings its watches along", call(proto.OpSetWatches, &proto.SetWatchesRequest{}), "op_count_set_watches"},
	{"it adds a watch", call(proto.OpAddWatch, &proto.WatchModeRequest{Path: "/other"}), "op_count_add_watch watch_count"},
	{"it asks for its watches", call(proto.OpCheckWatches, &proto.WatchModeRequest{Path: "/other", Mode: 1}), "op_count_check_watches"},
	{"it removes a watch", call(proto.OpRemoveWatches, &proto.WatchModeRequest{Path: "/other", Mode: 3}), "op_count_remove_watches"},
	{"it watches for a node, which is made", func(sc *scene) {
		_, err := sc.c.Exists(sc.t.Context(), "/w", true)
		sc.must(err, proto.NoNode)
		create("/w", 0, 0)(sc)
	}, "node_created_watch_count watch_bytes notifications_sent"},
	{"it watches a node, which is set", func(sc *scene) {
		_, _, err := sc.c.Get(sc.t.Context(), "/w", true)
		sc.must(err)
		_, err = sc.c.Set(sc.t.Context(), "/w", nil, -1)
		sc.must(err)
	}, "node_changed_watch_count op_count_set_data"},
	{"it watches a node's children, of which one is made", func(sc *scene) {
		_, _, err := sc.c.Children(sc.t.Context(), "/w", true)
		sc.must(err)
		create("/w/x", 0, 0)(sc)
	}, "node_children_watch_count"},
	{"it watches a node, which is deleted", func(sc *scene) {
		_, _, err := sc.c.Get(sc.t.Context(), "/w/x", true)
		sc.must(err)
		sc.must(sc.c.Delete(sc.t.Context(), "/w/x", -1))
	}, "node_deleted_watch_count op_count_delete"},
	{"it makes a TTL node", func(sc *scene) {
		req := &proto.CreateTTLRequest{Path: "/ttl", ACL: proto.WorldAll(), Flags: proto.FlagTTL, TTL: 1 << 30}
		_, err := sc.c.Call(sc.t.Context(), proto.OpCreateTTL, req, nil)
		sc.must(err)
	}, "ttl_node_created_count"},
	{"a TTL node goes", func(sc *scene) { sc.must(sc.c.Delete(sc.t.Context(), "/ttl", -1)) }, "ttl_node_deleted_count"},
	{"it names an ensemble that it means", func(sc *scene) { sc.must(sc.c.Auth(sc.t.Context(), "ensemble", "blue")) }, "ensemble_auth_success"},
	{"it names none", func(sc *scene) { sc.must(sc.c.Auth(sc.t.Context(), "ensemble", "")) }, "ensemble_auth_skip"},
	{"somebody names another ensemble", func(sc *scene) {
		_ = dial(sc.t, sc.s, wire.Options{}).Auth(sc.t.Context(), "ensemble", "green")
	}, "ensemble_auth_fail"},
	{"a check is sent alone", func(sc *scene) {
		other := dial(sc.t, sc.s, wire.Options{})
		_, _ = other.Call(sc.t.Context(), proto.OpCheck, &proto.VersionRequest{Path: "/"}, nil)
	}, "op_count_check"},
	{"a client comes back to its session", func(sc *scene) {
		sc.c = dial(sc.t, sc.s, wire.Options{SessionID: sc.c.SessionID, Password: sc.c.Password, Timeout: time.Hour})
	}, "connection_revalidate_count"},
	{"a client closes its session", func(sc *scene) {
		sc.must(dial(sc.t, sc.s, wire.Options{Timeout: time.Hour}).CloseSession(sc.t.Context()))
	}, "op_count_close_session close_session_prep_time"},
	{"a client goes away without a word", func(sc *scene) { dial(sc.t, sc.s, wire.Options{Timeout: time.Hour}).Close() }, "connection_drop_count"},
	{"a client is silent for its timeout", func(sc *scene) { dial(sc.t, sc.s, wire.Options{Timeout: time.Millisecond}) }, "stale_sessions_expired"},
	{"somebody connects and says nothing", func(sc *scene) {
		endSilentConnections(sc.s)
		_, err := io.ReadAll(raw(sc.t, sc.s))
		sc.must(err)
		sc.s.apply(sc.s.current.Load())
	}, "sessionless_connections_expired"},
	{"a snapshot is asked for", func(sc *scene) { sc.ask("snapshot", 200) }, "snapshottime"},
	{"another one at once", func(sc *scene) { sc.ask("snapshot", 429) }, "snapshot_rate_limited_count"},
	{"a snapshot fails", func(sc *scene) {
		sc.s.snapshotting.Lock()
		defer sc.s.snapshotting.Unlock()
		status, _, _ := askSocket(sc.t, sc.s.cfg.ControlSocket).ask("GET", "/commands/snapshot", "", "")
		if status != 500 {
			sc.t.Errorf("snapshot = %d", status)
		}
	}, "snapshot_error_count"},
	{"no snapshot is sent to be restored", func(sc *scene) { sc.send("restore", 500) }, "restore_error_count"},
	{"another restore at once", func(sc *scene) { sc.send("restore", 429) }, "restore_rate_limited_count"},
	{"a snapshot is restored", func(sc *scene) {
		_, err := sc.s.Restore(bytes.NewReader(taken(sc.t, sc.s)))
		sc.must(err)
		sc.c = dial(sc.t, sc.s, wire.Options{SessionID: sc.c.SessionID, Password: sc.c.Password, Timeout: time.Hour})
	}, "restore_time"},
	{"a write waits for the disk, and a read for the write", func(sc *scene) {
		sc.s.ResetStats()
		sc.hold()
		sc.held = set(sc.c, "/a", 1)
		_ = sc.c.Go(proto.OpGetData, &proto.ReadRequest{Path: "/a"}, nil)
		await(func() bool { return sc.s.pipeline.Stats.Outstanding.Load() == 2 })
	}, "outstanding_requests"},
	{"both get through, after a while", func(sc *scene) {
		begun := time.Now()
		await(func() bool { return time.Since(begun) > 3*time.Millisecond })
		sc.release()
		_, err := sc.c.Wait(sc.t.Context(), sc.held)
		sc.must(err)
	}, "read_commitproc_time_ms reads_issued_from_session_queue read_commit_proc_issued max_latency min_latency"},
	{"the tree is not what a txn's digest says", func(sc *scene) {
		x := txn.Txn{Header: txn.Header{Zxid: sc.s.pipeline.LastZxid() + 1, Type: proto.OpSetData}, HasDigest: true}
		x.Body, x.Digest = txn.Body{Path: "/a"}, txn.Digest{Version: txn.DigestVersion, Tree: 1}
		sc.s.pipeline.Deliver([]txn.Delivery{{Entry: x.Entry()}})
	}, "digest_mismatches_count"},
}

// ask asks on the admin port, as somebody who may do everything.
func (sc *scene) ask(command string, want int) { sc.tell("GET", command, want) }

func (sc *scene) send(command string, want int) { sc.tell("POST", command, want) }

func (sc *scene) tell(method, command string, want int) {
	status, text, _ := askTCP(sc.t, sc.s.admin.commands).ask(method, "/commands/"+command, "digest a:b", "x")
	if status != want {
		sc.t.Errorf("%s = %d, want %d: %s", command, status, want, text)
	}
}

// gone acts on a server whose client does not wait for its answer.
var gone = []mover{{"a client goes before it is answered", func(sc *scene) {
	c := dial(sc.t, sc.s, wire.Options{})
	_, err := c.Create(sc.t.Context(), "/n", nil, 0)
	sc.must(err)
	sc.hold()
	set(c, "/n", 1)
	await(func() bool { return sc.s.pipeline.Stats.Outstanding.Load() == 1 })
	c.Close()
	await(func() bool { return sc.s.pipeline.Stats.Connections.Load() == 0 })
	sc.release()
}, "stale_replies"}}

// limited act each on a server of its own whose settings allow little.
var limited = []struct {
	lines string
	mover
}{
	{"maxCnxns=1", mover{"a client too many connects", func(sc *scene) {
		dial(sc.t, sc.s, wire.Options{})
		_, _ = wire.Dial(sc.t.Context(), sc.s.ClientAddr(), wire.Options{})
	}, "connection_rejected"}},
	{"connection_throttle_tokens=1\nconnection_throttle_fill_time=3600000\nconnection_throttle_freeze_time=0\nconnection_throttle_drop_increase=0.5", mover{
		"more clients connect than there are tokens", func(sc *scene) {
			for range 3 {
				_, _ = wire.Dial(sc.t.Context(), sc.s.ClientAddr(), wire.Options{})
			}
		}, "connection_token_deficit connection_drop_probability",
	}},
	{"largeRequestThreshold=100\nlargeRequestMaxBytes=1000", mover{"a request is larger than all may be together", func(sc *scene) {
		_, _ = dial(sc.t, sc.s, wire.Options{}).Create(sc.t.Context(), "/large", make([]byte, 2000), 0)
	}, "large_requests_rejected"}},
}

// members acts on the members of an ensemble.
var members = []mover{
	{"an ensemble begins to serve: the leader", func(sc *scene) { sc.s = sc.h.running[sc.leader] }, `quorum_size learners synced_followers synced_observers leader_uptime
		election_time looking_count leader_unavailable_time unavailable_time`},
	{"the leader sends a whole tree", func(sc *scene) {
		sc.h.stop(4)
		sc.h.dirs[4] = sc.t.TempDir()
		sc.h.start(4)
		sc.h.await(4, zab.Observing)
	}, "snap_count inflight_snap_count"},
	{"a client writes to the leader", func(sc *scene) {
		sc.c = sc.h.connect(sc.leader, wire.Options{})
		_, err := sc.c.Create(sc.t.Context(), "/a", make([]byte, 50_000), 0)
		sc.must(err)
	}, "last_proposal_size max_proposal_size min_proposal_size ack_latency learner_handler_qp_size learner_handler_qp_time_ms"},
	{"a follower comes back", func(sc *scene) {
		follower := sc.follower()
		sc.h.stop(follower)
		_, err := sc.c.Set(sc.t.Context(), "/a", nil, -1)
		sc.must(err)
		sc.h.start(follower)
		sc.h.await(follower, zab.Following)
	}, "diff_count inflight_diff_count"},
	{"its session moves to a follower", func(sc *scene) {
		sc.c = sc.h.connect(sc.follower(), wire.Options{SessionID: sc.c.SessionID, Password: sc.c.Password})
	}, "revalidate_count"},
	{"an ensemble begins to serve: a follower", func(sc *scene) { sc.s = sc.h.running[sc.follower()] }, "follower_sync_time"},
	{"others write", func(sc *scene) {
		c := sc.h.connect(sc.leader, wire.Options{})
		_, err := c.Create(sc.t.Context(), "/b", nil, 0)
		sc.must(err)
	}, "learner_proposal_received_count learner_commit_received_count server_write_committed_time_ms"},
	{"an ensemble begins to serve: an observer", func(sc *scene) { sc.s = sc.h.running[4] }, "observer_sync_time"},
	{"a client comes when the quorum is lost", func(sc *scene) {
		lone := sc.h.running[4]
		for _, id := range []ensemble.ID{1, 2, 3} {
			sc.h.stop(id)
		}
		await(func() bool { return !lone.peer.Serving() })
		_, _ = wire.Dial(sc.t.Context(), lone.ClientAddr(), wire.Options{})
	}, "cnxn_closed_without_zk_server_running"},
}

func (sc *scene) follower() ensemble.ID { return sc.leader%3 + 1 }

// elsewhere are metrics that other tests move: the test, and what it says of the metric.
var elsewhere = map[string]struct{ test, says string }{
	"notification_overflows":             {"pkg/daemon.TestNotificationBytes", "EventOverflows"},
	"reads_held_count":                   {"pkg/pipeline.TestHeldReads", "ReadsHeld"},
	"quota_count_limit_per_namespace":    {"pkg/daemon.TestQuotas", "quota_count_limit_per_namespace"},
	"quota_bytes_limit_per_namespace":    {"pkg/daemon.TestQuotas", "quota_bytes_limit_per_namespace"},
	"quota_count_usage_per_namespace":    {"pkg/daemon.TestQuotas", "quota_count_usage_per_namespace"},
	"quota_bytes_usage_per_namespace":    {"pkg/daemon.TestQuotas", "quota_bytes_usage_per_namespace"},
	"quota_exceeded_error_per_namespace": {"pkg/daemon.TestQuotas", "quota_exceeded_error_per_namespace"},
	"request_throttle_wait_count":        {"pkg/daemon.TestRequestThrottle", "st.Throttled.Load()"},
	"request_throttle_queue_time_ms":     {"pkg/daemon.TestThrottledOps", "st.ThrottleTime.State()"},
	"throttled_ops":                      {"pkg/daemon.TestThrottledOps", "st.ThrottledOps.Load()"},
	"stale_requests":                     {"pkg/daemon.TestRequestThrottle", "st.Stale.Load()"},
	"stale_requests_dropped":             {"pkg/daemon.TestRequestThrottle", "st.StaleDropped.Load()"},
	"synced_non_voting_followers":        {"pkg/daemon.TestReconfigAddsAndRemovesServers", "synced_non_voting_followers"},
	"quit_leading_due_to_disloyal_voter": {"pkg/daemon.TestALeaderWithoutAQuorumGivesUp", "quit_leading_due_to_disloyal_voter"},
	"pending_syncs":                      {"pkg/zab.TestPendingSyncs", "PendingSyncs()"},
	"audit_written_count":                {"pkg/audit.TestFullQueueIsSaid", "Stats.Written"},
	"audit_lost_count":                   {"pkg/audit.TestFullQueueIsSaid", "Stats.Lost"},
}

// unmoved are those that there are, always with the same value.
var unmoved = map[string]string{
	"local_sessions": "all sessions are the ensemble's in this release",
}

// TestMetricsOfAServerAloneMove plays what happens to a server, and looks at its metrics.
func TestMetricsOfAServerAloneMove(t *testing.T) {
	const lines = "extendedTypesEnabled=true\nensembleAuthName=blue\nminSessionTimeout=1\nmaxSessionTimeout=3600000\n" +
		"tickTime=10\nadmin.enableServer=true\nadmin.serverPort=0\nadmin.rateLimiterIntervalInMS=2000000000\ncontrolSocket="
	socket := t.TempDir() + "/s"
	first, hold, release := onSlowDisk(t, lines+socket)
	create("/before", 1, 0)(&scene{t: t, c: dial(t, first, wire.Options{Timeout: time.Hour})})
	o := quiet()
	o.FS = first.fs
	closeServer(t, first)
	sc := &scene{t: t, s: start(t, first.cfg, o), hold: hold, release: release}
	sc.play(alone, map[string]string{})
}

func TestMetricsOfALostClientMove(t *testing.T) {
	s, hold, release := onSlowDisk(t, "")
	(&scene{t: t, s: s, hold: hold, release: release}).play(gone, nil)
}

func TestMetricsOfLimitsMove(t *testing.T) {
	for _, l := range limited {
		(&scene{t: t, s: startWith(t, l.lines)}).play([]mover{l.mover}, nil)
	}
}

// TestMetricsOfAnEnsembleMove: what begins with "an ensemble begins to serve" looks at another member, from nothing on.
func TestMetricsOfAnEnsembleMove(t *testing.T) {
	sc := &scene{t: t, h: newHosts(t, 3, 1)}
	sc.h.start(1, 2, 3, 4)
	sc.leader = sc.h.awaitLeader(1, 2, 3)
	sc.h.await(4, zab.Observing)
	sc.s = sc.h.running[sc.leader]
	for i := range members {
		var before map[string]string
		if strings.HasPrefix(members[i].what, "an ensemble begins to serve") {
			before = map[string]string{}
		}
		sc.play(members[i:i+1], before)
	}
}
