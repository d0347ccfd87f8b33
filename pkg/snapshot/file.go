package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/vfs"
)

var (
	gzipMagic   = []byte{0x1f, 0x8b}
	snappyMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}
	plainEnd    = []byte{0, 0, 0, 1, '/'}
	errSnappy   = errors.New("bad block of snappy")
)

// Plausible is ZooKeeper's quick test of a file: whether it ends, or if compressed begins, as it should. A file whose
// writer was killed mostly fails it.
func Plausible(fs vfs.FS, path string, how Compression) (bool, error) {
	f, err := fs.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	want, at := plainEnd, int64(0)
	switch how {
	case Gzip:
		want = gzipMagic
	case Snappy:
		want = snappyMagic
	default:
		size, err := f.Size()
		if err != nil {
			return false, err
		}
		at = size - int64(len(want))
	}
	got := make([]byte, len(want))
	if at < 0 {
		return false, nil
	}
	if n, err := f.ReadAt(got, at); n < len(got) {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	return bytes.Equal(got, want), nil
}

// ReadFile fills an empty tree from a file. A *CorruptError names the file.
func ReadFile(fs vfs.FS, path string, how Compression, t *tree.Tree, zxid proto.Zxid) (Trailer, error) {
	f, err := fs.Open(path)
	if err != nil {
		return Trailer{}, err
	}
	defer f.Close()
	in := &fileReader{f: f}
	tr, err := readAs(in, how, t, zxid)
	if in.err != nil {
		return tr, in.err
	}
	var bad *CorruptError
	if errors.As(err, &bad) {
		bad.Path = path
		return tr, bad
	}
	if err != nil { // what is compressed is not what it should be
		return tr, &CorruptError{Path: path, Err: err}
	}
	return tr, nil
}

func readAs(r io.Reader, how Compression, t *tree.Tree, zxid proto.Zxid) (Trailer, error) {
	switch how {
	case Gzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return Trailer{}, err
		}
		return Read(z, t, zxid)
	case Snappy:
		return Read(&snappyReader{r: r}, t, zxid)
	}
	return Read(r, t, zxid)
}

// fileReader keeps apart what the disk says and what the bytes say.
type fileReader struct {
	f   vfs.File
	err error
}

func (r *fileReader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// snappyReader reads the stream of the snappy-java library: a header of 16 bytes, and then blocks, each behind its
// length. A header may stand again before any block, where streams were joined.
type snappyReader struct {
	r       io.Reader
	block   bytes.Buffer
	decoded []byte
	left    []byte // of decoded
	started bool
}

const (
	snappyHeader = 16
	// snappyRatio bounds what a block can claim to hold: three bytes that copy give at most 64.
	snappyRatio = 32
)

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.left) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

func (s *snappyReader) next() error {
	var head [snappyHeader]byte
	if _, err := io.ReadFull(s.r, head[:4]); err != nil {
		return err
	}
	if !s.started || bytes.Equal(head[:4], snappyMagic[:4]) {
		if _, err := io.ReadFull(s.r, head[4:]); err != nil {
			return err
		}
		if !bytes.HasPrefix(head[:], snappyMagic) {
			return errSnappy
		}
		s.started = true
		return nil
	}
	size := int64(binary.BigEndian.Uint32(head[:]))
	s.block.Reset()
	n, err := io.CopyN(&s.block, s.r, size)
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	want, err := snappy.DecodedLen(s.block.Bytes())
	if err != nil || int64(want) > snappyRatio*n {
		return errSnappy
	}
	if s.decoded, err = snappy.Decode(s.decoded[:cap(s.decoded)], s.block.Bytes()); err != nil {
		return errSnappy
	}
	s.left = s.decoded
	return nil
}
