package proto

import "github.com/zabd/zabd/pkg/jute"

// A Stat is what clients see of a node besides its data (68 bytes on the wire). Times are milliseconds since 1970.
type Stat struct {
	Czxid, Mzxid                Zxid
	Ctime, Mtime                int64
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	DataLength, NumChildren     int32
	Pzxid                       Zxid
}

// StatSize is the encoded length of a Stat.
const StatSize = 68

// AppendTo appends the encoded Stat.
func (s *Stat) AppendTo(dst []byte) []byte {
	dst = jute.AppendLong(dst, int64(s.Czxid))
	dst = jute.AppendLong(dst, int64(s.Mzxid))
	dst = jute.AppendLong(dst, s.Ctime)
	dst = jute.AppendLong(dst, s.Mtime)
	dst = jute.AppendInt(dst, s.Version)
	dst = jute.AppendInt(dst, s.Cversion)
	dst = jute.AppendInt(dst, s.Aversion)
	dst = jute.AppendLong(dst, s.EphemeralOwner)
	dst = jute.AppendInt(dst, s.DataLength)
	dst = jute.AppendInt(dst, s.NumChildren)
	return jute.AppendLong(dst, int64(s.Pzxid))
}

// Decode reads a Stat.
func (s *Stat) Decode(d *jute.Decoder) error {
	s.Czxid, s.Mzxid, s.Ctime, s.Mtime = Zxid(d.Long()), Zxid(d.Long()), d.Long(), d.Long()
	s.Version, s.Cversion, s.Aversion, s.EphemeralOwner = d.Int(), d.Int(), d.Int(), d.Long()
	s.DataLength, s.NumChildren, s.Pzxid = d.Int(), d.Int(), Zxid(d.Long())
	return d.Err()
}

// A StatPersisted is what snapshots and digests hold of a node (60 bytes). Cversion counts the creates below the node;
// what clients see as cversion is twice that less the children it has.
type StatPersisted struct {
	Czxid, Mzxid                Zxid
	Ctime, Mtime                int64
	Version, Cversion, Aversion int32
	EphemeralOwner              int64
	Pzxid                       Zxid
}

// AppendTo appends the encoded StatPersisted.
func (s *StatPersisted) AppendTo(dst []byte) []byte {
	dst = jute.AppendLong(dst, int64(s.Czxid))
	dst = jute.AppendLong(dst, int64(s.Mzxid))
	dst = jute.AppendLong(dst, s.Ctime)
	dst = jute.AppendLong(dst, s.Mtime)
	dst = jute.AppendInt(dst, s.Version)
	dst = jute.AppendInt(dst, s.Cversion)
	dst = jute.AppendInt(dst, s.Aversion)
	dst = jute.AppendLong(dst, s.EphemeralOwner)
	return jute.AppendLong(dst, int64(s.Pzxid))
}

// Decode reads a StatPersisted.
func (s *StatPersisted) Decode(d *jute.Decoder) error {
	s.Czxid, s.Mzxid, s.Ctime, s.Mtime = Zxid(d.Long()), Zxid(d.Long()), d.Long(), d.Long()
	s.Version, s.Cversion, s.Aversion, s.EphemeralOwner = d.Int(), d.Int(), d.Int(), d.Long()
	s.Pzxid = Zxid(d.Long())
	return d.Err()
}

// Values of EphemeralOwner that name no session: the node is a container, or lives for a time (the low 40 bits, in
// milliseconds).
const (
	ContainerOwner int64  = -1 << 63
	TTLMask        uint64 = 0xff00000000000000
	MaxTTL         int64  = 1<<40 - 1
)
