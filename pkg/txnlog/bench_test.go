package txnlog

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

func TestAppendAllocatesNothing(t *testing.T) {
	m := memDir(t, 1)
	w := NewWriter(m, Options{Dir: dir, Inline: true})
	e := entry(1, 100)
	z := proto.Zxid(1)
	one := func() {
		for range 10 {
			e.Zxid = z
			z++
			if err := w.Append(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		one()
	}
	if n := testing.AllocsPerRun(500, one); n > 0 {
		t.Errorf("ten entries and a sync make %v allocations, want none", n)
	}
}

// BenchmarkSync appends and syncs batches on the real disk, in the directory of TMPDIR: one of 1 is a lone client's
// write. raw is the same write and fdatasync without a log around them, the floor.
func BenchmarkSync(b *testing.B) {
	for name, n := range map[string]int{"1": 1, "50": 50} {
		b.Run(name, func(b *testing.B) {
			w := NewWriter(vfs.Disk(), Options{Dir: b.TempDir()})
			benchAppend(b, w, n)
		})
	}
	b.Run("raw", func(b *testing.B) {
		f, err := vfs.Disk().Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(make([]byte, 32<<20)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		rec, at := AppendRecord(nil, entry(1, 100)), int64(0)
		for b.Loop() {
			if _, err := f.WriteAt(rec, at); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			at += int64(len(rec))
		}
	})
}

func benchAppend(b *testing.B, w *Writer, n int) {
	defer w.Close()
	e := entry(1, 100)
	b.SetBytes(int64(n * len(e.Bytes)))
	b.ReportAllocs()
	z := proto.Zxid(1)
	for b.Loop() {
		for range n {
			e.Zxid = z
			z++
			if err := w.Append(e); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	w := NewWriter(memDir(b, 1), Options{Dir: dir, Inline: true})
	benchAppend(b, w, 64)
}

func BenchmarkRead(b *testing.B) {
	image := AppendHeader(nil)
	for z := proto.Zxid(1); z <= 100_000; z++ {
		image = AppendRecord(image, entry(z, 100))
	}
	path := filepath.Join(b.TempDir(), "log.1")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(image)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := Open(vfs.Disk(), path, DefaultMaxRecord)
		if err != nil {
			b.Fatal(err)
		}
		var e txn.Entry
		for err == nil {
			e, err = r.Next()
		}
		_ = e
		if !errors.Is(err, io.EOF) || r.Entries() != 100_000 {
			b.Fatalf("%v after %d entries", err, r.Entries())
		}
		_ = r.Close()
	}
}
