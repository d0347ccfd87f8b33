package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/invariant"
)

const (
	acceptedName = "acceptedEpoch"
	currentName  = "currentEpoch"
	// javaTemp ends the name under which ZooKeeper writes an epoch file before it renames it.
	javaTemp = ".tmp"
)

// epochs are what the two files say: the newest epoch that this server has promised to follow, and that of the leader
// whose history it has. -1 stands for a file that is not there.
//
// Invariant: once loaded, current <= accepted, in the files at any moment as well.
type epochs struct{ accepted, current int64 }

// SaveEpochs makes the epochs durable. Neither ever goes back.
func (d *Dir) SaveEpochs(accepted, current uint32) error {
	if d.log == nil {
		return errNotLoaded
	}
	if d.o.Sole {
		return errors.New("datadir: save epochs: a server alone has none")
	}
	want := epochs{int64(accepted), int64(current)}
	invariant.That(want.accepted >= d.epochs.accepted && want.current >= d.epochs.current && want.accepted >= want.current,
		"epochs %+v behind %+v", want, d.epochs)
	return d.writeEpochs(want)
}

// writeEpochs writes what has changed.
func (d *Dir) writeEpochs(want epochs) error {
	if want.accepted != d.epochs.accepted {
		if err := d.writeEpoch(acceptedName, want.accepted); err != nil {
			return err
		}
		d.epochs.accepted = want.accepted
	}
	if want.current != d.epochs.current {
		if err := d.writeEpoch(currentName, want.current); err != nil {
			return err
		}
		d.epochs.current = want.current
	}
	return nil
}

func (d *Dir) writeEpoch(name string, epoch int64) error {
	temp, path := filepath.Join(d.snapDir, tempPrefix+name), filepath.Join(d.snapDir, name)
	f, err := d.fs.Create(temp)
	if err != nil {
		return &DiskError{Op: "create", Path: temp, Err: err}
	}
	_, err = f.Write(strconv.AppendInt(nil, epoch, 10))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return &DiskError{Op: "write", Path: temp, Err: err}
	}
	if err := d.fs.Rename(temp, path); err != nil {
		return &DiskError{Op: "rename", Path: path, Err: err}
	}
	return d.syncDir(d.snapDir)
}

// readEpoch returns what a file holds. A ZooKeeper server that had no data has written -1: it is as good as not there.
func (d *Dir) readEpoch(name string) (int64, error) {
	path := filepath.Join(d.snapDir, name)
	f, err := d.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, &DiskError{Op: "open", Path: path, Err: err}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 100))
	if err != nil {
		return 0, &DiskError{Op: "read", Path: path, Err: err}
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if n, err := strconv.ParseUint(line, 10, 32); err == nil {
		return int64(n), nil
	}
	if line == "-1" {
		return -1, nil
	}
	return 0, &DamageError{path, fmt.Errorf("%q is no epoch", line)}
}

// loadEpochs reads both files and makes them agree with the newest zxid, durably, since votes rely on them. A learner
// logs before it has synchronised, so a crash may leave a zxid of a later epoch than the current one. That epoch was
// established then, and all before the zxid is a prefix of its leader's history.
func (d *Dir) loadEpochs(rec *Recovered) error {
	var have epochs
	var err error
	if have.accepted, err = d.readEpoch(acceptedName); err != nil {
		return err
	}
	if have.current, err = d.readEpoch(currentName); err != nil {
		return err
	}
	logged := int64(max(rec.Last, 0).Epoch()) // there is no zxid without data
	want := have
	if have.accepted < 0 {
		want.accepted = logged
	}
	if want.current > want.accepted {
		return &DamageError{
			filepath.Join(d.snapDir, acceptedName),
			fmt.Errorf("the accepted epoch, %d, is lower than that in %s, %d", want.accepted, currentName, want.current),
		}
	}
	if want.current < logged || have.current < 0 {
		want.current = d.leftOver(logged, want.accepted)
		want.accepted = max(want.accepted, want.current)
	}
	if have.current >= 0 && have.current != want.current {
		rec.warn("the newest zxid is %v and the current epoch was %d: it is %d now", rec.Last, have.current, want.current)
	}
	d.epochs = have
	if err := d.writeEpochs(want); err != nil {
		return err
	}
	rec.AcceptedEpoch, rec.CurrentEpoch = uint32(want.accepted), uint32(want.current)
	return d.dropLeftOvers()
}

// leftOver returns the epoch that ZooKeeper was about to make the current one, if it is possible, and else the lowest
// that is.
func (d *Dir) leftOver(lowest, highest int64) int64 {
	if e, err := d.readEpoch(currentName + javaTemp); err == nil && e >= lowest && e <= highest {
		return e
	}
	return lowest
}

// dropLeftOvers removes what ZooKeeper would take for newer than the files.
func (d *Dir) dropLeftOvers() error {
	var there []string
	for _, name := range []string{acceptedName, currentName} {
		path := filepath.Join(d.snapDir, name+javaTemp)
		switch _, err := d.fs.Stat(path); {
		case err == nil:
			there = append(there, path)
		case !errors.Is(err, fs.ErrNotExist):
			return &DiskError{Op: "stat", Path: path, Err: err}
		}
	}
	return d.removeAll(d.snapDir, there)
}
