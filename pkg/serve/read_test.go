package serve

import (
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/watch"
)

// reader returns a reader over a tree with one node of 100 bytes.
func reader() *Reader {
	t := tree.New()
	var r tree.Result
	t.Apply(&txn.Txn{
		Header: txn.Header{Zxid: 1, Type: proto.OpCreate},
		Body:   txn.Body{Path: "/a", Data: make([]byte, 100), ACL: proto.WorldAll(), ParentCVersion: 1},
	}, &r)
	return &Reader{Tree: t, Watches: watch.NewTable(), Watcher: watch.NewWatcher(nil)}
}

func get() *proto.Request {
	return &proto.Request{
		Xid: 7, Op: proto.OpGetData, Body: (&proto.ReadRequest{Path: "/a"}).AppendTo(nil),
		IDs: []proto.ID{{Scheme: "ip", ID: "127.0.0.1"}},
	}
}

func TestReadsAllocateNothing(t *testing.T) {
	r, q, dst := reader(), get(), make([]byte, 0, 1024)
	for _, op := range []proto.Op{proto.OpGetData, proto.OpExists, proto.OpGetChildren, proto.OpGetChildren2, proto.OpPing} {
		q.Op = op
		if n := testing.AllocsPerRun(100, func() { r.Append(dst[:0], q) }); n != 0 {
			t.Errorf("%v allocates %v times", op, n)
		}
	}
}

// TestRefusedReadLeavesNoWatch: only exists leaves one where there is no node.
func TestRefusedReadLeavesNoWatch(t *testing.T) {
	r := reader()
	for _, c := range []struct {
		op      proto.Op
		path    string
		watches int
	}{
		{proto.OpGetData, "/none", 0},
		{proto.OpGetChildren, "/none", 0},
		{proto.OpExists, "/no\x00ne", 0},
		{proto.OpExists, "/none", 1},
		{proto.OpGetData, "/a", 2},
		{proto.OpGetChildren2, "/a", 3},
	} {
		r.Append(nil, &proto.Request{Op: c.op, Body: (&proto.ReadRequest{Path: c.path, Watch: true}).AppendTo(nil)})
		if got, _ := r.Watches.Counts(); got != c.watches {
			t.Errorf("%v of %q leaves %d watches, want %d", c.op, c.path, got, c.watches)
		}
	}
}

func BenchmarkGetData(b *testing.B) {
	r, q, dst := reader(), get(), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		r.Append(dst[:0], q)
	}
}
