package datadir

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
)

// receivedPrefix begins the name of a whole snapshot from a leader that all else has to make room for.
const receivedPrefix = "received."

// Restore makes the directory that of a tree which came from a leader, or of a snapshot that an operator puts back: a snapshot at the tree's last zxid, and nothing
// else. All that was there goes, also what is older: it may be of another history, and entries of the two together
// could look like one. The log goes on behind the tree's zxid.
//
// The snapshot waits under another name until the old files are gone, so that nothing is ever replayed on top of it,
// and a start finds either all the old files or the new one. It has no digest: a leader may have sent changes of txns
// that are still to come.
func (d *Dir) Restore(t *tree.Tree) error {
	if d.log == nil {
		return errNotLoaded
	}
	z := t.LastZxid()
	d.files.Lock()
	defer d.files.Unlock()
	f, err := d.createSnapshot(z, receivedPrefix+strconv.FormatUint(uint64(z), 16), d.age, snapshot.Plain)
	if err != nil {
		return err
	}
	if err := f.writeTree(t, false); err != nil {
		f.Abort()
		return err
	}
	if err := d.log.Close(); err != nil {
		f.Abort()
		return err
	}
	if err := f.publish(); err != nil {
		return err
	}
	d.age++
	if err := d.adopt(z); err != nil {
		return err
	}
	d.rolledAt = 0
	d.draw()
	d.openLog(z, z)
	return nil
}

// adopt removes all but the received snapshot and gives that its name. It may be repeated from anywhere.
func (d *Dir) adopt(z proto.Zxid) error {
	l, err := d.list()
	if err != nil {
		return err
	}
	var snaps, logs []string
	for _, s := range append(l.snaps, l.unfinished...) {
		snaps = append(snaps, s.path)
	}
	for _, f := range l.logs {
		logs = append(logs, f.path)
	}
	if err := d.removeAll(d.snapDir, snaps); err != nil {
		return err
	}
	if err := d.removeAll(d.logDir, logs); err != nil {
		return err
	}
	from := filepath.Join(d.snapDir, receivedPrefix+strconv.FormatUint(uint64(z), 16))
	to := filepath.Join(d.snapDir, snapshot.FileName(z))
	if err := d.fs.Rename(from, to); err != nil {
		return &DiskError{Op: "rename", Path: from, Err: err}
	}
	clear(d.whole)
	d.whole[to] = z
	return d.syncDir(d.snapDir)
}

// resume finishes what a crash has interrupted.
func (d *Dir) resume() error {
	if err := d.each(d.logDir, cuttingPrefix, d.cut); err != nil {
		return err
	}
	return d.each(d.snapDir, receivedPrefix, d.adopt)
}

// each calls do with the zxid in the name of every file that begins so.
func (d *Dir) each(dir, prefix string, do func(proto.Zxid) error) error {
	names, err := d.fs.ReadDir(dir)
	if err != nil {
		return &DiskError{Op: "read", Path: dir, Err: err}
	}
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		z, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			continue // not one of ours
		}
		if err := do(proto.Zxid(z)); err != nil {
			return err
		}
	}
	return nil
}
