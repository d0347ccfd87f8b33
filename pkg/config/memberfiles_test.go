package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
)

func (s site) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s site) has(name string) bool {
	_, err := os.Lstat(filepath.Join(s.dir, name))
	return err == nil
}

func (s site) load(t *testing.T) (Config, []string) {
	t.Helper()
	cfg, warnings, err := load(named(nil), s.file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, warnings
}

func membership(t *testing.T, version int64, lines string) *ensemble.Config {
	t.Helper()
	c, err := ensemble.ParseConfig(lines)
	if err != nil {
		t.Fatal(err)
	}
	c.Version = version
	return c
}

// TestMembershipOutlivesTheServer: what was proposed and what counts are found again, wherever zoo.cfg has the first list,
// and zoo.cfg stays as it is.
func TestMembershipOutlivesTheServer(t *testing.T) {
	lines := strings.TrimPrefix(three, limits)
	for _, c := range []struct{ name, text, link string }{
		{"server lines in zoo.cfg", three, "zoo.cfg.dynamic"},
		{"a file that they were moved into", limits + "dynamicConfigFile=DIR/members\n", "members"},
		{"a file that ZooKeeper has written", limits + "dynamicConfigFile=DIR/zk.1f\n", "zk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.text+"reconfigEnabled=true\n", "2")
			s.put(t, "members", "# mine\n"+lines)
			s.put(t, "zk.1f", lines)
			before := s.read(t, "zoo.cfg")
			cfg, _ := s.load(t)
			if !cfg.ReconfigEnabled || cfg.Next != nil {
				t.Fatalf("at first: enabled %v, next %v", cfg.ReconfigEnabled, cfg.Next)
			}
			next := membership(t, 0x100000005, lines+"server.10=10.0.0.10:1:2:observer;2182\n")
			if err := cfg.Files.SaveNext(next); err != nil {
				t.Fatal(err)
			}
			old := cfg.Members.Text()
			cfg, _ = s.load(t)
			if cfg.Members.Text() != old || cfg.Next == nil || cfg.Next.Text() != next.Text() {
				t.Fatalf("while it is proposed: %q, next %v", cfg.Members.Text(), cfg.Next)
			}
			if err := errors.Join(cfg.Files.Activate(next), cfg.Files.Activate(next)); err != nil {
				t.Fatal(err)
			}
			cfg, warnings := s.load(t)
			if cfg.Members.Text() != next.Text() || cfg.Next != nil || s.has(c.link+".next") {
				t.Errorf("when it counts: %q, next %v", cfg.Members.Text(), cfg.Next)
			}
			if c.link != "members" && (len(warnings) == 0 || !strings.Contains(warnings[0], "the server lines do not count: those of ")) {
				t.Errorf("warnings %q", warnings)
			}
			if got, want := s.read(t, c.link), "server.10=10.0.0.10:1:2:observer;0.0.0.0:2182\nserver.1=10.0.0.1:2888:3888:participant\n"+
				"server.2=10.0.0.2:2888:3888:participant\nserver.3=10.0.0.3:2888:3888:participant"; got != want {
				t.Errorf("the file: %q, want %q", got, want)
			}
			if got, _ := os.Readlink(filepath.Join(s.dir, c.link)); got != c.link+".100000005" {
				t.Errorf("the link leads to %q", got)
			}
			if c.link == "members" && s.read(t, "members.bak") != "# mine\n"+lines {
				t.Errorf("what stood in the place of the link: %q", s.read(t, "members.bak"))
			}
			if got := s.read(t, "zoo.cfg"); got != before {
				t.Errorf("zoo.cfg: %q", got)
			}
		})
	}
}

// listed are three servers, a line each.
var listed = strings.TrimPrefix(three, limits)

// disagreements are lists of members that cannot all count.
var disagreements = []struct {
	name, text  string
	files       map[string]string
	link        string // of zoo.cfg.dynamic
	version     int64
	next        int64
	clientPort  int
	err, warned string
}{
	{
		"the link is later than ZooKeeper's last file", "dynamicConfigFile=DIR/zoo.cfg.dynamic.5\n",
		map[string]string{"zoo.cfg.dynamic.5": "server.9=x:1:2", "zoo.cfg.dynamic.6": listed},
		"zoo.cfg.dynamic.6", 6, 0, 2181, "",
		"zoo.cfg.dynamic.5: the server lines do not count: those of ",
	},
	{
		"ZooKeeper's file is later than the link", "dynamicConfigFile=DIR/zoo.cfg.dynamic.7\n",
		map[string]string{"zoo.cfg.dynamic.7": listed, "zoo.cfg.dynamic.6": "server.9=x:1:2"},
		"zoo.cfg.dynamic.6", 7, 0, 2181, "", "",
	},
	{
		"ZooKeeper has left one that it proposed", "dynamicConfigFile=DIR/other/zoo.5\nreconfigEnabled=true\n",
		map[string]string{"other/zoo.5": listed, "zoo.cfg.dynamic.next": listed + "server.4=d:1:2\nversion=6"},
		"", 5, 6, 2181, "", "",
	},
	{
		"what was proposed, without reconfiguration", "dynamicConfigFile=DIR/zoo.cfg.dynamic.5\n",
		map[string]string{"zoo.cfg.dynamic.5": listed, "zoo.cfg.dynamic.next": listed + "version=6"},
		"", 0, 0, 0,
		"zoo.cfg.dynamic.next: a reconfiguration is under way, which needs reconfigEnabled=true", "",
	},
	{
		"what was proposed is no list", "dynamicConfigFile=DIR/zoo.cfg.dynamic.5\nreconfigEnabled=true\n",
		map[string]string{"zoo.cfg.dynamic.5": listed, "zoo.cfg.dynamic.next": "server.1=x"},
		"", 0, 0, 0, "zoo.cfg.dynamic.next: ", "",
	},
	{
		"the file is gone", listed, nil, "zoo.cfg.dynamic.6", 0, 0, 0, "zoo.cfg.dynamic: no such file", "",
	},
	{
		"this server was removed", listed,
		map[string]string{"zoo.cfg.dynamic.6": "server.1=a:1:2\nserver.3=b:1:2"},
		"zoo.cfg.dynamic.6", 0, 0, 0,
		"zoo.cfg.dynamic has no server.2: a reconfiguration has removed it", "",
	},
	{
		"the client port was moved", listed + "clientPort=2181\n",
		map[string]string{"zoo.cfg.dynamic.6": "server.2=a:1:2;10.0.0.2:2190\nserver.3=b:1:2"},
		"zoo.cfg.dynamic.6", 6, 0, 2190, "", "clientPort 2181 does not count",
	},
}

// TestListsOfMembersThatDisagree: which of several counts, and what refuses the start.
func TestListsOfMembersThatDisagree(t *testing.T) {
	for _, c := range disagreements {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, limits+c.text, "2")
			if err := os.Mkdir(filepath.Join(s.dir, "other"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				s.put(t, name, text)
			}
			if c.link != "" {
				if err := os.Symlink(c.link, filepath.Join(s.dir, "zoo.cfg.dynamic")); err != nil {
					t.Fatal(err)
				}
			}
			cfg, warnings, err := load(named(nil), s.file, nil, nil)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("load = %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			next := int64(0)
			if cfg.Next != nil {
				next = cfg.Next.Version
			}
			if cfg.Members.Version != c.version || next != c.next || cfg.ClientPort != c.clientPort {
				t.Errorf("version %x, next %x, client port %d, want %x, %x, %d", cfg.Members.Version, next, cfg.ClientPort, c.version, c.next, c.clientPort)
			}
			if c.warned != "" && !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, c.warned) }) {
				t.Errorf("warnings %q, want %q", warnings, c.warned)
			}
		})
	}
}

// TestWhatWasProposedLaterStays while an earlier membership is made to count.
func TestWhatWasProposedLaterStays(t *testing.T) {
	s := newSite(t, three+"reconfigEnabled=true\n", "2")
	cfg, _ := s.load(t)
	if err := errors.Join(cfg.Files.SaveNext(membership(t, 7, three[len(limits):])), cfg.Files.Activate(membership(t, 6, three[len(limits):]))); err != nil {
		t.Fatal(err)
	}
	if cfg, _ := s.load(t); cfg.Members.Version != 6 || cfg.Next == nil || cfg.Next.Version != 7 {
		t.Errorf("version %x, next %v", cfg.Members.Version, cfg.Next)
	}
	s.put(t, "zoo.cfg.dynamic.tmp", "left by a crash")
	if err := cfg.Files.Activate(membership(t, 8, three[len(limits):])); err != nil || s.has("zoo.cfg.dynamic.next") {
		t.Errorf("version 8: %v, next is there: %v", err, s.has("zoo.cfg.dynamic.next"))
	}
}

// TestListsThatMayNotBeRead: who only asks for settings may be somebody else than the server.
func TestListsThatMayNotBeRead(t *testing.T) {
	s := newSite(t, three+"reconfigEnabled=true\n", "2")
	h := named(nil)
	h.readFile = func(path string) ([]byte, error) {
		if strings.Contains(path, "zoo.cfg.dynamic") {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
		}
		return readFile(path)
	}
	if _, _, err := load(h, s.file, nil, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the server: %v", err)
	}
	h.store = nil
	cfg, warnings, err := load(h, s.file, nil, nil)
	if err != nil || cfg.Members == nil || len(warnings) == 0 || !strings.Contains(warnings[0], "zoo.cfg.dynamic: may not be read here") {
		t.Errorf("somebody else: %v, %q, %v", cfg.Members, warnings, err)
	}
}

// TestListsOfMembersNeedAPlace: a server that could not write what it is told does not start.
func TestListsOfMembersNeedAPlace(t *testing.T) {
	s := newSite(t, limits+"dynamicConfigFile=DIR/members\nreconfigEnabled=true", "2")
	s.put(t, "members", three[len(limits):])
	h := named(nil)
	h.writable = func(dir string) bool { return dir != s.dir }
	if _, _, err := load(h, s.file, nil, nil); err == nil || !strings.Contains(err.Error(), "zoo.cfg:4: dynamicConfigFile: ") {
		t.Errorf("load = %v", err)
	}
}

// TestZooKeepersDirectoriesAreTakenOver with what its last reconfiguration has left.
func TestZooKeepersDirectoriesAreTakenOver(t *testing.T) {
	const golden = "../../testdata/golden39/storage/ensemble-reconfig/"
	s := newSite(t, "", "1")
	for _, name := range []string{"zoo.cfg", "zoo.cfg.dynamic.100000005", "zoo.cfg.dynamic.100000008"} {
		text, err := os.ReadFile(golden + "conf1-" + name)
		if err != nil {
			t.Fatal(err)
		}
		s.put(t, name, strings.NewReplacer("@WORK@/r-1/data", "DIR", "@WORK@/r-1", "DIR").Replace(string(text)))
	}
	cfg, _ := s.load(t)
	want := s.read(t, "zoo.cfg.dynamic.100000008")
	if cfg.Members.Text() != want+"\nversion=100000008" || cfg.ClientPort != 17400 || cfg.ClientPortAddress != "127.0.0.1" {
		t.Errorf("members %q, client port %s:%d", cfg.Members.Text(), cfg.ClientPortAddress, cfg.ClientPort)
	}
	if err := cfg.Files.Activate(membership(t, 0x200000000, want)); err != nil {
		t.Fatal(err)
	}
	if got := s.read(t, "zoo.cfg.dynamic.200000000"); got != want {
		t.Errorf("written %q, want what ZooKeeper has written: %q", got, want)
	}
}

// TestWhoIsToBeAddedKeepsItsList until it was a member; who was one keeps the list that it is not in.
func TestWhoIsToBeAddedKeepsItsList(t *testing.T) {
	s := newSite(t, three+"server.4=10.0.0.4:2888:3888\nreconfigEnabled=true\n", "4")
	cfg, _ := s.load(t)
	with := listed + "server.4=10.0.0.4:2888:3888"
	for _, step := range []struct {
		lines string
		kept  bool
	}{{listed, false}, {with, true}, {listed, true}} {
		if err := cfg.Files.Activate(membership(t, 5, step.lines)); err != nil {
			t.Fatal(err)
		}
		if s.has("zoo.cfg.dynamic") != step.kept || step.kept && strings.Contains(s.read(t, "zoo.cfg.dynamic"), "server.4") != strings.Contains(step.lines, "server.4") {
			t.Errorf("%q is kept: %v", step.lines, s.has("zoo.cfg.dynamic"))
		}
	}
}
