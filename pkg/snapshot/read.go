package snapshot

import (
	"errors"
	"io"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// What can be wrong with a snapshot, besides what packages jute and tree find.
var (
	errHeader   = errors.New("no header of a snapshot of version 2")
	errLength   = errors.New("unreasonable length")
	errTrailer  = errors.New("the end is of no known length")
	errMark     = errors.New("end mark missing")
	errChecksum = errors.New("wrong checksum")
)

// nodeTail is what stands behind a node's data: the key of its ACL and the StatPersisted.
const nodeTail = 8 + 60

// Read fills an empty tree from r, up to its end. The zxid is that in the snapshot's name. It takes no more memory than
// r justifies, whatever lengths it claims. An error is a *CorruptError, which wraps what r says.
func Read(r io.Reader, t *tree.Tree, zxid proto.Zxid) (Trailer, error) {
	s := newSource(r)
	tr, err := read(s, t, zxid)
	if err != nil {
		return Trailer{}, &CorruptError{Offset: s.offset(), Err: err}
	}
	return tr, nil
}

func read(s *source, t *tree.Tree, zxid proto.Zxid) (Trailer, error) {
	b, err := s.take(headerSize)
	if err != nil {
		return Trailer{}, err
	}
	d := jute.NewDecoder(b)
	if d.Int() != magic || d.Int() != version {
		return Trailer{}, errHeader
	}
	if err := readBody(s, t); err != nil {
		return Trailer{}, err
	}
	tr, err := readTrailer(s)
	if err != nil {
		return tr, err
	}
	return tr, t.FinishLoad(zxid)
}

// readBody reads what files and streams have in common, up to the mark behind the last node.
func readBody(s *source, t *tree.Tree) error {
	if err := readSessions(s, t); err != nil {
		return err
	}
	if err := readACLs(s, t); err != nil {
		return err
	}
	for {
		if more, err := readNode(s, t); err != nil || !more {
			return err
		}
	}
}

func readSessions(s *source, t *tree.Tree) error {
	n, err := s.int()
	for ; err == nil && n > 0; n-- {
		var b []byte
		if b, err = s.take(12); err == nil {
			d := jute.NewDecoder(b)
			t.LoadSession(d.Long(), d.Int())
		}
	}
	return err
}

func readACLs(s *source, t *tree.Tree) error {
	n, err := s.int()
	for ; err == nil && n > 0; n-- {
		err = readACL(s, t)
	}
	return err
}

// readACL finds where the entry ends before it decodes it.
func readACL(s *source, t *tree.Tree) error {
	size := 12
	count, err := s.intAt(8)
	for ; err == nil && count > 0; count-- {
		size += 4 // the permissions
		for range 2 {
			var n int
			if n, err = s.lengthAt(size); err != nil {
				return err
			}
			size += 4 + n
		}
	}
	if err != nil {
		return err
	}
	b, err := s.take(size)
	if err != nil {
		return err
	}
	d := jute.NewDecoder(b)
	key, acl := d.Long(), proto.DecodeACLs(&d, nil)
	if d.Err() == nil {
		t.LoadACL(key, acl)
	}
	return d.Err()
}

// readNode reads one node; false at the mark behind the last one.
func readNode(s *source, t *tree.Tree) (more bool, err error) {
	path, err := s.lengthAt(0)
	if err != nil {
		return false, err
	}
	if path == 1 {
		b, err := s.peek(5)
		if err != nil {
			return false, err
		}
		if b[4] == '/' {
			_, err := s.take(5)
			return false, err
		}
	}
	data, err := s.lengthAt(4 + path)
	if err != nil {
		return false, err
	}
	b, err := s.peek(4 + path + 4 + data + nodeTail)
	if err != nil {
		return false, err
	}
	d := jute.NewDecoder(b)
	var st proto.StatPersisted
	name, content, acl := d.String(), d.Buffer(), d.Long()
	if err := st.Decode(&d); err != nil {
		return false, err
	}
	if err := t.LoadNode(name, content, acl, &st); err != nil {
		return false, err
	}
	s.skip(len(b))
	return true, nil
}

// readTrailer reads what stands behind the nodes, whose form its length tells.
func readTrailer(s *source) (Trailer, error) {
	var tr Trailer
	left, err := s.rest(sealSize + digestSize + sealSize + lastZxidSize + sealSize)
	if err != nil {
		return tr, err
	}
	switch left {
	case sealSize:
	case sealSize + lastZxidSize + sealSize:
		tr.HasLast = true
	case sealSize + digestSize + sealSize:
		tr.HasDigest = true
	case sealSize + digestSize + sealSize + lastZxidSize + sealSize:
		tr.HasDigest, tr.HasLast = true, true
	default:
		return tr, errTrailer
	}
	if err := s.seal(); err != nil {
		return tr, err
	}
	if tr.HasDigest {
		b, err := s.take(digestSize)
		if err != nil {
			return tr, err
		}
		d := jute.NewDecoder(b)
		tr.DigestZxid, tr.DigestVersion, tr.Digest = proto.Zxid(d.Long()), d.Int(), uint64(d.Long())
		if err := s.seal(); err != nil {
			return tr, err
		}
	}
	if tr.HasLast {
		b, err := s.take(lastZxidSize)
		if err != nil {
			return tr, err
		}
		d := jute.NewDecoder(b)
		tr.Last = proto.Zxid(d.Long())
		if err := s.seal(); err != nil {
			return tr, err
		}
	}
	return tr, nil
}
