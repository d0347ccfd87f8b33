package peer

import (
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/zab"
)

// Stats counts what a peer goes through, besides zab.Stats. The tags are ZooKeeper's names; times are in milliseconds.
type Stats struct {
	Lookings          metrics.Counter `metric:"looking_count"`
	Disloyal          metrics.Counter `metric:"quit_leading_due_to_disloyal_voter"`
	ElectionTime      metrics.Summary `metric:"election_time"`
	FollowerSync      metrics.Summary `metric:"follower_sync_time"` // from the leader's election until clients are served
	ObserverSync      metrics.Summary `metric:"observer_sync_time"`
	Unavailable       metrics.Summary `metric:"unavailable_time"`        // in which no clients were served
	LeaderUnavailable metrics.Summary `metric:"leader_unavailable_time"` // likewise, of servers that then led

	ProposalsReceived metrics.Counter `metric:"learner_proposal_received_count"`
	CommitsReceived   metrics.Counter `metric:"learner_commit_received_count"`
	QuorumAck         metrics.Summary `metric:"quorum_ack_latency,advanced"`            // from a proposal until a quorum has it
	AckCreation       metrics.Summary `metric:"proposal_ack_creation_latency,advanced"` // until our own log has it
	AckLatency        metrics.Set     `metric:"ack_latency,advanced"`                   // until a follower has it
	LearnerQueue      metrics.Set     `metric:"learner_handler_qp_size"`                // packets, when the writer takes them
	LearnerQueueTime  metrics.Set     `metric:"learner_handler_qp_time_ms,advanced"`
	Snaps             metrics.Summary `metric:"inflight_snap_count"`
	Diffs             metrics.Summary `metric:"inflight_diff_count"`

	LogQueued    metrics.Counter `metric:"sync_processor_request_queued"`
	LogQueue     metrics.Summary `metric:"sync_processor_queue_size"` // when the log writer takes it
	LogBatch     metrics.Summary `metric:"sync_processor_batch_size"`
	LogWait      metrics.Summary `metric:"sync_processor_queue_time_ms,advanced"`
	LogAppend    metrics.Summary `metric:"sync_process_time"`
	LogSync      metrics.Summary `metric:"fsynctime"`
	LogFlush     metrics.Summary `metric:"sync_processor_queue_flush_time_ms,advanced"` // append and sync
	LogWaitFlush metrics.Summary `metric:"sync_processor_queue_and_flush_time_ms,advanced"`

	snaps, diffs atomic.Int64 // under way
}

// syncing counts a learner that is being brought up; done when it is.
func (s *Stats) syncing(snapshot bool) (done func()) {
	n, sum := &s.diffs, &s.Diffs
	if snapshot {
		n, sum = &s.snaps, &s.Snaps
	}
	sum.Observe(n.Add(1))
	return func() { sum.Observe(n.Add(-1)) }
}

// proposals are the times of a leader's last batches, for how long they take. The loop owns them.
type proposals struct {
	ring              [64]batchTime // by number
	made              int           // batches; the newest is ring[(made-1)%64]
	synced, committed int           // of them, how many are on our disk, and on a quorum's
}

// batchTime is when a batch was proposed, and what was in it.
type batchTime struct {
	first, last proto.Zxid
	at          time.Duration
}

func (q *proposals) at(i int) *batchTime { return &q.ring[i%len(q.ring)] }

// add takes a batch that is being proposed. One that is overwritten before it is committed is not counted.
func (q *proposals) add(first, last proto.Zxid, now time.Duration) {
	*q.at(q.made) = batchTime{first, last, now}
	q.made++
	q.synced, q.committed = max(q.synced, q.made-len(q.ring)), max(q.committed, q.made-len(q.ring))
}

// reach counts the batches that are through up to z, from the one of number done on, and returns how many are.
func (q *proposals) reach(done int, z proto.Zxid, now time.Duration, sum *metrics.Summary) int {
	for ; done < q.made && q.at(done).last <= z; done++ {
		b := q.at(done)
		sum.ObserveN((now - b.at).Milliseconds(), int64(b.last-b.first)+1)
	}
	return done
}

// find returns the batch with a zxid.
func (q *proposals) find(z proto.Zxid) *batchTime {
	for i := q.made - 1; i >= max(0, q.made-len(q.ring)); i-- {
		if b := q.at(i); b.first <= z && z <= b.last {
			return b
		}
	}
	return nil
}

// observe counts what a packet of a learner or of the leader tells.
func (p *Peer) observe(l *link, packet *zab.Packet) {
	switch packet.Type {
	case zab.TypeProposal:
		p.stats.ProposalsReceived.Add(1)
	case zab.TypeCommit:
		p.stats.CommitsReceived.Add(1)
	case zab.TypeAck:
		if b := p.proposals.find(packet.Zxid); b != nil && l.times != nil {
			l.times.Observe((p.now - b.at).Milliseconds())
		}
	case zab.TypeFollowerInfo, zab.TypeObserverInfo:
		if len(packet.Data) >= 8 {
			l.name(int64(binary.BigEndian.Uint64(packet.Data)), packet.Type == zab.TypeObserverInfo, &p.stats)
		}
	}
}

// name tells a link who its other end is.
func (l *link) name(id int64, observer bool, s *Stats) {
	key := strconv.FormatInt(id, 10)
	l.times = s.AckLatency.With(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sid, l.observer = id, observer
	l.sizes, l.waits = s.LearnerQueue.With(key), s.LearnerQueueTime.With(key)
}

// took counts what has been taken out of the queue. The link is locked.
func (l *link) took() {
	if l.sizes != nil && l.queued > 0 {
		l.sizes.Observe(int64(l.queued))
		l.waits.Observe(time.Since(l.since).Milliseconds())
	}
	l.sent += int64(l.queued)
	l.queued = 0
}

// Stats returns the counts, to be registered.
func (p *Peer) Stats() *Stats { return &p.stats }

// Inspect has the loop call f with the node; false if it does not answer, or has ended. f must be quick, and may be
// called late: what it fills belongs to the caller only if true is returned.
func (p *Peer) Inspect(f func(*zab.Node)) bool {
	done := make(chan struct{})
	p.inspecting.add(func() {
		f(p.node)
		close(done)
	})
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
	case <-p.ctx.Done():
	}
	return false
}

// A Learner is one that is connected to this leader.
type Learner struct {
	ID             int64
	Remote         string // address:port
	Observer       bool
	Since          time.Time // when it connected
	Queued         int       // packets and bytes that wait
	QueuedBytes    int
	Received, Sent int64 // packets
}

// Learners describes the learners that are connected, in no order.
func (p *Peer) Learners() []Learner {
	var all []Learner
	if !p.Inspect(func(*zab.Node) {
		for _, l := range p.links {
			if !l.dialed {
				all = append(all, l.describe())
			}
		}
	}) {
		return nil
	}
	return all
}

func (l *link) describe() Learner {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Learner{
		ID: l.sid, Remote: l.remote, Observer: l.observer, Since: l.made, Queued: l.queued, QueuedBytes: len(l.out),
		Received: l.packets, Sent: l.sent,
	}
}

// ResetSizes forgets the sizes of the proposals so far.
func (p *Peer) ResetSizes() { p.Inspect(func(*zab.Node) { p.sizes = noSizes }) }

// ResetLearners lets the counts of packets of all learners begin anew.
func (p *Peer) ResetLearners() {
	p.Inspect(func(*zab.Node) {
		for _, l := range p.links {
			l.packets = 0
			l.mu.Lock()
			l.sent = 0
			l.mu.Unlock()
		}
	})
}
