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
// that a batch is at most batch bytes or one record, and that last came before it.
func (r *Reader) Torn(batch int, last proto.Zxid) (bool, error) {
	reach, err := r.reach(batch, last)
	if err != nil {
		return false, err
	}
	from := r.Offset() + reach + 1
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
		if r.holdsRecord(window) {
			return false, nil
		}
		from += searchWindow
	}
	return true, nil
}

// reach returns how far behind the beginning of the bad record its batch may go. If the record looks like the one that
// had to come and says that it is longer than a batch, it was a batch by itself.
func (r *Reader) reach(batch int, last proto.Zxid) (int64, error) {
	b, err := r.peek(12 + txn.HeaderSize)
	if err != nil || len(b) < 12+txn.HeaderSize {
		return int64(batch), err
	}
	n := int32(binary.BigEndian.Uint32(b[8:]))
	h, err := txn.DecodeHeader(b[12:])
	if err == nil && n > 0 && int(n) <= r.maxRecord && Follows(last, h.Zxid) {
		batch = max(batch, int(n)+Overhead)
	}
	return int64(batch), nil
}

// holdsRecord reports whether a valid record begins, and ends, anywhere in b.
func (r *Reader) holdsRecord(b []byte) bool {
	for i := 0; i+Overhead+txn.HeaderSize <= len(b); i++ {
		if binary.BigEndian.Uint32(b[i:]) != 0 {
			continue // the upper half of a checksum is zero
		}
		n := int64(int32(binary.BigEndian.Uint32(b[i+8:])))
		if n < txn.HeaderSize || n > int64(r.maxRecord) || int64(i)+n+Overhead > int64(len(b)) {
			continue
		}
		rec := b[i : int64(i)+n+Overhead]
		if rec[len(rec)-1] == endMark && adler32.Checksum(rec[12:12+n]) == binary.BigEndian.Uint32(rec[4:]) {
			return true
		}
	}
	return false
}
