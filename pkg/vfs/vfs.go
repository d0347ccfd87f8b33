// Package vfs is the seam between zabd and its file systems: the real disk, and a memory disk that can crash. It owns
// what durable means: data once its file is synced, a name once its directory is synced, and nothing else.
//
// Paths are the operating system's. An error of the real disk is an *fs.PathError and so names the path; that of the
// memory disk as well.
package vfs

import (
	"errors"
	"io"
)

// ErrLocked says that another process, or another server in this one, holds a lock.
var ErrLocked = errors.New("locked by another server")

// An FS is a file system.
type FS interface {
	// Create makes a new empty file, or empties the one there is, and opens it for reading and writing.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Edit opens a file for reading and writing.
	Edit(name string) (File, error)
	// Rename gives a file another name, in one step, in place of the file that has it.
	Rename(from, to string) error
	Remove(name string) error
	// ReadDir lists the names in a directory in order.
	ReadDir(dir string) ([]string, error)
	Stat(name string) (Info, error)
	// MkdirAll makes a directory and those above it, durably.
	MkdirAll(dir string) error
	// SyncDir makes all creations, renames and removals in a directory durable.
	SyncDir(dir string) error
	// Lock makes the file if need be and takes the lock on it, until the result is closed or the process ends. It does
	// not wait: the error wraps ErrLocked and names the process that has it, as far as that is known.
	Lock(name string) (io.Closer, error)
}

// A File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	// Sync makes the file's bytes and its size durable. After an error nothing written since the last success may be
	// assumed to be on the disk, and another Sync proves nothing.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// Info is what Stat tells.
type Info struct {
	Size int64
	Dir  bool
}
