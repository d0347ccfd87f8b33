package jute

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestDecoderRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		read func(*Decoder)
		want error
	}{
		{"int cut short", []byte{0, 0, 0}, func(d *Decoder) { d.Int() }, ErrShort},
		{"long cut short", make([]byte, 7), func(d *Decoder) { d.Long() }, ErrShort},
		{"byte behind the end", nil, func(d *Decoder) { d.Byte() }, ErrShort},
		{"buffer longer than the input", []byte{0, 0, 0, 5, 1}, func(d *Decoder) { d.Buffer() }, ErrShort},
		{"length below -1", AppendInt(nil, -2), func(d *Decoder) { d.Buffer() }, ErrLength},
		{"huge length", AppendInt(nil, math.MaxInt32), func(d *Decoder) { d.Buffer() }, ErrShort},
		{"null string", AppendInt(nil, -1), func(d *Decoder) { _ = d.String() }, ErrNull},
		{"count that the input cannot hold", append(AppendInt(nil, 3), 0, 0, 0, 0), func(d *Decoder) { d.Count(4) }, ErrShort},
		{"huge count", AppendInt(nil, math.MaxInt32), func(d *Decoder) { d.Count(1) }, ErrShort},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDecoder(c.in)
			if c.read(&d); !errors.Is(d.Err(), c.want) {
				t.Fatalf("error %v, want %v", d.Err(), c.want)
			}
			if d.Len() != 0 || d.Rest() != nil || d.Int() != 0 || d.Buffer() != nil {
				t.Fatal("a decoder that has failed reads on")
			}
		})
	}
}

func TestNullIsNotEmpty(t *testing.T) {
	b := AppendBuffer(AppendBuffer(nil, nil), []byte{})
	d := NewDecoder(b)
	if null, empty := d.Buffer(), d.Buffer(); null != nil || empty == nil || len(empty) != 0 || d.Err() != nil {
		t.Fatalf("null %v, empty %v, %v", null, empty, d.Err())
	}
	d = NewDecoder(AppendNullString(AppendString(nil, "")))
	s, ok := d.OptString()
	_, isNull := d.OptString()
	if s != "" || !ok || isNull {
		t.Fatalf("empty string %q %v, null %v", s, ok, isNull)
	}
}

func TestCounts(t *testing.T) {
	for in, want := range map[int32]int{-1: -1, -2: 0, math.MinInt32: 0, 0: 0, 2: 2} {
		d := NewDecoder(append(AppendInt(nil, in), 1, 2))
		if got := d.Count(1); got != want || d.Err() != nil {
			t.Errorf("Count of %d = %d, %v; want %d", in, got, d.Err(), want)
		}
	}
}

func TestCharactersOutsideTheBasicPlane(t *testing.T) {
	got := AppendString(nil, "a\U0001F600")
	want := []byte{0, 0, 0, 7, 'a', 0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80}
	if !bytes.Equal(got, want) {
		t.Fatalf("AppendString = %x, want %x", got, want)
	}
	d := NewDecoder(want)
	if s := d.String(); s != "a\uFFFD\uFFFD" {
		t.Fatalf("two surrogates read as %q, want one replacement for each", s)
	}
	d = NewDecoder(AppendBuffer(nil, []byte("\U0001F600")))
	if s := d.String(); s != "\U0001F600" {
		t.Fatalf("a four-byte sequence reads as %q", s)
	}
}

// TestMalformedText has what OpenJDK 17 makes of malformed UTF-8: one replacement for each maximal malformed part.
func TestMalformedText(t *testing.T) {
	for in, want := range map[string]string{
		"\x80":             "\uFFFD",
		"a\xC3":            "a\uFFFD",
		"\xC3a":            "\uFFFDa",
		"\xE2\x82":         "\uFFFD",
		"\xE2\x82a":        "\uFFFDa",
		"\xF0\x9F\x98":     "\uFFFD",
		"\xF0\x9F\x98a":    "\uFFFDa",
		"\xED\xA0\x80":     "\uFFFD",
		"\xC0\x80":         "\uFFFD\uFFFD",
		"\xFFok\xFE":       "\uFFFDok\uFFFD",
		"\xF8\x88\x80\x80": "\uFFFD\uFFFD\uFFFD\uFFFD",
	} {
		d := NewDecoder(AppendBuffer(nil, []byte(in)))
		if got := d.String(); got != want || d.Err() != nil {
			t.Errorf("%x reads as %q, want %q", in, got, want)
		}
	}
}

func TestDecodingAllocatesNothing(t *testing.T) {
	b := AppendLong(AppendBuffer(AppendString(AppendInt(nil, 1), "/a/path"), make([]byte, 100)), 9)
	if n := testing.AllocsPerRun(100, func() {
		d := NewDecoder(b)
		d.Int()
		_ = d.String()
		d.Buffer()
		d.Long()
		if d.Err() != nil {
			t.Fatal(d.Err())
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x', 0xff, 0xff, 0xff, 0xff}, []byte{3, 4})
	f.Fuzz(func(t *testing.T, in, script []byte) {
		d := NewDecoder(in)
		for _, step := range script {
			switch step % 8 {
			case 0:
				d.Byte()
			case 1:
				d.Bool()
			case 2:
				d.Int()
			case 3:
				if s, ok := d.OptString(); ok {
					again := NewDecoder(AppendString(nil, s))
					if s2 := again.String(); again.Err() != nil || len(s2) > 3*len(s)+3 {
						t.Fatalf("%q reads again as %q, %v", s, s2, again.Err())
					}
				}
			case 4:
				if b := d.Buffer(); len(b) > len(in) {
					t.Fatalf("a buffer of %d bytes out of %d", len(b), len(in))
				}
			case 5:
				d.Long()
			case 6:
				if n := d.Count(4); n*4 > len(in) {
					t.Fatalf("count %d out of %d bytes", n, len(in))
				}
			case 7:
				_ = d.String()
			}
		}
	})
}
