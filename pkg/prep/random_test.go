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

// TestWhatIsPreparedApplies lets several sessions come, write every kind of node and go, with any number of txns in
// flight: what was prepared without an error applies without one, digests are those of the tree, and in the end nobody
// who is gone owns a node.
func TestWhatIsPreparedApplies(t *testing.T) {
	for seed := range uint64(40) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { mixed(t, seed) }) {
			t.Logf("replay: go test ./pkg/prep -run 'TestWhatIsPreparedApplies/%d$'", seed)
		}
	}
}

func mixed(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	b := newBench(t)
	b.prep.opt.EnforceQuota = seed%2 == 0
	last := b.tree.LastZxid()
	apply := func(n int) {
		for _, e := range b.inFlight[:n] {
			var x txn.Txn
			var res tree.Result
			if err := x.Decode(e.Bytes); err != nil {
				t.Fatal(err)
			}
			b.tree.Apply(&x, &res)
			if x.HasDigest && x.Digest.Tree != b.tree.Digest() {
				t.Fatalf("digest of %v %v is %x, the tree's %x", x.Zxid, x.Header.Type, x.Digest.Tree, b.tree.Digest())
			}
			if x.Header.Type != proto.OpError && x.Header.Type != proto.OpMulti && res.Code != proto.OK {
				t.Fatalf("%v %v of %s was prepared and applies as %v", x.Zxid, x.Header.Type, x.Path, res.Code)
			}
			if x.Header.Type == proto.OpMulti && x.Digest.Tree != b.tree.Digest() || x.Zxid != last+1 {
				t.Fatalf("%v after %v", x.Zxid, last)
			}
			last = x.Zxid
		}
		b.inFlight = b.inFlight[n:]
	}
	for range 1500 {
		op, body := randomWrite(r)
		b.as(session+r.Int64N(4), nil, op, body)
		if r.IntN(8) == 0 {
			apply(r.IntN(len(b.inFlight) + 1))
		}
	}
	for id := range int64(4) {
		b.as(session+id, nil, proto.OpCloseSession, nil)
	}
	apply(len(b.inFlight))
	if n := b.tree.EphemeralCount(); n != 0 {
		t.Fatalf("%d ephemerals without a session", n)
	}
	b.prep.settle(b.tree)
	if v := &b.prep.overlay; len(v.pending)+len(v.sessions)+len(v.owned)+len(v.log) != 0 {
		t.Fatalf("with all applied %d records, %d sessions, %d owners and %d entries are in flight", len(v.pending), len(v.sessions), len(v.owned), len(v.log))
	}
}

func randomWrite(r *rand.Rand) (proto.Op, []byte) {
	paths := strings.Fields("/ /a /b /a/x /a/y /b/z /a/x/deep /zookeeper /zookeeper/n")
	path := func() string { return paths[r.IntN(len(paths))] }
	switch r.IntN(13) {
	case 0, 1:
		return proto.OpCreate, createBody(path(), int32(r.IntN(4)))
	case 2:
		return proto.OpCreate2, createBody(path()+"-", 3)
	case 3:
		return proto.OpCreateContainer, createBody(path(), int32(r.IntN(5)))
	case 4:
		return proto.OpCreateTTL, ttlBody(path(), int32(r.IntN(7)), int64(r.IntN(3)-1))
	case 5, 6:
		return proto.OpDelete, versionBody(path(), int32(r.IntN(3)-1))
	case 7:
		return proto.OpSetData, setBody(path(), int32(r.IntN(3)-1))
	case 8:
		return proto.OpSetACL, (&proto.SetACLRequest{Path: path(), ACL: proto.WorldAll(), Version: -1}).AppendTo(nil)
	case 9:
		return proto.OpDeleteContainer, pathBody(path())
	case 10:
		return randomQuota(r)
	case 11:
		return [...]proto.Op{proto.OpCreateSession, proto.OpCreateSession, proto.OpCloseSession}[r.IntN(3)], jute.AppendInt(nil, 30000)
	}
	ops := make([]proto.MultiOp, r.IntN(5))
	for i := range ops {
		ops[i] = proto.MultiOp{Path: path(), ACL: proto.WorldAll(), Version: -1, Flags: int32(r.IntN(5)), TTL: 5}
		ops[i].Type = [...]proto.Op{
			proto.OpCreate, proto.OpCreate2, proto.OpDelete, proto.OpSetData, proto.OpCheck, proto.OpCreateContainer, proto.OpCreateTTL,
		}[r.IntN(7)]
	}
	return proto.OpMulti, multiBody(ops...)
}

// randomQuota writes one of the nodes that a quota of /a needs.
func randomQuota(r *rand.Rand) (proto.Op, []byte) {
	path := strings.Fields("/zookeeper/quota/a /zookeeper/quota/a/zookeeper_limits /zookeeper/quota/a/zookeeper_stats")[r.IntN(3)]
	data := []byte([]string{"count=1", "countHardLimit=4,byteHardLimit=6", "count=-1,bytes=-1", "nonsense"}[r.IntN(4)])
	if r.IntN(2) == 0 {
		return proto.OpSetData, (&proto.SetDataRequest{Path: path, Data: data, Version: -1}).AppendTo(nil)
	}
	return proto.OpCreate, (&proto.CreateRequest{Path: path, Data: data, ACL: proto.WorldAll()}).AppendTo(nil)
}
