package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// member returns the line of a server. Each has a machine of its own.
func member(id int, role ensemble.Role) ensemble.Member {
	host := fmt.Sprintf("10.0.0.%d", id)
	addr := func(port int) ensemble.Addr { return ensemble.Addr{Host: host, Port: port} }
	client := addr(2181)
	return ensemble.Member{
		ID: ensemble.ID(id), Quorum: []ensemble.Addr{addr(2888)}, Election: []ensemble.Addr{addr(3888)}, Role: role, Client: &client,
	}
}

func config(ms ...ensemble.Member) *ensemble.Config {
	c, err := ensemble.NewConfig(ms...)
	invariant.That(err == nil, "sim: members: %v", err)
	return c
}

// members returns the ensemble of a profile.
func (p *profile) members() *ensemble.Config {
	var ms []ensemble.Member
	for i := range p.voters + p.observers {
		role := ensemble.Participant
		if i >= p.voters {
			role = ensemble.Observer
		}
		ms = append(ms, member(i+1, role))
	}
	return config(ms...)
}

// startsWith returns the membership that a machine's files have at first: those who do not belong to the ensemble know
// that, and themselves.
func (w *World) startsWith(id ensemble.ID) *ensemble.Config {
	if _, ok := w.members.Member(id); ok {
		return w.members
	}
	role := ensemble.Participant
	if w.chance(2) {
		role = ensemble.Observer
	}
	return config(append(slices.Clone(w.members.Members), member(int(id), role))...)
}

// changeMembers lets a client ask for another membership, and mostly lets something go wrong meanwhile.
func (w *World) changeMembers() {
	ready := slices.DeleteFunc(slices.Clone(w.clients), func(c *client) bool { return !c.connected || c.leaving || len(c.sent) > 4 })
	if !w.profile.changes || len(ready) == 0 {
		return
	}
	c := ready[w.rng.IntN(len(ready))]
	r := &request{op: proto.OpReconfig, path: "/zookeeper/config"}
	r.reconfig = w.drawChange()
	if w.chance(10) {
		r.reconfig.ConfigID = w.history.members.Version
	}
	c.send(r)
	if w.chance(3) {
		return
	}
	w.after(w.upTo(6*(w.profile.latency+w.profile.disk)), func() {
		if !w.calm {
			w.strike([]fault{faultCrash, faultCrashLead, faultAtEffect, faultAtDisk, faultAll, faultPartition, faultCutLeader, faultReset}[w.rng.IntN(8)])
		}
	})
	w.after(w.upTo(100*time.Millisecond), func() { w.crashInSync(5) })
}

// drawChange returns a change of the present members: some come, go or change their roles, the leader often among them; or
// all are drawn anew.
func (w *World) drawChange() *proto.ReconfigRequest {
	roles := make([]ensemble.Role, len(w.hosts)+1)
	const none = ensemble.Role(-1)
	for _, h := range w.hosts {
		roles[h.id] = none
		if m, ok := w.history.members.Member(h.id); ok {
			roles[h.id] = m.Role
		}
	}
	before := slices.Clone(roles)
	draw := func(id ensemble.ID) {
		roles[id] = []ensemble.Role{none, ensemble.Observer, ensemble.Participant}[w.rng.IntN(3)]
	}
	if l := w.leader(); l != nil && w.chance(3) {
		draw(l.h.id)
	}
	for range 1 + w.rng.IntN(3) {
		draw(w.hosts[w.rng.IntN(len(w.hosts))].id)
	}
	if w.chance(5) {
		for _, h := range w.hosts {
			draw(h.id)
		}
	}
	if !slices.Contains(roles[1:], ensemble.Participant) {
		roles[w.hosts[w.rng.IntN(len(w.hosts))].id] = ensemble.Participant
	}
	var all []ensemble.Member
	joining, leaving := "", ""
	for id, role := range roles {
		if id == 0 || role == none && before[id] == none {
			continue
		}
		m := member(id, role)
		switch {
		case role == none:
			leaving += fmt.Sprintf("%d,", id)
			continue
		case role != before[id]:
			joining += fmt.Sprintf("server.%d=%v,", id, m)
		}
		all = append(all, m)
	}
	r := &proto.ReconfigRequest{ConfigID: -1}
	if w.chance(2) {
		r.NewMembers = proto.OptString{Text: config(all...).Text()}
		r.Joining.Null, r.Leaving.Null = true, true
	} else {
		r.Joining, r.Leaving, r.NewMembers.Null = proto.OptString{Text: joining}, proto.OptString{Text: leaving}, true
	}
	return r
}

// membersIn returns the membership in an entry of type reconfig.
func (w *World) membersIn(x *txn.Txn) *ensemble.Config {
	c, err := ensemble.ParseConfig(string(x.Data))
	if err != nil || c.Version != int64(x.Zxid) {
		w.fail("%v changes the members to %q: %v", x.Zxid, x.Data, err)
	}
	return c
}

// electorate is whom an entry needs on its disks: the voters of the membership that was committed last, and, from a change
// on until it is committed, those of the next one.
func (hs *history) electorate(pr *proposal) *ensemble.Electorate {
	return ensemble.NewElectorate(hs.members, pr.members)
}

// activated checks that a membership is committed when a server goes by it.
func (hs *history) activated(p *process, c *ensemble.Config) {
	w, z := hs.w, proto.Zxid(c.Version)
	w.mix(0xac, uint64(p.h.id), uint64(z))
	if w.tracing() {
		w.tracef("%v goes by version %x: %v", p, c.Version, c.Voters())
	}
	if z.Counter() == 0 && c.SameMembers(w.members) {
		return // the first version, though perhaps that of an epoch which came to nothing
	}
	if pr := hs.proposals[z]; pr == nil || !pr.committed || pr.members == nil || pr.members.Text() != c.Text() {
		w.fail("%v goes by the members of version %x, %v, which are not committed", p, c.Version, c.Voters())
	}
}

// knowsMembers checks that a server goes by no older membership than its log has.
func (hs *history) knowsMembers(p *process) {
	z, ok := hs.plain(p.h.tip)
	for ok && z > 0 {
		pr := hs.proposals[z]
		if pr.members != nil {
			if seen := p.node.Members().LastSeen().Version; seen < pr.members.Version {
				hs.w.fail("%v has the members of version %x in its log, and has seen %x last", p, pr.members.Version, seen)
			}
			return
		}
		z = pr.before
	}
}

// carryMembers does what a node asks for that concerns the membership on the disk.
func (h *host) carryMembers(s zab.Store) {
	switch s := s.(type) {
	case zab.SaveNext:
		h.next = s.Config
	case zab.Activate:
		h.active = s.Config
		if h.next != nil && h.next.Version <= h.active.Version {
			h.next = nil
		}
	}
}
