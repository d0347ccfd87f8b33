//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// faultyDisk is a file system (FUSE) over a directory, whose syncs hang, fail or take their time when a test says so.
type faultyDisk struct {
	mount, files string // where it is to be seen, and the directory below it

	mu   sync.Mutex
	hung chan struct{} // closed once syncs return again; nil = they do
	err  syscall.Errno // of syncs
	slow time.Duration // each sync, and each read
}

func newFaultyDisk(t *testing.T) *faultyDisk {
	t.Helper()
	dir := t.TempDir()
	d := &faultyDisk{mount: filepath.Join(dir, "mount"), files: filepath.Join(dir, "files")}
	if err := errors.Join(os.Mkdir(d.mount, 0o755), os.Mkdir(d.files, 0o755)); err != nil {
		t.Fatal(err)
	}
	root := &fs.LoopbackRoot{Path: d.files}
	top := &faultyNode{&fs.LoopbackNode{RootData: root}, d}
	root.RootNode = top
	server, err := fs.Mount(d.mount, top, &fs.Options{MountOptions: fuse.MountOptions{AllowOther: true, DirectMountStrict: true, FsName: "faulty"}})
	if err != nil {
		t.Fatalf("FUSE: %v", err)
	}
	t.Cleanup(func() {
		d.heal()
		if err := server.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// hang lets no sync return until heal. Only one whose process is being killed does, or the process could not end.
func (d *faultyDisk) hang() { d.set(make(chan struct{}), 0, 0) }

// fail lets all syncs fail until heal.
func (d *faultyDisk) fail() { d.set(nil, syscall.EIO, 0) }

// delay lets each sync and each read take so long, until heal.
func (d *faultyDisk) delay(by time.Duration) { d.set(nil, 0, by) }

func (d *faultyDisk) heal() { d.set(nil, 0, 0) }

func (d *faultyDisk) set(hung chan struct{}, err syscall.Errno, slow time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hung != nil {
		close(d.hung)
	}
	d.hung, d.err, d.slow = hung, err, slow
}

// wait takes as long as the disk does. It is cut short by a signal to the process that waits.
func (d *faultyDisk) wait(ctx context.Context, sync bool) syscall.Errno {
	d.mu.Lock()
	hung, err, slow := d.hung, d.err, time.After(d.slow)
	d.mu.Unlock()
	if sync && hung != nil {
		select {
		case <-hung:
		case <-ctx.Done():
			return syscall.EINTR
		}
	}
	select {
	case <-slow:
	case <-ctx.Done():
		return syscall.EINTR
	}
	if sync {
		return err
	}
	return 0
}

type faultyNode struct {
	*fs.LoopbackNode
	disk *faultyDisk
}

// WrapChild makes whatever is in the directory a node like it.
func (n *faultyNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &faultyNode{child.(*fs.LoopbackNode), n.disk}
}

func (n *faultyNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	return n.disk.handle(h), fuseFlags, errno
}

func (n *faultyNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	node, h, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return node, n.disk.handle(h), fuseFlags, errno
}

func (d *faultyDisk) handle(h fs.FileHandle) fs.FileHandle {
	if f, ok := h.(*fs.LoopbackFile); ok {
		return &faultyFile{f, d}
	}
	return h
}

type faultyFile struct {
	*fs.LoopbackFile
	disk *faultyDisk
}

func (f *faultyFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := f.disk.wait(ctx, true); errno != 0 {
		return errno
	}
	return f.LoopbackFile.Fsync(ctx, flags)
}

func (f *faultyFile) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := f.disk.wait(ctx, false); errno != 0 {
		return nil, errno
	}
	return f.LoopbackFile.Read(ctx, buf, off)
}

// PassthroughFd hides the file from the kernel, which would read from it directly.
func (f *faultyFile) PassthroughFd() (int, bool) { return 0, false }
