package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Disk returns the file system of the operating system.
func Disk() FS { return disk{} }

type disk struct{}

const (
	fileMode = 0o640
	dirMode  = 0o750
)

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, fd: int(f.Fd())}, nil
}

func (disk) Create(name string) (File, error) { return open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC) }
func (disk) Open(name string) (File, error)   { return open(name, os.O_RDONLY) }
func (disk) Edit(name string) (File, error)   { return open(name, os.O_RDWR) }
func (disk) Rename(from, to string) error     { return os.Rename(from, to) }
func (disk) Remove(name string) error         { return os.Remove(name) }

func (disk) ReadDir(dir string) ([]string, error) {
	es, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = e.Name()
	}
	return names, nil
}

func (disk) Stat(name string) (Info, error) {
	st, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: st.Size(), Dir: st.IsDir()}, nil
}

func (d disk) MkdirAll(dir string) error {
	st, err := os.Stat(dir)
	if err == nil {
		if !st.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.SyncDir(parent)
}

func (disk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// Lock uses flock, which the kernel lets go when the process dies, however it dies.
func (disk) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err == nil {
		// Whose lock it is helps whoever meets it; on a full disk it is held all the same.
		_ = f.Truncate(0)
		_, _ = f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
		return f, nil
	}
	defer f.Close()
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	holder := make([]byte, 20)
	n, _ := f.ReadAt(holder, 0)
	pid := strings.TrimSpace(string(holder[:n]))
	if pid == "" {
		pid = "unknown"
	}
	return nil, fmt.Errorf("vfs: lock %s: %w (process %s)", name, ErrLocked, pid)
}

type diskFile struct {
	*os.File
	fd int // of the same file: Fd would be asked at every sync
}

// Sync is fdatasync: times of access and change are nobody's business here.
func (f *diskFile) Sync() error {
	if err := retry(func() error { return unix.Fdatasync(f.fd) }); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *diskFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// retry repeats a call that a signal has interrupted before it did anything.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
