package shell

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWordsAreSplitAsZkCliDoes(t *testing.T) {
	for line, want := range map[string][]string{
		"":                           nil,
		" \t ":                       nil,
		"ls /":                       {"ls", "/"},
		"  ls \t /  ":                {"ls", "/"},
		`create /a "two words" 'it'`: {"create", "/a", "two words", "it"},
		`create /a ""`:               {"create", "/a", ""},
		`create /a "it's"`:           {"create", "/a", "it's"},
		`get "/a`:                    {"get", "/a"},
		`set /a b"c d"`:              {"set", "/a", `b"c`, `d"`},
		`set /a "b"c`:                {"set", "/a", "b", "c"},
	} {
		if got := Words(line); !slices.Equal(got, want) {
			t.Errorf("Words(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestOptionsAreReadAsZkCliDoes(t *testing.T) {
	for line, want := range map[string]struct {
		args    string
		options map[string]string
		fault   string
	}{
		"get /a":                    {"/a", nil, ""},
		"get -s -w /a":              {"/a", map[string]string{"s": "", "w": ""}, ""},
		"get /a -sw":                {"/a", map[string]string{"s": "", "w": ""}, ""},
		"get -- -s":                 {"-s", nil, ""},
		"get -sz /a":                {"", nil, "Unrecognized option: -sz"},
		"get --s /a":                {"", nil, "Unrecognized option: --s"},
		"set /a - -v 3":             {"/a -", map[string]string{"v": "3"}, ""},
		"set /a x -v3":              {"/a x", map[string]string{"v": "3"}, ""},
		"set /a x -v=3":             {"/a x", map[string]string{"v": "3"}, ""},
		"set /a x -v -1":            {"/a x", map[string]string{"v": "-1"}, ""},
		"set /a x -v -s":            {"", nil, "Missing argument for option: v"},
		"set /a -5":                 {"", nil, "Unrecognized option: -5"},
		"set -v 1 -v 2 /a x":        {"/a x", map[string]string{"v": "1"}, ""},
		"setquota -n 1 -b 2 /a":     {"", nil, "The option 'b' was specified but an option from this group"},
		"reconfig -add x -remove 1": {"", map[string]string{"add": "x", "remove": "1"}, ""},
		"whoami -x y":               {"-x y", nil, ""},
		"version now":               {"", nil, "version "},
		"getx /a":                   {"", nil, "Command not found: Command not found getx"},
	} {
		c, err := Parse(strings.Fields(line))
		switch {
		case want.fault != "":
			if err == nil || !strings.HasPrefix(err.Error(), want.fault) {
				t.Errorf("Parse(%s) = %v, want %s", line, err, want.fault)
			}
		case err != nil:
			t.Errorf("Parse(%s): %v", line, err)
		case strings.Join(c.Args, " ") != want.args || !maps.Equal(c.values, want.options):
			t.Errorf("Parse(%s) = %q %q, want %q %q", line, c.Args, c.values, want.args, want.options)
		}
	}
}

func TestPathFaultsAreNamedAsZooKeeperDoes(t *testing.T) {
	for path, want := range map[string]string{
		"/":           "",
		"/a/.b/..c":   "",
		"":            "Path length must be > 0",
		"a":           "Path must start with / character",
		"/a/":         "Path must not end with / character",
		"/a//b":       `Invalid path string "/a//b" caused by empty node name specified @3`,
		"/a/./b":      `Invalid path string "/a/./b" caused by relative paths not allowed @3`,
		"/a/..":       `Invalid path string "/a/.." caused by relative paths not allowed @4`,
		"/a\x00":      "Invalid path string \"/a\\x00\" caused by null character not allowed @2",
		"/é\u0085":    "Invalid path string \"/é\\u0085\" caused by invalid character @2",
		"/a\u001fb/c": "Invalid path string \"/a\\x1fb/c\" caused by invalid character @2",
	} {
		got := ""
		if err := checkPath(path); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("checkPath(%q) = %s, want %s", path, got, want)
		}
	}
}

func TestHexDump(t *testing.T) {
	got := hexDump([]byte("A few bytes more than 16\n\x80"))
	const want = `         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 41 20 66 65 77 20 62 79 74 65 73 20 6d 6f 72 65 |A few bytes more|
|00000010| 20 74 68 61 6e 20 31 36 0a 80                   | than 16..      |
+--------+-------------------------------------------------+----------------+`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := hexDump(nil); got != "" {
		t.Errorf("hexDump of nothing = %q", got)
	}
}

func TestConnectStringOfAConfiguration(t *testing.T) {
	const config = "server.1=h1:2888:3888:participant;0.0.0.0:2181\nserver.2=h2:2888:3888;2182\nversion=100000003"
	if got, want := connectString(config), "100000003 0.0.0.0:2181,0.0.0.0:2182"; got != want {
		t.Errorf("connectString = %q, want %q", got, want)
	}
}

func TestStartFlags(t *testing.T) {
	good := Start{Server: "h:1,i:2/c", Timeout: 4 * time.Second, ReadOnly: true, WaitForConnection: true, Command: []string{"get", "-s", "/a"}}
	for words, want := range map[string]struct {
		start Start
		fault string
	}{
		"": {Start{Server: DefaultServer, Timeout: DefaultTimeout}, ""},
		"-server h:1,i:2/c -timeout 4000 -r -waitforconnection get -s /a": {good, ""},
		"-server":                               {fault: "Error: no argument found for option -server"},
		"-timeout soon":                         {fault: "Error: -timeout soon: want milliseconds"},
		"-port 1":                               {fault: "Error: no such option: -port"},
		"-client-configuration /nonexistent ls": {fault: "Error: -client-configuration: open /nonexistent: no such file or directory"},
	} {
		got, err := ParseStart(strings.Fields(words))
		if want.fault != "" {
			if err == nil || err.Error() != want.fault {
				t.Errorf("ParseStart(%s) = %v, want %s", words, err, want.fault)
			}
			continue
		}
		if err != nil || got.Server != want.start.Server || got.Timeout != want.start.Timeout || got.ReadOnly != want.start.ReadOnly ||
			got.WaitForConnection != want.start.WaitForConnection || !slices.Equal(got.Command, want.start.Command) {
			t.Errorf("ParseStart(%s) = %+v, %v, want %+v", words, got, err, want.start)
		}
	}
}
