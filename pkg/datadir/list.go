package datadir

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/txnlog"
)

// listing is what the directories hold: snapshots from the newest on, logs from the oldest on.
type listing struct {
	snaps, logs []found
	unfinished  []found // snapshots that ZooKeeper has not given their names
}

func (d *Dir) list() (listing, error) {
	var l listing
	names, err := d.fs.ReadDir(d.snapDir)
	if err != nil {
		return l, &DiskError{Op: "read", Path: d.snapDir, Err: err}
	}
	apart := d.logDir != d.snapDir
	for _, name := range names {
		path := filepath.Join(d.snapDir, name)
		if z, how, ok := snapshot.ParseName(name); ok && unfinished(name) {
			l.unfinished = append(l.unfinished, found{z, path, how})
		} else if ok {
			l.snaps = append(l.snaps, found{z, path, how})
		}
		if z, ok := txnlog.ParseName(name); ok {
			if apart {
				return l, fmt.Errorf("datadir: open %s: %w: a log among the snapshots", path, ErrForeign)
			}
			l.logs = append(l.logs, found{zxid: z, path: path})
		}
	}
	if apart {
		if names, err = d.fs.ReadDir(d.logDir); err != nil {
			return l, &DiskError{Op: "read", Path: d.logDir, Err: err}
		}
		for _, name := range names {
			path := filepath.Join(d.logDir, name)
			if _, _, ok := snapshot.ParseName(name); ok {
				return l, fmt.Errorf("datadir: open %s: %w: a snapshot among the logs", path, ErrForeign)
			}
			if z, ok := txnlog.ParseName(name); ok {
				l.logs = append(l.logs, found{zxid: z, path: path})
			}
		}
	}
	order := func(a, b found) int {
		return cmp.Or(cmp.Compare(uint64(a.zxid), uint64(b.zxid)), strings.Compare(a.path, b.path))
	}
	slices.SortFunc(l.logs, order)
	slices.SortFunc(l.snaps, func(a, b found) int { return order(b, a) })
	return l, nil
}

// unfinished reports whether a snapshot was not finished by ZooKeeper, which writes those that it gets from a leader
// under such a name first. What it holds was promised to nobody.
func unfinished(name string) bool { return strings.HasSuffix(name, ".tmp") }

// concerned returns the files that can hold entries behind z: the last that begins at or before it, and those behind.
func concerned(logs []found, z proto.Zxid) []found {
	first := 0
	for i := range logs {
		if !above(logs[i].zxid, z) {
			first = i
		}
	}
	return logs[first:]
}

// above compares zxids as their epochs and counters do; as numbers they are signed.
func above(a, b proto.Zxid) bool { return uint64(a) > uint64(b) }
