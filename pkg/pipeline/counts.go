package pipeline

import (
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// stepCounts are the apply loop's, of the step that it is at.
type stepCounts struct {
	waited  int64 // milliseconds since the first of what it has taken was delivered
	wall    int64 // milliseconds since 1970
	writes  int64
	reads   int64 // that have waited for a write
	drained int64 // sessions that have nothing more to wait for
}

// beginStep begins to count at a time of the pipeline's clock.
func (p *Pipeline) beginStep(now time.Duration) {
	a := &p.apply
	a.since = now
	a.step = stepCounts{waited: (now - a.came).Milliseconds(), wall: a.wall.at(now, p.cfg.WallMillis)}
}

// wallClock knows the time of day from a clock that is read anyway, and looks again once in a while.
type wallClock struct {
	looked time.Duration
	ahead  int64 // milliseconds, of that clock
	known  bool
}

// wallAge is for how long a look at the time of day is good enough for a count.
const wallAge = 100 * time.Millisecond

func (w *wallClock) at(now time.Duration, look func() int64) (millis int64) {
	if !w.known || now-w.looked > wallAge {
		*w = wallClock{now, look() - now.Milliseconds(), true}
	}
	return now.Milliseconds() + w.ahead
}

func (p *Pipeline) endStep() {
	p.apply.spaces.tell()
	st, s := &p.Stats, &p.apply.step
	st.StepTime.Observe((p.cfg.Clock() - p.apply.since).Milliseconds())
	st.WritesIssued.Observe(s.writes)
	st.ReadsIssued.Observe(s.reads)
	st.QueuesDrained.Observe(s.drained)
}

// prepareSample is of how many small batches one is timed, for all of them: reading the clock takes longer than many a
// request.
const (
	prepareSample = 16
	smallBatch    = 8
)

// timesPrepare tells whether a batch of n requests is to be timed.
func (p *Pipeline) timesPrepare(n int) bool {
	p.batches++
	return n > smallBatch || p.batches%prepareSample == 1
}

// countPrepared counts n requests that were prepared, since an instant of the pipeline's clock if they are timed. The
// peer loop calls it.
func (p *Pipeline) countPrepared(n int64, timed bool, begun time.Duration) {
	st := &p.Stats
	st.Prepared.Add(n)
	st.PrepareBatch.Observe(n)
	if p.untimed += n; timed {
		st.PrepareTime.ObserveN((p.cfg.Clock()-begun).Milliseconds()/max(n, 1), p.untimed)
		p.untimed = 0
	}
	queued, removed := p.prepper.Changes()
	st.ChangesQueued.Add(queued - p.queued)
	st.ChangesRemoved.Add(removed - p.removed)
	p.queued, p.removed = queued, removed
}

// countTxn counts the txn that was applied.
func (p *Pipeline) countTxn() {
	a := &p.apply
	a.step.writes++
	if made, gone := a.result.TTLMade, a.result.TTLGone; made+gone > 0 {
		p.Stats.TTLMade.Add(int64(made))
		p.Stats.TTLGone.Add(int64(gone))
	}
	p.Stats.Propagation.Observe(a.step.wall - a.txn.Time)
	if a.txn.HasDigest && a.txn.Zxid%digestEvery == 0 {
		p.digests.add(DigestPoint{a.txn.Zxid, p.tree.Digest()})
	}
	if a.txn.Header.Type != proto.OpMulti {
		a.countWrite(a.txn.Header.Type, &a.txn.Body)
		return
	}
	for i := range a.txn.Subs {
		a.countWrite(a.txn.Subs[i].Type, &a.txn.Subs[i])
	}
}

func (a *applier) countWrite(typ proto.Op, b *txn.Body) {
	switch typ {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL, proto.OpSetData:
		a.spaces.observe(b.Path, int64(len(b.Path)+len(b.Data)))
	case proto.OpDelete, proto.OpDeleteContainer:
		a.spaces.observe(b.Path, int64(len(b.Path)))
	}
}

// countEvents counts the watchers that were told of one change.
func (p *Pipeline) countEvents(typ proto.EventType, told int64) {
	st := &p.Stats
	st.Events.Add(told)
	st.WatchBytes.Add(told * int64(len(p.apply.event)))
	switch typ {
	case proto.EventCreated:
		st.CreatedWatchers.Observe(told)
	case proto.EventDeleted:
		st.DeletedWatchers.Observe(told)
	case proto.EventDataChanged:
		st.ChangedWatchers.Observe(told)
	case proto.EventChildrenChanged:
		st.ChildrenWatchers.Observe(told)
	}
}

// countReads counts the reads of a session that were answered behind its write.
func (p *Pipeline) countReads(n int64, drained bool) {
	p.apply.step.reads += n
	p.Stats.ReadsBehind.Observe(n)
	if n > 0 {
		p.Stats.ReadsFromQueue.Observe(n)
	}
	if drained {
		p.apply.step.drained++
	}
}
