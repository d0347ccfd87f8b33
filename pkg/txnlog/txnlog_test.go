package txnlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

const dir = "/log"

func memDir(t testing.TB, seed uint64) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem(seed)
	if err := m.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	return m
}

func entry(z proto.Zxid, size int) txn.Entry {
	x := txn.Txn{Header: txn.Header{Session: 1, Zxid: z, Type: proto.OpSetData}}
	x.Path, x.Data = "/a", bytes.Repeat([]byte{'x'}, size)
	return x.Entry()
}

func write(t testing.TB, w *Writer, es ...txn.Entry) {
	t.Helper()
	for _, e := range es {
		if err := w.Append(e); err != nil {
			t.Fatalf("Append(%v) = %v", e.Zxid, err)
		}
	}
	if err := w.Sync(); err != nil {
		t.Fatalf("Sync() = %v", err)
	}
}

// readFile returns the zxids in one file and how it ends.
func readFile(t testing.TB, files vfs.FS, path string) ([]proto.Zxid, *Reader) {
	t.Helper()
	r, err := Open(files, path, DefaultMaxRecord)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	var zs []proto.Zxid
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return zs, r
		}
		if err != nil {
			t.Fatal(err)
		}
		zs = append(zs, e.Zxid)
	}
}

func logFiles(t testing.TB, files vfs.FS, dir string) []string {
	t.Helper()
	names, err := files.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var logs []string
	for _, name := range names {
		if _, ok := ParseName(name); ok {
			logs = append(logs, name)
		}
	}
	return logs
}

func TestGoldenLogsAreWrittenByteForByte(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", "golden*", "storage", "*", "data*", "version-2", "log.*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded logs: %v", err)
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Open(vfs.Disk(), path, DefaultMaxRecord)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			m := memDir(t, 1)
			w := NewWriter(m, Options{Dir: dir, FileSize: 1 << 20, Inline: true})
			for {
				e, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				write(t, w, e)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got := slurp(t, m, filepath.Join(dir, filepath.Base(path)))
			end := r.Offset()
			if !bytes.Equal(got, want[:end]) {
				t.Fatalf("%d bytes written, want the %d of the recorded file", len(got), end)
			}
			if kind, reason := r.End(); kind != EndClean && !strings.Contains(path, "torn-tail") {
				t.Errorf("the recorded file ends with %q", reason)
			}
		})
	}
}

func slurp(t testing.TB, files vfs.FS, path string) []byte {
	t.Helper()
	f, err := files.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNames(t *testing.T) {
	for name, want := range map[string]proto.Zxid{
		"log.0": 0, "log.1a": 0x1a, "log.100000287": 0x100000287, "log.5.bak": 5,
	} {
		if z, ok := ParseName(name); !ok || z != want {
			t.Errorf("ParseName(%q) = %v, %v, want %v", name, z, ok, want)
		}
	}
	for _, name := range []string{"log", "log.", "log.xyz", "snapshot.1", spareName, "log.-1"} {
		if z, ok := ParseName(name); ok {
			t.Errorf("ParseName(%q) = %v, want none", name, z)
		}
	}
	if got := FileName(0x1000000AB); got != "log.1000000ab" {
		t.Errorf("FileName = %q", got)
	}
}

func TestFollows(t *testing.T) {
	for _, c := range []struct {
		name       string
		last, next proto.Zxid
		want       bool
	}{
		{"the next", 5, 6, true},
		{"the same again", 5, 5, true},
		{"a hole", 5, 7, false},
		{"a step back", 5, 4, false},
		{"the first of the next epoch", 0x100000005, 0x200000001, true},
		{"the first of a later epoch", 0x100000005, 0x700000001, true},
		{"the second of the next epoch", 0x100000005, 0x200000002, false},
		{"the first of an earlier epoch", 0x200000005, 0x100000001, false},
		{"the first behind a snapshot at an epoch's start", 0x200000000, 0x200000001, true},
	} {
		if got := Follows(c.last, c.next); got != c.want {
			t.Errorf("%s: Follows(%v, %v) = %v", c.name, c.last, c.next, got)
		}
	}
}

func TestRollBySizeAndByRequest(t *testing.T) {
	m := memDir(t, 1)
	w := NewWriter(m, Options{Dir: dir, FileSize: 4096, Inline: true})
	for z := proto.Zxid(1); z <= 40; z++ {
		write(t, w, entry(z, 300))
		if z == 35 {
			w.Roll()
		}
	}
	write(t, w, entry(41, 9000)) // longer than a file
	write(t, w, entry(42, 9000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(logFiles(t, m, dir)), "[log.1 log.17 log.22 log.24 log.29 log.2a log.c]"; got != want {
		t.Errorf("files are %s, want %s", got, want)
	}
	next := proto.Zxid(1)
	for _, name := range []string{"log.1", "log.c", "log.17", "log.22", "log.24", "log.29", "log.2a"} {
		zs, r := readFile(t, m, filepath.Join(dir, name))
		for _, z := range zs {
			if z != next {
				t.Fatalf("%s has %v, want %v", name, z, next)
			}
			next++
		}
		if end, _ := r.End(); end != EndClean || r.Size() != r.Offset() {
			t.Errorf("%s: end %v, %d bytes of %d: the rest was not given back", name, end, r.Offset(), r.Size())
		}
	}
	if names, err := m.ReadDir(dir); err != nil || len(names) != 7 {
		t.Errorf("the directory holds %q, %v: the prepared file was not removed", names, err)
	}
}

func TestNoZeros(t *testing.T) {
	m := memDir(t, 1)
	w := NewWriter(m, Options{Dir: dir, FileSize: 1 << 20, Inline: true, NoZeros: true})
	write(t, w, entry(1, 300))
	write(t, w, entry(2, 300))
	zs, r := readFile(t, m, filepath.Join(dir, "log.1"))
	if end, _ := r.End(); len(zs) != 2 || end != EndClean || r.Size() != r.Offset() {
		t.Errorf("%v, end %v at %d of %d bytes", zs, end, r.Offset(), r.Size())
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestRepeatedZxidStaysInItsFile(t *testing.T) {
	m := memDir(t, 1)
	w := NewWriter(m, Options{Dir: dir, Inline: true})
	write(t, w, entry(7, 10))
	w.Roll()
	write(t, w, entry(7, 20))
	write(t, w, entry(8, 20))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(logFiles(t, m, dir)); got != "[log.7 log.8]" {
		t.Errorf("files are %s, want log.7 with both and log.8", got)
	}
}

func TestBatchIsBounded(t *testing.T) {
	m := memDir(t, 1)
	var lens []int
	w := NewWriter(m, Options{Dir: dir, Batch: 1000, Inline: true})
	write(t, w, entry(1, 1))
	last := w.Size()
	m.SetFault(func(o vfs.Op) error {
		if o.Kind == "sync" {
			lens = append(lens, 0)
		}
		return nil
	})
	var es []txn.Entry
	for z := proto.Zxid(2); z < 12; z++ {
		es = append(es, entry(z, 300))
	}
	write(t, w, es...)
	if want := 5; len(lens) != want {
		t.Errorf("%d bytes in %d syncs, want %d", w.Size()-last, len(lens), want)
	}
}

// busy lets the preparer run just before a file is renamed.
type busy struct {
	vfs.FS
	run func()
}

func (b *busy) Rename(from, to string) error {
	b.run()
	return b.FS.Rename(from, to)
}

// TestPreparerLeavesTheFileThatIsBeingNamed: it must not begin another under the name that one has until then.
func TestPreparerLeavesTheFileThatIsBeingNamed(t *testing.T) {
	files := &busy{FS: memDir(t, 1)}
	w := NewWriter(files, Options{Dir: dir, FileSize: 4096, Inline: true})
	files.run = func() {
		w.prep.tried = false // as when its goroutine is woken
		for w.prep.step() {
		}
	}
	for z := proto.Zxid(1); z <= 40; z++ {
		write(t, w, entry(z, 300))
	}
	if got := len(collect(t, w.Cursor(0), noBound)); got != 40 {
		t.Errorf("%d entries are in the files, want 40", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestConcurrentPreparation runs the real goroutine beside a writer that outruns it.
func TestConcurrentPreparation(t *testing.T) {
	for _, disk := range []string{"memory", "real"} {
		t.Run(disk, func(t *testing.T) {
			var files vfs.FS = memDir(t, 1)
			at := dir
			if disk == "real" {
				files, at = vfs.Disk(), t.TempDir()
			}
			w := NewWriter(files, Options{Dir: at, FileSize: 3 << 20, NoSync: disk == "real"})
			z := proto.Zxid(1)
			for range 150 {
				write(t, w, entry(z, 100), entry(z+1, 100<<10))
				z += 2
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, name := range logFiles(t, files, at) {
				zs, r := readFile(t, files, filepath.Join(at, name))
				seen += len(zs)
				if end, reason := r.End(); end != EndClean {
					t.Errorf("%s ends with %s", name, reason)
				}
			}
			if seen != int(z)-1 {
				t.Errorf("%d entries are in the files, want %d", seen, z-1)
			}
		})
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	for _, kind := range []string{"write", "sync"} {
		t.Run(kind, func(t *testing.T) {
			m := memDir(t, 1)
			w := NewWriter(m, Options{Dir: dir, Inline: true})
			write(t, w, entry(1, 10))
			m.SetFault(func(o vfs.Op) error {
				if o.Kind == kind {
					return syscall.EIO
				}
				return nil
			})
			if err := w.Append(entry(2, 10)); err != nil {
				t.Fatal(err)
			}
			err := w.Sync()
			var disk *DiskError
			if !errors.As(err, &disk) || disk.Path != dir+"/log.1" || !errors.Is(err, syscall.EIO) {
				t.Fatalf("Sync() = %v, want a DiskError that names %s/log.1", err, dir)
			}
			ops := m.Ops()
			m.SetFault(nil)
			if again := w.Sync(); !errors.Is(again, syscall.EIO) {
				t.Errorf("the next Sync() = %v, want the first error", again)
			}
			if err := w.Append(entry(3, 10)); !errors.Is(err, syscall.EIO) {
				t.Errorf("Append() = %v, want the first error", err)
			}
			if m.Ops() != ops {
				t.Errorf("%d operations after the error, want none", m.Ops()-ops)
			}
		})
	}
}

// warnings collects what a Writer announces.
type warnings struct {
	mu   sync.Mutex
	text []string
}

func (w *warnings) add(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, s)
}

// TestFullDisk fills the disk up: first the next file cannot be prepared, which is announced once and survived, and
// then a batch cannot be written, which is not.
func TestFullDisk(t *testing.T) {
	for _, want := range []error{syscall.ENOSPC, syscall.EROFS} {
		m := memDir(t, 1)
		var warned warnings
		w := NewWriter(m, Options{Dir: dir, FileSize: 4096, Inline: true, Warn: warned.add})
		write(t, w, entry(1, 100))
		full := ""
		m.SetFault(func(o vfs.Op) error {
			if strings.Contains(o.Path, full) && (o.Kind == "write" || o.Kind == "create") {
				return want
			}
			return nil
		})
		full = spareName
		for z := proto.Zxid(2); z < 60; z++ {
			write(t, w, entry(z, 300))
		}
		if len(warned.text) != 1 || !strings.Contains(warned.text[0], dir+"/"+spareName) {
			t.Errorf("%v: announced %q, want once, with the path", want, warned.text)
		}
		full = ""
		err := errors.Join(w.Append(entry(60, 300)), w.Sync())
		var disk *DiskError
		if !errors.As(err, &disk) || !errors.Is(err, want) || !strings.HasPrefix(disk.Path, dir+"/log.") {
			t.Errorf("Sync() = %v, want a DiskError with %v that names the log", err, want)
		}
		m.SetFault(nil)
		seen := 0
		for _, name := range logFiles(t, m, dir) {
			zs, _ := readFile(t, m, filepath.Join(dir, name))
			seen += len(zs)
		}
		if seen < 59 {
			t.Errorf("%v: %d entries are left of 59", want, seen)
		}
	}
}

func TestFullDiskAtStart(t *testing.T) {
	m := memDir(t, 1)
	m.SetFault(func(vfs.Op) error { return syscall.ENOSPC })
	w := NewWriter(m, Options{Dir: dir, Inline: true})
	err := errors.Join(w.Append(entry(1, 10)), w.Sync())
	var disk *DiskError
	if !errors.As(err, &disk) || !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(disk.Path, dir) {
		t.Errorf("Sync() = %v, want a DiskError with a path", err)
	}
}

func TestExistingFileIsNeverReplaced(t *testing.T) {
	m := memDir(t, 1)
	w := NewWriter(m, Options{Dir: dir, Inline: true})
	write(t, w, entry(5, 10))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before := slurp(t, m, dir+"/log.5")
	w = NewWriter(m, Options{Dir: dir, Inline: true})
	if err := errors.Join(w.Append(entry(5, 99)), w.Sync()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Sync() = %v, want that the file exists", err)
	}
	if !bytes.Equal(before, slurp(t, m, dir+"/log.5")) {
		t.Error("the file was changed")
	}
}
