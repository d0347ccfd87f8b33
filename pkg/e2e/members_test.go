//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// membersStay: an inventory that would give a server another number, or replace two voters at once, stops every playbook; so does
// a host that has another one's number.
func membersStay(t *testing.T, s *site) {
	s.hosts[3].do("sh", "-c", "echo 3 > /var/lib/zabd/myid")
	s.refused(s.four(), "provision.yml", "/var/lib/zabd/myid says that zk4 is server 3, and the inventory that it is 4. A server keeps its number")
	s.hosts[3].do("sh", "-c", "echo 4 > /var/lib/zabd/myid")
	s.refused(strings.ReplaceAll(s.four(), "zabd_id: 4", "zabd_id: 5"), "provision.yml", "A server keeps its number")
	two := strings.ReplaceAll(s.four(), "zabd_id: 3", "zabd_address: 10.77.0.93, zabd_id: 3")
	two = strings.ReplaceAll(two, "zabd_id: 4", "zabd_address: 10.77.0.94, zabd_id: 4")
	s.refused(two, "provision.yml", "name different servers, and a running ensemble keeps its servers here: add-server.yml and remove-server.yml")
	s.refused(two, "add-server.yml", "add-server.yml only adds, and the inventory lacks, or changes: server.3=10.77.0.13:2888:3888:participant;2181 server.4=10.77.0.14")
	s.refused(s.four(), "remove-server.yml", "2 voters would go at once: server.3=10.77.0.13", "-e", "zabd_removed=zk3,zk4")
	for _, h := range s.hosts {
		if got := h.show("zabd", "ActiveState"); got != "active" || strings.Contains(h.read(membersFile), "10.77.0.9") {
			t.Errorf("%s: zabd is %s, %s", h.name, got, h.read(membersFile))
		}
	}
}

const membersFile = "/var/lib/zabd/zoo.cfg.dynamic"

// voterGoesAndComes removes the voter that leads, adds its host as an observer, and removes that and adds it as a voter
// again, while clients write.
func voterGoesAndComes(t *testing.T, s *site) {
	n := s.awaitSync(4)
	name, h := fmt.Sprintf("zk%d", n), s.hosts[n-1]
	all := s.all()
	all[n] += ", zabd_observer: true"
	observes := s.inventory(all)
	c := begin(t, s, 4)
	change := func(inventory, playbook string, args ...string) {
		t.Helper()
		c.gap()
		began := time.Now()
		s.must(inventory, playbook, args...)
		t.Logf("%s of server %d took %v; at most %v without an acknowledged write", playbook, n, time.Since(began), c.gap())
	}
	empty := func() {
		t.Helper()
		for _, unit := range []string{"zabd.service", "zabd.socket"} {
			if got := h.show(unit, "ActiveState") + " " + h.show(unit, "UnitFileState"); got != "inactive disabled" {
				t.Errorf("%s: %s is %s", name, unit, got)
			}
		}
		s.awaitSync(3)
		h.do("sh", "-c", "rm -rf /var/lib/zabd/*")
	}

	change(s.four(), "remove-server.yml", "-e", "zabd_removed="+name)
	s.refused(observes, "add-server.yml", "has data, of another ensemble or of an earlier life")
	empty()
	change(observes, "add-server.yml")
	h.says("systemctl status --no-pager --lines=0 zabd", "observer of server")
	s.refused(s.four(), "add-server.yml", "A server keeps its number, addresses and role")
	unchanged(t, s, observes)
	change(observes, "remove-server.yml", "-e", "zabd_removed="+name)
	empty()
	change(s.four(), "add-server.yml")
	s.awaitSync(4)
	c.end(t)
}
