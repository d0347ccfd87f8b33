//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/wire"
)

// TestObstaclesByAnsible is a host on which something is in the way, again and again. Each time the playbook stops before it has
// changed anything, and says what to do. Then it goes on, with ports and kernel parameters of the inventory's own.
func TestObstaclesByAnsible(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, 1, (*host).alone)
	r := s.newest()
	steps(t, s, []step{
		{"a package that is another one", func(t *testing.T, s *site) { wrongPackage(t, s, r) }},
		{"a foreign ZooKeeper", foreignZooKeeper},
		{"a port that is taken", takenPort},
		{"data of somebody else", foreignData},
		{"a setting that is wrong", wrongSettingByAnsible},
		{"ports and kernel parameters", portsAndParameters},
	})
}

// one is the inventory of a host that is an ensemble alone, with further variables.
func (s *site) one(vars ...string) string {
	return s.inventory(map[int]string{1: strings.Join(append([]string{"zabd_id: 1"}, vars...), ", ")})
}

func wrongPackage(t *testing.T, s *site, r release) {
	wrong := strings.Repeat("0", len(r.sha256))
	s.refused(s.one("zabd_install_from: url", "zabd_package_url: '"+r.url+"'", "zabd_package_checksum: 'sha256:"+wrong+"'"),
		"provision.yml", "did not match "+wrong)
	if _, err := s.hosts[0].try("test", "-e", "/usr/bin/zabd"); err == nil {
		t.Error("it was installed")
	}
}

// listener is a service that has the client port.
func (h *host) listener(unit string) {
	h.t.Helper()
	h.write("/etc/systemd/system/"+unit+".service", "[Service]\nExecStart=/usr/bin/python3 -c "+
		"\"import socket, signal; s = socket.create_server(('', 2181)); signal.pause()\"\n")
	h.do("systemctl", "daemon-reload")
	h.do("systemctl", "start", unit)
	h.until(unit+" has the port", func() bool {
		out, _ := h.try("ss", "-Hltn", "sport = :2181")
		return out != ""
	})
}

// foreignZooKeeper: neither the role nor the package touches it.
func foreignZooKeeper(_ *testing.T, s *site) {
	h := s.hosts[0]
	h.listener("zookeeper")
	s.refused(s.one(), "provision.yml", "The service zookeeper runs on zk1. Let migrate-from-zookeeper.yml take over from it")
	run(s.t, "cp", s.deb, h.root+"/var/tmp/zabd.deb")
	h.says("apt-get install -y /var/tmp/zabd.deb", "zookeeper.service runs on this host. To put zabd in its place, see /usr/share/doc/zabd/operations.md")
	if out, err := h.try("systemctl", "start", "zabd"); err == nil {
		s.t.Errorf("zabd starts beside it: %s", out)
	}
	h.until("systemctl status says what is wrong", func() bool { // the start is tried again and again
		out, _ := h.try("systemctl", "status", "--no-pager", "--lines=20", "zabd")
		return strings.Contains(out, "listen tcp :2181: bind: address already in use; ss -ltnp tells who has it")
	})
	if got := h.show("zookeeper", "ActiveState"); got != "active" {
		s.t.Errorf("zookeeper is %s", got)
	}
	h.do("systemctl", "stop", "zookeeper", "zabd.service", "zabd.socket")
}

func takenPort(_ *testing.T, s *site) {
	h := s.hosts[0]
	h.listener("other")
	s.refused(s.one(), "provision.yml", "zk1: port 2181 is taken by python3 (process "+h.show("other", "MainPID")+"). Stop it, or give zabd other ports")
	h.do("systemctl", "stop", "other")
}

func foreignData(_ *testing.T, s *site) {
	h := s.hosts[0]
	h.do("mkdir", "/var/lib/zabd/version-2")
	h.do("touch", "/var/lib/zabd/version-2/log.1")
	s.refused(s.one(), "provision.yml", "zk1 has data of a server, and no /var/lib/zabd/myid that says which")
	h.do("sh", "-c", "echo 1 > /var/lib/zabd/myid && chown zabd:zabd /var/lib/zabd/myid")
	s.refused(s.one(), "provision.yml", "/var/lib/zabd/version-2 of zk1 does not belong to the user zabd. If it is this server's: chown -R zabd:zabd")
	h.do("rm", "-r", "/var/lib/zabd/version-2", "/var/lib/zabd/myid")
}

// wrongSettingByAnsible leaves zoo.cfg as it is.
func wrongSettingByAnsible(t *testing.T, s *site) {
	h := s.hosts[0]
	before := h.read("/etc/zabd/zoo.cfg")
	s.refused(s.one("zabd_settings: {snapCount: many}"), "provision.yml", "snapCount: ")
	s.refused(s.one("zabd_settings: {group.1: '1'}"), "provision.yml", "every voter counts the same")
	if h.read("/etc/zabd/zoo.cfg") != before || h.show("zabd", "ActiveState") == "active" {
		t.Error("zoo.cfg was written, or zabd was started")
	}
}

func portsAndParameters(t *testing.T, s *site) {
	h, inventory := s.hosts[0], s.one("zabd_client_port: 2191", "zabd_sysctl: {net.ipv4.tcp_syn_retries: 3}", "zabd_data_log_dir: /srv/log")
	h.do("mount", "-o", "remount,bind,rw", "/proc/sys") // the host's network is its own
	s.must(inventory, "provision.yml")
	unchanged(t, s, inventory)
	var c *wire.Conn
	var err error
	if e := within(s.netns, func() { c, err = wire.Dial(context.Background(), addressOf(1)+":2191", wire.Options{}) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	c.Close()
	h.says("sysctl -n net.ipv4.tcp_syn_retries; ls /srv/log/version-2", "3\n", "log.")
}
