package zab

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
)

func TestRequestsTravelWhole(t *testing.T) {
	r := &proto.Request{Session: 0x100, Xid: 7, Op: proto.OpSetData, Body: []byte("body"), IDs: []proto.ID{{Scheme: "ip", ID: "127.0.0.1"}}}
	p := requestPacket(r)
	got, err := decodeRequest(&p)
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Fatalf("%+v, %v, want %+v", got, err, r)
	}
	p.Data = p.Data[:15]
	if _, err := decodeRequest(&p); err == nil {
		t.Fatal("a REQUEST of 15 bytes is accepted")
	}
}

func TestExtensionsStandWhereOthersDoNotLook(t *testing.T) {
	i := learnerInfo{id: 3, version: protocolVersion, configVersion: 1, extensions: CumulativeAck}
	b := i.appendTo(nil)
	if got, err := decodeLearnerInfo(b); err != nil || got != i {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := decodeLearnerInfo(b[:learnerInfoSize]); err != nil || got.extensions != 0 || got.id != 3 {
		t.Fatalf("without extensions: %+v, %v", got, err)
	}
	b[learnerInfoSize]++ // not the magic number
	if got, _ := decodeLearnerInfo(b); got.extensions != 0 {
		t.Fatalf("%+v", got)
	}
	if _, err := decodeLearnerInfo(b[:19]); err == nil {
		t.Fatal("19 bytes are accepted")
	}
	i.extensions = 0
	if len(i.appendTo(nil)) != learnerInfoSize {
		t.Fatal("without extensions there are more bytes than in ZooKeeper")
	}
}

func TestTouchesOfHalfASessionAreDropped(t *testing.T) {
	want := []session.Touch{{ID: 1, Timeout: time.Second}, {ID: -2, Timeout: 4 * time.Second}}
	var got []session.Touch
	eachTouch(append(appendTouches(nil, want), 1, 2, 3), func(x session.Touch) { got = append(got, x) })
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

func FuzzPacket(f *testing.F) {
	for _, p := range []Packet{
		{Type: TypePing, Zxid: 5},
		{Type: TypeProposal, Zxid: 1, Data: []byte("x")},
		{Type: TypePing, Data: []byte{}},
		{Type: TypeRequest, Zxid: noZxid, Data: make([]byte, 20), IDs: []proto.ID{{Scheme: "digest", ID: "bob:x"}}},
	} {
		f.Add(p.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := jute.NewDecoder(b)
		var p, again Packet
		if p.Decode(&d) != nil {
			return
		}
		if len(p.IDs) > len(b) || len(p.Data) > len(b) {
			t.Fatalf("%d bytes became %d ids", len(b), len(p.IDs))
		}
		once := p.AppendTo(nil)
		d2 := jute.NewDecoder(once)
		if err := again.Decode(&d2); err != nil || !bytes.Equal(again.AppendTo(nil), once) {
			t.Fatalf("%+v does not decode again: %v", p, err)
		}
		_, _ = decodeRequest(&p)
		_, _ = decodeLearnerInfo(p.Data)
		_, _, _ = decodeValidateAnswer(p.Data)
		eachTouch(p.Data, func(session.Touch) {})
	})
}
