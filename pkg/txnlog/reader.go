package txnlog

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"

	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

// readAhead is how much of a file a Reader holds, unless one record takes more.
const readAhead = 256 << 10

// An End says how the records of a file end.
type End int

// The ends. All but EndDamaged may be those of a file that was closed by a crash and then left alone.
const (
	EndClean    End = iota // at the end of the file, or at zeros only
	EndShort               // the file ends inside a record
	EndZero                // a zero length, with something behind it
	EndUnmarked            // a record without its end mark
	EndDamaged             // a record with an impossible length or a wrong checksum
)

// A Reader reads the records of one file in order.
type Reader struct {
	f         vfs.File
	path      string
	size      int64
	maxRecord int

	buf []byte // the file from bufAt on
	at  int64  // offset of buf in the file
	off int    // of the next record in buf

	entries int
	end     End
	reason  string
}

// Open opens a log file and checks its header. A file that is empty, or nothing but zeros, has no records.
func Open(fs vfs.FS, path string, maxRecord int) (*Reader, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, &DiskError{"open", path, err}
	}
	r := &Reader{f: f, path: path, maxRecord: maxRecord}
	if err := r.start(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) start() error {
	var err error
	if r.size, err = r.f.Size(); err != nil {
		return &DiskError{"stat", r.path, err}
	}
	h, err := r.peek(headerSize)
	if err != nil {
		return err
	}
	if len(h) == headerSize && binary.BigEndian.Uint32(h) == magic {
		if v := binary.BigEndian.Uint32(h[4:]); v != version {
			return &CorruptError{r.path, 4, "unknown version of the format"}
		}
		r.off = headerSize
		return nil
	}
	if zero, err := r.zeroFrom(0); err != nil {
		return err
	} else if !zero {
		return &CorruptError{r.path, 0, "no header of a log file"}
	}
	r.size = 0 // its writer died before anything was durable
	return nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.f.Close() }

// Offset returns where the next record begins; after io.EOF, where the records end.
func (r *Reader) Offset() int64 { return r.at + int64(r.off) }

// Entries returns how many entries Next has returned.
func (r *Reader) Entries() int { return r.entries }

// Size returns the size of the file; 0 if it has no header.
func (r *Reader) Size() int64 { return r.size }

// End tells how the file ends, once Next has returned io.EOF, and what is wrong there.
func (r *Reader) End() (End, string) { return r.end, r.reason }

// peek returns the next n bytes, or fewer where the file ends.
func (r *Reader) peek(n int) ([]byte, error) {
	if len(r.buf)-r.off >= n {
		return r.buf[r.off : r.off+n], nil
	}
	r.at += int64(r.off)
	r.buf = r.buf[:copy(r.buf, r.buf[r.off:])]
	r.off = 0
	want := int(min(int64(max(n, readAhead)), r.size-r.at))
	if want > cap(r.buf) {
		r.buf = append(make([]byte, 0, want), r.buf...)
	}
	have := len(r.buf)
	if have < want {
		got, err := r.f.ReadAt(r.buf[have:want], r.at+int64(have))
		r.buf = r.buf[:have+got]
		if err := r.ended(r.at+int64(have+got), err); err != nil {
			return nil, err
		}
	}
	return r.buf[:min(n, len(r.buf))], nil
}

// ended looks at the outcome of a read up to offset at. A file that is shorter than it was has lost its padding.
func (r *Reader) ended(at int64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		r.size = min(r.size, at)
		return nil
	}
	return &DiskError{"read", r.path, err}
}

// seek goes to the offset of a record, and forgets what was read ahead.
func (r *Reader) seek(at int64) { r.at, r.off, r.buf = at, 0, r.buf[:0] }

// A Record is one record as it stands in a file. Its bytes are valid until the next call.
type Record struct {
	Bytes   []byte // checksum, length, payload and end mark
	Payload []byte
	Good    bool // the checksum is right
}

// Next returns the next entry, whose bytes are valid until the next call; io.EOF at the end, whatever kind of end it
// is.
func (r *Reader) Next() (txn.Entry, error) {
	rec, err := r.record()
	switch {
	case err != nil:
		return txn.Entry{}, err
	case !rec.Good:
		return txn.Entry{}, r.stop(EndDamaged, "wrong checksum of a record")
	}
	th, err := txn.DecodeHeader(rec.Payload)
	if err != nil {
		return txn.Entry{}, r.stop(EndDamaged, "a record is too short for a txn")
	}
	r.off += len(rec.Bytes)
	r.entries++
	return txn.Entry{Zxid: th.Zxid, Bytes: rec.Payload}, nil
}

// NextRecord is Next for whoever looks into damage: a wrong checksum, or a payload that is no txn, does not end the
// reading.
func (r *Reader) NextRecord() (Record, error) {
	rec, err := r.record()
	if err == nil {
		r.off += len(rec.Bytes)
		r.entries++
	}
	return rec, err
}

// record looks at the next record and stays in front of it.
func (r *Reader) record() (Record, error) {
	h, err := r.peek(12)
	if err != nil {
		return Record{}, err
	}
	if len(h) < 12 {
		return Record{}, r.stop(EndShort, "the file ends inside a record")
	}
	sum, n := binary.BigEndian.Uint64(h), int32(binary.BigEndian.Uint32(h[8:]))
	switch {
	case n == 0:
		return Record{}, r.stop(EndZero, "something follows a record of length zero")
	case n < 0 || int(n) > r.maxRecord:
		return Record{}, r.stop(EndDamaged, "impossible length of a record")
	}
	rec, err := r.peek(int(n) + Overhead)
	if err != nil {
		return Record{}, err
	}
	if len(rec) < int(n)+Overhead {
		return Record{}, r.stop(EndShort, "the file ends inside a record")
	}
	payload := rec[12 : 12+n : 12+n]
	if rec[12+n] != endMark {
		return Record{}, r.stop(EndUnmarked, "a record has no end mark")
	}
	return Record{rec, payload, uint64(adler32.Checksum(payload)) == sum}, nil
}

// stop ends the reading. An end with nothing but zeros behind it is clean.
func (r *Reader) stop(end End, reason string) error {
	if end == EndShort || end == EndZero {
		zero, err := r.zeroFrom(r.Offset())
		if err != nil {
			return err
		}
		if zero {
			end, reason = EndClean, ""
		}
	}
	r.end, r.reason = end, reason
	return io.EOF
}

// scan calls f with pieces of the file from offset at on, each with its offset, until f returns false.
func (r *Reader) scan(at int64, f func(piece []byte, at int64) bool) error {
	buf := make([]byte, min(readAhead, max(r.size-at, 0)))
	for at < r.size {
		n := int(min(int64(len(buf)), r.size-at))
		got, err := r.f.ReadAt(buf[:n], at)
		if err := r.ended(at+int64(got), err); err != nil {
			return err
		}
		if !f(buf[:got], at) {
			return nil
		}
		at += int64(got)
	}
	return nil
}

func (r *Reader) zeroFrom(at int64) (bool, error) {
	zero := true
	err := r.scan(at, func(piece []byte, _ int64) bool {
		for _, b := range piece {
			if b != 0 {
				zero = false
				break
			}
		}
		return zero
	})
	return zero, err
}
