package txnlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// logImage returns a file with entries of the given sizes, and where each begins.
func logImage(sizes ...int) (image []byte, at []int) {
	image = AppendHeader(nil)
	for i, size := range sizes {
		at = append(at, len(image))
		image = AppendRecord(image, entry(proto.Zxid(i+1), size))
	}
	return image, append(at, len(image))
}

func openImage(t testing.TB, image []byte) (*Reader, error) {
	t.Helper()
	m := memDir(t, 1)
	f, err := m.Create(dir + "/log.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(image); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return Open(m, dir+"/log.1", DefaultMaxRecord)
}

// A tear is damage to the file of logImage(sizes...).
type tear struct {
	name   string
	sizes  []int
	damage func(b []byte, at []int) []byte
	left   int // entries before the bad one
	end    End
	torn   bool
}

func tears() []tear {
	pad := make([]byte, 5000)
	sizes := []int{300, 300, 300, 300, 300, 300, 300, 300}
	return []tear{
		{"nothing is wrong", sizes, func(b []byte, _ []int) []byte { return b }, 8, EndClean, true},
		{"padding", sizes, func(b []byte, _ []int) []byte { return append(b, pad...) }, 8, EndClean, true},
		{"less than a record's head of padding", sizes, func(b []byte, _ []int) []byte { return append(b, 0, 0, 0) }, 8, EndClean, true},
		{"cut in the last record", sizes, func(b []byte, at []int) []byte { return b[:at[8]-7] }, 7, EndShort, true},
		{"cut in a head", sizes, func(b []byte, at []int) []byte { return b[:at[7]+5] }, 7, EndShort, true},
		{"cut, with padding", sizes, func(b []byte, at []int) []byte { return append(b[:at[8]-7], pad...) }, 7, EndUnmarked, true},
		{"a sector of the last record is missing", sizes, func(b []byte, at []int) []byte {
			clear(b[at[7]+100 : at[7]+200])
			return append(b, pad...)
		}, 7, EndDamaged, true},
		{"the head is missing and the rest is there", sizes, func(b []byte, at []int) []byte {
			clear(b[at[7] : at[7]+40])
			return append(b, pad...)
		}, 7, EndZero, true},
		{"the first of a batch is missing", sizes, func(b []byte, at []int) []byte {
			clear(b[at[5] : at[5]+40])
			return append(b, pad...)
		}, 5, EndZero, true},
		{"a missing one with valid ones more than a batch behind it", sizes, func(b []byte, at []int) []byte {
			clear(b[at[3] : at[3]+40])
			return append(b, pad...)
		}, 3, EndZero, false},
		{"a flipped bit early in the file", sizes, func(b []byte, at []int) []byte {
			b[at[0]+60] ^= 1
			return append(b, pad...)
		}, 0, EndDamaged, false},
		{"a flipped length", sizes, func(b []byte, at []int) []byte {
			b[at[1]+8] = 0x80
			return b
		}, 1, EndDamaged, false},
		{"a length that reaches beyond the end", sizes, func(b []byte, at []int) []byte {
			b[at[1]+9] = 0x01
			return b
		}, 1, EndShort, false},
		{"a flipped mark", sizes, func(b []byte, at []int) []byte {
			b[at[2]-1] = 'b'
			return b
		}, 1, EndUnmarked, false},
		{"a batch of one long record", []int{300, 9000}, func(b []byte, at []int) []byte {
			clear(b[at[1]+5000 : at[1]+5512])
			return append(b, pad...)
		}, 1, EndDamaged, true},
		{"an image of older records", []int{300, 300, 5000}, func(b []byte, at []int) []byte {
			copy(b[at[2]+3000:], AppendRecord(nil, entry(1, 50)))
			b[at[2]+11]++ // and the length does not say how long it was
			return append(b, pad...)
		}, 2, EndUnmarked, true},
	}
}

func TestTornTail(t *testing.T) {
	const batch = 1000
	for _, c := range tears() {
		t.Run(c.name, func(t *testing.T) {
			b, at := logImage(c.sizes...)
			r, err := openImage(t, c.damage(b, at))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			last := proto.Zxid(0)
			for {
				e, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				last = e.Zxid
			}
			end, reason := r.End()
			if int(last) != c.left || end != c.end || r.Offset() != int64(at[c.left]) {
				t.Errorf("read %d entries up to %d, end %v (%s), want %d up to %d, end %v",
					last, r.Offset(), end, reason, c.left, at[c.left], c.end)
			}
			if torn, err := r.Torn(batch, last); err != nil || torn != c.torn {
				t.Errorf("Torn() = %v, %v, want %v", torn, err, c.torn)
			}
		})
	}
}

func TestBadHeader(t *testing.T) {
	whole := AppendHeader(nil)
	for name, image := range map[string][]byte{
		"another magic": append([]byte("ZKSN"), whole[4:]...),
		"version 3":     append([]byte("ZKLG\x00\x00\x00\x03"), whole[8:]...),
		"cut":           whole[:9],
		"text":          []byte("Hello, and a bit more than a header\n"),
	} {
		var bad *CorruptError
		if _, err := openImage(t, image); !errors.As(err, &bad) || bad.Path != dir+"/log.1" {
			t.Errorf("%s: Open() = %v, want a CorruptError with the path", name, err)
		}
	}
	for name, image := range map[string][]byte{"empty": nil, "zeros": make([]byte, 70000)} {
		r, err := openImage(t, image)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) || r.Size() != 0 {
			t.Errorf("%s: Next() = %v, size %d, want no entries and no size", name, err, r.Size())
		}
	}
}

// FuzzReader reads whatever a file may hold: without a panic, without more memory than the file justifies, and what was
// read is read again when it is written.
func FuzzReader(f *testing.F) {
	image, at := logImage(10, 0, 300)
	f.Add(image)
	f.Add(append(bytes.Clone(image), make([]byte, 100)...))
	f.Add(image[:at[3]-3])
	huge := bytes.Clone(image)
	binary.BigEndian.PutUint32(huge[at[1]+8:], 1<<28)
	f.Add(huge)
	f.Fuzz(func(t *testing.T, image []byte) {
		r, err := openImage(t, image)
		if err != nil {
			return
		}
		defer r.Close()
		again := AppendHeader(nil)
		last := proto.Zxid(0)
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			last = e.Zxid
			again = AppendRecord(again, e)
		}
		if r.Size() > 0 && !bytes.HasPrefix(image[headerSize:], again[headerSize:]) {
			t.Errorf("%x was read, and is written as %x", image, again)
		}
		if _, err := r.Torn(100, last); err != nil {
			t.Fatal(err)
		}
		if cap(r.buf) > len(image)+Overhead {
			t.Errorf("%d bytes of memory for a file of %d", cap(r.buf), len(image))
		}
	})
}
