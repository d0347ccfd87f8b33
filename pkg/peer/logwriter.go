package peer

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// logWriter is the only one that writes the log: it appends all that is queued, syncs once and reports once. After a
// failed append or sync it reports nothing more: the kernel may have dropped the pages.
type logWriter struct {
	log      Log
	maxBatch int
	synced   func(proto.Zxid)
	durable  func()
	fatal    func(error)
	busy     Busy

	mu     sync.Mutex // guards queue and closed
	queue  []txn.Entry
	closed bool
	wake   chan struct{}
	taken  []txn.Entry // run's half of the swap
}

func newLogWriter(cfg Config, synced func(proto.Zxid)) *logWriter {
	return &logWriter{
		log: cfg.Log, maxBatch: cfg.MaxBatch, durable: cfg.Durable, fatal: cfg.Fatal,
		synced: synced, wake: make(chan struct{}, 1),
	}
}

func (w *logWriter) append(es []txn.Entry) {
	w.mu.Lock()
	w.queue = append(w.queue, es...)
	w.mu.Unlock()
	w.poke()
}

func (w *logWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.poke()
}

func (w *logWriter) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *logWriter) run() {
	for range w.wake {
		runtime.Gosched() // whoever can still add to this sync does so first; a lone client has no competitor
		w.busy.begin()
		w.mu.Lock()
		w.queue, w.taken = w.taken[:0], w.queue
		closed := w.closed
		w.mu.Unlock()
		if err := w.write(w.taken); err != nil {
			w.busy.end()
			w.fatal(err)
			return
		}
		clear(w.taken)
		w.busy.end()
		if closed {
			return
		}
	}
}

// recordOverhead is what a log puts around an entry, at most, in bytes.
const recordOverhead = 16

// write makes entries durable in batches that bound how far behind its end a torn log can be damaged.
func (w *logWriter) write(es []txn.Entry) error {
	for len(es) > 0 {
		n, size := 0, 0
		for n < len(es) && (n == 0 || size+len(es[n].Bytes)+recordOverhead <= w.maxBatch) {
			size += len(es[n].Bytes) + recordOverhead
			n++
		}
		if err := w.log.Append(es[:n]); err != nil {
			return err
		}
		if err := w.log.Sync(); err != nil {
			return err
		}
		w.synced(es[n-1].Zxid)
		w.durable()
		es = es[n:]
	}
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
