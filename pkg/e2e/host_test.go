//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// host is one booted machine: a systemd of its own over a copy-on-write root, in a network namespace of its own in which
// there is nothing but loopback.
type host struct {
	t       *testing.T // the test that is being run: the whole one, or a step of it
	whole   *testing.T // at whose end the host goes
	name    string
	netns   string
	dir     string        // for what belongs to it, outside
	root    string        // its file system, from outside
	pid     string        // of its init
	off     chan struct{} // closed once it is switched off
	options []string      // of systemd-nspawn, besides those that each host has
}

const tools = "apt-get install -y systemd-container mmdebstrap iproute2 util-linux"

// need finds a tool or says how to install it.
func need(t *testing.T, tool, install string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatalf("%v; %s", err, install)
	}
	return path
}

// run runs a command outside of the host.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// included are the packages of a host. Python and ssh are there for Ansible.
const included = "systemd,systemd-sysv,dbus,adduser,iproute2,procps,libpam-systemd,openssh-server,python3-minimal,python3-apt"

// rootfs makes the root that hosts start from, once for each list of packages: it is kept below the checkout.
func rootfs(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(fmt.Sprintf("../../.cache/rootfs-%08x", crc32.ChecksumIEEE([]byte(included))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "usr/bin/systemctl")); err == nil {
		return dir
	}
	need(t, "mmdebstrap", tools)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	run(t, "mmdebstrap", "--mode=root", "--variant=minbase", "--aptopt=Acquire::Languages \"none\"",
		"--include="+included,
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", dir)
	return dir
}

// boot starts a host and waits until its systemd is up.
func boot(t *testing.T, name string) *host {
	t.Helper()
	h := newHost(t, name)
	h.start()
	h.awaitSystemd()
	return h
}

// newHost makes a host that has not been started yet.
func newHost(t *testing.T, name string) *host {
	t.Helper()
	need(t, "systemd-nspawn", tools)
	need(t, "ip", tools)
	lower, dir := rootfs(t), t.TempDir()
	h := &host{t: t, whole: t, name: name, netns: namespace(name, dir), dir: dir, root: filepath.Join(dir, "root")}
	for _, d := range []string{"root", "up", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "ip", "netns", "add", h.netns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", h.netns).Run() })
	run(t, "ip", "-n", h.netns, "link", "set", "lo", "up")
	overlay := fmt.Sprintf("lowerdir=%s,upperdir=%s/up,workdir=%s/work", lower, dir, dir)
	run(t, "mount", "-t", "overlay", h.netns, "-o", overlay, h.root)
	t.Cleanup(func() { _ = exec.Command("umount", "-l", h.root).Run() })
	if err := os.WriteFile(filepath.Join(h.root, "etc/hostname"), []byte(name+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return h
}

// namespace returns a name that nobody else on the machine uses: of the directory, which is new.
func namespace(name, dir string) string {
	return fmt.Sprintf("%s-%08x", name, crc32.ChecksumIEEE([]byte(dir)))
}

func (h *host) awaitSystemd() {
	h.t.Helper()
	h.until("systemd is up", func() bool {
		out, _ := h.try("systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	})
}

// start runs systemd-nspawn in a mount namespace with a pure cgroup2 tree and in a cgroup of its own.
func (h *host) start() {
	const script = `set -e
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/e2e/$NETNS"
echo $$ > "/sys/fs/cgroup/e2e/$NETNS/cgroup.procs"
exec systemd-nspawn --quiet --boot --keep-unit --register=no --machine="$NAME" --hostname="$NAME" --directory="$ROOT" \
	--network-namespace-path="/run/netns/$NETNS" --resolv-conf=off --timezone=off --link-journal=no --console=pipe \
	--capability=CAP_NET_ADMIN --kill-signal=SIGRTMIN+3 "$@"`
	args := []string{"--mount", "--propagation", "private", "bash", "-c", script, "bash"}
	cmd := exec.Command("unshare", append(args, h.options...)...)
	cmd.Env = append(os.Environ(), "NETNS="+h.netns, "NAME="+h.name, "ROOT="+h.root)
	console, err := os.Create(filepath.Join(h.dir, "console"))
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = console, console, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	whole, off := h.whole, make(chan struct{})
	h.off = off
	go func() {
		defer close(off)
		_ = cmd.Wait()
	}()
	whole.Cleanup(func() {
		if whole.Failed() && off == h.off {
			h.keepJournal(whole)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		stopped := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		<-off
		stopped.Stop()
		if whole.Failed() {
			text, _ := os.ReadFile(console.Name())
			whole.Logf("console:\n%s", text)
		}
	})
	h.pid = ""
	h.until("init runs", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		for _, pid := range strings.Fields(string(children)) {
			if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); strings.TrimSpace(string(comm)) == "systemd" {
				h.pid = pid
			}
		}
		return h.pid != ""
	})
}

// reboot has the host shut down, and starts it again.
func (h *host) reboot() {
	h.t.Helper()
	h.do("mkdir", "-p", "/var/log/journal")
	h.do("journalctl", "--flush") // it is to outlive this
	_, _ = h.try("systemctl", "reboot")
	<-h.off // systemd-nspawn leaves the start to whoever runs it
	h.start()
	h.awaitSystemd()
}

// keepJournal writes what the host has logged to a file below the checkout.
func (h *host) keepJournal(t *testing.T) {
	path := filepath.Join("../../.cache/journals", strings.ReplaceAll(t.Name(), "/", "-")+"-"+h.name+".log")
	text, err := h.try("journalctl", "--no-pager", "-o", "short-precise", "--no-hostname")
	if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Logf("%s: %v", path, err)
		return
	}
	t.Logf("%s: the journal is in %s", h.name, path)
}

// until waits for a condition.
func (h *host) until(what string, ok func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("in vain: %s\n%s", what, h.journal())
		}
	}
}

func (h *host) journal() string {
	if h.pid == "" {
		return ""
	}
	out, _ := h.try("journalctl", "--no-pager", "-n", "40")
	return out
}

// try runs a command in the host.
func (h *host) try(args ...string) (string, error) {
	out, err := exec.Command("nsenter", append([]string{"--target", h.pid, "--all", "--"}, args...)...).CombinedOutput()
	return string(out), err
}

// do runs a command in the host that must succeed.
func (h *host) do(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("%v: %v\n%s\n%s", args, err, out, h.journal())
	}
	return out
}

// beside returns a command of the outer machine that runs in the host's network.
func (h *host) beside(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.netns}, args...)...)
}

// inside calls f in the host's network namespace: what f dials itself is the host's.
func (h *host) inside(f func()) {
	h.t.Helper()
	if err := within(h.netns, f); err != nil {
		h.t.Fatal(err)
	}
}

// within calls f on a thread in a network namespace.
func within(netns string, f func()) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := os.Open("/run/netns/" + netns)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			_ = ns.Close()
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	return <-done
}

// show returns a property of the unit.
func (h *host) show(unit, property string) string {
	return strings.TrimSpace(h.do("systemctl", "show", "-P", property, unit))
}

// restarts returns how often systemd has restarted zabd by itself.
func (h *host) restarts() int {
	h.t.Helper()
	n, err := strconv.Atoi(h.show("zabd", "NRestarts"))
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// kill sends a signal to a unit and waits until systemd has started it again.
func (h *host) kill(unit, signal string) {
	h.t.Helper()
	before, _ := strconv.Atoi(h.show(unit, "NRestarts"))
	h.do("systemctl", "kill", "-s", signal, unit)
	h.until("systemd has restarted "+unit, func() bool {
		n, _ := strconv.Atoi(h.show(unit, "NRestarts"))
		return n > before && h.show(unit, "ActiveState") == "active"
	})
}
