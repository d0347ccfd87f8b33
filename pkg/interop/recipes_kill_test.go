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
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/recipe"
)

// worksite is programs on our recipes that go on while servers are killed, and what they know to have happened.
type worksite struct {
	e    *ensemble
	t    *testing.T
	ctx  context.Context // of the work
	stop func()
	wg   sync.WaitGroup

	done, perhaps atomic.Int64 // changes under the lock: answered, and not
	terms         atomic.Int64

	mu    sync.Mutex // guards what follows
	ids   map[int64]bool
	put   map[string]bool // items; false = perhaps
	taken map[string]int
	maybe map[string]bool // taken, but for the answer, when the work ended
}

// TestRecipesWhileServersAreKilled: of three servers the leader is killed and comes back, and then a follower is killed,
// under programs that lock, lead, count, hand over and follow; afterwards all is as it must be.
func TestRecipesWhileServersAreKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"zabd", "java"} {
		t.Run(kind, func(t *testing.T) {
			e := assemble(t, strings.TrimSpace(strings.Repeat(kind+" ", 3)), 10000)
			e.begin()
			w := &worksite{e: e, t: t, ids: map[int64]bool{}, put: map[string]bool{}, taken: map[string]int{}, maybe: map[string]bool{}}
			w.ctx, w.stop = context.WithCancel(t.Context())
			defer w.stop()
			c := w.client()
			if _, _, err := c.Create(t.Context(), "/n", []byte("0 0"), client.ModePersistent); err != nil {
				t.Fatal(err)
			}
			tree, config := w.follow(c)
			w.begin()
			w.progress()
			leader := e.leader()
			e.kill(leader)
			w.progress()
			e.start(leader)
			e.settle()
			follower := e.members[0]
			if e.leader() == follower {
				follower = e.members[1]
			}
			e.kill(follower)
			w.progress()
			w.stop()
			w.wg.Wait()
			w.check(c, tree, config)
		})
	}
}

func (w *worksite) client() *client.Client { return ourClient(w.t, w.e.addrs(), client.Options{}) }

// begin starts the programs.
func (w *worksite) begin() {
	for range 3 {
		w.run(w.lock)
		w.run(w.lead)
		w.run(w.number)
		w.run(w.take)
	}
	for who := range 2 {
		w.run(func(c *client.Client) error { return w.bring(c, who) })
		w.run(func(c *client.Client) error { return w.belong(c, strconv.Itoa(who)) })
	}
}

// run runs a program until the work ends.
func (w *worksite) run(program func(c *client.Client) error) {
	c := w.client()
	w.wg.Go(func() {
		if err := program(c); err != nil && w.ctx.Err() == nil {
			w.e.report(err)
		}
	})
}

// progress waits until every kind of work has gone on.
func (w *worksite) progress() {
	w.t.Helper()
	now := func() []int64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return []int64{w.done.Load(), w.terms.Load(), int64(len(w.ids)), int64(len(w.taken))}
	}
	before := now()
	w.e.await("all work goes on", func() bool {
		for i, n := range now() {
			if n < before[i]+5 {
				return false
			}
		}
		return true
	})
}

// lock changes a number by a transaction that is done only while the lock is held. Tokens grow.
func (w *worksite) lock(c *client.Client) error {
	m := recipe.NewMutex(c, "/locks/n", recipe.Options{})
	for {
		h, err := m.Lock(w.ctx)
		if err != nil {
			if errors.As(err, new(*recipe.LostError)) {
				continue
			}
			return err
		}
		err = w.change(h, c)
		switch {
		case err == nil:
			w.done.Add(1)
		case client.Uncertain(err):
			w.perhaps.Add(1)
		case h.Err() == nil && w.ctx.Err() == nil:
			return err
		}
		if err := h.Release(w.ctx); err != nil && !errors.As(err, new(*recipe.LostError)) {
			return err
		}
	}
}

func (w *worksite) change(h *recipe.Hold, c *client.Client) error {
	data, stat, err := c.Get(h.Context(), "/n")
	if err != nil {
		return err
	}
	var n, last int64
	if _, err := fmt.Sscan(string(data), &n, &last); err != nil {
		return err
	}
	token := int64(h.Token())
	if token <= last {
		return fmt.Errorf("token %d after %d", token, last)
	}
	_, err = c.Txn().Check(h.Path(), client.AnyVersion).Set("/n", fmt.Appendf(nil, "%d %d", n+1, token), stat.Version).Commit(h.Context())
	return err
}

// lead leads for a moment, again and again.
func (w *worksite) lead(c *client.Client) error {
	var last int64
	return recipe.NewElection(c, "/election", recipe.Options{}).Run(w.ctx, func(_ context.Context, h *recipe.Hold) error {
		if token := int64(h.Token()); token <= last {
			return fmt.Errorf("term %d after %d", token, last)
		} else {
			last = token
		}
		w.terms.Add(1)
		return nil
	})
}

// number takes ids that grow and that nobody else has.
func (w *worksite) number(c *client.Client) error {
	s, last := recipe.NewSequence(c, "/ids", recipe.Options{}), int64(0)
	for {
		id, err := s.Next(w.ctx)
		if err != nil {
			return err
		}
		w.mu.Lock()
		taken := w.ids[id]
		w.ids[id] = true
		w.mu.Unlock()
		if taken || id <= last {
			return fmt.Errorf("id %d after %d, given before: %v", id, last, taken)
		}
		last = id
	}
}

// bring puts items into the queue.
func (w *worksite) bring(c *client.Client, who int) error {
	q := recipe.NewQueue(c, "/queue", recipe.Options{})
	for i := 0; ; i++ {
		item := fmt.Sprintf("%d-%d", who, i)
		err := q.Put(w.ctx, []byte(item))
		if err != nil && w.ctx.Err() == nil { // for the session lives on
			return err
		}
		w.mu.Lock()
		w.put[item] = err == nil
		w.mu.Unlock()
		if w.ctx.Err() != nil {
			return nil
		}
		if _, err := c.Set(w.ctx, "/followed/"+strconv.Itoa(who), []byte(strconv.Itoa(i)), client.AnyVersion); err != nil && !errors.Is(err, client.ErrConnectionLoss) {
			return err
		}
	}
}

// take takes items.
func (w *worksite) take(c *client.Client) error {
	q := recipe.NewQueue(c, "/queue", recipe.Options{})
	for {
		item, err := q.Take(w.ctx)
		if item == nil && errors.As(err, new(*recipe.LostError)) {
			continue
		}
		if err != nil && (item == nil || w.ctx.Err() == nil) {
			return fmt.Errorf("took %q: %w", item, err)
		}
		w.mu.Lock()
		if err == nil {
			w.taken[string(item)]++
		} else {
			w.maybe[string(item)] = true
		}
		w.mu.Unlock()
	}
}

// belong is a member of a group, and becomes one again when it was cut off for too long.
func (w *worksite) belong(c *client.Client, id string) error {
	for {
		m, err := recipe.NewGroup(c, "/group", recipe.Options{}).Join(w.ctx, id, nil)
		if err != nil {
			return err
		}
		select {
		case <-m.Context().Done():
		case <-w.ctx.Done():
			return nil
		}
	}
}

// follow begins a copy of a tree, and of a configuration in it.
func (w *worksite) follow(c *client.Client) (*recipe.Tree, *recipe.Config[string]) {
	w.t.Helper()
	for _, path := range []string{"/followed", "/followed/0", "/followed/1"} {
		if _, _, err := c.Create(w.ctx, path, nil, client.ModePersistent); err != nil {
			w.t.Fatal(err)
		}
	}
	tree, err := recipe.OpenTree(w.ctx, w.client(), "/followed", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(tree.Close)
	config, err := recipe.FollowConfig(w.ctx, w.client(), "/followed/0", func(b []byte) (string, error) { return string(b), nil })
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(config.Close)
	return tree, config
}

// check compares what there is with what is known.
func (w *worksite) check(c *client.Client, tree *recipe.Tree, config *recipe.Config[string]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := c.Sync(ctx, "/"); err != nil { // the others may have been at servers that are ahead
		w.t.Fatal(err)
	}
	data, _, err := c.Get(ctx, "/n")
	n, _ := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
	if least := w.done.Load(); err != nil || n < least || n > least+w.perhaps.Load() {
		w.t.Errorf("%d changes under the lock, %v, want %d and at most %d more", n, err, least, w.perhaps.Load())
	}
	for q := recipe.NewQueue(c, "/queue", recipe.Options{}); ; {
		item, ok, err := q.TryTake(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		if !ok {
			break
		}
		w.taken[string(item)]++
	}
	for item, sure := range w.put {
		if times := w.taken[item]; times > 1 || sure && times == 0 && !w.maybe[item] {
			w.t.Errorf("item %s was taken %d times; it was put in for sure: %v", item, times, sure)
		}
	}
	want := map[string]string{"/followed": ""}
	for _, path := range []string{"/followed/0", "/followed/1"} {
		data, _, err := c.Get(ctx, path)
		if err != nil {
			w.t.Fatal(err)
		}
		want[path] = string(data)
	}
	w.e.await("the copies are what the server has", func() bool {
		have := map[string]string{}
		for path := range want {
			n, _ := tree.Get(path)
			have[path] = string(n.Data)
		}
		return maps.Equal(have, want) && config.Value() == want["/followed/0"] && config.Err() == nil
	})
	members, err := recipe.NewGroup(c, "/group", recipe.Options{}).Members(ctx)
	if err != nil || !slices.EqualFunc(members, []string{"0", "1"}, func(m recipe.Member, id string) bool { return m.ID == id }) {
		w.t.Errorf("members %+v, %v, want 0 and 1", members, err)
	}
	w.t.Logf("%d changes under locks (%d not answered), %d terms, %d ids, %d items", n, w.perhaps.Load(), w.terms.Load(), len(w.ids), len(w.put))
}
