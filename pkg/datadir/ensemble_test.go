package datadir

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

const (
	e1        = proto.Zxid(0x100000000)
	e2        = proto.Zxid(0x200000000)
	e3        = proto.Zxid(0x300000000)
	memberDir = "/data/version-2/"
)

func memberOptions() Options {
	o := memOptions()
	o.Sole = false
	return o
}

// memberDisk returns a disk with the snapshot of a new tree and a log for each of the lists.
func memberDisk(t *testing.T, logs ...[]proto.Zxid) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem(1)
	d, _ := openLoad(t, disk, memOptions())
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, zs := range logs {
		writeLog(t, disk, zs...)
	}
	return disk
}

func names(t *testing.T, disk vfs.FS) string {
	t.Helper()
	all, err := disk.ReadDir(memberDir)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, name := range all {
		if !strings.HasPrefix(name, tempPrefix) && !strings.HasSuffix(name, "Epoch") {
			kept = append(kept, name)
		}
	}
	return strings.Join(kept, " ")
}

func slurp(t *testing.T, disk vfs.FS, path string) string {
	t.Helper()
	f, err := disk.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// putSnapshot writes a snapshot that is named z and was written when the tree stood at the zxid written.
func putSnapshot(t *testing.T, disk vfs.FS, z, written proto.Zxid) {
	t.Helper()
	f, err := disk.Create(memberDir + snapshot.FileName(z))
	if err != nil {
		t.Fatal(err)
	}
	tr := tree.New()
	w := tr.NewWalk()
	defer w.Close()
	s := snapshot.NewWriter(f, w.Sessions, w.ACLs)
	for w.Next(10, s.Node) {
	}
	if err := errors.Join(s.Finish(written, w.Digest, true), f.Sync(), f.Close(), disk.SyncDir(memberDir)); err != nil {
		t.Fatal(err)
	}
}

func TestTrap3_VoteIsTheLastLoggedZxid(t *testing.T) {
	for _, set := range []string{"golden", "golden39"} {
		o := Options{DataDir: sub(t, set, "ensemble-trunc-before", "data3"), ForceSync: true, PreAllocSize: 64 << 10}
		if _, rec := openLoad(t, vfs.Disk(), o); rec.Last != e1+10 || rec.CurrentEpoch != 1 || rec.AcceptedEpoch != 1 {
			t.Errorf("%s: last zxid %v, epochs %d and %d; the log ends at 0x10000000a, with four entries that nobody has committed",
				set, rec.Last, rec.AcceptedEpoch, rec.CurrentEpoch)
		}
	}
}

// TestTrap15_CutAsInZooKeeper cuts the recorded directory of an old leader where its new leader has told it to, and
// compares with what ZooKeeper made of it: right behind the entry, when the log has the target.
func TestTrap15_CutAsInZooKeeper(t *testing.T) {
	for set, z := range map[string]proto.Zxid{"golden": e1 + 8, "golden39": e1 + 6} {
		o := Options{DataDir: sub(t, set, "ensemble-trunc-before", "data3"), ForceSync: true, Digest: true, PreAllocSize: 64 << 10}
		d, _ := openLoad(t, vfs.Disk(), o)
		if last, base, err := d.Truncate(z); last != z || !base || err != nil {
			t.Fatalf("%s: Truncate(%v) = %v, %v, %v", set, z, last, base, err)
		}
		java := golden(set, "storage", "ensemble-trunc", "data3", "version-2")
		want, err := os.ReadFile(filepath.Join(java, "log.100000001"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(o.DataDir, "version-2", "log.100000001"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the log has %d bytes, ZooKeeper's %d: %v", set, len(got), len(want), err)
		}
		rec, err := d.Reload()
		if err != nil {
			t.Fatal(err)
		}
		of := tree.Empty() // ZooKeeper wrote a snapshot behind the cut
		if _, err := snapshot.ReadFile(vfs.Disk(), filepath.Join(java, snapshot.FileName(z)), snapshot.Plain, of, z); err != nil {
			t.Fatal(err)
		}
		if rec.Last != z || rec.Tree.Digest() != of.Digest() || rec.DigestMismatches > 0 {
			t.Errorf("%s: the tree at %v has the digest %d, ZooKeeper's %d", set, rec.Last, rec.Tree.Digest(), of.Digest())
		}
		appendSync(t, d, e2+1, e2+2)
		_ = d.Close()
		if _, rec = openLoad(t, vfs.Disk(), o); rec.Last != e2+2 || rec.CurrentEpoch != 2 {
			t.Errorf("%s: after a restart: %v in epoch %d, want 0x200000002 in 2", set, rec.Last, rec.CurrentEpoch)
		}
	}
}

// cutTo opens the disk and cuts it.
func cutTo(t *testing.T, disk vfs.FS, z proto.Zxid) (*Dir, proto.Zxid, bool) {
	t.Helper()
	d, _ := openLoad(t, disk, memberOptions())
	last, base, err := d.Truncate(z)
	if err != nil {
		t.Fatalf("Truncate(%v) = %v", z, err)
	}
	return d, last, base
}

func TestTrap8_CutWithoutABaseRemovesNothing(t *testing.T) {
	log := []proto.Zxid{e1 + 1, e1 + 2, e1 + 3, e2 + 1, e2 + 2}
	for _, c := range []struct {
		name string
		z    proto.Zxid
		make func(t *testing.T, disk vfs.FS)
	}{
		{"beyond the end", e2 + 5, nil},
		{"missing at the end of an epoch", e1 + 4, nil},
		{"in an epoch that is not there", e3 + 1, nil},
		{"below the only snapshot", e1 + 2, func(t *testing.T, disk vfs.FS) {
			putSnapshot(t, disk, e1+3, e1+3)
			if err := disk.Remove(memberDir + "snapshot.0"); err != nil {
				t.Fatal(err)
			}
		}},
		{"inside a snapshot that was written while the tree changed", e1 + 2, func(t *testing.T, disk vfs.FS) { putSnapshot(t, disk, e1+1, e1+3) }},
		{"the snapshot is damaged", e1 + 2, func(t *testing.T, disk vfs.FS) {
			put(t, disk, memberDir+"snapshot.100000001", []byte("ZKSN and so on\x00\x00\x00\x01/"))
			putSnapshot(t, disk, e1+3, e1+3)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := memberDisk(t, log)
			if c.make != nil {
				c.make(t, disk)
			}
			before := names(t, disk)
			d, _, base := cutTo(t, disk, c.z)
			if base || names(t, disk) != before {
				t.Errorf("Truncate(%v) has a base: %v; left are %s of %s", c.z, base, names(t, disk), before)
			}
			appendSync(t, d, e2+3) // and nothing has happened
			_ = d.Close()
			if _, rec := openLoad(t, disk, memberOptions()); rec.Last != e2+3 {
				t.Errorf("later the last zxid is %v, want 0x200000003", rec.Last)
			}
		})
	}
}

func TestTrap8_NewerSnapshotsDoNotBringBackWhatWasCutOff(t *testing.T) {
	disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2}, []proto.Zxid{e1 + 3, e1 + 4}, []proto.Zxid{e1 + 5})
	putSnapshot(t, disk, e1+1, e1+1)
	putSnapshot(t, disk, e1+4, e1+5)
	putSnapshot(t, disk, e1+5, e1+5)
	put(t, disk, memberDir+"snapshot.100000006", []byte("not whole"))
	put(t, disk, memberDir+"snapshot.100000005.tmp", []byte("a name that ZooKeeper would look at"))
	d, _ := openLoad(t, disk, memberOptions())
	late, err := d.CreateSnapshot(e1 + 5) // begun before
	if err != nil {
		t.Fatal(err)
	}
	if last, base, err := d.Truncate(e1 + 3); last != e1+3 || !base || err != nil {
		t.Fatalf("Truncate() = %v, %v, %v, want 0x100000003 with a base", last, base, err)
	}
	if got, want := names(t, disk), "log.100000001 log.100000003 snapshot.0 snapshot.100000001"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
	if err := errors.Join(late.writeTree(tree.New(), true), late.Commit()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, disk); strings.Contains(got, "snapshot.100000005") {
		t.Errorf("the snapshot that was begun before the cut is among %s", got)
	}
	_ = d.Close()
	if _, rec := openLoad(t, disk.Crash(), memberOptions()); rec.Last != e1+3 {
		t.Errorf("after a restart the last zxid is %v, want 0x100000003", rec.Last)
	}
}

func TestCutToTheBeginningOfAnEpoch(t *testing.T) {
	log := []proto.Zxid{e1 + 1, e1 + 2, e2 + 1}
	for _, c := range []struct {
		z, want proto.Zxid
		at      proto.Zxid // of a second snapshot, if any
	}{
		{0, 0, 0},
		{e1, 0, 0},
		{e2, e1 + 2, 0},
		{e2, e2, e2},
		{e3, e2 + 1, 0},
	} {
		disk := memberDisk(t, log)
		if c.at > 0 {
			putSnapshot(t, disk, c.at, c.at)
		}
		d, last, base := cutTo(t, disk, c.z)
		rec, err := d.Reload()
		if last != c.want || !base || err != nil || rec.Last != c.want {
			t.Errorf("Truncate(%v) = %v, %v, %v, want %v with a base", c.z, last, base, err, c.want)
		}
		appendSync(t, d, e3+1)
		_ = d.Close()
	}
}

// TestTrap25_LogWithAHoleIsNoBase cuts directories that a ZooKeeper leader has filled by SNAP, which leaves older files.
func TestTrap25_LogWithAHoleIsNoBase(t *testing.T) {
	for _, c := range []struct {
		z    proto.Zxid
		base bool
	}{
		{e1 + 2, false}, {e1 + 3, false}, {e1 + 6, false}, {e1 + 7, true}, {e1 + 8, true}, {e1 + 9, true}, {e1 + 10, false},
	} {
		disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2, e1 + 3}, []proto.Zxid{e1 + 8, e1 + 9})
		putSnapshot(t, disk, e1+7, e1+7)
		before := names(t, disk)
		d, last, base := cutTo(t, disk, c.z)
		if base != c.base || base && last != c.z || !base && names(t, disk) != before {
			t.Errorf("Truncate(%v) = %v, %v, want a base: %v; left are %s", c.z, last, base, c.base, names(t, disk))
		}
		_ = d.Close()
	}
}

func TestTrap25_NothingRemainsBelowAReceivedTree(t *testing.T) {
	for _, z := range []proto.Zxid{e1 + 1, e1 + 3, e1 + 9, e2, e2 + 7} { // below, in and beyond what is there
		disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2, e1 + 3}, []proto.Zxid{e1 + 4, e1 + 5})
		putSnapshot(t, disk, e1+4, e1+5)
		put(t, disk, memberDir+"snapshot.100000006.tmp", []byte("ZooKeeper would look at it"))
		d, _ := openLoad(t, disk, memberOptions())
		late, err := d.CreateSnapshot(e1 + 5)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Restore(at(z)), d.SaveEpochs(z.Epoch(), z.Epoch())); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(late.writeTree(tree.New(), true), late.Commit()); err != nil {
			t.Fatal(err)
		}
		if got, want := names(t, disk), snapshot.FileName(z); got != want {
			t.Errorf("Restore() at %v leaves %s, want %s", z, got, want)
		}
		if last, base, err := d.Truncate(e1); last != 0 || base || err != nil {
			t.Errorf("a cut below: %v, %v, %v, want no base", last, base, err)
		}
		next := proto.MakeZxid(z.Epoch(), z.Counter()+1)
		appendSync(t, d, next)
		if last, base, err := d.Truncate(z); last != z || !base || err != nil {
			t.Errorf("a cut at the tree: %v, %v, %v", last, base, err)
		}
		appendSync(t, d, next)
		_ = d.Close()
		if _, rec := openLoad(t, disk.Crash(), memberOptions()); rec.Last != next || rec.Snapshot != memberDir+snapshot.FileName(z) || len(rec.Warnings) > 0 {
			t.Errorf("after a restart: %v from %s, %q, want %v", rec.Last, rec.Snapshot, rec.Warnings, next)
		}
	}
}

// at returns a tree that stands at z.
func at(z proto.Zxid) *tree.Tree {
	t := tree.New()
	x := txn.Txn{Header: txn.Header{Zxid: z, Type: proto.OpError}}
	var res tree.Result
	t.Apply(&x, &res)
	return t
}

// TestTrap25_LogsOfTwoHistoriesAreNotJoined: the log of before a SNAP at the beginning of an epoch and that from there on
// look like one, but the old one may have entries that the leader did not have.
func TestTrap25_LogsOfTwoHistoriesAreNotJoined(t *testing.T) {
	disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2, e1 + 3}, []proto.Zxid{e2 + 1})
	put(t, disk, memberDir+"snapshot.200000000", []byte("ZKSN, and damaged\x00\x00\x00\x01/"))
	var bad *DamageError
	if err := loadErr(t, disk, memberOptions()); !errors.As(err, &bad) || !strings.Contains(bad.Path, "snapshot.200000000") {
		t.Errorf("Load() = %v, want a DamageError with the snapshot", err)
	}
}

func TestReceivedTreeWhereThereWasNothing(t *testing.T) {
	o := memberOptions()
	o.NeedInitialize = true
	disk := vfs.NewMem(1)
	d, rec := openLoad(t, disk, o)
	if rec.Last != -1 {
		t.Fatalf("last zxid %v, want -1", rec.Last)
	}
	if err := d.Restore(at(e1 + 5)); err != nil {
		t.Fatal(err)
	}
	appendSync(t, d, e1+6)
	_ = d.Close()
	if _, rec := openLoad(t, disk, o); rec.Last != e1+6 {
		t.Errorf("last zxid %v, want 0x100000006", rec.Last)
	}
}

func TestReceivedTreeThatDoesNotFitOnTheDisk(t *testing.T) {
	disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2})
	d, _ := openLoad(t, disk, memberOptions())
	before := names(t, disk)
	disk.SetFault(func(o vfs.Op) error {
		if o.Kind == "write" {
			return errFault
		}
		return nil
	})
	var bad *DiskError
	if err := d.Restore(at(e2 + 5)); !errors.As(err, &bad) || !strings.Contains(bad.Path, "received.200000005") {
		t.Errorf("Restore() = %v, want a DiskError with the file", err)
	}
	disk.SetFault(nil)
	if got := names(t, disk); got != before {
		t.Errorf("left are %s, want %s", got, before)
	}
	appendSync(t, d, e1+3) // the server may go on as it was
}
