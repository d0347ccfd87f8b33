package datadir

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/txnlog"
)

// javaFactor is ZooKeeper's default for Options.SnapshotSizeFactor.
const javaFactor = 0.33

// A LogPlan says what the log can do for a learner.
type LogPlan struct {
	// Serves tells whether the entries behind the learner's zxid may be read from the log: they are this server's
	// history, and not so many bytes that a snapshot would be less.
	Serves bool
	Below  proto.Zxid // the newest entry at or below the learner's zxid; 0 = none
	Above  proto.Zxid // the first entry above it; 0 = none
}

// PlanFor looks up what a learner whose last zxid is p could be sent from the log. By ZooKeeper's rule the files that
// are concerned count with their padding, all but the oldest, which must begin at or before p. History from before the
// snapshot that this server has started from is not offered: a learner that was filled by its leader may have logs of a
// lost history from before that, and nothing would tell.
func (d *Dir) PlanFor(p proto.Zxid) (LogPlan, error) {
	log, origin := d.beside()
	if log == nil {
		return LogPlan{}, errNotLoaded
	}
	below, next, err := log.Around(p)
	if err != nil {
		return LogPlan{}, err
	}
	if above(origin, below) && !above(origin, p) {
		below = origin // the log need not have the entry at which the snapshot stands
	}
	plan := LogPlan{Below: below, Above: next}
	if factor := d.o.SnapshotSizeFactor; factor >= 0 && !above(origin, p) {
		if factor > 1 {
			factor = javaFactor
		}
		plan.Serves, err = d.affordable(p, factor)
	}
	return plan, err
}

// ReadFrom returns a cursor that reads the log behind the entry with the zxid after, as far as it is durable, beside the
// log writer and Purge. Truncate, Restore and Close end it.
func (d *Dir) ReadFrom(after proto.Zxid) (*txnlog.Cursor, error) {
	log, origin := d.beside()
	if log == nil {
		return nil, errNotLoaded
	}
	if above(origin, after) {
		return nil, fmt.Errorf("datadir: read the log behind %v: %w: it begins at %v", after, txnlog.ErrGone, origin)
	}
	return log.Cursor(after), nil
}

// beside returns the log for those who are not the log writer.
func (d *Dir) beside() (*txnlog.Writer, proto.Zxid) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log, d.origin
}

// affordable applies ZooKeeper's rule to the log files that are there.
func (d *Dir) affordable(p proto.Zxid, factor float64) (bool, error) {
	l, err := d.list()
	if err != nil {
		return false, err
	}
	if len(l.logs) == 0 || above(l.logs[0].zxid, p) {
		return false, nil
	}
	newest, err := d.newestSize(l)
	if err != nil {
		return false, err
	}
	limit := int64(float64(newest) * factor)
	var sum int64
	for i := len(l.logs) - 1; i > 0 && !above(p, l.logs[i].zxid); i-- { // i ends at the oldest that is concerned
		size, err := d.size(l.logs[i].path)
		if err != nil {
			return false, err
		}
		sum += size
	}
	return limit == 0 || sum <= limit, nil
}

// newestSize returns the size of the newest snapshot that looks whole.
func (d *Dir) newestSize(l listing) (int64, error) {
	for _, s := range l.snaps {
		ok, err := snapshot.Plausible(d.fs, s.path, s.how)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // Purge was faster
		case err != nil:
			return 0, &DiskError{Op: "read", Path: s.path, Err: err}
		case ok:
			return d.size(s.path)
		}
	}
	return 0, nil
}

func (d *Dir) size(path string) (int64, error) {
	st, err := d.fs.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, &DiskError{Op: "stat", Path: path, Err: err}
	}
	return st.Size, nil
}
