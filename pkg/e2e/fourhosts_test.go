//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/wire"
)

// TestFaultsOfFourHosts is what may befall an ensemble: hosts and networks that fail under clients that write.
func TestFaultsOfFourHosts(t *testing.T) {
	t.Parallel()
	need(t, "nft", "apt-get install -y nftables")
	s := newSite(t, 4)
	steps := []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"install", installOnAll},
		{"started in turn", startInTurn},
		{"a number that another host has", duplicateMyID},
		{"a quorum that has lost its data", lostHistory},
		{"the leader's host unplugged", unplugged},
		{"a leader that is frozen", frozen},
		{"a leader cut off", minority},
		{"two and two", halves},
		{"a full disk", fullDisk},
		{"all hosts reboot", rebootAll},
	}
	for _, step := range steps {
		ok := t.Run(step.name, func(t *testing.T) {
			s.belongTo(t)
			step.run(t, s)
		})
		if s.belongTo(t); !ok {
			return
		}
	}
}

// belongTo has a test report what goes wrong.
func (s *site) belongTo(t *testing.T) {
	s.t = t
	for _, h := range s.hosts {
		h.t = t
	}
}

// onAll does something on all hosts at once.
func (s *site) onAll(f func(n int, h *host)) {
	var all sync.WaitGroup
	for i, h := range s.hosts {
		all.Go(func() { f(i+1, h) })
	}
	all.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (h *host) become(n int) {
	h.t.Helper()
	cfg := "tickTime=1000\ninitLimit=10\nsyncLimit=3\npreAllocSize=64\ndataDir=/var/lib/zabd\nclientPort=2181\ncontrolSocket=/run/zabd/control.sock\n"
	for i := 1; i <= 4; i++ {
		cfg += fmt.Sprintf("server.%d=%s:2888:3888\n", i, addressOf(i))
	}
	h.do("sh", "-c", fmt.Sprintf("set -e; cat > /etc/zabd/zoo.cfg <<END\n%sEND\necho %d > /var/lib/zabd/myid; chown zabd:zabd /var/lib/zabd/myid", cfg, n))
}

func installOnAll(_ *testing.T, s *site) {
	s.onAll(func(n int, h *host) {
		h.install()
		h.become(n)
		h.do("systemctl", "enable", "zabd.service")
	})
}

// shows waits until systemctl status shows a status that a pattern matches as a whole.
func (h *host) shows(pattern string) {
	h.t.Helper()
	line := regexp.MustCompile(`(?m)^ +Status: "` + pattern + `"$`)
	h.until("systemctl status shows "+pattern, func() bool {
		out, _ := h.try("systemctl", "status", "--no-pager", "--lines=0", "zabd")
		return line.MatchString(out)
	})
}

// startInTurn: each start returns, though there is no quorum before the third; who connects to the first meanwhile is
// taken, and let go.
func startInTurn(t *testing.T, s *site) {
	for n, h := range s.hosts {
		h.do("systemctl", "start", "zabd")
		if n == 0 {
			h.shows("looking, 1/4 voters seen")
			if c, err := s.dial(t.Context(), 1, wire.Options{}); err == nil || strings.Contains(err.Error(), "connection refused") {
				t.Errorf("a client of a server without a quorum: %v, %v", c, err)
			}
		}
		if n == 1 {
			h.shows("looking, 2/4 voters seen")
		}
	}
	for n, pattern := range []string{
		"follower of server 3, epoch 1, zxid 0x(0|100000000)", "follower of server 3, epoch 1, zxid 0x(0|100000000)",
		"leader, epoch 1, zxid 0x(0|100000000), 4/4 voters in sync", "follower of server 3, epoch 1, zxid 0x(0|100000000)",
	} {
		s.hosts[n].shows(pattern)
		s.hosts[n].explains("Subject: The ensemble has a leader, and this server serves clients")
	}
}

// duplicateMyID: a server with another one's number does not start, says what to do, and the others do not notice it.
func duplicateMyID(t *testing.T, s *site) {
	h := s.hosts[3]
	h.do("systemctl", "stop", "zabd")
	h.do("sh", "-c", "echo 3 > /var/lib/zabd/myid")
	if out, err := h.try("systemctl", "start", "zabd"); err == nil {
		t.Errorf("it starts: %s", out)
	}
	h.says("systemctl status --no-pager --lines=0 zabd", "/var/lib/zabd/myid: this is server 3,", "but the host has the address of server.4 at",
		"no two servers may have one number: write 4 into the file")
	h.explains("Subject: zabd does not know which server of the ensemble this is")
	if got := h.show("zabd", "ExecMainStatus"); got != "78" {
		t.Errorf("exit code %s", got)
	}
	s.hosts[2].shows("leader, epoch 1, zxid 0x[0-9a-f]+, 3/4 voters in sync")
	h.do("sh", "-c", "echo 4 > /var/lib/zabd/myid")
	h.do("systemctl", "start", "zabd")
	s.hosts[2].shows("leader, epoch 1, zxid 0x[0-9a-f]+, 4/4 voters in sync")
}

// lostHistory: a quorum begins anew beside a server that remembers. That one says so, and takes their history at its next start.
func lostHistory(t *testing.T, s *site) {
	last := s.hosts[3]
	c := begin(t, s, 4)
	c.written(20)
	c.end(t)
	s.cable(4, "down")
	s.onAll(func(n int, h *host) {
		if n < 4 {
			h.do("systemctl", "stop", "zabd")
			h.do("sh", "-c", "rm -rf /var/lib/zabd/version-2")
			h.do("systemctl", "start", "zabd")
		}
	})
	s.hosts[2].shows("leader, epoch 1, zxid 0x1[0-9a-f]+, 3/4 voters in sync")
	last.explains("Subject: This server has lost the quorum and serves nobody")
	s.cable(4, "up")
	last.explains("Subject: The leader lacks what was committed on this server")
	s.leads(0)
	last.shows("follower of server 3, epoch 1, zxid 0x[0-9a-f]+")
}

// leads waits until a server leads a quorum, and returns its number. One may be left out of account.
func (s *site) leads(but int) (leader int) {
	s.t.Helper()
	s.hosts[0].until("a server leads a quorum", func() bool {
		for i, h := range s.hosts {
			out, _ := h.try("systemctl", "show", "-P", "StatusText", "zabd")
			if i+1 != but && strings.HasPrefix(out, "leader, ") {
				leader = i + 1
			}
		}
		return leader != 0
	})
	return leader
}

// follows waits until a server is back in the ensemble.
func (s *site) follows(n, leader int) {
	s.t.Helper()
	s.hosts[n-1].shows(fmt.Sprintf("follower of server %d, epoch [0-9]+, zxid 0x[0-9a-f]+", leader))
}

// unplugged pulls the leader's cable; when it is back, it follows.
func unplugged(t *testing.T, s *site) {
	leader, c := s.leads(0), begin(t, s, 8)
	c.gap()
	s.cable(leader, "down")
	other := s.leads(leader)
	s.hosts[leader-1].shows("looking, 1/4 voters seen")
	c.written(100)
	t.Logf("zk%d leads in the place of zk%d; at most %v without an acknowledged write", other, leader, c.gap())
	s.cable(leader, "up")
	s.follows(leader, other)
	c.end(t)
}

// frozen: a leader that stands still, with all its connections, is replaced; when it wakes up, it follows.
func frozen(t *testing.T, s *site) {
	leader, c := s.leads(0), begin(t, s, 8)
	c.written(100)
	c.gap()
	h := s.hosts[leader-1]
	h.do("systemctl", "kill", "-s", "STOP", "zabd")
	other := s.leads(leader)
	t.Logf("zk%d leads in the place of zk%d; at most %v without an acknowledged write", other, leader, c.gap())
	c.written(100)
	h.do("systemctl", "kill", "-s", "CONT", "zabd")
	s.follows(leader, other)
	c.end(t)
}

// divide has the bridge carry nothing between two groups of hosts; the operator's place reaches all of them.
func (s *site) divide(one, other string) {
	s.t.Helper()
	s.nft("add table bridge e2e; add chain bridge e2e forward { type filter hook forward priority 0; }; " +
		fmt.Sprintf("add rule bridge e2e forward iifname { %s } oifname { %s } drop; ", one, other) +
		fmt.Sprintf("add rule bridge e2e forward iifname { %s } oifname { %s } drop", other, one))
}

// heal undoes divide.
func (s *site) heal() {
	s.t.Helper()
	s.nft("flush ruleset")
}

func (s *site) nft(rules string) {
	s.t.Helper()
	run(s.t, "ip", "netns", "exec", s.netns, "nft", rules)
}

// refuse finds that a server takes no session.
func (s *site) refuse(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	if c, err := s.dial(ctx, n, wire.Options{}); err == nil {
		c.Close()
		s.t.Errorf("zk%d has no quorum and takes a session", n)
	}
}

// minority: a leader that is cut off acknowledges nothing, while the others elect another one; then it follows that one.
func minority(t *testing.T, s *site) {
	leader, c := s.leads(0), begin(t, s, 8)
	conn, err := s.dial(t.Context(), leader, wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c.gap()
	s.divide(fmt.Sprintf("zk%d", leader), "zk"+strings.Join(strings.Split(strings.ReplaceAll("1234", fmt.Sprint(leader), ""), ""), ", zk"))
	if path, err := conn.Create(t.Context(), "/minority", nil, 0); err == nil {
		t.Errorf("%s was acknowledged by a leader alone", path)
	}
	other := s.leads(leader)
	s.hosts[leader-1].shows("looking, 1/4 voters seen")
	s.hosts[leader-1].explains("Subject: This server has lost the quorum and serves nobody")
	s.refuse(leader)
	c.written(100)
	t.Logf("zk%d leads in the place of zk%d; at most %v without an acknowledged write", other, leader, c.gap())
	s.heal()
	s.follows(leader, other)
	c.end(t)
}

// halves: of four servers, two are no majority.
func halves(t *testing.T, s *site) {
	c := begin(t, s, 4)
	s.divide("zk1, zk2", "zk3, zk4")
	for i, h := range s.hosts {
		h.shows("looking, 2/4 voters seen")
		s.refuse(i + 1)
	}
	s.heal()
	leader := s.leads(0)
	for n := range s.hosts {
		if n+1 != leader {
			s.follows(n+1, leader)
		}
	}
	c.end(t)
}

// fullDisk: a follower without room says so, harms nobody, and is back once there is room.
func fullDisk(t *testing.T, s *site) {
	leader := s.leads(0)
	n := leader%4 + 1
	h := s.hosts[n-1]
	h.do("systemctl", "stop", "zabd")
	h.do("sh", "-c", `set -e; mv /var/lib/zabd /srv/zabd; mkdir /var/lib/zabd
		mount -t tmpfs -o size=32m tmpfs /var/lib/zabd; cp -a /srv/zabd/. /var/lib/zabd; chown zabd:zabd /var/lib/zabd`)
	h.do("systemctl", "start", "zabd")
	s.follows(n, leader)
	c := begin(t, s, 8)
	if out, err := h.try("dd", "if=/dev/zero", "of=/var/lib/zabd/ballast", "bs=4k"); err == nil {
		t.Fatal(out)
	}
	before := h.restarts()
	h.awaitStatus("no space left on device")
	h.explains("Subject: A write to the disk has failed, and zabd has stopped")
	h.until("systemd tries again, and again", func() bool { return h.restarts() >= before+3 })
	h.do("rm", "/var/lib/zabd/ballast")
	s.follows(n, leader)
	c.written(100)
	t.Logf("at most %v without an acknowledged write", c.gap())
	c.end(t)
	h.do("systemctl", "stop", "zabd")
	h.do("sh", "-c", "set -e; rm -rf /srv/zabd; cp -a /var/lib/zabd /srv/zabd; umount /var/lib/zabd; rmdir /var/lib/zabd; mv /srv/zabd /var/lib/zabd")
	h.do("systemctl", "start", "zabd")
	s.follows(n, leader)
}

// rebootAll: the ensemble is back without anybody's help, with all that it had.
func rebootAll(t *testing.T, s *site) {
	c := begin(t, s, 8)
	c.gap()
	c.written(100)
	s.onAll(func(_ int, h *host) { h.reboot() })
	leader := s.leads(0)
	for n := range s.hosts {
		if n+1 != leader {
			s.follows(n+1, leader)
		}
	}
	c.written(100)
	t.Logf("at most %v without an acknowledged write", c.gap())
	c.end(t)
}
