package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
)

const byName = limits + "server.1=one:2888:3888\nserver.2=two:2888:3888\nserver.3=[2001:db8::3]:2888:3888\n"

var names = map[string]string{"one": "10.0.0.1", "two": "::ffff:10.0.0.2"}

func TestTheServerFindsItsLineByAddress(t *testing.T) {
	local := map[string]string{"one": "127.0.1.1", "two": "10.0.0.2"}
	for _, c := range []struct {
		name, text string
		host       host
		want       ensemble.ID
		err        string
	}{
		{"by its name", byName, named(names, "127.0.0.1", "10.0.0.2"), 2, ""},
		{"by its address", byName, named(names, "10.0.0.9", "2001:db8::3"), 3, ""},
		{"by a name that a host gives itself", byName, named(local, "127.0.0.1", "10.0.0.1"), 1, ""},
		{"while other names are not known yet", byName, named(map[string]string{"one": "10.0.0.1"}, "10.0.0.1"), 1, ""},
		{"by one of several networks", byName + "multiAddress.enabled=true\nserver.4=four:1:2|10.1.0.4:1:2", named(names, "10.1.0.4"), 4, ""},
		{"no line", byName, named(names, "10.0.0.9"), 0, "no server line has an address of this host; write this server's number into the file"},
		{"no line, and a name that is not known", byName, named(nil, "10.0.0.9"), 0, "not found: one, two"},
		{"two lines", byName, named(names, "10.0.0.1", "10.0.0.2"), 0, "several servers have an address of this host: server.1 at "},
		{"all on one host", limits + strings.ReplaceAll("server.1=HOST:1:2\nserver.2=HOST:3:4\nserver.3=HOST:5:6", "HOST", "127.0.0.1"), named(nil, "10.0.0.1"), 0, "server.3 at "},
		{"an id that extended types leave no room for", limits + "extendedTypesEnabled=true\nserver.1=10.0.0.1:1:2\nserver.255=10.0.0.2:1:2", named(nil, "10.0.0.2"), 0, "this is server 255, and extendedTypesEnabled needs ids from 1 to 254"},
		{"a line for every host", limits + "server.1=0.0.0.0:1:2\nserver.2=10.0.0.2:1:2", named(nil, "10.0.0.1"), 0, "no server line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.text, "")
			cfg, warnings, err := load(c.host, s.file, nil, nil)
			text, readErr := os.ReadFile(filepath.Join(s.dir, "myid"))
			if c.err != "" {
				var e *Error
				if !errors.As(err, &e) || e.Source != filepath.Join(s.dir, "myid") || !strings.Contains(err.Error(), c.err) {
					t.Errorf("load = %v, want an Error of myid with %q", err, c.err)
				}
				if !errors.Is(readErr, fs.ErrNotExist) {
					t.Errorf("myid is written: %q, %v", text, readErr)
				}
				return
			}
			if err != nil || cfg.MyID != c.want || string(text) != string(rune('0'+c.want))+"\n" {
				t.Fatalf("load = server %d, %v; myid %q, %v, want %d", cfg.MyID, err, text, readErr, c.want)
			}
			if !strings.Contains(strings.Join(warnings, "\n"), "has an address of this host: its id is now in ") {
				t.Errorf("warnings = %q", warnings)
			}
			if again, warnings, err := load(c.host, s.file, nil, nil); err != nil || again.MyID != c.want || strings.Contains(strings.Join(warnings, "\n"), "myid") {
				t.Errorf("at the next start: server %d, %q, %v", again.MyID, warnings, err)
			}
		})
	}
}

func TestMyIDFile(t *testing.T) {
	for _, c := range []struct{ name, id, text, reason string }{
		{"of no line", "7", three, "myid: this is server 7, and "},
		{"of no line, with one server", "7", "server.1=a:1:2", "has no server.7; write the host's own number into the file"},
		{"empty", " \n", three, "is not a number from 1 to 255"},
		{"a word", "one", three, `"one" is not a number`},
		{"two numbers", "1\n2\n", three, "is not a number"},
		{"0", "0", three, "is not a number from 1 to 255"},
		{"256", "256", three, "is not a number from 1 to 255"},
		{"255 with extended types", "255", "extendedTypesEnabled=true\n" + three, "is not a number from 1 to 254"},
		{"of another host", "1", three, "zoo.cfg:4, but the host has the address of server.2 at "},
		{"of another host, and what to do", "1", three, "no two servers may have one number: write 2 into the file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.text, c.id)
			_, _, err := load(named(nil, "10.0.0.2"), s.file, nil, nil)
			var e *Error
			if !errors.As(err, &e) || e.Source != filepath.Join(s.dir, "myid") || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("load = %v, want an Error of myid with %q", err, c.reason)
			}
		})
	}
}

// TestAddressesThatDecideNothing: where they are nobody's, or several servers', the file is right.
func TestAddressesThatDecideNothing(t *testing.T) {
	for _, c := range []struct {
		name, text string
		own        []string
	}{
		{"behind other addresses", three, []string{"192.168.0.1"}},
		{"its own line", three, []string{"10.0.0.1"}},
		{"its own line and another", three, []string{"10.0.0.1", "10.0.0.2"}},
		{"two other lines", three, []string{"10.0.0.3", "10.0.0.2"}},
		{"its own line is every address", strings.Replace(three, "10.0.0.1", "0.0.0.0", 1), []string{"10.0.0.2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.text, " 1\r\n")
			if cfg, _, err := load(named(nil, c.own...), s.file, nil, nil); err != nil || cfg.MyID != 1 {
				t.Errorf("load = server %d, %v", cfg.MyID, err)
			}
		})
	}
}

func TestMyIDIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Run("into a directory that is made", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a", "b", "myid")
		if err := store(path, []byte("3\n"), true); err != nil {
			t.Fatal(err)
		}
		es, err := os.ReadDir(filepath.Dir(path))
		if text, _ := os.ReadFile(path); string(text) != "3\n" || len(es) != 1 || err != nil {
			t.Errorf("%q among %v, %v", text, es, err)
		}
	})
	t.Run("not into one that may not be made", func(t *testing.T) {
		s := newSite(t, "datadir.autocreate=false\n"+three, "")
		_, _, err := load(named(nil, "10.0.0.1"), s.file, nil, map[string]string{"dataDir": filepath.Join(s.dir, "none")})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join("none", "myid")) {
			t.Errorf("load = %v", err)
		}
	})
	t.Run("a full disk", func(t *testing.T) {
		h, full := named(nil, "10.0.0.1"), errors.New("no space")
		h.store = func(string, []byte, bool) error { return full }
		s := newSite(t, three, "")
		if _, _, err := load(h, s.file, nil, nil); !errors.Is(err, full) || !strings.Contains(err.Error(), "config: write "+s.dir) {
			t.Errorf("load = %v", err)
		}
	})
	t.Run("nor when something else is wrong", func(t *testing.T) {
		s := newSite(t, "clientPort=1\n"+three+"server.4=10.0.0.4:1:2;2", "")
		_, _, err := load(named(nil, "10.0.0.4"), s.file, nil, nil)
		if _, statErr := os.Stat(filepath.Join(s.dir, "myid")); err == nil || !errors.Is(statErr, fs.ErrNotExist) {
			t.Errorf("load = %v, myid: %v", err, statErr)
		}
	})
}

func TestThisHostKnowsItself(t *testing.T) {
	own, err := addresses()
	if err != nil || !slices.Contains(own, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("addresses = %v, %v", own, err)
	}
}
