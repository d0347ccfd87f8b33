//go:build e2e

package e2e

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestReconfigByAnsible: where reconfigEnabled is set, the playbooks change the members without a restart, while clients write. A voter
// comes, and the one that leads goes; then it comes back as an observer.
func TestReconfigByAnsible(t *testing.T) {
	t.Parallel()
	s := newSite(t, 4)
	digest := sha1.Sum([]byte("super:secret"))
	s.vars = []string{
		"zabd_super_auth: digest:super:secret",
		"zabd_settings: {reconfigEnabled: true, DigestAuthenticationProvider.superDigest: 'super:" + base64.StdEncoding.EncodeToString(digest[:]) + "'}",
	}
	all := map[int]string{1: "zabd_id: 1", 2: "zabd_id: 2", 3: "zabd_id: 3", 4: "zabd_id: 4"}
	three := maps.Clone(all)
	delete(three, 4)
	s.must(s.inventory(three), "provision.yml")
	c := begin(t, s, 4)
	change := func(voters int, inventory, playbook string, args ...string) (leads int) {
		t.Helper()
		before := s.processes()
		c.gap()
		began := time.Now()
		s.must(inventory, playbook, args...)
		t.Logf("%s took %v; at most %v without an acknowledged write", playbook, time.Since(began), c.gap())
		for n, pid := range s.processes() {
			if before[n] != "0" && pid != "0" && pid != before[n] {
				t.Errorf("zk%d was restarted", n+1)
			}
		}
		return s.awaitSync(voters)
	}

	leads := change(4, s.inventory(all), "add-server.yml")
	name, h := fmt.Sprintf("zk%d", leads), s.hosts[leads-1]
	change(3, s.inventory(all), "remove-server.yml", "-e", "zabd_removed="+name)
	for _, unit := range []string{"zabd.service", "zabd.socket"} {
		if got := h.show(unit, "ActiveState") + " " + h.show(unit, "UnitFileState"); got != "inactive disabled" {
			t.Errorf("%s: %s is %s", name, unit, got)
		}
	}
	h.do("sh", "-c", "rm -rf /var/lib/zabd/*")
	observes := maps.Clone(all)
	observes[leads] += ", zabd_observer: true"
	change(3, s.inventory(observes), "add-server.yml")
	h.says("systemctl status --no-pager --lines=0 zabd", "observer of server")
	unchanged(t, s, s.inventory(observes))
	c.end(t)
}

// processes returns the process of each host's server; 0 where none runs.
func (s *site) processes() []string {
	s.t.Helper()
	pids := make([]string, len(s.hosts))
	for n, h := range s.hosts {
		out, _ := h.try("systemctl", "show", "-P", "MainPID", "zabd")
		pids[n] = strings.TrimSpace(out)
	}
	return pids
}
