// Package txnlog appends transactions to log files and reads them back. It knows nothing of what a transaction means,
// and nothing of snapshots: which files are still needed is datadir's business.
//
// A file log.<zxid of its first entry in hex> holds a header and then records, all big-endian:
//
//	magic "ZKLG" (4) | version 2 (4) | dbid 0 (8)
//	checksum (8) | length (4) | payload (length) | 0x42
//
// The checksum is the Adler-32 of the payload. A zero length ends the file: the rest is preallocated. In the last file,
// a bad record with no valid record beginning more than one batch behind it is a torn write and is cut off; any other
// bad record stops the server.
//
// One goroutine writes (Writer), any number read what is durable beside it (Cursor), and a start reads file by file
// (Reader).
//
// A file is prepared ahead, by zeros that are on the disk before it is needed, so that a sync writes data and nothing
// else. Until it is used it bears a name that no server takes for a log.
package txnlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io/fs"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

const (
	magic      = 0x5a4b4c47
	version    = 2
	headerSize = 16
	// Overhead is what a record takes besides its payload.
	Overhead  = 13
	endMark   = 'B'
	prefix    = "log."
	spareName = "tmp-next-log"
)

// DefaultBatch is the most that is written between two syncs, unless one record takes more.
const DefaultBatch = 1 << 20

// DefaultMaxRecord is the longest payload that is believed. A request has its own, much lower limit; but the closing of
// a session lists all its ephemerals, and what was written must be read again.
const DefaultMaxRecord = 1 << 28

// FileName returns the name of the file whose first entry has the zxid.
func FileName(first proto.Zxid) string { return prefix + strconv.FormatUint(uint64(first), 16) }

// ParseName returns the zxid in a log file's name. As ZooKeeper does, it looks at the first two of the parts between
// dots only.
func ParseName(name string) (proto.Zxid, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, ".")
	z, err := strconv.ParseUint(digits, 16, 64)
	return proto.Zxid(z), err == nil
}

// Temporary reports whether a name is that of a file prepared ahead, which a start removes.
func Temporary(name string) bool { return name == spareName }

// AppendRecord appends one record to the bytes of a file.
func AppendRecord(dst []byte, e txn.Entry) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(adler32.Checksum(e.Bytes)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Bytes)))
	dst = append(dst, e.Bytes...)
	return append(dst, endMark)
}

// AppendHeader appends what a file begins with.
func AppendHeader(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, magic)
	dst = binary.BigEndian.AppendUint32(dst, version)
	return binary.BigEndian.AppendUint64(dst, 0)
}

// A CorruptError says that a log file is damaged in a way that no crash explains.
type CorruptError struct {
	Path   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("txnlog: %s is damaged at offset %d: %s", e.Path, e.Offset, e.Reason)
}

// A DiskError says that the disk has failed a write or a sync. What was not synced before is lost or not: no one knows.
type DiskError struct {
	Op   string
	Path string
	Err  error
}

func (e *DiskError) Error() string {
	cause := e.Err
	var path *fs.PathError
	if errors.As(cause, &path) {
		cause = path.Err // it names the file as it was called when it was opened
	}
	return fmt.Sprintf("disk: %s %s: %v", e.Op, e.Path, cause)
}

func (e *DiskError) Unwrap() error { return e.Err }

// Follows reports whether next may be the first zxid behind last: the next of its epoch, the first of a later one, or
// last once more, which ZooKeeper 3.9 gives to a write that it cannot decode.
func Follows(last, next proto.Zxid) bool {
	switch {
	case next == last:
		return true
	case next.Epoch() == last.Epoch():
		return next == last+1
	}
	return next > last && next.Counter() == 1
}
