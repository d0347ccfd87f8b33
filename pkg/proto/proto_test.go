package proto_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

func TestZxid(t *testing.T) {
	z := proto.MakeZxid(5, 0x12)
	if z.Epoch() != 5 || z.Counter() != 0x12 || z.String() != "0x500000012" || proto.Zxid(-1).String() != "0xffffffffffffffff" {
		t.Fatalf("%v has epoch %d and counter %d", z, z.Epoch(), z.Counter())
	}
}

func TestValidatePath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/b": true, "/a.b": true, "/...": true, "/a b": true, "/é/ü": true, "/日本": true,
		"": false, "a": false, "/a/": false, "//": false, "/a//b": false, "/.": false, "/..": false, "/a/./b": false,
		"/a/..": false, "/a\x00": false, "/a\x01": false, "/\x1f": false, "/\x7f": false, "/\u0085": false,
		"/\u009f": false, "/\u00a0": true, "/\ue000": false, "/\uf8ff": false, "/\uf900": true, "/\ufff0": false,
		"/\uffef": true, "/\ufffd": false, "/\U0001F600": false, "/é/": false, "/é//x": false, "/é/..": false, "/x/./é": false,
	} {
		if got := proto.ValidatePath(path); got != want {
			t.Errorf("ValidatePath(%q) = %v, want %v", path, got, want)
		}
	}
}

// TestNullVectorsOfSetWatches: they are told from empty ones, for it is their turn that ZooKeeper answers with an error.
func TestNullVectorsOfSetWatches(t *testing.T) {
	b := jute.AppendCount(jute.AppendCount(jute.AppendLong(nil, 1), 0), -1)
	b = jute.AppendCount(b, -1)
	d := jute.NewDecoder(b)
	var r proto.SetWatchesRequest
	if err := r.Decode(&d); err != nil || r.Data == nil || r.Exist != nil || r.Child != nil {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestMultiRefusesOtherOperations(t *testing.T) {
	h := proto.MultiHeader{Type: proto.OpSetACL}
	d := jute.NewDecoder(h.AppendTo(nil))
	if err := new(proto.MultiRequest).Decode(&d); err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Fatalf("setACL in a multi: %v", err)
	}
}

func TestDecodingRequestsAllocatesNothing(t *testing.T) {
	get := (&proto.ReadRequest{Path: "/a/b/c"}).AppendTo(nil)
	set := (&proto.SetDataRequest{Path: "/a", Data: make([]byte, 100)}).AppendTo(nil)
	var r proto.ReadRequest
	var s proto.SetDataRequest
	if n := testing.AllocsPerRun(100, func() {
		d := jute.NewDecoder(get)
		_ = r.Decode(&d)
		d = jute.NewDecoder(set)
		_ = s.Decode(&d)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// FuzzRequests decodes arbitrary bytes as every kind of request and reply: nothing panics, and what was decoded is the
// same after another round.
func FuzzRequests(f *testing.F) {
	f.Add(int32(proto.OpCreate), false, (&proto.CreateRequest{Path: "/a", ACL: proto.WorldAll()}).AppendTo(nil))
	f.Add(int32(proto.OpMulti), false, (&proto.MultiRequest{Ops: []proto.MultiOp{{Type: proto.OpDelete, Path: "/a"}}}).AppendTo(nil))
	f.Add(int32(proto.OpMulti), true, (&proto.MultiReply{Results: []proto.MultiResult{{Type: proto.OpCreate, Path: "/a"}}}).AppendTo(nil))
	f.Add(int32(proto.OpSetWatches), false, (&proto.SetWatchesRequest{Data: []string{"/a"}, Exist: []string{}, Child: []string{}}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, op int32, isReply bool, b []byte) {
		kind := requestRecord
		if isReply {
			kind = replyRecord
		}
		first, second := kind(proto.Op(op)), kind(proto.Op(op))
		d := jute.NewDecoder(b)
		if first.Decode(&d) != nil {
			return
		}
		once := first.AppendTo(nil)
		d = jute.NewDecoder(once)
		if err := second.Decode(&d); err != nil {
			t.Fatalf("%T %+v does not decode again: %v", first, first, err)
		}
		if again := second.AppendTo(nil); !bytes.Equal(once, again) && !bytes.ContainsRune(b, 0xFFFD) && !hasWide(once, again) {
			t.Fatalf("%T %+v encodes to\n%x, then\n%x", first, first, once, again)
		}
	})
}

// hasWide tells that a text had characters outside the basic plane, which become replacements on the way.
func hasWide(once, again []byte) bool {
	return bytes.Contains(again, []byte("\uFFFD")) && bytes.Contains(once, []byte{0xED})
}

func FuzzConnect(f *testing.F) {
	f.Add((&proto.ConnectRequest{Timeout: 1, Password: make([]byte, 16), HasReadOnly: true}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second proto.ConnectRequest
		d := jute.NewDecoder(b)
		if first.Decode(&d) != nil {
			return
		}
		d = jute.NewDecoder(first.AppendTo(nil))
		if err := second.Decode(&d); err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("%+v, then %+v, %v", first, second, err)
		}
	})
}

func BenchmarkDecodeSetData(b *testing.B) {
	set := (&proto.SetDataRequest{Path: "/a/b", Data: make([]byte, 100)}).AppendTo(nil)
	var s proto.SetDataRequest
	b.ReportAllocs()
	for b.Loop() {
		d := jute.NewDecoder(set)
		_ = s.Decode(&d)
	}
}
