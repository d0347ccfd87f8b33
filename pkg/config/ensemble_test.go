package config

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

// named is a host with these addresses, and a resolver that knows these names. Its files are real.
func named(names map[string]string, own ...string) host {
	h := thisHost()
	h.addresses = func() ([]netip.Addr, error) {
		var out []netip.Addr
		for _, a := range own {
			out = append(out, netip.MustParseAddr(a))
		}
		return out, nil
	}
	h.resolve = func(_ context.Context, name string) ([]netip.Addr, error) {
		if a, ok := names[name]; ok {
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		}
		return nil, errors.New("no such name")
	}
	return h
}

// site is a data directory and a zoo.cfg that names it in its first line. DIR in the text is the directory.
type site struct{ dir, file string }

func newSite(t *testing.T, text, id string) site {
	t.Helper()
	dir := t.TempDir()
	s := site{dir, filepath.Join(dir, "zoo.cfg")}
	s.put(t, "zoo.cfg", "dataDir=DIR\n"+text)
	if id != "" {
		s.put(t, "myid", id)
	}
	return s
}

func (s site) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(strings.ReplaceAll(text, "DIR", s.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	limits = "initLimit=10\nsyncLimit=5\n" // lines 2 and 3
	three  = limits + "server.1=10.0.0.1:2888:3888\nserver.2=10.0.0.2:2888:3888\nserver.3=10.0.0.3:2888:3888\n"
)

func TestOneFileForFourHosts(t *testing.T) {
	s := newSite(t, "tickTime=2000\n"+three+"server.4=10.0.0.4:2888:3888:observer\n", "4\n")
	cfg, warnings, err := load(named(nil, "10.0.0.4"), s.file, nil, nil)
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	if m, ok := cfg.Members.Member(cfg.MyID); !ok || cfg.MyID != 4 || m.Role != ensemble.Observer || len(cfg.Members.Voters()) != 3 {
		t.Errorf("id %d, members %v", cfg.MyID, cfg.Members)
	}
	if cfg.InitTimeout() != 20*time.Second || cfg.SyncTimeout() != 10*time.Second || cfg.ConnectTimeout() != 20*time.Second || cfg.QuorumCnxnTimeout != 10*time.Second {
		t.Errorf("timeouts %v, %v, %v, %v", cfg.InitTimeout(), cfg.SyncTimeout(), cfg.ConnectTimeout(), cfg.QuorumCnxnTimeout)
	}
}

// TestWhoServesAlone has ZooKeeper's rules for few servers.
func TestWhoServesAlone(t *testing.T) {
	one := "server.1=10.0.0.1:2888:3888\n"
	two := one + "server.2=10.0.0.2:2888:3888\n"
	for _, c := range []struct {
		name, text string
		voters     int // 0 = alone
		warning    string
	}{
		{"no server line", "", 0, ""},
		{"one server line", one, 0, "zoo.cfg:2: server.1 is the only server: it serves alone"},
		{"an ensemble of one", limits + "standaloneEnabled=false\n" + one, 1, "1 voters survive no failure"},
		{"one voter and an observer", limits + "standaloneEnabled=false\n" + one + "server.2=b:1:2:observer", 1, "survive no failure"},
		{"two voters", limits + two, 2, "zoo.cfg: 2 voters survive no failure"},
		{"three voters", three, 3, ""},
		{"four voters", three + "server.4=b:1:2", 4, "4 voters survive no more failures than 3"},
		{"the line says participant", three + "peerType=observer", 3, "zoo.cfg:7: peerType observer does not count"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.text, "1")
			cfg, warnings, err := load(named(nil, "10.0.0.1"), s.file, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			voters := 0
			if cfg.Members != nil {
				voters = len(cfg.Members.Voters())
			}
			if voters != c.voters || (cfg.MyID == 1) != (voters > 0) {
				t.Errorf("%d voters, id %d, want %d", voters, cfg.MyID, c.voters)
			}
			if text := strings.Join(warnings, "\n"); !strings.Contains(text, c.warning) || (text == "") != (c.warning == "") {
				t.Errorf("warnings = %q, want %q", text, c.warning)
			}
		})
	}
}

func TestBadServerLines(t *testing.T) {
	for _, c := range []struct{ name, text, where, reason string }{
		{"a server that is no number", "server.x=a:1:2", "zoo.cfg:2: server.x: ", `"x" is not a number from 1 to 255`},
		{"server 0", "server.0=a:1:2", "zoo.cfg:2: server.0: ", "from 1 to 255"},
		{"server 256", "server.256=a:1:2", "zoo.cfg:2: server.256: ", "from 1 to 255"},
		{"no election port", three + "server.4=a:1", "zoo.cfg:7: server.4: ", "host:quorumPort:electionPort"},
		{"a port that is no number", three + "server.4=a:1:b", "zoo.cfg:7: server.4: ", `port "b"`},
		{"a role that is none", three + "server.4=a:1:2:king", "zoo.cfg:7: server.4: ", `role "king"`},
		{"one port for both", three + "server.4=a:1:1", "zoo.cfg:7: server.4: ", "1 is the port for the quorum and for elections"},
		{"one server by two spellings", three + "server.03=a:1:2", "zoo.cfg:6: server.3: ", "is the same server as server.03 at "},
		{"one address twice", three + "server.4=10.0.0.2:5:3888", "zoo.cfg:7: server.4: ", "10.0.0.2:3888 is also the address of server.2 at "},
		{"several addresses", three + "server.4=a:1:2|b:1:2", "zoo.cfg:7: server.4: ", "multiAddress.enabled=true"},
		{"a broken template", three + "server.4={{ Nonsense }}:1:2", "zoo.cfg:7: server.4: ", "Nonsense"},
		{"a template without an answer", three + `server.4={{ GetAllInterfaces | include "name" "^none$" | attr "address" }}`, "zoo.cfg:7: server.4: ", "no address of this host"},
		{"observers only", "server.2=a:1:2:observer", "zoo.cfg:2: server.2: ", "there is no participant"},
		{"an observer of one", "server.1=a:1:2\nserver.2=b:1:2:observer", "zoo.cfg:3: server.2: ", "standaloneEnabled=false"},
		{"no initLimit", "syncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2", "zoo.cfg: initLimit: ", "is not set"},
		{"no syncLimit", "initLimit=5\nserver.1=a:1:2\nserver.2=b:1:2", "zoo.cfg: syncLimit: ", "is not set"},
		{"another client port", "clientPort=1\n" + three + "server.9=a:1:2;2", "zoo.cfg:2: clientPort: ", "1 is not the port of server.9 at "},
		{"another client address", "clientPort=2\nclientPortAddress=10.0.0.8\n" + three + "server.9=a:1:2;2", "zoo.cfg:3: clientPortAddress: ", "10.0.0.8 is not the client address of server.9 at "},
		{"servers beside a dynamic file", three + "dynamicConfigFile=DIR/dyn", "zoo.cfg:4: server.1: ", "belongs into "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.text, "9")
			_, _, err := load(named(nil), s.file, nil, nil)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.where) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("load = %v, want an Error with %q and %q", err, c.where, c.reason)
			}
		})
	}
}

func TestClientAddressOfTheOwnLine(t *testing.T) {
	for _, c := range []struct {
		name, text, line string
		port             int
		address          string
	}{
		{"nowhere", "", "", 2181, ""},
		{"in zoo.cfg", "clientPort=2\nclientPortAddress=10.0.0.7\n", "", 2, "10.0.0.7"},
		{"in the line", "", ";10.0.0.7:3", 3, "10.0.0.7"},
		{"every address", "", ";3", 3, ""},
		{"in both", "clientPort=3\nclientPortAddress=10.0.0.7\n", ";10.0.0.7:3", 3, "10.0.0.7"},
		{"in both, by name", "clientPort=3\nclientPortAddress=seven\n", ";10.0.0.7:3", 3, "10.0.0.7"},
		{"the port in both", "clientPort=3\nclientPortAddress=0.0.0.0\n", ";10.0.0.7:3", 3, "10.0.0.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, others := range []string{"", three} {
				s := newSite(t, c.text+others+"server.7=10.0.0.7:2888:3888"+c.line, "7")
				cfg, _, err := load(named(map[string]string{"seven": "10.0.0.7"}), s.file, nil, nil)
				if err != nil || cfg.ClientPort != c.port || cfg.ClientPortAddress != c.address {
					t.Errorf("%q port %d, %v, want %q port %d", cfg.ClientPortAddress, cfg.ClientPort, err, c.address, c.port)
				}
			}
		})
	}
}

func TestServerLinesFromEverySource(t *testing.T) {
	s := newSite(t, "multiAddress.enabled=true\n"+three, "1")
	cfg, _, err := load(named(nil), s.file, []string{"ZABD_SERVER_3=c:1:2|d:1:2"}, map[string]string{
		"server.1": `{{ GetAllInterfaces | include "name" "lo" | include "type" "IPv4" | attr "address" }}:2888:3888`,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "server.1=127.0.0.1:2888:3888:participant\nserver.2=10.0.0.2:2888:3888:participant\nserver.3=c:1:2|d:1:2:participant\nversion=0"
	if got := cfg.Members.Text(); got != want {
		t.Errorf("members %q, want %q", got, want)
	}
}

func TestDynamicFile(t *testing.T) {
	lines := strings.TrimPrefix(three, limits)
	for _, c := range []struct {
		name, file, text, next string
		version                int64
		err                    string
	}{
		{"a version in its name", "zoo.cfg.dynamic.10000000a", lines, "", 0x10000000a, ""},
		{"no version", "members", lines, "", 0, ""},
		{"an older next one is left over", "zoo.cfg.dynamic.20", lines, lines + "version=1f", 0x20, ""},
		{"a next one is under way", "zoo.cfg.dynamic.20", lines, lines + "version=21", 0, "zoo.cfg.dynamic.next: a reconfiguration is under way"},
		{"a version inside", "members", lines + "version=1", "", 0, "members:4: version: does not belong here"},
		{"another key", "members", lines + "clientPort=1", "", 0, "members:4: clientPort: does not belong"},
		{"a group", "members", lines + "group.1=1", "", 0, "members:4: group.1: groups and weights"},
		{"a bad line", "members", lines + "server.4=a", "", 0, "members:4: server.4: "},
		{"a server twice", "members", lines + "server.3=a:1:2", "", 0, "members:4: server.3: is the same server as server.3 at "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, limits+"dynamicConfigFile=DIR/"+c.file, "2")
			s.put(t, c.file, c.text)
			if c.next != "" {
				s.put(t, "zoo.cfg.dynamic.next", c.next)
			}
			cfg, _, err := load(named(nil), s.file, nil, nil)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("load = %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || cfg.Members.Version != c.version || !slices.Equal(cfg.Members.Voters(), []ensemble.ID{1, 2, 3}) {
				t.Errorf("load = %v, %v, want version %x", cfg.Members, err, c.version)
			}
		})
	}
	t.Run("a link to the version", func(t *testing.T) {
		s := newSite(t, limits+"dynamicConfigFile=DIR/members", "2")
		s.put(t, "members.1f", lines)
		if err := os.Symlink("members.1f", filepath.Join(s.dir, "members")); err != nil {
			t.Fatal(err)
		}
		if cfg, _, err := load(named(nil), s.file, nil, nil); err != nil || cfg.Members.Version != 0x1f {
			t.Errorf("load = %v, %v", cfg.Members, err)
		}
	})
	t.Run("no such file", func(t *testing.T) {
		s := newSite(t, "dynamicConfigFile=DIR/none", "2")
		if _, _, err := load(named(nil), s.file, nil, nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none") {
			t.Errorf("load = %v", err)
		}
	})
}
