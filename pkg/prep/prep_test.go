package prep

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

const session = 0x100000001

// bench is a tree, a prepper and what is in flight between them.
type bench struct {
	tb       testing.TB
	tree     *tree.Tree
	prep     *Prepper
	last     proto.Zxid
	inFlight []txn.Entry
	ids      []proto.ID
}

func newBench(tb testing.TB) *bench {
	t := tree.New()
	b := &bench{tb: tb, tree: t, prep: New(t, Options{Digest: true})}
	b.submit(proto.OpCreateSession, jute.AppendInt(nil, 30000))
	b.settle()
	return b
}

// submit prepares a request and leaves its entry in flight.
func (b *bench) submit(op proto.Op, body []byte) txn.Txn {
	b.last++
	e := b.prep.Prepare(&proto.Request{Session: session, Xid: int32(b.last), Op: op, Body: body, IDs: b.ids}, b.last, 1000+int64(b.last))
	b.inFlight = append(b.inFlight, e)
	var x txn.Txn
	if err := x.Decode(e.Bytes); err != nil {
		b.tb.Fatalf("%v does not decode: %v", op, err)
	}
	if x.Zxid != b.last || e.Zxid != b.last {
		b.tb.Fatalf("%v took zxid %v, want %v", op, x.Zxid, b.last)
	}
	return x
}

// apply applies the oldest n entries in flight and checks each one's digest against the tree's.
func (b *bench) apply(n int) {
	for _, e := range b.inFlight[:n] {
		var x txn.Txn
		var r tree.Result
		if err := x.Decode(e.Bytes); err != nil {
			b.tb.Fatal(err)
		}
		b.tree.Apply(&x, &r)
		if x.HasDigest && x.Digest.Tree != b.tree.Digest() {
			b.tb.Fatalf("digest of %v %v is %x, the tree's %x", x.Zxid, x.Header.Type, x.Digest.Tree, b.tree.Digest())
		}
	}
	b.inFlight = b.inFlight[n:]
}

func (b *bench) settle() { b.apply(len(b.inFlight)) }

func createBody(path string, flags int32) []byte {
	return (&proto.CreateRequest{Path: path, Data: []byte("d"), ACL: proto.WorldAll(), Flags: flags}).AppendTo(nil)
}

func versionBody(path string, version int32) []byte {
	return (&proto.VersionRequest{Path: path, Version: version}).AppendTo(nil)
}

func setBody(path string, version int32) []byte {
	return (&proto.SetDataRequest{Path: path, Data: []byte("new"), Version: version}).AppendTo(nil)
}

func multiBody(ops ...proto.MultiOp) []byte { return (&proto.MultiRequest{Ops: ops}).AppendTo(nil) }

func createOp(path string, flags int32) proto.MultiOp {
	return proto.MultiOp{Type: proto.OpCreate, Path: path, ACL: proto.WorldAll(), Flags: flags}
}

func code(x txn.Txn) proto.Code {
	if x.Header.Type == proto.OpError {
		return x.Err
	}
	return proto.OK
}

func TestOrderOfChecks(t *testing.T) {
	closed := []proto.ACL{{Perms: proto.PermRead, ID: proto.ID{Scheme: "world", ID: "anyone"}}}
	acl := func(path string, acl []proto.ACL, version int32) []byte {
		return (&proto.SetACLRequest{Path: path, ACL: acl, Version: version}).AppendTo(nil)
	}
	for _, c := range []struct {
		name string
		op   proto.Op
		body []byte
		want proto.Code
	}{
		{"create", proto.OpCreate, createBody("/new", 0), proto.OK},
		{"flags out of range before a bad path", proto.OpCreate, createBody("x", 7), proto.BadArguments},
		{"no slash", proto.OpCreate, createBody("x", 0), proto.BadArguments},
		{"missing parent before a bad path", proto.OpCreate, createBody("/c//d", 0), proto.NoNode},
		{"trailing slash below a node", proto.OpCreate, createBody("/c/", 0), proto.BadArguments},
		{"the root", proto.OpCreate, createBody("/", 0), proto.NodeExists},
		{"closed parent before an existing node", proto.OpCreate, createBody("/closed/x", 0), proto.NoAuth},
		{"existing node", proto.OpCreate, createBody("/c", 0), proto.NodeExists},
		{"child of an ephemeral", proto.OpCreate, createBody("/e/x", 0), proto.NoChildrenForEphemerals},
		{"empty ACL before a missing parent", proto.OpCreate, (&proto.CreateRequest{Path: "/no/x"}).AppendTo(nil), proto.InvalidACL},
		{"truncated", proto.OpCreate, createBody("/new", 0)[:9], proto.MarshallingError},
		{"ttl without extended flags", proto.OpCreate, createBody("/t", proto.FlagTTL), proto.BadArguments},
		{"delete of the root", proto.OpDelete, versionBody("/", -1), proto.BadArguments},
		{"delete of /zookeeper", proto.OpDelete, versionBody("/zookeeper", -1), proto.BadArguments},
		{"delete below a missing parent", proto.OpDelete, versionBody("/no/x", -1), proto.NoNode},
		{"delete below a closed parent", proto.OpDelete, versionBody("/closed/x", -1), proto.NoAuth},
		{"delete with a stale version before children", proto.OpDelete, versionBody("/p", 3), proto.BadVersion},
		{"delete with children", proto.OpDelete, versionBody("/p", -1), proto.NotEmpty},
		{"set of a bad path", proto.OpSetData, setBody("/c/", -1), proto.BadArguments},
		{"set of a closed node before its version", proto.OpSetData, setBody("/closed", 9), proto.NoAuth},
		{"set with a stale version", proto.OpSetData, setBody("/c", 9), proto.BadVersion},
		{"set of the root", proto.OpSetData, setBody("/", -1), proto.OK},
		{"setACL with an empty list before a missing node", proto.OpSetACL, acl("/no", nil, -1), proto.InvalidACL},
		{"setACL compares the aversion", proto.OpSetACL, acl("/c", closed, 1), proto.BadVersion},
		{"setACL", proto.OpSetACL, acl("/c", closed, 0), proto.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.submit(proto.OpCreate, createBody("/c", 0))
			b.submit(proto.OpCreate, createBody("/e", proto.FlagEphemeral))
			b.submit(proto.OpCreate, createBody("/p", 0))
			b.submit(proto.OpCreate, createBody("/p/child", 0))
			b.submit(proto.OpCreate, createBody("/closed", 0))
			b.submit(proto.OpSetACL, acl("/closed", closed, -1))
			if got := code(b.submit(c.op, c.body)); got != c.want {
				t.Fatalf("%v in flight = %v, want %v", c.op, got, c.want)
			}
			b.settle()
		})
	}
}

func TestTrap01_UndecodableWriteTakesAFreshZxid(t *testing.T) {
	b := newBench(t)
	for _, op := range []proto.Op{proto.OpCreate, proto.OpDelete, proto.OpSetData, proto.OpSetACL, proto.OpMulti, proto.OpCreateSession} {
		if x := b.submit(op, []byte{1}); code(x) != proto.MarshallingError || x.HasDigest {
			t.Fatalf("%v = %v with digest %v, want a bare %v", op, code(x), x.HasDigest, proto.MarshallingError)
		}
	}
	b.settle()
}

func TestTrap09_CloseThenDeleteOfTheParent(t *testing.T) {
	b := newBench(t)
	b.submit(proto.OpCreate, createBody("/p", 0))
	b.submit(proto.OpCreate, createBody("/p/e", proto.FlagEphemeral))
	b.settle()
	closing := b.submit(proto.OpCloseSession, nil)
	if len(closing.Paths) != 1 || closing.Paths[0] != "/p/e" {
		t.Fatalf("closeSession lists %v, want /p/e", closing.Paths)
	}
	if got := code(b.submit(proto.OpDelete, versionBody("/p", -1))); got != proto.SessionExpired {
		t.Fatalf("delete by the closing session = %v, want %v", got, proto.SessionExpired)
	}
	other := &proto.Request{Session: session + 1, Op: proto.OpCreateSession, Body: jute.AppendInt(nil, 4000)}
	b.last++
	b.inFlight = append(b.inFlight, b.prep.Prepare(other, b.last, 0))
	b.last++
	e := b.prep.Prepare(&proto.Request{Session: session + 1, Op: proto.OpDelete, Body: versionBody("/p", -1)}, b.last, 0)
	var x txn.Txn
	if err := x.Decode(e.Bytes); err != nil || code(x) != proto.NotEmpty {
		t.Fatalf("delete of the parent before the close is applied = %v, want %v", code(x), proto.NotEmpty)
	}
	b.inFlight = append(b.inFlight, e)
	b.settle()
}

func TestTrap09_FailedMultiRestoresEarlierRecords(t *testing.T) {
	b := newBench(t)
	b.submit(proto.OpCreate, createBody("/p", 0))
	b.submit(proto.OpSetData, setBody("/p", 0)) // in flight: version 1
	x := b.submit(proto.OpMulti, multiBody(
		proto.MultiOp{Type: proto.OpSetData, Path: "/p", Version: 1},
		createOp("/p/s-", proto.FlagSequential),
		proto.MultiOp{Type: proto.OpDelete, Path: "/none", Version: -1},
		createOp("/q", 0),
	))
	want := []proto.Code{proto.OK, proto.OK, proto.NoNode, proto.RuntimeInconsistency}
	for i, s := range x.Subs {
		got := proto.OK
		if s.Type == proto.OpError {
			got = s.Err
		}
		if got != want[i] {
			t.Errorf("sub %d = %v, want %v", i, got, want[i])
		}
	}
	if got := code(b.submit(proto.OpSetData, setBody("/p", 1))); got != proto.OK {
		t.Fatalf("set upon the version before the multi = %v", got)
	}
	if x := b.submit(proto.OpCreate, createBody("/p/s-", proto.FlagSequential)); x.Path != "/p/s-0000000000" {
		t.Fatalf("sequential name after a rolled-back multi = %s", x.Path)
	}
	b.settle()
}

func TestSequentialNumbersGoOn(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		want := fmt.Sprintf("/s-%010d", i)
		if x := b.submit(proto.OpCreate, createBody("/s-", proto.FlagSequential)); x.Path != want {
			t.Fatalf("create %d made %s, want %s", i, x.Path, want)
		}
		b.submit(proto.OpDelete, versionBody(want, -1))
	}
	x := b.submit(proto.OpMulti, multiBody(createOp("/s-", 2), createOp("/s-", 2)))
	if x.Subs[0].Path != "/s-0000000003" || x.Subs[1].Path != "/s-0000000004" {
		t.Fatalf("multi made %s and %s", x.Subs[0].Path, x.Subs[1].Path)
	}
	if got := sequential("/x", -2147483648); got != "/x-2147483648" {
		t.Fatalf("sequential(-2^31) = %s", got)
	}
	b.settle()
}

func TestTrap21_Create2InMultiIsLoggedAsCreate(t *testing.T) {
	b := newBench(t)
	op := createOp("/a", 0)
	op.Type = proto.OpCreate2
	if x := b.submit(proto.OpMulti, multiBody(op)); x.Subs[0].Type != proto.OpCreate {
		t.Fatalf("logged as %v, want create", x.Subs[0].Type)
	}
	b.settle()
}

func TestTrap12_FlagsInAMulti(t *testing.T) {
	for _, c := range []struct {
		name  string
		op    proto.Op
		flags int32
		want  proto.Op // OpError: the whole multi is undecodable
	}{
		{"create", proto.OpCreate, 0, proto.OpCreate},
		{"container by flags", proto.OpCreate, proto.FlagContainer, proto.OpCreateContainer},
		{"createContainer keeps its kind", proto.OpCreateContainer, 0, proto.OpCreateContainer},
		{"TTL flags under create", proto.OpCreate, proto.FlagTTL, proto.OpError},
		{"flags out of range", proto.OpCreate2, 7, proto.OpError},
		{"createTTL with plain flags", proto.OpCreateTTL, 0, proto.OpCreate},
		{"createTTL", proto.OpCreateTTL, proto.FlagTTL, proto.OpCreateTTL},
		{"a read", proto.OpGetData, 0, proto.OpError},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			op := createOp("/a", c.flags)
			op.Type, op.TTL = c.op, 1000
			x := b.submit(proto.OpMulti, multiBody(op))
			got := proto.OpError
			if code(x) == proto.OK {
				got = x.Subs[0].Type
			}
			if got != c.want {
				t.Fatalf("%v with flags %d became %v (%v), want %v", c.op, c.flags, got, code(x), c.want)
			}
			b.settle()
		})
	}
}

func TestUnknownSession(t *testing.T) {
	b := newBench(t)
	for flags, want := range map[int32]proto.Code{0: proto.UnknownSession, proto.FlagEphemeral: proto.SessionExpired} {
		b.last++
		e := b.prep.Prepare(&proto.Request{Session: 99, Op: proto.OpCreate, Body: createBody("/x", flags)}, b.last, 0)
		var x txn.Txn
		if err := x.Decode(e.Bytes); err != nil || code(x) != want {
			t.Errorf("create with flags %d by an unknown session = %v, want %v", flags, code(x), want)
		}
	}
}

// TestPipelinedAsOneByOne prepares the same random requests with everything applied at once and with k txns in flight:
// the txns must be the same, and each one's digest that of the tree behind it.
func TestPipelinedAsOneByOne(t *testing.T) {
	for seed := range uint64(20) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { pipelined(t, seed) }) {
			t.Logf("replay: go test ./pkg/prep -run 'TestPipelinedAsOneByOne/%d$'", seed)
		}
	}
}

func pipelined(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	one, many := newBench(t), newBench(t)
	paths := strings.Fields("/a /b /a/x /a/y /b/z /a/x/deep /zookeeper/n")
	path := func() string { return paths[r.IntN(len(paths))] }
	for range 400 {
		var op proto.Op
		var body []byte
		switch r.IntN(7) {
		case 0, 1:
			op, body = proto.OpCreate, createBody(path(), int32(r.IntN(4)))
		case 2:
			op, body = proto.OpDelete, versionBody(path(), -1)
		case 3:
			op, body = proto.OpSetData, setBody(path(), int32(r.IntN(3)-1))
		case 4:
			op, body = proto.OpSetACL, (&proto.SetACLRequest{Path: path(), ACL: proto.WorldAll(), Version: -1}).AppendTo(nil)
		case 5:
			op, body = proto.OpMulti, multiBody(createOp(path(), 0), proto.MultiOp{Type: proto.OpDelete, Path: path(), Version: -1},
				proto.MultiOp{Type: proto.OpSetData, Path: path(), Version: -1})
		case 6:
			op, body = proto.OpCreate2, createBody(path()+"-", 3)
		}
		a, b := one.submit(op, body), many.submit(op, body)
		one.settle()
		if got, want := fmt.Sprintf("%+v", b), fmt.Sprintf("%+v", a); got != want {
			t.Fatalf("%v with %d in flight:\n%s\nalone:\n%s", op, len(many.inFlight), got, want)
		}
		if r.IntN(4) == 0 {
			many.apply(r.IntN(len(many.inFlight) + 1))
		}
	}
	a, b := one.submit(proto.OpCloseSession, nil), many.submit(proto.OpCloseSession, nil)
	if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
		t.Fatalf("closeSession in flight %+v, alone %+v", b, a)
	}
	one.settle()
	many.settle()
}
