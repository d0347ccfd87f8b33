package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// TestHandshakeWaitsForService for a second, and no longer.
func TestHandshakeWaitsForService(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		admitted := make(chan bool)
		try := func() { admitted <- r.p.Admit(r.dial().Client) }
		began := time.Now()
		go try()
		if ok := <-admitted; ok || time.Since(began) != time.Second {
			t.Fatalf("admitted %v after %v by a server that serves nobody", ok, time.Since(began))
		}
		go try()
		time.AfterFunc(900*time.Millisecond, r.p.Serve)
		if ok := <-admitted; !ok || time.Since(began) != 1900*time.Millisecond {
			t.Fatalf("admitted %v after %v, service began after 1.9s", ok, time.Since(began))
		}
		go try()
		if !<-admitted {
			t.Fatal("not admitted by a server that serves")
		}
	})
}

// TestServiceBeginsBehindWhatWasDelivered, and not at all if it has ended by then.
func TestServiceBeginsBehindWhatWasDelivered(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.p.mu.Lock() // the apply loop stands still
		const entries = 3 * stepSize
		for i := range entries {
			e := txn.Txn{Header: txn.Header{Zxid: proto.MakeZxid(1, uint32(i+1)), Type: proto.OpError}}
			r.p.Deliver([]txn.Delivery{{Entry: e.Entry()}})
		}
		r.p.Serve()
		admitted := make(chan proto.Zxid)
		go func() {
			u := r.dial()
			r.p.Admit(u.Client)
			admitted <- r.p.LastZxid()
		}()
		r.p.mu.Unlock()
		if z := <-admitted; z != proto.MakeZxid(1, entries) {
			t.Fatalf("admitted at %v, %d entries were delivered before", z, entries)
		}
		r.p.Unserve()
		r.p.mu.Lock()
		r.p.Deliver([]txn.Delivery{{Entry: txn.Entry{Zxid: proto.MakeZxid(2, 0)}}})
		r.p.Serve()
		r.p.Unserve()
		r.p.mu.Unlock()
		synctest.Wait()
		if term, _ := r.p.current(); term != nil {
			t.Fatal("clients are served after Unserve")
		}
	})
}

// TestUnserve closes connections and drops what was asked for; what was delivered before is applied.
func TestUnserve(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u, other := r.open(), r.open()
		u.say(frame(1, proto.OpCreate, create("/a", 0)), frame(2, proto.OpGetData, get("/a", false)), frame(3, proto.OpSetData, set("/a")),
			frame(4, proto.OpSync, get("/a", false)[:6]))
		other.say(frame(1, proto.OpGetData, get("/", true)))
		other.expect(t, "before", "1 ")
		r.commit(1)
		r.p.Unserve()
		other.turn(func() { // a request that its connection has not handed on yet
			other.Begin()
			_, _ = other.Handle(frame(2, proto.OpSetData, set("/")))
			other.Idle()
		})
		synctest.Wait()
		if got := r.waiting(); got != "3 4 " {
			t.Fatalf("the replicator has %q: what comes after Unserve passes", got)
		}
		if !u.conn.closed || !other.conn.closed {
			t.Fatal("a connection goes on")
		}
		if n := r.p.Stats.Outstanding.Load(); n != 0 || u.Queued() != 0 || other.Queued() != 0 {
			t.Fatalf("%d requests outstanding, %d and %d of the clients", n, u.Queued(), other.Queued())
		}
		if z := r.p.LastZxid(); z != r.last {
			t.Fatalf("last zxid %v: what was delivered before, up to %v, is not applied", z, r.last)
		}
		if r.p.session(u.SessionID()) != nil {
			t.Fatal("a session is left")
		}
		r.commit(2) // the old leader had them: they come, and are nobody's
		r.serve()
		next, attached := r.attach(u.SessionID(), passwordOf(u.SessionID()))
		r.p.Validated(u.SessionID(), true)
		if !attached() {
			t.Fatal("the session cannot be taken up in the next term")
		}
		next.say(frame(3, proto.OpSetData, set("/a")))
		next.expect(t, "an old txn with the same number", fmt.Sprintf("welcome %#x ", u.SessionID()))
		r.commit(1)
		synctest.Wait()
		next.expect(t, "its own", "3 ")
		u.Detach()
		other.Detach()
		if n := r.p.Watches().Count(); n != 0 {
			t.Fatalf("%d watches of closed connections", n)
		}
	})
}

// TestNoReadIsAnsweredBehindUnserve though the apply loop has not yet come to close the connection.
func TestNoReadIsAnsweredBehindUnserve(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u := r.open()
		release := make(chan struct{})
		r.p.order(func() { <-release })
		r.p.Unserve()
		u.say(frame(1, proto.OpGetData, get("/", false)))
		close(release)
		synctest.Wait()
		u.expect(t, "behind Unserve", "closed")
	})
}

// TestUnserveEndsHandshakes without an answer: a client that was told that its session is gone would believe it.
func TestUnserveEndsHandshakes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		opening := r.dial()
		opening.turn(func() {
			if r.p.Admit(opening.Client) && r.p.Open(opening.Client, timeout) {
				t.Error("a session that was never committed")
			}
			opening.Finish()
		})
		attaching, attached := r.attach(7, passwordOf(7))
		r.p.Unserve()
		if attached() {
			t.Fatal("attached without an answer")
		}
		opening.busy.Wait()
		synctest.Wait()
		opening.expect(t, "a new session", "closed")
		attaching.expect(t, "a session to be validated", "closed")
		r.serve()
		again, attached := r.attach(7, passwordOf(7))
		r.p.Validated(7, false)
		if attached() {
			t.Fatal("attached to what does not live")
		}
		again.expect(t, "in the next term", "refused closed")
	})
}

// TestHeldReads: what was read leaves only while the lease holds. What follows on the connection waits behind it, and
// nobody else waits.
func TestHeldReads(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.p.Serve()
		r.p.Extend(time.Second)
		synctest.Wait()
		u, writer := r.open(), r.open()
		u.say(frame(1, proto.OpGetData, get("/", true)))
		u.expect(t, "in time", "1 ")
		<-time.After(time.Second) // of the bubble
		u.say(frame(2, proto.OpGetChildren, get("/", true)))
		writer.say(frame(1, proto.OpSetData, set("/")), frame(2, proto.OpCreate, create("/n", 0)))
		r.commit(2)
		synctest.Wait()
		u.expect(t, "too late", "")
		writer.expect(t, "replies to writes", "1 2 ")
		r.p.Extend(900 * time.Millisecond)
		synctest.Wait()
		u.expect(t, "extended to what is past", "")
		r.p.Extend(1100 * time.Millisecond)
		synctest.Wait()
		u.expect(t, "extended", "2 event/ event/ ")
		if n := r.p.Stats.ReadsHeld.Load(); n != 1 {
			t.Fatalf("%d reads were held, want 1", n)
		}
	})
}

// TestHeldBehindAWrite: the reads that the apply loop runs are held as well, without holding the apply loop.
func TestHeldBehindAWrite(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.p.Serve()
		synctest.Wait()
		u, other := r.open(), r.open()
		u.say(frame(1, proto.OpCreate, create("/a", 0)), frame(2, proto.OpGetData, get("/a", false)), frame(3, proto.OpPing, nil))
		other.say(frame(1, proto.OpCreate, create("/b", 0)))
		r.commit(2)
		synctest.Wait()
		u.expect(t, "without a lease", "")
		other.expect(t, "a write", "1 ")
		u.say(frame(4, proto.OpSetData, set("/a")))
		r.commit(1)
		synctest.Wait()
		u.expect(t, "without a lease", "")
		r.p.Extend(time.Second)
		synctest.Wait()
		u.expect(t, "with one", "1 2 -2 4 ")
		if n := r.p.Stats.ReadsHeld.Load(); n != 2 {
			t.Fatalf("%d reads were held, want 2", n)
		}
	})
}

// TestHeldWhileSomebodyWrites: what is read while the apply loop is writing falls to the apply loop, which does not wait.
func TestHeldWhileSomebodyWrites(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.p.Serve()
		synctest.Wait()
		u, other := r.open(), r.open()
		u.say(frame(1, proto.OpSetData, set("/")))
		u.conn.during = func() { u.sayAlone(frame(2, proto.OpGetData, get("/", false))) }
		r.commit(1)
		synctest.Wait()
		u.expect(t, "without a lease", "1 ")
		other.say(frame(1, proto.OpSetData, set("/")))
		r.commit(1)
		synctest.Wait()
		other.expect(t, "another's write", "1 ")
		r.p.Extend(time.Second)
		synctest.Wait()
		u.expect(t, "with a lease", "2 ")
	})
}

// TestUnserveFreesWhoWaitsForRoom: nothing will be answered that could make it.
func TestUnserveFreesWhoWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.p.SetLimits(Limits{Outstanding: 1})
		r.serve()
		u := r.open()
		u.say(frame(1, proto.OpSetData, set("/")), frame(2, proto.OpSetData, set("/")))
		r.p.Unserve()
		u.busy.Wait()
	})
}

// TestHeldReadsEndWithTheTerm, and with the server.
func TestHeldReadsEndWithTheTerm(t *testing.T) {
	for _, how := range []string{"Unserve", "Stop"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.p.Serve()
				synctest.Wait()
				u, parked := r.open(), r.open()
				u.say(frame(1, proto.OpGetData, get("/", false)))
				parked.say(frame(1, proto.OpSetData, set("/")), frame(2, proto.OpGetData, get("/", false)))
				r.commit(1)
				synctest.Wait()
				if how == "Unserve" {
					r.p.Unserve()
					r.p.Serve()
					r.p.Extend(time.Hour) // another term's
				} else {
					r.p.Stop()
				}
				u.busy.Wait()
				synctest.Wait()
				u.expect(t, "a read", "closed")
				if got := parked.read(); strings.Contains(got, "2") || !strings.HasSuffix(got, "closed") {
					t.Fatalf("a parked read: told %q", got)
				}
			})
		})
	}
}
