package offline

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs a script and returns what it says on stdout and stderr.
func call(name string, h Host, args ...string) (code int, out, said string) {
	var o, e bytes.Buffer
	h.Out, h.Err = &o, &e
	if h.In == nil {
		h.In = strings.NewReader("")
	}
	run, ok := Script(name)
	if !ok {
		return -1, "", "no such script"
	}
	code = run(args, h)
	return code, o.String(), e.String()
}

// TestScriptsSpeakAsZooKeepers: the words of its tools, which pkg/interop compares as a whole.
func TestScriptsSpeakAsZooKeepers(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "all-types-restart")
	log, snap := filepath.Join(dir, "log.1"), filepath.Join(dir, "snapshot.37")
	spoiled := filepath.Join(t.TempDir(), "log.1")
	b, _ := os.ReadFile(log)
	b[20] ^= 1
	if err := os.WriteFile(spoiled, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		script    string
		args      []string
		in        string
		code      int
		out, said string
	}{
		"dump":             {"zkTxnLogToolkit.sh", []string{"-d", log}, "", 0, "EOF reached after 55 txns.\n", ""},
		"dump of damage":   {"zkTxnLogToolkit.sh", []string{spoiled}, "", 0, "\nCRC ERROR - ", ""},
		"recover, no":      {"zkTxnLogToolkit.sh", []string{"-r", spoiled}, "what\nn\n", 0, "(Yes/No/Abort) ? Would you like to fix it", ""},
		"there already":    {"zkTxnLogToolkit.sh", []string{"-ry", spoiled}, "", 1, "", spoiled + ".fixed already exists or not writable"},
		"abort":            {"zkTxnLogToolkit.sh", []string{"--recover", spoiled + "2"}, "a\n", 0, "Would you", "Recovery aborted."},
		"yes":              {"zkTxnLogToolkit.sh", []string{"-recover", "-y", spoiled + "3"}, "", 0, "CRC FIXED - ", ""},
		"chop":             {"zkTxnLogToolkit.sh", []string{"-c", "-z", "0x20", log}, "", 0, "Chopping at 20 new log has 32 records\n", ""},
		"chop at nothing":  {"zkTxnLogToolkit.sh", []string{"-c", "-z", "99", log}, "", 0, "Got exception: Failed to chop log.1", ""},
		"no log":           {"zkTxnLogToolkit.sh", []string{"/none"}, "", 1, "", "File doesn't exist or not readable: /none"},
		"log usage":        {"zkTxnLogToolkit.sh", nil, "", 1, "usage: TxnLogToolkit [-dhrvc]", ""},
		"snapshot":         {"zkSnapShotToolkit.sh", []string{"-d", snap}, "", 0, "ZNode Details (count=33):\n----\n/\n  cZxid = 0x00000000000000\n", ""},
		"both":             {"zkSnapShotToolkit.sh", []string{"-d", "-json", snap}, "", 2, "", "Cannot specify both"},
		"a directory":      {"zkSnapShotToolkit.sh", []string{dir}, "", 2, "", "is a directory. it must be a file."},
		"snapshot usage":   {"zkSnapShotToolkit.sh", nil, "", 2, "", "USAGE: SnapshotFormatter [-d|-json] snapshot_file"},
		"ncdu":             {"zkSnapShotToolkit.sh", []string{"-json", snap}, "", 0, `[{"name":"/","asize":0,"dsize":0,"dev":0,"ino":1001},[{"name":"a",`, ""},
		"summary":          {"zkSnapshotRecursiveSummaryToolkit.sh", []string{snap, "/", "1"}, "", 0, " /\n   children: 31\n   data: 99\n-- /a\n--   children: 12\n--   data: 20\n", ""},
		"summary usage":    {"zkSnapshotRecursiveSummaryToolkit.sh", []string{snap, "/", "x"}, "", 2, "", "USAGE:"},
		"compare":          {"zkSnapshotComparer.sh", []string{"-l", snap, "--right", snap, "-b=1", "-n", "1"}, "", 0, "Analysis for depth 4\nAll layers compared.\n", ""},
		"compare, asking":  {"zkSnapshotComparer.sh", []string{"-l", snap, "-r", snap, "-b", "1", "-n", "1", "-i"}, "/a\n4\n\n", 0, "Filtered node /a/b of left size 0, right size 0\n", ""},
		"no more is said":  {"zkSnapshotComparer.sh", []string{"-l", snap, "-r", snap, "-b", "1", "-n", "1", "-i"}, "9\n", 1, "Depth must be in range [0, 4]\n", "No line found"},
		"compare usage":    {"zkSnapshotComparer.sh", []string{"-l", snap}, "", 2, "usage: java -cp", "Missing required options: r, b, n"},
		"purge few":        {"zkCleanup.sh", []string{dir, "-n", "2"}, "", 1, "Usage:\nPurgeTxnLog dataLogDir", "count should be greater than or equal to 3"},
		"purge usage":      {"zkCleanup.sh", nil, "", 1, "Usage:\n", ""},
		"initialize usage": {"zkServer-initialize.sh", []string{"--what"}, "", 1, "usage: zkServer-initialize.sh <parameters>", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, arg := range c.args {
				if strings.HasPrefix(arg, spoiled) && arg != spoiled { // a copy of its own
					if err := os.WriteFile(arg, b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if name == "there already" {
				if err := os.WriteFile(spoiled+".fixed", nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if name == "recover, no" {
				_ = os.Remove(spoiled + ".fixed")
			}
			code, out, said := call(c.script, Host{In: strings.NewReader(c.in)}, c.args...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(said, c.said) {
				t.Errorf("exit code %d\n%s\n%s", code, out, said)
			}
		})
	}
	checkWritten(t, log, spoiled)
}

// checkWritten looks at the logs that the scripts have made of others.
func checkWritten(t *testing.T, log, spoiled string) {
	t.Helper()
	chopped, err := VerifyLogs([]string{log + ".chopped32"})
	if err != nil || chopped[0].Last != "0x20" {
		t.Errorf("the chopped log: %+v, %v", chopped, err)
	}
	fixed, err := VerifyLogs([]string{spoiled + "3.fixed"})
	if err != nil || fixed[0].Entries != 55 {
		t.Errorf("the fixed log: %+v, %v", fixed, err)
	}
	if _, err := os.Stat(spoiled + "2.fixed"); err == nil {
		t.Error("what was aborted has left half a log")
	}
}

func TestInitializeMakesAPlaceForAServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(cfg, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	data, logs := filepath.Join(dir, "data"), filepath.Join(dir, "logs")
	h := Host{Config: cfg, Dirs: func(string) (string, string, error) { return data, logs, nil }}
	code, out, _ := call("zkServer-initialize.sh", h, "--myid=3")
	if code != 0 || out != "Using myid of 3\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
	for path, want := range map[string]string{"data/myid": "3\n", "data/initialize": ""} {
		if b, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", path, b, err)
		}
	}
	if code, out, _ := call("zkServer-initialize.sh", h); code != 1 || !strings.HasPrefix(out, "ZooKeeper data directory already exists at "+data) {
		t.Errorf("once more: exit code %d, %q", code, out)
	}
	for _, path := range []string{data, logs} {
		if err := os.WriteFile(filepath.Join(path, versionDir, "log.1"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, _ = call("zkServer-initialize.sh", h, "--force")
	if code != 0 || !strings.HasPrefix(out, "Force enabled, ") || len(names(t, filepath.Join(data, versionDir)))+len(names(t, filepath.Join(logs, versionDir))) != 0 {
		t.Errorf("with force: exit code %d, %q", code, out)
	}
	if code, out, _ := call("zkServer-initialize.sh", h, "--configfile", dir+"/none"); code != 1 || !strings.HasPrefix(out, "Unable to find config file at ") {
		t.Errorf("without a zoo.cfg: exit code %d, %q", code, out)
	}
}

func TestTextAsJavaDecodesIt(t *testing.T) {
	for in, want := range map[string]string{
		"a\xffb": "a\ufffdb", "\xe4\xbd": "\ufffd", "\xe4\xbda": "\ufffda", "\xf0\x9f\x98": "\ufffd", "\xe0\x80": "\ufffd\ufffd", "\xed\xa0\x80": "\ufffd\ufffd\ufffd",
		"\xc0\x80": "\ufffd\ufffd", "\xf5x": "\ufffdx", "ä😀": "ä😀",
	} {
		if got := javaText([]byte(in)); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	if got := quoteJSON("a\"\\\n\x01ä"); got != `a\"\\\n\u0001ä` {
		t.Error(got)
	}
}
