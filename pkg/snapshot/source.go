package snapshot

import (
	"encoding/binary"
	"errors"
	"hash"
	"hash/adler32"
	"io"
)

// source is a stream with look-ahead that adds up the checksum of what has been taken.
type source struct {
	r      io.Reader
	exact  bool // never read more than is asked for, for others read on; there is no checksum then
	limit  int  // longest path or data that is believed; 0 = any
	buf    []byte
	off    int   // taken up to here
	hashed int   // added up to here, <= off
	at     int64 // offset of buf in the stream
	sum    hash.Hash32
	err    error // of r, other than its end
	eof    bool
}

const firstBuffer = 64 << 10

func newSource(r io.Reader) *source {
	return &source{r: r, buf: make([]byte, 0, firstBuffer), sum: adler32.New()}
}

func (s *source) offset() int64 { return s.at + int64(s.off) }

func (s *source) hash() {
	if s.exact {
		return
	}
	_, _ = s.sum.Write(s.buf[s.hashed:s.off])
	s.hashed = s.off
}

// peek returns the next n bytes without taking them.
func (s *source) peek(n int) ([]byte, error) {
	for len(s.buf)-s.off < n {
		if err := s.fill(n - len(s.buf) + s.off); err != nil {
			return nil, err
		}
	}
	return s.buf[s.off : s.off+n], nil
}

// fill reads more, of which need bytes are wanted. The buffer grows only when it is full of bytes that have come.
func (s *source) fill(need int) error {
	if s.off > 0 && (s.off == len(s.buf) || len(s.buf) == cap(s.buf)) {
		s.hash()
		s.at += int64(s.off)
		s.buf = s.buf[:copy(s.buf, s.buf[s.off:])]
		s.off, s.hashed = 0, 0
	}
	if len(s.buf) == cap(s.buf) {
		s.buf = append(make([]byte, 0, 2*cap(s.buf)), s.buf...)
	}
	room := s.buf[len(s.buf):cap(s.buf)]
	if s.exact {
		room = room[:min(need, len(room))]
	}
	for range 100 {
		n, err := s.r.Read(room)
		s.buf = s.buf[:len(s.buf)+n]
		switch {
		case n > 0:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			s.eof = true
			return io.ErrUnexpectedEOF
		case err != nil:
			s.err = err
			return err
		}
	}
	return io.ErrNoProgress
}

func (s *source) skip(n int) { s.off += n }

func (s *source) take(n int) ([]byte, error) {
	b, err := s.peek(n)
	if err == nil {
		s.off += n
	}
	return b, err
}

func (s *source) int() (int32, error) {
	b, err := s.take(4)
	if err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

// intAt looks at the integer that stands n bytes ahead.
func (s *source) intAt(n int) (int32, error) {
	b, err := s.peek(n + 4)
	if err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b[n:])), nil
}

// lengthAt looks at the length that stands n bytes ahead; that of a null is 0.
func (s *source) lengthAt(n int) (int, error) {
	v, err := s.intAt(n)
	switch {
	case err != nil:
		return 0, err
	case v < -1, s.limit > 0 && int(v) > s.limit:
		return 0, errLength
	}
	return max(int(v), 0), nil
}

// rest returns how many bytes are left, or some number above limit.
func (s *source) rest(limit int) (int, error) {
	_, err := s.peek(limit + 1)
	if err != nil && !s.eof {
		return 0, err
	}
	return len(s.buf) - s.off, nil
}

// seal checks a checksum of all before it and the mark behind it.
func (s *source) seal() error {
	s.hash()
	want := uint64(s.sum.Sum32())
	b, err := s.take(sealSize)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint64(b) != want {
		return errChecksum
	}
	if binary.BigEndian.Uint32(b[8:]) != 1 || b[12] != '/' {
		return errMark
	}
	return nil
}
