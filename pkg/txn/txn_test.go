package txn

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// TestGoldenLogs decodes every entry of every recorded log and encodes it again to the same bytes.
func TestGoldenLogs(t *testing.T) {
	entries, types := 0, map[proto.Op]int{}
	err := filepath.WalkDir("../../testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), "log.") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for off := 16; len(b)-off >= 12; {
			n := int(int32(binary.BigEndian.Uint32(b[off+8:])))
			if n <= 0 || len(b)-off-12 < n+1 || b[off+12+n] != 'B' {
				break
			}
			payload := b[off+12 : off+12+n]
			off += 12 + n + 1
			entries++
			var x Txn
			if err := x.Decode(payload); err != nil {
				if h, _ := DecodeHeader(payload); h.Type == proto.OpCheck {
					continue
				}
				t.Errorf("%s: %v", path, err)
				continue
			}
			types[x.Header.Type]++
			if again := x.Entry(); !bytes.Equal(again.Bytes, payload) || again.Zxid != x.Zxid {
				t.Errorf("%s: %v encodes to\n%x, was\n%x", path, x.Zxid, again.Bytes, payload)
			}
		}
		return nil
	})
	if err != nil || entries < 1000 {
		t.Fatalf("%d entries, %v", entries, err)
	}
	t.Logf("%d entries: %v", entries, types)
}

func TestOldRecords(t *testing.T) {
	h := Header{Session: 1, Zxid: 2, Type: proto.OpCreate}
	b := jute.AppendBuffer(jute.AppendString(h.AppendTo(nil), "/a"), nil)
	b = jute.AppendBool(proto.AppendACLs(b, proto.WorldAll()), true)
	var x Txn
	if err := x.Decode(b); err != nil || x.ParentCVersion != -1 || !x.Ephemeral || x.Path != "/a" {
		t.Fatalf("create without the parent's cversion = %+v, %v", x, err)
	}
	h.Type = proto.OpCloseSession
	if err := x.Decode(h.AppendTo(nil)); err != nil || x.HasPaths || x.HasDigest {
		t.Fatalf("closeSession without a record = %+v, %v", x, err)
	}
}

func TestReuseLeavesNothingBehind(t *testing.T) {
	full := Txn{
		Header: Header{Type: proto.OpMulti, Zxid: 9},
		Body:   Body{Subs: []Body{{Type: proto.OpCreate, Path: "/a", Data: []byte("d"), ACL: proto.WorldAll()}, {Type: proto.OpDelete, Path: "/b"}}},
		Digest: Digest{2, 7}, HasDigest: true,
	}
	small := Txn{Header: Header{Type: proto.OpMulti}, Body: Body{Subs: []Body{{Type: proto.OpError, Err: proto.NoNode}}}}
	var x, fresh Txn
	if err := x.Decode(full.Entry().Bytes); err != nil {
		t.Fatal(err)
	}
	b := small.Entry().Bytes
	if x.Decode(b) != nil || fresh.Decode(b) != nil || !bytes.Equal(x.Entry().Bytes, fresh.Entry().Bytes) || x.HasDigest {
		t.Fatalf("into used space %+v, into new %+v", x, fresh)
	}
}

func TestAllocations(t *testing.T) {
	set := Txn{Header: Header{Type: proto.OpSetData}, Body: Body{Path: "/a", Data: make([]byte, 100)}, HasDigest: true}
	b := set.Entry().Bytes
	var x Txn
	if n := testing.AllocsPerRun(100, func() { _ = x.Decode(b) }); n != 0 {
		t.Errorf("Decode allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = set.Entry() }); n != 1 {
		t.Errorf("Entry allocates %v times, want its bytes alone", n)
	}
}

func FuzzTxn(f *testing.F) {
	for _, b := range []Body{
		{Type: proto.OpCreate, Path: "/a", ACL: proto.WorldAll()},
		{Type: proto.OpCloseSession, HasPaths: true, Paths: []string{"/e"}},
		{Type: proto.OpMulti, Subs: []Body{{Type: proto.OpSetData, Path: "/a"}}},
		{Type: proto.OpCreateTTL, Path: "/t", TTL: 5},
	} {
		x := Txn{Header: Header{Type: b.Type}, Body: b, HasDigest: true}
		f.Add(x.Entry().Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second Txn
		if first.Decode(b) != nil {
			return
		}
		once := first.Entry().Bytes
		if err := second.Decode(once); err != nil {
			t.Fatalf("%+v does not decode again: %v", first, err)
		}
		if !reflect.DeepEqual(first.Header, second.Header) || len(first.Subs) != len(second.Subs) {
			t.Fatalf("%+v, then %+v", first, second)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	set := Txn{Header: Header{Type: proto.OpSetData}, Body: Body{Path: "/a/b", Data: make([]byte, 100)}, HasDigest: true}
	bytes := set.Entry().Bytes
	var x Txn
	b.ReportAllocs()
	b.SetBytes(int64(len(bytes)))
	for b.Loop() {
		_ = x.Decode(bytes)
	}
}
