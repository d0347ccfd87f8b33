//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestMixedLab runs the playbook of the Vagrant lab with one server of ZooKeeper beside two of zabd: together they begin an ensemble,
// and a second run changes nothing.
func TestMixedLab(t *testing.T) {
	t.Parallel()
	java, err := filepath.EvalSymlinks(need(t, "java", "apt-get install -y zookeeper default-jdk-headless"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, 3, borrowedJava()...)
	s.startZooKeeper(1, java)
	s.hosts[0].do("systemctl", "stop", "zookeeper")
	s.hosts[0].do("rm", "-rf", "/var/lib/zookeeper/version-2", "/etc/zookeeper/conf/zoo.cfg") // as where nothing has run before
	inventory := s.inventory(map[int]string{
		1: "zabd_id: 1, zabd_address: " + addressOf(1), 2: "zabd_id: 2, zabd_address: " + addressOf(2), 3: "zabd_id: 3, zabd_address: " + addressOf(3),
	}) + "java:\n  hosts:\n    zk1:\nzabd_here:\n  hosts:\n    zk2:\n    zk3:\n"
	for _, again := range []bool{false, true} {
		out, err := s.playbook(inventory, "../vagrant/lab.yml", "--skip-tags", "zookeeperd")
		if err != nil {
			t.Fatalf("again %v: %v\n%s", again, err, out)
		}
		if got := s.roles(); got != "follower follower leader" {
			t.Errorf("again %v: the servers are %s", again, got)
		}
		for _, m := range recap.FindAllStringSubmatch(out, -1) {
			if again && m[2] != "0" {
				t.Errorf("a second run changes %s things on %s", m[2], m[1])
			}
		}
		for _, want := range []string{"3.8.0", "zabd"} { // in the table
			if !strings.Contains(out, want) {
				t.Errorf("again %v: the table names no %s:\n%s", again, want, out)
			}
		}
	}
}
