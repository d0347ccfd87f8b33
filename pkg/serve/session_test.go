package serve

import (
	"math"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

func from(conn string, xid int32, op proto.Op) Item {
	it := item(xid, op)
	it.From = conn
	return it
}

// TestOnlyTheNewestConnectionIsHeard.
func TestOnlyTheNewestConnectionIsHeard(t *testing.T) {
	var s Session
	if s.Submit(from("a", 1, proto.OpCreate)) {
		t.Fatal("a session without a connection takes a write")
	}
	if old, ok := s.Attach("a"); !ok || old != nil {
		t.Fatalf("Attach(a) = %v, %v", old, ok)
	}
	if now, waits := s.Read("a"); !now || waits {
		t.Fatalf("Read(a) with nothing outstanding = %v, %v", now, waits)
	}
	if !s.Submit(from("a", 1, proto.OpCreate)) {
		t.Fatal("a write is dropped")
	}
	if now, waits := s.Read("a"); now || !waits {
		t.Fatalf("Read(a) behind a write = %v, %v", now, waits)
	}
	if old, ok := s.Attach("b"); !ok || old != "a" {
		t.Fatalf("Attach(b) = %v, %v", old, ok)
	}
	if now, waits := s.Read("a"); now || waits || s.Submit(from("a", 2, proto.OpCloseSession)) {
		t.Fatal("the older connection is heard")
	}
	s.Detach("a")
	if !s.Submit(from("b", 1, proto.OpCreate)) || s.Len() != 2 {
		t.Fatalf("%d requests are outstanding, want both connections'", s.Len())
	}
	if it, v := s.Commit(1, proto.OpCreate, proto.OK); v != Answer || it.From != "a" {
		t.Fatalf("Commit(1) = %v, %v; want the older one first", it.From, v)
	}
	s.Detach("b")
	if s.Conn() != nil || s.Submit(from("b", 2, proto.OpCreate)) {
		t.Fatal("a connection that is gone is heard")
	}
}

func TestNothingIsTakenBehindTheEnd(t *testing.T) {
	var s Session
	s.Attach("a")
	if !s.Submit(from("a", 1, proto.OpCloseSession)) {
		t.Fatal("the end is dropped")
	}
	now, waits := s.Read("a")
	if _, ok := s.Attach("b"); ok || now || waits || s.Submit(from("a", 2, proto.OpCreate)) {
		t.Fatal("something is taken behind the end")
	}
	if _, v := s.Commit(1, proto.OpCloseSession, proto.OK); v != Answer {
		t.Fatalf("the end's verdict is %v", v)
	}
	expiring := Session{}
	expiring.Attach("a")
	expiring.End()
	if expiring.Submit(from("a", 1, proto.OpCreate)) {
		t.Fatal("an expiring session takes a write")
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked proto.Op
		cxid  int32
		op    proto.Op
		code  proto.Code
		want  Verdict
	}{
		{"own write", proto.OpSetData, 3, proto.OpSetData, proto.OK, Answer},
		{"own write refused", proto.OpSetData, 3, proto.OpError, proto.NoNode, Answer},
		{"another's number", proto.OpSetData, 4, proto.OpSetData, proto.OK, Foreign},
		{"another's moved session", proto.OpSetData, 4, proto.OpError, proto.SessionMoved, Foreign},
		{"new session", proto.OpCreateSession, 3, proto.OpCreateSession, proto.OK, Welcome},
		{"a client's createSession, which is none", proto.OpCreateSession, 3, proto.OpError, proto.MarshallingError, Answer},
		{"moved session", proto.OpSetData, 3, proto.OpError, proto.SessionMoved, Moved},
		{"moved session, found in a multi", proto.OpMulti, 3, proto.OpMulti, proto.SessionMoved, Moved},
		{"a server's close", proto.OpSetData, 0, proto.OpCloseSession, proto.OK, Foreign},
		{"error of the same number as a sync", proto.OpSync, 3, proto.OpError, proto.NoNode, Foreign},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Session
			s.Attach("a")
			s.Submit(from("a", 3, c.asked))
			if _, v := s.Commit(c.cxid, c.op, c.code); v != c.want || (s.Len() == 0) != (v != Foreign) {
				t.Fatalf("Commit(%d, %v, %v) = %v with %d left, want %v", c.cxid, c.op, c.code, v, s.Len(), c.want)
			}
			if heard := s.Conn() == "a"; heard == (c.want == Moved) {
				t.Fatalf("after %v the connection is heard: %v", c.want, heard)
			}
		})
	}
}

// TestSyncIsFoundByItself: it has no number that others could not have.
func TestSyncIsFoundByItself(t *testing.T) {
	var s Session
	s.Attach("a")
	first, second := from("a", 1, proto.OpSync), from("a", 1, proto.OpSync)
	for _, it := range []Item{first, from("a", 2, proto.OpGetData), second} {
		s.Push(it)
	}
	if _, ok := s.Synced(second.Req); ok {
		t.Fatal("the second passes the first")
	}
	if _, ok := s.NextRead(); ok {
		t.Fatal("a sync is given out as a read")
	}
	if it, ok := s.Synced(first.Req); !ok || it.Req != first.Req {
		t.Fatalf("Synced(first) = %v, %v", it, ok)
	}
	if it, ok := s.NextRead(); !ok || it.Req.Xid != 2 {
		t.Fatalf("NextRead = %v, %v", it, ok)
	}
	if _, ok := s.Synced(first.Req); ok {
		t.Fatal("a sync is through twice")
	}
}

func TestAppendSync(t *testing.T) {
	z := proto.MakeZxid(1, 5)
	for _, c := range []struct {
		name string
		body []byte
		code proto.Code
	}{
		{"a path", jute.AppendString(nil, "/a"), proto.OK},
		{"a null path", []byte{0xff, 0xff, 0xff, 0xff}, proto.OK},
		{"undecodable", []byte{1}, proto.MarshallingError},
	} {
		d := jute.NewDecoder(AppendSync(nil, &proto.Request{Xid: 3, Body: c.body}, z)[4:])
		var h proto.ReplyHeader
		if err := h.Decode(&d); err != nil || h != (proto.ReplyHeader{Xid: 3, Zxid: z, Err: c.code}) {
			t.Errorf("%s: %+v, %v", c.name, h, err)
		}
		if echo := string(d.Rest()); c.code == proto.OK && echo != string(c.body) {
			t.Errorf("%s: %q comes back, want %q", c.name, echo, c.body)
		}
	}
}

func TestLease(t *testing.T) {
	for _, c := range []struct {
		lease Lease
		now   time.Duration
		want  bool
	}{
		{0, 0, false}, {5, 4, true}, {5, 5, false}, {5, 6, false}, {Always, math.MaxInt64 - 1, true},
	} {
		if got := c.lease.Holds(c.now); got != c.want {
			t.Errorf("Lease(%d).Holds(%d) = %v, want %v", c.lease, c.now, got, c.want)
		}
	}
}

func TestValidations(t *testing.T) {
	var v Validations
	if got := v.Answer(1); got != nil {
		t.Fatalf("an answer without a question is for %v", got)
	}
	for _, conn := range []string{"a", "b", "c"} {
		v.Ask(1, conn)
	}
	v.Ask(2, "d")
	for _, c := range []struct {
		id   int64
		want any
	}{{1, "a"}, {2, "d"}, {1, "b"}, {2, nil}, {1, "c"}, {1, nil}} {
		if got := v.Answer(c.id); got != c.want {
			t.Fatalf("the answer for %d is for %v, want %v", c.id, got, c.want)
		}
	}
	v.Ask(1, "e")
	v.Reset()
	if got := v.Answer(1); got != nil {
		t.Fatalf("after Reset an answer is for %v", got)
	}
}
