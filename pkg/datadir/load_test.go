package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

func golden(parts ...string) string {
	return filepath.Join(append([]string{"..", "..", "testdata"}, parts...)...)
}

// sub is a directory with version-2 in it, copied from the recorded case.
func sub(t *testing.T, set, name, data string) string {
	t.Helper()
	return copyDir(t, golden(set, "storage", name, data))
}

func loadErr(t *testing.T, files vfs.FS, o Options) error {
	t.Helper()
	d, err := Open(files, o)
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = d.Load()
	return err
}

// setData is an entry that changes nothing but the zxid.
func setData(z proto.Zxid) txn.Entry {
	x := txn.Txn{Header: txn.Header{Session: 1, Zxid: z, Type: proto.OpSetData}}
	x.Path, x.Data = "/", []byte("data")
	return x.Entry()
}

func appendSync(t *testing.T, d *Dir, zs ...proto.Zxid) {
	t.Helper()
	for _, z := range zs {
		if err := d.Append([]txn.Entry{setData(z)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
}

// writeLog writes a log as it is told to, which Append would not.
func writeLog(t *testing.T, files vfs.FS, zs ...proto.Zxid) {
	t.Helper()
	w := txnlog.NewWriter(files, txnlog.Options{Dir: "/data/version-2", FileSize: 4096, Inline: true})
	for _, z := range zs {
		if err := w.Append(setData(z)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func memOptions() Options {
	return Options{DataDir: "/data", PreAllocSize: 4096, ForceSync: true, Digest: true, Inline: true, Sole: true}
}

func TestTrap11_LogWithAStandaloneCheckLoads(t *testing.T) {
	dir := sub(t, "golden", "poisoned-standalone-check", "data")
	_, rec := openLoad(t, vfs.Disk(), Options{DataDir: dir, Digest: true, ForceSync: true})
	if rec.Last != 4 {
		t.Errorf("last zxid %v, want 0x4", rec.Last)
	}
	for _, path := range []string{"/a", "/b"} {
		if _, ok := rec.Tree.Find(path); !ok {
			t.Errorf("%s is missing", path)
		}
	}
	if len(rec.Recent) != 4 {
		t.Fatalf("%d recent entries, want 4", len(rec.Recent))
	}
	var x txn.Txn
	if err := x.Decode(rec.Recent[2].Bytes); err != nil || x.Header.Type != proto.OpError || x.Err != proto.Unimplemented || x.Zxid != 3 {
		t.Errorf("the check is handed on as %+v, %v, want an error txn with -6", x, err)
	}
}

func TestTrap15_NameOfASnapshotTellsItsZxid(t *testing.T) {
	files := vfs.NewMem(1)
	d, _ := openLoad(t, files, memOptions())
	appendSync(t, d, 1, 2, 3)
	f, err := d.CreateSnapshot(1) // named 1, and written when the tree was at 3
	if err != nil {
		t.Fatal(err)
	}
	writeFuzzy(t, f, tree.New(), 3)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, rec := openLoad(t, files, memOptions())
	if rec.Snapshot != "/data/version-2/snapshot.1" || rec.Last != 3 || rec.Replayed != 2 {
		t.Errorf("from %s: %d entries replayed up to %v, want 2 up to 0x3", rec.Snapshot, rec.Replayed, rec.Last)
	}
}

func TestSnapshotAheadOfTheLogIsPutAside(t *testing.T) {
	files := vfs.NewMem(1)
	d, _ := openLoad(t, files, memOptions())
	appendSync(t, d, 1, 2, 3)
	f, err := d.CreateSnapshot(2)
	if err != nil {
		t.Fatal(err)
	}
	writeFuzzy(t, f, tree.New(), 9) // holds changes that the log has lost
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, rec := openLoad(t, files, memOptions())
	if rec.Snapshot != "/data/version-2/snapshot.0" || rec.Last != 3 {
		t.Errorf("from %s up to %v, want snapshot.0 up to 0x3", rec.Snapshot, rec.Last)
	}
	appendSync(t, d, 4, 5, 6, 7, 8, 9, 10)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, rec = openLoad(t, files, memOptions()); rec.Snapshot != "/data/version-2/snapshot.0" || rec.Last != 10 {
		t.Errorf("later from %s up to %v, want snapshot.0 up to 0xa", rec.Snapshot, rec.Last)
	}
}

func TestTrap19_DigestsSwitchedOverExistingDirectories(t *testing.T) {
	for _, c := range goldenCases(t) {
		if !strings.Contains(c.name, "all-types-restart") && !strings.Contains(c.name, "digest-disabled") {
			continue
		}
		want := readExpected(t, c.expected)
		o := c.options(copyDir(t, c.data))
		o.Digest = !o.Digest
		_, rec := openLoad(t, vfs.Disk(), o)
		if rec.Last.String() != want.LastZxid || rec.Tree.NodeCount() != len(want.Nodes) || rec.DigestMismatches != 0 {
			t.Errorf("%s: %d nodes at %v, %d digests differ, want %d at %s",
				c.name, rec.Tree.NodeCount(), rec.Last, rec.DigestMismatches, len(want.Nodes), want.LastZxid)
		}
	}
}

func TestTrap20_RepeatedZxidsLoad(t *testing.T) {
	dir := sub(t, "golden39", "ensemble-undecodable", "data3")
	_, rec := openLoad(t, vfs.Disk(), Options{DataDir: dir, Digest: true})
	if rec.Last != 0x100000017 || rec.Replayed != 26 {
		t.Errorf("%d entries up to %v, want 26 up to 0x100000017", rec.Replayed, rec.Last)
	}
}

// logged is a log file that holds one list of entries behind another, which no writer of ours would.
func logged(t *testing.T, entry func(proto.Zxid) txn.Entry, lists ...[]proto.Zxid) []byte {
	t.Helper()
	const header = 16
	var image []byte
	for _, zs := range lists {
		disk := vfs.NewMem(1)
		w := txnlog.NewWriter(disk, txnlog.Options{Dir: "/", FileSize: 4096, Inline: true})
		for _, z := range zs {
			if err := w.Append(entry(z)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b := slurp(t, disk, fmt.Sprintf("/log.%x", int64(zs[0])))
		if image == nil {
			image = []byte(b[:header])
		}
		image = append(image, strings.TrimRight(b[header:], "\x00")...) // a record ends with a B
	}
	return image
}

// TestEntriesThatWereLoggedAgain: as ZooKeeper's servers do whose leader was lost while it brought them up. What only looks
// like that is another history.
func TestEntriesThatWereLoggedAgain(t *testing.T) {
	disk := memberDisk(t)
	put(t, disk, memberDir+"log.1", logged(t, setData, []proto.Zxid{1, 2, 3}, []proto.Zxid{2, 3, 4}, []proto.Zxid{1, 2, 3, 4, 5}))
	put(t, disk, memberDir+"log.4", logged(t, setData, []proto.Zxid{4, 5, 6}))
	d, rec := openLoad(t, disk, memberOptions())
	if rec.Last != 6 || rec.Replayed != 6 || len(rec.Warnings) != 2 {
		t.Fatalf("%d entries up to %v, %q, want 6 up to 6, and a warning for each file", rec.Replayed, rec.Last, rec.Warnings)
	}
	c, err := d.ReadFrom(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []proto.Zxid{3, 4, 5, 6} {
		if e, err := c.Next(6); e.Zxid != want {
			t.Fatalf("a learner is sent %v, %v, want %v", e.Zxid, err, want)
		}
	}
	if err := errors.Join(c.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	d, _, base := cutTo(t, disk, 3)
	if err := d.Close(); base || err != nil {
		t.Fatalf("a cut below the repetition: %v, %v, want none: the leader sends its tree", base, err)
	}
	if _, rec := openLoad(t, disk, memberOptions()); rec.Last != 6 {
		t.Errorf("after the cut that was none: %v, want 6", rec.Last)
	}

	other := memberDisk(t, []proto.Zxid{1, 2, 3})
	put(t, other, memberDir+"log.2", logged(t, func(z proto.Zxid) txn.Entry {
		x := txn.Txn{Header: txn.Header{Session: 2, Zxid: z, Type: proto.OpError}}
		return x.Entry()
	}, []proto.Zxid{2}))
	var bad *DamageError
	if err := loadErr(t, other, memberOptions()); !errors.As(err, &bad) || !strings.Contains(err.Error(), "0x2 stands behind 0x3") {
		t.Errorf("another entry with a zxid that was there = %v", err)
	}
}

func TestTrap20_SubTypeCreate2IsAppliedInFull(t *testing.T) {
	files := vfs.NewMem(1)
	d, _ := openLoad(t, files, memOptions())
	x := txn.Txn{Header: txn.Header{Session: 1, Zxid: 1, Type: proto.OpMulti}}
	for i, typ := range []proto.Op{proto.OpCreate, proto.OpCreate2, proto.OpCreate} {
		x.Subs = append(x.Subs, txn.Body{Type: typ, Path: fmt.Sprintf("/n%d", i), ACL: proto.WorldAll(), ParentCVersion: int32(i + 1)})
	}
	if err := errors.Join(d.Append([]txn.Entry{x.Entry()}), d.Sync(), d.Close()); err != nil {
		t.Fatal(err)
	}
	_, rec := openLoad(t, files, memOptions())
	for _, path := range []string{"/n0", "/n1", "/n2"} {
		if _, ok := rec.Tree.Find(path); !ok {
			t.Errorf("%s is missing", path)
		}
	}
}

func TestTrap20_HoleInALogIsRefused(t *testing.T) {
	for name, zs := range map[string][]proto.Zxid{
		"inside an epoch":       {1, 2, 4},
		"at the beginning":      {2, 3},
		"first of a new epoch":  {1, 2, 0x100000002},
		"repeated, then a hole": {1, 2, 2, 4},
	} {
		files := vfs.NewMem(1)
		d, _ := openLoad(t, files, memOptions())
		if err := d.Append([]txn.Entry{setData(zs[0] + 5)}); err == nil {
			t.Errorf("%s: Append() behind a hole = nil, want an error", name)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		writeLog(t, files, zs...)
		var bad *DamageError
		if err := loadErr(t, files, memOptions()); !errors.As(err, &bad) || !strings.Contains(bad.Path, "log.") || !strings.Contains(err.Error(), "offset") {
			t.Errorf("%s: Load() = %v, want a DamageError with file and offset", name, err)
		}
	}
}

func TestTrap20_EmptyLastLogIsRemoved(t *testing.T) {
	for name, image := range map[string][]byte{
		"empty":       nil,
		"zeros":       make([]byte, 5000),
		"header only": append([]byte("ZKLG\x00\x00\x00\x02"), make([]byte, 5000)...),
	} {
		files := vfs.NewMem(1)
		d, _ := openLoad(t, files, memOptions())
		appendSync(t, d, 1, 2)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		put(t, files, "/data/version-2/log.3", image)
		d, rec := openLoad(t, files, memOptions())
		if rec.Last != 2 {
			t.Errorf("%s: last zxid %v, want 0x2", name, rec.Last)
		}
		if _, err := files.Stat("/data/version-2/log.3"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file is still there: %v", name, err)
		}
		appendSync(t, d, 3)
	}
}

func put(t *testing.T, files vfs.FS, path string, image []byte) {
	t.Helper()
	f, err := files.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(image); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), files.SyncDir(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
}

func TestDamageIsRefusedAndNamed(t *testing.T) {
	damage := func(from, to string, at int) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "version-2", from)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[at] ^= 0x40
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(dir, "version-2", to)
		}
	}
	remove := func(name, blamed string) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			if err := os.Remove(filepath.Join(dir, "version-2", name)); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(dir, "version-2", blamed)
		}
	}
	for _, c := range []struct {
		name, golden string
		harm         func(*testing.T, string) string
	}{
		{"an entry in an earlier log", "rolling-fuzzy", damage("log.162", "log.162", 500)},
		{"the header of a log", "rolling-fuzzy", damage("log.162", "log.162", 1)},
		{"a log in the middle is missing", "rolling-fuzzy", remove("log.13e", "log.162")},
		{"only snapshot", "all-types-log-only", damage("snapshot.0", "snapshot.0", 30)},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, data, ok := strings.Cut(c.golden, "/")
			if !ok {
				data = "data"
			}
			dir := sub(t, "golden39", name, data)
			if c.name == "an entry in an earlier log" {
				put(t, vfs.Disk(), filepath.Join(dir, "version-2", "log.999"), slices.Concat([]byte("ZKLG\x00\x00\x00\x02"), make([]byte, 8), []byte("rest")))
			}
			path := c.harm(t, dir)
			err := loadErr(t, vfs.Disk(), Options{DataDir: dir, Digest: true, MaxBatch: 1000})
			var bad *DamageError
			if !errors.As(err, &bad) || bad.Path != path {
				t.Errorf("Load() = %v, want a DamageError that names %s", err, path)
			}
		})
	}
}

func TestDamagedSnapshotFallsBackToAnOlderOne(t *testing.T) {
	dir := sub(t, "golden39", "rolling-fuzzy", "data")
	want := readExpected(t, golden("golden39", "storage", "rolling-fuzzy", "expected.json"))
	harm := func(name string) {
		path := filepath.Join(dir, "version-2", name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ harm, from string }{
		{"snapshot.15c", "snapshot.d6"}, {"snapshot.d6", "snapshot.6a"}, {"snapshot.6a", "snapshot.1f"}, {"snapshot.1f", "snapshot.0"},
	} {
		harm(step.harm)
		d, rec := openLoad(t, vfs.Disk(), Options{DataDir: dir, Digest: true, ForceSync: true})
		if filepath.Base(rec.Snapshot) != step.from || len(rec.Warnings) == 0 {
			t.Errorf("without %s it began with %s, want %s, and a warning: %q", step.harm, rec.Snapshot, step.from, rec.Warnings)
		}
		compare(t, "without "+step.harm, rec, want)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoOlderTreeThanASnapshotThatIsThere(t *testing.T) {
	// The snapshot came from a leader: the log before it ends far below.
	dir := sub(t, "golden39", "ensemble-3", "data1")
	v2 := filepath.Join(dir, "version-2")
	if err := os.Remove(filepath.Join(v2, "log.100000287")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(v2, "snapshot.100000286"))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(filepath.Join(v2, "snapshot.100000286"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	var bad *DamageError
	if err := loadErr(t, vfs.Disk(), Options{DataDir: dir}); !errors.As(err, &bad) || !strings.HasSuffix(bad.Path, "snapshot.100000286") {
		t.Errorf("Load() = %v, want a DamageError that names the snapshot", err)
	}
}

// writeFuzzy writes a snapshot whose digest says that the tree went on to zxid z meanwhile.
func writeFuzzy(t *testing.T, f *SnapshotFile, tr *tree.Tree, z proto.Zxid) {
	t.Helper()
	w := tr.NewWalk()
	defer w.Close()
	s := snapshot.NewWriter(f, w.Sessions, w.ACLs)
	for w.Next(100, s.Node) {
	}
	if err := s.Finish(z, w.Digest, true); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}
