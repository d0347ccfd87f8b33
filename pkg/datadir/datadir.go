// Package datadir owns both directories of a server: that nobody else uses them, which tree their files make, which
// files are begun and which are no longer needed. The formats are those of packages txnlog and snapshot.
//
//	DataDir/version-2/snapshot.<zxid>     DataDir/version-2/zabd.lock
//	DataDir/version-2/acceptedEpoch       DataDir/version-2/currentEpoch: of a server in an ensemble
//	LogDir/version-2/log.<zxid>           LogDir/initialize: lets a server without any data begin (see Options)
//
// A start ends in exactly the tree that the files make, or in a refusal that names the file. What is not finished has a
// name that begins with tmp-, which no server reads; the next start removes it. Two names say that more than one file is
// being changed, and the next start finishes that:
//
//	DataDir/version-2/received.<zxid>     a whole snapshot from a leader, which takes the place of all else (Restore)
//	LogDir/version-2/cutting.<zxid>       what is above the zxid is being removed (Truncate)
package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

const (
	versionDir = "version-2"
	lockName   = "zabd.lock"
	initName   = "initialize"
	tempPrefix = "tmp-"
	// asidePrefix begins the name of a snapshot that is of no use any more, kept for whoever looks into it.
	asidePrefix = "unusable-"
)

// Errors that a start can end in, besides *DamageError and *DiskError.
var (
	ErrLocked    = vfs.ErrLocked
	ErrForeign   = errors.New("files that do not belong there")
	ErrDirectory = errors.New("the directory is not there, and must not be made")
	errNotLoaded = errors.New("datadir: nothing is loaded yet")
)

// A DamageError says that the files do not make a tree that can be vouched for.
type DamageError struct {
	Path string // a file, or the directory where something is missing
	Err  error
}

func (e *DamageError) Error() string { return fmt.Sprintf("datadir: load %s: %v", e.Path, e.Err) }

func (e *DamageError) Unwrap() error { return e.Err }

// A DiskError says that the disk has failed, and at which file.
type DiskError = txnlog.DiskError

// Options say where the directories are and how they are used.
type Options struct {
	DataDir string
	LogDir  string // DataDir if empty

	PreAllocSize  int64 // bytes of a log file that are prepared ahead (64 MiB)
	MaxBatch      int   // bytes that may be appended between two syncs (txnlog.DefaultBatch)
	MaxRecord     int   // longest payload in a log (txnlog.DefaultMaxRecord)
	SnapCount     int   // txns for which a snapshot is due, between half of it and the whole (100000)
	SnapSizeLimit int64 // likewise bytes of log (4 GiB); negative = never
	CommitLog     int   // how many of the newest entries Load returns (500)

	// SnapshotSizeFactor is how large the log files for a learner may be, as a share of the newest snapshot: 0 = any,
	// negative = none, above 1 = ZooKeeper's default, 0.33 (see PlanFor).
	SnapshotSizeFactor float64

	Compression snapshot.Compression // of snapshots, but for those that come from a leader
	NoLastZxid  bool                 // end the first snapshot as ZooKeeper 3.8 does

	// Slow is told of a sync of the log that takes longer than SlowSync by Clock; 0 = never.
	SlowSync time.Duration
	Clock    func() time.Duration
	Slow     func(logDir string, took time.Duration)

	// NoLog is for an observer that writes snapshots and no log: a start finds the newest snapshot, and the leader has
	// the rest.
	NoLog bool
	// Lazy is for a log that nobody waits for, an observer's: it is written with the least work.
	Lazy bool

	ForceSync      bool // sync before an entry counts as durable
	Digest         bool // compare digests on load, and write one into the first snapshot
	Sole           bool // a server alone: no epoch files, and Load removes ephemerals of sessions that are not there
	TrustEmpty     bool // logs without any snapshot start from an empty tree
	NeedInitialize bool // without data, begin only if the file initialize is there; else Last is -1
	NeedDirectory  bool // do not make the directories

	Types tree.Types // how the owners of nodes are read

	Rand   func(n int) int // spreads the snapshots of an ensemble's servers; nil = none of that
	Warn   func(string)    // told what is survived; from any goroutine
	Inline bool            // no goroutine: files are prepared in Sync
}

func (o *Options) fill() {
	if o.LogDir == "" {
		o.LogDir = o.DataDir
	}
	if o.SnapCount == 0 {
		o.SnapCount = 100000
	}
	o.SnapCount = max(o.SnapCount, 2)
	if o.SnapSizeLimit == 0 {
		o.SnapSizeLimit = 4 << 30
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = txnlog.DefaultBatch
	}
	if o.MaxRecord <= 0 {
		o.MaxRecord = txnlog.DefaultMaxRecord
	}
	if o.CommitLog <= 0 {
		o.CommitLog = 500
	}
	if o.Rand == nil {
		o.Rand = func(int) int { return 0 }
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
}

// A Dir is a server's directories, locked. Load comes first and once. The log writer calls everything but PlanFor,
// ReadFrom, CreateSnapshot and Purge, which may run beside it.
//
// Invariant: from origin to the newest entry the log is this server's history, without a hole.
type Dir struct {
	fs               vfs.FS
	o                Options
	snapDir, logDir  string
	locks            []io.Closer
	SlowSyncs        metrics.Counter // that took longer than Options.SlowSync
	txns, txnsDue    int             // since the last roll
	rolledAt, sizeOf int64           // bytes of log at the last roll, and for which a snapshot is due
	epochs           epochs

	mu     sync.Mutex     // held by the log writer to change what follows, and by others to read it
	log    *txnlog.Writer // nil until loaded
	origin proto.Zxid

	files sync.Mutex            // held by whoever removes files or names a snapshot; guards what follows
	whole map[string]proto.Zxid // snapshots known to be whole, and which zxid the log must reach to complete each
	age   int                   // grows when the files are made another history's
}

// Open takes the directories, and makes them if need be. Another server in them is ErrLocked.
func Open(files vfs.FS, o Options) (*Dir, error) {
	o.fill()
	d := &Dir{
		fs: files, o: o, snapDir: filepath.Join(o.DataDir, versionDir), logDir: filepath.Join(o.LogDir, versionDir),
		whole: map[string]proto.Zxid{},
	}
	dirs := []string{d.snapDir}
	if d.logDir != d.snapDir {
		dirs = append(dirs, d.logDir)
	}
	for _, dir := range dirs {
		if err := d.enter(dir); err != nil {
			_ = d.Close()
			return nil, err
		}
	}
	d.draw()
	return d, nil
}

// enter makes and locks one directory and removes what was not finished in it.
func (d *Dir) enter(dir string) error {
	st, err := d.fs.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.o.NeedDirectory:
		return fmt.Errorf("datadir: open %s: %w", dir, ErrDirectory)
	case errors.Is(err, fs.ErrNotExist):
		err = d.fs.MkdirAll(dir)
	case err == nil && !st.Dir:
		return fmt.Errorf("datadir: open %s: %w: it is a file", dir, ErrForeign)
	}
	if err != nil {
		return &DiskError{Op: "open", Path: dir, Err: err}
	}
	lock, err := Lock(d.fs, dir)
	if err != nil {
		return err
	}
	d.locks = append(d.locks, lock)
	names, err := d.fs.ReadDir(dir)
	if err != nil {
		return &DiskError{Op: "read", Path: dir, Err: err}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) {
			continue
		}
		path := filepath.Join(dir, name)
		if err := d.fs.Remove(path); err != nil {
			return &DiskError{Op: "remove", Path: path, Err: err}
		}
	}
	return nil
}

// Lock takes one directory of files as a server does that opens it, and leaves it as it is.
func Lock(files vfs.FS, dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	lock, err := files.Lock(path)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("datadir: open %s: %w", dir, err)
	case err != nil:
		return nil, &DiskError{Op: "lock", Path: path, Err: err}
	}
	return lock, nil
}

// draw decides when the next snapshot is due.
func (d *Dir) draw() {
	d.txns = 0
	d.txnsDue = d.o.SnapCount/2 + d.o.Rand(d.o.SnapCount/2)
	half := d.o.SnapSizeLimit / 2
	d.sizeOf = half + int64(d.o.Rand(int(max(half, 1))))
}

// openLog makes the log ready for the entries behind last. History before origin is not to be relied on.
func (d *Dir) openLog(last, origin proto.Zxid) {
	w := txnlog.NewWriter(d.fs, txnlog.Options{
		Dir: d.logDir, FileSize: d.o.PreAllocSize, Batch: d.o.MaxBatch, NoSync: !d.o.ForceSync, NoZeros: d.o.Lazy,
		Warn: d.o.Warn, Inline: d.o.Inline, Last: last, MaxRecord: d.o.MaxRecord,
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log, d.origin = w, origin
}

// Append takes entries for the next Sync, in order of their zxids and without a hole, which no start would accept.
func (d *Dir) Append(es []txn.Entry) error {
	if d.log == nil {
		return errNotLoaded
	}
	if d.o.NoLog {
		d.txns += len(es)
		return nil
	}
	for i := range es {
		if last := d.log.Last(); !txnlog.Follows(last, es[i].Zxid) {
			return fmt.Errorf("datadir: append %v behind %v: entries are missing", es[i].Zxid, last)
		}
		if err := d.log.Append(es[i]); err != nil {
			return err
		}
	}
	d.txns += len(es)
	return nil
}

// Sync makes durable what was appended. An error is final: every later call returns it.
func (d *Dir) Sync() error {
	if d.log == nil {
		return errNotLoaded
	}
	if d.o.SlowSync <= 0 {
		return d.log.Sync()
	}
	begun := d.o.Clock()
	err := d.log.Sync()
	if took := d.o.Clock() - begun; took > d.o.SlowSync {
		d.SlowSyncs.Add(1)
		d.o.Slow(d.logDir, took)
	}
	return err
}

// SnapshotDue tells, after a Sync, whether so much was logged that a snapshot should be written; the next entry then
// begins a new log file. It tells so once, whether or not the snapshot is written.
func (d *Dir) SnapshotDue() bool {
	if d.log == nil {
		return false
	}
	size := d.log.Size()
	bySize := d.o.SnapSizeLimit > 0 && size-d.rolledAt > d.sizeOf
	if d.txns <= d.txnsDue && !bySize {
		return false
	}
	d.log.Roll()
	d.rolledAt = size
	d.draw()
	return true
}

// Close makes durable what was appended, closes the log and lets others in.
func (d *Dir) Close() error {
	var err error
	if d.log != nil {
		err = d.log.Close()
	}
	for _, l := range d.locks {
		err = errors.Join(err, l.Close())
	}
	d.locks = nil
	return err
}

// A found file is one that a name has told of.
type found struct {
	zxid proto.Zxid
	path string
	how  snapshot.Compression
}
