package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// both runs a test on either kind of disk.
func both(t *testing.T, test func(t *testing.T, files FS, dir string)) {
	t.Run("memory", func(t *testing.T) { test(t, NewMem(1), "/mem") })
	t.Run("real", func(t *testing.T) { test(t, Disk(), t.TempDir()) })
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, files FS, path, content string) File {
	t.Helper()
	f, err := files.Create(path)
	must(t, err)
	_, err = f.Write([]byte(content))
	must(t, err)
	return f
}

func content(t *testing.T, files FS, path string) string {
	t.Helper()
	f, err := files.Open(path)
	must(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	return string(b)
}

func TestBothDisksDoTheSame(t *testing.T) {
	both(t, func(t *testing.T, files FS, dir string) {
		deep := filepath.Join(dir, "a", "b")
		must(t, files.MkdirAll(deep), files.MkdirAll(deep))
		p := filepath.Join(deep, "f")
		f := create(t, files, p, "hello")
		_, err := f.WriteAt([]byte("HE"), 0)
		must(t, err)
		_, err = f.WriteAt([]byte("!"), 7)
		must(t, err, f.Sync(), files.SyncDir(deep))
		if size, err := f.Size(); size != 8 || err != nil {
			t.Errorf("Size() = %d, %v, want 8", size, err)
		}
		if got := content(t, files, p); got != "HEllo\x00\x00!" {
			t.Errorf("content is %q", got)
		}
		must(t, f.Truncate(3))
		b := make([]byte, 5)
		if n, err := f.ReadAt(b, 1); n != 2 || !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt() = %d, %v, want 2 and the end", n, err)
		}
		must(t, f.Truncate(5), f.Close())
		if got := content(t, files, p); got != "HEl\x00\x00" {
			t.Errorf("content is %q", got)
		}
		if _, err := f.Write(nil); err == nil {
			t.Error("Write() to a closed file = nil")
		}
		q := filepath.Join(deep, "g")
		must(t, create(t, files, q, "old").Close(), files.Rename(p, q))
		if st, err := files.Stat(q); st.Size != 5 || st.Dir || err != nil {
			t.Errorf("Stat() = %+v, %v", st, err)
		}
		if st, err := files.Stat(deep); !st.Dir || err != nil {
			t.Errorf("Stat() of a directory = %+v, %v", st, err)
		}
		must(t, create(t, files, filepath.Join(deep, "c"), "").Close())
		if names, err := files.ReadDir(deep); fmt.Sprint(names) != "[c g]" || err != nil {
			t.Errorf("ReadDir() = %v, %v", names, err)
		}
		must(t, files.Remove(q))
		for op, err := range map[string]error{
			"Remove": files.Remove(q), "Rename": files.Rename(q, p), "SyncDir": files.SyncDir(q),
			"Open": second(files.Open(q)), "Edit": second(files.Edit(q)), "Stat": second(files.Stat(q)), "ReadDir": second(files.ReadDir(q)),
			"Create": second(files.Create(filepath.Join(q, "x"))),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s() of what is not there = %v", op, err)
			}
		}
		r, err := files.Open(filepath.Join(deep, "c"))
		must(t, err)
		if _, err := r.WriteAt([]byte("x"), 0); err == nil {
			t.Error("WriteAt() to a file opened for reading = nil")
		}
		must(t, r.Close())
	})
}

func second[T any](_ T, err error) error { return err }

func TestLock(t *testing.T) {
	both(t, func(t *testing.T, files FS, dir string) {
		must(t, files.MkdirAll(dir))
		p := filepath.Join(dir, "lock")
		l, err := files.Lock(p)
		must(t, err)
		if _, err := files.Lock(p); !errors.Is(err, ErrLocked) {
			t.Errorf("Lock() = %v, want ErrLocked", err)
		}
		must(t, l.Close())
		l, err = files.Lock(p)
		must(t, err)
		must(t, l.Close())
	})
}

// outcomes collects what a file may be after a crash, over many seeds.
func outcomes(t *testing.T, path string, work func(m *Mem)) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for seed := range uint64(400) {
		m := NewMem(seed)
		must(t, m.MkdirAll("/d"))
		work(m)
		left := m.Crash()
		if _, err := left.Stat(path); err != nil {
			seen["missing"]++
			continue
		}
		seen[content(t, left, path)]++
	}
	return seen
}

func TestCrashKeepsWhatIsSynced(t *testing.T) {
	seen := outcomes(t, "/d/f", func(m *Mem) {
		f := create(t, m, "/d/f", "safe")
		must(t, f.Sync(), m.SyncDir("/d"))
	})
	if len(seen) != 1 || seen["safe"] == 0 {
		t.Errorf("after a crash: %v", seen)
	}
}

func TestCrashKeepsAnySectors(t *testing.T) {
	page := func(s string) string {
		var b bytes.Buffer
		for _, c := range s {
			b.Write(bytes.Repeat([]byte(string(c)), SectorSize))
		}
		return b.String()
	}
	seen := outcomes(t, "/d/f", func(m *Mem) {
		f := create(t, m, "/d/f", page("abc"))
		must(t, f.Sync(), m.SyncDir("/d"))
		_, err := f.WriteAt([]byte(page("xyz")), 0)
		must(t, err)
	})
	for _, s := range []string{"abc", "xbc", "ayc", "abz", "xyc", "xbz", "ayz", "xyz"} {
		if seen[page(s)] == 0 {
			t.Errorf("%s never comes out of it", s)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d outcomes, want 8", len(seen))
	}
}

func TestCrashTearsSizes(t *testing.T) {
	sizes := map[int]bool{}
	for s := range outcomes(t, "/d/f", func(m *Mem) {
		f := create(t, m, "/d/f", "0123456789")
		must(t, f.Sync(), m.SyncDir("/d"))
		_, err := f.Write(bytes.Repeat([]byte("x"), 90))
		must(t, err)
	}) {
		sizes[len(s)] = true
		if s[:10] != "0123456789" {
			t.Fatalf("%q", s)
		}
	}
	if !sizes[10] || !sizes[100] || len(sizes) < 20 {
		t.Errorf("sizes after a crash: %v", sizes)
	}
}

func TestCrashLosesNames(t *testing.T) {
	work := func(m *Mem) {
		must(t, create(t, m, "/d/f", "old").Sync(), m.SyncDir("/d"))
		must(t, create(t, m, "/d/g", "new").Sync(), m.Rename("/d/g", "/d/f"))
	}
	if seen := outcomes(t, "/d/f", work); seen["old"] == 0 || seen["new"] == 0 || len(seen) != 2 {
		t.Errorf("a rename over a file leaves %v", seen)
	}
	work = func(m *Mem) {
		must(t, create(t, m, "/d/f", "old").Sync(), m.SyncDir("/d"), m.Remove("/d/f"))
	}
	if seen := outcomes(t, "/d/f", work); seen["old"] == 0 || seen["missing"] == 0 {
		t.Errorf("a removal leaves %v", seen)
	}
}

func TestCrashAndFaultsAtOperations(t *testing.T) {
	run := func(m *Mem) error {
		if err := m.MkdirAll("/d"); err != nil {
			return err
		}
		f, err := m.Create("/d/f")
		if err != nil {
			return err
		}
		if _, err := f.Write([]byte("data")); err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Truncate(2), m.SyncDir("/d"), m.Rename("/d/f", "/d/g"), m.Remove("/d/g"))
	}
	m := NewMem(1)
	must(t, run(m))
	if m.Ops() != 8 {
		t.Fatalf("%d operations, want 8", m.Ops())
	}
	for n := 1; n <= 8; n++ {
		m := NewMem(1)
		m.CrashAt(n)
		if err := run(m); !errors.Is(err, ErrCrashed) {
			t.Errorf("crash at %d: %v", n, err)
		}
		if _, err := m.ReadDir("/"); !errors.Is(err, ErrCrashed) {
			t.Errorf("after the crash: ReadDir() = %v", err)
		}
		m = NewMem(1)
		m.SetFault(func(o Op) error {
			if o.N == n {
				return syscall.ENOSPC
			}
			return nil
		})
		if err := run(m); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("fault at %d: %v", n, err)
		}
	}
}

func TestFailedSyncLosesWithoutASign(t *testing.T) {
	seen := outcomes(t, "/d/f", func(m *Mem) {
		f := create(t, m, "/d/f", "safe")
		must(t, f.Sync(), m.SyncDir("/d"))
		_, err := f.WriteAt([]byte("LOST"), 0)
		must(t, err)
		n := m.Ops() + 1
		m.SetFault(func(o Op) error {
			if o.N == n {
				return syscall.EIO
			}
			return nil
		})
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		must(t, f.Sync()) // proves nothing
		if got := content(t, m, "/d/f"); got != "LOST" {
			t.Fatalf("the cache holds %q", got)
		}
	})
	if len(seen) != 1 || seen["safe"] == 0 {
		t.Errorf("after a crash: %v", seen)
	}
}
