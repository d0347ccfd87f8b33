package datadir

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/vfs"
)

// syncEvery is how much of a snapshot is written between two syncs, so that the log's never wait for more than that.
const syncEvery = 4 << 20

// A SnapshotFile is a snapshot that is being written. Nobody sees it before Commit.
type SnapshotFile struct {
	d           *Dir
	f           vfs.File
	packed      io.WriteCloser // compresses into f, through write
	zxid        proto.Zxid
	path, final string
	age         int // of the Dir
	unsynced    int
	err         error
}

// CreateSnapshot begins the file of the snapshot at z. The caller writes the whole of it, and then calls Commit, or
// Abort.
func (d *Dir) CreateSnapshot(z proto.Zxid) (*SnapshotFile, error) {
	d.files.Lock()
	age := d.age
	d.files.Unlock()
	return d.createSnapshot(z, snapshot.FileName(z)+d.o.Compression.Suffix(), age, d.o.Compression)
}

func (d *Dir) createSnapshot(z proto.Zxid, name string, age int, how snapshot.Compression) (*SnapshotFile, error) {
	s := &SnapshotFile{
		d: d, zxid: z, age: age,
		path: filepath.Join(d.snapDir, tempPrefix+name), final: filepath.Join(d.snapDir, name),
	}
	var err error
	if s.f, err = d.fs.Create(s.path); err != nil {
		return nil, &DiskError{Op: "create", Path: s.path, Err: err}
	}
	s.packed = snapshot.NewCompressor(rawFile{s}, how)
	return s, nil
}

// Path returns the name that the file has after Commit.
func (s *SnapshotFile) Path() string { return s.final }

// Write implements io.Writer.
func (s *SnapshotFile) Write(p []byte) (int, error) { return s.packed.Write(p) }

// rawFile takes what is in the file in the end.
type rawFile struct{ s *SnapshotFile }

func (r rawFile) Write(p []byte) (int, error) {
	s := r.s
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.f.Write(p)
	if err != nil {
		s.err = &DiskError{Op: "write", Path: s.path, Err: err}
		return n, s.err
	}
	if s.unsynced += n; s.unsynced >= syncEvery {
		return n, s.sync()
	}
	return n, nil
}

func (s *SnapshotFile) sync() error {
	s.unsynced = 0
	if err := s.f.Sync(); err != nil && s.err == nil {
		s.err = &DiskError{Op: "sync", Path: s.path, Err: err}
	}
	return s.err
}

// Commit makes the snapshot durable and gives it its name, in place of another of the same zxid. After an error the
// file is gone, as after Abort; so it is if the directory was cut or restored meanwhile.
func (s *SnapshotFile) Commit() error {
	if err := errors.Join(s.packed.Close(), s.sync()); err != nil {
		s.Abort()
		return err
	}
	s.d.files.Lock()
	defer s.d.files.Unlock()
	if s.age != s.d.age {
		s.Abort()
		return nil
	}
	if err := s.publish(); err != nil {
		return err
	}
	s.d.whole[s.final] = s.zxid
	return nil
}

// publish gives the file its name.
func (s *SnapshotFile) publish() error {
	files, dir := s.d.fs, s.d.snapDir
	if err := s.f.Close(); err != nil {
		_ = files.Remove(s.path)
		return &DiskError{Op: "close", Path: s.path, Err: err}
	}
	if err := files.Rename(s.path, s.final); err != nil {
		_ = files.Remove(s.path)
		return &DiskError{Op: "rename", Path: s.path, Err: err}
	}
	return s.d.syncDir(dir)
}

// Abort drops the file.
func (s *SnapshotFile) Abort() {
	_ = s.f.Close()
	_ = s.d.fs.Remove(s.path) // or else the next start does
}

// writeTree writes a tree that nobody changes.
func (s *SnapshotFile) writeTree(t *tree.Tree, withDigest bool) error {
	walk := t.NewWalk()
	defer walk.Close()
	w := snapshot.NewWriter(s, walk.Sessions, walk.ACLs)
	w.NoLastZxid = s.d.o.NoLastZxid
	for more := true; more; {
		more = walk.Next(1000, w.Node)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if err := w.Finish(walk.Zxid, walk.Digest, withDigest); err != nil {
		return err
	}
	return s.sync()
}

// Purge removes what is not needed to load any of the newest snapshots that look whole, of which it leaves keep: older
// snapshots, and the logs before the one that holds the oldest of them. It returns what it has removed. Of a directory
// that is not loaded it first finishes what a crash has interrupted, for that decides which snapshots count.
func (d *Dir) Purge(keep int) (removed []string, err error) {
	if keep < 1 {
		return nil, fmt.Errorf("datadir: purge: keep %d snapshots", keep)
	}
	d.files.Lock()
	defer d.files.Unlock()
	if d.log == nil {
		if err := d.resume(); err != nil {
			return nil, err
		}
	}
	l, err := d.list()
	if err != nil {
		return nil, err
	}
	oldest, found, err := d.oldestKept(l, keep)
	if err != nil || !found {
		return nil, err
	}
	var snaps, logs []string
	for i := len(l.snaps) - 1; i >= 0; i-- {
		if above(oldest, l.snaps[i].zxid) {
			snaps = append(snaps, l.snaps[i].path)
		}
	}
	for i := range l.logs {
		// The log stays whose entries go on behind the snapshot: the last that begins at or before it.
		if i+1 < len(l.logs) && !above(l.logs[i+1].zxid, oldest) {
			logs = append(logs, l.logs[i].path)
		}
	}
	// Snapshots first: one that is left with its log gone would be of no use.
	if err := d.removeAll(d.snapDir, snaps); err != nil {
		return nil, err
	}
	return append(snaps, logs...), d.removeAll(d.logDir, logs)
}

// oldestKept returns the oldest of the newest snapshots that look whole, all of them durable; false if there is none.
func (d *Dir) oldestKept(l listing, keep int) (oldest proto.Zxid, ok bool, err error) {
	kept := 0
	for _, s := range l.snaps {
		ok, err := snapshot.Plausible(d.fs, s.path, s.how)
		if err != nil {
			return 0, false, &DiskError{Op: "read", Path: s.path, Err: err}
		}
		if !ok {
			continue
		}
		if err := d.settle(s.path); err != nil {
			return 0, false, err
		}
		oldest = s.zxid
		if kept++; kept == keep {
			break
		}
	}
	if kept == 0 {
		return 0, false, nil
	}
	return oldest, true, d.syncDir(d.snapDir)
}

// settle makes a snapshot durable that others shall be removed for: ZooKeeper does not sync what it writes.
func (d *Dir) settle(path string) error {
	f, err := d.fs.Open(path)
	if err != nil {
		return &DiskError{Op: "open", Path: path, Err: err}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return &DiskError{Op: "sync", Path: path, Err: err}
	}
	return nil
}

func (d *Dir) removeAll(dir string, paths []string) error {
	for _, path := range paths {
		if err := d.fs.Remove(path); err != nil {
			return &DiskError{Op: "remove", Path: path, Err: err}
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return d.syncDir(dir)
}

func (d *Dir) syncDir(dir string) error {
	if err := d.fs.SyncDir(dir); err != nil {
		return &DiskError{Op: "sync", Path: dir, Err: err}
	}
	return nil
}
