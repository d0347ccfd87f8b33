package offline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

const recorded = "../../testdata/golden39/storage/"

// dataDir copies a recorded directory, and returns its version-2.
func dataDir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(recorded+name+"/data")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, versionDir)
}

func change(t *testing.T, path string, f func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flip spoils one byte.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	change(t, path, func(b []byte) []byte { b[at] ^= 0x01; return b })
}

func TestEntriesSayWhatTheLogHolds(t *testing.T) {
	var all, multi string
	n := 0
	err := EachEntry(recorded+"all-types-restart/data/version-2/log.1", func(e *Entry) error {
		n++
		all += fmt.Sprintln(e.Zxid, e.Type, e)
		if e.Zxid == "0x25" {
			b, err := json.Marshal(e)
			multi = string(b)
			return err
		}
		return nil
	})
	if err != nil || n != 55 {
		t.Fatalf("%d entries, %v", n, err)
	}
	for _, want := range []string{
		"0x1 createSession timeout 30000 ms\n", "0x4 create /a 5 bytes\n", "0xc create /a/e 3 bytes ephemeral\n", "0x15 createTTL /ttl 1 bytes ttl 3600000 ms\n",
		"0x18 setData /a 2 bytes version 1\n", "0x34 closeSession removes /d-eph2 /d-eph\n", "[setData /m 1 bytes version 1]",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in\n%s", want, all)
		}
	}
	if !strings.Contains(multi, `"acl":[{"perms":"cdrwa","scheme":"world","id":"anyone"}]`) || !strings.Contains(multi, `"digest":"`) {
		t.Errorf("the multi is %s", multi)
	}
}

func TestVerifyNamesFileAndOffset(t *testing.T) {
	dir := dataDir(t, "all-types-restart")
	reports, err := VerifyLogs([]string{filepath.Join(dir, "log.1"), filepath.Join(dir, "log.38")})
	if err != nil || reports[0].Entries != 55 || reports[0].Last != "0x37" || reports[1].First != "0x38" || reports[1].Notes != nil {
		t.Errorf("the whole logs: %+v, %v", reports, err)
	}
	all, err := Logs([]string{filepath.Dir(dir)})
	if err != nil || len(all) != 2 || filepath.Base(all[0]) != "log.1" {
		t.Errorf("the logs of the directory are %v, %v", all, err)
	}
	flip(t, all[0], 200)
	reports, err = VerifyLogs(all)
	var bad *txnlog.CorruptError
	if !errors.As(err, &bad) || bad.Path != all[0] || bad.Offset > 200 || bad.Offset < 100 || reports[0].Damage == "" || reports[1].Damage != "" {
		t.Errorf("a flipped bit: %+v, %v", reports, err)
	}
	if Kind(err) != Damaged {
		t.Errorf("the cause of %v is %v", err, Kind(err))
	}
	torn, err := VerifyLogs([]string{recorded + "killed-torn-tail/data/version-2/log.1"})
	if err != nil || len(torn[0].Notes) != 1 || !strings.Contains(torn[0].Notes[0], "torn at offset") {
		t.Errorf("a torn end: %+v, %v", torn, err)
	}
	gap, err := VerifyLogs([]string{all[1], all[1]})
	if err != nil || len(gap[1].Notes) != 1 || !strings.Contains(gap[1].Notes[0], "does not go on behind") {
		t.Errorf("a log that does not go on: %+v, %v", gap, err)
	}

	snap := filepath.Join(dir, "snapshot.37")
	snaps, err := VerifySnapshots([]string{filepath.Join(dir, "snapshot.0"), snap})
	if err != nil || snaps[1].Nodes != 32 || snaps[1].Zxid != "0x37" || snaps[1].Sessions != 2 || snaps[1].Digest != "ok" {
		t.Errorf("the whole snapshots: %+v, %v", snaps, err)
	}
	flip(t, snap, 300)
	snaps, err = VerifySnapshots([]string{snap})
	var worse *snapshot.CorruptError
	if !errors.As(err, &worse) || worse.Path != snap || snaps[0].Damage == "" || Kind(err) != Damaged {
		t.Errorf("a snapshot with a flipped bit: %+v, %v", snaps, err)
	}
}

// load starts a server's part that reads the directory, and returns how far it comes.
func load(t *testing.T, version2 string) (proto.Zxid, error) {
	t.Helper()
	d, err := datadir.Open(vfs.Disk(), datadir.Options{DataDir: filepath.Dir(version2), Sole: true, Inline: true, PreAllocSize: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	rec, err := d.Load()
	if err != nil {
		return 0, err
	}
	return rec.Last, nil
}

func always(*Entry) (bool, error) { return true, nil }

func TestRepairMakesTheLogLoad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(b []byte) []byte
		how   Repair
		want  proto.Zxid // 0: it cannot be mended
		fixed int
	}{
		"a wrong checksum":           {func(b []byte) []byte { b[20] ^= 1; return b }, Repair{}, 0x37, 1},
		"a record that makes no txn": {func(b []byte) []byte { b[27+32-1] ^= 0x40; return b }, Repair{}, 0, 0},
		"an impossible length":       {func(b []byte) []byte { b[24] = 0xff; return b }, Repair{}, 0, 0},
		"a torn end":                 {func(b []byte) []byte { return b[:end(b)-3] }, Repair{}, 0x36, 0},
		"cut":                        {func(b []byte) []byte { return b }, Repair{Cut: 0x20}, 0x20, 0},
		"cut where there is nothing": {func(b []byte) []byte { return b }, Repair{Cut: 0x99}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t, "all-types-restart")
			for _, other := range []string{"log.38", "snapshot.37"} {
				if err := os.Remove(filepath.Join(dir, other)); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "log.1")
			change(t, path, c.spoil)
			spoiled, _ := os.ReadFile(path)
			c.how.Keep = always
			res, err := RepairLog(path, c.how)
			after, _ := os.ReadFile(path)
			if c.want == 0 {
				if err == nil || !bytes.Equal(after, spoiled) {
					t.Fatalf("RepairLog = %+v, %v, and the file has changed: %v", res, err, !bytes.Equal(after, spoiled))
				}
				return
			}
			if err != nil || res.Fixed != c.fixed || res.Kept != filepath.Join(dir, "unusable-log.1") {
				t.Fatalf("RepairLog = %+v, %v", res, err)
			}
			if kept, _ := os.ReadFile(res.Kept); !bytes.Equal(kept, spoiled) {
				t.Errorf("%s is not the file as it was", res.Kept)
			}
			if got, err := load(t, dir); got != c.want || err != nil {
				t.Errorf("the directory loads up to %v, %v, want %v", got, err, c.want)
			}
			if again, err := RepairLog(path, Repair{Keep: always}); err != nil || again.Kept != "" {
				t.Errorf("once more: %+v, %v", again, err)
			}
		})
	}
}

// end returns where the padding of a log begins.
func end(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

func TestRepairAsksAndRefuses(t *testing.T) {
	dir := dataDir(t, "all-types-restart")
	path := filepath.Join(dir, "log.1")
	flip(t, path, 20)
	var asked []string
	_, err := RepairLog(path, Repair{Keep: func(e *Entry) (bool, error) {
		asked = append(asked, fmt.Sprint(e.Offset, " ", e.Zxid))
		return false, nil
	}})
	if !errors.Is(err, ErrDeclined) || fmt.Sprint(asked) != "[16 0x1]" {
		t.Errorf("asked for %v: %v", asked, err)
	}
	if _, err := RepairLog(path, Repair{Cut: 0x20, Keep: always}); Kind(err) != Refused || !strings.Contains(err.Error(), "log.38 follows it") {
		t.Errorf("a cut in the middle: %v", err)
	}
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		if strings.HasPrefix(n.Name(), "tmp-") || strings.HasPrefix(n.Name(), "unusable-") {
			t.Errorf("%s is left", n.Name())
		}
	}
}

// TestARunningServerKeepsItsFiles: what would change them is refused, and what reads them is not.
func TestARunningServerKeepsItsFiles(t *testing.T) {
	dir := dataDir(t, "all-types-restart")
	d, err := datadir.Open(vfs.Disk(), datadir.Options{DataDir: filepath.Dir(dir), Sole: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	before := names(t, dir)
	path := filepath.Join(dir, "log.1")
	if _, err := RepairLog(path, Repair{Keep: always}); Kind(err) != Locked {
		t.Errorf("repair: %v", err)
	}
	if _, err := Purge(filepath.Dir(dir), "", 1); Kind(err) != Locked {
		t.Errorf("purge: %v", err)
	}
	for name, args := range map[string][]string{
		"zkTxnLogToolkit.sh":     {"-r", path},
		"zkCleanup.sh":           {filepath.Dir(dir), "-n", "3"},
		"zkServer-initialize.sh": {"--force", "--configfile", path},
	} {
		code, out, said := call(name, Host{Dirs: func(string) (string, string, error) { return filepath.Dir(dir), "", nil }}, args...)
		if code != javaError || !strings.Contains(out+said, "locked by another server") {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, said)
		}
	}
	if _, err := VerifyLogs([]string{path}); err != nil {
		t.Errorf("verify: %v", err)
	}
	if after := names(t, dir); !slices.Equal(before, after) {
		t.Errorf("there were %v, and are %v", before, after)
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestPurgeKeepsWhatIsNeeded(t *testing.T) {
	dir := dataDir(t, "rolling-fuzzy")
	before, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	snaps, err := Snapshots([]string{dir})
	if err != nil || len(snaps) < 4 {
		t.Fatalf("there are %v, %v", snaps, err)
	}
	removed, err := Purge(filepath.Dir(dir), "", 2)
	if err != nil || !slices.Contains(removed, snaps[0]) || len(removed) < 3 {
		t.Errorf("removed %v, %v", removed, err)
	}
	left, _ := Snapshots([]string{dir})
	if !slices.Equal(left, snaps[len(snaps)-2:]) {
		t.Errorf("%v are left of %v", left, snaps)
	}
	if again, err := Purge(filepath.Dir(dir), "", 2); err != nil || len(again) > 0 {
		t.Errorf("once more removes %v, %v", again, err)
	}
	if after, err := load(t, dir); after != before || err != nil {
		t.Errorf("the directory loads up to %v, %v, and did up to %v", after, err, before)
	}
	if _, err := Purge(t.TempDir(), "", 3); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory of no server: %v", err)
	}
}

func TestCompareAndSummary(t *testing.T) {
	dir := recorded + "all-types-restart/data/version-2/"
	read := func(path string) *Snapshot {
		t.Helper()
		s, err := ReadSnapshot(path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	from, to := read(dir+"snapshot.0"), read(dir+"snapshot.37")
	var got []string
	note := func(d Difference) error { got = append(got, d.Change+" "+d.Path); return nil }
	n, err := Compare(from, to, note)
	if err != nil || n != 30 || got[0] != "changed /" || got[1] != "added /a" || got[2] != "added /a/b" || got[n-1] != "added /zookeeper/quota/a/zookeeper_stats" {
		t.Errorf("%d differences: %v, %v", n, got, err)
	}
	got = nil
	if back, err := Compare(to, from, note); back != n || err != nil || got[1] != "removed /a" {
		t.Errorf("the other way round: %v, %v", got, err)
	}
	if n, err := Compare(to, read(recorded+"ensemble-3/data2/version-2/snapshot.100000289"), note); n == 0 || err != nil {
		t.Errorf("a snapshot of another run: %d differences, %v", n, err)
	}
	if n, err := Compare(to, read(recorded+"snap-gz/data/version-2/snapshot.37.gz"), note); n != 0 || err != nil {
		t.Errorf("the same, compressed: %d differences, %v", n, err)
	}
	list, err := to.Summary("/", 1)
	if want := (Subtree{"/", 0, 32, 99}); err != nil || len(list) != 6 || list[0] != want || list[1] != (Subtree{"/a", 1, 13, 20}) {
		t.Errorf("the summary is %+v, %v", list, err)
	}
	if _, err := to.Summary("/none", 0); Kind(err) != Refused {
		t.Errorf("the summary of no node: %v", err)
	}
	var kinds []string
	if err := to.EachNode("/m", true, func(n *Node) error {
		kinds = append(kinds, fmt.Sprint(n.Path, " ", n.Kind, " ", n.Owner, n.TTL))
		return nil
	}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(kinds, ", "); !strings.Contains(got, "/m persistent 0, /m/10000000000 persistent 0, /m/c container 0, /m/e ephemeral 0x") ||
		!strings.Contains(got, "/m/t ttl ") {
		t.Errorf("the nodes are %s", got)
	}
}

// TestABackupOfAnyName: what the admin command snapshot gives has the name that the operator chose.
func TestABackupOfAnyName(t *testing.T) {
	b, err := os.ReadFile("../../testdata/golden39/admin/streamed-snapshot.bin")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "monday")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSnapshot(path)
	if err != nil || s.Zxid == 0 || s.Zxid != s.Trailer.Last {
		t.Errorf("ReadSnapshot = %+v, %v", s, err)
	}
}
