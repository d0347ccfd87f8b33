//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// content is what a client knows of a node.
type content struct {
	data              string
	version, aversion int32
	owner             int64
}

// step is one write to one node.
type step struct {
	name string
	path func() string // "" while only the server knows
	// becomes is what the node holds thereafter; false if it is gone.
	becomes func() (content, bool)
	send    func(ctx context.Context) error // nil when it was answered as it should be
}

// writer is a guest that writes below a root of its own, one request at a time, and knows what must be there.
type writer struct {
	*guest
	root  string
	plan  func(w *writer) []step
	round int
	steps []step // of this round, not yet done
	// sent is whether the answer to steps[0] was lost with a connection, acked whether it was answered and only not yet
	// read back.
	sent, acked bool
	nodes       map[string]content // what was acknowledged
}

func newWriter(g *guest, root string, plan func(w *writer) []step) *writer {
	w := &writer{guest: g, root: root, plan: plan, nodes: map[string]content{root: {}}}
	g.turn = w.write
	return w
}

// write does one step and reads it back.
func (w *writer) write(ctx context.Context) error {
	if len(w.steps) == 0 {
		w.round++
		w.steps = w.plan(w)
	}
	s := w.steps[0]
	if w.sent {
		done, err := w.done(ctx, s)
		if err != nil {
			return fmt.Errorf("look whether it came through: %s: %w", s.name, err)
		}
		w.sent, w.acked = false, done
	}
	if !w.acked {
		w.sent = true
		if err := s.send(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		w.sent, w.acked = false, true
		w.note(s)
	}
	if err := w.readBack(ctx, s.path()); err != nil {
		return fmt.Errorf("read back after %s: %w", s.name, err)
	}
	w.acked = false
	w.steps = w.steps[1:]
	return nil
}

func (w *writer) note(s step) {
	if n, stays := s.becomes(); stays {
		w.nodes[s.path()] = n
	} else {
		delete(w.nodes, s.path())
	}
}

// done finds out whether a write without an answer had its effect. That is decided: the session has moved, so nothing
// more of the old connection is taken, and after a sync all that was taken is applied here.
func (w *writer) done(ctx context.Context, s step) (bool, error) {
	if err := w.call(ctx, syncPath("/"), nil); err != nil {
		return false, err
	}
	path := s.path()
	if path == "" {
		err := w.findNumbered(ctx)
		return err == nil && s.path() != "", err
	}
	now, stays := s.becomes()
	if got, there, err := w.look(ctx, path); err != nil || there != stays || got != now {
		return false, errors.Join(err, w.readBack(ctx, path))
	}
	w.note(s)
	return true, nil
}

// readBack compares a node with what was acknowledged.
func (w *writer) readBack(ctx context.Context, path string) error {
	got, there, err := w.look(ctx, path)
	if n, stays := w.nodes[path]; err == nil && (there != stays || got != n) {
		return fmt.Errorf("%s holds %+v (there: %v), want %+v (%v)", path, got, there, n, stays)
	}
	return err
}

func (w *writer) path(name string) string { return w.root + "/" + name }

// everything is a round of all kinds of writes.
func everything(w *writer) []step {
	const kept = 2 // rounds whose nodes stay
	k, old := strconv.Itoa(w.round), strconv.Itoa(w.round-kept)
	p := w.path("p" + k)
	steps := []step{
		w.create(p, "new", 0), w.create(w.path("e"+k), k, proto.FlagEphemeral), w.set(p, "changed"), w.setACL(p), w.sequential(k), w.refused(p),
		w.multi(w.path("m"+k), p), w.failingMulti(p), w.set(p, "changed again"),
	}
	if w.round > kept {
		steps = append(steps, w.remove(w.path("p"+old)), w.remove(w.path("e"+old)), w.remove(w.path("m"+old)), w.remove(w.numbered(old)))
	}
	return steps
}

// on is a step that sends the request and makes the node what change returns.
func (w *writer) on(path string, change func(n content) content, r func() request) step {
	return step{
		path:    func() string { return path },
		becomes: func() (content, bool) { return change(w.nodes[path]), true },
		send: func(ctx context.Context) error {
			return w.call(ctx, r(), nil)
		},
	}
}

func (w *writer) create(path, data string, flags int32) step {
	s := w.on(path, func(content) content { return w.made(data, flags) }, func() request { return create(path, data, flags) })
	s.name = "create " + path
	return s
}

// made is a new node of this writer.
func (w *writer) made(data string, flags int32) content {
	n := content{data: data}
	if flags&proto.FlagEphemeral != 0 {
		n.owner = w.session
	}
	return n
}

func (w *writer) set(path, data string) step {
	s := w.on(path, func(n content) content {
		n.data = data
		n.version++
		return n
	}, func() request { return set(path, data, w.nodes[path].version) })
	s.name = "set " + path
	return s
}

func (w *writer) setACL(path string) step {
	acl := append(proto.WorldAll(), proto.ACL{Perms: proto.PermRead, ID: proto.ID{Scheme: "ip", ID: "127.0.0.0/8"}})
	s := w.on(path, func(n content) content {
		n.aversion++
		return n
	}, func() request { return setACL(path, w.nodes[path].aversion, acl...) })
	s.name = "setACL " + path
	return s
}

func (w *writer) remove(path string) step {
	return step{
		name:    "delete " + path,
		path:    func() string { return path },
		becomes: func() (content, bool) { return content{}, false },
		send:    func(ctx context.Context) error { return w.call(ctx, remove(path, w.nodes[path].version), nil) },
	}
}

// sequential creates a node whose name the server completes, with the round as its data.
func (w *writer) sequential(data string) step {
	return step{
		name:    "create " + w.path("s-"),
		path:    func() string { return w.numbered(data) },
		becomes: func() (content, bool) { return content{data: data}, true },
		send: func(ctx context.Context) error {
			var r proto.CreateReply
			if err := w.call(ctx, create2(w.path("s-"), data, proto.FlagSequential), &r); err != nil {
				return err
			}
			if _, there := w.nodes[r.Path]; there || !strings.HasPrefix(r.Path, w.path("s-")) {
				return fmt.Errorf("created %s, which is no new sequential name", r.Path)
			}
			w.nodes[r.Path] = content{data: data}
			return nil
		},
	}
}

// numbered is the sequential node with the data, "" if none is known.
func (w *writer) numbered(data string) string {
	for path, n := range w.nodes {
		if strings.HasPrefix(path, w.path("s-")) && n.data == data {
			return path
		}
	}
	return ""
}

// refused creates a node that is there.
func (w *writer) refused(path string) step {
	s := w.on(path, func(n content) content { return n }, nil)
	s.name = "create again " + path
	s.send = func(ctx context.Context) error {
		err := w.call(ctx, create(path, "twice", 0), nil)
		if errors.Is(err, proto.NodeExists) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("not refused as %w", proto.NodeExists))
	}
	return s
}

// multi creates a node and sets it, on condition of another.
func (w *writer) multi(path, other string) step {
	s := w.on(path, func(content) content { return content{data: "of many", version: 1} }, nil)
	s.name = "multi on " + path
	s.send = func(ctx context.Context) error {
		return w.many(ctx, proto.OK,
			proto.MultiOp{Type: proto.OpCheck, Path: other, Version: w.nodes[other].version},
			proto.MultiOp{Type: proto.OpCreate, Path: path, ACL: proto.WorldAll()},
			proto.MultiOp{Type: proto.OpSetData, Path: path, Data: []byte("of many"), Version: 0},
		)
	}
	return s
}

// failingMulti changes nothing.
func (w *writer) failingMulti(path string) step {
	s := w.on(path, func(n content) content { return n }, nil)
	s.name = "failing multi on " + path
	s.send = func(ctx context.Context) error {
		return w.many(ctx, proto.BadVersion,
			proto.MultiOp{Type: proto.OpSetData, Path: path, Data: []byte("never"), Version: -1},
			proto.MultiOp{Type: proto.OpCreate, Path: w.path("never"), ACL: proto.WorldAll()},
			proto.MultiOp{Type: proto.OpCheck, Path: path, Version: 99},
		)
	}
	return s
}

// many sends a multi whose last operation must be answered with the code.
func (w *writer) many(ctx context.Context, code proto.Code, ops ...proto.MultiOp) error {
	var r proto.MultiReply
	if err := w.call(ctx, multi(ops...), &r); err != nil {
		return err
	}
	if len(r.Results) != len(ops) || r.Results[len(ops)-1].Err != code {
		return fmt.Errorf("results %+v, want the last to say %v", r.Results, code)
	}
	return nil
}

// findNumbered finds the sequential node of this round when its creation was not answered.
func (w *writer) findNumbered(ctx context.Context) error {
	var r proto.ChildrenReply
	if err := w.call(ctx, read(proto.OpGetChildren, w.root, false), &r); err != nil {
		return err
	}
	for _, name := range r.Names {
		path := w.path(name)
		if _, known := w.nodes[path]; known || !strings.HasPrefix(name, "s-") {
			continue
		}
		got, _, err := w.look(ctx, path)
		if round := (content{data: strconv.Itoa(w.round)}); err != nil || got != round {
			return errors.Join(err, fmt.Errorf("%s holds %+v, want %+v", path, got, round))
		}
		w.nodes[path] = got
	}
	return nil
}

// check compares the nodes below the root with what was acknowledged.
func (w *writer) check(found nodes) error {
	for _, path := range slices.Sorted(maps.Keys(w.nodes)) {
		if n, there := found[path]; !there || n.content() != w.nodes[path] {
			return fmt.Errorf("%v: %s holds %+v (there: %v), want %+v", w.guest, path, n.content(), there, w.nodes[path])
		}
	}
	for path, n := range found {
		if _, ours := w.nodes[path]; strings.HasPrefix(path, w.root+"/") && !ours {
			return fmt.Errorf("%v: %s is there and holds %+v", w.guest, path, n.content())
		}
	}
	return nil
}

// hose is a guest that sets the data of one node with many requests on their way, each to the version that it finds.
type hose struct {
	*guest
	path        string
	sent, acked int
	unsure      bool
}

const burst = 8

func newHose(g *guest, path string) *hose {
	h := &hose{guest: g, path: path}
	g.turn = h.write
	return h
}

func (h *hose) write(ctx context.Context) error {
	if h.unsure {
		if err := h.resume(ctx); err != nil {
			return err
		}
	}
	h.unsure = true
	var calls []*wire.Call
	for range burst {
		h.sent++
		r := set(h.path, strconv.Itoa(h.sent), int32(h.sent-1))
		calls = append(calls, h.conn.Go(r.op, r.body, &proto.Stat{}))
	}
	for _, call := range calls {
		if err := h.wait(ctx, call); err != nil {
			return fmt.Errorf("set %s to %d: %w", h.path, h.acked+1, err)
		}
		h.acked++
	}
	h.unsure = false
	return nil
}

// resume finds out how many of a lost connection's requests came through.
func (h *hose) resume(ctx context.Context) error {
	if err := h.call(ctx, syncPath("/"), nil); err != nil {
		return err
	}
	n, _, err := h.look(ctx, h.path)
	if err != nil {
		return err
	}
	if err := h.plausible(n); err != nil {
		return err
	}
	h.sent, h.acked, h.unsure = int(n.version), int(n.version), false
	return nil
}

// plausible is an error unless the node holds the last set that was acknowledged, or a later one.
func (h *hose) plausible(n content) error {
	v := int(n.version)
	if v < h.acked || v > h.sent || n != (content{data: strconv.Itoa(v), version: n.version}) {
		return fmt.Errorf("%v: %s holds %+v, want %d (acknowledged) to %d (sent)", h.guest, h.path, n, h.acked, h.sent)
	}
	return nil
}

func (h *hose) check(found nodes) error { return h.plausible(found[h.path].content()) }
