//go:build interop

package interop

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCompressedSnapshots lets ours and Java's servers take turns on snapshots that either has compressed.
func TestCompressedSnapshots(t *testing.T) {
	for _, method := range []string{"gz", "snappy"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := serve(t, underTest)
			s.proc.kill()
			f, err := os.OpenFile(s.cfg, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintln(f, "snapshot.compression.method="+method); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			s.start(t)
			y := &story{t: t, s: s}
			for i, k := range []kind{javaKind{}, underTest} {
				c := y.session(20000)
				for n := range 700 {
					y.all(c, create(fmt.Sprintf("/n%d-%d", i, n), fmt.Sprintf("%0200d", n), 0))
				}
				before := y.dump()
				s.proc.kill()
				leaveNewest(t, filepath.Join(filepath.Dir(s.cfg), "data", "version-2"), method)
				s.kind = k
				s.start(t)
				y.lines = nil
				compare(t, y.dump(), before)
			}
		})
	}
}

// leaveNewest removes all snapshots but the newest, so that nothing else can make the tree, and that must be compressed.
func leaveNewest(t *testing.T, dir, method string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "snapshot.*"))
	if err != nil {
		t.Fatal(err)
	}
	zxid := func(name string) (z uint64) {
		if _, err := fmt.Sscanf(filepath.Base(name), "snapshot.%x", &z); err != nil {
			t.Fatal(err)
		}
		return z
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(zxid(a), zxid(b)) })
	newest := names[len(names)-1]
	if zxid(newest) == 0 || filepath.Ext(newest) != "."+method {
		t.Fatalf("the newest of %v is not compressed", names)
	}
	for _, name := range names[:len(names)-1] {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}
