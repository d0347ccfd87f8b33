//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

const (
	address     = "127.0.0.1:2181" // in the host
	javaClasses = "/etc/zookeeper/conf:/usr/share/java/*"
)

// TestPackageOnABootedHost is an operator's day: install, start, load, kill, go to ZooKeeper and come back, break the
// configuration, remove.
func TestPackageOnABootedHost(t *testing.T) {
	h := boot(t, "zk1")
	steps := []struct {
		name string
		run  func(*testing.T, *host)
	}{
		{"install from the repository", installFromRepository},
		{"nothing runs that nobody asked for", nothingRuns},
		{"units", unitsAreSound},
		{"start", startsThroughTheSocket},
		{"zkCli", zkCli}, // before others make nodes below /, whose names count up
		{"tools", operatorsTools},
		{"kazoo", kazoo},
		{"load and kill", loadAndKill},
		{"restart", restartRefusesNobody},
		{"stop", stopTakesTheSocket},
		{"ZooKeeper and back", zooKeeperAndBack},
		{"journal", journalFields},
		{"a session in the journal", sessionInTheJournal},
		{"wrong setting", wrongSetting},
		{"refusals", refusals},
		{"upgrade", upgrade},
		{"removal", removalKeepsData},
	}
	for _, s := range steps {
		ok := t.Run(s.name, func(t *testing.T) {
			outer := h.t
			h.t = t
			defer func() { h.t = outer }()
			s.run(t, h)
		})
		if !ok {
			return
		}
	}
}

// newestPackage returns the package that was built last.
func newestPackage(t *testing.T) string {
	t.Helper()
	debs, _ := filepath.Glob("../../dist/zabd_*_" + runtime.GOARCH + ".deb")
	if len(debs) == 0 {
		t.Fatal("no package; make packages")
	}
	deb, err := filepath.Abs(slices.MaxFunc(debs, func(a, b string) int { return newer(a).Compare(newer(b)) }))
	if err != nil {
		t.Fatal(err)
	}
	return deb
}

func newer(file string) time.Time {
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func nothingRuns(t *testing.T, h *host) {
	for _, unit := range []string{"zabd.service", "zabd.socket"} {
		if out, _ := h.try("systemctl", "is-enabled", unit); strings.TrimSpace(out) != "disabled" {
			t.Errorf("%s is %q after the installation", unit, out)
		}
		if got := h.show(unit, "ActiveState"); got != "inactive" {
			t.Errorf("%s is %s after the installation", unit, got)
		}
	}
}

func startsThroughTheSocket(t *testing.T, h *host) {
	_, start := manual(t)
	h.obey(start)
	if got := h.show("zabd.socket", "ActiveState"); got != "active" {
		t.Errorf("zabd.socket is %s", got)
	}
	if got := h.show("zabd", "StatusText"); !strings.HasPrefix(got, "standalone, zxid 0x") {
		t.Errorf("STATUS=%q", got)
	}
}

func zkCli(t *testing.T, h *host) {
	cmd := h.beside("/usr/share/zookeeper/bin/zkCli.sh", "-server", address)
	cmd.Stdin = strings.NewReader("create -s -e /x \"\"\nstat /x0000000000\nls /\nquit\n")
	out, err := cmd.CombinedOutput()
	for _, want := range []string{"Created /x0000000000", "cZxid = 0x2", "[x0000000000, zookeeper]"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("zkCli.sh does not say %q (%v; is Debian's package zookeeper installed?):\n%s", want, err, out)
		}
	}
}

func kazoo(t *testing.T, h *host) {
	const script = `
from kazoo.client import KazooClient
zk = KazooClient("127.0.0.1:2181"); zk.start(timeout=20)
zk.create("/kazoo", b"one"); zk.set("/kazoo", b"two")
with zk.Lock("/kazoo-lock", "me"): print(zk.get("/kazoo")[0].decode())
zk.stop()`
	out, err := h.beside("/usr/bin/python3", "-c", script).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "two" {
		t.Fatalf("kazoo: %v (apt-get install -y python3-kazoo)\n%s", err, out)
	}
}

// connect dials the server in the host.
func connect(t *testing.T, h *host) *wire.Conn {
	t.Helper()
	var c *wire.Conn
	var err error
	h.inside(func() { c, err = wire.Dial(context.Background(), address, wire.Options{Timeout: 30 * time.Second}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// loadAndKill writes 10,000 nodes, kills the server in the middle, and looks for every node that was acknowledged.
func loadAndKill(t *testing.T, h *host) {
	const clients, writes = 4, 2500
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	half := make(chan struct{})
	write := func(c *wire.Conn, i int, done *sync.WaitGroup) {
		defer done.Done()
		for n := range writes {
			path := fmt.Sprintf("/load/%d-%d", i, n)
			if _, err := c.Create(context.Background(), path, []byte(path), 0); err != nil && !errors.Is(err, proto.NodeExists) {
				return
			}
			mu.Lock()
			if acknowledged[path] = true; len(acknowledged) == clients*writes/2 {
				close(half)
			}
			mu.Unlock()
		}
	}
	if _, err := connect(t, h).Create(context.Background(), "/load", nil, 0); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		var done sync.WaitGroup
		for i := range clients {
			done.Add(1)
			go write(connect(t, h), i, &done)
		}
		if round == 0 {
			<-half
			h.kill("zabd", "SIGKILL")
		}
		done.Wait()
		c := connect(t, h)
		for path := range acknowledged {
			if data, _, err := c.Get(context.Background(), path, false); err != nil || string(data) != path {
				t.Fatalf("round %d: %s was acknowledged and is %q, %v", round, path, data, err)
			}
		}
		t.Logf("round %d: %d nodes acknowledged, all there", round, len(acknowledged))
	}
	if len(acknowledged) != clients*writes {
		t.Fatalf("%d of %d writes were acknowledged", len(acknowledged), clients*writes)
	}
}

// restartRefusesNobody connects again and again while the service is restarted: the socket unit holds the port.
func restartRefusesNobody(t *testing.T, h *host) {
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		_, _ = h.try("systemctl", "restart", "zabd")
	}()
	sessions := 0
	for running := true; running; {
		select {
		case <-restarted:
			running = false
		default:
		}
		var err error
		h.inside(func() {
			var c *wire.Conn
			if c, err = wire.Dial(context.Background(), address, wire.Options{}); err == nil {
				sessions++
				c.Close()
			}
		})
		if err != nil && strings.Contains(err.Error(), "refused") && !errors.Is(err, wire.ErrRefused) {
			t.Fatalf("after %d sessions: %v", sessions, err)
		}
	}
	if sessions == 0 || h.show("zabd", "ActiveState") != "active" {
		t.Fatalf("%d sessions, zabd is %s", sessions, h.show("zabd", "ActiveState"))
	}
}

// tree returns everything that a client can see, by path.
func tree(t *testing.T, h *host) map[string]string {
	t.Helper()
	c, out := connect(t, h), map[string]string{}
	var walk func(path string)
	walk = func(path string) {
		data, st, err := c.Get(context.Background(), path, false)
		acl, _, err2 := c.GetACL(context.Background(), path)
		kids, _, err3 := c.Children(context.Background(), path, false)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[path] = fmt.Sprintf("%q %+v %v", data, st, acl)
		for _, name := range kids {
			walk(strings.TrimSuffix(path, "/") + "/" + name)
		}
	}
	walk("/")
	return out
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path, w := range want {
		if got[path] != w {
			t.Errorf("%s: %s is\n%s, was\n%s", what, path, got[path], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d nodes, were %d", what, len(got), len(want))
	}
	t.Logf("%s: %d nodes", what, len(got))
}

// zooKeeperAndBack lets ZooKeeper 3.8.0 serve the directory, write to it, and zabd take it back.
func zooKeeperAndBack(t *testing.T, h *host) {
	before := tree(t, h)
	h.do("systemctl", "stop", "zabd.socket", "zabd.service")
	cfg := filepath.Join(t.TempDir(), "zoo.cfg")
	data := filepath.Join(h.root, "var/lib/zabd")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, "tickTime=2000\ndataDir=%s\nclientPort=2181\n", data), 0o644); err != nil {
		t.Fatal(err)
	}
	java := h.beside("java", "-Xmx256m", "-Dzookeeper.admin.enableServer=false", "-cp", javaClasses,
		"org.apache.zookeeper.server.ZooKeeperServerMain", cfg)
	if err := java.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { _ = java.Process.Kill(); _ = java.Wait() })
	t.Cleanup(stop)
	h.until("ZooKeeper serves zabd's directory", func() bool {
		var err error
		h.inside(func() {
			var c *wire.Conn
			if c, err = wire.Dial(context.Background(), address, wire.Options{}); err == nil {
				c.Close()
			}
		})
		return err == nil
	})
	same(t, "served by ZooKeeper 3.8.0", tree(t, h), before)
	c := connect(t, h)
	if _, err := c.Create(context.Background(), "/java", []byte("was here"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(context.Background(), "/kazoo", []byte("three"), -1); err != nil {
		t.Fatal(err)
	}
	after := tree(t, h)
	stop()
	h.do("chown", "-R", "zabd:zabd", "/var/lib/zabd") // ZooKeeper ran as somebody else
	h.do("systemctl", "start", "zabd")
	same(t, "served by zabd again", tree(t, h), after)
}

func journalFields(t *testing.T, h *host) {
	out := h.do("journalctl", "--no-pager", "-u", "zabd", "-o", "json")
	for _, field := range []string{`"ZABD_ZXID"`, `"ZABD_ADDRESS"`, `"ZABD_VERSION"`} {
		if !strings.Contains(out, field) {
			t.Errorf("the journal has no field %s", field)
		}
	}
}

// wrongSetting ends the service with its own code, and systemd leaves it at that.
func wrongSetting(t *testing.T, h *host) {
	cfg := h.root + "/etc/zabd/zoo.cfg"
	good, err := os.ReadFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg, append(slices.Clone(good), "tickTime=soon\n"...), 0o640); err != nil {
		t.Fatal(err)
	}
	restarts := h.show("zabd", "NRestarts")
	if out, err := h.try("systemctl", "restart", "zabd"); err == nil {
		t.Fatalf("zabd starts with tickTime=soon: %s", out)
	}
	if state, code := h.show("zabd", "ActiveState"), h.show("zabd", "ExecMainStatus"); state != "failed" || code != "78" || h.show("zabd", "NRestarts") > restarts {
		t.Fatalf("zabd is %s, exit code %s, %s restarts (were %s)\n%s", state, code, h.show("zabd", "NRestarts"), restarts, h.journal())
	}
	if !strings.Contains(h.journal(), "zoo.cfg:") {
		t.Errorf("nothing names the line:\n%s", h.journal())
	}
	if err := os.WriteFile(cfg, good, 0o640); err != nil {
		t.Fatal(err)
	}
	h.do("systemctl", "reset-failed", "zabd")
	h.do("systemctl", "start", "zabd")
}
