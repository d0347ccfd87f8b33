package watch

import (
	"slices"
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

func TestRemoveAllLeavesOthers(t *testing.T) {
	table, a, b := NewTable(), NewWatcher("a"), NewWatcher("b")
	for _, w := range []*Watcher{a, b} {
		table.AddData("/x", w)
		table.AddChild("/x", w)
		table.AddData("/y", w)
	}
	table.RemoveAll(a)
	if watches, paths := table.Counts(); watches != 3 || paths != 3 {
		t.Fatalf("Counts = %d, %d; want 3 watches on 3 lists", watches, paths)
	}
	if got := fire(table, proto.EventDeleted, "/x"); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("Fire told %v, want b alone", got)
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
				fire(table, proto.EventDeleted, "/x")
			}
			table.RemoveAll(w)
		}()
	}
	wg.Wait()
	if watches, paths := table.Counts(); watches != 0 || paths != 0 {
		t.Fatalf("Counts = %d, %d; want none", watches, paths)
	}
}

func TestFireAllocatesNothingWhereNobodyWatches(t *testing.T) {
	table := NewTable()
	table.AddData("/other", NewWatcher("w"))
	if n := testing.AllocsPerRun(100, func() { table.Fire(proto.EventDataChanged, "/x", func(*Watcher) {}) }); n != 0 {
		t.Fatalf("Fire allocates %v times", n)
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
