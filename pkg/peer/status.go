package peer

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// progress is what everybody may look at without the loop, as of its last turn.
type progress struct {
	role    atomic.Int64
	serving atomic.Bool
	served  atomic.Bool // has ever been
}

// sizes are those of the proposals of a leadership: the last, the smallest, the largest.
type sizes [3]int

var noSizes = sizes{-1, -1, -1}

func (s *sizes) add(es []txn.Entry) {
	for i := range es {
		n := len(es[i].Bytes)
		s[0], s[2] = n, max(s[2], n)
		if s[1] < 0 || n < s[1] {
			s[1] = n
		}
	}
}

// publish lets others see what the turn has come to.
func (p *Peer) publish() {
	g := &p.progress
	now := standing{role: p.node.Role(), serving: p.node.Serving(), seen: len(p.up), links: len(p.links)}
	now.inSync, _, now.others = p.node.Synced()
	if p.members != nil {
		now.version = p.members.Version
	}
	if now != p.stands {
		if now.role != p.stands.role {
			p.changeRole(now.role)
		}
		if now.serving != p.stands.serving {
			p.changeServing(now)
		}
		p.stands = now
		g.role.Store(int64(now.role))
		g.serving.Store(now.serving)
		if now.serving {
			g.served.Store(true)
		}
		p.cfg.Changed()
	}
	if n := p.node.Stats.Diffs + p.node.Stats.Truncs; n != p.differed {
		p.stats.Diffs.ObserveN(p.stats.diffs.Load()+1, int64(n-p.differed))
		p.differed = n
	}
	p.proposals.committed = p.proposals.reach(p.proposals.committed, p.node.Committed(), p.now, &p.stats.QuorumAck)
	if until := p.node.ServeUntil(); p.serving && until != p.until {
		p.until = until
		p.cfg.Service.Extend(until)
	}
}

// standing is what Config.Changed is about.
type standing struct {
	role                        zab.Role
	serving                     bool
	seen, links, inSync, others int
	version                     int64 // of the membership
}

func (p *Peer) changeRole(role zab.Role) {
	if p.stands.role == zab.Looking {
		p.stats.ElectionTime.Observe((p.now - p.since).Milliseconds())
	}
	if role == zab.Looking {
		p.stats.Lookings.Add(1)
		p.stats.Disloyal.Add(int64(p.node.Stats.Disloyal - p.disloyal))
		p.disloyal = p.node.Stats.Disloyal
		p.sizes, p.proposals = noSizes, proposals{}
	}
	p.since = p.now
}

// changeServing counts how long it took until clients are served.
func (p *Peer) changeServing(now standing) {
	if !now.serving {
		p.awayFrom = p.now
		return
	}
	away, sync := (p.now - p.awayFrom).Milliseconds(), (p.now - p.since).Milliseconds()
	switch now.role {
	case zab.Standalone:
		return
	case zab.Leading:
		p.stats.LeaderUnavailable.Observe(away)
	case zab.Following:
		p.stats.FollowerSync.Observe(sync)
	case zab.Observing:
		p.stats.ObserverSync.Observe(sync)
	}
	p.stats.Unavailable.Observe(away)
}

// Role returns what the node is.
func (p *Peer) Role() zab.Role { return zab.Role(p.progress.role.Load()) }

// Serving tells whether clients are served.
func (p *Peer) Serving() bool { return p.progress.serving.Load() }

// Status describes a peer to an operator.
type Status struct {
	Role      zab.Role
	Serving   bool
	Since     time.Duration // when it took the role, by Config.Clock
	Leader    ensemble.ID   // 0 = none
	Epoch     uint32
	Zxid      proto.Zxid // the last that is committed
	Voters    int        // of the ensemble
	InSync    int        // of them, while leading
	Others    int        // learners without a vote in sync, while leading; of them, who follow and do not observe:
	NonVoting int
	Learners  int    // connected, while leading
	Sizes     [3]int // in bytes: of the last proposal, the smallest and the largest while leading; -1 = none
	Seen      int    // voters that there is an election link to, or that are this one
	Stats     zab.Stats

	PendingSyncs int // of clients, which wait for a commit, while leading
}

// patience is for the loop to answer a question.
const patience = time.Second

// Status asks the loop; false if it does not answer.
func (p *Peer) Status() (Status, bool) {
	answer := make(chan Status, 1)
	p.asking.add(answer)
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case s := <-answer:
		return s, true
	case <-t.C:
	case <-p.ctx.Done():
	}
	return Status{Role: p.Role(), Serving: p.Serving()}, false
}

// status is Status on the loop.
func (p *Peer) status() Status {
	n := p.node
	s := Status{
		Role: n.Role(), Serving: n.Serving(), Since: p.since, Leader: n.Leader(), Epoch: n.Epoch(), Zxid: n.Committed(),
		Stats: n.Stats, Sizes: p.sizes,
	}
	s.InSync, s.Voters, s.Others = n.Synced()
	s.NonVoting = n.NonVoting()
	if s.Role == zab.Leading {
		s.Learners, s.PendingSyncs = len(p.links), n.PendingSyncs()
		if s.Serving {
			s.Zxid = max(s.Zxid, proto.MakeZxid(s.Epoch, 0))
		}
	}
	if net := p.cfg.Network; net != nil {
		s.Voters = len(p.members.Voters())
		for _, id := range p.members.Voters() {
			if id == net.Self || p.up[id] {
				s.Seen++
			}
		}
	}
	return s
}

// String returns the line that `systemctl status` shows.
func (s Status) String() string {
	switch s.Role {
	case zab.Standalone:
		return fmt.Sprintf("standalone, zxid %v", s.Zxid)
	case zab.Looking:
		return fmt.Sprintf("looking, %d/%d voters seen", s.Seen, s.Voters)
	case zab.Leading:
		if !s.Serving {
			return fmt.Sprintf("leader of epoch %d, waiting for a quorum, %d/%d voters seen", s.Epoch, s.Seen, s.Voters)
		}
		return fmt.Sprintf("leader, epoch %d, zxid %v, %d/%d voters in sync", s.Epoch, s.Zxid, s.InSync, s.Voters)
	}
	if !s.Serving {
		return fmt.Sprintf("%v of server %d, synchronising", s.Role, s.Leader)
	}
	return fmt.Sprintf("%v of server %d, epoch %d, zxid %v", s.Role, s.Leader, s.Epoch, s.Zxid)
}
