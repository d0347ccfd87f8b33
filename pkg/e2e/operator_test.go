//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/wire"
)

const repository = "../../dist/repo" // of make repo

// manual returns the commands of the README's section Install: those that install, and those that configure and start.
func manual(t *testing.T) (install, start []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Install\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []string
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	last := slices.Index(commands, "apt-get install -y zabd")
	if last < 0 {
		t.Fatalf("README.md does not install zabd: %q", commands)
	}
	return commands[:last+1], commands[last+1:]
}

// obey runs commands as they stand in a manual.
func (h *host) obey(commands []string) {
	h.t.Helper()
	for _, command := range commands {
		h.do("sh", "-c", command)
	}
}

// installFromRepository has apt install the package from the signed repository, of which the host has a copy.
func installFromRepository(t *testing.T, h *host) {
	if _, err := os.Stat(repository + "/apt/dists/stable/InRelease"); err != nil {
		t.Fatalf("no repository; make repo: %v", err)
	}
	if err := os.CopyFS(h.root+"/srv/zabd", os.DirFS(repository)); err != nil {
		t.Fatal(err)
	}
	h.do("rm", "-f", "/etc/apt/sources.list") // nothing is fetched from elsewhere
	install, _ := manual(t)
	h.obey(install)
	for _, path := range []string{"/usr/share/bash-completion/completions/zabctl", "/etc/default/zabd", "/usr/lib/firewalld/services/zabd.xml", "/etc/ufw/applications.d/zabd"} {
		if _, err := os.Stat(h.root + path); err != nil {
			t.Error(err)
		}
	}
	if got := strings.TrimSpace(h.do("stat", "-c", "%U:%G %a", "/etc/zabd/zoo.cfg", "/var/lib/zabd")); got != "root:zabd 640\nzabd:zabd 750" {
		t.Errorf("zoo.cfg and the data directory are %q", got)
	}
}

// write writes a file of the host.
func (h *host) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.root+path, []byte(text), 0o640); err != nil {
		h.t.Fatal(err)
	}
}

// read reads a file of the host.
func (h *host) read(path string) string {
	h.t.Helper()
	text, err := os.ReadFile(h.root + path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// says runs a command in the host whose output must have all of these.
func (h *host) says(command string, want ...string) {
	h.t.Helper()
	out, _ := h.try("sh", "-c", command)
	for _, w := range want {
		if !strings.Contains(out, w) {
			h.t.Errorf("%s does not say %q:\n%s\n%s", command, w, out, h.journal())
		}
	}
}

// unitsAreSound has systemd judge the units.
func unitsAreSound(t *testing.T, h *host) {
	out, _ := h.try("systemd-analyze", "verify", "--man=no", "zabd.service", "zabd.socket")
	if strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	out = h.do("systemd-analyze", "security", "--no-pager", "zabd.service")
	m := regexp.MustCompile(`Overall exposure level for zabd.service: ([\d.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze security: %s", out)
	}
	if exposure, err := strconv.ParseFloat(m[1], 64); err != nil || exposure >= 1.5 {
		t.Errorf("the exposure is %s", m[1])
	}
	t.Logf("exposure %s", m[1])
}

// operatorsTools ask the server.
func operatorsTools(t *testing.T, h *host) {
	h.do("sh", "-c", "grep -qs localhost /etc/hosts || echo 127.0.0.1 localhost >> /etc/hosts") // an installed Debian has it
	h.says("zabctl config check 2>&1", "/etc/zabd/zoo.cfg: ok")
	h.do("zabctl", "wait", "--timeout", "30s")
	h.says("zabctl status", "standalone", "yes")
	h.says("zabctl status --server "+address+" -o json", `"mode": "standalone"`)
	h.says("zkServer.sh status", "Client port found: 2181. Client address: localhost. Client SSL: false.\nMode: standalone\n")
	h.says("zabctl create /e2e x 2>&1", "Created /e2e")
	h.says("zkCli.sh get /e2e 2>&1", "Connecting to localhost:2181", "x")
	h.says("zkCli.sh rmr /e2e 2>&1", "Please use 'deleteall' instead.")
	h.says("zkServer.sh start", "already running as process "+h.show("zabd", "MainPID"))
	h.says("zabctl doctor --bundle /tmp/report.tar.gz | grep -c ^error; tar -tzf /tmp/report.tar.gz", "0\n", "/settings.txt", "/journal.txt", "/control/monitor.json")
}

// stopTakesTheSocket, so that a stopped server's clients are refused and go elsewhere; a restart leaves it.
func stopTakesTheSocket(t *testing.T, h *host) {
	h.do("systemctl", "restart", "zabd")
	if since := h.show("zabd.socket", "ActiveEnterTimestampMonotonic"); since >= h.show("zabd", "ActiveEnterTimestampMonotonic") {
		t.Error("a restart has opened the socket anew")
	}
	h.do("zkServer.sh", "stop")
	for _, unit := range []string{"zabd.service", "zabd.socket"} {
		if got := h.show(unit, "ActiveState"); got != "inactive" {
			t.Errorf("%s is %s after zkServer.sh stop", unit, got)
		}
	}
	h.says("zabctl status 2>&1", "no server answers on /run/zabd/control.sock")
	h.do("zkServer.sh", "start")
}

// sessionInTheJournal follows a session through the log, after a reload that has the log tell of it.
func sessionInTheJournal(t *testing.T, h *host) {
	cfg := h.read("/etc/zabd/zoo.cfg")
	h.write("/etc/zabd/zoo.cfg", cfg+"logLevel=debug\n")
	pid := h.show("zabd", "MainPID")
	h.do("systemctl", "reload", "zabd")
	h.until("the settings are reloaded", func() bool { return strings.Contains(h.journal(), "settings reloaded") })
	var c *wire.Conn
	var err error
	h.inside(func() { c, err = wire.Dial(context.Background(), address, wire.Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("ZABD_SESSION=0x%x", uint64(c.SessionID))
	if err := c.CloseSession(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	h.until("the journal has the session's end", func() bool {
		out, _ := h.try("journalctl", "--no-pager", "-u", "zabd", id)
		return strings.Contains(out, "session opened") && strings.Contains(out, "or is closed")
	})
	h.says("journalctl -u zabd -o json "+id, `"ZABD_ROLE":"standalone"`, `"ZABD_ADDRESS":"127.0.0.1:`)
	h.write("/etc/zabd/zoo.cfg", cfg+"tickTime=never\n")
	h.do("systemctl", "reload", "zabd")
	h.until("a bad file is refused", func() bool { return strings.Contains(h.journal(), "zoo.cfg:") })
	h.write("/etc/zabd/zoo.cfg", cfg)
	h.do("systemctl", "reload", "zabd")
	if got := h.show("zabd", "MainPID"); got != pid {
		t.Errorf("process %s is %s after the reloads", pid, got)
	}
}

// refusals are mistakes with which the server must not start; systemctl status says what to do.
func refusals(t *testing.T, h *host) {
	const ensemble = "initLimit=10\nsyncLimit=5\nserver.1=10.0.0.1:2888:3888\nserver.2=10.0.0.2:2888:3888\nserver.3=10.0.0.3:2888:3888\n"
	cfg := h.read("/etc/zabd/zoo.cfg")
	for _, x := range []struct {
		name, lines string
		spoil, mend []string
		code        string
		says        []string
	}{
		{
			"the socket disagrees", "clientPort=2182\n", nil, nil, "78",
			[]string{"clientPort: the client port is :2182 here, and zabd.socket has opened [::]:2181", "systemctl edit zabd.socket"},
		},
		{"no myid", ensemble, nil, nil, "78", []string{"/var/lib/zabd/myid: is not there", "write this server's number into the file"}},
		{
			"another server's myid", ensemble,
			[]string{"sh", "-c", "echo 7 > /var/lib/zabd/myid"},
			[]string{"rm", "/var/lib/zabd/myid"},
			"78",
			[]string{"this is server 7, and /etc/zabd/zoo.cfg has no server.7; write the host's own number into the file"},
		},
		{
			"a foreign directory", "",
			[]string{"chown", "root:root", "/var/lib/zabd/version-2"},
			[]string{"chown", "zabd:zabd", "/var/lib/zabd/version-2"},
			"72",
			[]string{"/var/lib/zabd/version-2", "permission denied: if the files are this server's, chown -R zabd /var/lib/zabd"},
		},
	} {
		if x.spoil != nil {
			h.do(x.spoil...)
		}
		h.write("/etc/zabd/zoo.cfg", strings.Replace(cfg, "clientPort=2181\n", "", 1)+x.lines)
		if out, err := h.try("systemctl", "restart", "zabd"); err == nil {
			t.Errorf("%s: zabd starts: %s", x.name, out)
		}
		if state, code := h.show("zabd", "ActiveState"), h.show("zabd", "ExecMainStatus"); state != "failed" || code != x.code {
			t.Errorf("%s: zabd is %s, exit code %s\n%s", x.name, state, code, h.journal())
		}
		h.says("systemctl status --no-pager --lines=0 zabd", x.says...)
		if x.mend != nil {
			h.do(x.mend...)
		}
		h.do("systemctl", "reset-failed", "zabd.service")
	}
	h.says("journalctl -x --no-pager -u zabd", "Subject: zabd does not know which server of the ensemble this is", "make an empty file `initialize` in dataDir")
	h.write("/etc/zabd/zoo.cfg", cfg)
	h.do("systemctl", "start", "zabd")
}

// upgrade puts another version in the place of the one that runs, and that one back.
func upgrade(t *testing.T, h *host) {
	debs, err := filepath.Glob(h.root + "/srv/zabd/apt/pool/zabd_*_amd64.deb")
	if err != nil || len(debs) != 1 {
		t.Fatalf("%v, %v", debs, err)
	}
	h.do("sh", "-c", `set -e; cd /var/tmp; dpkg-deb -R /srv/zabd/apt/pool/zabd_*_amd64.deb old
		sed -i 's/^Version: .*/Version: 0.0.0~old/' old/DEBIAN/control; echo '# an older comment' >> old/etc/zabd/zoo.cfg; dpkg-deb -Zgzip -z1 -b old old.deb`)
	h.write("/etc/zabd/zoo.cfg", h.read("/etc/zabd/zoo.cfg")+"maxCnxns=1000\n")
	mine, pid := h.read("/etc/zabd/zoo.cfg"), h.show("zabd", "MainPID")
	out := h.do("dpkg", "--force-confold", "-i", "/var/tmp/old.deb")
	if got := h.show("zabd", "MainPID"); got != pid || !strings.Contains(out, "systemctl restart zabd puts the new one in its place") {
		t.Errorf("a downgrade has made process %s of %s: %s", got, pid, out)
	}
	h.write("/etc/default/zabd", h.read("/etc/default/zabd")+"RESTART_ON_UPGRADE=yes\n")
	h.do("apt-get", "install", "-y", "--quiet=2", "-o", "Dpkg::Options::=--force-confold", "zabd")
	if got := h.show("zabd", "MainPID"); got == pid || got == "0" {
		t.Errorf("an upgrade that may restart has left process %s", got)
	}
	if got := h.read("/etc/zabd/zoo.cfg"); got != mine {
		t.Errorf("zoo.cfg is %q", got)
	}
	h.says("dpkg-query -W zabd", strings.Split(filepath.Base(debs[0]), "_")[1])
}

// removalKeepsData removes and purges the package.
func removalKeepsData(t *testing.T, h *host) {
	h.do("apt-get", "remove", "-y", "--quiet=2", "zabd")
	if got := h.show("zabd.socket", "ActiveState"); got != "inactive" {
		t.Errorf("zabd.socket is %s after the removal", got)
	}
	if !strings.Contains(h.read("/etc/zabd/zoo.cfg"), "maxCnxns=1000") {
		t.Error("the settings are gone")
	}
	h.do("dpkg", "--purge", "zabd")
	for _, gone := range []string{"/usr/bin/zabd", "/etc/zabd/zoo.cfg", "/etc/default/zabd"} {
		if _, err := os.Stat(h.root + gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	files, _ := filepath.Glob(h.root + "/var/lib/zabd/version-2/*")
	if len(files) == 0 {
		t.Error("the data is gone")
	}
}

// TestRpmInAnInstallroot has dnf install the package from the signed repository into a root whose own packages it does not
// know: a stand-in provides what they have. That a host of the Red Hat family boots with it is not shown.
func TestRpmInAnInstallroot(t *testing.T) {
	need(t, "dnf", "apt-get install -y dnf")
	dir := t.TempDir()
	for _, d := range []string{"root", "up", "work", "standin"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	run(t, "mount", "-t", "overlay", "rpm", "-o", fmt.Sprintf("lowerdir=%s,upperdir=%s/up,workdir=%s/work", rootfs(t), dir, dir), root)
	t.Cleanup(func() { run(t, "umount", "-R", "-l", root) })
	run(t, "mount", "-t", "proc", "proc", root+"/proc")
	standin := "name: standin\nversion: 1.0.0\nmaintainer: nobody <nobody@zabd.invalid>\ndescription: stand-in\n" +
		"provides: [\"systemd = 252\", /bin/sh]\n"
	if err := os.WriteFile(filepath.Join(dir, "standin.yaml"), []byte(standin), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "../../dist/tools/nfpm", "package", "--config", filepath.Join(dir, "standin.yaml"), "--packager", "rpm", "--target", filepath.Join(dir, "standin"))
	run(t, "createrepo_c", "--quiet", filepath.Join(dir, "standin"))
	signed, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	dnf := func(args ...string) string {
		return run(t, "dnf", slices.Concat([]string{
			"-y", "--quiet", "--refresh", "--installroot=" + root, "--setopt=reposdir=/nonexistent", "--setopt=module_platform_id=platform:el9",
			"--repofrompath=zabd,file://" + signed + "/yum", "--setopt=zabd.gpgcheck=1", "--setopt=zabd.repo_gpgcheck=1",
			"--setopt=zabd.gpgkey=file://" + signed + "/zabd.asc", "--repofrompath=standin,file://" + dir + "/standin", "--setopt=standin.gpgcheck=0",
		}, args)...)
	}
	dnf("install", "zabd")
	if out := run(t, "chroot", root, "zabctl", "config", "check"); !strings.Contains(out, "ok") {
		t.Errorf("zabctl: %s", out)
	}
	if out := run(t, "chroot", root, "stat", "-c", "%U:%G %a", "/etc/zabd/zoo.cfg", "/var/lib/zabd", "/etc/sysconfig/zabd"); out != "root:zabd 640\nzabd:zabd 750\nroot:root 644\n" {
		t.Errorf("files: %s", out)
	}
	if err := os.WriteFile(root+"/var/lib/zabd/myid", []byte("1\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	dnf("remove", "zabd")
	if _, err := os.Stat(root + "/var/lib/zabd/myid"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(root + "/usr/bin/zabd"); err == nil {
		t.Error("the program is still there")
	}
}
