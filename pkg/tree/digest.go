package tree

import (
	"hash/crc32"
	"strings"
	"unsafe"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// A Digester computes node digests: the CRC-32 of path, data and persisted Stat, where pzxid comes third
// (DigestCalculator, digest version 2). It exists to keep its scratch space.
type Digester struct{ buf []byte }

// joined is up to how many bytes of path and data it is faster to copy them together than to go over each.
const joined = 512

// Node returns a node's share in the digest of its tree. The root's path is "" or "/". Nodes below /zookeeper have none.
func (g *Digester) Node(path string, data []byte, st *proto.StatPersisted) uint64 {
	if hidden(path) {
		return 0
	}
	return uint64(g.sum(path, data, st))
}

func (g *Digester) sum(path string, data []byte, st *proto.StatPersisted) uint32 {
	if path == "/" {
		path = ""
	}
	crc, b := uint32(0), g.buf[:0]
	if len(path)+len(data) <= joined {
		b = append(append(b, path...), data...)
	} else {
		crc = crc32.Update(0, crc32.IEEETable, unsafe.Slice(unsafe.StringData(path), len(path)))
		crc = crc32.Update(crc, crc32.IEEETable, data)
	}
	b = jute.AppendLong(b, int64(st.Czxid))
	b = jute.AppendLong(b, int64(st.Mzxid))
	b = jute.AppendLong(b, int64(st.Pzxid))
	b = jute.AppendLong(b, st.Ctime)
	b = jute.AppendLong(b, st.Mtime)
	b = jute.AppendInt(b, st.Version)
	b = jute.AppendInt(b, st.Cversion)
	b = jute.AppendInt(b, st.Aversion)
	g.buf = jute.AppendLong(b, st.EphemeralOwner)
	return crc32.Update(crc, crc32.IEEETable, g.buf)
}

// NodeDigest is Digester.Node for callers in no hurry.
func NodeDigest(path string, data []byte, st *proto.StatPersisted) uint64 {
	return new(Digester).Node(path, data, st)
}

func hidden(path string) bool { return strings.HasPrefix(path, systemPath+"/") }

// IsSystem tells whether a path is that of a node that every tree has, and that nobody may delete.
func IsSystem(path string) bool {
	switch path {
	case "/", systemPath, QuotaPath, ConfigPath:
		return true
	}
	return false
}

// ConfigPath is the node that has the list of the members.
const ConfigPath = systemPath + "/config"

const systemPath = "/zookeeper"
