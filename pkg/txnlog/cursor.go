package txnlog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

// Why a Cursor ends.
var (
	// ErrGone says that the log does not hold, or holds no more, what follows the entries that were read.
	ErrGone = errors.New("the entries that follow are not in the log")
	// ErrCut says that the Writer was closed: what is in the directory belongs to another.
	ErrCut = errors.New("the log was cut or closed")
)

// markEvery is how far apart the places are at which a Cursor can begin in the file that is being written.
const markEvery = 256 << 10

// tail is how far a Writer has come, for those who read beside it. In any other file but path, all is durable.
type tail struct {
	mu     sync.Mutex // guards what follows
	path   string     // the file that is being written, from before it has this name; empty before the first
	end    int64      // of what is durable in it
	last   proto.Zxid // the newest durable entry, or what the Writer began behind
	marks  []mark     // places in it where records begin
	closed bool
}

type mark struct {
	zxid proto.Zxid
	at   int64
}

// begin says that a file will have this name, and that no other is written to any more.
func (t *tail) begin(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.path, t.end, t.marks = path, headerSize, t.marks[:0]
}

// advance says that the records from at to end, the first of them first, are durable.
func (t *tail) advance(first proto.Zxid, at, end int64, last proto.Zxid) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.marks); n == 0 || at-t.marks[n-1].at >= markEvery {
		t.marks = append(t.marks, mark{first, at})
	}
	t.end, t.last = end, last
}

func (t *tail) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// newest returns the newest durable zxid.
func (t *tail) newest() (proto.Zxid, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, ErrCut
	}
	return t.last, nil
}

// limit returns how far a file may be read, if it is the one that is being written.
func (t *tail) limit(path string) (end int64, live bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.end, t.path == path
}

// place returns where to begin in a file to find what is behind z; 0 if nothing but the whole file will do.
func (t *tail) place(path string, z proto.Zxid) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := int64(0)
	if t.path == path {
		for _, m := range t.marks {
			if m.zxid <= z {
				at = m.at
			}
		}
	}
	return at
}

// A Cursor reads the entries in a Writer's directory in order, beside the Writer, as far as they are durable. It holds
// one open file and a buffer. One goroutine owns it, which may be any.
type Cursor struct {
	fs        vfs.FS
	dir       string
	maxRecord int
	tail      *tail
	last      proto.Zxid // read up to here
	held      txn.Entry  // read, but above the bound of the call; empty if there is none
	r         *Reader    // nil before the first file
	first     proto.Zxid // in the name of that file
	done      bool       // nothing is written to it any more, and the Reader knows its whole size
}

// Cursor returns a cursor that begins behind the entry with the zxid after. Close lets go of its file.
func (w *Writer) Cursor(after proto.Zxid) *Cursor {
	return &Cursor{fs: w.fs, dir: w.o.Dir, maxRecord: w.o.MaxRecord, tail: w.tail, last: after}
}

// Close closes the file that is open.
func (c *Cursor) Close() error {
	if c.r == nil {
		return nil
	}
	r := c.r
	c.r = nil
	return r.Close()
}

// Next returns the next entry, in bytes of its own, unless its zxid is above through. io.EOF says that no such entry is
// durable at the moment: there may be one later. An error that wraps ErrGone or ErrCut is final. A zxid that stands in
// the log twice is given once.
func (c *Cursor) Next(through proto.Zxid) (txn.Entry, error) {
	newest, err := c.tail.newest()
	if err != nil {
		return txn.Entry{}, c.explain(err)
	}
	if c.held.Bytes == nil && c.last >= newest {
		return txn.Entry{}, io.EOF
	}
	for c.held.Bytes == nil {
		e, err := c.record(c.last + 1)
		if err != nil {
			return txn.Entry{}, err
		}
		if e.Zxid <= c.last {
			continue
		}
		if !Follows(c.last, e.Zxid) {
			return txn.Entry{}, c.explain(ErrGone)
		}
		c.last = e.Zxid
		c.held = txn.Entry{Zxid: e.Zxid, Bytes: bytes.Clone(e.Bytes)}
	}
	e := c.held
	if e.Zxid > through {
		return txn.Entry{}, io.EOF
	}
	c.held = txn.Entry{}
	return e, nil
}

// Around returns the zxid of the newest durable entry at or below z, and of the first above it; 0 where there is none.
// It may be called from any goroutine.
func (w *Writer) Around(z proto.Zxid) (below, above proto.Zxid, err error) {
	c := w.Cursor(z)
	defer c.Close()
	for above == 0 && err == nil {
		var e txn.Entry
		if e, err = c.record(z); err == nil && e.Zxid > z {
			above = e.Zxid
		} else if err == nil {
			below = e.Zxid
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		if _, err = c.tail.newest(); err != nil {
			err = c.explain(err)
		}
	}
	return below, above, err
}

// explain says where the cursor was. A closed Writer explains everything: its files may have been cut meanwhile.
func (c *Cursor) explain(err error) error {
	if _, cut := c.tail.newest(); cut != nil {
		err = cut
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrGone
	}
	if errors.Is(err, ErrGone) || errors.Is(err, ErrCut) {
		return fmt.Errorf("txnlog: read %s behind %v: %w", c.dir, c.last, err)
	}
	return err
}

// record returns the next record of the open file, or of the files behind it. The first call opens the last file that
// begins at or before start; the records before start are given as well.
func (c *Cursor) record(start proto.Zxid) (txn.Entry, error) {
	for {
		if c.r == nil {
			if err := c.open(start); err != nil {
				return txn.Entry{}, err
			}
		}
		live, err := c.look()
		if err != nil {
			return txn.Entry{}, c.explain(err)
		}
		e, err := c.r.Next()
		if err == nil {
			return e, nil
		}
		if !errors.Is(err, io.EOF) {
			return txn.Entry{}, c.explain(err)
		}
		if live {
			return txn.Entry{}, io.EOF
		}
		if end, reason := c.r.End(); end == EndDamaged {
			return txn.Entry{}, c.explain(&CorruptError{c.r.path, c.r.Offset(), reason})
		}
		// What else may stand at the end of an earlier file is no matter: if an entry is missing, the next one tells.
		if err := c.open(start); err != nil {
			return txn.Entry{}, err
		}
	}
}

// look lets the reader see what is durable in its file.
func (c *Cursor) look() (live bool, err error) {
	end, live := c.tail.limit(c.r.path)
	if live {
		c.r.size = end
		return true, nil
	}
	if !c.done {
		if c.r.size, err = c.r.f.Size(); err != nil {
			return false, &DiskError{"stat", c.r.path, err}
		}
		c.done = true
	}
	return false, nil
}

// open opens the file behind the one that is open; or if there is none, the last that begins at or before start, and
// else the first. io.EOF says that there is no such file.
func (c *Cursor) open(start proto.Zxid) error {
	files, err := logs(c.fs, c.dir)
	if err != nil {
		return c.explain(err)
	}
	if c.r != nil {
		start = c.first
	}
	i := 0
	for i < len(files) && files[i].zxid <= start {
		i++
	}
	if c.r == nil && i > 0 {
		i--
	}
	if i == len(files) {
		return io.EOF
	}
	path := filepath.Join(c.dir, files[i].name)
	r, err := Open(c.fs, path, c.maxRecord)
	if err != nil {
		return c.explain(err)
	}
	// From here, and not from what was read ahead: that may not have been written yet.
	r.seek(max(r.Offset(), c.tail.place(path, c.last)))
	_ = c.Close()
	c.r, c.first, c.done = r, files[i].zxid, false
	return nil
}

// A logFile is a file that its name says to be a log.
type logFile struct {
	zxid proto.Zxid
	name string
}

// logs lists the log files in a directory in order.
func logs(files vfs.FS, dir string) ([]logFile, error) {
	names, err := files.ReadDir(dir)
	if err != nil {
		return nil, &DiskError{"read", dir, err}
	}
	var found []logFile
	for _, name := range names {
		if z, ok := ParseName(name); ok {
			found = append(found, logFile{z, name})
		}
	}
	slices.SortFunc(found, func(a, b logFile) int {
		return cmp.Or(cmp.Compare(uint64(a.zxid), uint64(b.zxid)), cmp.Compare(a.name, b.name))
	})
	return found, nil
}
