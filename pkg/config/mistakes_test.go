package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMistakes has each kind of mistake that a zoo.cfg can have, with all that is said of it. The first line of each file
// is dataDir=/d, unless it says otherwise; FILE is its path. What single keys refuse is in TestWrongValuesAreNamed, what
// server lines do in TestBadServerLines.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"no number", "clientPort=2l81", `FILE:2: clientPort: "2l81" is not a number`},
		{"a number in hexadecimal", "clientPort=0x885", `FILE:2: clientPort: "0x885" is not a number`},
		{"a number with a remark behind it", "clientPort=2181 # of old", `FILE:2: clientPort: "2181 # of old" is not a number`},
		{"no value", "clientPort=", `FILE:2: clientPort: "" is not a number`},
		{"out of range", "clientPort=65536", `FILE:2: clientPort: 65536 is not between 0 and 65535`},
		{"below the range", "tickTime=-1", `FILE:2: tickTime: -1 is not between 1 and 2147483647`},
		{"out of any range", "tickTime=99999999999999999999", `FILE:2: tickTime: "99999999999999999999" is not a number`},
		{"an unknown value", "peerType=king", `FILE:2: peerType: "king" is neither participant nor observer`},
		{"an unknown key", "clientport2=1", `FILE:2: clientport2 is unknown, and ignored`},
		{"the same key twice", "tickTime=5\n\ntickTime=6", `FILE:4: tickTime counts, and not tickTime at FILE:2`},
		{"the same key by two names", "forceSync=no\nzookeeper.forceSync=yes", `FILE:3: zookeeper.forceSync counts, and not forceSync at FILE:2`},
		{"no key", "= 5", `FILE:2: a line without a key is ignored`},
		{"an escape cut short", `logLevel=\u00`, `FILE:2: escape "\\u00" is cut short`},
		{"an escape that is none", `logLevel=\u00zz`, `FILE:2: escape "\\u00zz" is no character`},
		{"half a character", `logLevel=\ud83d`, `FILE:2: escape "\\ud83d" is half a character`},
		{"the other half", `logLevel=\ude00\ud83d`, `FILE:2: escape "\\ude00" is half a character`},
		{"a zero in an escape", `dataLogDir=/d\u0000`, `FILE:2: it has a character of value 0`},
		{"a backslash that takes the next line in", "tickTime=5\\\nclientPort=2181", `FILE:2: tickTime: "5clientPort=2181" is not a number`},
		{"and the line behind it is counted", "tickTime=\\\n  5\nclientPort=x", `FILE:4: clientPort: "x" is not a number`},
		{"lines of Windows", "tickTime=5\r\n\r\nclientPort=x\r\n", `FILE:4: clientPort: "x" is not a number`},
		{"lines of another old system", "tickTime=5\r\rclientPort=x\r", `FILE:4: clientPort: "x" is not a number`},
		{"a NUL in a value", "dataLogDir=/d\x00", `FILE:2: it has a character of value 0`},
		{"a NUL in a key", "snap\x00Count=5", `FILE:2: it has a character of value 0`},
		{"Latin 1", "dataLogDir=/donn\xe9es", `FILE:2: it is not in UTF-8`},
		{"UTF-8", "dataLogDir=/données", `FILE:2: dataLogDir is not in ASCII; it is read as UTF-8, and ZooKeeper reads ISO 8859-1`},
		{"the client port is the admin server's", "clientPort=8080\nadmin.enableServer=true", `FILE: admin.serverPort: 8080 is also the port of clientPort at FILE:2`},
		{
			"the client port is that of the metrics", "clientPort=7070\nmetricsProvider.className=PrometheusMetricsProvider\nmetricsProvider.httpPort=7070",
			`FILE:4: metricsProvider.httpPort: 7070 is also the port of clientPort at FILE:2`,
		},
		{"the client port is that for elections", "clientPort=3888\n" + three, `FILE:5: server.1: 3888 is also the port of clientPort at FILE:2`},
		{"a server line without ports", limits + "server.1=a", `FILE:4: server.1: ensemble: parse server.1=a: "a" does not begin with a host and a port`},
		{"a group", "group.1=1:2:3", `FILE:2: group.1: groups and weights of voters come with a later release: here every voter counts the same`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "zoo.cfg")
			if err := os.WriteFile(file, []byte("dataDir=/d\n"+c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			h := named(nil, "10.0.0.1")
			h.store = nil
			_, warnings, err := load(h, file, nil, nil)
			got := warnings
			if err != nil {
				got = []string{err.Error()}
			}
			want := "config: " + strings.ReplaceAll(c.says, "FILE", file)
			if len(got) != 1 || got[0] != want {
				t.Errorf("%q, want\n%q", got, want)
			}
		})
	}
}

// TestFilesThatAreNone: what cannot be read, or never ends, is named and waited for by nobody.
func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("huge"), []byte("dataDir=/d\n#"+strings.Repeat("x", longestFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "binary": "\x7fELF\x02\x01\x01\x00\x00\x00", "remarks": "# dataDir=/d\n! dataDir=/d\n"} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, says := range map[string]string{
		path("none"):      "open FILE: no such file or directory",
		path("empty/x"):   "open FILE: not a directory",
		dir:               "read FILE: is a directory",
		path("huge"):      "read FILE: is longer than 1 MiB",
		"/proc/self/mem":  "read FILE: input/output error",
		"/dev/zero":       "read FILE: is longer than 1 MiB",
		path("pipe"):      "FILE: dataDir: is not set",
		path("empty"):     "FILE: dataDir: is not set",
		path("remarks"):   "FILE: dataDir: is not set",
		path("binary"):    "FILE:1: it has a character of value 0",
		path("no\x00one"): "open FILE: invalid argument",
	} {
		_, _, err := Load(file, nil, nil)
		if want := "config: " + strings.ReplaceAll(says, "FILE", file); err == nil || err.Error() != want {
			t.Errorf("%v, want\n%s", err, want)
		}
	}
}

// TestByteOrderMark: a mark that an editor has put in front is no part of the first key.
func TestByteOrderMark(t *testing.T) {
	cfg, warnings, err := Load(write(t, "\ufeffdataDir=/\\ud83d\\ude00"), nil, nil)
	if err != nil || len(warnings) > 0 || cfg.DataDir != "/\U0001F600" {
		t.Errorf("dataDir %q, %q, %v", cfg.DataDir, warnings, err)
	}
}
