package tree

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// image is a tree as text: path to everything that a snapshot holds of the node.
func image(t *Tree) map[string]string {
	out := map[string]string{}
	for r := root; r != none; r = t.behind(r, true) {
		out[t.Path(r)] = nodeText(t.Data(r), t.ACL(r), t.Persisted(r))
	}
	return out
}

func nodeText(data []byte, acl []proto.ACL, st proto.StatPersisted) string {
	return fmt.Sprintf("%q %v %v %+v", data, data == nil, acl, st)
}

// follower is a walk and the tree as it was when the walk began.
type follower struct {
	walk *Walk
	want map[string]string
	got  map[string]string
	acls map[int64][]proto.ACL
}

func follow(t *Tree) *follower {
	f := &follower{walk: t.NewWalk(), want: image(t), got: map[string]string{}, acls: map[int64][]proto.ACL{-1: proto.WorldAll()}}
	for _, a := range f.walk.ACLs {
		f.acls[a.Key] = a.List
	}
	return f
}

// next takes some steps and tells whether there are more.
func (f *follower) next(t *testing.T, n int) bool {
	return f.walk.Next(n, func(path string, data []byte, acl int64, st *proto.StatPersisted) {
		path = strings.Clone(path)
		if _, twice := f.got[path]; twice {
			t.Fatalf("%q comes twice", path)
		}
		if dir, _, _ := split(path); path != "" {
			if _, ok := f.got[dir]; !ok {
				t.Fatalf("%q comes before its parent", path)
			}
		}
		list, ok := f.acls[acl]
		if !ok {
			t.Fatalf("%q names the ACL key %d, which is not in the table", path, acl)
		}
		f.got[path] = nodeText(data, list, *st)
	})
}

func (f *follower) check(t *testing.T) {
	if maps.Equal(f.got, f.want) {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(f.want)) {
		if f.got[path] != f.want[path] {
			t.Errorf("%q came as\n%s, was\n%s", path, f.got[path], f.want[path])
		}
	}
	for path := range f.got {
		if _, ok := f.want[path]; !ok {
			t.Errorf("%q came and was not there", path)
		}
	}
}

// changer makes random txns.
type changer struct {
	*rand.Rand
	z     int64
	paths []string
}

func newChanger(seed uint64) *changer {
	c := &changer{Rand: rand.New(rand.NewPCG(seed, 7))}
	for _, a := range "abcd" {
		for _, b := range []string{"", "/x", "/y", "/x/1", "/x/2", "/y/long-name-of-a-node"} {
			c.paths = append(c.paths, "/"+string(a)+b)
		}
	}
	return c
}

func (c *changer) body() txn.Body {
	path := c.paths[c.IntN(len(c.paths))]
	acls := [][]proto.ACL{proto.WorldAll(), {{Perms: proto.Perm(1 + c.IntN(30)), ID: proto.ID{Scheme: "digest", ID: "u:x"}}}}
	switch c.IntN(6) {
	case 0, 1:
		return txn.Body{Type: proto.OpCreate, Path: path, Data: make([]byte, c.IntN(300)), ACL: acls[c.IntN(2)], ParentCVersion: -1, Ephemeral: c.IntN(3) == 0}
	case 2:
		return txn.Body{Type: proto.OpDelete, Path: path}
	case 3:
		return txn.Body{Type: proto.OpSetACL, Path: path, ACL: acls[1], Version: int32(c.z)}
	}
	return txn.Body{Type: proto.OpSetData, Path: path, Data: []byte(fmt.Sprint(c.z)), Version: int32(c.z)}
}

func (c *changer) change(t *Tree) {
	c.z++
	b := c.body()
	if c.IntN(10) == 0 {
		b = txn.Body{Type: proto.OpMulti, Subs: []txn.Body{b, c.body(), c.body()}}
	}
	var r Result
	t.Apply(txnAt(c.z, b.Type, b), &r)
}

// TestWalksAreExact changes the tree between the steps of several walks: each must give the tree of its beginning.
func TestWalksAreExact(t *testing.T) {
	for seed := range uint64(60) {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c, tr := newChanger(seed), New()
			for range 200 {
				c.change(tr)
			}
			var walks []*follower
			for range 400 {
				if c.IntN(20) == 0 {
					walks = append(walks, follow(tr))
				}
				for range c.IntN(5) {
					c.change(tr)
				}
				for i, f := range walks {
					if f != nil && !f.next(t, c.IntN(4)) {
						f.walk.Close()
						f.check(t)
						walks[i] = nil
					}
				}
			}
			for _, f := range walks {
				for f != nil && f.next(t, 100) {
					c.change(tr)
				}
				if f != nil {
					f.walk.Close()
					f.check(t)
				}
			}
			tr.check(t)
		})
		if !ok {
			t.Logf("replay: go test ./pkg/tree -run 'TestWalksAreExact/%d$'", seed)
		}
	}
}

// TestLoadGivesTheTreeBack loads what a walk gives into an empty tree.
func TestLoadGivesTheTreeBack(t *testing.T) {
	c, tr := newChanger(1), New()
	for range 500 {
		c.change(tr)
	}
	w, loaded := tr.NewWalk(), Empty()
	for _, s := range w.Sessions {
		loaded.LoadSession(s.ID, s.Timeout)
	}
	for _, a := range w.ACLs {
		loaded.LoadACL(a.Key, a.List)
	}
	for more := true; more; {
		more = w.Next(10, func(path string, data []byte, acl int64, st *proto.StatPersisted) {
			if err := loaded.LoadNode(path, data, acl, st); err != nil {
				t.Fatal(err)
			}
		})
	}
	w.Close()
	if err := loaded.FinishLoad(w.Zxid); err != nil {
		t.Fatal(err)
	}
	loaded.check(t)
	if loaded.Digest() != tr.Digest() || !maps.Equal(image(loaded), image(tr)) || loaded.EphemeralCount() != tr.EphemeralCount() {
		t.Fatal("the loaded tree differs")
	}
}

// TestALargeTreeThatWasLoadedGoesOn growing and shrinking, with siblings that do not stand side by side.
func TestALargeTreeThatWasLoadedGoesOn(t *testing.T) {
	tr := Empty()
	load := func(path string) {
		if err := tr.LoadNode(path, []byte("data"), -1, &proto.StatPersisted{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"", "/a", "/b"} {
		load(path)
	}
	const many = 5 * chunkSize
	for i := range many {
		load(fmt.Sprintf("/%c/%d", "ab"[i%2], i))
	}
	if err := tr.LoadNode(fmt.Sprintf("/a/%d", many/2), nil, -1, &proto.StatPersisted{}); !errors.Is(err, ErrTwice) {
		t.Fatalf("the same node once more = %v, want %v", err, ErrTwice)
	}
	if err := tr.FinishLoad(1); err != nil {
		t.Fatal(err)
	}
	tr.check(t)
	var r Result
	z := int64(1)
	for i := range many {
		z += 2
		tr.Apply(create(z, fmt.Sprintf("/a/new-%d", i), -1), &r)
		tr.Apply(txnAt(z+1, proto.OpDelete, txn.Body{Path: fmt.Sprintf("/%c/%d", "ab"[i%2], i)}), &r)
		if r.Code != proto.OK {
			t.Fatalf("delete %d = %v", i, r.Code)
		}
	}
	tr.check(t)
	if n := tr.NodeCount(); n != many+3 {
		t.Fatalf("%d nodes are left, want %d", n, many+3)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, load := range map[string]func(*Tree) error{
		"a node without its parent": func(t *Tree) error { return t.LoadNode("/a/b", nil, -1, &proto.StatPersisted{}) },
		"an unknown key":            func(t *Tree) error { return t.LoadNode("/a", nil, 7, &proto.StatPersisted{}) },
		"a second root":             func(t *Tree) error { return t.LoadNode("", nil, -1, &proto.StatPersisted{}) },
		"a broken owner": func(t *Tree) error {
			var owner uint64 = proto.TTLMask | 1<<40
			return t.LoadNode("/a", nil, -1, &proto.StatPersisted{EphemeralOwner: int64(owner)})
		},
		"a name without a slash": func(t *Tree) error { return t.LoadNode("a", nil, -1, &proto.StatPersisted{}) },
	} {
		tr := Empty()
		if err := tr.LoadNode("", nil, -1, &proto.StatPersisted{}); err != nil {
			t.Fatal(err)
		}
		if load(tr) == nil {
			t.Errorf("%s is loaded", name)
		}
	}
	if Empty().FinishLoad(0) == nil {
		t.Error("a snapshot without a root is loaded")
	}
}

// FuzzApply applies whatever decodes as txns: nothing panics, and the tree stays in order.
func FuzzApply(f *testing.F) {
	for _, b := range []txn.Body{
		{Type: proto.OpCreate, Path: "/a", ACL: proto.WorldAll(), ParentCVersion: 1},
		{Type: proto.OpDelete, Path: "/zookeeper"},
		{Type: proto.OpCreateTTL, Path: "/zookeeper/x", TTL: -1},
		{Type: proto.OpCloseSession, HasPaths: true, Paths: []string{"", "/", "x"}},
		{Type: proto.OpMulti, Subs: []txn.Body{{Type: proto.OpSetACL, Path: "/"}, {Type: proto.OpDelete, Path: "//"}}},
	} {
		x := txn.Txn{Header: txn.Header{Session: 5, Zxid: 1, Type: b.Type}, Body: b}
		f.Add(x.Entry().Bytes, uint64(3))
	}
	f.Fuzz(func(t *testing.T, payload []byte, seed uint64) {
		c, tr := newChanger(seed), New()
		for range 20 {
			c.change(tr)
		}
		w := follow(tr)
		var x txn.Txn
		if x.Decode(payload) != nil {
			return
		}
		x.Zxid = proto.Zxid(c.z + 1) // a leader counts on
		c.z++
		var r Result
		tr.Apply(&x, &r)
		for range 5 {
			c.change(tr)
		}
		tr.check(t)
		for w.next(t, 3) {
			c.change(tr)
		}
		w.check(t)
	})
}

func TestAllocations(t *testing.T) {
	tr := New()
	var r Result
	tr.Apply(create(1, "/a", 1), &r)
	set := txnAt(2, proto.OpSetData, txn.Body{Path: "/a", Data: make([]byte, 100)})
	if n := testing.AllocsPerRun(100, func() { tr.Apply(set, &r) }); n != 0 {
		t.Errorf("a setData allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		ref, _ := tr.Find("/a")
		st := tr.Stat(ref)
		_, _, _ = tr.Data(ref), tr.ACL(ref), st.Version
	}); n != 0 {
		t.Errorf("a read allocates %v times", n)
	}
}

// TestMemoryOfANode holds a znode to 120 bytes besides its name and data.
func TestMemoryOfANode(t *testing.T) {
	const n, name, data = 100_000, 8, 112
	tr := New()
	var r Result
	for i := range int64(n) {
		x := create(i+1, fmt.Sprintf("/n%06d", i), int32(i+1))
		x.Data = make([]byte, data)
		tr.Apply(x, &r)
	}
	if per := float64(tr.MemoryBytes())/n - name - data; per > 120 {
		t.Fatalf("%.1f bytes for each node", per)
	}
}

func BenchmarkApplySetData(b *testing.B) {
	tr := New()
	var r Result
	tr.Apply(create(1, "/a", 1), &r)
	set := txnAt(2, proto.OpSetData, txn.Body{Path: "/a", Data: make([]byte, 100)})
	b.ReportAllocs()
	for b.Loop() {
		tr.Apply(set, &r)
	}
}

func BenchmarkFind(b *testing.B) {
	tr := New()
	var r Result
	for i, path := range []string{"/some", "/some/deeper", "/some/deeper/node"} {
		tr.Apply(create(int64(i+1), path, 1), &r)
	}
	for b.Loop() {
		tr.Find("/some/deeper/node")
	}
}

func BenchmarkAppendChildren1000(b *testing.B) {
	tr := New()
	var r Result
	for i := range int64(1000) {
		tr.Apply(create(i+1, fmt.Sprintf("/child-%06d", i), int32(i+1)), &r)
	}
	var dst []byte
	for b.Loop() {
		dst = tr.AppendChildren(dst[:0], root)
	}
	b.SetBytes(int64(len(dst)))
}
