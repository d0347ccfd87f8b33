package ctl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/vfs"
)

// TestOfflineVerbs: what is printed, for people and for programs, and the exit codes. What the files hold is shown by the
// tests of package offline.
func TestOfflineVerbs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS("../../testdata/golden39/storage/all-types-restart/data")); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(t.TempDir(), "used")
	d, err := datadir.Open(vfs.Disk(), datadir.Options{DataDir: used, Sole: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	log, first, second := dir+"/version-2/log.1", dir+"/version-2/snapshot.0", dir+"/version-2/snapshot.37"
	image, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	image[20] ^= 1
	spoiled := write(t, "log.1", string(image))
	half := write(t, "snapshot.5", "ZKSN")
	cfg := write(t, "zoo.cfg", "dataDir="+used)
	for name, c := range map[string]struct {
		args      string
		in        string
		code      int
		out, said string
	}{
		"log dump":            {"log dump " + log, "", exit.OK, "0x4             2026-11-22T11:33:28.", ""},
		"log dump, json":      {"log dump -o json " + log, "", exit.OK, `"zxid":"0x15","time":"2026-11-22T11:33:28.`, ""},
		"log dump of damage":  {"log dump " + spoiled, "", exit.Damage, "", spoiled + " is damaged at offset 16: wrong checksum of a record"},
		"log verify":          {"log verify " + dir, "", exit.OK, "log.38  3        0x38   0x3a  301", ""},
		"log verify, damage":  {"log verify -o json " + spoiled, "", exit.Damage, `"damage": "txnlog: ` + spoiled, "is damaged at offset 16"},
		"log repair, no":      {"log repair " + spoiled, "no\n", exit.Usage, "", "nothing was changed"},
		"log repair, nothing": {"log repair " + log, "", exit.OK, "nothing to repair in 55 entries", ""},
		"log repair, cut":     {"log repair --cut 12 " + log, "", exit.Usage, "", `"12" is no zxid`},
		"no log":              {"log dump /none/log.1", "", exit.Usage, "", "/none/log.1: no such file"},
		"no yaml":             {"log dump -o yaml " + log, "", exit.Usage, "", "there are table and json"},
		"snapshot dump":       {"snapshot dump -d " + second + " /m", "", exit.OK, `0x25            0x25                  0         1  persistent  /m/10000000000  "2"`, ""},
		"snapshot dump, json": {"snapshot dump -o json " + second, "", exit.OK, `{"path":"/a/e","kind":"ephemeral","owner":"0x1000054e1460000",`, ""},
		"snapshot verify":     {"snapshot verify " + dir, "", exit.OK, "snapshot.37  0x37  32     ", ""},
		"snapshot damage":     {"snapshot verify " + half, "", exit.Damage, "damaged", half + " is damaged at offset 0"},
		"snapshot compare":    {"snapshot compare " + first + " " + second, "", exit.NotThere, "~ /  pzxid cversion\n+ /a\n+ /a/b\n", "they differ"},
		"the same":            {"snapshot compare -o json " + first + " " + first, "", exit.OK, "[]\n", ""},
		"snapshot summary":    {"snapshot summary --depth 1 " + second, "", exit.OK, "NODES  BYTES  PATH\n32     99     /\n13     20     /a\n", ""},
		"no such node":        {"snapshot summary " + second + " /none", "", exit.Usage, "", "has no node /none"},
		"purge":               {"purge --data-dir " + dir, "", exit.OK, "", ""},
		"purge, json":         {"purge -o json --data-dir " + dir, "", exit.OK, "[]\n", ""},
		"purge, in use":       {"purge --config " + cfg, "", exit.Locked, "", "autopurge.purgeInterval"},
		"purge, too much":     {"purge --keep 0 --data-dir " + dir, "", exit.Usage, "", "--keep 0: it is 1 or more"},
	} {
		code, out, said := call(t, Surroundings{In: strings.NewReader(c.in)}, append([]string{"zabctl"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d\n%s\n%s", name, code, out, said)
		}
	}
	code, out, said := call(t, Surroundings{In: strings.NewReader("yes\n")}, "zabctl", "log", "repair", spoiled)
	if code != exit.OK || !strings.Contains(out, "55 entries, 1 of them with a new checksum") || !strings.Contains(said, "wrong checksum at offset 16: 0x1 createSession") {
		t.Errorf("exit code %d\n%s\n%s", code, out, said)
	}
}

// TestScriptsFindTheDirectories: zkCleanup.sh reads the zoo.cfg that its environment names.
func TestScriptsFindTheDirectories(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS("../../testdata/golden39/storage/rolling-fuzzy/data")); err != nil {
		t.Fatal(err)
	}
	cfg := write(t, "other.cfg", "dataDir="+dir)
	env := []string{"ZOOCFGDIR=" + filepath.Dir(cfg), "ZOOCFG=other.cfg"}
	code, out, said := call(t, Surroundings{Env: env}, "/usr/bin/zkCleanup.sh", "-n", "3")
	if code != 0 || !strings.Contains(out, "Removing file: ") || !strings.Contains(out, "\t"+dir+"/version-2/snapshot.0\n") {
		t.Errorf("exit code %d\n%s\n%s", code, out, said)
	}
	code, out, said = call(t, Surroundings{Env: []string{"ZOOCFGDIR=/none"}}, "zkCleanup.sh", "-n", "3")
	if code != 1 || !strings.Contains(said, "/none/zoo.cfg") || !strings.HasPrefix(out, "Usage:") {
		t.Errorf("without a zoo.cfg: exit code %d\n%s\n%s", code, out, said)
	}
}
