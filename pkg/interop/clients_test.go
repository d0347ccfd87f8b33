//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/go-zookeeper/zk"
)

// program is a client of somebody else's making, wrapped in a program with arguments ADDRESS SCENARIO ROOT that plays
// the scenario below ROOT, prints its complaints and ends with 0 when it had none.
type program struct {
	name string
	env  []string
	argv func(t *testing.T) []string
	more []string // scenarios that only this program has
}

var programs = []program{
	{"go-zk", []string{"ZABD_INTEROP_CLIENT=go-zk"}, func(*testing.T) []string { return []string{os.Args[0]} }, nil},
	{"kazoo", nil, func(t *testing.T) []string {
		needTool(t, "/usr/lib/python3/dist-packages/kazoo", "apt-get install -y python3-kazoo")
		return []string{"/usr/bin/python3", testdata(t, "kazoo_client.py")}
	}, []string{"recipes"}},
	{"c", nil, compileC, nil},
	{"java", nil, compileJava, nil},
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func compileC(t *testing.T) []string {
	t.Helper()
	const install = "apt-get install -y gcc libc6-dev libzookeeper-mt-dev"
	needTool(t, "/usr/include/zookeeper/zookeeper.h", install)
	needTool(t, "/usr/bin/gcc", install)
	binary := filepath.Join(t.TempDir(), "client")
	cc := exec.Command("/usr/bin/gcc", "-DTHREADED", "-Wall", "-Werror", "-O1", "-o", binary, testdata(t, "client.c"), "-lzookeeper_mt", "-lpthread")
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{binary}
}

func compileJava(t *testing.T) []string {
	t.Helper()
	needTool(t, javaClasses, javaInstall)
	needTool(t, "/usr/bin/javac", javaInstall)
	classes := t.TempDir()
	if out, err := exec.Command("/usr/bin/javac", "-cp", javaClasses, "-d", classes, testdata(t, "Client.java")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	argv := append([]string{"/usr/bin/java"}, jvm...)
	return append(argv, "-cp", javaClasses+":"+classes, "Client")
}

func TestClients(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			argv := p.argv(t)
			s := serve(t, underTest)
			view := s.connect(t)
			start := func(t *testing.T, s *server, scenario string) *process {
				return startProcess(t, append(slices.Clone(argv), s.addr, scenario, "/"+scenario), p.env...)
			}
			for _, scenario := range append([]string{"sequence", "stat", "watches", "multi", "acl"}, p.more...) {
				t.Run(scenario, func(t *testing.T) {
					makeRoot(t, view, "/"+scenario)
					mustSucceed(t, start(t, s, scenario))
				})
			}
			t.Run("modes", func(t *testing.T) {
				makeRoot(t, view, "/modes")
				mustSucceed(t, start(t, s, "modes"))
				checkModes(t, view)
			})
			t.Run("size", func(t *testing.T) {
				makeRoot(t, view, "/size")
				mustSucceed(t, start(t, s, "size"))
				if !s.serves() {
					t.Fatal("no answer to a new connection after the frame beyond jute.maxbuffer")
				}
				if _, _, err := view.Get("/size"); err != nil {
					t.Fatalf("another client after the frame beyond jute.maxbuffer: %v", err)
				}
			})
			t.Run("killed", func(t *testing.T) {
				makeRoot(t, view, "/hold")
				killHolder(t, view, start(t, s, "hold"))
			})
			t.Run("server crash", func(t *testing.T) {
				crashServer(t, func(s *server) *process { return start(t, s, "survive") })
			})
		})
	}
}

func makeRoot(t *testing.T, c *zk.Conn, path string) {
	t.Helper()
	if _, err := c.Create(path, nil, 0, world); err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
}

func mustSucceed(t *testing.T, p *process) {
	t.Helper()
	if out, err := p.wait(t); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// checkModes looks, as another client, at what the scenario modes left when it closed its session.
func checkModes(t *testing.T, c *zk.Conn) {
	t.Helper()
	names, stat, err := c.Children("/modes")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if want := []string{"p", "p2", "ps-0000000002", "ps2-0000000006"}; !slices.Equal(names, want) {
		t.Fatalf("nodes left = %q, want %q", names, want)
	}
	if stat.Cversion != 12 || stat.NumChildren != 4 {
		t.Fatalf("stat of the parent = %+v, want cversion 12 (8 creates, 4 deletes), numChildren 4", stat)
	}
}

var ready = regexp.MustCompile(`(?m)^ready$`)

// killHolder kills a client that owns an ephemeral and waits for the node's deletion.
func killHolder(t *testing.T, c *zk.Conn, p *process) {
	t.Helper()
	p.expect(t, ready)
	ok, stat, events, err := c.ExistsW("/hold/held")
	if err != nil || !ok || stat.EphemeralOwner == 0 {
		t.Fatalf("exists /hold/held = %v, %+v, %v, want an ephemeral", ok, stat, err)
	}
	p.kill()
	if err := goZKFired("kill -9 of the owner", events, zk.EventNodeDeleted, "/hold/held"); err != nil {
		t.Fatal(err)
	}
	if names, _, err := c.Children("/hold"); err != nil || len(names) != 0 {
		t.Fatalf("children of /hold = %q, %v, want none", names, err)
	}
}

// crashServer kills a server of its own under a client, which must find its session, its ephemeral and its watches
// again.
func crashServer(t *testing.T, start func(s *server) *process) {
	t.Helper()
	s := serve(t, underTest)
	makeRoot(t, s.connect(t), "/survive")
	p := start(s)
	p.expect(t, ready)
	s.crash(t)
	p.send(t, "go")
	mustSucceed(t, p)
	names, _, err := s.connect(t).Children("/survive")
	slices.Sort(names)
	if want := []string{"new", "watched"}; err != nil || !slices.Equal(names, want) {
		t.Fatalf("nodes left = %q, %v, want %q", names, err, want)
	}
}
