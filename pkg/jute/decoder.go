package jute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// What a Decoder can find wrong. Err wraps one of them with the offset.
var (
	ErrShort  = errors.New("input ends inside a field")
	ErrLength = errors.New("unreasonable length")
	ErrNull   = errors.New("null where a value is needed")
)

// A Decoder reads fields from a byte slice in order. The first error sticks: every later call returns a zero value,
// so a record's decode method reads all fields and checks once. A Decoder never allocates more than it was given.
type Decoder struct {
	buf []byte
	off int
	err error
}

// NewDecoder returns a decoder at the start of b.
func NewDecoder(b []byte) Decoder { return Decoder{buf: b} }

// Err returns the first error, or nil.
func (d *Decoder) Err() error { return d.err }

// Fail records err as the decoder's error unless there is one already.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = fmt.Errorf("jute: decode at offset %d: %w", d.off, err)
	}
}

// Len returns the number of bytes not read yet; 0 after an error.
func (d *Decoder) Len() int {
	if d.err != nil {
		return 0
	}
	return len(d.buf) - d.off
}

// Offset returns the number of bytes read so far.
func (d *Decoder) Offset() int { return d.off }

// Rest returns the bytes not read yet, without reading them.
func (d *Decoder) Rest() []byte {
	if d.err != nil {
		return nil
	}
	return d.buf[d.off:]
}

func (d *Decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if len(d.buf)-d.off < n {
		d.Fail(ErrShort)
		return nil
	}
	b := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads a boolean: any byte but 0 is true.
func (d *Decoder) Bool() bool { return d.Byte() != 0 }

// Int reads a 32-bit integer.
func (d *Decoder) Int() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// Long reads a 64-bit integer.
func (d *Decoder) Long() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// Buffer reads a buffer, aliasing the input: nil for null, an empty slice for length 0. A length below -1 is an error.
func (d *Decoder) Buffer() []byte {
	n := d.Int()
	switch {
	case d.err != nil || n == -1:
		return nil
	case n < -1:
		d.Fail(ErrLength)
		return nil
	}
	return d.take(int(n))
}

// String reads a string that must not be null, aliasing the input where it is valid UTF-8. Anything else is replaced
// character by character, as ZooKeeper's reader does.
func (d *Decoder) String() string {
	s, ok := d.OptString()
	if !ok {
		d.Fail(ErrNull)
	}
	return s
}

// OptString reads a string that may be null, for which it returns false.
func (d *Decoder) OptString() (string, bool) {
	b := d.Buffer()
	if b == nil || d.err != nil {
		return "", false
	}
	if len(b) == 0 {
		return "", true
	}
	return Text(b), true
}

// Text returns bytes as a string that aliases them, or, where they are not valid UTF-8, as Java's decoder reads them.
func Text(b []byte) string {
	s := unsafe.String(unsafe.SliceData(b), len(b))
	if !utf8.ValidString(s) {
		s = replaceInvalid(b)
	}
	return s
}

// Count reads the number of elements of a vector whose elements take at least minElem bytes each: -1 for the null
// vector, 0 for any count below that. A count that the bytes left cannot hold is an error, so that whoever makes
// room for Count elements never makes more than the input justifies.
func (d *Decoder) Count(minElem int) int {
	n := d.Int()
	switch {
	case d.err != nil:
		return 0
	case n == -1:
		return -1
	case n < -1:
		return 0
	case int(n) > d.Len()/minElem:
		d.Fail(ErrShort)
		return 0
	}
	return int(n)
}

// replaceInvalid decodes malformed UTF-8 as Java's decoder does: one U+FFFD for each maximal malformed prefix, where
// an encoded surrogate counts as one three-byte unit.
func replaceInvalid(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = malformedLen(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// malformedLen returns how many bytes at the start of b one replacement character stands for.
func malformedLen(b []byte) int {
	cont := func(i int) bool { return i < len(b) && b[i]&0xC0 == 0x80 }
	switch c := b[0]; {
	case c == 0xED && cont(1) && b[1] >= 0xA0 && cont(2): // a surrogate
		return 3
	case c >= 0xE1 && c <= 0xEF && cont(1), c == 0xE0 && cont(1) && b[1] >= 0xA0:
		return 2
	case c >= 0xF1 && c <= 0xF3 && cont(1), c == 0xF0 && cont(1) && b[1] >= 0x90, c == 0xF4 && cont(1) && b[1] < 0x90:
		if cont(2) {
			return 3
		}
		return 2
	}
	return 1
}
