package datadir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

func TestSecondServerIsKeptOut(t *testing.T) {
	for name, files := range map[string]vfs.FS{"real": vfs.Disk(), "memory": vfs.NewMem(1)} {
		o := Options{DataDir: filepath.Join(t.TempDir(), "data"), LogDir: filepath.Join(t.TempDir(), "log"), Inline: true}
		d, err := Open(files, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []Options{o, {DataDir: o.DataDir}, {DataDir: filepath.Join(t.TempDir(), "new"), LogDir: o.LogDir}} {
			_, err := Open(files, other)
			if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "zabd.lock") {
				t.Errorf("%s disk: Open(%+v) = %v, want ErrLocked with the lock's path", name, other, err)
			}
			if pid := fmt.Sprint(os.Getpid()); name == "real" && err != nil && !strings.Contains(err.Error(), pid) {
				t.Errorf("Open() = %v, want process %s named", err, pid)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if d, err = Open(files, o); err != nil {
			t.Errorf("%s disk: Open() after Close() = %v", name, err)
		} else {
			_ = d.Close()
		}
	}
}

// TestLockIsLeftByADeadProcess runs this binary as another server, which takes the directory and is then killed.
func TestLockIsLeftByADeadProcess(t *testing.T) {
	if dir := os.Getenv("ZABD_TEST_HOLD"); dir != "" {
		if _, err := Open(vfs.Disk(), Options{DataDir: dir}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin) // until killed, or the test is gone
		return
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestLockIsLeftByADeadProcess$")
	child.Env = append(os.Environ(), "ZABD_TEST_HOLD="+dir)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	_, err = Open(vfs.Disk(), Options{DataDir: dir})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(child.Process.Pid)) {
		t.Errorf("Open() = %v, want ErrLocked with process %d", err, child.Process.Pid)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	d, err := Open(vfs.Disk(), Options{DataDir: dir})
	if err != nil {
		t.Fatalf("Open() after the other's death = %v", err)
	}
	_ = d.Close()
}

func TestForeignFilesAreRefused(t *testing.T) {
	for path, o := range map[string]Options{
		"/data/version-2/log.1":     {DataDir: "/data", LogDir: "/log"},
		"/log/version-2/snapshot.1": {DataDir: "/data", LogDir: "/log"},
	} {
		files := vfs.NewMem(1)
		if err := files.MkdirAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		put(t, files, path, nil)
		if err := loadErr(t, files, o); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), path) {
			t.Errorf("Load() = %v, want ErrForeign with %s", err, path)
		}
	}
	file := filepath.Join(t.TempDir(), "version-2")
	put(t, vfs.Disk(), file, nil)
	if _, err := Open(vfs.Disk(), Options{DataDir: filepath.Dir(file)}); !errors.Is(err, ErrForeign) {
		t.Errorf("Open() on a file = %v, want ErrForeign", err)
	}
}

func TestStartRules(t *testing.T) {
	t.Run("new directory", func(t *testing.T) {
		files := vfs.NewMem(1)
		d, rec := openLoad(t, files, memOptions())
		if rec.Last != 0 || rec.Tree.NodeCount() != 4 {
			t.Errorf("%d nodes at %v, want 4 at 0", rec.Tree.NodeCount(), rec.Last)
		}
		_ = d.Close()
		if _, rec = openLoad(t, files.Crash(), memOptions()); rec.Snapshot != "/data/version-2/snapshot.0" || rec.Last != 0 {
			t.Errorf("the second start begins with %q at %v, want snapshot.0", rec.Snapshot, rec.Last)
		}
	})
	t.Run("directory that must be there", func(t *testing.T) {
		o := memOptions()
		o.NeedDirectory = true
		if err := loadErr(t, vfs.NewMem(1), o); !errors.Is(err, ErrDirectory) {
			t.Errorf("Open() = %v, want ErrDirectory", err)
		}
	})
	t.Run("initialize", func(t *testing.T) {
		files := vfs.NewMem(1)
		o := memOptions()
		o.NeedInitialize = true
		d, rec := openLoad(t, files, o)
		if rec.Last != -1 {
			t.Errorf("without the file: last zxid %v, want -1", rec.Last)
		}
		_ = d.Close()
		put(t, files, "/data/initialize", nil)
		d, rec = openLoad(t, files, o)
		if rec.Last != 0 {
			t.Errorf("with the file: last zxid %v, want 0", rec.Last)
		}
		_ = d.Close()
		if _, err := files.Stat("/data/initialize"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("initialize is still there: %v", err)
		}
	})
	t.Run("logs without a snapshot", func(t *testing.T) {
		dir := sub(t, "golden39", "no-snapshot-trust-empty", "data")
		var bad *DamageError
		if err := loadErr(t, vfs.Disk(), Options{DataDir: dir}); !errors.As(err, &bad) || bad.Path != filepath.Join(dir, "version-2") {
			t.Errorf("Load() = %v, want a DamageError with the directory", err)
		}
	})
}

func TestStartAmongUnfinishedFiles(t *testing.T) {
	t.Run("an unfinished first snapshot", func(t *testing.T) {
		files := vfs.NewMem(1)
		_ = files.MkdirAll("/data/version-2")
		put(t, files, "/data/version-2/snapshot.0", []byte("ZK"))
		if _, rec := openLoad(t, files, memOptions()); rec.Last != 0 || len(rec.Warnings) == 0 {
			t.Errorf("last zxid %v, warnings %q, want a new tree and a warning", rec.Last, rec.Warnings)
		}
	})
	t.Run("an unfinished later snapshot and nothing else", func(t *testing.T) {
		files := vfs.NewMem(1)
		_ = files.MkdirAll("/data/version-2")
		put(t, files, "/data/version-2/snapshot.7", []byte("ZK"))
		var bad *DamageError
		if err := loadErr(t, files, memOptions()); !errors.As(err, &bad) {
			t.Errorf("Load() = %v, want a DamageError", err)
		}
	})
	t.Run("what was not finished", func(t *testing.T) {
		files := vfs.NewMem(1)
		_ = files.MkdirAll("/data/version-2")
		put(t, files, "/data/version-2/tmp-snapshot.7", []byte("ZK"))
		put(t, files, "/data/version-2/tmp-next-log", []byte("ZK"))
		put(t, files, "/data/version-2/snapshot.9.tmp", []byte("\x00\x00\x00\x01/"))
		d, _ := openLoad(t, files, memOptions())
		_ = d.Close()
		if names, _ := files.ReadDir("/data/version-2"); fmt.Sprint(names) != "[snapshot.0 snapshot.9.tmp]" {
			t.Errorf("left over: %v, want what belongs to others only", names)
		}
	})
}

func TestSnapshotPolicyAndPurge(t *testing.T) {
	files := vfs.NewMem(1)
	o := memOptions()
	o.SnapCount, o.Rand = 20, func(n int) int { return n - 1 }
	o.SnapSizeLimit = -1
	d, rec := openLoad(t, files, o)
	var due []proto.Zxid
	var res tree.Result
	for z := proto.Zxid(1); z <= 100; z++ {
		appendSync(t, d, z)
		var x txn.Txn
		if err := x.Decode(setData(z).Bytes); err != nil {
			t.Fatal(err)
		}
		rec.Tree.Apply(&x, &res)
		if !d.SnapshotDue() {
			continue
		}
		if d.SnapshotDue() {
			t.Error("a snapshot is due twice")
		}
		due = append(due, z)
		if err := writeSnapshot(d, rec.Tree); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(due); got != "[0x14 0x28 0x3c 0x50 0x64]" { // more than 10 + 9 txns
		t.Errorf("snapshots were due at %s", got)
	}
	if _, err := d.Purge(0); err == nil {
		t.Error("Purge(0) = nil, want an error")
	}
	put(t, files, "/data/version-2/snapshot.ff", []byte("not whole")) // does not count
	removed, err := d.Purge(3)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(removed), "[/data/version-2/snapshot.0 /data/version-2/snapshot.14 /data/version-2/snapshot.28 "+
		"/data/version-2/log.1 /data/version-2/log.15]"; got != want {
		t.Errorf("removed %s, want %s", got, want)
	}
	names, _ := files.ReadDir("/data/version-2")
	if got, want := fmt.Sprint(names), "[log.29 log.3d log.51 snapshot.3c snapshot.50 snapshot.64 snapshot.ff tmp-next-log]"; got != want {
		t.Errorf("after the purge: %s, want %s", got, want)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"", "snapshot.64", "snapshot.50"} { // all that is kept can be loaded
		if broken != "" {
			put(t, files, "/data/version-2/"+broken, []byte("not whole"))
		}
		d, rec := openLoad(t, files, o)
		if rec.Last != 100 {
			t.Errorf("without %q: last zxid %v, want 0x64", broken, rec.Last)
		}
		_ = d.Close()
	}
}

func TestSnapshotIsDueBySize(t *testing.T) {
	o := memOptions()
	o.SnapSizeLimit = 2000
	d, _ := openLoad(t, vfs.NewMem(1), o)
	z := proto.Zxid(1)
	for ; z < 100; z++ {
		appendSync(t, d, z)
		if d.SnapshotDue() {
			break
		}
	}
	size := int(z) * (len(setData(1).Bytes) + 13)
	if size <= 1000 || size > 1100 {
		t.Errorf("due after %d bytes, want just over 1000", size)
	}
}

func TestFullAndReadOnlyDisk(t *testing.T) {
	for _, kind := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		files := vfs.NewMem(1)
		d, _ := openLoad(t, files, memOptions())
		appendSync(t, d, 1, 2, 3)
		files.SetFault(func(vfs.Op) error { return kind })
		err := errors.Join(d.Append([]txn.Entry{setData(4)}), d.Sync())
		var disk *DiskError
		if !errors.As(err, &disk) || !errors.Is(err, kind) || !strings.Contains(err.Error(), "/data/version-2/log.1") {
			t.Errorf("Sync() = %v, want a DiskError with %v and the path", err, kind)
		}
		if _, err := d.CreateSnapshot(3); !errors.As(err, &disk) {
			t.Errorf("CreateSnapshot() = %v, want a DiskError", err)
		}
		_ = d.Close()
		if err := loadErr(t, files, memOptions()); !errors.As(err, &disk) || !strings.Contains(err.Error(), "/data/version-2") {
			t.Errorf("a start on that disk = %v, want a DiskError with the path", err)
		}
		files.SetFault(nil)
		if _, rec := openLoad(t, files, memOptions()); rec.Last != 3 && rec.Last != 4 {
			t.Errorf("after the repair: last zxid %v, want 0x3, or 0x4 which was written", rec.Last)
		}
	}
}

func TestLoadedDirectoryOnly(t *testing.T) {
	d, err := Open(vfs.NewMem(1), memOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Append(nil) == nil || d.Sync() == nil || d.SnapshotDue() {
		t.Error("a directory that was not loaded takes entries")
	}
	_, _, cut := d.Truncate(0)
	_, reload := d.Reload()
	_, plan := d.PlanFor(0)
	_, read := d.ReadFrom(0)
	for i, err := range []error{d.SaveEpochs(1, 1), d.Restore(tree.New()), cut, reload, plan, read} {
		if !errors.Is(err, errNotLoaded) {
			t.Errorf("call %d on a directory that was not loaded: %v", i, err)
		}
	}
	if _, err := d.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load(); err == nil {
		t.Error("Load() twice = nil, want an error")
	}
}

// BenchmarkShortLife is what a simulated server pays for its disk.
func BenchmarkShortLife(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d, err := Open(vfs.NewMem(uint64(i)), memberOptions())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Load(); err != nil {
			b.Fatal(err)
		}
		for z := proto.Zxid(1); z <= 100; z++ {
			if err := errors.Join(d.Append([]txn.Entry{setData(z)}), d.Sync()); err != nil {
				b.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	files := vfs.NewMem(1)
	o := memOptions()
	o.PreAllocSize = 64 << 20
	d, err := Open(files, o)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.Load(); err != nil {
		b.Fatal(err)
	}
	const n = 100_000
	for z := proto.Zxid(1); z <= n; z++ {
		x := txn.Txn{Header: txn.Header{Session: 1, Zxid: z, Type: proto.OpCreate}}
		x.Path, x.Data, x.ACL, x.ParentCVersion = fmt.Sprintf("/node-%d", z), make([]byte, 100), proto.WorldAll(), int32(z)
		if err := d.Append([]txn.Entry{x.Entry()}); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, err := Open(files, o)
		if err != nil {
			b.Fatal(err)
		}
		rec, err := d.Load()
		if err != nil || rec.Last != n {
			b.Fatal(rec, err)
		}
		_ = d.Close()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "entries/s")
}
