package datadir

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txnlog"
)

// cuttingPrefix begins the name of an empty file that stands for a promise: all above the zxid in its name goes.
const cuttingPrefix = "cutting."

// Truncate removes all that is above z, and returns the zxid that the server stands at now: z, or if the counter of z
// is 0, the newest before it. There must be a base: a snapshot at or below z from which the log goes on without a hole
// to z, and to its end, for nobody knows whether what is before a hole belongs to the same history as what is behind.
// Without a base nothing is removed, and base is false.
//
// The name of a file makes the removal one step: a start finds all of it done or nothing.
func (d *Dir) Truncate(z proto.Zxid) (last proto.Zxid, base bool, err error) {
	if d.log == nil {
		return 0, false, errNotLoaded
	}
	if d.o.NoLog { // what was not logged cannot be cut back to
		return 0, false, nil
	}
	if err := d.log.Sync(); err != nil {
		return 0, false, err
	}
	d.files.Lock()
	defer d.files.Unlock()
	l, err := d.list()
	if err != nil {
		return 0, false, err
	}
	last, base, err = d.keep(l, z)
	if !base || err != nil {
		return 0, false, err
	}
	size := d.log.Size()
	if err := d.log.Close(); err != nil {
		return 0, false, err
	}
	if err := d.promise(last); err != nil {
		return 0, false, err
	}
	d.age++
	if err := d.cut(last); err != nil {
		return 0, false, err
	}
	d.rolledAt -= size // the next writer counts from 0
	d.openLog(last, min(d.origin, last))
	return last, true, nil
}

// keep returns up to where the files can be kept to stand at z; false if there is no base.
func (d *Dir) keep(l listing, z proto.Zxid) (last proto.Zxid, ok bool, err error) {
	for _, s := range l.snaps {
		if above(s.zxid, z) {
			continue
		}
		reaches, ok, err := d.examine(s)
		switch {
		case err != nil:
			return 0, false, err
		case !ok:
			continue
		case above(reaches, z):
			return 0, false, nil
		}
		return d.chain(l.logs, s.zxid, z)
	}
	return 0, false, nil
}

// examine returns how far the log must reach to complete a snapshot; false if its writing was not finished. One that
// cannot be read reaches beyond everything.
func (d *Dir) examine(s found) (reaches proto.Zxid, ok bool, err error) {
	if reaches, ok = d.whole[s.path]; ok {
		return reaches, true, nil
	}
	if ok, err = snapshot.Plausible(d.fs, s.path, s.how); err != nil {
		return 0, false, &DiskError{Op: "read", Path: s.path, Err: err}
	}
	if !ok {
		return 0, false, nil
	}
	tr, err := snapshot.ReadFile(d.fs, s.path, s.how, d.configure(tree.Empty()), s.zxid)
	var bad *snapshot.CorruptError
	switch {
	case errors.As(err, &bad):
		return -1, true, nil
	case err != nil:
		return 0, false, &DiskError{Op: "read", Path: s.path, Err: err}
	}
	b := base{found: true, zxid: s.zxid, trailer: tr}
	d.whole[s.path] = b.needs()
	return b.needs(), true, nil
}

// chain reads the log behind a snapshot. It returns the newest entry at or below z, or the snapshot's zxid; false if
// there is a hole, or no z.
func (d *Dir) chain(logs []found, from, z proto.Zxid) (last proto.Zxid, ok bool, err error) {
	last, end, hole := from, from, false
	for _, file := range concerned(logs, from) {
		err := d.entries(file.path, func(e proto.Zxid) {
			if !above(e, from) {
				return
			}
			hole = hole || !txnlog.Follows(end, e)
			if end = e; !above(e, z) {
				last = e
			}
		})
		if err != nil {
			return 0, false, err
		}
	}
	return last, !hole && (last == z || z.Counter() == 0), nil
}

// entries calls f with the zxid of each entry in a log file.
func (d *Dir) entries(path string, f func(proto.Zxid)) error {
	r, err := txnlog.Open(d.fs, path, d.o.MaxRecord)
	if err != nil {
		return damage(path, err)
	}
	defer r.Close()
	e, err := r.Next()
	for ; err == nil; e, err = r.Next() {
		f(e.Zxid)
	}
	if !errors.Is(err, io.EOF) {
		return damage(path, err)
	}
	if end, reason := r.End(); end == txnlog.EndDamaged {
		return &DamageError{path, &txnlog.CorruptError{Path: path, Offset: r.Offset(), Reason: reason}}
	}
	return nil
}

// promise makes it durable that all above last will be removed.
func (d *Dir) promise(last proto.Zxid) error {
	path := d.cuttingPath(last)
	f, err := d.fs.Create(path)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return &DiskError{Op: "create", Path: path, Err: err}
	}
	return d.syncDir(d.logDir)
}

func (d *Dir) cuttingPath(last proto.Zxid) string {
	return filepath.Join(d.logDir, cuttingPrefix+strconv.FormatUint(uint64(last), 16))
}

// cut keeps a promise: it removes what is above last, the newest first, and then the promise itself. It may be repeated
// from anywhere.
func (d *Dir) cut(last proto.Zxid) error {
	l, err := d.list()
	if err != nil {
		return err
	}
	if err := d.removeAll(d.snapDir, newer(append(l.snaps, l.unfinished...), last)); err != nil {
		return err
	}
	slices.Reverse(l.logs)
	logs := newer(l.logs, last)
	if err := d.removeAll(d.logDir, logs); err != nil {
		return err
	}
	if left := l.logs[len(logs):]; len(left) > 0 {
		if err := d.cutFile(l, left[0].path, last); err != nil {
			return err
		}
	}
	return d.removeAll(d.logDir, []string{d.cuttingPath(last)})
}

// newer returns the files that begin above z.
func newer(files []found, z proto.Zxid) []string {
	var paths []string
	for _, f := range files {
		if above(f.zxid, z) {
			paths = append(paths, f.path)
		}
	}
	return paths
}

// cutFile cuts a log file right behind its newest entry up to last. What is behind that may be damaged: it may have
// been cut before.
func (d *Dir) cutFile(l listing, path string, last proto.Zxid) error {
	r, err := txnlog.Open(d.fs, path, d.o.MaxRecord)
	if err != nil {
		return damage(path, err)
	}
	defer r.Close()
	var newest proto.Zxid
	end := r.Offset()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) || err == nil && above(e.Zxid, last) {
			break
		}
		if err != nil {
			return damage(path, err)
		}
		newest, end = e.Zxid, r.Offset()
	}
	isSnapshot := func(s found) bool { return s.zxid == last }
	if newest != last && !slices.ContainsFunc(l.snaps, isSnapshot) {
		return &DamageError{path, fmt.Errorf("it is to be cut behind %v, and ends at %v", last, newest)}
	}
	f, err := d.fs.Edit(path)
	if err != nil {
		return &DiskError{Op: "open", Path: path, Err: err}
	}
	err = f.Truncate(end)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return &DiskError{Op: "cut", Path: path, Err: err}
	}
	return nil
}
