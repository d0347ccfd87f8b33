// Package snapshot writes and reads a whole tree at one zxid: as a file, and as the stream that a leader sends. It knows
// the formats and nothing of directories: which file to load, and when to write one, is datadir's business.
//
// A file snapshot.<zxid in hex>, all big-endian:
//
//	magic "ZKSN" (4) | version 2 (4) | dbid -1 (8)
//	count (4), each: session id (8) | timeout in ms (4)
//	count (4), each: key (8) | vector of ACLs
//	each node, parents first: path | data | ACL key (8) | StatPersisted (60)      the root's path is empty
//	"/"
//	checksum (8) | "/"
//	zxid (8) | digest version 2 (4) | digest of the tree (8) | checksum (8) | "/"     where digests are on
//	last zxid (8) | checksum (8) | "/"                                                since 3.9
//
// Each checksum is the Adler-32 of all before it. ZooKeeper tells the four forms of the end apart by its settings and so
// fails when they have changed; here the bytes that are left decide: 13, 34, 46 or 67. The zxid in the name counts;
// that of the digest may be later, as ZooKeeper writes a snapshot while the tree changes.
//
// With another suffix, .gz or .snappy, the whole is compressed (snappy in the framing of the snappy-java library).
package snapshot

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
)

const (
	magic         = 0x5a4b534e
	version       = 2
	dbid          = -1
	prefix        = "snapshot."
	headerSize    = 16
	sealSize      = 13 // a checksum and "/"
	digestSize    = 20
	lastZxidSize  = 8
	digestVersion = 2
)

// A Compression is how a file is compressed.
type Compression int

// The compressions.
const (
	Plain Compression = iota
	Gzip
	Snappy
)

// Suffix returns what the names of files end in.
func (c Compression) Suffix() string {
	switch c {
	case Gzip:
		return ".gz"
	case Snappy:
		return ".snappy"
	}
	return ""
}

// FileName returns the name of the snapshot at a zxid, not compressed.
func FileName(z proto.Zxid) string { return prefix + strconv.FormatUint(uint64(z), 16) }

// ParseName returns what a snapshot's name tells. As in ZooKeeper, what stands between the zxid and a suffix that names
// a compression is ignored.
func ParseName(name string) (proto.Zxid, Compression, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, Plain, false
	}
	parts := strings.Split(rest, ".")
	z, err := strconv.ParseUint(parts[0], 16, 64)
	if err != nil {
		return 0, Plain, false
	}
	how := Plain
	if len(parts) > 1 {
		switch strings.ToLower(parts[len(parts)-1]) {
		case "gz":
			how = Gzip
		case "snappy":
			how = Snappy
		}
	}
	return proto.Zxid(z), how, true
}

// Trailer is what the end of a snapshot tells.
type Trailer struct {
	HasDigest     bool
	DigestZxid    proto.Zxid // the last one applied when the digest was taken
	DigestVersion int32
	Digest        uint64
	HasLast       bool
	Last          proto.Zxid
}

// A CorruptError says that a snapshot is damaged. Offset is that of the bytes as they are when not compressed.
type CorruptError struct {
	Path   string
	Offset int64
	Err    error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("snapshot: %s is damaged at offset %d: %v", e.Path, e.Offset, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }
