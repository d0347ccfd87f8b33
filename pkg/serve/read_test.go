package serve

import (
	"bytes"
	"slices"
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
	for _, op := range []proto.Op{proto.OpGetData, proto.OpExists, proto.OpGetChildren, proto.OpGetChildren2, proto.OpPing, proto.OpGetAllChildrenNumber} {
		q.Op = op
		if n := testing.AllocsPerRun(100, func() { r.Append(dst[:0], q) }); n != 0 {
			t.Errorf("%v allocates %v times", op, n)
		}
	}
}

func TestWatchOpsAllocateNothing(t *testing.T) {
	r, dst := reader(), make([]byte, 0, 1024)
	for _, op := range []proto.Op{proto.OpAddWatch, proto.OpCheckWatches} { // the watch that is there already is checked
		q := &proto.Request{Xid: 7, Op: op, Body: (&proto.WatchModeRequest{Path: "/a", Mode: int32(proto.ModeRecursive)}).AppendTo(nil)}
		r.Watches.AddRecursive("/a", r.Watcher)
		if n := testing.AllocsPerRun(100, func() { r.Append(dst[:0], q) }); n != 0 {
			t.Errorf("%v allocates %v times", op, n)
		}
	}
}

// TestMultiReadIsBounded: a short request for a large answer is refused, and what has been answered before it stays.
func TestMultiReadIsBounded(t *testing.T) {
	r := reader()
	var res tree.Result
	r.Tree.Apply(&txn.Txn{
		Header: txn.Header{Zxid: 2, Type: proto.OpSetData},
		Body:   txn.Body{Path: "/a", Data: make([]byte, 1<<20), Version: 1},
	}, &res)
	var q proto.MultiRequest
	for range 65 {
		q.Ops = append(q.Ops, proto.MultiOp{Type: proto.OpGetData, Path: "/a"})
	}
	before := []byte("before")
	want := AppendError(slices.Clone(before), 7, 2, proto.MarshallingError)
	if got := r.Append(before, &proto.Request{Xid: 7, Op: proto.OpMultiRead, Body: q.AppendTo(nil)}); !bytes.Equal(got, want) {
		t.Fatalf("65 MiB are answered by %d bytes that begin %x, want %x", len(got), got[:min(len(got), 40)], want)
	}
}

// TestMultiReadOfWritesThatCannotBeDecoded: they are refused without results, and others with an empty list of them.
func TestMultiReadOfWritesThatCannotBeDecoded(t *testing.T) {
	r := reader()
	for flags, want := range map[int32]int{0: 20 + 9, 4: 20 + 9, 5: 20, 7: 20, -1: 20} {
		for _, typ := range []proto.Op{proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer} {
			q := proto.MultiRequest{Ops: []proto.MultiOp{{Type: typ, Path: "/new", ACL: proto.WorldAll(), Flags: flags}}}
			got := r.Append(nil, &proto.Request{Xid: 7, Op: proto.OpMultiRead, Body: q.AppendTo(nil)})
			if len(got) != want || !bytes.Equal(got[16:20], []byte{0xff, 0xff, 0xff, 0xfb}) {
				t.Errorf("%v with flags %d is answered by %x", typ, flags, got)
			}
		}
	}
}

// TestNullVectorsOfSetWatches: what stands before them counts, and what stands behind them does not.
func TestNullVectorsOfSetWatches(t *testing.T) {
	r := reader()
	q := proto.SetWatchesRequest{RelativeZxid: 5, Data: []string{"/a", "/gone"}, Child: []string{"/a"}, Persistent: []string{"/p"}, Recursive: []string{"/r"}}
	got := r.Append(nil, &proto.Request{Xid: 7, Op: proto.OpSetWatches2, Body: q.AppendTo2(nil)})
	want := AppendError(AppendEvent(nil, proto.EventDeleted, "/gone", -1), 7, 1, proto.MarshallingError)
	if !bytes.Equal(got, want) {
		t.Errorf("the answer is %x, want %x", got, want)
	}
	if n := r.Watches.Count(); n != 1 {
		t.Errorf("%d watches are set, want that on the data", n)
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
		if got := r.Watches.Count(); got != c.watches {
			t.Errorf("%v of %q leaves %d watches, want %d", c.op, c.path, got, c.watches)
		}
	}
}

// TestNoEphemeralsAreAnEmptyList: a null one would make zkCli print null.
func TestNoEphemeralsAreAnEmptyList(t *testing.T) {
	got := reader().Append(nil, &proto.Request{Op: proto.OpGetEphemerals, Body: (&proto.OptString{Text: "/"}).AppendTo(nil)})
	if !bytes.HasSuffix(got, []byte{0, 0, 0, 0}) {
		t.Fatalf("the reply ends with %x, want the count 0", got[len(got)-4:])
	}
}

func BenchmarkGetData(b *testing.B) {
	r, q, dst := reader(), get(), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		r.Append(dst[:0], q)
	}
}
