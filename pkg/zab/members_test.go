package zab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// changeEntry is an entry that makes servers the members.
func changeEntry(t *testing.T, at proto.Zxid, ids ...int) (txn.Entry, *ensemble.Config) {
	t.Helper()
	var text strings.Builder
	for _, id := range ids { // at the addresses of threeServers
		fmt.Fprintf(&text, "server.%d=%c:1:2:participant\n", id, 'a'+id-1)
	}
	c, err := ensemble.ParseConfig(text.String())
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithVersion(int64(at))
	x := txn.Txn{Header: txn.Header{Zxid: at, Type: proto.OpReconfig}, Body: txn.Body{Path: "/zookeeper/config", Data: []byte(c.Text()), Version: -1}}
	return x.Entry(), c
}

// disk returns what the disk was asked for since the effects were last looked at, in its order.
func (r *rig) disk() string {
	ef := r.take()
	var out []string
	for _, e := range ef.Append {
		out = append(out, "append "+short(e.Zxid))
	}
	for _, s := range ef.Store {
		switch s := s.(type) {
		case SaveNext:
			text := "forget"
			if s.Config != nil {
				text = "save " + short(proto.Zxid(s.Config.Version))
			}
			out = append(out, text)
		case Activate:
			out = append(out, "activate "+short(proto.Zxid(s.Config.Version)))
		case AppendBehind:
			out = append(out, "append "+short(s.Entries[0].Zxid))
		case SaveEpochs:
			out = append(out, fmt.Sprintf("epochs %d %d", s.Accepted, s.Current))
		}
	}
	return strings.Join(out, ", ")
}

func (r *rig) wantDisk(want string) {
	r.t.Helper()
	if got := r.disk(); got != want {
		r.t.Fatalf("the disk is asked for %q, want %q", got, want)
	}
}

// enabled are the settings of a server that heeds changes; its membership is of version 1.
func enabled(s *Start) { s.Reconfig, s.Members = true, s.Members.WithVersion(1) }

func newLeader(link LinkID, epoch uint32, c *ensemble.Config) Received {
	return Received{Link: link, Packet: Packet{Type: TypeNewLeader, Zxid: zx(epoch, 0), Data: []byte(c.Text())}}
}

func activate(link LinkID, at proto.Zxid, leader int64) Received {
	return Received{Link: link, Packet: Packet{Type: TypeCommitAndActivate, Zxid: at, Data: jute.AppendLong(nil, leader)}}
}

// follows lets a server follow server 3 in epoch 2.
func follows(t *testing.T, set func(*Start)) *rig {
	t.Helper()
	r := newRigWith(t, 1, 1, set, zx(1, 1))
	r.follow(3, 1, 2)
	r.step(packet(1, TypeDiff, zx(1, 1)), newLeader(1, 2, r.n.who.Active))
	r.stored()
	r.step(packet(1, TypeUpToDate, noZxid))
	r.take()
	return r
}

// TestChangeIsOnTheDiskBeforeItsEntry, and what comes behind it in the same step stays behind it.
func TestChangeIsOnTheDiskBeforeItsEntry(t *testing.T) {
	e, c := changeEntry(t, zx(2, 1), 1, 2)
	r := follows(t, enabled)
	r.step(Received{Link: 1, Packet: Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}}, proposal(1, zx(2, 2)))
	r.wantDisk("save 2.1, append 2.1, append 2.2")
	r.step(Stored{}, Synced{zx(2, 1)})
	r.want("1: ACK 2.1")
	r.step(activate(1, zx(2, 1), 2))
	if got := r.take(); got.Members == nil || got.Members.Text() != c.Text() || len(got.Deliver) != 1 || got.Dial != 2 || r.n.Role() != Following {
		t.Fatalf("%+v, and it is %v", got, r.n.Role())
	}
}

// TestChangeThatIsNotEnabled is an entry like others.
func TestChangeThatIsNotEnabled(t *testing.T) {
	e, _ := changeEntry(t, zx(2, 1), 1, 2)
	r := follows(t, func(*Start) {})
	r.step(Received{Link: 1, Packet: Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}})
	r.wantDisk("append 2.1")
	r.step(Synced{zx(2, 1)})
	r.want("1: ACK 2.1")
	r.step(activate(1, zx(2, 1), 2))
	if got := r.take(); got.Members != nil || len(got.Deliver) != 1 || r.n.Role() != Following {
		t.Fatalf("%+v, and it is %v", got, r.n.Role())
	}
}

// TestChangeUnderWayIsNotActiveAtUpToDate, though the leader names it as seen last.
func TestChangeUnderWayIsNotActiveAtUpToDate(t *testing.T) {
	for _, committed := range []bool{false, true} {
		e, c := changeEntry(t, zx(1, 2), 1, 2, 3, 4)
		r := newRigWith(t, 1, 1, enabled, zx(1, 1))
		r.follow(3, 1, 2)
		r.step(packet(1, TypeDiff, zx(1, 2)), Received{Link: 1, Packet: Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}})
		if committed {
			r.step(packet(1, TypeCommit, e.Zxid))
		}
		r.step(newLeader(1, 2, c))
		r.wantDisk("save 1.2, append 1.2, epochs 2 2")
		r.stored()
		r.step(packet(1, TypeUpToDate, noZxid))
		want := map[bool]string{false: "", true: "activate 1.2"}[committed]
		if got := r.disk(); got != want || (r.n.who.Next == nil) != committed || !r.n.Serving() {
			t.Errorf("committed %v: the disk is asked for %q, want %q; next %v", committed, got, want, r.n.who.Next)
		}
	}
}

// TestSavedMembersWithoutTheirEntry are forgotten when a server starts: the entry did not reach the log. Those of an entry
// count, though they were not saved.
func TestSavedMembersWithoutTheirEntry(t *testing.T) {
	e, c := changeEntry(t, zx(1, 2), 1, 2, 3, 4)
	for _, k := range []struct {
		name    string
		set     func(*Start)
		disk    string
		version int64
	}{
		{"the log ends before it", func(s *Start) { s.Next = c }, "forget", 1},
		{"the log has another entry", func(s *Start) {
			s.Next, s.Last, s.Recent = c, zx(1, 3), append(s.Recent, noneEntry(zx(1, 2)), noneEntry(zx(1, 3)))
		}, "forget", 1},
		{"the log has it", func(s *Start) { s.Next, s.Last, s.Recent = c, zx(1, 2), append(s.Recent, e) }, "", c.Version},
		{"the log alone has it", func(s *Start) { s.Last, s.Recent = zx(1, 2), append(s.Recent, e) }, "save 1.2", c.Version},
		{"a tree may have it", func(s *Start) { s.Next, s.Last, s.Recent = c, zx(1, 5), nil }, "", c.Version},
	} {
		r := newRigWith(t, 1, 1, func(s *Start) { enabled(s); k.set(s) }, zx(1, 1))
		if got := r.disk(); got != k.disk || r.n.who.LastSeen().Version != k.version {
			t.Errorf("%s: the disk is asked for %q, want %q; last seen is %x", k.name, got, k.disk, r.n.who.LastSeen().Version)
		}
	}
}

// TestLearnerWithLaterMembers: a leader that is not established looks again, for it may learn of them; another turns the
// learner away. One that has what the leader has seen last is welcome.
func TestLearnerWithLaterMembers(t *testing.T) {
	_, c := changeEntry(t, zx(1, 1), 1, 2, 3, 4)
	for _, k := range []struct {
		name    string
		set     func(*Start)
		version int64
		role    Role
		refused int
	}{
		{"not established", enabled, 9, Looking, 0},
		{"not enabled", func(*Start) {}, 9, Leading, 1},
		{"what was seen last", func(s *Start) { enabled(s); s.Next, s.Recent = c, nil }, c.Version, Leading, 0},
		{"later than that", func(s *Start) { enabled(s); s.Next, s.Recent = c, nil }, c.Version + 1, Looking, 0},
	} {
		r := newRigWith(t, 3, 1, k.set, zx(1, 1))
		for _, v := range votes(r.n, 3) {
			r.step(v)
		}
		info := learnerInfo{id: 1, version: protocolVersion, configVersion: k.version}
		r.step(Accepted{1}, Received{Link: 1, Packet: Packet{Type: TypeFollowerInfo, Zxid: zx(1, 0), Data: info.appendTo(nil)}})
		if r.n.Role() != k.role || r.n.Stats.Refused != k.refused {
			t.Errorf("%s: it is %v, and has refused %d", k.name, r.n.Role(), r.n.Stats.Refused)
		}
	}
}

// TestLearnerThatComesDuringAChange: a server of ZooKeeper would go by the new members at UPTODATE, and so is told that when they
// are committed.
func TestLearnerThatComesDuringAChange(t *testing.T) {
	for _, extensions := range []uint64{0, AllExtensions} {
		r := newRigWith(t, 3, 1, enabled, zx(1, 1))
		r.lead(zx(1, 1))
		r.step(packet(1, TypeAck, zx(2, 0)), Applied{zx(2, 0)})
		r.take()
		r.step(Submit{[]*proto.Request{{Session: 7, Op: proto.OpReconfig}}})
		slot := r.take().Prepare[0]
		if c := slot.Reconfig; c == nil || !c.Enabled || c.Pending || c.Active != r.n.who.Active || fmt.Sprint(c.InSync) != "[3 1]" {
			t.Fatalf("the preparation is told %+v", c)
		}
		e, _ := changeEntry(t, slot.Zxid, 1, 3)
		r.step(Propose{[]txn.Entry{e}})
		r.stored()
		r.greet(2, 2)
		r.n.learner(2).extensions = extensions
		r.step(ackEpoch(2, zx(1, 1), -1), packet(2, TypeAck, zx(2, 0)))
		before := strings.Contains(r.says(), "2: UPTODATE")
		if before == (extensions == 0) {
			t.Errorf("extensions %x: UPTODATE while the change is under way: %v", extensions, before)
		}
		r.step(packet(1, TypeAck, slot.Zxid))
		said := r.says()
		if !strings.Contains(said, "2: COMMITANDACTIVATE") || strings.Contains(said, "2: UPTODATE") == before {
			t.Errorf("extensions %x: it says %q", extensions, said)
		}
	}
}

// TestTwoChangesBehindATree: the first was committed when the second was proposed, and so is active, though the learner has
// got both at once. What it knew before is of another history.
func TestTwoChangesBehindATree(t *testing.T) {
	other, old := changeEntry(t, zx(1, 1), 1, 3)
	first, active := changeEntry(t, zx(2, 8), 1, 2)
	second, next := changeEntry(t, zx(2, 9), 2, 3)
	r := newRigWith(t, 1, 1, func(s *Start) { enabled(s); s.Next, s.Recent = old, []txn.Entry{other} }, zx(1, 1))
	r.follow(3, 1, 2)
	entry := func(e txn.Entry) Received {
		return Received{Link: 1, Packet: Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}}
	}
	r.step(snap(1, zx(2, 7)), entry(first), packet(1, TypeCommit, first.Zxid), entry(second), newLeader(1, 2, next))
	r.stored()
	if w := r.n.who; w.Active.Text() != active.Text() || w.Next == nil || w.Next.Text() != next.Text() {
		t.Fatalf("it goes by %q and %v", w.Active.Text(), w.Next)
	}
	r.step(packet(1, TypeUpToDate, noZxid))
	if w := r.n.who; w.Active.Text() != active.Text() || w.Next == nil || w.Next.Text() != next.Text() {
		t.Fatalf("at last it goes by %q and %v", w.Active.Text(), w.Next)
	}
}

// TestRetiredLeaderLeadsNoLonger than syncLimit, though a quorum comes to it that knows the change already: it commits nothing
// for them.
func TestRetiredLeaderLeadsNoLonger(t *testing.T) {
	r := newRigWith(t, 3, 1, enabled, zx(1, 1))
	r.lead(zx(1, 1), zx(1, 1))
	r.step(packet(1, TypeAck, zx(2, 0)), packet(2, TypeAck, zx(2, 0)), Applied{zx(2, 0)})
	e, c := changeEntry(t, zx(2, 1), 1, 2, 3)
	x := txn.Txn{Header: txn.Header{Zxid: e.Zxid, Type: proto.OpReconfig}, Body: txn.Body{
		Path: "/zookeeper/config", Data: []byte(strings.Replace(c.Text(), "server.3=c:1:", "server.3=c:7:", 1)), Version: -1,
	}}
	r.step(Submit{[]*proto.Request{{Session: 7, Op: proto.OpReconfig}}}, Propose{[]txn.Entry{x.Entry()}})
	r.stored()
	r.step(packet(1, TypeAck, e.Zxid), Closed{1})
	r.take()
	if l := r.n.lead; l == nil || !l.retired || l.successor != 1 {
		t.Fatalf("server 3 has another address, and is not retired: %+v", l)
	}
	info := learnerInfo{id: 1, version: protocolVersion, configVersion: int64(e.Zxid)}
	r.step(Accepted{3}, Received{Link: 3, Packet: Packet{Type: TypeFollowerInfo, Zxid: zx(2, 0), Data: info.appendTo(nil)}})
	r.step(ackEpoch(3, e.Zxid, -1), packet(3, TypeAck, zx(2, 0)), Closed{2})
	for at := time.Second; r.n.Role() == Leading; at += time.Second {
		if at > time.Minute {
			t.Fatal("it leads for ever")
		}
		r.n.Step(at, packet(3, TypePing, 0), &r.ef)
		r.n.Step(at, Tick{}, &r.ef)
	}
	if f := r.n.follow; f == nil || f.leader != 1 {
		t.Errorf("it follows %+v", f)
	}
}

// TestFollowerThatIsToObserve does not count for the next change: it is about to come again, and then says no more what it has
// stored.
func TestFollowerThatIsToObserve(t *testing.T) {
	r := newRigWith(t, 3, 1, enabled, zx(1, 1))
	r.lead(zx(1, 1), zx(1, 1))
	r.step(packet(1, TypeAck, zx(2, 0)), packet(2, TypeAck, zx(2, 0)), Applied{zx(2, 0)})
	_, c := changeEntry(t, zx(2, 1), 1, 2, 3)
	x := txn.Txn{Header: txn.Header{Zxid: zx(2, 1), Type: proto.OpReconfig}, Body: txn.Body{
		Path: "/zookeeper/config", Data: []byte(strings.Replace(c.Text(), "a:1:2:participant", "a:1:2:observer", 1)), Version: -1,
	}}
	change := Submit{[]*proto.Request{{Session: 7, Op: proto.OpReconfig}}}
	r.step(change, Propose{[]txn.Entry{x.Entry()}})
	r.stored()
	r.step(packet(1, TypeAck, zx(2, 1)), packet(2, TypeAck, zx(2, 1)))
	r.take()
	r.step(change)
	if got := fmt.Sprint(r.take().Prepare[0].Reconfig.InSync); got != "[3 2]" {
		t.Errorf("in sync are %s", got)
	}
}

// TestChangeThatIsCutOff leaves no links to those who would have joined.
func TestChangeThatIsCutOff(t *testing.T) {
	e, c := changeEntry(t, zx(2, 1), 1, 2, 3, 4)
	r := follows(t, enabled)
	r.step(Received{Link: 1, Packet: Packet{Type: TypeProposal, Zxid: e.Zxid, Data: e.Bytes}})
	if next := r.take().Next; next == nil || next.Text() != c.Text() {
		t.Fatalf("links are wanted to %v", next)
	}
	r.stored()
	r.step(Closed{1})
	r.follow(3, 2, 3)
	r.step(packet(2, TypeTrunc, zx(1, 1)), Stored{Last: zx(1, 1)})
	if next := r.take().Next; next != r.n.who.Active {
		t.Errorf("links are wanted to %v", next)
	}
}
