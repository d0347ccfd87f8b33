//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// TestOurClient has package client do every operation with zabd and with ZooKeeper 3.8.0.
func TestOurClient(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{underTest, javaKind{}} {
		t.Run(k.name(), func(t *testing.T) {
			t.Parallel()
			s := serve(t, k)
			t.Run("operations", func(t *testing.T) { ourOperations(t, s) })
			t.Run("watches", func(t *testing.T) { ourWatches(t, s) })
		})
	}
}

func ourOperations(t *testing.T, s *server) {
	ctx := t.Context()
	root := ourClient(t, s.addr, client.Options{})
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	is := func(got, want any) {
		t.Helper()
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s, want %s", g, w)
		}
	}
	_, _, err := root.Create(ctx, "/ours", nil, client.ModePersistent)
	no(err)
	c := ourClient(t, s.addr+"/ours", client.Options{Auth: []client.Auth{{Scheme: "digest", Credential: []byte("u:p")}}})
	path, st, err := c.Create(ctx, "/s-", []byte("x"), client.ModeEphemeralSequential)
	no(err)
	is([]any{path, st.EphemeralOwner, st.DataLength}, []any{"/s-0000000000", c.SessionID(), 1})
	_, _, err = c.Create(ctx, "/box", nil, client.ModeContainer)
	no(err)
	_, _, err = c.CreateTTL(ctx, "/ttl", nil, client.ModePersistent, time.Hour)
	no(err)
	names, st, err := c.Children(ctx, "/")
	no(err)
	is([]any{names, st.NumChildren}, "[[box s-0000000000 ttl] 3]")
	st, err = c.Set(ctx, "/box", []byte("y"), 0)
	no(err)
	no(c.Sync(ctx, "/box"))
	data, st, err := c.Get(ctx, "/box")
	no(err)
	is([]any{string(data), st.Version}, "[y 1]")
	_, err = c.SetACL(ctx, "/box", []client.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}, 0)
	no(err)
	acl, _, err := c.ACL(ctx, "/box")
	no(err)
	is([]any{len(acl), acl[0].ID.Scheme}, "[1 digest]")
	if _, _, err := root.Get(ctx, "/ours/box"); !errors.Is(err, client.ErrNoAuth) {
		t.Errorf("without the credential: %v", err)
	}
	ids, err := c.WhoAmI(ctx)
	no(err)
	is(slices.Contains(ids, proto.ID{Scheme: "digest", ID: "u"}), true)
	all, err := c.Ephemerals(ctx, "/")
	no(err)
	is(all, "[/s-0000000000]")
	n, err := c.AllChildrenNumber(ctx, "/")
	no(err)
	is(n, 3)
	_, _, err = c.Config(ctx)
	no(err)
	if _, _, err := c.Reconfig(ctx, "", "1", "", -1); !errors.Is(err, client.ErrReconfigDisabled) {
		t.Errorf("Reconfig = %v", err)
	}
	ourTransactions(t, c)
	no(c.Delete(ctx, "/t-0000000003", 0))
	no(c.Close())
	_, ok, err := root.Exists(ctx, "/ours/s-0000000000")
	no(err)
	is(ok, false)
}

func ourTransactions(t *testing.T, c *client.Client) {
	ctx := t.Context()
	r, err := c.Txn().Check("/box", 1).Create("/t-", nil, client.ModePersistentSequential).Set("/box", nil, 1).Delete("/ttl", -1).Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r[1].Path != "/t-0000000003" || r[2].Stat.Version != 2 {
		t.Errorf("Commit = %+v", r)
	}
	var failed *client.TxnError
	if _, err = c.Txn().Delete("/t-0000000003", 0).Delete("/none", 0).Commit(ctx); !errors.As(err, &failed) || failed.Index != 1 || !errors.Is(err, client.ErrNoNode) {
		t.Errorf("Commit = %v", err)
	}
	r, err = c.Reads().Get("/box").Get("/none").Children("/").Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Stat.Version != 2 || !errors.Is(r[1].Err, client.ErrNoNode) || len(r[2].Names) != 3 {
		t.Errorf("Reads = %+v", r)
	}
}

func ourWatches(t *testing.T, s *server) {
	ctx := t.Context()
	c, other := ourClient(t, s.addr, client.Options{}), ourClient(t, s.addr, client.Options{})
	for _, path := range []string{"/w", "/w/tree", "/w/gone"} {
		if _, _, err := c.Create(ctx, path, nil, client.ModePersistent); err != nil {
			t.Fatal(err)
		}
	}
	_, _, data, err1 := c.GetW(ctx, "/w")
	_, _, child, err2 := c.ChildrenW(ctx, "/w")
	_, _, coming, err3 := c.ExistsW(ctx, "/w/coming")
	_, _, gone, err4 := c.GetW(ctx, "/w/gone")
	tree, err5 := c.AddWatch(ctx, "/w/tree", client.Recursive)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	s.crash(t) // all watches go to another life of the server
	if e := <-tree.Events(); e.Type != client.EventReconnected {
		t.Errorf("the recursive watch: %+v", e)
	}
	_, err1 = other.Set(ctx, "/w", []byte("x"), -1)
	_, _, err2 = other.Create(ctx, "/w/coming", nil, client.ModePersistent)
	_, _, err3 = other.Create(ctx, "/w/tree/n", nil, client.ModePersistent)
	if err := errors.Join(err1, err2, err3, other.Delete(ctx, "/w/gone", -1)); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct {
		ch   <-chan client.Event
		want client.EventType
		path string
	}{
		"data": {data, client.EventDataChanged, "/w"}, "children": {child, client.EventChildrenChanged, "/w"},
		"exists": {coming, client.EventCreated, "/w/coming"}, "gone": {gone, client.EventDeleted, "/w/gone"},
		"recursive": {tree.Events(), client.EventCreated, "/w/tree/n"},
	} {
		if e := <-w.ch; e.Type != w.want || e.Path != w.path {
			t.Errorf("%s: %+v, want %v of %s", name, e, w.want, w.path)
		}
	}
	if err := c.RemoveWatches(ctx, "/w/tree", client.WatchesOfAny); err != nil {
		t.Error(err)
	}
	if _, open := <-tree.Events(); open || !errors.Is(tree.Err(), client.ErrRemoved) {
		t.Errorf("the removed watch: %v", tree.Err())
	}
}

// TestOurClientWhileServersAreKilled has clients count up while one of three servers after the other dies and comes back.
// Nothing that was acknowledged is missing, what may have happened has happened once or not at all, no session is lost, and
// those who watch see the end.
func TestOurClientWhileServersAreKilled(t *testing.T) {
	t.Parallel()
	for _, kinds := range []string{"zabd zabd zabd", "java java java"} {
		t.Run(kinds, func(t *testing.T) {
			t.Parallel()
			e := assemble(t, kinds, 1000)
			e.begin()
			countUp(t, e)
		})
	}
}

func countUp(t *testing.T, e *ensemble) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	var counters []*counter
	stop, counted := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		k := &counter{c: ourClient(t, e.addrs(), client.Options{}), path: fmt.Sprintf("/counter-%d", i)}
		if _, _, err := k.c.Create(ctx, k.path, nil, client.ModeEphemeral); err != nil {
			t.Fatal(err)
		}
		k.session = k.c.SessionID()
		counters = append(counters, k)
		wg.Go(func() {
			if err := k.run(ctx, stop); err != nil {
				e.report(err)
			}
		})
	}
	w := ourClient(t, e.addrs(), client.Options{})
	seen := make(chan int32, 1)
	go follow(ctx, e, w, counters[0].path, counted, seen)
	for i := range 3 {
		m := e.members[i]
		e.kill(m)
		for _, k := range counters {
			from := k.done.Load()
			e.await(fmt.Sprintf("%s goes on without server %d", k.path, m.id), func() bool { return k.done.Load() >= from+20 })
		}
		e.start(m)
	}
	close(stop)
	wg.Wait()
	close(counted)
	e.check()
	uncertain := 0
	for _, k := range counters {
		if err := w.Sync(ctx, k.path); err != nil {
			t.Fatal(err)
		}
		st, ok, err := w.Exists(ctx, k.path)
		if err != nil || !ok || st.Version != k.done.Load() || k.c.SessionID() != k.session {
			t.Errorf("%s: version %d, %v, %v, want %d; session %#x was %#x", k.path, st.Version, ok, err, k.done.Load(), k.c.SessionID(), k.session)
		}
		uncertain += k.uncertain
	}
	if got := <-seen; got != counters[0].done.Load() {
		t.Errorf("who watches has seen %d, want %d", got, counters[0].done.Load())
	}
	t.Logf("%d changes, %d of them without an answer", counters[0].done.Load()+counters[1].done.Load()+counters[2].done.Load()+counters[3].done.Load(), uncertain)
}

// counter raises a node's version, one by one.
type counter struct {
	c         *client.Client
	path      string
	session   int64
	done      atomic.Int32 // changes that have happened
	uncertain int
}

func (k *counter) run(ctx context.Context, stop <-chan struct{}) error {
	for open := false; ; {
		select {
		case <-stop:
			return nil
		default:
		}
		n := k.done.Load()
		st, err := k.c.Set(ctx, k.path, nil, n)
		late := open && errors.Is(err, client.ErrBadVersion) // what was on its way has arrived after we looked
		if open = client.Uncertain(err); open || late {
			if open {
				k.uncertain++
			}
			st, _, err = k.c.Exists(ctx, k.path)
			if err == nil && st.Version != n && st.Version != n+1 {
				err = fmt.Errorf("%s has version %d after a change of %d that may have happened", k.path, st.Version, n)
			}
		} else if err == nil && st.Version != n+1 {
			err = fmt.Errorf("%s has version %d after a change of %d", k.path, st.Version, n)
		}
		if err != nil {
			return err
		}
		k.done.Store(st.Version)
	}
}

// follow reads a node again whenever its watch fires, and sends the last version when all is counted.
func follow(ctx context.Context, e *ensemble, c *client.Client, path string, counted <-chan struct{}, last chan<- int32) {
	for {
		_, st, fired, err := c.GetW(ctx, path)
		if err != nil {
			e.report(err)
			return
		}
		select {
		case <-fired:
			continue
		case <-counted:
		}
		// The last change may be on its way.
		if err := c.Sync(ctx, path); err != nil {
			e.report(err)
		}
		select {
		case <-fired:
			continue
		default:
			last <- st.Version
			return
		}
	}
}
