package watch

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// fire returns the owners that a change tells, in order.
func fire(t *Table, typ proto.EventType, path string) []string {
	var told []string
	t.Fire(typ, path, func(w *Watcher) { told = append(told, w.Owner.(string)) })
	return told
}

func TestFire(t *testing.T) {
	for _, c := range []struct {
		name  string
		data  []string
		child []string
		typ   proto.EventType
		want  []string
	}{
		{"data changed tells data watches", []string{"a", "b"}, []string{"c"}, proto.EventDataChanged, []string{"a", "b"}},
		{"created tells data watches", []string{"a"}, []string{"b"}, proto.EventCreated, []string{"a"}},
		{"children changed tells child watches", []string{"a"}, []string{"b", "c"}, proto.EventChildrenChanged, []string{"b", "c"}},
		{"deleted tells both, nobody twice", []string{"a", "b"}, []string{"b", "c"}, proto.EventDeleted, []string{"a", "b", "c"}},
		{"registering twice counts once", []string{"a", "a"}, nil, proto.EventDataChanged, []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, watchers := NewTable(), map[string]*Watcher{}
			watcher := func(name string) *Watcher {
				if watchers[name] == nil {
					watchers[name] = NewWatcher(name)
				}
				return watchers[name]
			}
			for _, name := range c.data {
				table.AddData("/x", watcher(name))
			}
			for _, name := range c.child {
				table.AddChild("/x", watcher(name))
			}
			if got := fire(table, c.typ, "/x"); !slices.Equal(got, c.want) {
				t.Errorf("Fire(%v) told %v, want %v", c.typ, got, c.want)
			}
			if got := fire(table, c.typ, "/x"); len(got) != 0 {
				t.Errorf("a second Fire told %v: watches are for once", got)
			}
		})
	}
}

// TestModesStandSideBySide: a change is told once to each watcher, and uses up the one-shot watches alone.
func TestModesStandSideBySide(t *testing.T) {
	for _, c := range []struct {
		name        string
		add         string // d, c, p, r: the kinds of one watcher on /a
		typ         proto.EventType
		path        string
		first, then int // how often the watcher is told by this change, and by the same once more
	}{
		{"one-shot data", "d", proto.EventDataChanged, "/a", 1, 0},
		{"persistent, of data", "p", proto.EventDataChanged, "/a", 1, 1},
		{"persistent, of children", "p", proto.EventChildrenChanged, "/a", 1, 1},
		{"persistent, of the removal", "p", proto.EventDeleted, "/a", 1, 1},
		{"persistent, not of a child's data", "p", proto.EventDataChanged, "/a/b", 0, 0},
		{"recursive, of the node", "r", proto.EventCreated, "/a", 1, 1},
		{"recursive, of a grandchild", "r", proto.EventCreated, "/a/b/c", 1, 1},
		{"recursive, of its removal", "r", proto.EventDeleted, "/a/b/c", 1, 1},
		{"recursive, not of children", "r", proto.EventChildrenChanged, "/a", 0, 0},
		{"recursive, not of a name that begins alike", "r", proto.EventCreated, "/ab", 0, 0},
		{"recursive, not of what lies above", "r", proto.EventDataChanged, "/", 0, 0},
		{"all at once, data", "dcpr", proto.EventDataChanged, "/a", 1, 1},
		{"all at once, removal", "dcpr", proto.EventDeleted, "/a", 1, 1},
		{"all at once, children", "dcpr", proto.EventChildrenChanged, "/a", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, w := NewTable(), NewWatcher("w")
			watchAs(table, "/a", w, c.add)
			if got := len(fire(table, c.typ, c.path)); got != c.first {
				t.Errorf("Fire(%v, %s) tells %d times, want %d", c.typ, c.path, got, c.first)
			}
			if got := len(fire(table, c.typ, c.path)); got != c.then {
				t.Errorf("a second Fire tells %d times, want %d", got, c.then)
			}
		})
	}
}

// watchAs adds watches of the kinds d, c, p and r.
func watchAs(t *Table, path string, w *Watcher, how string) {
	for _, k := range how {
		map[rune]func(string, *Watcher){'d': t.AddData, 'c': t.AddChild, 'p': t.AddPersistent, 'r': t.AddRecursive}[k](path, w)
	}
}

// TestRootIsAboveAll: a recursive watch on / is told of everything, and each watcher above a node once.
func TestRootIsAboveAll(t *testing.T) {
	table, a, b := NewTable(), NewWatcher("a"), NewWatcher("b")
	watchAs(table, "/", a, "r")
	watchAs(table, "/x", a, "r")
	watchAs(table, "/x/y", b, "r")
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/", []string{"a"}},
		{"/z", []string{"a"}},
		{"/x", []string{"a"}},
		{"/x/y", []string{"b", "a"}},
		{"/x/y/z", []string{"b", "a"}},
	} {
		if got := fire(table, proto.EventDataChanged, c.path); !slices.Equal(got, c.want) {
			t.Errorf("Fire(%s) told %v, want %v", c.path, got, c.want)
		}
	}
}

// TestRemoveByType removes what a client names and leaves the rest; the letters are those of watchAs.
func TestRemoveByType(t *testing.T) {
	for _, c := range []struct {
		name     string
		add      string
		typ      proto.WatcherType
		found    bool
		data     int // events of data changed, children changed and a child made, that are left
		children int
		below    int
	}{
		{"children", "dcpr", proto.WatcherChildren, true, 1, 1, 1},
		{"children alone", "c", proto.WatcherChildren, true, 0, 0, 0},
		{"children, of a persistent watch", "p", proto.WatcherChildren, false, 1, 1, 0},
		{"data alone", "d", proto.WatcherData, true, 0, 0, 0},
		{"data, of a recursive watch", "r", proto.WatcherData, false, 1, 0, 1},
		{"persistent", "pr", proto.WatcherPersistent, true, 1, 0, 1},
		{"persistent, of one-shot watches", "dc", proto.WatcherPersistent, false, 1, 1, 0},
		{"recursive", "pr", proto.WatcherRecursive, true, 1, 1, 0},
		{"any", "dcpr", proto.WatcherAny, true, 0, 0, 0},
		{"any of none", "", proto.WatcherAny, false, 0, 0, 0},
		{"no such type", "dcpr", 6, false, 1, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, w, other := NewTable(), NewWatcher("w"), NewWatcher("other")
			watchAs(table, "/a", w, c.add)
			if table.Has("/a", w, c.typ) != c.found || table.Remove("/a", w, c.typ) != c.found || table.Has("/a", w, c.typ) {
				t.Errorf("Has and Remove do not find %v, or still find it", c.found)
			}
			if table.Remove("/a", other, proto.WatcherAny) || table.Remove("/b", w, proto.WatcherAny) {
				t.Error("watches of others are removed")
			}
			got := [3]int{
				len(fire(table, proto.EventDataChanged, "/a")), len(fire(table, proto.EventChildrenChanged, "/a")),
				len(fire(table, proto.EventCreated, "/a/b")),
			}
			if want := [3]int{c.data, c.children, c.below}; got != want {
				t.Errorf("what is left is told %v times, want %v", got, want)
			}
			table.RemoveAll(w)
			if n := table.Count(); n != 0 || table.roots != 0 {
				t.Errorf("Count = %d and roots = %d when all are gone", n, table.roots)
			}
		})
	}
}

// TestCounts: both sides count in all, and the data's alone is what is listed.
func TestCounts(t *testing.T) {
	for _, c := range []struct {
		a, b   string // the kinds of two watchers on /x
		count  int
		listed string
	}{
		{"", "", 0, ""},
		{"d", "", 1, "a"},
		{"c", "c", 2, ""},
		{"p", "", 2, "a"},
		{"r", "d", 2, "ab"},
		{"dcpr", "pr", 4, "ab"},
	} {
		table, a, b := NewTable(), NewWatcher("a"), NewWatcher("b")
		watchAs(table, "/x", a, c.a)
		watchAs(table, "/x", b, c.b)
		if n := table.Count(); n != c.count {
			t.Errorf("Count of %q and %q = %d, want %d", c.a, c.b, n, c.count)
		}
		var listed []string
		table.Each(func(path string, w *Watcher) { listed = append(listed, w.Owner.(string)) })
		slices.Sort(listed)
		if got := strings.Join(listed, ""); got != c.listed {
			t.Errorf("Each of %q and %q lists %q, want %q", c.a, c.b, got, c.listed)
		}
	}
}

func TestRemoveAllLeavesOthers(t *testing.T) {
	table, a, b := NewTable(), NewWatcher("a"), NewWatcher("b")
	for _, w := range []*Watcher{a, b} {
		table.AddData("/x", w)
		table.AddChild("/x", w)
		table.AddData("/y", w)
	}
	table.RemoveAll(a)
	if n := table.Count(); n != 3 {
		t.Fatalf("Count = %d, want 3", n)
	}
	if got := fire(table, proto.EventDeleted, "/x"); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("Fire told %v, want b alone", got)
	}
}

// TestListsKeepTheirOrder when watchers leave at any place.
func TestListsKeepTheirOrder(t *testing.T) {
	for _, c := range []struct{ leave, want string }{
		{"a", "bcd"}, {"b", "acd"}, {"d", "abc"}, {"ab", "cd"}, {"ba", "cd"}, {"abc", "d"}, {"dcb", "a"}, {"bda", "c"}, {"abcd", ""},
	} {
		table, watchers := NewTable(), map[rune]*Watcher{}
		for _, name := range "abcd" {
			watchers[name] = NewWatcher(string(name))
			table.AddData("/x", watchers[name])
		}
		for _, name := range c.leave {
			table.RemoveAll(watchers[name])
		}
		if got := strings.Join(fire(table, proto.EventDataChanged, "/x"), ""); got != c.want {
			t.Errorf("when %s have left, %q are told, want %q", c.leave, got, c.want)
		}
		if n := table.Count(); n != 0 {
			t.Errorf("Count = %d at the end", n)
		}
	}
}

func TestRegisterBesideFire(t *testing.T) {
	table := NewTable()
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := NewWatcher("w")
			for range 500 {
				table.AddData("/x", w)
				table.AddChild("/x", w)
				table.AddPersistent("/x", w)
				table.AddRecursive("/", w)
				fire(table, proto.EventDeleted, "/x")
				table.Each(func(string, *Watcher) {})
				table.Remove("/", w, proto.WatcherRecursive)
			}
			table.RemoveAll(w)
		}()
	}
	wg.Wait()
	if n := table.Count(); n != 0 {
		t.Fatalf("Count = %d, want none", n)
	}
}

func TestFireAllocatesNothingWhereNobodyWatches(t *testing.T) {
	table := NewTable()
	watchAs(table, "/other", NewWatcher("w"), "dcpr")
	if n := testing.AllocsPerRun(100, func() { table.Fire(proto.EventDataChanged, "/x", func(*Watcher) {}) }); n != 0 {
		t.Fatalf("Fire allocates %v times", n)
	}
}

// TestWatchTakesFewBytes: 100 and its path's.
func TestWatchTakesFewBytes(t *testing.T) {
	const many = 70_000 // where the tables have just grown
	for _, kinds := range []string{"d", "c", "p", "r"} {
		table, w := NewTable(), NewWatcher("w")
		before := heap()
		for i := range many {
			watchAs(table, fmt.Sprintf("/some/node/%05d", i), w, kinds) // 16 bytes
		}
		if each := (heap() - before) / many; each > 100+16 {
			t.Errorf("a watch of kind %s takes %d bytes, want 100 and 16 for its path", kinds, each)
		}
		runtime.KeepAlive(table)
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// BenchmarkFireToMany is the cost for each of 1,000 watchers of one node.
func BenchmarkFireToMany(b *testing.B) {
	table, watchers := NewTable(), make([]*Watcher, 1000)
	for i := range watchers {
		watchers[i] = NewWatcher(nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, w := range watchers {
			table.AddData("/some/node", w)
		}
		table.Fire(proto.EventDataChanged, "/some/node", func(*Watcher) {})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/watch")
}

// BenchmarkFireBelowRecursive is what a recursive watch that does not concern a change costs it.
func BenchmarkFireBelowRecursive(b *testing.B) {
	table, w := NewTable(), NewWatcher("w")
	table.AddRecursive("/other", w)
	b.ReportAllocs()
	for b.Loop() {
		table.Fire(proto.EventDataChanged, "/some/deep/node", func(*Watcher) {})
	}
}

func BenchmarkFireUnwatched(b *testing.B) {
	table := NewTable()
	b.ReportAllocs()
	for b.Loop() {
		table.Fire(proto.EventDataChanged, "/some/deep/node", func(*Watcher) {})
	}
}

func BenchmarkFire(b *testing.B) {
	table, w := NewTable(), NewWatcher("w")
	b.ReportAllocs()
	for b.Loop() {
		table.AddData("/some/node", w)
		table.Fire(proto.EventDataChanged, "/some/node", func(*Watcher) {})
	}
}
