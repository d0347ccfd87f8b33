package snapshot

import (
	"fmt"
	"hash"
	"hash/adler32"
	"io"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// A Writer encodes a snapshot, as a file or as a stream. Node only fills a buffer, so that it may be called under a
// lock; Flush writes.
type Writer struct {
	w   io.Writer
	sum hash.Hash32 // nil in a stream
	buf []byte
	err error

	NoLastZxid bool // end a file as ZooKeeper 3.8 does, without the last zxid
}

// NewWriter returns a writer that has the header, the sessions and the ACLs in its buffer.
func NewWriter(w io.Writer, sessions []tree.SessionInfo, acls []tree.ACLInfo) *Writer {
	s := &Writer{w: w, sum: adler32.New()}
	b := jute.AppendInt(nil, magic)
	b = jute.AppendInt(b, version)
	s.buf = jute.AppendLong(b, dbid)
	s.begin(sessions, acls)
	return s
}

func (s *Writer) begin(sessions []tree.SessionInfo, acls []tree.ACLInfo) {
	b := jute.AppendCount(s.buf, len(sessions))
	for _, x := range sessions {
		b = jute.AppendInt(jute.AppendLong(b, x.ID), x.Timeout)
	}
	b = jute.AppendCount(b, len(acls))
	for _, x := range acls {
		b = proto.AppendACLs(jute.AppendLong(b, x.Key), x.List)
	}
	s.buf = b
}

// Node adds a node; parents come before their children and the root, "", first.
func (s *Writer) Node(path string, data []byte, acl int64, st *proto.StatPersisted) {
	b := jute.AppendString(s.buf, path)
	b = jute.AppendBuffer(b, data)
	b = jute.AppendLong(b, acl)
	s.buf = st.AppendTo(b)
}

// Buffered returns how many bytes Flush will write.
func (s *Writer) Buffered() int { return len(s.buf) }

// Flush writes what is in the buffer. The first error stays.
func (s *Writer) Flush() error {
	if s.err != nil || len(s.buf) == 0 {
		return s.err
	}
	if s.sum != nil {
		_, _ = s.sum.Write(s.buf)
	}
	if _, err := s.w.Write(s.buf); err != nil {
		s.err = fmt.Errorf("snapshot: write: %w", err)
	}
	s.buf = s.buf[:0]
	return s.err
}

// Finish ends the file, which is exact at zxid. Without a digest it ends in the form that readers with digests on
// and off load, in 3.8 and in 3.9.
func (s *Writer) Finish(zxid proto.Zxid, digest uint64, withDigest bool) error {
	s.buf = jute.AppendString(s.buf, "/")
	s.seal()
	if withDigest {
		s.buf = jute.AppendLong(s.buf, int64(zxid))
		s.buf = jute.AppendInt(s.buf, digestVersion)
		s.buf = jute.AppendLong(s.buf, int64(digest))
		s.seal()
	}
	if withDigest && !s.NoLastZxid {
		s.buf = jute.AppendLong(s.buf, int64(zxid))
		s.seal()
	}
	return s.Flush()
}

func (s *Writer) seal() {
	_ = s.Flush()
	s.buf = jute.AppendLong(s.buf, int64(s.sum.Sum32()))
	s.buf = jute.AppendString(s.buf, "/")
}
