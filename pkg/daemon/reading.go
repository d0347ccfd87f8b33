package daemon

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/systemd"
	"github.com/zabd/zabd/pkg/vfs"
)

const (
	lookAtReading = 10 * time.Second
	readingTime   = time.Minute // granted each time that something has been read
)

// readFS counts the reads of a server that starts: a large tree takes its time, and a disk that hangs must not get any.
type readFS struct {
	vfs.FS
	reads atomic.Int64
}

// Open implements vfs.FS.
func (r *readFS) Open(name string) (vfs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return readFile{f, &r.reads}, nil
}

type readFile struct {
	vfs.File
	reads *atomic.Int64
}

// Read implements io.Reader.
func (f readFile) Read(b []byte) (int, error) {
	f.reads.Add(1)
	return f.File.Read(b)
}

// ReadAt implements io.ReaderAt.
func (f readFile) ReadAt(b []byte, off int64) (int, error) {
	f.reads.Add(1)
	return f.File.ReadAt(b, off)
}

// extend asks for more time at each tick before which something was read, until started is closed.
func (r *readFS) extend(ticks <-chan time.Time, started <-chan struct{}) (err error) {
	for before := int64(0); ; {
		select {
		case <-ticks:
			if now := r.reads.Load(); now != before {
				before = now
				err = errors.Join(err, systemd.Extend(readingTime))
			}
		case <-started:
			return err
		}
	}
}
