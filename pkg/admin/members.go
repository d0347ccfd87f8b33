package admin

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
)

// Membership is what the members of an ensemble are asked about it.
type Membership struct {
	Self    int64 // 0 = the server serves alone
	Leader  int64 // 0 = none
	Members []Member
}

// Member is one of an ensemble.
type Member struct {
	ID               int64
	Quorum, Election []string // address:port
	Client           string   // address:port; "" = its server line does not say
	Observer         bool
}

// Learner is one that is connected to the leader that is asked.
type Learner struct {
	ID             int64
	Observer       bool
	Remote         string // address:port
	Established    int64  // milliseconds since 1970
	Queued         int    // packets
	QueuedBytes    int
	Received, Sent int64 // packets
}

func (m *Membership) find(id int64) (Member, bool) {
	i := slices.IndexFunc(m.Members, func(x Member) bool { return x.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return m.Members[i], true
}

func (c *call) leader() {
	m := c.Source.Ensemble()
	leader, ok := m.find(m.Leader)
	if !ok {
		c.answer.put("error", "server is not initialized")
		return
	}
	host, _, _ := net.SplitHostPort(leader.Quorum[0])
	c.answer = object{{"is_leader", m.Leader == m.Self}, {"leader_id", m.Leader}, {"leader_ip", host}}
}

func (c *call) votingView() {
	m := c.Source.Ensemble()
	slices.SortFunc(m.Members, func(x, y Member) int { return cmp.Compare(x.ID, y.ID) })
	voters := object{}
	for _, x := range m.Members {
		if x.Observer {
			continue
		}
		voters.put(strconv.FormatInt(x.ID, 10), object{
			{"server_addresses", strings2array(x.Quorum)},
			{"election_addresses", strings2array(x.Election)},
			{"client_address", x.Client},
			{"learner_type", "participant"},
		})
	}
	c.answer.put("current_config", voters)
}

func (c *call) observers() {
	all := array{}
	for _, l := range c.Source.Learners() {
		if !l.Observer {
			continue
		}
		all = append(all, object{
			{"remote_socket_address", "/" + l.Remote},
			{"sid", l.ID},
			{"established", l.Established},
			{"queued_packets", l.Queued},
			{"queued_packets_size", l.QueuedBytes},
			{"packets_received", l.Received},
			{"packets_sent", l.Sent},
			{"requests", 0}, // ZooKeeper counts those of its own observer master
			{"last_zxid", -1},
		})
	}
	c.answer = object{{"synced_observers", len(all)}, {"observers", all}}
}

func (c *call) zabState() {
	m, s := c.Source.Ensemble(), c.Source.Status()
	self, ok := m.find(m.Self)
	if !ok || s.NotServing {
		c.answer = object{{"voting", false}, {"zabstate", ""}}
		return
	}
	c.answer = object{
		{"myid", m.Self},
		{"is_leader", m.Leader == m.Self},
		{"quorum_address", addresses(self.Quorum)},
		{"election_address", addresses(self.Election)},
		{"client_address", self.Client},
		{"voting", !self.Observer},
		{"last_zxid", fmt.Sprintf("0x%x", s.Zxid)},
		{"zab_epoch", int64(s.Zxid >> 32)},
		{"zab_counter", int64(s.Zxid & 0xffffffff)},
		{"zabstate", "broadcast"},
	}
}

// addresses describes the addresses of one port. All are taken for reachable: whether they are, nobody tries for this.
func addresses(all []string) object {
	wildcards, ports, hosts := array{}, array{}, array{}
	for _, a := range all {
		host, port, _ := net.SplitHostPort(a)
		wildcards, hosts = append(wildcards, net.JoinHostPort("0.0.0.0", port)), append(hosts, host)
		if p := number(port); !slices.Contains(ports, any(p)) {
			ports = append(ports, p)
		}
	}
	return object{
		{"empty", len(all) == 0},
		{"all_addresses", strings2array(all)},
		{"all_reachable_addresses", strings2array(all)},
		{"one", all[0]},
		{"reachable_address", all[0]},
		{"wildcard_addresses", wildcards},
		{"all_ports", ports},
		{"all_host_strings", hosts},
		{"all_reachable_addresses_or_all", strings2array(all)},
		{"reachable_or_one", all[0]},
	}
}
