package zab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
)

// rig is one node of three, driven by hand. It keeps the effects until they are looked at.
type rig struct {
	t  *testing.T
	n  *Node
	ef Effects
}

// nobody are no clients at all.
type nobody struct{}

func (nobody) Heard(int64) (last, timeout time.Duration, ok bool) { return 0, 0, false }
func (nobody) Touched(dst []session.Touch) []session.Touch        { return dst }
func (nobody) Sessions(func(id int64, timeoutMillis int32))       {}
func (nobody) Expiring(int64)                                     {}

// newRig starts a server whose disk has the entries of the given zxids, in epoch.
func newRig(t *testing.T, self ensemble.ID, epoch uint32, disk ...proto.Zxid) *rig {
	t.Helper()
	return newRigWith(t, self, epoch, func(*Start) {}, disk...)
}

// newRigWith is newRig with other settings.
func newRigWith(t *testing.T, self ensemble.ID, epoch uint32, set func(*Start), disk ...proto.Zxid) *rig {
	t.Helper()
	members, err := ensemble.ParseConfig(threeServers)
	if err != nil {
		t.Fatal(err)
	}
	s := Start{
		Self: self, Members: members, Clients: nobody{}, AcceptedEpoch: epoch, CurrentEpoch: epoch, CommitLogCap: 100,
		Tick: 2 * time.Second, InitLimit: 20 * time.Second, SyncLimit: 10 * time.Second,
	}
	for _, z := range disk {
		s.Last, s.Recent = z, append(s.Recent, noneEntry(z))
	}
	set(&s)
	r := &rig{t: t, n: New(s)}
	r.step(Tick{})
	return r
}

func (r *rig) step(ins ...Input) {
	for _, in := range ins {
		r.n.Step(1, in, &r.ef)
	}
}

// take returns the effects since the last time.
func (r *rig) take() Effects {
	ef := r.ef
	r.ef = Effects{}
	return ef
}

// says returns what the node has said since the effects were last looked at, and forgets the effects.
func (r *rig) says() string {
	var out []string
	for _, e := range r.take().Send {
		out = append(out, fmt.Sprintf("%d: %v %v", e.Link, e.Packet.Type, short(e.Packet.Zxid)))
	}
	return strings.Join(out, ", ")
}

func short(z proto.Zxid) string {
	if z == noZxid {
		return "-1"
	}
	return fmt.Sprintf("%d.%d", z.Epoch(), z.Counter())
}

// want compares what is said.
func (r *rig) want(said string) {
	r.t.Helper()
	if got := r.says(); got != said {
		r.t.Fatalf("it says %q, want %q", got, said)
	}
}

func zx(epoch, counter uint32) proto.Zxid { return proto.MakeZxid(epoch, counter) }

func packet(link LinkID, typ PacketType, at proto.Zxid) Received {
	return Received{Link: link, Packet: Packet{Type: typ, Zxid: at}}
}

func proposal(link LinkID, at proto.Zxid) Received {
	return Received{Link: link, Packet: Packet{Type: TypeProposal, Zxid: at, Data: noneEntry(at).Bytes}}
}

func snap(link LinkID, at proto.Zxid) Received {
	return Received{Link: link, Packet: Packet{Type: TypeSnap, Zxid: at}, Tree: "tree at " + short(at)}
}

// follow lets the node follow a leader that begins an epoch, up to the packet that is due then.
func (r *rig) follow(leader ensemble.ID, link LinkID, epoch uint32) {
	r.t.Helper()
	for _, v := range votes(r.n, leader) {
		r.step(v)
	}
	r.step(Dialed{leader, link}, Received{Link: link, Packet: Packet{Type: TypeLeaderInfo, Zxid: zx(epoch, 0), Data: jute.AppendInt(nil, protocolVersion)}})
	for len(r.n.storing) > 0 {
		r.step(Stored{})
	}
	if r.n.follow == nil || r.n.follow.stage != promised {
		r.t.Fatalf("it does not follow: %v", r.ef.Lines)
	}
	r.ef = Effects{}
}

// stored answers everything that waits for the disk; nothing of it is a truncation.
func (r *rig) stored() {
	if r.n.logged > r.n.synced && r.n.logged >= 0 {
		r.step(Synced{r.n.logged})
	}
	for len(r.n.storing) > 0 {
		r.step(Stored{})
	}
}

// lead lets the node lead. Learners of the given last zxids connect by the links 1, 2 and so on, and all come so far that
// they are to be brought to its history.
func (r *rig) lead(learners ...proto.Zxid) {
	r.t.Helper()
	for _, v := range votes(r.n, r.n.self) {
		r.step(v)
	}
	for i := range learners {
		r.greet(LinkID(i+1), ensemble.ID(i+1))
	}
	r.stored()
	for i, last := range learners {
		r.step(ackEpoch(LinkID(i+1), last, int32(r.n.currentEpoch)))
	}
	r.stored()
}

func (r *rig) greet(link LinkID, id ensemble.ID) {
	info := learnerInfo{id: id, version: protocolVersion}
	r.step(Accepted{link}, Received{Link: link, Packet: Packet{
		Type: TypeFollowerInfo, Zxid: zx(r.n.currentEpoch, 0), Data: info.appendTo(nil),
	}})
}

func ackEpoch(link LinkID, last proto.Zxid, epoch int32) Received {
	return Received{Link: link, Packet: Packet{Type: TypeAckEpoch, Zxid: last, Data: jute.AppendInt(nil, epoch)}}
}

// propose lets the leader propose an entry for a request of its own.
func (r *rig) propose() proto.Zxid {
	r.t.Helper()
	before := len(r.ef.Prepare)
	r.step(Submit{requests(1)})
	at := r.ef.Prepare[before].Zxid
	r.step(Propose{[]txn.Entry{noneEntry(at)}})
	return at
}
