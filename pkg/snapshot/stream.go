package snapshot

import (
	"fmt"
	"io"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// signature ends the stream that a leader sends behind a SNAP packet. The stream is the body of a file, from the
// sessions to the mark behind the nodes: without header, checksum or zxid, which is that of the packet.
const signature = "BenWasHere"

// streamName stands where the errors of files have their path.
const streamName = "the stream of the leader"

// NewStream returns a writer of a stream that has the sessions and the ACLs in its buffer. FinishStream ends it.
func NewStream(w io.Writer, sessions []tree.SessionInfo, acls []tree.ACLInfo) *Writer {
	s := &Writer{w: w}
	s.begin(sessions, acls)
	return s
}

// FinishStream ends a stream.
func (s *Writer) FinishStream() error {
	s.buf = jute.AppendString(s.buf, "/")
	s.buf = jute.AppendString(s.buf, signature)
	return s.Flush()
}

// ReadStream fills an empty tree, which then stands at zxid, and reads nothing behind the stream: there are packets. No
// path and no data may be longer than limit. It reads a few bytes at a time, so r should have a buffer.
//
// The leader's stream may hold changes of later txns, which follow it.
func ReadStream(r io.Reader, t *tree.Tree, zxid proto.Zxid, limit int) error {
	s := newSource(r)
	s.exact, s.limit = true, limit
	err := readBody(s, t)
	if err == nil {
		err = readSignature(s)
	}
	if err == nil {
		err = t.FinishLoad(zxid)
	}
	switch {
	case err == nil:
		return nil
	case s.err != nil:
		return fmt.Errorf("snapshot: read %s: %w", streamName, s.err)
	case s.eof:
		return fmt.Errorf("snapshot: read %s at offset %d: %w", streamName, s.offset(), io.ErrUnexpectedEOF)
	}
	return &CorruptError{Path: streamName, Offset: s.offset(), Err: err}
}

func readSignature(s *source) error {
	b, err := s.take(4 + len(signature))
	if err != nil {
		return err
	}
	if d := jute.NewDecoder(b); d.String() != signature {
		return errMark
	}
	return nil
}
