package prep

import (
	"fmt"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// TestNothingIsLoggedThatNoLogCanHold: an "auth" entry makes many of itself, and a session can own many nodes.
func TestNothingIsLoggedThatNoLogCanHold(t *testing.T) {
	b := newBench(t)
	b.prep.opt.MaxEntry = 2500
	for i := range 50 {
		b.ids = append(b.ids, proto.ID{Scheme: "digest", ID: fmt.Sprintf("user-%03d:hash", i)})
	}
	auth := []proto.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}
	op := proto.MultiOp{Type: proto.OpCreate, Path: "/a", ACL: auth}
	second := op
	second.Path = "/b"
	if x := b.submit(proto.OpMulti, multiBody(op, second)); code(x) != proto.MarshallingError {
		t.Fatalf("a txn of twice 50 ids = %v, want %v", code(x), proto.MarshallingError)
	}
	if x := b.submit(proto.OpMulti, multiBody(op)); code(x) != proto.OK {
		t.Fatalf("once 50 ids, after what was refused = %v", code(x))
	}
	for i := range 200 {
		if x := b.submit(proto.OpCreate, createBody(fmt.Sprintf("/ephemeral-%026d", i), proto.FlagEphemeral)); code(x) != proto.OK {
			t.Fatal(code(x))
		}
	}
	x := b.submit(proto.OpCloseSession, nil)
	if n := len(x.Paths); n != 0 || !x.HasPaths || code(x) != proto.OK {
		t.Fatalf("closeSession lists %d of 200 paths, where an entry can hold none of that size: %v", n, code(x))
	}
	b.settle() // compares digests
	if n := b.tree.EphemeralCount(); n != 0 {
		t.Fatalf("%d ephemerals outlive their session", n)
	}
}
