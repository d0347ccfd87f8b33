//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEnsembleByAnsible is the life of an ensemble of four hosts in the hands of an operator who has nothing but the
// playbooks and the package.
func TestEnsembleByAnsible(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, 4, (*host).alone)
	before, now := s.earlier(), s.newest()
	s.install(before)
	steps(t, s, []step{
		{"a wrong inventory stops before harm", wrongInventory},
		{"check mode on new hosts", checkMode},
		{"provision", provision},
		{"second run", secondRun},
		{"members do not change by the way", membersStay},
		{"a changed setting under load", changedSetting},
		{"rolling upgrade under load", func(t *testing.T, s *site) { rollingUpgrade(t, s, now) }},
		{"leader unplugged under load", leaderUnplugged},
		{"a voter goes and comes under load", voterGoesAndComes},
		{"a voter that has lost its data", emptiedVoter},
	})
}

// step is a part of the life of a site.
type step struct {
	name string
	run  func(*testing.T, *site)
}

// use has failures be those of a test.
func (s *site) use(t *testing.T) {
	s.t = t
	for _, h := range s.hosts {
		h.t = t
	}
}

// steps takes one after the other, until one fails.
func steps(t *testing.T, s *site, all []step) {
	for _, step := range all {
		ok := t.Run(step.name, func(t *testing.T) {
			outer := s.t
			s.use(t)
			defer s.use(outer)
			step.run(t, s)
		})
		if !ok {
			return
		}
	}
}

// four is the inventory of the ensemble.
func (s *site) four() string { return s.inventory(s.all()) }

// all are its hosts, each with its variables.
func (s *site) all() map[int]string {
	return s.from.byEachWay(map[int]string{1: "zabd_id: 1", 2: "zabd_id: 2", 3: "zabd_id: 3", 4: "zabd_id: 4"})
}

// install has the hosts get a release from now on, each in its way.
func (s *site) install(r release) {
	s.from, s.deb = r, r.deb
}

// refused runs a playbook with an inventory that has something wrong, and looks for what it says.
func (s *site) refused(inventory, name, want string, args ...string) {
	s.t.Helper()
	out, err := s.playbook(inventory, name, args...)
	if err == nil || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
		s.t.Fatalf("%s: %v, and not %q:\n%s", name, err, want, out)
	}
}

func wrongInventory(t *testing.T, s *site) {
	s.refused(strings.ReplaceAll(s.four(), "zabd_id: 4", "zabd_id: 3"), "provision.yml", "no two the same")
	s.refused(strings.ReplaceAll(s.four(), ", zabd_id: 4", ", zabd_observer: true"), "provision.yml", "No zabd_id: zk4")
	for _, h := range s.hosts {
		if _, err := h.try("test", "-e", "/usr/bin/zabd"); err == nil {
			t.Errorf("%s: something was installed", h.name)
		}
	}
}

func checkMode(t *testing.T, s *site) {
	s.must(s.four(), "provision.yml", "--check", "--diff")
	if _, err := s.hosts[0].try("test", "-e", "/etc/zabd"); err == nil {
		t.Error("check mode has changed something")
	}
}

// provision: started 1, 2, 3, 4, the third makes a quorum and leads, and the fourth follows.
func provision(t *testing.T, s *site) {
	began := time.Now()
	s.must(s.four(), "provision.yml")
	t.Logf("provisioned in %v", time.Since(began))
	s.has(t, s.from)
	for n, want := range []string{"follower of server 3,", "follower of server 3,", "leader,", "follower of server 3,"} {
		if got := s.hosts[n].show("zabd", "StatusText"); !strings.HasPrefix(got, want) {
			t.Errorf("zk%d is %q, want %q", n+1, got, want)
		}
		if got := s.hosts[n].do("cat", "/proc/"+s.hosts[n].show("zabd", "MainPID")+"/timerslack_ns"); got != "1000000\n" {
			t.Errorf("a member's threads have a timer slack of %q ns, and its monitor thread takes a fifth of the CPU with less than a million", got)
		}
	}
	if got := s.hosts[2].show("zabd", "StatusText"); !strings.Contains(got, "4/4 voters in sync") {
		t.Errorf("zk3 is %q", got)
	}
}

// unchanged runs a playbook that must not find anything to do.
func unchanged(t *testing.T, s *site, inventory string) {
	t.Helper()
	began := time.Now()
	changed := s.must(inventory, "provision.yml")
	t.Logf("took %v", time.Since(began))
	if want := strings.Count(inventory, "zabd_id: "); len(changed) != want {
		t.Fatalf("hosts in the recap: %v, want %d", changed, want)
	}
	for name, count := range changed {
		if count != "0" {
			t.Errorf("%s: %s changes", name, count)
		}
	}
}

func secondRun(t *testing.T, s *site) { unchanged(t, s, s.four()) }

// changedSetting restarts the servers one at a time, so that the ensemble serves on.
func changedSetting(t *testing.T, s *site) {
	c, restarted := begin(t, s, 4), s.watchRestarts()
	s.vars = append(s.vars, "zabd_tick_time: 1900")
	s.must(s.four(), "provision.yml")
	t.Logf("at most %v without an acknowledged write", c.gap())
	restarted()
	c.end(t)
	for _, h := range s.hosts {
		if !strings.Contains(h.do("cat", "/etc/zabd/zoo.cfg"), "tickTime=1900") {
			t.Errorf("%s has another tickTime", h.name)
		}
	}
}

// watchRestarts returns a function which finds that every server has been restarted since.
func (s *site) watchRestarts() func() {
	before := make([]string, len(s.hosts))
	for n, h := range s.hosts {
		before[n] = h.show("zabd", "MainPID")
	}
	return func() {
		s.t.Helper()
		for n, h := range s.hosts {
			if h.show("zabd", "MainPID") == before[n] {
				s.t.Errorf("%s was not restarted", h.name)
			}
		}
	}
}

// awaitSync returns the number of the server that leads so many voters, once all of them are in sync.
func (s *site) awaitSync(voters int) int {
	s.t.Helper()
	leads := 0
	s.hosts[0].until("all voters are in sync", func() bool {
		for n, h := range s.hosts {
			if out, _ := h.try("systemctl", "show", "-P", "StatusText", "zabd"); strings.Contains(out, fmt.Sprintf(" %d/%[1]d voters in sync", voters)) {
				leads = n + 1
			}
		}
		return leads != 0
	})
	return leads
}

// rollingUpgrade goes from an earlier version to that of this tree.
func rollingUpgrade(t *testing.T, s *site, to release) {
	c, restarted := begin(t, s, 4), s.watchRestarts()
	began := time.Now()
	s.install(to)
	s.must(s.four(), "rolling-upgrade.yml")
	t.Logf("took %v; at most %v without an acknowledged write", time.Since(began), c.gap())
	restarted()
	c.end(t)
	s.has(t, to)
}

// earlier makes a package like the one that was built last, of a lower version.
func earlier(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "zabd")
	run(t, "dpkg-deb", "--raw-extract", newestPackage(t), dir)
	run(t, "sed", "-i", "s/^Version: .*/Version: 0.0.0~earlier/", filepath.Join(dir, "DEBIAN/control"))
	run(t, "dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", dir, dir+".deb")
	return dir + ".deb"
}

// leaderUnplugged pulls the leader's cable while clients write; when it is back, it follows.
func leaderUnplugged(t *testing.T, s *site) {
	leader, c := s.awaitSync(4), begin(t, s, 4)
	c.gap()
	s.cable(leader, "down")
	s.hosts[leader%4].until("another server leads", func() bool {
		out, _ := s.hosts[leader%4].try("systemctl", "show", "-P", "StatusText", "zabd")
		return strings.HasPrefix(out, "leader,") || strings.HasPrefix(out, "follower of server ") &&
			!strings.HasPrefix(out, fmt.Sprintf("follower of server %d,", leader)) && !strings.Contains(out, "synchronising")
	})
	t.Logf("at most %v without an acknowledged write", c.gap())
	s.cable(leader, "up")
	s.hosts[leader-1].do("zabctl", "wait", "--timeout", "60s")
	c.end(t)
}

// emptiedVoter loses a disk: the role gives it no leave to begin a tree of its own, and the others bring it up.
func emptiedVoter(t *testing.T, s *site) {
	c := begin(t, s, 1)
	h := s.hosts[0]
	h.do("systemctl", "stop", "zabd.socket", "zabd.service")
	h.do("sh", "-c", "rm -rf /var/lib/zabd/*")
	s.refused(s.four(), "add-server.yml", "Server 1 is a member already, and its host zk1 has lost")
	s.must(s.four(), "provision.yml")
	if _, err := h.try("test", "-e", "/var/lib/zabd/initialize"); err == nil {
		t.Error("the emptied voter was told to begin")
	}
	c.end(t)
	for _, h := range s.hosts[:2] {
		h.do("systemctl", "stop", "zabd.socket", "zabd.service")
		h.do("sh", "-c", "rm -rf /var/lib/zabd/*")
	}
	s.refused(s.four(), "provision.yml", "zk1, zk2 have no data")
}
