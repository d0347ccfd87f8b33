package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// ErrCrashed is what every operation on a memory disk returns from its crash on.
var ErrCrashed = errors.New("the machine has crashed")

// SectorSize is the unit in which a disk writes all or nothing.
const SectorSize = 512

// Mem is a disk in memory that forgets like a real one. Every operation that changes it has a number, counted from 1.
// It may be used from any number of goroutines.
type Mem struct {
	mu      sync.Mutex // guards everything below, and all inodes
	rng     *rand.Rand
	root    *inode
	ops     int
	crashAt int
	crashed bool
	fault   func(Op) error
	locks   map[string]bool
}

// An Op is one operation that changes the disk.
type Op struct {
	N    int
	Kind string // create write sync truncate rename remove mkdir syncdir
	Path string
}

// An inode is a file or a directory, as it is now and as it is on the disk.
type inode struct {
	dir     bool
	path    string // of a file: the last one that it was given
	data    []byte // now
	durable []byte
	dirty   []bool // by sector of data: differs from what is durable, perhaps
	touched []int  // the sectors that are dirty
	names   map[string]*inode
	kept    map[string]*inode
	changes []change
}

// A change is one step in a directory that is not durable yet: add and drop happen together or not at all.
type change struct {
	add, drop string
	node      *inode
}

// NewMem returns an empty disk. The seed decides what is left after a crash.
func NewMem(seed uint64) *Mem {
	return &Mem{
		rng:   rand.New(rand.NewPCG(seed, 0x7a616264)),
		root:  newDir(),
		locks: map[string]bool{},
	}
}

func newDir() *inode {
	return &inode{dir: true, names: map[string]*inode{}, kept: map[string]*inode{}}
}

// Ops returns the number of operations so far.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// CrashAt lets the disk crash in the middle of operation n; 0 = never.
func (m *Mem) CrashAt(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashAt = n
}

// SetFault makes operations fail: f returns the error or nil. A write that fails leaves some of its bytes, a sync that
// fails loses what was to be synced, without another sign.
func (m *Mem) SetFault(f func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// begin counts an operation. With crash, the operation takes place and is not durable.
func (m *Mem) begin(kind, path string) (crash bool, err error) {
	if m.crashed {
		return false, &fs.PathError{Op: kind, Path: path, Err: ErrCrashed}
	}
	m.ops++
	if m.ops == m.crashAt {
		m.crashed = true
		return true, &fs.PathError{Op: kind, Path: path, Err: ErrCrashed}
	}
	if m.fault != nil {
		if err := m.fault(Op{m.ops, kind, path}); err != nil {
			return false, &fs.PathError{Op: kind, Path: path, Err: err}
		}
	}
	return false, nil
}

func (m *Mem) read(kind, path string) error {
	if m.crashed {
		return &fs.PathError{Op: kind, Path: path, Err: ErrCrashed}
	}
	return nil
}

func split(path string) []string {
	path = filepath.Clean(path)
	var names []string
	for path != "/" && path != "." {
		names = append(names, filepath.Base(path))
		path = filepath.Dir(path)
	}
	slices.Reverse(names)
	return names
}

func (m *Mem) find(path string) *inode {
	n := m.root
	for _, name := range split(path) {
		if n == nil || !n.dir {
			return nil
		}
		n = n.names[name]
	}
	return n
}

func missing(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: syscall.ENOENT} }

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	crash, err := m.begin("create", name)
	if err != nil && !crash {
		return nil, err
	}
	dir := m.find(filepath.Dir(name))
	if dir == nil || !dir.dir {
		return nil, missing("create", name)
	}
	base := filepath.Base(name)
	n := dir.names[base]
	switch {
	case n == nil:
		n = &inode{path: name}
		dir.names[base] = n
		dir.changes = append(dir.changes, change{add: base, node: n})
	case n.dir:
		return nil, &fs.PathError{Op: "create", Path: name, Err: syscall.EISDIR}
	default:
		n.resize(0)
	}
	if crash {
		return nil, err
	}
	return &memFile{m: m, n: n, writable: true}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// Edit implements FS.
func (m *Mem) Edit(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.read("open", name); err != nil {
		return nil, err
	}
	n := m.find(name)
	if n == nil {
		return nil, missing("open", name)
	}
	if n.dir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	n.path = name
	return &memFile{m: m, n: n, writable: writable}, nil
}

// Rename implements FS, within one directory.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	crash, err := m.begin("rename", to)
	if err != nil && !crash {
		return err
	}
	dir := m.find(filepath.Dir(from))
	if dir == nil || dir.names[filepath.Base(from)] == nil {
		return missing("rename", from)
	}
	if filepath.Dir(from) != filepath.Dir(to) {
		return &fs.PathError{Op: "rename", Path: to, Err: syscall.EXDEV}
	}
	old, base := filepath.Base(from), filepath.Base(to)
	n := dir.names[old]
	delete(dir.names, old)
	dir.names[base] = n
	n.path = to
	dir.changes = append(dir.changes, change{add: base, drop: old, node: n})
	return err
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	crash, err := m.begin("remove", name)
	if err != nil && !crash {
		return err
	}
	dir, base := m.find(filepath.Dir(name)), filepath.Base(name)
	if dir == nil || dir.names[base] == nil {
		return missing("remove", name)
	}
	if n := dir.names[base]; n.dir && len(n.names) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	delete(dir.names, base)
	dir.changes = append(dir.changes, change{drop: base})
	return err
}

// ReadDir implements FS.
func (m *Mem) ReadDir(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.read("readdir", dir); err != nil {
		return nil, err
	}
	n := m.find(dir)
	if n == nil || !n.dir {
		return nil, missing("readdir", dir)
	}
	names := make([]string, 0, len(n.names))
	for name := range n.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.read("stat", name); err != nil {
		return Info{}, err
	}
	n := m.find(name)
	if n == nil {
		return Info{}, missing("stat", name)
	}
	return Info{Size: int64(len(n.data)), Dir: n.dir}, nil
}

// MkdirAll implements FS. Each directory made is one operation, and durable as a whole.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, name := range split(dir) {
		next := n.names[name]
		if next == nil {
			crash, err := m.begin("mkdir", dir)
			if err != nil && !crash {
				return err
			}
			next = newDir()
			n.names[name] = next
			if crash {
				n.changes = append(n.changes, change{add: name, node: next})
				return err
			}
			n.kept[name] = next
		}
		if !next.dir {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		n = next
	}
	return m.read("mkdir", dir)
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.begin("syncdir", dir); err != nil {
		return err
	}
	n := m.find(dir)
	if n == nil || !n.dir {
		return missing("syncdir", dir)
	}
	clear(n.kept)
	for name, c := range n.names {
		n.kept[name] = c
	}
	n.changes = n.changes[:0]
	return nil
}

// Lock implements FS. The locks of a machine that has crashed are gone.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.read("lock", name); err != nil {
		return nil, err
	}
	if d := m.find(filepath.Dir(name)); d == nil || !d.dir {
		return nil, missing("lock", name)
	}
	if m.locks[name] {
		return nil, fmt.Errorf("vfs: lock %s: %w (this process)", name, ErrLocked)
	}
	m.locks[name] = true
	return &memLock{m, name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}
