package prep

import (
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// moved prepares a request that came by another server than the session's.
func (b *bench) moved(session int64, op proto.Op, body []byte) txn.Txn {
	b.last++
	e := b.prep.Prepare(&proto.Request{Session: session, Op: op, Body: body, Moved: true}, b.last, 0)
	b.inFlight = append(b.inFlight, e)
	var x txn.Txn
	if err := x.Decode(e.Bytes); err != nil {
		b.tb.Fatalf("%v does not decode: %v", op, err)
	}
	return x
}

// TestSessionMoved: where the session is checked, and behind whether it lives. Anybody may ask for its end.
func TestSessionMoved(t *testing.T) {
	const gone = session + 7
	for _, c := range []struct {
		name    string
		session int64
		op      proto.Op
		body    []byte
		want    proto.Code
	}{
		{"create", session, proto.OpCreate, createBody("/n", 0), proto.SessionMoved},
		{"flags come before the session", session, proto.OpCreate, createBody("/n", 9), proto.BadArguments},
		{"delete", session, proto.OpDelete, versionBody("/p", -1), proto.SessionMoved},
		{"set of what is not there", session, proto.OpSetData, setBody("/none", -1), proto.SessionMoved},
		{"setACL", session, proto.OpSetACL, (&proto.SetACLRequest{Path: "/p"}).AppendTo(nil), proto.SessionMoved},
		{"undecodable", session, proto.OpSetData, []byte{1}, proto.MarshallingError},
		{"check alone", session, proto.OpCheck, versionBody("/p", -1), proto.Unimplemented},
		{"unknown session", gone, proto.OpSetData, setBody("/p", -1), proto.UnknownSession},
		{"client's deleteContainer", session, proto.OpDeleteContainer, pathBody("/p"), proto.SessionMoved},
		{"leader's deleteContainer", 0, proto.OpDeleteContainer, pathBody("/p"), proto.BadVersion},
		{"empty multi", session, proto.OpMulti, multiBody(), proto.OK},
		{"new session", gone, proto.OpCreateSession, make([]byte, 4), proto.OK},
		{"end of the session", session, proto.OpCloseSession, nil, proto.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.submit(proto.OpCreate, createBody("/p", 0))
			if got := code(b.moved(c.session, c.op, c.body)); got != c.want {
				t.Fatalf("%v by a server that is not the session's = %v, want %v", c.op, got, c.want)
			}
			b.settle()
		})
	}
	b := newBench(t)
	x := b.moved(session, proto.OpMulti, multiBody(createOp("/n", 0), createOp("/m", 0)))
	if x.Header.Type != proto.OpMulti || len(x.Subs) != 2 || x.Subs[0].Err != proto.SessionMoved || x.Subs[1].Err != proto.RuntimeInconsistency {
		t.Fatalf("multi by a server that is not the session's became %v %+v", x.Header.Type, x.Subs)
	}
	b.submit(proto.OpCloseSession, nil)
	if got := code(b.moved(session, proto.OpCreate, createBody("/n", 0))); got != proto.SessionExpired {
		t.Fatalf("create of a session that moved and is ending = %v, want %v", got, proto.SessionExpired)
	}
	b.settle()
}

// TestUnknownSessionInAnEnsemble has expired for all kinds of writes.
func TestUnknownSessionInAnEnsemble(t *testing.T) {
	tr := tree.New()
	b := &bench{tb: t, tree: tr, prep: New(tr, Options{Digest: true, Ensemble: true})}
	for _, flags := range []int32{0, proto.FlagEphemeral} {
		if got := code(b.as(99, nil, proto.OpCreate, createBody("/x", flags))); got != proto.SessionExpired {
			t.Errorf("create with flags %d by an unknown session = %v, want %v", flags, got, proto.SessionExpired)
		}
	}
}

// TestAnotherTree goes on with a tree that was swapped in: nothing of the old one or of what was in flight is left.
func TestAnotherTree(t *testing.T) {
	b, other := newBench(t), newBench(t)
	other.submit(proto.OpCreate, createBody("/theirs", 0))
	other.settle()
	b.submit(proto.OpCreate, createBody("/mine", 0))
	b.submit(proto.OpCreate, createBody("/mine/e", proto.FlagEphemeral))

	b.prep.Follow(other.tree)
	b.prep.Reset()
	b.tree, b.inFlight, b.last = other.tree, nil, proto.MakeZxid(5, 0)
	other.tree.Advance(b.last) // an epoch begins
	for _, c := range []struct {
		op   proto.Op
		body []byte
		want proto.Code
	}{
		{proto.OpCreate, createBody("/mine/f", 0), proto.NoNode},
		{proto.OpCreate, createBody("/theirs", 0), proto.NodeExists},
		{proto.OpSetData, setBody("/theirs", 0), proto.OK},
		{proto.OpSetData, setBody("/theirs", 1), proto.OK},
	} {
		if got := code(b.submit(c.op, c.body)); got != c.want {
			t.Errorf("%v on the other tree = %v, want %v", c.op, got, c.want)
		}
	}
	if x := b.submit(proto.OpCloseSession, nil); len(x.Paths) != 0 {
		t.Errorf("closeSession lists %v, which was in flight for the old tree", x.Paths)
	}
	b.settle()
}
