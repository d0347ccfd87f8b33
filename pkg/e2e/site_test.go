//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// site is a number of hosts on a bridge, and beside them the place that an operator works from. The bridge is in a network
// namespace of its own, which nothing leads out of: the addresses exist in there only.
type site struct {
	t     *testing.T
	netns string // of the bridge and the operator
	dir   string // the operator's files
	hosts []*host
	deb   string   // the package that the inventory names
	from  release  // where the hosts of the ensemble of four get theirs
	vars  []string // of the ensemble, as further lines of the inventory
}

const ansibleTools = "apt-get install -y --no-install-recommends ansible openssh-client"

// operator is the address of the operator's place.
const operator = "10.77.0.1"

func addressOf(n int) string { return fmt.Sprintf("10.77.0.%d", 10+n) }

// newSite boots hosts zk1, zk2 and so on, which the operator can reach by ssh. The options are those of systemd-nspawn.
func newSite(t *testing.T, count int, options ...string) *site {
	t.Helper()
	return newSiteOf(t, count, func(*host) {}, options...)
}

// newSiteOf prepares each host before it boots.
func newSiteOf(t *testing.T, count int, prepare func(*host), options ...string) *site {
	t.Helper()
	need(t, "ansible-playbook", ansibleTools)
	need(t, "ssh", ansibleTools)
	dir := t.TempDir()
	s := &site{t: t, netns: namespace("site", dir), dir: dir, deb: newestPackage(t)}
	run(t, "ip", "netns", "add", s.netns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.netns).Run() })
	s.ip("link", "set", "lo", "up")
	s.ip("link", "add", "br0", "type", "bridge")
	s.ip("address", "add", operator+"/24", "dev", "br0")
	s.ip("link", "set", "br0", "up")
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.file("key"))
	for n := 1; n <= count; n++ {
		h := newHost(t, fmt.Sprintf("zk%d", n))
		h.options = options
		s.hosts = append(s.hosts, h)
		s.plug(n)
		s.admit(h)
		prepare(h)
		h.start()
	}
	for _, h := range s.hosts {
		h.awaitSystemd()
	}
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// ip changes the network that the bridge is in.
func (s *site) ip(args ...string) {
	s.t.Helper()
	run(s.t, "ip", append([]string{"-n", s.netns}, args...)...)
}

// plug gives a host a network interface on the bridge.
func (s *site) plug(n int) {
	s.t.Helper()
	h, port := s.hosts[n-1], fmt.Sprintf("zk%d", n)
	s.ip("link", "add", port, "type", "veth", "peer", "name", "host0", "netns", h.netns)
	s.ip("link", "set", port, "master", "br0", "up")
	run(s.t, "ip", "-n", h.netns, "address", "add", addressOf(n)+"/24", "dev", "host0")
	run(s.t, "ip", "-n", h.netns, "link", "set", "host0", "up")
}

// cable pulls a host's cable, or puts it back: "down", "up".
func (s *site) cable(n int, state string) {
	s.t.Helper()
	s.ip("link", "set", fmt.Sprintf("zk%d", n), state)
}

// admit lets the operator in.
func (s *site) admit(h *host) {
	s.t.Helper()
	key, err := os.ReadFile(s.file("key.pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	dir := filepath.Join(h.root, "root/.ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "authorized_keys"), key, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// inventory names hosts of a site, by number, to Ansible, each with variables of its own.
func (s *site) inventory(hosts map[int]string) string {
	var b strings.Builder
	b.WriteString("zabd:\n  hosts:\n")
	for n := 1; n <= len(s.hosts); n++ {
		if own, ok := hosts[n]; ok {
			fmt.Fprintf(&b, "    zk%d: {ansible_host: %s, %s}\n", n, addressOf(n), own)
		}
	}
	b.WriteString("  vars:\n    ansible_user: root\n")
	fmt.Fprintf(&b, "    ansible_ssh_private_key_file: %s\n", s.file("key"))
	fmt.Fprintf(&b, "    zabd_install_from: file\n    zabd_package_file: %s\n", s.deb)
	for _, v := range s.vars {
		fmt.Fprintf(&b, "    %s\n", v)
	}
	return b.String()
}

// playbook runs a playbook of the tree and returns what it has printed.
func (s *site) playbook(inventory, name string, args ...string) (string, error) {
	s.t.Helper()
	file := s.file("inventory.yml")
	if err := os.WriteFile(file, []byte(inventory), 0o600); err != nil {
		s.t.Fatal(err)
	}
	command := []string{"netns", "exec", s.netns, "ansible-playbook", "-i", file, name}
	cmd := exec.CommandContext(s.t.Context(), "ip", append(command, args...)...)
	cmd.Dir = "../../ansible"
	cmd.Env = append(os.Environ(), "ANSIBLE_HOST_KEY_CHECKING=False", "ANSIBLE_NOCOLOR=1", "ANSIBLE_SSH_CONTROL_PATH_DIR="+s.file("cp"),
		"ANSIBLE_LOCAL_TEMP="+s.file("tmp"), "ANSIBLE_SSH_ARGS=-o ControlMaster=auto -o ControlPersist=20s -o UserKnownHostsFile=/dev/null")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a playbook that has to succeed, and returns how much it has changed on each host.
func (s *site) must(inventory, name string, args ...string) map[string]string {
	s.t.Helper()
	out, err := s.playbook(inventory, name, args...)
	if err != nil {
		for _, h := range s.hosts {
			s.t.Logf("%s:\n%s", h.name, h.journal())
		}
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	changed := map[string]string{}
	for _, m := range recap.FindAllStringSubmatch(out, -1) {
		changed[m[1]] = m[2]
	}
	return changed
}

var recap = regexp.MustCompile(`(?m)^(zk\d+) +: ok=\d+ +changed=(\d+)`)

// ask sends a four-letter word.
func ask(addr, word string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(word)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
