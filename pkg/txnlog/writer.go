package txnlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

// Options are what a Writer needs to know. All have a default.
type Options struct {
	Dir      string
	FileSize int64        // preallocated for one file; beyond it the next begins (64 MiB)
	Batch    int          // most bytes between two syncs (DefaultBatch)
	NoSync   bool         // write without making durable: what is acknowledged can be lost
	NoZeros  bool         // do not write zeros ahead of the records: a sync takes longer, and all of them together less
	Warn     func(string) // told what the log survives, such as no room to prepare the next file; from any goroutine
	Inline   bool         // prepare files in Sync and not on a goroutine, so that a seed decides all
	Last     proto.Zxid   // the newest entry that is in the directory

	MaxRecord int // longest payload that a Cursor believes (DefaultMaxRecord)
}

const (
	defaultFileSize = 64 << 20
	// keepBuffer is the most that the buffer keeps after a batch with a large record.
	keepBuffer = 4 << 20
)

// A Writer writes one log directory. One goroutine owns it: the log writer. It begins a new file with its first entry,
// and never writes to a file that it has not made.
//
// Invariants:
//
//	the first error stays: nothing is written after it
//	all entries of a file are durable before the next file gets its name
type Writer struct {
	fs  vfs.FS
	o   Options
	buf []byte // encoded, not written
	// first is the zxid of the first entry in buf, and last that of the newest one appended.
	first, last proto.Zxid
	cur         *file // nil until the first entry
	roll        bool  // the next batch begins a file
	err         error
	prep        *preparer
	tail        *tail
	closed      bool
	size        atomic.Int64 // of all files that this Writer has written, without what is only preallocated
}

// A file is one log file.
type file struct {
	f, z   vfs.File // both are the file: records are written through f, zeros through z
	path   string
	pos    atomic.Int64          // end of the records; the Writer moves it
	safe   int64                 // of the Writer: as much of zeroed as it knows of
	poked  int64                 // of the Writer: pos when it last woke the preparer
	broken atomic.Pointer[error] // a sync of zeros has failed

	mu     sync.Mutex // held while zeros are written, so that they never hit a record
	zeroed int64      // zeros are written from here on
}

// NewWriter returns a writer for a directory and begins to prepare its first file.
func NewWriter(fs vfs.FS, o Options) *Writer {
	if o.FileSize <= 0 {
		o.FileSize = defaultFileSize
	}
	o.FileSize = max(o.FileSize, 4096)
	if o.Batch <= 0 {
		o.Batch = DefaultBatch
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.MaxRecord <= 0 {
		o.MaxRecord = DefaultMaxRecord
	}
	w := &Writer{fs: fs, o: o, last: o.Last, tail: &tail{last: o.Last}}
	w.prep = startPreparer(fs, o)
	return w
}

// Append takes an entry for the next Sync. It encodes it and keeps nothing of it. Where a batch would get too long it
// syncs what it has.
func (w *Writer) Append(e txn.Entry) error {
	if w.err != nil {
		return w.err
	}
	if e.Zxid < w.last { // asked first: the arguments of a call would be allocated for each entry
		invariant.That(false, "append %v behind %v", e.Zxid, w.last)
	}
	if len(w.buf) > 0 && len(w.buf)+len(e.Bytes)+Overhead > w.o.Batch {
		if err := w.Sync(); err != nil {
			return err
		}
	}
	if len(w.buf) == 0 {
		w.first = e.Zxid
	}
	w.last = e.Zxid
	w.buf = AppendRecord(w.buf, e)
	return nil
}

// Sync makes durable what was appended: one write, one sync.
func (w *Writer) Sync() error {
	if w.err == nil && len(w.buf) > 0 {
		w.err = w.flush()
	}
	return w.err
}

func (w *Writer) flush() error {
	if err := w.choose(); err != nil {
		return err
	}
	c := w.cur
	at := c.pos.Load()
	end := at + int64(len(w.buf))
	w.prep.claim(c, end)
	if _, err := c.f.WriteAt(w.buf, at); err != nil {
		return &DiskError{"write", c.path, err}
	}
	if !w.o.NoSync {
		if err := c.f.Sync(); err != nil {
			return &DiskError{"sync", c.path, err}
		}
		if err := c.broken.Load(); err != nil {
			return &DiskError{"sync", c.path, *err}
		}
	}
	c.pos.Store(end)
	w.tail.advance(w.first, at, end, w.last)
	w.size.Add(int64(len(w.buf)))
	w.buf = w.buf[:0]
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	w.prep.progress(c)
	return nil
}

// choose makes cur the file that the batch goes to.
func (w *Writer) choose() error {
	full := false
	if w.cur != nil {
		pos := w.cur.pos.Load()
		full = pos > headerSize && pos+int64(len(w.buf)) > w.o.FileSize
	}
	if w.cur != nil && !w.roll && !full {
		return nil
	}
	next := filepath.Join(w.o.Dir, FileName(w.first))
	switch _, err := w.fs.Stat(next); {
	case err == nil && w.cur != nil:
		return nil // a repeated zxid: it stays with its twin
	case err == nil:
		return &DiskError{"create", next, fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return &DiskError{"stat", next, err}
	}
	f, err := w.prep.take(w.cur == nil)
	if f == nil || err != nil {
		return err // without an error: the next file is not there yet, and this one goes on
	}
	w.tail.begin(next)
	if err := w.fs.Rename(f.path, next); err != nil {
		return &DiskError{"rename", f.path, errors.Join(err, f.close())}
	}
	if err := w.fs.SyncDir(w.o.Dir); err != nil {
		return &DiskError{"sync", w.o.Dir, errors.Join(err, f.close())}
	}
	f.path = next
	old := w.cur
	w.cur, w.roll = f, false
	w.prep.named(old)
	return nil
}

// Roll lets the next batch begin a new file.
func (w *Writer) Roll() { w.roll = w.cur != nil }

// Size returns how many bytes of records were written since the start. It may be called from any goroutine.
func (w *Writer) Size() int64 { return w.size.Load() }

// Last returns the newest zxid appended.
func (w *Writer) Last() proto.Zxid { return w.last }

// Close syncs what was appended and closes the file. The one that was prepared is removed. Every Cursor ends.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.Sync()
	w.tail.close()
	if w.err == nil {
		w.err = fmt.Errorf("txnlog: append to %s: %w", w.o.Dir, fs.ErrClosed)
	}
	w.prep.close()
	if w.cur == nil {
		return err
	}
	if err != nil {
		_ = w.cur.close()
		return err
	}
	w.prep.trim(w.cur)
	return nil
}
