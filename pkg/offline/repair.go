package offline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// ErrDeclined says that whoever was asked did not want a record to be kept.
var ErrDeclined = errors.New("nothing was changed")

// Repair says how a log is mended.
type Repair struct {
	// Cut drops all behind the entry with that zxid, which must be there; 0 = keep all.
	Cut proto.Zxid
	// Keep is asked whether a record stays whose checksum is wrong: its bytes may be anything.
	Keep func(*Entry) (bool, error)
}

// Repaired is what was done to a log.
type Repaired struct {
	File    string `json:"file"`
	Entries int    `json:"entries"`           // that are in it now
	Fixed   int    `json:"fixed"`             // of them, those that have got a new checksum
	Dropped int64  `json:"dropped"`           // bytes behind the last of them
	Kept    string `json:"kept,omitempty"`    // the file as it was; empty if nothing was changed
	Warning string `json:"warning,omitempty"` // why that may be of no effect
}

// RepairLog mends a log file of a server that does not run: it keeps the records whose checksum alone is wrong, if so
// wanted, and leaves out what a crash has torn. The file as it was stays beside it under a name that no server reads.
// Damage that it cannot mend is a *txnlog.CorruptError, and nothing is changed then.
func RepairLog(path string, how Repair) (_ *Repaired, err error) {
	dir := filepath.Dir(path)
	l, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if how.Cut != 0 {
		if err := lastLog(path); err != nil {
			return nil, err
		}
	}
	temp := filepath.Join(dir, "tmp-"+filepath.Base(path)) // which a start removes
	f, err := os.Create(temp)
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp)
	res, err := rewrite(path, f, how)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil || res.Fixed == 0 && res.Dropped == 0 {
		return res, err
	}
	res.Kept = filepath.Join(dir, "unusable-"+filepath.Base(path))
	res.Warning = newerSnapshot(dir, how.Cut)
	return res, exchange(temp, path, res.Kept)
}

// rewrite writes what is kept of a log.
func rewrite(path string, to io.Writer, how Repair) (*Repaired, error) {
	r, err := txnlog.Open(vfs.Disk(), path, txnlog.DefaultMaxRecord)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	res := &Repaired{File: path}
	w := bufio.NewWriter(to)
	var last proto.Zxid
	if _, err := w.Write(txnlog.AppendHeader(nil)); err != nil {
		return nil, err
	}
	end := r.Offset()
	for how.Cut == 0 || last != how.Cut {
		rec, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		x, err := usable(rec.Payload, last, how.Cut)
		if err != nil {
			return nil, &txnlog.CorruptError{Path: path, Offset: end, Reason: err.Error()}
		}
		if !rec.Good {
			keep, err := how.Keep(entryOf(end, rec.Payload))
			if err != nil {
				return nil, err
			}
			if !keep {
				return nil, ErrDeclined
			}
			rec.Bytes = txnlog.AppendRecord(nil, txn.Entry{Bytes: rec.Payload})
			res.Fixed++
		}
		if _, err := w.Write(rec.Bytes); err != nil {
			return nil, err
		}
		last, end = x.Zxid, r.Offset()
		res.Entries++
	}
	dropped, err := behind(r, path, last, how.Cut)
	res.Dropped = dropped
	return res, errors.Join(err, w.Flush())
}

// usable decodes a payload that comes behind last, and that a server could apply.
func usable(payload []byte, last, cut proto.Zxid) (*txn.Txn, error) {
	var x txn.Txn
	err := x.Decode(payload)
	switch {
	case err != nil:
	case cut != 0 && above(x.Zxid, cut):
		err = fmt.Errorf("%v follows %v: there is no %v to cut behind", x.Zxid, last, cut)
	case last != 0 && !txnlog.Follows(last, x.Zxid):
		err = fmt.Errorf("%v stands behind %v", x.Zxid, last)
	}
	return &x, err
}

// behind returns how many bytes are dropped behind the last entry that is kept. Only what a crash explains, or a cut, may be.
func behind(r *txnlog.Reader, path string, last, cut proto.Zxid) (int64, error) {
	switch {
	case cut != 0 && last == cut:
		return r.Size() - r.Offset(), nil
	case cut != 0:
		return 0, refusal{fmt.Errorf("offline: %s ends at %v: there is no %v to cut behind", path, last, cut)}
	}
	torn, err := howEnded(r, path, last, true)
	if torn == "" || err != nil {
		return 0, err
	}
	return r.Size() - r.Offset(), nil
}

// lastLog refuses a cut that others would have to go on behind.
func lastLog(path string) error {
	logs, err := inDir(filepath.Dir(path), txnlog.ParseName)
	if err != nil {
		return err
	}
	if n := len(logs); n > 0 && filepath.Base(logs[n-1]) != filepath.Base(path) {
		return refusal{fmt.Errorf("offline: cut %s: %s follows it, and would not go on behind it: cut that one, or move it away first", path, logs[n-1])}
	}
	return nil
}

// newerSnapshot tells of a snapshot that has what is cut.
func newerSnapshot(dir string, cut proto.Zxid) string {
	snaps, err := inDir(dir, snapshotZxid)
	if cut == 0 || err != nil || len(snaps) == 0 {
		return ""
	}
	newest := snaps[len(snaps)-1]
	if z, _ := snapshotZxid(filepath.Base(newest)); above(z, cut) {
		return newest + " is newer, and a start begins with it"
	}
	return ""
}

func snapshotZxid(name string) (proto.Zxid, bool) {
	z, _, ok := snapshot.ParseName(name)
	return z, ok
}

// exchange gives a new file the name, owner and mode of another, which gets the name kept. A crash leaves one or the other.
func exchange(temp, path, kept string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(temp, st.Mode().Perm()), likeOwner(temp, path)); err != nil {
		return err
	}
	if err := os.Link(path, kept); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return vfs.Disk().SyncDir(filepath.Dir(path))
}
