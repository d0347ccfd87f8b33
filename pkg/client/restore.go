package client

import (
	"fmt"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// maxSetWatches is how many bytes of paths one setWatches holds: well below what a server takes (its jute.maxbuffer).
const maxSetWatches = 128<<10 - 1<<10

// restore registers all watches with a new connection, and returns those that stay. The server fires at once what has
// happened to one-shot watches since last.
func (w *watches) restore(conn *wire.Conn, last proto.Zxid) (lasting []*watcher) {
	w.mu.Lock()
	requests := w.setWatches(conn, last)
	for _, k := range []watchKind{persistentWatch, recursiveWatch} {
		for _, list := range w.table[k] {
			lasting = append(lasting, list...)
		}
	}
	w.mu.Unlock()
	for _, r := range requests {
		if conn.Send(r.op(), r) != nil {
			break // the connection has ended: so does the attempt
		}
	}
	return lasting
}

// setWatches cuts the watches into requests. mu is held.
func (w *watches) setWatches(conn *wire.Conn, last proto.Zxid) (requests []*setWatches) {
	var r *setWatches
	size := 0
	for k := range w.table {
		for path := range w.table[k] {
			if n := 4 + len(path); r == nil || size+n > maxSetWatches {
				r, size = newSetWatches(conn, last), 0
				requests = append(requests, r)
			}
			size += 4 + len(path)
			paths := r.paths(watchKind(k))
			*paths = append(*paths, path)
		}
	}
	return requests
}

// setWatches is a request that restores watches. If it is refused, the connection is of no use.
type setWatches struct {
	proto.SetWatchesRequest
	conn *wire.Conn
}

func newSetWatches(conn *wire.Conn, last proto.Zxid) *setWatches {
	r := &setWatches{conn: conn}
	r.RelativeZxid = last
	for k := range watchKinds {
		*r.paths(k) = []string{} // null is an error to the server
	}
	return r
}

func (r *setWatches) paths(k watchKind) *[]string {
	return [watchKinds]*[]string{&r.Data, &r.Exist, &r.Child, &r.Persistent, &r.Recursive}[k]
}

// op is the request that older servers know too, if it will do.
func (r *setWatches) op() proto.Op {
	if len(r.Persistent)+len(r.Recursive) == 0 {
		return proto.OpSetWatches
	}
	return proto.OpSetWatches2
}

// AppendTo encodes the request.
func (r *setWatches) AppendTo(dst []byte) []byte {
	if r.op() == proto.OpSetWatches {
		return r.SetWatchesRequest.AppendTo(dst)
	}
	return r.AppendTo2(dst)
}

// Answer ends the connection if the server refuses.
func (r *setWatches) Answer(_ proto.Zxid, _ []byte, err error) {
	if code, ok := err.(proto.Code); ok {
		r.conn.Fail(fmt.Errorf("the watches are not restored: %w", code))
	}
}
