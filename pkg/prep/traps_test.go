package prep

import (
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// as prepares a request of any session, with any ids.
func (b *bench) as(session int64, ids []proto.ID, op proto.Op, body []byte) txn.Txn {
	b.last++
	e := b.prep.Prepare(&proto.Request{Session: session, Xid: int32(b.last), Op: op, Body: body, IDs: ids}, b.last, 1000+int64(b.last))
	b.inFlight = append(b.inFlight, e)
	var x txn.Txn
	if err := x.Decode(e.Bytes); err != nil {
		b.tb.Fatalf("%v does not decode: %v", op, err)
	}
	return x
}

func (b *bench) stat(path string) proto.Stat {
	ref, ok := b.tree.Find(path)
	if !ok {
		b.tb.Fatalf("%s is not there", path)
	}
	return b.tree.Stat(ref)
}

func pathBody(path string) []byte { return (&proto.PathRequest{Path: path}).AppendTo(nil) }

func ttlBody(path string, flags int32, ttl int64) []byte {
	return (&proto.CreateTTLRequest{Path: path, ACL: proto.WorldAll(), Flags: flags, TTL: ttl}).AppendTo(nil)
}

func TestTrap11_CheckAloneIsNeverLogged(t *testing.T) {
	b := newBench(t)
	for _, version := range []int32{-1, 9} {
		if x := b.submit(proto.OpCheck, versionBody("/zookeeper", version)); code(x) != proto.Unimplemented || x.HasDigest {
			t.Fatalf("check alone became %v (%v), want an error txn %v", x.Header.Type, code(x), proto.Unimplemented)
		}
	}
	if x := b.submit(proto.OpMulti, multiBody(proto.MultiOp{Type: proto.OpCheck, Path: "/zookeeper", Version: -1})); x.Subs[0].Type != proto.OpCheck {
		t.Fatalf("check in a multi became %v", x.Subs[0].Type)
	}
	b.settle()
}

func TestTrap17_ParentOfCreatedAndDeleted(t *testing.T) {
	b := newBench(t)
	b.submit(proto.OpCreate, createBody("/p", 0))
	made := b.submit(proto.OpCreate, createBody("/p/a", 0))
	if made.ParentCVersion != 1 {
		t.Fatalf("the first child carries parent cversion %d, want 1", made.ParentCVersion)
	}
	gone := b.submit(proto.OpDelete, versionBody("/p/a", -1))
	b.settle()
	if st := b.stat("/p"); st.Cversion != 2 || st.Pzxid != gone.Zxid || st.NumChildren != 0 {
		t.Fatalf("after create and delete of a child: cversion %d pzxid %v children %d, want 2 %v 0", st.Cversion, st.Pzxid, st.NumChildren, gone.Zxid)
	}
	if again := b.submit(proto.OpCreate, createBody("/p/a", 0)); again.ParentCVersion != 2 {
		t.Fatalf("the second child carries parent cversion %d, want 2: deletes do not count", again.ParentCVersion)
	}
	b.settle()
}

// TestSequenceOverflow follows transcript 14 of ZooKeeper 3.9.5: after 2^31 - 1 creates the parent's count sticks.
func TestSequenceOverflow(t *testing.T) {
	const most = 1<<31 - 1
	tr := tree.Empty()
	st := proto.StatPersisted{}
	for _, path := range []string{"", "/o"} {
		if path == "/o" {
			st.Cversion = most - 1
		}
		if err := tr.LoadNode(path, nil, -1, &st); err != nil {
			t.Fatal(err)
		}
	}
	tr.LoadSession(session, 30000)
	if err := tr.FinishLoad(5); err != nil {
		t.Fatal(err)
	}
	b := &bench{tb: t, tree: tr, prep: New(tr, Options{Digest: true}), last: 5}
	for i, c := range []struct {
		path, want string
		code       proto.Code
	}{
		{"/o/s-", "/o/s-2147483646", proto.OK},
		{"/o/s-", "/o/s-2147483647", proto.OK},
		{"/o/s-", "", proto.NodeExists},
		{"/o/t-", "/o/t-2147483647", proto.OK},
		{"/o/t-", "", proto.NodeExists},
	} {
		x := b.submit(proto.OpCreate, createBody(c.path, proto.FlagSequential))
		if code(x) != c.code || code(x) == proto.OK && x.Path != c.want {
			t.Fatalf("create %d of %s = %s, %v; want %s, %v", i, c.path, x.Path, code(x), c.want, c.code)
		}
		b.settle()
	}
	if st := b.stat("/o"); st.Pzxid != 6 || st.NumChildren != 3 {
		t.Fatalf("parent has pzxid %v and %d children, want 0x6 (the last create that counted) and 3", st.Pzxid, st.NumChildren)
	}
}

func TestTrap18_WhatCountsInDigests(t *testing.T) {
	b := newBench(t)
	before := b.tree.Digest()
	if x := b.submit(proto.OpCreate, createBody("/zookeeper", 0)); x.HasDigest {
		t.Fatal("an error txn carries a digest")
	}
	below := b.submit(proto.OpSetData, setBody("/zookeeper/quota", -1))
	if below.Digest.Tree != before {
		t.Fatalf("a change below /zookeeper moves the digest from %x to %x", before, below.Digest.Tree)
	}
	// A create there counts only by what it does to /zookeeper.
	b.submit(proto.OpCreate, createBody("/zookeeper/n", 0))
	self := b.submit(proto.OpSetData, setBody("/zookeeper", -1))
	failed := b.submit(proto.OpMulti, multiBody(createOp("/x", 0), createOp("/no/x", 0)))
	if self.Digest.Tree == before || !failed.HasDigest || failed.Digest != self.Digest {
		t.Fatalf("digests: before %x, /zookeeper set %x, failed multi %x", before, self.Digest.Tree, failed.Digest.Tree)
	}
	b.settle()
	plain := &bench{tb: t, tree: tree.New()}
	plain.prep = New(plain.tree, Options{})
	if x := plain.as(session, nil, proto.OpCreateSession, make([]byte, 4)); x.HasDigest {
		t.Fatal("digests are off, and a txn carries one")
	}
}

func TestTrap22_DeleteContainerPassesNoACL(t *testing.T) {
	closed := []proto.ACL{{Perms: proto.PermRead | proto.PermCreate, ID: proto.ID{Scheme: "world", ID: "anyone"}}}
	container := func(path string) proto.MultiOp {
		return proto.MultiOp{Type: proto.OpCreateContainer, Path: path, ACL: proto.WorldAll(), Flags: proto.FlagContainer}
	}
	for _, c := range []struct {
		name, path string
		session    int64
		want       proto.Code
	}{
		{"a container", "/c", session, proto.OK},
		{"a TTL node", "/ttl", session, proto.OK},
		{"a plain node", "/plain", session, proto.BadVersion},
		{"an ephemeral", "/eph", session, proto.BadVersion},
		{"one with children", "/full", session, proto.NotEmpty},
		{"one that is not there", "/none", session, proto.NoNode},
		{"below what is not there", "/none/c", session, proto.NoNode},
		{"a container below a parent closed to the client", "/closed/c", session, proto.NoAuth},
		{"the same, asked for by the leader", "/closed/c", 0, proto.OK},
		{"a plain node, asked for by the leader", "/plain", 0, proto.BadVersion},
		{"the root", "/", session, proto.BadArguments},
		{"a system node", "/zookeeper/quota", session, proto.BadArguments},
		{"no path", "", session, proto.BadArguments},
		{"no slash", "rel", session, proto.BadArguments},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			full := container("/full")
			b.submit(proto.OpMulti, multiBody(container("/c"), full, createOp("/full/x", 0), createOp("/plain", 0), createOp("/eph", 1),
				proto.MultiOp{Type: proto.OpCreate, Path: "/closed", ACL: closed}, container("/closed/c")))
			b.submit(proto.OpCreateTTL, ttlBody("/ttl", proto.FlagTTL, 1000))
			x := b.as(c.session, nil, proto.OpDeleteContainer, pathBody(c.path))
			if code(x) != c.want {
				t.Fatalf("deleteContainer(%q) by %#x = %v, want %v", c.path, c.session, code(x), c.want)
			}
			b.settle()
			if _, there := b.tree.Find(c.path); c.want == proto.OK && there {
				t.Fatalf("%s is still there", c.path)
			}
		})
	}
	b := newBench(t)
	if x := b.submit(proto.OpDeleteContainer, []byte("/delc")); code(x) != proto.MarshallingError {
		t.Fatalf("deleteContainer with a bare path = %v, want %v", code(x), proto.MarshallingError)
	}
}

func TestTimesToLive(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags int32
		ttl   int64
		want  proto.Code
	}{
		{"TTL", proto.FlagTTL, 5000, proto.OK},
		{"sequential TTL", proto.FlagTTLSequential, 5000, proto.OK},
		{"the longest", proto.FlagTTL, proto.MaxTTL, proto.OK},
		{"longer", proto.FlagTTL, proto.MaxTTL + 1, proto.BadArguments},
		{"none", proto.FlagTTL, 0, proto.BadArguments},
		{"negative", proto.FlagTTL, -1, proto.BadArguments},
		{"plain flags with a time", proto.FlagPersistent, 5000, proto.BadArguments},
		{"plain flags with 0", proto.FlagPersistent, 0, proto.BadArguments},
		{"plain flags without a time", proto.FlagPersistent, -1, proto.BadArguments},
		{"container flags without a time", proto.FlagContainer, -1, proto.BadArguments},
		{"flags out of range", 7, 5000, proto.BadArguments},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			if x := b.submit(proto.OpCreateTTL, ttlBody("/t", c.flags, c.ttl)); code(x) != c.want {
				t.Fatalf("createTTL(flags %d, %d ms) = %v, want %v", c.flags, c.ttl, code(x), c.want)
			}
			b.settle()
		})
	}
	tr := tree.New()
	b := &bench{tb: t, tree: tr, prep: New(tr, Options{NoExtendedTypes: true})}
	for op, body := range map[proto.Op][]byte{
		proto.OpCreateTTL: ttlBody("/t", proto.FlagTTL, 5000), proto.OpCreate: createBody("/t", proto.FlagTTL),
	} {
		if x := b.submit(op, body); code(x) != proto.Unimplemented {
			t.Errorf("%v of a TTL node without extended types = %v, want %v", op, code(x), proto.Unimplemented)
		}
	}
}

// TestOpcodeAgainstFlags: alone, the opcode makes the kind of the node, whatever the flags say.
func TestOpcodeAgainstFlags(t *testing.T) {
	for _, c := range []struct {
		op    proto.Op
		flags int32
		path  string
		owner int64
	}{
		{proto.OpCreateContainer, proto.FlagPersistent, "/n", proto.ContainerOwner},
		{proto.OpCreateContainer, proto.FlagEphemeral, "/n", proto.ContainerOwner},
		{proto.OpCreateContainer, proto.FlagSequential, "/n0000000001", proto.ContainerOwner},
		{proto.OpCreate, proto.FlagContainer, "/n", 0},
		{proto.OpCreate2, proto.FlagContainer, "/n", 0},
		{proto.OpCreate2, proto.FlagEphemeral, "/n", session},
	} {
		b := newBench(t)
		b.submit(proto.OpCreate, createBody("/first", 0))
		x := b.submit(c.op, createBody("/n", c.flags))
		b.settle()
		ref, ok := b.tree.Find(c.path)
		if x.Header.Type != c.op || !ok || b.tree.Persisted(ref).EphemeralOwner != c.owner {
			t.Errorf("%v with flags %d became %v of %s", c.op, c.flags, x.Header.Type, x.Path)
		}
	}
}

func TestNullPaths(t *testing.T) {
	null := []byte{0xff, 0xff, 0xff, 0xff}
	for op, want := range map[proto.Op]proto.Code{
		proto.OpCreate: proto.MarshallingError, proto.OpDelete: proto.MarshallingError, proto.OpDeleteContainer: proto.MarshallingError,
		proto.OpSetData: proto.BadArguments, proto.OpSetACL: proto.BadArguments,
	} {
		b := newBench(t)
		if got := code(b.submit(op, append(null, make([]byte, 20)...))); got != want {
			t.Errorf("%v of a null path = %v, want %v", op, got, want)
		}
	}
}

// TestSessionAmongTheChecks: of a session that is being closed, a record and its flags are looked at before the
// session, and all else behind it.
func TestSessionAmongTheChecks(t *testing.T) {
	for _, c := range []struct {
		name string
		op   proto.Op
		body []byte
		want proto.Code
	}{
		{"flags", proto.OpCreate, createBody("/n", 9), proto.BadArguments},
		{"time to live", proto.OpCreate, createBody("/n", proto.FlagTTL), proto.BadArguments},
		{"undecodable", proto.OpSetData, []byte{1}, proto.MarshallingError},
		{"create of a bad path", proto.OpCreate, createBody("n", 0), proto.SessionExpired},
		{"delete of the root", proto.OpDelete, versionBody("/", -1), proto.SessionExpired},
		{"set of a bad path", proto.OpSetData, setBody("n", -1), proto.SessionExpired},
		{"setACL without a list", proto.OpSetACL, (&proto.SetACLRequest{Path: "/"}).AppendTo(nil), proto.SessionExpired},
		{"empty multi", proto.OpMulti, multiBody(), proto.OK},
		{"close again", proto.OpCloseSession, nil, proto.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.submit(proto.OpCloseSession, nil)
			if got := code(b.submit(c.op, c.body)); got != c.want {
				t.Fatalf("%v of a closing session = %v, want %v", c.op, got, c.want)
			}
			b.settle()
		})
	}
	b := newBench(t)
	b.submit(proto.OpCloseSession, nil)
	x := b.submit(proto.OpMulti, multiBody(createOp("/n", 0), createOp("/m", 0)))
	if len(x.Subs) != 2 || x.Subs[0].Err != proto.SessionExpired || x.Subs[1].Err != proto.RuntimeInconsistency {
		t.Fatalf("multi of a closing session became %+v", x.Subs)
	}
	b.settle()
}

// TestEphemeralsOfAClosingSession has applied nodes, pending ones, and ones that change hands while in flight.
func TestEphemeralsOfAClosingSession(t *testing.T) {
	b := newBench(t)
	b.as(session+1, nil, proto.OpCreateSession, make([]byte, 4))
	for _, path := range []string{"/applied", "/set", "/deleted", "/taken"} {
		b.submit(proto.OpCreate, createBody(path, proto.FlagEphemeral))
	}
	b.settle()
	b.submit(proto.OpSetData, setBody("/set", -1))
	b.submit(proto.OpDelete, versionBody("/deleted", -1))
	b.submit(proto.OpDelete, versionBody("/taken", -1))
	b.as(session+1, nil, proto.OpCreate, createBody("/taken", proto.FlagEphemeral))
	b.submit(proto.OpCreate, createBody("/pending", proto.FlagEphemeral))
	b.submit(proto.OpCreate, createBody("/brief", proto.FlagEphemeral))
	b.submit(proto.OpDelete, versionBody("/brief", -1))
	b.submit(proto.OpMulti, multiBody(createOp("/never", proto.FlagEphemeral), createOp("/no/x", 0)))
	x := b.submit(proto.OpCloseSession, nil)
	if got, want := strings.Join(x.Paths, " "), "/applied /pending /set"; got != want {
		t.Fatalf("closeSession lists %s, want %s", got, want)
	}
	b.settle()
	if n := b.tree.EphemeralCount(); n != 1 {
		t.Fatalf("%d ephemerals are left, want the other session's", n)
	}
}
