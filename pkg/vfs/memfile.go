package vfs

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	m        *Mem
	n        *inode
	at       int64
	writable bool
	closed   bool
}

func (f *memFile) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.n.path, Err: err}
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) usable(op string) error {
	if f.closed {
		return f.fail(op, fs.ErrClosed)
	}
	return f.m.read(op, f.n.path)
}

func (f *memFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("write"); err != nil {
		return 0, err
	}
	if !f.writable {
		return 0, f.fail("write", syscall.EBADF)
	}
	crash, err := f.m.begin("write", f.n.path)
	if err != nil && !crash {
		n := f.m.rng.IntN(len(p) + 1)
		f.n.write(p[:n], off)
		return n, err
	}
	f.n.write(p, off)
	if crash {
		return 0, err
	}
	return len(p), nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("sync"); err != nil {
		return err
	}
	crash, err := f.m.begin("sync", f.n.path)
	if err != nil {
		if !crash {
			f.n.clean() // as the kernel does: the pages count as written
		}
		return err
	}
	f.n.sync()
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("truncate"); err != nil {
		return err
	}
	crash, err := f.m.begin("truncate", f.n.path)
	if err != nil && !crash {
		return err
	}
	f.n.resize(size)
	return err
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("stat"); err != nil {
		return 0, err
	}
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return f.fail("close", fs.ErrClosed)
	}
	f.closed = true
	return nil
}

func sectors(size int) int { return (size + SectorSize - 1) / SectorSize }

func (n *inode) touch(from, to int64) {
	for s := int(from / SectorSize); s < sectors(int(to)); s++ {
		for s >= len(n.dirty) {
			n.dirty = append(n.dirty, false)
		}
		if !n.dirty[s] {
			n.dirty[s] = true
			n.touched = append(n.touched, s)
		}
	}
}

func (n *inode) write(p []byte, off int64) {
	if end := off + int64(len(p)); end > int64(len(n.data)) {
		n.resize(end)
	}
	copy(n.data[off:], p)
	n.touch(off, off+int64(len(p)))
}

// resize fills with zeros; those count as written, for a disk may well leave them out.
func (n *inode) resize(size int64) {
	old := int64(len(n.data))
	if size < old {
		clear(n.data[size:])
		n.data = n.data[:size]
		n.touch(size, old)
		return
	}
	n.data = slices.Grow(n.data, int(size-old))[:size]
	n.touch(old, size)
}

func (n *inode) clean() {
	for _, s := range n.touched {
		n.dirty[s] = false
	}
	n.touched = n.touched[:0]
}

func (n *inode) sync() {
	size := len(n.data)
	if size > len(n.durable) {
		n.durable = slices.Grow(n.durable, size-len(n.durable))
	}
	clear(n.durable[min(size, len(n.durable)):])
	n.durable = n.durable[:size]
	for _, s := range n.touched {
		if from := s * SectorSize; from < size {
			copy(n.durable[from:], n.data[from:min(from+SectorSize, size)])
		}
	}
	n.clean()
}

// Crash returns the disk as it is found after the machine has stopped in this moment: what was synced, with any part
// of what was not. This one is dead from here on.
func (m *Mem) Crash() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	left := NewMem(m.rng.Uint64())
	seen := map[*inode]*inode{}
	left.root = survivor(m.root, m.rng, seen)
	return left
}

func survivor(n *inode, rng *rand.Rand, seen map[*inode]*inode) *inode {
	if s := seen[n]; s != nil {
		return s
	}
	s := &inode{dir: n.dir, path: n.path}
	seen[n] = s
	if !n.dir {
		s.data = n.crash(rng)
		s.durable = slices.Clone(s.data)
		return s
	}
	s.names, s.kept = map[string]*inode{}, map[string]*inode{}
	found := n.crashNames(rng)
	order := make([]string, 0, len(found))
	for name := range found {
		order = append(order, name)
	}
	slices.Sort(order) // the order of a map must not reach the random numbers
	for _, name := range order {
		s.names[name] = survivor(found[name], rng, seen)
		s.kept[name] = s.names[name]
	}
	return s
}

// crashNames applies any of the changes that are not durable to those that are.
func (n *inode) crashNames(rng *rand.Rand) map[string]*inode {
	names := make(map[string]*inode, len(n.kept))
	for name, c := range n.kept {
		names[name] = c
	}
	keep := luck(rng)
	for _, c := range n.changes {
		if !keep() {
			continue
		}
		if c.drop != "" {
			delete(names, c.drop)
		}
		if c.add != "" {
			names[c.add] = c.node
		}
	}
	return names
}

// crash returns what is left of a file: of each sector not synced the old or the new bytes, and any size between the
// old one and the new.
func (n *inode) crash(rng *rand.Rand) []byte {
	keep := luck(rng)
	size := len(n.durable)
	if len(n.data) != size && keep() {
		lo, hi := min(size, len(n.data)), max(size, len(n.data))
		size = len(n.data)
		if rng.IntN(2) == 0 {
			size = lo + rng.IntN(hi-lo+1)
		}
	}
	left := make([]byte, size)
	copy(left, n.durable)
	slices.Sort(n.touched)
	for _, s := range n.touched {
		from := s * SectorSize
		if from >= size || !keep() {
			continue
		}
		sector := left[from:min(from+SectorSize, size)]
		clear(sector)
		if from < len(n.data) {
			copy(sector, n.data[from:])
		}
	}
	return left
}

// luck returns a source of decisions: all, none, or each with one chance between.
func luck(rng *rand.Rand) func() bool {
	switch rng.IntN(4) {
	case 0:
		return func() bool { return true }
	case 1:
		return func() bool { return false }
	}
	chance := rng.Float64()
	return func() bool { return rng.Float64() < chance }
}
