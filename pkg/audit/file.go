package audit

import (
	"fmt"
	"os"
	"time"
)

// fileMode lets the server's group read the record.
const fileMode = 0o640

// File is a sink that appends lines to a file, each behind its time. One that was moved away, or removed, is begun anew,
// so that whoever rotates it has nothing to tell.
type File struct {
	path string
	f    *os.File
	buf  []byte
	now  func() time.Time
}

// OpenFile opens or makes the file.
func OpenFile(path string) (*File, error) {
	f := &File{path: path, now: time.Now}
	return f, f.open()
}

func (f *File) open() (err error) {
	if f.f, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// moved tells whether the file with that name is another one by now.
func (f *File) moved() bool {
	ours, err := f.f.Stat()
	if err != nil {
		return true
	}
	named, err := os.Stat(f.path)
	return err != nil || !os.SameFile(ours, named)
}

// Write implements Sink.
func (f *File) Write(events []Event) error {
	if f.moved() {
		_ = f.f.Close()
		if err := f.open(); err != nil {
			return err
		}
	}
	f.buf = f.buf[:0]
	at := f.now().UTC().Format("2006-01-02 15:04:05,000 ")
	for i := range events {
		f.buf = append(f.buf, at...)
		line := events[i].AppendTo(nil)
		f.buf = append(append(f.buf, line...), '\n')
	}
	_, err := f.f.Write(f.buf)
	if cap(f.buf) > 1<<20 {
		f.buf = nil
	}
	return err
}

// Close implements Sink.
func (f *File) Close() error { return f.f.Close() }
