package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// maxCandidates is how many snapshots a start looks at.
const maxCandidates = 100

// Recovered is what the directories hold.
type Recovered struct {
	Tree *tree.Tree
	// Last is the zxid of the newest entry or of the snapshot: 0 for a new tree, -1 if there is no data and none may be
	// made (such a server's vote must not count).
	Last proto.Zxid
	// Recent are the newest entries behind the snapshot, contiguous up to Last, and fit to be sent to a learner.
	Recent           []txn.Entry
	Warnings         []string
	Snapshot         string // that it began with; empty if none
	Replayed         int    // entries applied
	DigestMismatches int    // txns behind which the tree is not what their digest says
	Orphans          int    // ephemerals removed because nobody owns them

	SnapshotTook, LogTook time.Duration // to read the snapshot, and to replay the log; 0 if there was none

	AcceptedEpoch, CurrentEpoch uint32 // 0 for a server alone
}

func (r *Recovered) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Load reads the newest snapshot that is whole, replays the log behind it, repairs what a crash has left, and makes the
// log ready to be appended to. Where there is nothing it begins a new tree and writes its snapshot.
func (d *Dir) Load() (*Recovered, error) {
	if d.log != nil {
		return nil, errors.New("datadir: loaded twice")
	}
	if err := d.resume(); err != nil {
		return nil, err
	}
	l, err := d.list()
	if err != nil {
		return nil, err
	}
	initialize, err := d.findInitialize()
	if err != nil {
		return nil, err
	}
	rec := &Recovered{}
	base, err := d.newestSnapshot(l, base{}, rec)
	if err != nil {
		return nil, err
	}
	switch {
	case base.found || len(l.logs) > 0:
		base, err = d.loadExisting(l, base, rec)
	case d.o.NeedInitialize && initialize == nil:
		rec.Tree, rec.Last = tree.New(), -1
	default:
		rec.Tree = d.configure(tree.New())
		err = d.writeFirst(rec.Tree)
	}
	if err != nil {
		return nil, err
	}
	if !d.o.Sole {
		if err := d.loadEpochs(rec); err != nil {
			return nil, err
		}
	}
	if err := d.dropInitialize(initialize); err != nil {
		return nil, err
	}
	d.openLog(rec.Last, base.zxid)
	return rec, nil
}

// Reload makes the tree again from the files as they are, of a server that has loaded and cut them. The log goes on.
func (d *Dir) Reload() (*Recovered, error) {
	if d.log == nil {
		return nil, errNotLoaded
	}
	if err := d.log.Sync(); err != nil {
		return nil, err
	}
	d.files.Lock()
	defer d.files.Unlock()
	l, err := d.list()
	if err != nil {
		return nil, err
	}
	rec := &Recovered{}
	b, err := d.newestSnapshot(l, base{}, rec)
	if err == nil {
		_, _, err = d.rebuild(l, b, rec)
	}
	if err != nil {
		return nil, err
	}
	if !d.o.Sole {
		rec.AcceptedEpoch, rec.CurrentEpoch = uint32(d.epochs.accepted), uint32(d.epochs.current)
	}
	return rec, nil
}

func (d *Dir) configure(t *tree.Tree) *tree.Tree {
	t.Types = d.o.Types
	return t
}

// base is the snapshot that a load begins with.
type base struct {
	found   bool
	zxid    proto.Zxid
	trailer snapshot.Trailer
	broken  []found  // newer ones that cannot be read, though they look whole
	partial []found  // newer ones that do not look whole
	ahead   []string // newer ones that the log does not complete
	looked  int      // how many files were looked at
}

// newestSnapshot looks for the newest snapshot that can be read, from where an earlier search has ended.
func (d *Dir) newestSnapshot(l listing, b base, rec *Recovered) (base, error) {
	var lastErr error
	b.found = false
	for b.looked < min(len(l.snaps), maxCandidates) {
		s := l.snaps[b.looked]
		b.looked++
		ok, err := snapshot.Plausible(d.fs, s.path, s.how)
		if err != nil {
			return b, &DiskError{Op: "read", Path: s.path, Err: err}
		}
		if !ok {
			rec.warn("%s was not finished and is ignored", s.path)
			b.partial = append(b.partial, s)
			continue
		}
		t := d.configure(tree.Empty())
		begun := time.Now()
		tr, err := snapshot.ReadFile(d.fs, s.path, s.how, t, s.zxid)
		rec.SnapshotTook = time.Since(begun)
		var bad *snapshot.CorruptError
		switch {
		case err == nil:
			b.found, b.zxid, b.trailer = true, s.zxid, tr
			rec.Tree, rec.Snapshot = t, s.path
			d.whole[s.path] = b.needs()
			return b, nil
		case !errors.As(err, &bad):
			return b, &DiskError{Op: "read", Path: s.path, Err: err}
		}
		rec.warn("%v; an older snapshot is tried", err)
		b.broken = append(b.broken, s)
		lastErr = err
	}
	if lastErr != nil {
		return b, &DamageError{b.broken[len(b.broken)-1].path, fmt.Errorf("no snapshot is whole: %w", lastErr)}
	}
	// Unfinished snapshots are no data, unless they are all that is left of it.
	if len(l.logs) == 0 && len(l.snaps) > 0 && l.snaps[0].zxid > 0 {
		return b, d.unusable(l.snaps[0])
	}
	return b, nil
}

// unusable says what is wrong with a snapshot that does not look whole, where there is no other.
func (d *Dir) unusable(s found) error {
	_, err := snapshot.ReadFile(d.fs, s.path, s.how, tree.Empty(), s.zxid)
	return damage(s.path, fmt.Errorf("no snapshot is whole: %w", err))
}

// loadExisting makes the tree of the files that are there, and repairs them. It returns the snapshot it began with.
func (d *Dir) loadExisting(l listing, b base, rec *Recovered) (base, error) {
	p, b, err := d.rebuild(l, b, rec)
	if err == nil {
		err = p.repair()
	}
	if err == nil && d.o.Sole {
		rec.Orphans = rec.Tree.RemoveOrphans()
	}
	return b, err
}

// rebuild makes the tree of the newest snapshot, or the newest that the log completes, and the log behind it.
func (d *Dir) rebuild(l listing, b base, rec *Recovered) (*replay, base, error) {
	p, err := d.tryBase(l, b, rec)
	for err == nil && above(b.needs(), p.last) {
		rec.warn("%s has changes up to %v, and the log ends at %v; an older snapshot is tried", rec.Snapshot, b.needs(), p.last)
		b.ahead = append(b.ahead, rec.Snapshot)
		needs := b.needs()
		if b, err = d.newestSnapshot(l, b, rec); err == nil && !b.found {
			err = &DamageError{rec.Snapshot, fmt.Errorf("it needs a log up to %v, which ends at %v", needs, p.last)}
		}
		if err == nil {
			p, err = d.tryBase(l, b, rec)
		}
	}
	if err != nil {
		return nil, b, err
	}
	for _, s := range b.broken {
		if above(s.zxid, p.last) {
			return nil, b, &DamageError{s.path, fmt.Errorf("it is not whole, and the log ends at %v before it", p.last)}
		}
		if s.zxid.Counter() == 0 {
			// It may have come from a leader, to replace what the log has before it.
			return nil, b, &DamageError{s.path, errors.New("it is not whole, and the log cannot tell what it held")}
		}
	}
	rec.Last = p.last
	rec.Recent = p.recent.take()
	return p, b, nil
}

// needs returns how far the log must reach to make a tree of the snapshot. ZooKeeper writes one while the tree goes on
// changing, and may do so before its own log has the changes.
func (b *base) needs() proto.Zxid {
	if !b.found {
		return 0
	}
	return max(b.zxid, b.trailer.DigestZxid, b.trailer.Last)
}

func (d *Dir) tryBase(l listing, b base, rec *Recovered) (*replay, error) {
	if !b.found {
		if !d.o.TrustEmpty && len(b.partial) > 0 {
			return nil, d.unusable(b.partial[0])
		}
		if !d.o.TrustEmpty {
			return nil, &DamageError{d.snapDir, errors.New("there is a log but no snapshot (snapshot.trust.empty would allow it)")}
		}
		rec.Tree = d.configure(tree.New())
	}
	rec.Replayed, rec.DigestMismatches = 0, 0
	p := &replay{d: d, rec: rec, base: b, last: b.zxid}
	p.startDigests()
	begun := time.Now()
	err := p.run(l.logs)
	rec.LogTook = time.Since(begun)
	return p, err
}

// writeFirst writes the snapshot of a new tree.
func (d *Dir) writeFirst(t *tree.Tree) error {
	f, err := d.CreateSnapshot(0)
	if err != nil {
		return err
	}
	if err := f.writeTree(t, d.o.Digest); err != nil {
		f.Abort()
		return err
	}
	return f.Commit()
}

// findInitialize looks for the file that lets a server begin. ZooKeeper expects it in the log's directory, and its own
// init script puts it in that of the data.
func (d *Dir) findInitialize() ([]string, error) {
	var there []string
	dirs := []string{d.o.LogDir}
	if d.o.DataDir != d.o.LogDir {
		dirs = append(dirs, d.o.DataDir)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, initName)
		switch _, err := d.fs.Stat(path); {
		case err == nil:
			there = append(there, path)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, &DiskError{Op: "stat", Path: path, Err: err}
		}
	}
	return there, nil
}

// dropInitialize removes the file once what it allowed is durable: it counts for one start.
func (d *Dir) dropInitialize(paths []string) error {
	for _, path := range paths {
		err := d.fs.Remove(path)
		if err == nil {
			err = d.fs.SyncDir(filepath.Dir(path))
		}
		if err != nil {
			return &DiskError{Op: "remove", Path: path, Err: err}
		}
	}
	return nil
}
