package zab

import (
	"fmt"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// A LostHistoryError says that a leader of a quorum lacks what was committed, and perhaps seen by clients. No server
// can go on from there by itself.
type LostHistoryError struct {
	Leader        ensemble.ID
	To, Committed proto.Zxid
}

func (e *LostHistoryError) Error() string {
	return fmt.Sprintf("zab: the history of leader %d ends at %v, and %v was committed here", e.Leader, e.To, e.Committed)
}

// lost ends the server: its leader's history ends at z.
func (n *Node) lost(z proto.Zxid, ef *Effects) {
	ef.Fatal = &LostHistoryError{Leader: n.follow.leader, To: z, Committed: n.committed}
	n.leave(ef, "%v", ef.Fatal)
}

// onBroadcast takes what a leader says to a learner that serves.
func (n *Node) onBroadcast(p *Packet, ef *Effects) {
	f := n.follow
	switch p.Type {
	case TypeProposal:
		n.onEntry(p, ef)
	case TypeCommit:
		n.onCommit(p.Zxid, ef)
	case TypeAck:
		if f.extensions&LeaderAck != 0 {
			f.assured = max(f.assured, p.Zxid)
			n.commitTogether(ef)
		}
	case TypeInform:
		if n.onEntry(p, ef) {
			n.deliver(p.Zxid, ef)
		}
	case TypeCommitAndActivate, TypeInformAndActivate:
		n.onActivate(p, ef)
	case TypePing:
		data := appendTouches(make([]byte, 0, touchSize), n.touches())
		n.tell(Packet{Type: TypePing, Zxid: p.Zxid, Data: data}, ef)
	case TypeSync:
		if len(f.syncs) == 0 {
			n.say(ef, true, "leader %d sends SYNC, and nobody has asked", f.leader)
			return
		}
		ef.Deliver = append(ef.Deliver, txn.Delivery{Sync: f.syncs[0]})
		f.syncs = f.syncs[1:]
	case TypeValidate:
		n.onValidated(p, ef)
	default:
		n.say(ef, true, "leader %d sends %v, which is ignored", f.leader, p.Type)
	}
}

// show begins to serve, if that had to wait until all that the tree holds is committed.
func (n *Node) show(z proto.Zxid) {
	if !n.serving && n.follow.stage == following && z >= n.applied {
		n.serving, n.committed = true, max(n.committed, n.applied)
	}
}

// onCommit delivers what a quorum holds.
func (n *Node) onCommit(z proto.Zxid, ef *Effects) {
	f := n.follow
	n.show(z)
	switch {
	case z <= n.applied:
		return
	case z > n.logged:
		n.leave(ef, "leader %d commits %v, and has sent entries up to %v", f.leader, z, n.logged)
		return
	case f.extensions&CumulativeCommit == 0 && n.pending[n.head].Zxid != z:
		n.leave(ef, "leader %d commits %v, and %v is next", f.leader, z, n.pending[n.head].Zxid)
		return
	}
	n.deliver(z, ef)
}

// commitTogether delivers what both the leader and we have stored, as far as the leader has said that the two of us are a
// quorum.
func (n *Node) commitTogether(ef *Effects) {
	z := min(n.follow.assured, n.synced, n.firstChange())
	if n.show(z); z > n.applied {
		n.deliver(z, ef)
	}
}

// acknowledge tells the leader what is on our disk. An observer's word does not count, and it gives none.
func (n *Node) acknowledge(ef *Effects) {
	f := n.follow
	if f.stage != following || n.role != Following || n.synced <= f.acked {
		return
	}
	if f.extensions&CumulativeAck != 0 {
		f.acked = n.synced
		n.tell(Packet{Type: TypeAck, Zxid: n.synced}, ef)
		return
	}
	done := 0
	for done < len(f.unacked) && f.unacked[done] <= n.synced {
		n.tell(Packet{Type: TypeAck, Zxid: f.unacked[done]}, ef)
		done++
	}
	f.acked = n.synced
	f.unacked = f.unacked[:copy(f.unacked, f.unacked[done:])]
}

// forward sends what our clients want to the leader. Syncs are answered in the order in which they were asked for.
func (n *Node) forward(rs []*proto.Request, ef *Effects) {
	for _, r := range rs {
		if r.Op == proto.OpSync {
			n.follow.syncs = append(n.follow.syncs, r)
		}
		n.tell(requestPacket(r), ef)
	}
}

// onValidated takes the answer whether a session lives.
func (n *Node) onValidated(p *Packet, ef *Effects) {
	id, ok, err := decodeValidateAnswer(p.Data)
	f := n.follow
	if err != nil {
		n.leave(ef, "leader %d sends a REVALIDATE of %d bytes", f.leader, len(p.Data))
		return
	}
	for i, asked := range f.asked {
		if asked == id {
			f.asked = append(f.asked[:i], f.asked[i+1:]...)
			ef.Validated = append(ef.Validated, Validation{id, ok})
			return
		}
	}
}

// onAlive takes bytes of no packet yet, or room for more of ours, for a sign of life.
func (n *Node) onAlive(link LinkID) {
	if f := n.follow; f != nil && f.link == link {
		f.heard = n.now
	} else if x := n.learner(link); x != nil {
		x.heard = n.now
	}
}

// onClosed takes the end of a link.
func (n *Node) onClosed(link LinkID, ef *Effects) {
	if f := n.follow; f != nil && f.link == link {
		n.leave(ef, "the link to leader %d is closed", f.leader)
		return
	}
	if x := n.learner(link); x != nil {
		n.say(ef, false, "the link to %v is closed", x)
		n.forget(x)
		if l := n.lead; l != nil && l.retired && len(l.learners) == 0 {
			n.handOver(ef)
		}
	}
}
