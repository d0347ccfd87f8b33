package peer

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/zab"
)

const testMost = 1 << 16

func somePackets() []zab.Packet {
	return []zab.Packet{
		{Type: zab.TypePing, Zxid: 7},
		{Type: zab.TypeProposal, Zxid: 8, Data: bytes.Repeat([]byte("d"), 20_000)},
		{Type: zab.TypeRequest, Zxid: -1, Data: []byte("r"), IDs: []proto.ID{{Scheme: "ip", ID: "::1"}, {Scheme: "digest", ID: ""}}},
		{Type: zab.TypeCommit, Zxid: 9, Data: []byte{}},
		{Type: zab.TypeInformAndActivate, Zxid: 10, IDs: []proto.ID{}},
		{Type: zab.TypeProposal, Zxid: 11, Data: bytes.Repeat([]byte("e"), testMost-100)},
	}
}

func encode(ps []zab.Packet) (b []byte) {
	for i := range ps {
		b = ps[i].AppendTo(b)
	}
	return b
}

// cut returns the packets that r gives, and what ended it.
func cut(r io.Reader, most int) (ps []zab.Packet, err error) {
	in := packetReader{r: r, most: most}
	for {
		p, size, ok, err := in.next()
		switch {
		case err != nil:
			return ps, err
		case ok:
			if size > most {
				return ps, io.ErrShortBuffer
			}
			ps = append(ps, p)
			continue
		}
		if err := in.fill(); err != nil {
			return ps, err
		}
	}
}

func TestPacketsAreCutWhereverTheInputIsCut(t *testing.T) {
	want := somePackets()
	image := encode(slices.Concat(want, want, want))
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(image), "by bytes": iotest.OneByteReader(bytes.NewReader(image)),
		"by halves": iotest.HalfReader(bytes.NewReader(image)), "with the end": iotest.DataErrReader(bytes.NewReader(image)),
	} {
		got, err := cut(r, testMost)
		if err != io.EOF || !reflect.DeepEqual(got, slices.Concat(want, want, want)) {
			t.Errorf("%s: %d packets, %v", name, len(got), err)
		}
	}
}

func TestWhatIsNoPacketIsFoundOutEarly(t *testing.T) {
	good := zab.Packet{Type: zab.TypeRequest, Data: []byte("d"), IDs: []proto.ID{{Scheme: "s", ID: "i"}}}
	image := good.AppendTo(nil)
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"type 0", []byte{0, 0, 0, 0}},
		{"type 20", []byte{0, 0, 0, 20}},
		{"negative type", []byte{255, 255, 255, 255}},
		{"negative length", append(slices.Clone(image[:12]), 255, 255, 255, 254)},
		{"length above the limit", append(slices.Clone(image[:12]), 0, 1, 0, 0)},
		{"too many ids", append(slices.Clone(image[:17]), 0, 1, 0, 0)},
		{"negative ids", append(slices.Clone(image[:17]), 255, 255, 255, 254)},
		{"null scheme", append(slices.Clone(image[:21]), 255, 255, 255, 255)},
		{"scheme above the limit", append(slices.Clone(image[:21]), 127, 255, 255, 255)},
	} {
		in := packetReader{r: bytes.NewReader(c.b), most: testMost}
		if err := in.fill(); err != nil {
			t.Fatal(err)
		}
		if p, _, ok, err := in.next(); ok || err == nil {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
	}
}

// TestATreeStandsBetweenPackets reads what follows a packet as a stream, and then goes on.
func TestATreeStandsBetweenPackets(t *testing.T) {
	tree := bytes.Repeat([]byte("tree"), 50_000)
	ps := []zab.Packet{{Type: zab.TypeSnap, Zxid: 5}, {Type: zab.TypeNewLeader, Zxid: 6, Data: []byte("config")}}
	image := slices.Concat(ps[0].AppendTo(nil), tree, ps[1].AppendTo(nil))
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(image), "by bytes": iotest.OneByteReader(bytes.NewReader(image))} {
		in := packetReader{r: r, most: testMost}
		next := func() zab.Packet {
			for {
				p, _, ok, err := in.next()
				if err != nil {
					t.Fatal(name, err)
				}
				if ok {
					return p
				}
				if err := in.fill(); err != nil {
					t.Fatal(name, err)
				}
			}
		}
		first := next()
		got := make([]byte, len(tree))
		if _, err := io.ReadFull(&in, got); err != nil || !bytes.Equal(got, tree) {
			t.Errorf("%s: the tree is another, %v", name, err)
		}
		if second := next(); !reflect.DeepEqual([]zab.Packet{first, second}, ps) {
			t.Errorf("%s: %+v, %+v", name, first, second)
		}
	}
}

// FuzzPackets reads whatever a peer may send, in pieces of any size: the same packets each time, and no more memory than
// has come.
func FuzzPackets(f *testing.F) {
	f.Add(encode(somePackets()[:3]))
	f.Add([]byte{0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err1 := cut(bytes.NewReader(b), testMost)
		pieces, err2 := cut(iotest.OneByteReader(bytes.NewReader(b)), testMost)
		if !reflect.DeepEqual(whole, pieces) || (err1 == io.EOF) != (err2 == io.EOF) {
			t.Errorf("at once %d packets, %v; by bytes %d packets, %v", len(whole), err1, len(pieces), err2)
		}
		in := packetReader{r: iotest.OneByteReader(bytes.NewReader(b)), most: 1 << 30}
		for in.fill() == nil {
			for {
				if _, _, ok, err := in.next(); !ok || err != nil {
					break
				}
			}
		}
		if cap(in.chunk) > packetChunk+2*len(b) {
			t.Errorf("%d bytes of memory for an input of %d", cap(in.chunk), len(b))
		}
	})
}

func BenchmarkPackets(b *testing.B) {
	p := zab.Packet{Type: zab.TypeProposal, Zxid: 8, Data: make([]byte, 150)}
	var image []byte
	for range 1000 {
		image = p.AppendTo(image)
	}
	b.SetBytes(int64(len(image)))
	b.ReportAllocs()
	for b.Loop() {
		if ps, err := cut(bytes.NewReader(image), testMost); len(ps) != 1000 || err != io.EOF {
			b.Fatal(len(ps), err)
		}
	}
}
