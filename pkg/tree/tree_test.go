package tree

import (
	"fmt"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

func txnAt(z int64, typ proto.Op, b txn.Body) *txn.Txn {
	b.Type = typ
	return &txn.Txn{Header: txn.Header{Session: 7, Cxid: int32(z), Zxid: proto.Zxid(z), Time: 1000 + z, Type: typ}, Body: b}
}

func create(z int64, path string, parentCVersion int32) *txn.Txn {
	return txnAt(z, proto.OpCreate, txn.Body{Path: path, Data: []byte("data"), ACL: proto.WorldAll(), ParentCVersion: parentCVersion})
}

// check says the invariants of Tree in code.
func (t *Tree) check(tb testing.TB) {
	tb.Helper()
	var digest uint64
	var bytes int64
	count, owned, transients := 0, 0, 0
	var g Digester
	for r := root; r != none; r = t.behind(r, true) {
		count++
		path := t.Path(r)
		st := t.Persisted(r)
		digest += g.Node(path, t.Data(r), &st)
		bytes += int64(len(path) + len(t.Data(r)))
		if t.IsEphemeral(r) {
			owned++
			if _, ok := t.ephemerals[st.EphemeralOwner][r]; !ok {
				tb.Fatalf("%s is not among the ephemerals of %#x", path, st.EphemeralOwner)
			}
		}
		if k := t.Types.kind(st.EphemeralOwner); k == container || k == timed {
			transients++
			if i := t.transients.place[r]; t.transients.list[i] != r {
				tb.Fatalf("%s is not among the containers and TTL nodes", path)
			}
		}
		if found, ok := t.Find(path); !ok || found != r {
			tb.Fatalf("Find(%q) = %d, %v; want %d", path, found, ok, r)
		}
	}
	if transients != len(t.transients.list) || transients != len(t.transients.place) {
		tb.Fatalf("%d containers and TTL nodes, kept as %d", transients, len(t.transients.list))
	}
	if digest != t.digest || bytes != t.bytes || count != t.count || owned != t.owned {
		tb.Fatalf("digest %x bytes %d nodes %d ephemerals %d, kept as %x %d %d %d",
			digest, bytes, count, owned, t.digest, t.bytes, t.count, t.owned)
	}
}

func TestCreateThenDelete(t *testing.T) {
	tr := New()
	var r Result
	for i := range int64(3000) {
		tr.Apply(create(2*i+1, fmt.Sprintf("/n%d", i), int32(i+1)), &r)
		if r.Code != proto.OK || len(r.Changes) != 2 || r.Changes[1].Path != "/" {
			t.Fatalf("create %d = %+v", i, r)
		}
		tr.Apply(create(2*i+2, fmt.Sprintf("/n%d/child", i), 1), &r)
	}
	tr.check(t)
	for i := range int64(3000) {
		for _, path := range []string{fmt.Sprintf("/n%d/child", i), fmt.Sprintf("/n%d", i)} {
			tr.Apply(txnAt(10000+i, proto.OpDelete, txn.Body{Path: path}), &r)
			if r.Code != proto.OK {
				t.Fatalf("delete %s = %v", path, r.Code)
			}
		}
	}
	tr.check(t)
	if tr.NodeCount() != 4 {
		t.Fatalf("NodeCount = %d, want 4", tr.NodeCount())
	}
	if st := tr.Stat(root); st.Cversion != 2*3000-1 || st.NumChildren != 1 {
		t.Fatalf("root = %+v, want 5999 creates and deletes and 1 child", st)
	}
}

func TestTrap17_ParentMovesOnlyForward(t *testing.T) {
	tr := New()
	var r Result
	tr.Apply(create(5, "/a", 7), &r)
	tr.Apply(create(6, "/b", 3), &r) // older than what the parent has: neither cversion nor pzxid move
	if st := tr.Persisted(root); st.Cversion != 7 || st.Pzxid != 5 {
		t.Fatalf("root = %+v, want cversion 7 and pzxid 5", st)
	}
	tr.Apply(txnAt(7, proto.OpDelete, txn.Body{Path: "/a"}), &r)
	if st := tr.Persisted(root); st.Cversion != 7 || st.Pzxid != 7 {
		t.Fatalf("root after delete = %+v, want cversion 7 and pzxid 7", st)
	}
	if st := tr.Stat(root); st.Cversion != 7*2-2 {
		t.Fatalf("Stat(root).Cversion = %d, want stored x 2 - children", st.Cversion)
	}
}

func TestTrap02_ReplayOverNewerSnapshot(t *testing.T) {
	tr := New()
	var r Result
	first := create(5, "/a", 1)
	tr.Apply(first, &r)
	again := create(6, "/a", 4)
	again.ACL = []proto.ACL{{Perms: proto.PermRead, ID: proto.ID{Scheme: "world", ID: "anyone"}}}
	tr.Apply(again, &r)
	ref, _ := tr.Find("/a")
	if r.Code != proto.NodeExists || len(r.Changes) != 0 || tr.Persisted(root).Cversion != 4 || tr.ACL(ref)[0].Perms != proto.PermRead {
		t.Fatalf("second create: %+v, root %+v, ACL %v", r, tr.Persisted(root), tr.ACL(ref))
	}
	again.Zxid, again.Header.Type, again.ParentCVersion = 7, proto.OpCreate2, 9
	tr.Apply(again, &r)
	if tr.Persisted(root).Cversion != 4 {
		t.Fatalf("create2 of an existing node moved the parent to %+v", tr.Persisted(root))
	}
	tr.check(t)
}

func TestTrap18_SystemNodesAndDigest(t *testing.T) {
	tr := New()
	before := tr.Digest()
	var r Result
	tr.Apply(create(5, "/zookeeper/quota/x", 1), &r)
	if tr.Digest() != before {
		t.Fatal("a node below /zookeeper counts in the digest")
	}
	tr.Apply(create(6, "/zookeeperx", 1), &r)
	if tr.Digest() == before {
		t.Fatal("a node beside /zookeeper does not count in the digest")
	}
	tr.check(t)
}

func TestTrap20_MultiWithCreate2IsAppliedInFull(t *testing.T) {
	tr := New()
	x := txnAt(5, proto.OpMulti, txn.Body{Subs: []txn.Body{
		{Type: proto.OpCreate2, Path: "/a", ACL: proto.WorldAll(), ParentCVersion: 1},
		{Type: proto.OpCreate, Path: "/b", ACL: proto.WorldAll(), ParentCVersion: 2},
	}})
	var r Result
	tr.Apply(x, &r)
	if _, ok := tr.Find("/b"); !ok || r.Code != proto.OK || len(r.Subs) != 2 {
		t.Fatalf("multi = %+v", r)
	}
}

func TestFailedMultiChangesNothing(t *testing.T) {
	tr := New()
	before := tr.Digest()
	x := txnAt(5, proto.OpMulti, txn.Body{Subs: []txn.Body{
		{Type: proto.OpCreate, Path: "/a", ACL: proto.WorldAll(), ParentCVersion: 1},
		{Type: proto.OpError, Err: proto.NoNode},
		{Type: proto.OpError, Err: proto.RuntimeInconsistency},
	}})
	var r Result
	tr.Apply(x, &r)
	want := []proto.Code{proto.OK, proto.NoNode, proto.RuntimeInconsistency}
	for i, s := range r.Subs {
		if s.Type != proto.OpError || s.Code != want[i] {
			t.Errorf("sub %d = %+v, want error %v", i, s, want[i])
		}
	}
	if tr.Digest() != before || tr.LastZxid() != 5 {
		t.Fatalf("digest %x, last %v", tr.Digest(), tr.LastZxid())
	}
}

func TestCloseSessionRemovesItsEphemerals(t *testing.T) {
	tr := New()
	var r Result
	tr.Apply(txnAt(1, proto.OpCreateSession, txn.Body{Timeout: 4000}), &r)
	for i := range int64(3) {
		x := create(2+i, fmt.Sprintf("/e%d", i), int32(1+i))
		x.Ephemeral = true
		tr.Apply(x, &r)
	}
	if got := tr.Ephemerals(7); len(got) != 3 || tr.EphemeralCount() != 3 {
		t.Fatalf("Ephemerals = %v", got)
	}
	tr.Apply(txnAt(9, proto.OpCloseSession, txn.Body{HasPaths: true, Paths: []string{"/e1", "/gone"}}), &r)
	if _, ok := tr.SessionTimeout(7); ok || tr.EphemeralCount() != 0 || len(r.Changes) != 6 {
		t.Fatalf("after close: %d ephemerals, %d changes", tr.EphemeralCount(), len(r.Changes))
	}
	tr.check(t)
}

// TestAdvance moves the last zxid to the beginning of an epoch, and never back.
func TestAdvance(t *testing.T) {
	tr := New()
	var r Result
	tr.Apply(create(1<<32|7, "/a", 1), &r)
	digest := tr.Digest()
	for _, c := range []struct{ to, want proto.Zxid }{
		{proto.MakeZxid(3, 0), proto.MakeZxid(3, 0)}, {proto.MakeZxid(2, 0), proto.MakeZxid(3, 0)},
	} {
		if tr.Advance(c.to); tr.LastZxid() != c.want || tr.Digest() != digest {
			t.Fatalf("Advance(%v): last %v, digest %x; want %v, %x", c.to, tr.LastZxid(), tr.Digest(), c.want, digest)
		}
	}
	w := tr.NewWalk()
	defer w.Close()
	if nodes := 0; w.Zxid != proto.MakeZxid(3, 0) || w.Next(100, func(string, []byte, int64, *proto.StatPersisted) { nodes++ }) || nodes != tr.NodeCount() {
		t.Fatalf("a walk at %v gives %d of %d nodes", w.Zxid, nodes, tr.NodeCount())
	}
	tr.check(t)
}
