//go:build interop

package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/offline"
)

// toolkit runs one of ZooKeeper's tools, which Debian's package has no script for, and ours of the script's name.
type toolkit struct {
	t             *testing.T
	class, script string
}

// both returns what the two print. Java's runs first; between is called behind it.
func (k toolkit) both(stdin string, between func(), args ...string) (ours, javas string) {
	k.t.Helper()
	argv := append(slices.Clone(jvm), "-Xshare:auto", "-Dfile.encoding=UTF-8", "-Dsun.stdout.encoding=UTF-8", "-cp", javaClasses, "org.apache.zookeeper.server."+k.class)
	cmd := exec.Command("/usr/bin/java", append(argv, args...)...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	err := cmd.Run()
	if cmd.ProcessState == nil {
		k.t.Fatal(err)
	}
	between()
	run, _ := offline.Script(k.script)
	var o, e bytes.Buffer
	code := run(args, offline.Host{In: strings.NewReader(stdin), Out: &o, Err: &e})
	if code != cmd.ProcessState.ExitCode() {
		k.t.Errorf("%s %q: exit code %d, Java's %d\n%s%s", k.script, args, code, cmd.ProcessState.ExitCode(), &e, &said)
	}
	return o.String(), out.String()
}

func nothing() {}

// records makes the output of SnapshotFormatter comparable: nodes come in the order of Java's hash tables, and so do sessions.
func records(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\n0x", "----\n0x"), "----\n")
	slices.Sort(lines)
	return strings.Join(lines, "----\n")
}

// nodesOf returns the names and sizes that -json prints, in order.
func nodesOf(text string) string {
	list := regexp.MustCompile(`"name":"[^"]*","asize":\d+,"dsize":\d+`).FindAllString(text, -1)
	slices.Sort(list)
	return strings.Join(list, "\n")
}

func timeless(text string) string {
	return regexp.MustCompile(`in \d+\.\d+ seconds`).ReplaceAllString(text, "")
}

// TestToolkits runs ZooKeeper's offline tools and ours on the same files, which Java's servers have written.
func TestToolkits(t *testing.T) {
	t.Parallel()
	needTool(t, javaClasses, javaInstall)
	const recorded = "../../testdata/golden39/storage/"
	equal := func(what string, ours, javas string) {
		t.Helper()
		if ours != javas || ours == "" {
			t.Errorf("%s:\n%s\nJava's:\n%s", what, ours, javas)
		}
	}
	log := toolkit{t: t, class: "persistence.TxnLogToolkit", script: "zkTxnLogToolkit.sh"}
	createTTL := strings.NewReplacer("createTtl", "createTTL") // as 3.9 names it
	for _, file := range []string{"all-types-restart/data/version-2/log.1", "killed-torn-tail/data/version-2/log.1"} {
		ours, javas := log.both("", nothing, "-d", recorded+file)
		equal(file, ours, createTTL.Replace(javas))
	}
	format := toolkit{t: t, class: "SnapshotFormatter", script: "zkSnapShotToolkit.sh"}
	fuzzy, packed := recorded+"rolling-fuzzy/data/version-2/snapshot.15c", recorded+"snap-gz/data/version-2/snapshot.37.gz"
	ours, javas := format.both("", nothing, "-d", packed)
	equal("a compressed snapshot", records(ours), records(javas))
	ours, javas = format.both("", nothing, fuzzy)
	equal("a snapshot of a tree that changed", records(ours), records(javas))
	ours, javas = format.both("", nothing, "-json", packed)
	equal("for ncdu", nodesOf(ours), nodesOf(javas))
	compare := toolkit{t: t, class: "SnapshotComparer", script: "zkSnapshotComparer.sh"}
	ours, javas = compare.both("/a\n2\n\n\n\n\n", nothing, "-l", packed, "-r", fuzzy, "-b", "2", "-n", "1", "-d", "-i")
	equal("a comparison", timeless(ours), timeless(javas))
	for _, k := range []toolkit{log, compare} {
		ours, javas = k.both("", nothing)
		equal("the usage of "+k.script, ours, javas)
	}
}

// TestToolkitsThatWrite compares the logs that ZooKeeper's tools and ours make of others.
func TestToolkitsThatWrite(t *testing.T) {
	t.Parallel()
	needTool(t, javaClasses, javaInstall)
	image, err := os.ReadFile("../../testdata/golden39/storage/all-types-restart/data/version-2/log.1")
	if err != nil {
		t.Fatal(err)
	}
	log := toolkit{t: t, class: "persistence.TxnLogToolkit", script: "zkTxnLogToolkit.sh"}
	path := filepath.Join(t.TempDir(), "log.1")
	take := func(suffix string) string {
		t.Helper()
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(string(b), "\x00") // ours has no padding
	}
	for what, c := range map[string]struct {
		damaged bool
		args    []string
		in      string
		suffix  string
	}{
		"recover": {true, []string{"-r", "-v"}, "q\ny\n", ".fixed"},
		"not all": {true, []string{"-r"}, "n\n", ".fixed"},
		"chop":    {false, []string{"-c", "-z", "0x20"}, "", ".chopped32"},
	} {
		b := slices.Clone(image)
		if c.damaged {
			b[20] ^= 1
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		theirs := ""
		away := func() { theirs = take(c.suffix); _ = os.Remove(path + c.suffix) }
		ours, javas := log.both(c.in, away, append(c.args, path)...)
		if got := take(c.suffix); got != theirs {
			t.Errorf("%s: the files differ, of %d and %d bytes", what, len(got), len(theirs))
		}
		if strings.ReplaceAll(javas, "createTtl", "createTTL") != ours {
			t.Errorf("%s:\n%s\nJava's:\n%s", what, ours, javas)
		}
		_ = os.Remove(path + c.suffix)
	}
}

// TestCleanupKeepsTheSameFiles purges two copies of a directory that a Java server has filled.
func TestCleanupKeepsTheSameFiles(t *testing.T) {
	t.Parallel()
	needTool(t, javaClasses, javaInstall)
	dir := filepath.Join(t.TempDir(), "data")
	fill := func() {
		t.Helper()
		if err := os.CopyFS(dir, os.DirFS("../../testdata/golden39/storage/rolling-fuzzy/data")); err != nil {
			t.Fatal(err)
		}
	}
	left := func() string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "version-2", "*.*"))
		if err != nil {
			t.Fatal(err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".lock") })
		return strings.Join(names, "\n")
	}
	fill()
	all, theirs := left(), ""
	purge := toolkit{t: t, class: "PurgeTxnLog", script: "zkCleanup.sh"}
	ours, javas := purge.both("", func() {
		theirs = left()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		fill()
	}, dir, "-n", "3")
	if got := left(); got != theirs || got == all {
		t.Errorf("left are\n%s\nby Java's\n%s", got, theirs)
	}
	removed := func(text string) string {
		list := regexp.MustCompile(`(?m)^Removing file: .*\t(.*)$`).FindAllStringSubmatch(text, -1)
		var names []string
		for _, m := range list {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return strings.Join(names, "\n")
	}
	if removed(ours) != removed(javas) || removed(ours) == "" {
		t.Errorf("%s\nJava's:\n%s", ours, javas)
	}
}
