package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/client"
)

func TestCounter(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	for name, c := range map[string]struct {
		format Format
		most   int64
	}{"Decimal": {Decimal, math.MaxInt64}, "Binary64": {Binary64, math.MaxInt64}, "Binary32": {Binary32, math.MaxInt32}} {
		t.Run(name, func(t *testing.T) {
			path := "/counters/" + name
			var wg sync.WaitGroup
			for range 4 {
				n := NewCounter(connect(t, addr, client.Options{}), path, c.format, Options{})
				wg.Go(func() {
					for range 10 {
						if _, err := n.Add(t.Context(), 2); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			conn := connect(t, addr, client.Options{})
			n := NewCounter(conn, path, c.format, Options{})
			if v := got[int64](t)(n.Add(t.Context(), -81)); v != -1 {
				t.Fatalf("after 40 times 2, less 81: %d", v)
			}
			must(t, n.Set(t.Context(), c.most))
			if v := got[int64](t)(n.Get(t.Context())); v != c.most {
				t.Fatalf("Get = %d, want %d", v, c.most)
			}
			if _, err := n.Add(t.Context(), 1); !errors.As(err, new(*NumberError)) {
				t.Fatalf("one more than the most = %v", err)
			}
			_, err := conn.Set(t.Context(), path, []byte("seven"), -1)
			must(t, err)
			if _, err := n.Get(t.Context()); !errors.As(err, new(*NumberError)) || !strings.Contains(err.Error(), path) {
				t.Fatalf("a word for a number = %v", err)
			}
		})
	}
	if v := got[int64](t)(NewCounter(connect(t, addr, client.Options{}), "/none", Decimal, Options{}).Get(t.Context())); v != 0 {
		t.Fatalf("a counter that is not there = %d", v)
	}
}

// TestNothingIsCountedTwice: when the answer to a write is lost, the sum is right, or the error says that it may not be.
func TestNothingIsCountedTwice(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	eachLoss(t, addr, func(t *testing.T, c *client.Client, root string) {
		sum, err := NewCounter(c, root, Decimal, Options{}).Add(t.Context(), 1)
		there := got[int64](t)(NewCounter(view, root, Decimal, Options{}).Get(t.Context()))
		if there != 1 || sum != 1 || err != nil && !client.Uncertain(err) {
			t.Fatalf("Add = %d, %v; the counter has %d", sum, err, there)
		}
	})
}

// TestItemsAreHandedOverOnce: whatever is lost, an item that is put in comes out once.
func TestItemsAreHandedOverOnce(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	eachLoss(t, addr, func(t *testing.T, c *client.Client, root string) {
		q, behind := NewQueue(c, root, Options{}), NewQueue(view, root, Options{})
		must(t, q.Put(t.Context(), []byte("a")))
		must(t, behind.Put(t.Context(), []byte("b")))
		for _, want := range []string{"a", "b"} {
			if item := got[[]byte](t)(q.Take(t.Context())); string(item) != want {
				t.Fatalf("took %q, want %q", item, want)
			}
		}
		if n := got[int](t)(behind.Len(t.Context())); n != 0 {
			t.Fatalf("%d items are left", n)
		}
	})
}

// TestIDsAreGivenOnce, by sequences and by blocks, whoever asks and whatever is lost.
func TestIDsAreGivenOnce(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	for name, open := range map[string]func(c *client.Client, size int) func(context.Context) (int64, error){
		"sequence": func(c *client.Client, _ int) func(context.Context) (int64, error) {
			return NewSequence(c, "/ids/sequence", Options{}).Next
		},
		"blocks": func(c *client.Client, size int) func(context.Context) (int64, error) {
			return NewBlocks(c, "/ids/blocks", size, Options{}).Next
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			given := map[int64]bool{}
			var wg sync.WaitGroup
			for size := range 3 {
				c, w := overWire(t, addr, time.Minute)
				next := open(c, size*7)
				for worker := range 2 {
					wg.Go(func() {
						last := int64(0)
						for i := range 30 {
							if worker == 0 && i%10 == 0 {
								w.answers.Store(2)
							}
							id, err := next(t.Context())
							if err != nil || id <= last {
								t.Errorf("id %d after %d, %v", id, last, err)
								return
							}
							last = id
							mu.Lock()
							if given[id] {
								t.Errorf("id %d is given twice", id)
							}
							given[id] = true
							mu.Unlock()
						}
					})
				}
			}
			wg.Wait()
		})
	}
}

// TestGroup: who joins is seen, changes are told, who leaves or dies is gone, and a new life takes the place of the old.
func TestGroup(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	mortal := connect(t, addr, client.Options{})
	g := NewGroup(connect(t, addr, client.Options{}), "/groups/g", Options{})
	views := make(chan map[string]string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- g.Follow(ctx, func(all []Member) {
			view := map[string]string{}
			for _, m := range all {
				view[m.ID] = string(m.Data)
			}
			select {
			case views <- view:
			case <-ctx.Done():
			}
		})
	}()
	see := func(want map[string]string) {
		t.Helper()
		for view := range views {
			if maps.Equal(view, want) {
				return
			}
		}
	}
	see(map[string]string{})
	a := got[*Membership](t)(g.Join(t.Context(), "a", []byte("1")))
	see(map[string]string{"a": "1"})
	got[*Membership](t)(NewGroup(mortal, "/groups/g", Options{}).Join(t.Context(), "b", []byte("2")))
	see(map[string]string{"a": "1", "b": "2"})
	must(t, a.Set(t.Context(), []byte("3")))
	see(map[string]string{"a": "3", "b": "2"})
	if all := got[[]Member](t)(g.Members(t.Context())); len(all) != 2 || all[0].ID != "a" || string(all[1].Data) != "2" {
		t.Fatalf("members %+v", all)
	}
	again := make(chan error)
	go func() {
		_, err := g.Join(t.Context(), "b", []byte("4"))
		again <- err
	}()
	must(t, mortal.Close())
	must(t, <-again)
	see(map[string]string{"a": "3", "b": "4"})
	must(t, a.Release(t.Context()))
	see(map[string]string{"b": "4"})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("Follow = %v", err)
	}
}

// TestJoinThroughLostConnections: whatever is lost, there is one member, which leaves nothing.
func TestJoinThroughLostConnections(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	eachLoss(t, addr, func(t *testing.T, c *client.Client, root string) {
		m := got[*Membership](t)(NewGroup(c, root, Options{}).Join(t.Context(), "a", nil))
		if all := got[[]Member](t)(NewGroup(view, root, Options{}).Members(t.Context())); len(all) != 1 || m.Err() != nil {
			t.Fatalf("members %+v, and ours ended by %v", all, m.Err())
		}
		must(t, m.Release(t.Context()))
		if all := got[[]Member](t)(NewGroup(view, root, Options{}).Members(t.Context())); len(all) != 0 {
			t.Fatalf("members %+v after all have left", all)
		}
	})
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t), client.Options{})
	r := NewRegistry(c, "/services", Options{})
	if _, err := r.Resolve(t.Context(), "db"); !errors.Is(err, ErrNoInstance) {
		t.Fatalf("Resolve of nothing = %v", err)
	}
	m := got[*Membership](t)(r.Register(t.Context(), Instance{Service: "db", Address: "10.0.0.1", Port: 5432, Payload: json.RawMessage(`{"zone":"a"}`)}))
	_, _, err := c.Create(t.Context(), "/services/db/notes", []byte("no instance"), client.ModePersistent)
	must(t, err)
	i := got[Instance](t)(r.Resolve(t.Context(), "db"))
	if i.ID != m.ID || i.Address != "10.0.0.1" || i.Port != 5432 || string(i.Payload) != `{"zone":"a"}` || i.Registered == 0 || i.Type != "DYNAMIC" {
		t.Fatalf("instance %+v", i)
	}
	if all := got[[]string](t)(r.Services(t.Context())); !slices.Equal(all, []string{"db"}) {
		t.Fatalf("services %q", all)
	}
	must(t, m.Release(t.Context()))
	if all := got[[]Instance](t)(r.Instances(t.Context(), "db")); len(all) != 0 {
		t.Fatalf("instances %+v", all)
	}
	if _, err := r.Register(t.Context(), Instance{Service: "a/b/", ID: "x"}); !errors.As(err, new(*client.PathError)) {
		t.Fatalf("Register of a service with a slash at its end = %v", err)
	}
}

// TestConfig: the value follows the node, a bad one is told and not taken, and all that happens while the connection is
// away is made up for.
func TestConfig(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	c, w := overWire(t, addr, time.Second)
	parse := func(b []byte) (int, error) { return strconv.Atoi(string(b)) }
	if _, err := FollowConfig(t.Context(), c, "/config", parse); !errors.Is(err, client.ErrNoNode) {
		t.Fatalf("FollowConfig of nothing = %v", err)
	}
	put := func(text string) {
		t.Helper()
		must(t, Update(t.Context(), view, "/config", Options{}, func([]byte) ([]byte, error) { return []byte(text), nil }))
	}
	put("x")
	if _, err := FollowConfig(t.Context(), c, "/config", parse); !errors.As(err, new(*ConfigError)) || !errors.Is(err, strconv.ErrSyntax) {
		t.Fatalf("FollowConfig of a bad value = %v", err)
	}
	put("1")
	f, err := FollowConfig(t.Context(), c, "/config", parse)
	must(t, err)
	await := func(value int, is error) {
		t.Helper()
		for {
			changed := f.Changed()
			if err := f.Err(); f.Value() == value && errors.Is(err, is) {
				return
			}
			<-changed
		}
	}
	await(1, nil)
	put("2")
	await(2, nil)
	put("many")
	await(2, strconv.ErrSyntax)
	must(t, view.Delete(t.Context(), "/config", -1))
	await(2, client.ErrNoNode)
	put("3")
	await(3, nil)
	_, _, gone, err := view.ExistsW(t.Context(), got[*Hold](t)(NewMutex(c, "/lock", Options{}).Lock(t.Context())).Path())
	must(t, err)
	w.breaks()
	put("4")
	<-gone // the session is over
	w.mend()
	await(4, nil)
	f.Close()
	await(4, client.ErrClosed)
}

// TestUpdateDoesNotLoseOthersChanges: two who add a word each, again and again, find all words.
func TestUpdateDoesNotLoseOthersChanges(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	var wg sync.WaitGroup
	for who := range 3 {
		c := connect(t, addr, client.Options{})
		wg.Go(func() {
			for i := range 10 {
				err := Update(t.Context(), c, "/a/words", Options{}, func(old []byte) ([]byte, error) {
					return fmt.Appendf(old, "%d.%d ", who, i), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	data, _, err := connect(t, addr, client.Options{}).Get(t.Context(), "/a/words")
	must(t, err)
	if n := len(strings.Fields(string(data))); n != 30 {
		t.Fatalf("%d words, want 30: %s", n, data)
	}
}

// told is what comes of the changes that a Tree tells.
type told struct {
	mu    sync.Mutex
	nodes map[string]string
}

func (d *told) take(c Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.Removed {
		delete(d.nodes, c.Path)
	} else {
		d.nodes[c.Path] = string(c.Data)
	}
}

// leadTo tells whether they, and the Tree itself, have come to what is wanted.
func (d *told) leadTo(tree *Tree, want map[string]string) bool {
	have := map[string]string{}
	for path := range want {
		if n, ok := tree.Get(path); ok {
			have[path] = string(n.Data)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Equal(have, want) && tree.Len() == len(want) && maps.Equal(d.nodes, want)
}

// TestTree: after changes of all kinds, some of them made while there was no connection and some under a new session, the
// copy is what the server has, and the changes that were told lead there.
func TestTree(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	c, w := overWire(t, addr, time.Second)
	told := told{nodes: map[string]string{}}
	tree, err := OpenTree(t.Context(), c, "/t", told.take)
	must(t, err)
	defer tree.Close()
	put := func(path, data string) {
		t.Helper()
		must(t, Update(t.Context(), view, path, Options{}, func([]byte) ([]byte, error) { return []byte(data), nil }))
	}
	await := func(want map[string]string) {
		t.Helper()
		for {
			changed := tree.Changed()
			if told.leadTo(tree, want) {
				return
			}
			<-changed
		}
	}
	await(map[string]string{})
	put("/t/a/b", "1")
	put("/t/a/c", "2")
	put("/tt", "elsewhere")
	await(map[string]string{"/t": "", "/t/a": "", "/t/a/b": "1", "/t/a/c": "2"})
	if names := tree.Children("/t/a"); !slices.Equal(names, []string{"b", "c"}) {
		t.Fatalf("children %q", names)
	}
	w.breaks()
	put("/t/a/b", "3")
	must(t, view.Delete(t.Context(), "/t/a/c", -1))
	put("/t/d/e", "4")
	w.mend()
	await(map[string]string{"/t": "", "/t/a": "", "/t/a/b": "3", "/t/d": "", "/t/d/e": "4"})
	_, _, gone, err := view.ExistsW(t.Context(), got[*Hold](t)(NewMutex(c, "/lock", Options{}).Lock(t.Context())).Path())
	must(t, err)
	w.breaks()
	for _, path := range []string{"/t/d/e", "/t/d", "/t/a/b", "/t/a", "/t"} {
		must(t, view.Delete(t.Context(), path, -1))
	}
	<-gone
	w.mend()
	await(map[string]string{})
	put("/t/f", "5")
	await(map[string]string{"/t": "", "/t/f": "5"})
	must(t, c.Close())
	<-tree.Done()
	if err := tree.Err(); !errors.Is(err, client.ErrClosed) {
		t.Fatalf("Err = %v", err)
	}
}
