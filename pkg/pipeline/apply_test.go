package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// treeWith returns a tree that has one more node, at the zxid of its creation.
func treeWith(path string, z proto.Zxid) *tree.Tree {
	t := tree.New()
	var r tree.Result
	t.Apply(&txn.Txn{
		Header: txn.Header{Zxid: z, Type: proto.OpCreate}, Body: txn.Body{Path: path, ACL: proto.WorldAll(), ParentCVersion: 1},
	}, &r)
	return t
}

// TestAnotherTree is what everybody looks at once it is swapped in: readers, the preparation, and who asks for zxids.
func TestAnotherTree(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u := r.open()
		u.say(frame(1, proto.OpCreate, create("/mine", 0)))
		r.commit(1)
		r.p.Unserve()
		z := proto.MakeZxid(3, 9)
		r.deliver([]txn.Delivery{
			{Entry: r.entry(&proto.Request{Op: proto.OpCreateSession, Session: 5, Body: make([]byte, 4)})}, // to the old one
			{Tree: treeWith("/theirs", z)},
			{Entry: txn.Entry{Zxid: proto.MakeZxid(4, 0)}},
		})
		r.serve()
		if got := r.p.LastZxid(); got != proto.MakeZxid(4, 0) {
			t.Fatalf("last zxid %v, want that of the epoch that began", got)
		}
		r.last = proto.MakeZxid(4, 0)
		r.p.Lead()
		next := r.open()
		next.say(frame(1, proto.OpExists, get("/mine", false)), frame(2, proto.OpExists, get("/theirs", false)),
			frame(3, proto.OpCreate, create("/theirs", 0)), frame(4, proto.OpCreate, create("/mine", 0)), frame(5, proto.OpExists, get("/mine", false)))
		r.commit(2)
		synctest.Wait()
		next.expect(t, "of the tree swapped in", "1!-101 2 3!-110 4 5 ")
		r.deliver([]txn.Delivery{{Tree: treeWith("/third", proto.MakeZxid(5, 1))}})
		synctest.Wait()
		next.say(frame(6, proto.OpExists, get("/third", false)))
		next.expect(t, "of one swapped in under a connection", "6 ")
		r.p.View(func(t *tree.Tree) {
			if _, lives := t.SessionTimeout(5); lives {
				r.t.Error("a session of the old tree lives")
			}
		})
	})
}

// TestLeadForgets what another leadership has prepared, and nobody has committed.
func TestLeadForgets(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		id := r.open().SessionID()
		prepare := func() (x txn.Txn) {
			e := r.entry(&proto.Request{Session: id, Op: proto.OpCreate, Body: create("/a", 0)})
			if err := x.Decode(e.Bytes); err != nil {
				t.Fatal(err)
			}
			return x
		}
		prepare()
		if x := prepare(); x.Err != proto.NodeExists {
			t.Fatalf("in the same leadership: %v", x.Err)
		}
		r.p.Lead()
		if x := prepare(); x.Header.Type != proto.OpCreate {
			t.Fatalf("in the next: %v", x.Err)
		}
	})
}

// TestNotifyApplied answers once, behind all that was delivered before, also where the tree in front had more.
func TestNotifyApplied(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		check := func(when string, want ...proto.Zxid) {
			t.Helper()
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			if !slices.Equal(r.applied, want) {
				t.Fatalf("%s: told %v, want %v", when, r.applied, want)
			}
		}
		advance := func(z proto.Zxid) { r.deliver([]txn.Delivery{{Entry: txn.Entry{Zxid: z}}}) }
		advance(5)
		r.p.NotifyApplied(5)
		check("the tree has it", 5)
		r.p.NotifyApplied(7)
		advance(6)
		check("the tree does not have it", 5)
		advance(7)
		advance(8)
		check("it has it now", 5, 7)
		r.deliver([]txn.Delivery{{Tree: treeWith("/a", 2)}})
		r.p.NotifyApplied(3)
		check("the tree that it had is gone", 5, 7)
		advance(3)
		check("and the new one has it", 5, 7, 3)
	})
}

// census is a NodeWriter that keeps the paths, and does something in between.
type census struct {
	paths []string
	flush func()
}

func (c *census) Node(path string, _ []byte, _ int64, _ *proto.StatPersisted) {
	c.paths = append(c.paths, path)
}
func (c *census) Flush() error { c.flush(); return nil }

// TestWalksBesideEachOther begin at different zxids; the tree changes between their steps, and is replaced. Each walk gives
// the tree that it began with.
func TestWalksBesideEachOther(t *testing.T) {
	r := newRig(t)
	create := func(n int) {
		q := &proto.Request{Session: 1, Op: proto.OpCreate, Body: create(fmt.Sprintf("/n%06d", n), 0)}
		r.deliver([]txn.Delivery{{Entry: r.entry(q)}})
	}
	r.deliver([]txn.Delivery{{Entry: r.entry(&proto.Request{Session: 1, Op: proto.OpCreateSession, Body: make([]byte, 4)})}})
	const nodes = 10 * walkStep
	for n := range nodes {
		create(n)
	}
	applied := func() {
		done := make(chan struct{})
		r.p.order(func() { close(done) })
		<-done
	}
	applied()
	const walks = 4
	var all sync.WaitGroup
	var steps sync.WaitGroup // all have begun, and then gone some way
	steps.Add(walks)
	swapped := make(chan struct{})
	for i := range walks {
		all.Add(1)
		go func() {
			defer all.Done()
			var want, got []string
			c, n := &census{}, 0
			c.flush = func() {
				switch n++; n {
				case 3:
					steps.Done()
					<-swapped
				}
			}
			err := r.p.Walk(func(w *tree.Walk) (NodeWriter, error) {
				for n := range int(w.Zxid.Counter()) - 1 {
					want = append(want, fmt.Sprintf("/n%06d", n))
				}
				return c, nil
			}, func() error { return nil })
			for _, path := range c.paths {
				if len(path) == len("/n000000") {
					got = append(got, path)
				}
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("walk %d: %d nodes, want %d: %v", i, len(got), len(want), err)
			}
		}()
		create(nodes + i) // beside the beginning of the walk: it has this one or not
	}
	steps.Wait()
	for n := range 100 {
		create(nodes + walks + n)
	}
	r.deliver([]txn.Delivery{{Tree: treeWith("/other", proto.MakeZxid(2, 1))}})
	applied()
	close(swapped)
	all.Wait()
	if z := r.p.LastZxid(); z != proto.MakeZxid(2, 1) {
		t.Fatalf("last zxid %v", z)
	}
	refused := errors.New("no room")
	err := r.p.Walk(func(*tree.Walk) (NodeWriter, error) { return nil, refused }, nil)
	if !errors.Is(err, refused) {
		t.Fatalf("a walk that nobody wants: %v", err)
	}
}
