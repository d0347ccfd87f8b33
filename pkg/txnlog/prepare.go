package txnlog

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/zabd/zabd/pkg/vfs"
)

const (
	// chunk is how many zeros are written and synced at a time: a sync of records may have to wait for one of them.
	chunk = 1 << 20
	// ahead is how many zeros there are before the end of the records, in a file that was not prepared as a whole.
	ahead = 4 << 20
)

var zeros [chunk]byte // never written to

// A preparer writes zeros ahead of the records, makes the next file, and cuts the rest off files that are done. What
// passes between its goroutine and the Writer is under mu.
//
// The next file is made at once with its first zeros, and gets the rest at twice the pace at which the current file
// fills up: the disk is busy with zeros for a small part of the time, and an idle server takes little room.
type preparer struct {
	fs   vfs.FS
	o    Options
	wake chan struct{}
	done chan struct{} // closed when the goroutine has ended

	// Of the goroutine: reset when it is woken, so that what has failed is tried again, and not at once.
	tried, stalled bool
	told           bool // the failure was announced

	mu        sync.Mutex // guards what follows
	ready     *sync.Cond // making has ended
	cur, next *file
	making    bool // somebody is about to set next
	taken     bool // the file that was next has not got its own name yet
	retired   []*file
	closed    bool
}

func startPreparer(fs vfs.FS, o Options) *preparer {
	p := &preparer{fs: fs, o: o, wake: make(chan struct{}, 1), done: make(chan struct{})}
	p.ready = sync.NewCond(&p.mu)
	if o.Inline {
		close(p.done)
		return p
	}
	p.poke()
	go p.run()
	return p
}

func (p *preparer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *preparer) run() {
	defer close(p.done)
	for range p.wake {
		p.tried, p.stalled = false, false
		for p.step() {
		}
		if p.isClosed() {
			return
		}
	}
}

func (p *preparer) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// progress tells that records were written.
func (p *preparer) progress(c *file) {
	switch pos := c.pos.Load(); {
	case p.o.Inline:
		p.tried, p.stalled = false, false
		for p.step() {
		}
	case pos-c.poked >= chunk/2:
		c.poked = pos
		p.poke()
	}
}

// claim makes sure that no zeros are written below end any more.
func (p *preparer) claim(c *file, end int64) {
	if end <= c.safe {
		return // cheaper than the lock, and nearly always so
	}
	c.mu.Lock()
	c.zeroed = max(c.zeroed, end)
	c.safe = c.zeroed
	c.mu.Unlock()
}

// take hands over the prepared file. If there is none it waits for one or makes it, if it must; else it returns nil.
func (p *preparer) take(must bool) (*file, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next == nil && must {
		if p.making {
			p.ready.Wait()
			continue
		}
		p.making = true
		p.mu.Unlock()
		f, err := p.create()
		p.mu.Lock()
		p.making, p.next = false, f
		if err != nil {
			return nil, err
		}
	}
	f := p.next
	p.next = nil
	if f != nil {
		p.cur, p.taken = f, true
	}
	return f, nil
}

// named says that the file taken has its name, so that a new next file can be made, and hands over the one that gets no
// more records, if any.
func (p *preparer) named(old *file) {
	p.mu.Lock()
	p.taken = false
	if old != nil {
		p.retired = append(p.retired, old)
	}
	p.mu.Unlock()
	p.poke()
}

// step does the most urgent thing there is to do, and reports whether there may be another.
func (p *preparer) step() bool {
	p.mu.Lock()
	cur, next := p.cur, p.next
	create := next == nil && !p.making && !p.taken && !p.closed && !p.tried
	p.making = p.making || create
	var old *file
	if !create && len(p.retired) > 0 {
		old = p.retired[0]
		p.retired = p.retired[1:]
	}
	closed := p.closed
	p.mu.Unlock()
	switch {
	case create:
		p.tried = true
		p.makeNext()
	case old != nil:
		p.trim(old)
	case closed || p.stalled || p.o.NoZeros:
		return false
	case cur != nil && cur.wants(min(p.o.FileSize, cur.pos.Load()+ahead)):
		p.grow(cur)
	case cur != nil && next != nil && next.wants(min(p.o.FileSize, chunk+2*cur.pos.Load())):
		p.grow(next)
	default:
		return false
	}
	return true
}

func (p *preparer) makeNext() {
	f, err := p.create()
	p.mu.Lock()
	p.making, p.next = false, f
	p.ready.Broadcast()
	p.mu.Unlock()
	p.report(err)
}

// report announces the first of a row of failures.
func (p *preparer) report(err error) {
	if err != nil && !p.told {
		p.o.Warn(fmt.Sprintf("the next log file cannot be prepared: %v", err))
	}
	p.told = err != nil
	p.stalled = p.stalled || err != nil
}

// create makes a file with a header and its first zeros, durable but for its name.
func (p *preparer) create() (*file, error) {
	path := filepath.Join(p.o.Dir, spareName)
	f, err := p.fs.Create(path)
	if err != nil {
		return nil, &DiskError{"create", path, err}
	}
	// The zeros go through a file of their own: each open file is told of a failed write-back once, and the one that
	// records go through must not miss it.
	z, err := p.fs.Edit(path)
	if err != nil {
		return nil, &DiskError{"open", path, errors.Join(err, f.Close())}
	}
	n := &file{f: f, z: z, path: path}
	size := min(chunk, p.o.FileSize)
	if p.o.NoZeros {
		size = headerSize
	}
	first := AppendHeader(make([]byte, 0, size))
	n.pos.Store(int64(len(first)))
	n.zeroed = int64(cap(first))
	n.safe = n.zeroed
	if _, err = z.WriteAt(first[:cap(first)], 0); err == nil {
		err = z.Sync()
	}
	if err != nil {
		return nil, &DiskError{"prepare", path, errors.Join(err, n.close(), p.fs.Remove(path))}
	}
	return n, nil
}

// grow writes the next zeros of a file.
func (p *preparer) grow(c *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(chunk, p.o.FileSize-c.zeroed)
	if n <= 0 {
		return
	}
	_, err := c.z.WriteAt(zeros[:n], c.zeroed)
	if err == nil {
		c.zeroed += n
		if err = c.z.Sync(); err != nil {
			c.broken.Store(&err)
		}
	}
	p.report(err)
}

// trim cuts off the zeros that no record will need, and closes the file.
func (p *preparer) trim(old *file) {
	err := old.f.Truncate(old.pos.Load())
	if err = errors.Join(err, old.close()); err != nil {
		p.o.Warn(fmt.Sprintf("the rest of a log file cannot be given back: %v", err))
	}
}

func (p *preparer) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.poke()
	<-p.done
	for p.step() {
	}
	if p.next != nil {
		_ = p.next.close()
		_ = p.fs.Remove(p.next.path) // or else the next start does
		p.next = nil
	}
}

func (c *file) wants(zeroed int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.zeroed < zeroed
}

func (c *file) close() error { return errors.Join(c.f.Close(), c.z.Close()) }
