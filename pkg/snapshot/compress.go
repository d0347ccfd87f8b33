package snapshot

import (
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
)

// NewCompressor returns a writer that compresses what is written to w. Close writes what is left, and leaves w open.
func NewCompressor(w io.Writer, how Compression) io.WriteCloser {
	switch how {
	case Gzip:
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			panic("snapshot: " + err.Error()) // the level is one of gzip's own
		}
		return z
	case Snappy:
		return &snappyWriter{w: w}
	}
	return plainWriter{w}
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

// snappyBlock is how much goes into one block, as in the snappy-java library: its readers take what they find.
const snappyBlock = 32 << 10

// snappyWriter writes the stream that snappyReader reads.
type snappyWriter struct {
	w       io.Writer
	block   []byte // what is not written yet
	out     []byte
	started bool
}

func (s *snappyWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), snappyBlock-len(s.block))
		s.block = append(s.block, p[:n]...)
		p, written = p[n:], written+n
		if len(s.block) == snappyBlock {
			if err := s.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// flush writes a block behind its length, and before the first the header: magic, version 1, compatible with version 1.
func (s *snappyWriter) flush() error {
	s.out = s.out[:0]
	if !s.started {
		s.started = true
		s.out = append(s.out, snappyMagic...)
		s.out = append(s.out, 0, 0, 0, 1, 0, 0, 0, 1)
	}
	if len(s.block) > 0 {
		compressed := snappy.Encode(nil, s.block)
		s.out = binary.BigEndian.AppendUint32(s.out, uint32(len(compressed)))
		s.out = append(s.out, compressed...)
		s.block = s.block[:0]
	}
	_, err := s.w.Write(s.out)
	return err
}

func (s *snappyWriter) Close() error { return s.flush() }
