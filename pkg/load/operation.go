package load

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/proto"
)

// An Operation is what a load consists of. It works on the nodes of a Site.
type Operation struct {
	Name string
	// frames returns what makes the frames of one connection's requests.
	frames func(s Site, conn int) func(dst []byte, n int) []byte
}

var (
	get    = Operation{"get", always(proto.OpGetData, func(s Site, c int) record { return &proto.ReadRequest{Path: s.node(c)} })}
	setAny = Operation{"set", always(proto.OpSetData, func(s Site, c int) record { return set(s.size())(s, c) })}
)

// operations are all that can be measured, besides mixes of them.
var operations = []Operation{
	get,
	{"exists", always(proto.OpExists, func(s Site, c int) record { return &proto.ReadRequest{Path: s.node(c)} })},
	{"children", always(proto.OpGetChildren, func(s Site, _ int) record { return &proto.ReadRequest{Path: s.Root + "/kids"} })},
	setAny,
	{"set1k", always(proto.OpSetData, set(1024))},
	{"createdelete", createDelete},
	{"sequential", always(proto.OpCreate, func(s Site, _ int) record {
		return &proto.CreateRequest{Path: s.Root + "/seq/s-", Data: make([]byte, s.size()), ACL: proto.WorldAll(), Flags: proto.FlagSequential}
	})},
	{"mix", mix([]Operation{get, setAny}, spread([]int{9, 1}, 10))},
}

// Names returns the names of all operations.
func Names() (names []string) {
	for _, o := range operations {
		names = append(names, o.Name)
	}
	return names
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

// mostParts bounds the weights of a mix.
const mostParts = 10_000

// Parse reads an operation's name, or a mix of several with their weights: "get=90,set=9,createdelete=1". In a mix, each
// connection repeats the same order, in which every operation is spread evenly.
func Parse(text string) (Operation, error) {
	if !strings.Contains(text, "=") {
		o, ok := Find(text)
		if !ok {
			return o, fmt.Errorf("load: no operation %q: there are %s, and mixes such as get=9,set=1", text, strings.Join(Names(), ", "))
		}
		return o, nil
	}
	var parts []Operation
	var weights []int
	total := 0
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		o, err := Parse(strings.TrimSpace(name))
		if err != nil {
			return o, err
		}
		weight, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || weight < 1 || weight > mostParts-total {
			return o, fmt.Errorf("load: %q in %q: weights are numbers from 1, and %d in all", number, text, mostParts)
		}
		total += weight
		parts, weights = append(parts, o), append(weights, weight)
	}
	return Operation{text, mix(parts, spread(weights, total))}, nil
}

type record interface{ AppendTo(dst []byte) []byte }

func set(size int) func(Site, int) record {
	return func(s Site, c int) record {
		return &proto.SetDataRequest{Path: s.node(c), Data: make([]byte, size), Version: -1}
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
	setXid(dst[at:], n)
	return dst
}

// setXid gives a frame the xid of request n.
func setXid(frame []byte, n int) { binary.BigEndian.PutUint32(frame[4:], uint32(n+1)) }

// always sends the same request again and again.
func always(op proto.Op, r func(s Site, conn int) record) func(Site, int) func([]byte, int) []byte {
	return func(s Site, conn int) func([]byte, int) []byte {
		frame := build(op, r(s, conn))
		return func(dst []byte, n int) []byte { return appendFrame(dst, frame, n) }
	}
}

// createDelete makes a node and removes it, in turn. The name is new in each run, whose last create may stay.
func createDelete(s Site, conn int) func([]byte, int) []byte {
	path := fmt.Sprintf("%s/tmp-%02d-%d", s.Root, conn, time.Now().UnixNano())
	frames := [][]byte{
		build(proto.OpCreate, &proto.CreateRequest{Path: path, Data: make([]byte, s.size()), ACL: proto.WorldAll()}),
		build(proto.OpDelete, &proto.VersionRequest{Path: path, Version: -1}),
	}
	return func(dst []byte, n int) []byte { return appendFrame(dst, frames[n%2], n) }
}

// spread returns an order of the parts' numbers in which each stands as often as its weight, as evenly as can be: the one
// that is furthest behind its share is next.
func spread(weights []int, total int) []int {
	order, behind := make([]int, total), make([]int, len(weights))
	for i := range order {
		next := 0
		for p, w := range weights {
			behind[p] += w
			if behind[p] > behind[next] {
				next = p
			}
		}
		behind[next] -= total
		order[i] = next
	}
	return order
}

// mix sends requests of several operations in an order, again and again.
func mix(parts []Operation, order []int) func(Site, int) func([]byte, int) []byte {
	return func(s Site, conn int) func([]byte, int) []byte {
		next, sent := make([]func([]byte, int) []byte, len(parts)), make([]int, len(parts))
		for i := range parts {
			next[i] = parts[i].frames(s, conn)
		}
		return func(dst []byte, n int) []byte {
			p, at := order[n%len(order)], len(dst)
			dst = next[p](dst, sent[p])
			sent[p]++
			setXid(dst[at:], n)
			return dst
		}
	}
}
