package zab

import (
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// TestReplaceComesBehindWhatWasLogged: a standalone server's tree is replaced while a write is on its way to the disk.
func TestReplaceComesBehindWhatWasLogged(t *testing.T) {
	n := NewStandalone(Start{Last: proto.MakeZxid(1, 5)})
	step := func(in Input) *Effects {
		ef := &Effects{}
		n.Step(0, in, ef)
		return ef
	}
	write := &proto.Request{Op: proto.OpCreate, Session: 1}
	step(Submit{[]*proto.Request{write}})
	step(Propose{[]txn.Entry{{Zxid: proto.MakeZxid(1, 6), Bytes: []byte("x")}}})
	want := proto.MakeZxid(3, 10)
	ef := step(Replace{Tree: "new", Zxid: proto.MakeZxid(3, 9)})
	if len(ef.Store) != 1 || ef.Store[0].(Install).Zxid != want || n.Serving() {
		t.Fatalf("effects %+v, serving %v", ef, n.Serving())
	}
	if ef := step(Submit{[]*proto.Request{write}}); len(ef.Prepare) > 0 {
		t.Error("a request is taken while the tree is replaced")
	}
	if ef := step(Replace{Tree: "another"}); len(ef.Store) > 0 {
		t.Error("it is replaced twice at once")
	}
	if ef := step(Synced{proto.MakeZxid(1, 6)}); len(ef.Deliver) != 1 || ef.Deliver[0].Zxid != proto.MakeZxid(1, 6) {
		t.Errorf("what was logged before: %+v", ef.Deliver)
	}
	if ef := step(Applied{proto.MakeZxid(1, 6)}); n.Serving() || ef.Replaced != 0 {
		t.Error("clients are served before the new tree is durable")
	}
	if ef := step(Stored{}); len(ef.Deliver) != 1 || ef.Deliver[0].Tree != "new" || ef.AwaitApplied != want || n.Serving() {
		t.Errorf("durable: %+v", ef)
	}
	if ef := step(Applied{want}); !n.Serving() || !ef.Lead || ef.Replaced != want {
		t.Errorf("applied: %+v, serving %v", ef, n.Serving())
	}
	if ef := step(Submit{[]*proto.Request{write}}); len(ef.Prepare) != 1 || ef.Prepare[0].Zxid != want+1 || n.Committed() != want {
		t.Errorf("the next write: %+v", ef.Prepare)
	}
}

// TestReplaceIsForAServerAlone: a member's tree is its leader's.
func TestReplaceIsForAServerAlone(t *testing.T) {
	n := NewStandalone(Start{Last: 7})
	n.role = Leading
	var ef Effects
	n.onReplace(Replace{Tree: "new", Zxid: 9}, &ef)
	if len(ef.Store) > 0 || !n.Serving() {
		t.Errorf("%+v", ef)
	}
}
