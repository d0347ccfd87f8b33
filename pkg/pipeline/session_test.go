package pipeline

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
)

// TestAttach: whether a session lives the replicator says, also one that this server has never seen, or has not yet.
func TestAttach(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		const id = 0x200000000000007
		u, attached := r.attach(id, passwordOf(id))
		u.expect(t, "before the answer", "")
		r.p.Validated(id, true)
		if !attached() {
			t.Fatal("refused")
		}
		u.expect(t, "a session of another server", "welcome 0x200000000000007 ")
		if want := []session.Touch{{ID: id, Timeout: timeout}}; !slices.Equal(r.asked, want) {
			t.Fatalf("asked %v, want %v", r.asked, want)
		}
		if last, agreed, ok := r.p.Heard(id); !ok || last != 0 || agreed != timeout {
			t.Fatalf("Heard = %v, %v, %v", last, agreed, ok)
		}

		wrong, attached := r.attach(id, make([]byte, 16))
		if attached() || len(r.asked) != 1 {
			t.Fatal("a wrong password is asked about, or passes")
		}
		wrong.expect(t, "a wrong password", "refused closed")
		u.expect(t, "trap 13: the live connection", "closed")

		dead, attached := r.attach(99, passwordOf(99))
		r.p.Validated(99, false)
		if attached() {
			t.Fatal("attached to a session that does not live")
		}
		dead.expect(t, "a dead session", "refused closed")
		if r.p.session(99) != nil {
			t.Fatal("a dead session is left behind")
		}
	})
}

// TestAnswersComeInTheOrderOfTheQuestions also when a connection of the same session has given up.
func TestAnswersComeInTheOrderOfTheQuestions(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		first, one := r.attach(7, passwordOf(7))
		other, another := r.attach(8, passwordOf(8))
		second, two := r.attach(7, passwordOf(7))
		r.p.Validated(7, false)
		if one() {
			t.Fatal("the first was told yes")
		}
		r.p.Validated(7, true)
		r.p.Validated(8, true)
		if !two() || !another() {
			t.Fatal("the others were told no")
		}
		first.expect(t, "the first", "refused closed")
		second.expect(t, "the second", "welcome 0x7 ")
		other.expect(t, "another session", "welcome 0x8 ")
		r.p.Validated(7, true) // nobody's
	})
}

// TestSessionEndsWhileItIsValidated: the answer was given before the end, which is applied before it arrives.
func TestSessionEndsWhileItIsValidated(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u, attached := r.attach(7, passwordOf(7))
		r.deliver([]txn.Delivery{{Entry: r.entry(&proto.Request{Session: 7, Op: proto.OpCloseSession})}})
		synctest.Wait()
		r.p.Validated(7, true)
		if attached() {
			t.Fatal("attached to a session that has ended")
		}
		u.expect(t, "a session that has ended", "refused closed")
	})
}

// TestNewestConnectionHasTheSession: an older one is closed, its requests are answered to nobody, and what it still
// says is dropped.
func TestNewestConnectionHasTheSession(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		old := r.open()
		id := old.SessionID()
		old.say(frame(1, proto.OpCreate, create("/a", 0)))
		u, attached := r.attach(id, passwordOf(id))
		r.p.Validated(id, true)
		if !attached() {
			t.Fatal("refused")
		}
		old.say(frame(2, proto.OpDelete, create("/a", 0)), frame(3, proto.OpCloseSession, nil))
		u.say(frame(1, proto.OpCreate, create("/a", 0)), frame(2, proto.OpGetData, get("/a", false)))
		if got := r.waiting(); got != "1 1 " {
			t.Fatalf("the replicator has %q", got)
		}
		old.Detach()
		r.commit(2)
		synctest.Wait()
		u.expect(t, "the newest", fmt.Sprintf("welcome %#x 1!-110 2 ", id))
		old.expect(t, "the older one", "closed")
	})
}

// TestMovedSessionIsClosedWithoutAReply: the write came too late, the client is elsewhere.
func TestMovedSessionIsClosedWithoutAReply(t *testing.T) {
	multi := (&proto.MultiRequest{Ops: []proto.MultiOp{{Type: proto.OpCreate, Path: "/m", ACL: proto.WorldAll()}}}).AppendTo(nil)
	for name, write := range map[string][]byte{
		"write": frame(2, proto.OpSetData, set("/")), "multi": frame(2, proto.OpMulti, multi),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.serve()
				u := r.open()
				u.say(frame(1, proto.OpSetData, set("/")), write, frame(3, proto.OpGetData, get("/", false)), frame(4, proto.OpSetData, set("/")))
				for _, q := range r.requests[1:] {
					q.Moved = true
				}
				r.commit(3)
				synctest.Wait()
				u.expect(t, "after the session has moved", "1 closed")
				u.say(frame(5, proto.OpSetData, set("/")))
				if r.waiting() != "" || r.p.Stats.Outstanding.Load() != 0 {
					t.Fatalf("the replicator has %q, %d outstanding", r.waiting(), r.p.Stats.Outstanding.Load())
				}
			})
		})
	}
}

// TestStaleRequestsDisturbNobody: the session went to another server and came back, on a new connection; what the old
// one has asked for is refused meanwhile.
func TestStaleRequestsDisturbNobody(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		old := r.open()
		id := old.SessionID()
		old.say(frame(1, proto.OpSetData, set("/")))
		r.requests[0].Moved = true // it reached the leader while the session was elsewhere
		u, attached := r.attach(id, passwordOf(id))
		r.p.Validated(id, true)
		if !attached() {
			t.Fatal("refused")
		}
		u.say(frame(1, proto.OpSetData, set("/")))
		r.commit(1)
		synctest.Wait()
		u.expect(t, "the old connection's write", fmt.Sprintf("welcome %#x ", id))
		r.commit(1)
		synctest.Wait()
		u.expect(t, "its own", "1 ")
	})
}

// TestTxnsOfOthersAreNobodys: of the same session by another server, and of a session that a server has closed.
func TestTxnsOfOthersAreNobodys(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u := r.open()
		u.say(frame(5, proto.OpSetData, set("/")))
		r.deliver([]txn.Delivery{{Entry: r.entry(&proto.Request{Session: u.SessionID(), Xid: 4, Op: proto.OpSetData, Body: set("/")})}})
		synctest.Wait()
		u.expect(t, "another number", "")
		r.commit(1)
		synctest.Wait()
		u.expect(t, "its own", "5 ")
		u.say(frame(6, proto.OpSetData, set("/")))
		r.deliver([]txn.Delivery{{Entry: r.entry(&proto.Request{Session: u.SessionID(), Op: proto.OpCloseSession})}})
		synctest.Wait()
		u.expect(t, "a server has closed the session", "closed")
		if n := r.p.Stats.Outstanding.Load(); n != 0 {
			t.Fatalf("%d outstanding", n)
		}
	})
}

// TestSync waits its turn in its session's order, as a write does.
func TestSync(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u := r.open()
		path := jute.AppendString(nil, "/none")
		u.say(frame(1, proto.OpSync, path), frame(2, proto.OpGetData, get("/", false)), frame(3, proto.OpSetData, set("/")),
			frame(4, proto.OpSync, []byte{1}), frame(5, proto.OpPing, nil))
		u.expect(t, "before", "")
		if got := r.waiting(); got != "1 3 4 " {
			t.Fatalf("the replicator has %q", got)
		}
		r.commit(1)
		synctest.Wait()
		u.expect(t, "the sync is through", "1 2 ")
		r.commit(2)
		synctest.Wait()
		u.expect(t, "the others are through", "3 4!-5 -2 ")
		stray := &proto.Request{Session: u.SessionID(), Op: proto.OpSync, Xid: 6}
		r.deliver([]txn.Delivery{{Sync: stray}, {Sync: &proto.Request{Session: 99, Op: proto.OpSync}}})
		synctest.Wait()
		u.expect(t, "syncs of an earlier term", "")
	})
}

// TestTouched gives what was heard of since the last call, in order, and of sessions that still are.
func TestTouched(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		var users []*user
		for range 4 {
			users = append(users, r.open())
		}
		ids := func(us ...*user) (out []session.Touch) {
			for _, u := range us {
				out = append(out, session.Touch{ID: u.SessionID(), Timeout: timeout})
			}
			return out
		}
		check := func(when string, want []session.Touch) {
			t.Helper()
			if got := r.p.Touched(nil); !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", when, got, want)
			}
		}
		check("all are new", ids(users...))
		check("nobody says anything", nil)
		<-time.After(time.Second) // of the bubble
		for _, i := range []int{3, 1, 3} {
			users[i].say(frame(-2, proto.OpPing, nil))
		}
		check("two of them", ids(users[1], users[3]))
		if last, _, ok := r.p.Heard(users[3].SessionID()); !ok || last != time.Second {
			t.Fatalf("last heard of at %v, %v", last, ok)
		}
		users[0].say(frame(-2, proto.OpPing, nil))
		users[2].say(frame(1, proto.OpCloseSession, nil))
		r.commit(1)
		synctest.Wait()
		check("one has ended", ids(users[0]))
	})
}

// TestNobodyAsksWhoWasHeardOf: a leader does not. What there is to tell stays as much as the sessions there are.
func TestNobodyAsksWhoWasHeardOf(t *testing.T) {
	r := newRig(t)
	for id := range int64(10_000) {
		s := &clientSession{id: id}
		r.p.hear(s, 1)
		s.ended.Store(true)
	}
	if n := cap(r.p.fresh); n > 64 {
		t.Fatalf("room for %d sessions, of which none is left", n)
	}
}

// TestExpiring lets a session take nothing any more, and leaves no trace of one whose client is not here.
func TestExpiring(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u := r.open()
		r.p.Expiring(u.SessionID())
		r.p.Expiring(99)
		u.say(frame(1, proto.OpSetData, set("/")), frame(2, proto.OpGetData, get("/", false)))
		u.expect(t, "expiring", "")
		if r.waiting() != "" || r.p.session(99) != nil {
			t.Fatalf("the replicator has %q", r.waiting())
		}
	})
}

// TestSessions are those of the tree.
func TestSessions(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		var want, got []int64
		for range 3 {
			want = append(want, r.open().SessionID())
		}
		r.p.Sessions(func(id int64, millis int32) {
			got = append(got, id)
			if millis != int32(timeout/time.Millisecond) {
				t.Errorf("session %#x has %d ms", id, millis)
			}
		})
		if !slices.Equal(got, want) {
			t.Fatalf("Sessions gives %v, want %v", got, want)
		}
	})
}

// TestOlderConnectionsWritesComeFirst: what an older connection has read, and not handed on yet, stands before what the
// newest one says, for the replicator as well.
func TestOlderConnectionsWritesComeFirst(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		old := r.open()
		old.Begin()
		if _, err := old.Handle(frame(1, proto.OpSetData, set("/zookeeper"))); err != nil {
			t.Fatal(err)
		}
		u, attached := r.attach(old.SessionID(), passwordOf(old.SessionID()))
		r.p.Validated(old.SessionID(), true)
		if !attached() {
			t.Fatal("refused")
		}
		u.say(frame(2, proto.OpSetData, set("/zookeeper")), frame(3, proto.OpGetData, get("/zookeeper", false)))
		old.Detach()
		r.commit(-1)
		synctest.Wait()
		u.expect(t, "the newest", fmt.Sprintf("welcome %#x 2 3 ", old.SessionID()))
	})
}
