package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// TestWatchesAreRestoredInChunks: however many there are, no request is longer than 128 KiB, and none is missing.
func TestWatchesAreRestoredInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 1000
		name := func(kind string, i int) string { return fmt.Sprintf("/%s-%0100d", kind, i) }
		leave := make(chan struct{})
		var chunks []request
		f := &fakes{t: t, scripts: []func(*peer){
			func(p *peer) {
				p.welcome(7)
				for range 5 * each {
					switch r, _ := p.next(); r.Op {
					case proto.OpGetData:
						p.reply(r, 5, proto.OK, &proto.DataReply{})
					case proto.OpGetChildren2:
						p.reply(r, 5, proto.OK, &proto.Children2Reply{Names: []string{}})
					case proto.OpExists:
						p.reply(r, 5, proto.NoNode, nil)
					default:
						p.reply(r, 5, proto.OK, jute4{})
					}
				}
				<-leave
			},
			func(p *peer) { p.welcome(7); chunks = p.serve() },
		}}
		c, ctx := f.client("a", Options{}), t.Context()
		var kids *Future[Children]
		lasting := func(path string, mode WatchMode) {
			go func() {
				if _, err := c.AddWatch(ctx, path, mode); err != nil {
					t.Error(err)
				}
			}()
		}
		for i := range each {
			c.Async().GetW(name("data", i))
			c.Async().ExistsW(name("exist", i))
			lasting(name("persistent", i), Persistent)
			lasting(name("recursive", i), Recursive)
			kids, _ = c.Async().ChildrenW(name("child", i))
		}
		if _, err := kids.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(leave)
		if _, _, err := c.Get(ctx, "/behind"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		synctest.Wait()
		got := joined(t, chunks[:len(chunks)-2])
		for kind, paths := range map[string][]string{
			"data": got.Data, "exist": got.Exist, "child": got.Child, "persistent": got.Persistent, "recursive": got.Recursive,
		} {
			slices.Sort(paths)
			if paths = slices.Compact(paths); len(paths) != each || paths[0] != name(kind, 0) {
				t.Errorf("%d %s watches", len(paths), kind)
			}
		}
	})
}

// joined checks requests that restore watches and returns what they hold together.
func joined(t *testing.T, chunks []request) proto.SetWatchesRequest {
	var got proto.SetWatchesRequest
	for _, r := range chunks {
		if len(r.body) > 128<<10 || r.Op != proto.OpSetWatches2 && r.Op != proto.OpSetWatches {
			t.Errorf("%v of %d bytes", r.Op, len(r.body))
		}
		var one proto.SetWatchesRequest
		d := jute.NewDecoder(r.body)
		decode := one.Decode
		if r.Op == proto.OpSetWatches2 {
			decode = one.Decode2
		}
		if err := decode(&d); err != nil || one.RelativeZxid != 5 {
			t.Fatalf("zxid %v, %v", one.RelativeZxid, err)
		}
		got.Data, got.Exist, got.Child = append(got.Data, one.Data...), append(got.Exist, one.Exist...), append(got.Child, one.Child...)
		got.Persistent, got.Recursive = append(got.Persistent, one.Persistent...), append(got.Recursive, one.Recursive...)
	}
	return got
}

// TestEventsGoToTheirWatches: which of the watches on /a/b, /a and / an event is for, and which of them are over then.
func TestEventsGoToTheirWatches(t *testing.T) {
	c, err := New("unused", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for event, want := range map[proto.EventType]string{
		proto.EventCreated:         "data/a/b exist/a/b persistent/a/b recursive/ recursive/a recursive/a/b",
		proto.EventDataChanged:     "data/a/b exist/a/b persistent/a/b recursive/ recursive/a recursive/a/b",
		proto.EventDeleted:         "child/a/b data/a/b exist/a/b persistent/a/b recursive/ recursive/a recursive/a/b",
		proto.EventChildrenChanged: "child/a/b persistent/a/b",
	} {
		c.watches.init()
		var told []string
		for k, kind := range []string{"data", "exist", "child", "persistent", "recursive"} {
			for _, path := range []string{"/", "/a", "/a/b", "/a/b/c", "/a/bc"} {
				c.watches.add(&watcher{kind: watchKind(k), path: path, tell: func(Event) { told = append(told, kind+path) }})
			}
		}
		for range 2 {
			told = nil
			c.notified(proto.WatcherEvent{Type: event, Path: "/a/b"}, 1)
			slices.Sort(told)
			if got := strings.Join(told, " "); got != want {
				t.Errorf("%v tells %q, want %q", EventType(event), got, want)
			}
			var lasting []string // the second time, the one-shot ones are gone
			for _, s := range strings.Fields(want) {
				if strings.HasPrefix(s, "persistent") || strings.HasPrefix(s, "recursive") {
					lasting = append(lasting, s)
				}
			}
			want = strings.Join(lasting, " ")
		}
	}
}

// TestWatchesOutliveTheServer: what happened meanwhile is told by the one-shot ones, and that it may have by the others.
func TestWatchesOutliveTheServer(t *testing.T) {
	t.Parallel()
	s, ctx := newServer(t), t.Context()
	c, other := s.connect(t, Options{}), s.connect(t, Options{})
	for _, path := range []string{"/data", "/child", "/gone", "/tree", "/still"} {
		if _, _, err := c.Create(ctx, path, nil, ModePersistent); err != nil {
			t.Fatal(err)
		}
	}
	_, _, data, err1 := c.GetW(ctx, "/data")
	_, _, still, err2 := c.GetW(ctx, "/still")
	_, _, child, err3 := c.ChildrenW(ctx, "/child")
	_, _, gone, err4 := c.GetW(ctx, "/gone")
	_, _, coming, err5 := c.ExistsW(ctx, "/coming")
	tree, err6 := c.AddWatch(ctx, "/tree", Recursive)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	s.cut(c)
	if err := errors.Join(
		second(other.Set(ctx, "/data", []byte("x"), 0)), other.Delete(ctx, "/gone", -1),
		second3(other.Create(ctx, "/child/c", nil, ModePersistent)), second3(other.Create(ctx, "/coming", nil, ModePersistent)),
		second3(other.Create(ctx, "/tree/unseen", nil, ModePersistent)),
	); err != nil {
		t.Fatal(err)
	}
	s.restart(t)
	s.mend(c)
	for name, w := range map[string]struct {
		ch   <-chan Event
		want EventType
	}{"data": {data, EventDataChanged}, "child": {child, EventChildrenChanged}, "gone": {gone, EventDeleted}, "coming": {coming, EventCreated}} {
		if e := <-w.ch; e.Type != w.want || e.Path != "/"+name {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if e := <-tree.Events(); e.Type != EventReconnected || e.Path != "/tree" {
		t.Errorf("the recursive watch: %+v", e)
	}
	if _, _, err := other.Create(ctx, "/tree/seen", nil, ModePersistent); err != nil {
		t.Fatal(err)
	}
	if e := <-tree.Events(); e.Type != EventCreated || e.Path != "/tree/seen" {
		t.Errorf("the recursive watch: %+v", e)
	}
	if _, err := other.Set(ctx, "/still", nil, -1); err != nil {
		t.Fatal(err)
	}
	if e := <-still; e.Type != EventDataChanged {
		t.Errorf("what did not happen meanwhile: %+v", e)
	}
}

func TestWatchesAreRemoved(t *testing.T) {
	t.Parallel()
	c, ctx := newServer(t).connect(t, Options{}), t.Context()
	_, _, data, err1 := c.GetW(ctx, "/")
	_, _, child, err2 := c.ChildrenW(ctx, "/")
	one, err3 := c.AddWatch(ctx, "/", Recursive)
	two, err4 := c.AddWatch(ctx, "/", Recursive)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveWatches(ctx, "/", WatchesOfData); err != nil {
		t.Fatal(err)
	}
	if e, ok := <-data; !ok || e.Type != EventEnded || !errors.Is(e.Err, ErrRemoved) {
		t.Errorf("the removed watch: %+v", e)
	}
	if err := c.RemoveWatches(ctx, "/", WatchesOfData); !errors.Is(err, ErrNoWatcher) {
		t.Errorf("once more: %v", err)
	}
	one.Close()
	if _, open := <-one.Events(); open || !errors.Is(one.Err(), ErrClosed) {
		t.Errorf("a closed watch: %v", one.Err())
	}
	if err := c.CheckWatches(ctx, "/", WatchesRecursive); err != nil {
		t.Errorf("the other recursive one: %v", err)
	}
	two.Close()
	if err := c.CheckWatches(ctx, "/", WatchesRecursive); !errors.Is(err, ErrNoWatcher) {
		t.Errorf("no recursive one: %v", err)
	}
	if _, _, err := c.Create(ctx, "/n", nil, ModePersistent); err != nil {
		t.Fatal(err)
	}
	if e := <-child; e.Type != EventChildrenChanged {
		t.Errorf("the watch that stays: %+v", e)
	}
}

// TestWatchThatEndsLeavesTheOneThatBegins: both are one to the server.
func TestWatchThatEndsLeavesTheOneThatBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []request
		answer := make(chan struct{})
		f := &fakes{t: t, scripts: []func(*peer){func(p *peer) {
			p.welcome(7)
			first, _ := p.next()
			p.reply(first, 1, proto.OK, jute4{})
			second, _ := p.next()
			<-answer
			p.reply(second, 1, proto.OK, jute4{})
			got = p.serve()
		}}}
		c, ctx := f.client("a", Options{}), t.Context()
		first, err := c.AddWatch(ctx, "/n", Recursive)
		if err != nil {
			t.Fatal(err)
		}
		began := make(chan *Watch)
		go func() {
			w, err := c.AddWatch(ctx, "/n", Recursive)
			if err != nil {
				t.Error(err)
			}
			began <- w
		}()
		synctest.Wait()
		first.Close()
		close(answer)
		second := <-began
		c.notified(proto.WatcherEvent{Type: proto.EventCreated, Path: "/n"}, 2)
		if e := <-second.Events(); e.Type != EventCreated {
			t.Errorf("the second watch: %+v", e)
		}
		second.Close()
		_ = c.Close()
		synctest.Wait()
		if len(got) != 2 || got[0].Op != proto.OpRemoveWatches {
			t.Errorf("the server has got %v, want one removal, of the last", got)
		}
	})
}

// TestCallbacksMayMakeCalls, and come in order.
func TestCallbacksMayMakeCalls(t *testing.T) {
	t.Parallel()
	c, ctx := newServer(t).connect(t, Options{}), t.Context()
	told := make(chan string, 100)
	if _, err := c.AddWatchFunc(ctx, "/", Recursive, func(e Event) {
		if e.Type == EventCreated {
			data, _, err := c.Get(ctx, e.Path)
			told <- fmt.Sprintf("%s %s %v", e.Path, data, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		c.Async().Create(fmt.Sprintf("/%d", i), fmt.Appendf(nil, "data %d", i), ModePersistent).Then(func(v Created, err error) {
			told <- fmt.Sprintf("created %s %v", v.Path, err)
		})
	}
	for i := range 10 {
		for _, want := range []string{fmt.Sprintf("/%d data %d <nil>", i, i), fmt.Sprintf("created /%d <nil>", i)} {
			if got := <-told; got != want {
				t.Fatalf("told %q, want %q", got, want)
			}
		}
	}
	ended := make(chan Event, 1)
	if _, _, err := c.GetFunc(ctx, "/", func(e Event) { ended <- e }); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if e := <-ended; e.Type != EventEnded || !errors.Is(e.Err, ErrClosed) {
		t.Errorf("at the end: %+v", e)
	}
}

// TestEventsThatNobodyTakes end their watch, not the client.
func TestEventsThatNobodyTakes(t *testing.T) {
	c, err := New("unused", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := c.newWatch()
	for range maxQueue + 3 {
		w.tell(Event{Type: EventCreated, Path: "/n"})
	}
	for range w.Events() {
	}
	if !errors.Is(w.Err(), ErrOverflow) {
		t.Errorf("Err = %v", w.Err())
	}
}

func second[T any](_ T, err error) error { return err }

func second3[A, B any](_ A, _ B, err error) error { return err }
