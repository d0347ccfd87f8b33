//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMigrationByAnsible takes three hosts from Debian's ZooKeeper to zabd and back, while clients write.
func TestMigrationByAnsible(t *testing.T) {
	t.Parallel()
	java, err := filepath.EvalSymlinks(need(t, "java", "apt-get install -y zookeeper default-jdk-headless"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, 3, borrowedJava()...)
	for n := range s.hosts {
		s.startZooKeeper(n+1, java)
	}
	inventory := s.inventory(map[int]string{1: "zabd_id: 1", 2: "zabd_id: 2", 3: "zabd_id: 3"})
	s.hosts[0].until("ZooKeeper serves on all hosts", func() bool { return s.roles() == "follower follower leader" })
	if out, err := s.playbook(inventory, "provision.yml"); err == nil || !strings.Contains(out, "migrate-from-zookeeper.yml") {
		t.Fatalf("provisioned over ZooKeeper: %v\n%s", err, out)
	}
	for _, step := range []struct{ playbook, runs, rests string }{
		{"migrate-from-zookeeper.yml", "zabd", "zookeeper"},
		{"migrate-to-zookeeper.yml", "zookeeper", "zabd"},
	} {
		c, began := begin(t, s, 4), time.Now()
		s.must(inventory, step.playbook)
		t.Logf("%s took %v; at most %v without an acknowledged write", step.playbook, time.Since(began), c.gap())
		c.end(t)
		for _, h := range s.hosts {
			for unit, want := range map[string]string{step.runs: "active enabled", step.rests: "inactive disabled"} {
				if got := h.show(unit, "ActiveState") + " " + h.show(unit, "UnitFileState"); got != want {
					t.Errorf("%s: %s is %s, want %s", h.name, unit, got, want)
				}
			}
		}
	}
}

// borrowedJava has hosts borrow the outer machine's Java and ZooKeeper.
func borrowedJava() []string {
	options := []string{"--bind-ro=/usr/share/java", "--bind-ro=/usr/lib/jvm"}
	for _, dir := range []string{"/usr/share/maven-repo", "/etc/java-17-openjdk"} {
		if _, err := os.Stat(dir); err == nil {
			options = append(options, "--bind-ro="+dir)
		}
	}
	return options
}

// roles returns what the servers are, in the order of the alphabet.
func (s *site) roles() string {
	var out []string
	for n := range s.hosts {
		role := "silent"
		_ = within(s.netns, func() {
			if answer, err := ask(addressOf(n+1)+":2181", "srvr"); err == nil {
				_, role, _ = strings.Cut(answer, "Mode: ")
				role, _, _ = strings.Cut(role, "\n")
			}
		})
		out = append(out, role)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// startZooKeeper makes a host one of an ensemble of ZooKeeper, as Debian's package does.
func (s *site) startZooKeeper(n int, java string) {
	s.t.Helper()
	h, cfg := s.hosts[n-1], "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/var/lib/zookeeper\nclientPort=2181\nadmin.enableServer=false\n"
	for i := range s.hosts {
		cfg += fmt.Sprintf("server.%d=%s:2888:3888\n", i+1, addressOf(i+1))
	}
	unit := "[Service]\nUser=zookeeper\nExecStart=" + java + " -Xmx128m -cp /etc/zookeeper/conf:/usr/share/java/* " +
		"org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/zookeeper/conf/zoo.cfg\nSuccessExitStatus=143\n[Install]\nWantedBy=multi-user.target\n"
	h.do("adduser", "--system", "--group", "--quiet", "--home", "/var/lib/zookeeper", "zookeeper")
	h.do("mkdir", "-p", "/etc/zookeeper/conf")
	for path, text := range map[string]string{
		"/etc/zookeeper/conf/zoo.cfg":           cfg,
		"/var/lib/zookeeper/myid":               fmt.Sprintln(n),
		"/etc/systemd/system/zookeeper.service": unit,
	} {
		if err := os.WriteFile(h.root+path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	h.do("systemctl", "enable", "--now", "zookeeper")
}
