package pipeline

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/proto"
)

// Stats counts what goes through. The tags are ZooKeeper's names; times are in milliseconds, sizes in bytes.
type Stats struct {
	Received, Sent           metrics.Counter // requests and handshakes; replies and notifications
	Nanos                    metrics.Counter // that all answered requests took together
	Sizes                    Sizes           // of replies
	Outstanding, Connections atomic.Int64

	ReadsHeld      metrics.Counter `metric:"reads_held_count"` // replies to reads that had to wait for a lease
	EventOverflows metrics.Counter `metric:"notification_overflows"`
	DigestErrors   metrics.Counter `metric:"digest_mismatches_count"`
	Events         metrics.Counter `metric:"notifications_sent"`

	Throttled    metrics.Counter `metric:"request_throttle_wait_count"`
	ThrottleTime metrics.Summary `metric:"request_throttle_queue_time_ms,advanced"`
	ThrottledOps metrics.Counter `metric:"throttled_ops"`
	Stale        metrics.Counter `metric:"stale_requests"`
	StaleDropped metrics.Counter `metric:"stale_requests_dropped"`

	BytesReceived metrics.Counter `metric:"bytes_received_count"`
	ResponseBytes metrics.Counter `metric:"response_bytes"`
	WatchBytes    metrics.Counter `metric:"watch_bytes"`
	Ops           Ops             // registered apart

	ReadLatency   metrics.Summary `metric:"readlatency,advanced"` // of all that needs no txn
	UpdateLatency metrics.Summary `metric:"updatelatency,advanced"`
	ReadBytes     metrics.Set     `metric:"read_per_namespace"`
	WriteBytes    metrics.Set     `metric:"write_per_namespace"`

	TTLMade metrics.Counter `metric:"ttl_node_created_count"`
	TTLGone metrics.Counter `metric:"ttl_node_deleted_count"`

	CreatedWatchers  metrics.Summary `metric:"node_created_watch_count"`
	DeletedWatchers  metrics.Summary `metric:"node_deleted_watch_count"`
	ChangedWatchers  metrics.Summary `metric:"node_changed_watch_count"`
	ChildrenWatchers metrics.Summary `metric:"node_children_watch_count"`

	StaleReply metrics.Counter `metric:"stale_replies"` // for connections that have gone meanwhile

	ConnectionRevalidates metrics.Counter `metric:"connection_revalidate_count"`

	EnsembleAuthFails     metrics.Counter `metric:"ensemble_auth_fail"` // clients that mean another ensemble
	EnsembleAuthSuccesses metrics.Counter `metric:"ensemble_auth_success"`
	EnsembleAuthSkips     metrics.Counter `metric:"ensemble_auth_skip"` // clients that say no name

	ChangesQueued    metrics.Counter `metric:"outstanding_changes_queued"`
	ChangesRemoved   metrics.Counter `metric:"outstanding_changes_removed"`
	Prepared         metrics.Counter `metric:"prep_processor_request_queued"`
	PrepareBatch     metrics.Summary `metric:"prep_processor_queue_size"`
	PrepareTime      metrics.Summary `metric:"prep_process_time"`
	CloseSessionTime metrics.Summary `metric:"close_session_prep_time,advanced"`

	Delivered        metrics.Counter `metric:"request_commit_queued"`
	DeliverBatch     metrics.Summary `metric:"commit_commit_proc_req_queued"`
	WritesIssued     metrics.Summary `metric:"write_commit_proc_issued"`
	ReadsIssued      metrics.Summary `metric:"read_commit_proc_issued"`
	StepTime         metrics.Summary `metric:"write_batch_time_in_commit_processor"`
	SessionQueue     metrics.Summary `metric:"requests_in_session_queue"`
	ReadsBehind      metrics.Summary `metric:"reads_after_write_in_session_queue"`
	ReadsFromQueue   metrics.Summary `metric:"reads_issued_from_session_queue"`
	QueuesDrained    metrics.Summary `metric:"session_queues_drained"`
	WriteWait        metrics.Summary `metric:"write_commitproc_time_ms,advanced"`
	ReadWait         metrics.Summary `metric:"read_commitproc_time_ms,advanced"`
	LocalCommitWait  metrics.Summary `metric:"local_write_committed_time_ms,advanced"`
	ServerCommitWait metrics.Summary `metric:"server_write_committed_time_ms,advanced"`
	Propagation      metrics.Summary `metric:"propagation_latency,advanced"`
}

// ensembleAuth counts what a client has said of the ensemble that it means.
func (s *Stats) ensembleAuth(code proto.Code, named bool) {
	switch {
	case code == proto.BadArguments:
		s.EnsembleAuthFails.Add(1)
	case code == proto.OK && named:
		s.EnsembleAuthSuccesses.Add(1)
	case code == proto.OK:
		s.EnsembleAuthSkips.Add(1)
	}
}

// Reset lets the counts begin anew that the registry does not know.
func (s *Stats) Reset() {
	s.Received.Reset()
	s.Sent.Reset()
	s.Nanos.Reset()
	s.Sizes.reset()
}

// Latency returns what all answered requests took: the least and the most in whole milliseconds, and the mean.
func (s *Stats) Latency() (least, mean, most time.Duration) {
	reads, writes := s.ReadLatency.State(), s.UpdateLatency.State()
	switch {
	case reads.Count == 0:
		least = time.Duration(writes.Min)
	case writes.Count == 0:
		least = time.Duration(reads.Min)
	default:
		least = time.Duration(min(reads.Min, writes.Min))
	}
	if n := reads.Count + writes.Count; n > 0 {
		mean = time.Duration(s.Nanos.Load() / n)
	}
	return least * time.Millisecond, mean, time.Duration(max(reads.Max, writes.Max)) * time.Millisecond
}

// answered records n requests that took d each.
func (s *Stats) answered(latency *metrics.Summary, n int64, d time.Duration) {
	if n > 0 {
		s.Nanos.Add(n * int64(d))
		latency.ObserveN(d.Milliseconds(), n)
	}
}

// Sizes are those of the last reply, the smallest and the largest. -1 = none yet.
type Sizes struct{ last, least, most atomic.Int64 } // each plus one

// Load returns the sizes.
func (s *Sizes) Load() (last, least, most int64) {
	return s.last.Load() - 1, s.least.Load() - 1, s.most.Load() - 1
}

func (s *Sizes) reset() {
	s.last.Store(0)
	s.least.Store(0)
	s.most.Store(0)
}

// add takes the sizes of some replies.
func (s *Sizes) add(last, least, most int64) {
	s.last.Store(last + 1)
	for m := s.most.Load(); most+1 > m && !s.most.CompareAndSwap(m, most+1); m = s.most.Load() {
	}
	for m := s.least.Load(); (m == 0 || least+1 < m) && !s.least.CompareAndSwap(m, least+1); m = s.least.Load() {
	}
}

// Ops counts requests by what they ask for.
type Ops struct {
	Create               metrics.Counter `metric:"op_count_create"`
	Delete               metrics.Counter `metric:"op_count_delete"`
	Exists               metrics.Counter `metric:"op_count_exists"`
	GetData              metrics.Counter `metric:"op_count_get_data"`
	SetData              metrics.Counter `metric:"op_count_set_data"`
	GetACL               metrics.Counter `metric:"op_count_get_acl"`
	SetACL               metrics.Counter `metric:"op_count_set_acl"`
	GetChildren          metrics.Counter `metric:"op_count_get_children"`
	GetAllChildrenNumber metrics.Counter `metric:"op_count_get_all_children_number"`
	GetEphemerals        metrics.Counter `metric:"op_count_get_ephemerals"`
	Sync                 metrics.Counter `metric:"op_count_sync"`
	Ping                 metrics.Counter `metric:"op_count_ping"`
	Check                metrics.Counter `metric:"op_count_check"`
	Multi                metrics.Counter `metric:"op_count_multi"`
	MultiRead            metrics.Counter `metric:"op_count_multi_read"`
	Reconfig             metrics.Counter `metric:"op_count_reconfig"`
	SetWatches           metrics.Counter `metric:"op_count_set_watches"`
	AddWatch             metrics.Counter `metric:"op_count_add_watch"`
	CheckWatches         metrics.Counter `metric:"op_count_check_watches"`
	RemoveWatches        metrics.Counter `metric:"op_count_remove_watches"`
	WhoAmI               metrics.Counter `metric:"op_count_who_am_i"`
	CreateSession        metrics.Counter `metric:"op_count_create_session"`
	CloseSession         metrics.Counter `metric:"op_count_close_session"`
	Total                metrics.Counter `metric:"op_count_total"`
}

// of returns the counter of a type; nil if it has none of its own.
func (o *Ops) of(op proto.Op) *metrics.Counter {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return &o.Create
	case proto.OpDelete, proto.OpDeleteContainer:
		return &o.Delete
	case proto.OpGetChildren, proto.OpGetChildren2:
		return &o.GetChildren
	case proto.OpSetWatches, proto.OpSetWatches2:
		return &o.SetWatches
	case proto.OpExists:
		return &o.Exists
	case proto.OpGetData:
		return &o.GetData
	case proto.OpSetData:
		return &o.SetData
	case proto.OpGetACL:
		return &o.GetACL
	case proto.OpSetACL:
		return &o.SetACL
	case proto.OpSync:
		return &o.Sync
	case proto.OpPing:
		return &o.Ping
	case proto.OpMulti:
		return &o.Multi
	}
	return o.rarer(op)
}

func (o *Ops) rarer(op proto.Op) *metrics.Counter {
	switch op {
	case proto.OpGetAllChildrenNumber:
		return &o.GetAllChildrenNumber
	case proto.OpGetEphemerals:
		return &o.GetEphemerals
	case proto.OpCheck:
		return &o.Check
	case proto.OpMultiRead:
		return &o.MultiRead
	case proto.OpReconfig:
		return &o.Reconfig
	case proto.OpAddWatch:
		return &o.AddWatch
	case proto.OpCheckWatches:
		return &o.CheckWatches
	case proto.OpRemoveWatches:
		return &o.RemoveWatches
	case proto.OpWhoAmI:
		return &o.WhoAmI
	case proto.OpCreateSession:
		return &o.CreateSession
	case proto.OpCloseSession:
		return &o.CloseSession
	}
	return nil
}

func (o *Ops) count(op proto.Op, n int64) {
	o.Total.Add(n)
	if c := o.of(op); c != nil {
		c.Add(n)
	}
}

// intake is what a client's reader has counted since it last told: plain fields, so that a burst costs a few atomic
// additions and not some for each request.
type intake struct {
	packets, bytes int64
	op             proto.Op // of the last run requests
	run            int64
}

func (in *intake) count(s *Stats, op proto.Op, size int) {
	if op != in.op {
		in.next(s, op)
	}
	in.packets++
	in.bytes += int64(size)
	in.run++
}

// next begins a run of requests of another type.
func (in *intake) next(s *Stats, op proto.Op) {
	if in.run > 0 {
		s.Ops.count(in.op, in.run)
	}
	in.op, in.run = op, 0
}

// tell adds what was counted to the server's counts.
func (in *intake) tell(s *Stats) {
	if in.packets == 0 {
		return
	}
	s.Received.Add(in.packets)
	s.BytesReceived.Add(in.bytes)
	s.Ops.count(in.op, in.run)
	*in = intake{}
}

// namespaces counts the bytes of requests by the first name of their paths. It remembers the last name, and how often the
// last size came in a row: a burst for one node costs a few atomic additions, like that of an intake.
type namespaces struct {
	set  *metrics.Set
	name string
	sum  *metrics.Summary
	size int64
	run  int64 // how often
}

// observe adds the bytes of a request for a path. The root is in no namespace.
func (n *namespaces) observe(path string, size int64) {
	if len(path) < 2 || path[0] != '/' {
		return
	}
	if !n.isIn(path) {
		n.tell()
		name, _, _ := strings.Cut(path[1:], "/")
		n.name = strings.Clone(name)
		n.sum = n.set.With(n.name)
	}
	if size != n.size {
		n.tell()
		n.size = size
	}
	n.run++
}

// isIn tells whether a path, which is not the root's, lies in the last namespace. It does not look for the name's end in
// the path, for most paths have the name of the one before.
func (n *namespaces) isIn(path string) bool {
	end := 1 + len(n.name)
	return n.sum != nil && len(path) >= end && path[1:end] == n.name && (len(path) == end || path[end] == '/')
}

// tell adds what was counted to the server's counts.
func (n *namespaces) tell() {
	if n.run > 0 {
		n.sum.ObserveN(n.size, n.run)
		n.run = 0
	}
}

// readHead is what a reply has besides its record.
const readHead = 20

// observeRead counts a read of one path, by the bytes of path and answer.
func (n *namespaces) observeRead(op proto.Op, path string, answer int) {
	switch op {
	case proto.OpExists, proto.OpGetData, proto.OpGetACL, proto.OpGetChildren, proto.OpGetChildren2:
		if answer > readHead {
			n.observe(path, int64(len(path)+answer-readHead))
		}
	}
}

// ConnStats are the counts of one connection.
type ConnStats struct {
	Received, Sent int64
	LastOp         proto.Op // meaningful only if Answered is not 0
	LastCxid       int32    // -1 = none
	LastZxid       proto.Zxid
	LastResponse   time.Duration // by Config.Clock; 0 = none
	Answered       int64         // requests
	Latency        time.Duration // of the last
	Least, Most    time.Duration
	Sum            time.Duration
}

var noConnStats = ConnStats{LastCxid: -1, LastZxid: -1}

// tally is what has been answered to one connection, and of that what the server's counts do not have yet. The
// output's lock guards it.
type tally struct {
	ConnStats
	replies, least, most, last int64 // of replies not yet told
	frames                     int64
}

// frame counts something that is sent.
func (t *tally) frame() { t.Sent, t.frames = t.Sent+1, t.frames+1 }

// reply counts the answer to a request, of so many bytes.
func (t *tally) reply(req *proto.Request, z proto.Zxid, size int) {
	t.frame()
	if t.replies == 0 {
		t.least, t.most = int64(size), int64(size)
	}
	t.replies++
	t.last, t.least, t.most = int64(size), min(t.least, int64(size)), max(t.most, int64(size))
	t.LastOp, t.LastZxid = req.Op, z
	if req.Xid >= 0 {
		t.LastCxid = req.Xid
	}
}

// took says how long the last n requests took each.
func (t *tally) took(n int64, d, now time.Duration) {
	if n == 0 {
		return
	}
	if t.Answered == 0 || d < t.Least {
		t.Least = d
	}
	t.Most = max(t.Most, d)
	t.Answered += n
	t.Sum += time.Duration(n) * d
	t.Latency, t.LastResponse = d, now
}

// tell adds what was counted to the server's counts; size is that of all frames, events that of the notifications.
func (t *tally) tell(s *Stats, size, events int) {
	s.Sent.Add(t.frames)
	s.ResponseBytes.Add(int64(size - events))
	if t.replies > 0 {
		s.Sizes.add(t.last, t.least, t.most)
	}
	t.frames, t.replies = 0, 0
}

// Counts returns what was said by and to this connection.
func (c *Client) Counts() ConnStats {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.tally.ConnStats
}

// LastHeard returns when the client was last heard of, by Config.Clock; 0 before it has a session.
func (c *Client) LastHeard() time.Duration {
	if c.session == nil {
		return 0
	}
	return time.Duration(c.session.heard.Load())
}

// ResetCounts lets them begin anew.
func (c *Client) ResetCounts() {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.tally.ConnStats = noConnStats
}

// A DigestPoint is the tree's digest at one zxid.
type DigestPoint struct {
	Zxid   proto.Zxid
	Digest uint64
}

// The digests that are kept to be compared with those of other servers, as ZooKeeper keeps them.
const (
	digestEvery = 128
	mostDigests = 1024
)

// digests are those of the last zxids that digestEvery divides.
type digests struct {
	mu   sync.Mutex // guards what follows
	kept []DigestPoint
}

func (d *digests) add(p DigestPoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.kept) == mostDigests {
		d.kept = append(d.kept[:0], d.kept[1:]...)
	}
	d.kept = append(d.kept, p)
}

// Digests returns the digests of the past, the oldest first.
func (p *Pipeline) Digests() []DigestPoint {
	p.digests.mu.Lock()
	defer p.digests.mu.Unlock()
	return append([]DigestPoint(nil), p.digests.kept...)
}
