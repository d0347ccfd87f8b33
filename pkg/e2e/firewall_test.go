//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFirewallsByAnsible has two servers behind firewalls of different kinds that let in nothing but ssh. The role opens them for
// each other and for clients, and not for others. The firewalls are installed by the outer machine's package sources.
func TestFirewallsByAnsible(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, 2, func(h *host) {
		names, err := os.ReadFile("/etc/resolv.conf")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.root, "etc/resolv.conf"), names, 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "chroot", h.root, "apt-get", "-qq", "update")
		run(t, "chroot", h.root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y", "--no-install-recommends",
			"netbase", map[string]string{"zk1": "ufw", "zk2": "firewalld"}[h.name])
	})
	s.hosts[0].do("ufw", "allow", "22/tcp")
	s.hosts[0].do("ufw", "--force", "enable")
	s.hosts[1].do("systemctl", "start", "firewalld") // its default zone lets ssh in
	s.vars = []string{"zabd_firewall_servers: ['" + addressOf(1) + "', '" + addressOf(2) + "']", "zabd_firewall_clients: ['10.77.0.0/24']"}
	inventory := s.inventory(map[int]string{1: "zabd_id: 1, zabd_firewall: ufw", 2: "zabd_id: 2, zabd_firewall: firewalld"})
	if !s.blocked("10.77.0.11:2181") || !s.blocked("10.77.0.12:2181") {
		t.Fatal("the firewalls let everybody in")
	}
	s.must(inventory, "provision.yml")
	unchanged(t, s, inventory)
	if leader := s.awaitSync(2); !s.blocked(addressOf(leader) + ":2888") {
		t.Errorf("the operator reaches the quorum port of zk%d", leader)
	}
	if got := s.roles(); got != "follower leader" {
		t.Errorf("from the operator's place the servers are %s", got)
	}
	for _, addr := range []string{"10.77.0.11:3888", "10.77.0.12:3888"} {
		if !s.blocked(addr) {
			t.Errorf("the operator reaches %s", addr)
		}
	}
}

// blocked tells whether a firewall keeps the operator from an address: a host without one would connect, or refuse to.
func (s *site) blocked(addr string) bool {
	s.t.Helper()
	var err error
	if e := within(s.netns, func() {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", addr, 2*time.Second); err == nil {
			_ = c.Close()
		}
	}); e != nil {
		s.t.Fatal(e)
	}
	return err != nil
}
