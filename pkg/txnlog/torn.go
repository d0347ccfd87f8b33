package txnlog

import (
	"encoding/binary"
	"hash/adler32"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// searchWindow is how much of a damaged file is in memory at a time, besides one record.
const searchWindow = 16 << 20

// Torn reports whether the bad record at which the reading ended can be what a crash has left of the last batch, given
// that a batch is at most batch bytes or one record, and that last came before it. The bad record's own idea of its
// length counts for nothing: it may be just what is wrong.
func (r *Reader) Torn(batch int, last proto.Zxid) (bool, error) {
	from := r.Offset() + int64(batch) + 1
	var window []byte
	for from < r.size {
		n := min(searchWindow+int64(r.maxRecord)+Overhead, r.size-from)
		if int64(cap(window)) < n {
			window = make([]byte, n)
		}
		window = window[:n]
		if got, err := r.f.ReadAt(window, from); got < len(window) {
			return false, &DiskError{"read", r.path, err}
		}
		if r.holdsRecord(window, last) {
			return false, nil
		}
		from += searchWindow
	}
	return true, nil
}

// holdsRecord reports whether a valid record begins, and ends, anywhere in b, one that can have come behind last.
func (r *Reader) holdsRecord(b []byte, last proto.Zxid) bool {
	for i := 0; i+Overhead+txn.HeaderSize <= len(b); i++ {
		if binary.BigEndian.Uint32(b[i:]) != 0 {
			continue // the upper half of a checksum is zero
		}
		n := int64(int32(binary.BigEndian.Uint32(b[i+8:])))
		if n < txn.HeaderSize || n > int64(r.maxRecord) || int64(i)+n+Overhead > int64(len(b)) {
			continue
		}
		rec := b[i : int64(i)+n+Overhead]
		if rec[len(rec)-1] != endMark {
			continue
		}
		h, err := txn.DecodeHeader(rec[12:])
		if err == nil && h.Zxid >= last && adler32.Checksum(rec[12:12+n]) == binary.BigEndian.Uint32(rec[4:]) {
			return true
		}
	}
	return false
}
