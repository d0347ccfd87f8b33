package load

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/proto"
)

const (
	base     = "/bench"
	maxConns = 64
)

func nodeOf(conn int) string { return fmt.Sprintf("%s/node-%02d", base, conn%maxConns) }

// An Operation is what a load consists of.
type Operation struct {
	Name string
	// frames returns what makes the frames of one connection's requests.
	frames func(conn int) func(dst []byte, n int) []byte
}

// operations are all that can be measured.
var operations = []Operation{
	{"get", always(proto.OpGetData, func(c int) record { return &proto.ReadRequest{Path: nodeOf(c)} })},
	{"exists", always(proto.OpExists, func(c int) record { return &proto.ReadRequest{Path: nodeOf(c)} })},
	{"children", always(proto.OpGetChildren, func(int) record { return &proto.ReadRequest{Path: base + "/kids"} })},
	{"set", always(proto.OpSetData, set(100))},
	{"set1k", always(proto.OpSetData, set(1024))},
	{"createdelete", createDelete},
	{"sequential", always(proto.OpCreate, func(int) record {
		return &proto.CreateRequest{Path: base + "/seq/s-", Data: make([]byte, 100), ACL: proto.WorldAll(), Flags: proto.FlagSequential}
	})},
	{"mix", mix},
}

// Find returns the operation with a name.
func Find(name string) (Operation, bool) {
	for _, o := range operations {
		if o.Name == name {
			return o, true
		}
	}
	return Operation{}, false
}

type record interface{ AppendTo(dst []byte) []byte }

func set(size int) func(int) record {
	return func(c int) record {
		return &proto.SetDataRequest{Path: nodeOf(c), Data: make([]byte, size), Version: -1}
	}
}

// build returns the frame of a request with xid 0.
func build(op proto.Op, r record) []byte {
	h := proto.RequestHeader{Op: op}
	b := r.AppendTo(h.AppendTo(make([]byte, 4)))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// appendFrame appends a frame with its xid set.
func appendFrame(dst, frame []byte, n int) []byte {
	at := len(dst)
	dst = append(dst, frame...)
	binary.BigEndian.PutUint32(dst[at+4:], uint32(n+1))
	return dst
}

// always sends the same request again and again.
func always(op proto.Op, r func(conn int) record) func(int) func([]byte, int) []byte {
	return func(conn int) func([]byte, int) []byte {
		frame := build(op, r(conn))
		return func(dst []byte, n int) []byte { return appendFrame(dst, frame, n) }
	}
}

// createDelete makes a node and removes it, in turn. The name is new in each run, whose last create may stay.
func createDelete(conn int) func([]byte, int) []byte {
	path := fmt.Sprintf("%s/tmp-%02d-%d", base, conn, time.Now().UnixNano())
	frames := [][]byte{
		build(proto.OpCreate, &proto.CreateRequest{Path: path, Data: make([]byte, 100), ACL: proto.WorldAll()}),
		build(proto.OpDelete, &proto.VersionRequest{Path: path, Version: -1}),
	}
	return func(dst []byte, n int) []byte { return appendFrame(dst, frames[n%2], n) }
}

// mix reads nine times and writes once.
func mix(conn int) func([]byte, int) []byte {
	read := build(proto.OpGetData, &proto.ReadRequest{Path: nodeOf(conn)})
	write := build(proto.OpSetData, set(100)(conn))
	return func(dst []byte, n int) []byte {
		if n%10 == 9 {
			return appendFrame(dst, write, n)
		}
		return appendFrame(dst, read, n)
	}
}
