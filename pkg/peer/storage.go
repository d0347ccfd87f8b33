package peer

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// logWriter is the only one that changes the disk: it appends all that is queued, syncs once and reports once; and it
// carries out the rarer changes in their places between the entries. After a failure it reports nothing more: the
// kernel may have dropped the pages.
type logWriter struct {
	log      Log
	maxBatch int
	flush    Flush
	done     *completions
	drive    func() // has the loop look at done
	durable  func()
	fatal    func(error)
	stats    *Stats
	busy     Busy

	mu     sync.Mutex // guards what follows
	queue  storage
	closed bool
	wake   waker
	taken  storage   // run's half of the swap
	queued time.Time // when the first of the queue came
	came   time.Time // likewise of what was taken
}

// storage is what the disk has to take, in order.
type storage struct {
	entries []txn.Entry
	changes []change
}

// change is a change of the disk behind the first so many entries.
type change struct {
	behind int
	store  zab.Store
}

func newLogWriter(cfg *Config, stats *Stats, done *completions, drive, durable func(), fatal func(error)) *logWriter {
	return &logWriter{
		log: cfg.Log, maxBatch: cfg.MaxBatch, flush: cfg.Flush, done: done, drive: drive, durable: durable, fatal: fatal,
		stats: stats, wake: newWaker(),
	}
}

// add queues entries, and changes behind them.
func (w *logWriter) add(es []txn.Entry, stores []zab.Store) {
	w.stats.LogQueued.Add(int64(len(es)))
	w.mu.Lock()
	knows := len(w.queue.entries) > 0 && len(stores) == 0 // and waits for a time to be over
	if len(w.queue.entries) == 0 {
		w.queued = time.Now()
	}
	w.queue.entries = append(w.queue.entries, es...)
	for _, s := range stores {
		w.queue.changes = append(w.queue.changes, change{len(w.queue.entries), s})
	}
	w.mu.Unlock()
	if !knows || !w.flush.lazy() {
		w.wake.poke()
	}
}

func (w *logWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake.poke()
}

func (w *logWriter) run() {
	for range w.wake {
		runtime.Gosched() // whoever can still add to this sync does so first; a lone client has no competitor
		w.gather()
		w.busy.begin()
		w.mu.Lock()
		w.queue, w.taken = storage{w.taken.entries[:0], w.taken.changes[:0]}, w.queue
		w.came = w.queued
		closed := w.closed
		w.mu.Unlock()
		w.stats.LogQueue.Observe(int64(len(w.taken.entries)))
		if err := w.carryOut(w.taken); err != nil {
			w.busy.end()
			w.fatal(err)
			return
		}
		clear(w.taken.entries)
		clear(w.taken.changes)
		w.busy.end()
		if closed {
			return
		}
	}
}

// Flush says when what is queued is synced. The zero value syncs as soon as the last sync is through.
type Flush struct {
	Delay time.Duration // how long txns may wait for others
	Idle  time.Duration // if none has come for so long they wait no longer; at least Delay = whatever comes
	Txns  int           // at most so many are synced at once; 0 = any number
}

// Lazy is for a log that nobody waits for, an observer's: what its leader has committed is safe elsewhere. Then a sync
// takes what a fiftieth of a second brings, so that an observer takes less of its host.
var Lazy = Flush{Delay: 20 * time.Millisecond, Idle: 20 * time.Millisecond}

func (f *Flush) lazy() bool { return f.Delay > 0 && f.Idle >= f.Delay && f.Txns == 0 }

// gather waits for more txns to come. What changes the disk otherwise waits for nothing.
func (w *logWriter) gather() {
	if w.flush.Delay <= 0 {
		return
	}
	over := time.NewTimer(w.flush.Delay)
	defer over.Stop()
	for {
		w.mu.Lock()
		enough := w.closed || len(w.queue.changes) > 0 || w.flush.Txns > 0 && len(w.queue.entries) >= w.flush.Txns
		w.mu.Unlock()
		if enough {
			return
		}
		idle := time.NewTimer(w.flush.Idle)
		select {
		case <-w.wake:
			idle.Stop()
		case <-idle.C:
			return
		case <-over.C:
			idle.Stop()
			return
		}
	}
}

func (w *logWriter) carryOut(s storage) error {
	written := 0
	for _, c := range s.changes {
		if err := w.write(s.entries[written:c.behind]); err != nil {
			return err
		}
		written = c.behind
		if err := w.change(c.store); err != nil {
			return err
		}
	}
	return w.write(s.entries[written:])
}

// recordOverhead is what a log puts around an entry, at most, in bytes.
const recordOverhead = 16

// write makes entries durable in batches that bound how far behind its end a torn log can be damaged.
func (w *logWriter) write(es []txn.Entry) error {
	for len(es) > 0 {
		n, size := 0, 0
		for n < len(es) && (w.flush.Txns <= 0 || n < w.flush.Txns) && (n == 0 || size+len(es[n].Bytes)+recordOverhead <= w.maxBatch) {
			size += len(es[n].Bytes) + recordOverhead
			n++
		}
		begun := time.Now()
		if err := w.log.Append(es[:n]); err != nil {
			return err
		}
		appended := time.Now()
		if err := w.log.Sync(); err != nil {
			return err
		}
		w.count(int64(n), begun, appended)
		w.done.putSynced(es[n-1].Zxid)
		w.tell()
		w.durable()
		es = es[n:]
	}
	return nil
}

// count counts a batch of n entries that is durable now.
func (w *logWriter) count(n int64, begun, appended time.Time) {
	s, now := w.stats, time.Now()
	s.LogBatch.Observe(n)
	s.LogWait.ObserveN(begun.Sub(w.came).Milliseconds(), n)
	s.LogAppend.Observe(appended.Sub(begun).Milliseconds())
	s.LogSync.Observe(now.Sub(appended).Milliseconds())
	s.LogFlush.Observe(now.Sub(begun).Milliseconds())
	s.LogWaitFlush.ObserveN(now.Sub(w.came).Milliseconds(), n)
}

// tell has the loop look at what is done: at once if the disk has nothing else to do.
func (w *logWriter) tell() {
	w.mu.Lock()
	idle := len(w.queue.entries)+len(w.queue.changes) == 0
	w.mu.Unlock()
	if idle {
		w.drive()
	} else {
		w.done.wake.poke()
	}
}

// change carries out one of the rarer changes. How long a truncation or a whole tree takes depends on their sizes: no
// watchdog looks at that.
func (w *logWriter) change(s zab.Store) error {
	var answer zab.Stored
	switch s := s.(type) {
	case zab.SaveEpochs:
		if err := w.log.SaveEpochs(s.Accepted, s.Current); err != nil {
			return err
		}
	case zab.Truncate:
		w.busy.end()
		left, err := w.log.Truncate(s.To, s.Rebuild)
		if err != nil && !errors.Is(err, ErrNoBase) {
			return err
		}
		answer = zab.Stored{Last: left.Last, Tree: left.Tree, NoBase: err != nil}
		w.busy.begin()
	case zab.Install:
		w.busy.end()
		if err := w.log.Install(s.Tree, s.Entries, s.Zxid); err != nil {
			return err
		}
		w.busy.begin()
	case zab.SaveNext:
		if err := w.log.SaveNext(s.Config); err != nil {
			return err
		}
	case zab.Activate:
		if err := w.log.Activate(s.Config); err != nil {
			return err
		}
	case zab.AppendBehind:
		if err := w.write(s.Entries); err != nil {
			return err
		}
	default:
		return fmt.Errorf("peer: unknown change of the disk %T", s)
	}
	w.done.add(completion{in: answer})
	return nil
}

// Busy tells for how long a loop has been at its current piece of work, for a watchdog.
type Busy struct{ since atomic.Int64 }

func (b *Busy) begin() { b.since.Store(time.Now().UnixNano()) }
func (b *Busy) end()   { b.since.Store(0) }

// For returns how long the current work has taken so far; 0 when idle.
func (b *Busy) For() time.Duration {
	since := b.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// ErrNoBase is what Log.Truncate returns when no snapshot and log make a tree at that zxid. Nothing was removed then.
var ErrNoBase = errors.New("peer: no snapshot and log make a tree at that zxid")
