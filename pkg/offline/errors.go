package offline

import (
	"errors"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/txnlog"
)

// A Cause is why something was not done.
type Cause int

// The causes.
const (
	Other   Cause = iota // as a rule the disk's
	Damaged              // the bytes of a file; the error names it and the offset
	Locked               // a server runs in the directory
	Refused              // what was asked for cannot be done with that file
)

// Kind returns the cause of an error of this package.
func Kind(err error) Cause {
	var log *txnlog.CorruptError
	var snap *snapshot.CorruptError
	var dir *datadir.DamageError
	var no refusal
	switch {
	case errors.As(err, &log), errors.As(err, &snap), errors.As(err, &dir):
		return Damaged
	case errors.Is(err, datadir.ErrLocked):
		return Locked
	case errors.As(err, &no), errors.Is(err, ErrDeclined):
		return Refused
	}
	return Other
}

// A refusal is an error of whoever asks.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }
