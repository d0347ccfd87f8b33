//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/wire"
)

// TestFaultsOfOneHost is what may befall a server that is alone: its disk, its settings, and an operator who restarts it
// again and again.
func TestFaultsOfOneHost(t *testing.T) {
	t.Parallel()
	disk := newFaultyDisk(t)
	s := newSite(t, 1, "--bind="+disk.mount+":/srv/log")
	x := &lone{site: s, h: s.hosts[0], disk: disk}
	steps := []struct {
		name string
		run  func(*lone, *testing.T)
	}{
		{"set up", (*lone).setUp},
		{"restarts under connects", (*lone).restarts},
		{"a slow disk", (*lone).slowDisk},
		{"an idle server is left alone", (*lone).idle},
		{"a disk that hangs", (*lone).hungDisk},
		{"a large tree on a slow disk", (*lone).slowStart},
		{"a disk that fails", (*lone).failedDisk},
		{"damage", (*lone).damage},
		{"a reload of mistakes", (*lone).badReload},
		{"clients of a server that cannot start", (*lone).cannotStart},
		{"without the socket unit", (*lone).withoutSocket},
		{"a foreign ZooKeeper", (*lone).foreign},
	}
	for _, step := range steps {
		ok := t.Run(step.name, func(t *testing.T) {
			s.t, x.h.t = t, t
			step.run(x, t)
		})
		if s.t, x.h.t = t, t; !ok {
			return
		}
	}
}

// lone is a site of one host, whose log is on a disk that a test disturbs.
type lone struct {
	*site
	h    *host
	disk *faultyDisk
}

// install installs the package that was built last.
func (h *host) install() {
	h.t.Helper()
	deb, err := os.ReadFile(newestPackage(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.root+"/var/tmp/zabd.deb", deb, 0o644); err != nil {
		h.t.Fatal(err)
	}
	h.do("dpkg", "--install", "/var/tmp/zabd.deb")
}

// dropIn writes a drop-in of zabd.service.
func (h *host) dropIn(name, lines string) {
	h.t.Helper()
	h.do("mkdir", "-p", "/etc/systemd/system/zabd.service.d")
	h.write("/etc/systemd/system/zabd.service.d/"+name+".conf", "[Service]\n"+lines)
	h.do("systemctl", "daemon-reload")
}

// explains waits until journalctl -x says something of the service.
func (h *host) explains(want string) {
	h.t.Helper()
	h.until("journalctl -x says "+want, func() bool {
		out, _ := h.try("journalctl", "-x", "--no-pager", "-u", "zabd")
		return strings.Contains(out, want)
	})
}

// awaitStatus waits until systemctl status shows something.
func (h *host) awaitStatus(want string) {
	h.t.Helper()
	h.until("systemctl status says "+want, func() bool {
		out, _ := h.try("systemctl", "status", "--no-pager", "--lines=0", "zabd")
		return strings.Contains(out, want)
	})
}

func (x *lone) setUp(t *testing.T) {
	x.h.install()
	x.configure()
	x.acknowledge(t, "/first", nil)
}

// configure starts zabd with its log on the disk that is disturbed.
func (x *lone) configure() {
	x.h.do("chown", "zabd:zabd", "/srv/log")
	x.h.write("/etc/zabd/zoo.cfg", x.h.read("/etc/zabd/zoo.cfg")+"dataLogDir=/srv/log\npreAllocSize=1024\nfsync.warningthresholdms=200\nmaxClientCnxns=0\n")
	x.h.dropIn("test", "ReadWritePaths=/srv/log\n")
	x.h.do("systemctl", "start", "zabd")
}

// idle: the watchdog is fed by a server that has nothing to do.
func (x *lone) idle(t *testing.T) {
	x.h.dropIn("watchdog", "WatchdogSec=4s\n") // the next step has it as well
	x.h.do("systemctl", "restart", "zabd")
	pid, fed := x.h.show("zabd", "MainPID"), x.h.show("zabd", "WatchdogTimestampMonotonic")
	for range 3 {
		x.h.until("the watchdog is fed", func() bool { return x.h.show("zabd", "WatchdogTimestampMonotonic") != fed })
		fed = x.h.show("zabd", "WatchdogTimestampMonotonic")
	}
	if got := x.h.show("zabd", "MainPID"); got != pid {
		t.Errorf("process %s is %s now", pid, got)
	}
}

// connects are so many a second, each for a session of its own, until the end.
type connects struct {
	stop                      context.CancelFunc
	running                   sync.WaitGroup
	sessions, closed, refused atomic.Int64
}

const connectsPerSecond = 200

func (x *lone) connects(t *testing.T) *connects {
	ctx, stop := context.WithCancel(t.Context())
	n := &connects{stop: stop}
	t.Cleanup(n.end)
	n.running.Go(func() {
		tick := time.NewTicker(time.Second / connectsPerSecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			n.running.Go(func() {
				c, err := x.dial(ctx, 1, wire.Options{})
				switch {
				case err == nil:
					n.sessions.Add(1)
					c.Close()
				case errors.Is(err, syscall.ECONNREFUSED):
					n.refused.Add(1)
				default:
					n.closed.Add(1)
				}
			})
		}
	})
	return n
}

func (n *connects) end() {
	n.stop()
	n.running.Wait()
}

func (n *connects) String() string {
	return fmt.Sprintf("%d sessions, %d connections refused, %d closed before they were one", n.sessions.Load(), n.refused.Load(), n.closed.Load())
}

// restarts: the socket unit holds the port, so that nobody is refused, and sessions live on.
func (x *lone) restarts(t *testing.T) {
	const restarts = 20
	writers, others := begin(t, x.site, 4), x.connects(t)
	began := time.Now()
	for range restarts {
		before := others.sessions.Load()
		x.h.do("systemctl", "restart", "zabd")
		x.h.until("clients are served", func() bool { return others.sessions.Load() > before })
	}
	t.Logf("%d restarts in %v, at most %v without an acknowledged write; %v", restarts, time.Since(began), writers.gap(), others)
	others.end()
	writers.end(t)
	if others.refused.Load() > 0 || others.sessions.Load() == 0 {
		t.Error(others)
	}
}

// acknowledge writes a node.
func (x *lone) acknowledge(t *testing.T, path string, data []byte) {
	t.Helper()
	c, err := x.dial(t.Context(), 1, wire.Options{})
	if err == nil {
		defer c.Close()
		_, err = c.Create(t.Context(), path, data, 0)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, x.h.journal())
	}
}

// has waits until the server serves, and looks for nodes.
func (x *lone) has(t *testing.T, paths ...string) {
	t.Helper()
	var c *wire.Conn
	x.h.until("zabd serves", func() (ok bool) {
		var err error
		c, err = x.dial(t.Context(), 1, wire.Options{})
		return err == nil
	})
	defer c.Close()
	for _, path := range paths {
		if _, err := c.Exists(t.Context(), path, false); err != nil {
			t.Errorf("%s was acknowledged: %v", path, err)
		}
	}
}

func (x *lone) slowDisk(t *testing.T) {
	x.disk.delay(300 * time.Millisecond)
	x.acknowledge(t, "/slow", nil)
	x.disk.heal()
	x.h.explains("Subject: The disk is slow, and every write waits for it")
}

// hungDisk: the watchdog ends a server whose log writer is stuck, though it goes on answering what needs no disk.
func (x *lone) hungDisk(t *testing.T) {
	var conns [2]*wire.Conn
	for i := range conns {
		c, err := x.dial(t.Context(), 1, wire.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	pid, began := x.h.show("zabd", "MainPID"), time.Now()
	x.disk.hang()
	written := make(chan error, 1)
	go func() {
		_, err := conns[0].Create(t.Context(), "/hung", nil, 0)
		written <- err
	}()
	if _, err := conns[1].Exists(t.Context(), "/first", false); err != nil {
		t.Errorf("a read while the disk hangs: %v", err)
	}
	if err := <-written; err == nil {
		t.Error("a write was acknowledged that is not on the disk")
	}
	x.h.until("the watchdog ends zabd", func() bool { return x.h.show("zabd", "MainPID") != pid })
	t.Logf("ended after %v", time.Since(began))
	x.disk.heal()
	x.has(t, "/first")
	x.h.dropIn("watchdog", "")
	x.h.do("systemctl", "restart", "zabd")
	x.h.says("journalctl --no-pager -u zabd", "zabd.service: Watchdog timeout (limit 4s)!", "zabd.service: Failed with result 'watchdog'", "loop=log writer")
}

// slowStart takes longer than a start may; for as long as there is progress, more time is granted.
func (x *lone) slowStart(t *testing.T) {
	for n := range 40 {
		x.acknowledge(t, fmt.Sprintf("/large%d", n), make([]byte, 100_000))
	}
	x.h.do("systemctl", "stop", "zabd")
	x.h.dropIn("start", "TimeoutStartSec=12s\n")
	x.disk.delay(time.Second)
	began := time.Now()
	x.h.do("systemctl", "start", "zabd")
	if took := time.Since(began); took < 15*time.Second {
		t.Errorf("the start took only %v", took)
	}
	x.disk.heal()
	x.has(t, "/large0", "/large39")
}

// failedDisk: the server ends when a sync fails, comes back by itself when the disk does, and lacks nothing.
func (x *lone) failedDisk(t *testing.T) {
	writers, others := begin(t, x.site, 4), x.connects(t)
	writers.written(50)
	x.disk.fail()
	x.h.awaitStatus("input/output error")
	x.h.explains("Subject: A write to the disk has failed, and zabd has stopped")
	restarts := x.h.show("zabd", "NRestarts")
	x.h.until("zabd is tried again", func() bool { return x.h.show("zabd", "NRestarts") != restarts })
	x.disk.heal()
	writers.written(50)
	others.end()
	writers.end(t)
	t.Logf("%s restarts, at most %v without an acknowledged write; %v", x.h.show("zabd", "NRestarts"), writers.gap(), others)
}

// damage stops the server for good, with the file and the place; what was taken away for the test is put back.
func (x *lone) damage(t *testing.T) {
	x.h.do("systemctl", "stop", "zabd")
	logs, err := filepath.Glob(x.disk.files + "/version-2/log.*")
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %v", logs, err)
	}
	whole, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	for n, text := range [][]byte{append(slices.Clone(whole[:60]), append([]byte("damage"), whole[66:]...)...), whole} {
		if err := os.WriteFile(logs[0], text, 0o640); err != nil {
			t.Fatal(err)
		}
		if out, err := x.h.try("systemctl", "start", "zabd"); (err == nil) != (n == 1) {
			t.Errorf("start %d: %v\n%s", n, err, out)
		}
		if n == 0 {
			if state, code := x.h.show("zabd", "ActiveState"), x.h.show("zabd", "ExecMainStatus"); state != "failed" || code != "65" {
				t.Errorf("zabd is %s, exit code %s", state, code)
			}
			x.h.says("systemctl status --no-pager --lines=0 zabd", "/srv/log/version-2/"+filepath.Base(logs[0]))
			x.h.explains("Subject: The data are damaged, and zabd does not start")
		}
	}
	x.has(t, "/first")
}

// badReload leaves the settings as they are; systemctl status says so, and why, until a reload succeeds.
func (x *lone) badReload(t *testing.T) {
	cfg, pid := x.h.read("/etc/zabd/zoo.cfg"), x.h.show("zabd", "MainPID")
	x.h.write("/etc/zabd/zoo.cfg", cfg+"tickTime=never\n")
	x.h.do("systemctl", "reload", "zabd")
	x.h.awaitStatus(fmt.Sprintf("the settings stay as they are: config: /etc/zabd/zoo.cfg:%d: tickTime:", strings.Count(cfg, "\n")+1))
	x.h.write("/etc/zabd/zoo.cfg", cfg)
	x.h.do("systemctl", "reload", "zabd")
	x.h.until("the status is as before", func() bool { return !strings.Contains(x.h.show("zabd", "StatusText"), "settings") })
	if got := x.h.show("zabd", "MainPID"); got != pid {
		t.Errorf("process %s is %s now", pid, got)
	}
}

// cannotStart: a server that has ended for good leaves no port open behind which nobody answers.
func (x *lone) cannotStart(t *testing.T) {
	cfg := x.h.read("/etc/zabd/zoo.cfg")
	x.h.write("/etc/zabd/zoo.cfg", cfg+"tickTime=never\n")
	others := x.connects(t)
	if out, err := x.h.try("systemctl", "restart", "zabd"); err == nil {
		t.Errorf("zabd starts: %s", out)
	}
	x.h.until("connections are refused", func() bool { return others.refused.Load() > connectsPerSecond })
	others.end()
	if state, code := x.h.show("zabd", "ActiveState"), x.h.show("zabd", "ExecMainStatus"); state != "failed" || code != "78" {
		t.Errorf("zabd is %s, exit code %s", state, code)
	}
	x.h.awaitStatus("tickTime:")
	x.h.write("/etc/zabd/zoo.cfg", cfg)
	x.h.do("systemctl", "start", "zabd")
	x.has(t, "/first")
}

// withoutSocket: zabd opens its port itself where the socket unit is masked.
func (x *lone) withoutSocket(t *testing.T) {
	x.h.do("systemctl", "stop", "zabd")
	x.h.do("systemctl", "mask", "zabd.socket")
	x.h.do("systemctl", "start", "zabd")
	if got := x.h.show("zabd.socket", "ActiveState"); got != "inactive" {
		t.Errorf("zabd.socket is %s", got)
	}
	x.has(t, "/first")
	x.h.do("systemctl", "unmask", "zabd.socket")
}

// foreign: ZooKeeper runs on the host where zabd is installed, which leaves it alone, and says what to read.
func (x *lone) foreign(t *testing.T) {
	x.h.do("dpkg", "--purge", "zabd")
	const listen = "import socket; s = socket.create_server(('', 2181)); s.accept()"
	x.h.do("systemd-run", "--unit=zookeeper", "/usr/bin/python3", "-c", listen)
	if out := x.h.do("dpkg", "--install", "/var/tmp/zabd.deb"); !strings.Contains(out, "zookeeper.service runs on this host") {
		t.Error(out)
	}
	x.h.until("the port is in use", func() bool { return strings.Contains(x.h.do("ss", "-ltn"), ":2181 ") })
	if out, err := x.h.try("systemctl", "start", "zabd"); err == nil {
		t.Errorf("zabd starts beside ZooKeeper: %s", out)
	}
	x.h.awaitStatus("client port: listen tcp :2181: bind: address already in use")
	if got := x.h.show("zookeeper", "ActiveState"); got != "active" {
		t.Errorf("zookeeper.service is %s", got)
	}
	x.h.do("systemctl", "stop", "zookeeper", "zabd")
	x.configure()
	x.has(t, "/first")
}
