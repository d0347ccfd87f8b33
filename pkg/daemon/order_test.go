package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// TestReadsSeeTheWritesBeforeThem pipelines writes and reads: each read sees exactly the writes before it.
func TestReadsSeeTheWritesBeforeThem(t *testing.T) {
	s := startServer(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		c := dial(t, s, wire.Options{})
		path := fmt.Sprintf("/n%d", i)
		if _, err := c.Create(t.Context(), path, nil, 0); err != nil {
			t.Fatal(err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			const rounds = 300
			sets, gets, stats := make([]*wire.Call, rounds), make([]*wire.Call, rounds), make([]proto.DataReply, rounds)
			for n := range rounds {
				sets[n] = c.Go(proto.OpSetData, &proto.SetDataRequest{Path: path, Data: fmt.Append(nil, n), Version: -1}, nil)
				gets[n] = c.Go(proto.OpGetData, &proto.ReadRequest{Path: path}, &stats[n])
			}
			for n := range rounds {
				set, err := c.Wait(t.Context(), sets[n])
				get, err2 := c.Wait(t.Context(), gets[n])
				if err != nil || err2 != nil || string(stats[n].Data) != fmt.Sprint(n) || stats[n].Stat.Mzxid != set || get < set {
					t.Errorf("%s: read %d is %q at %v after the write at %v: %v, %v", path, n, stats[n].Data, get, set, err, err2)
					return
				}
			}
		}()
	}
	wg.Wait()
}

// happening is a notification or a reply, in the order in which one connection was told.
type happening struct {
	xid  int32
	path string
	typ  proto.EventType
	zxid proto.Zxid
}

// happenings reads n frames of a raw connection.
func happenings(t *testing.T, nc io.Reader, n int) []happening {
	t.Helper()
	var out []happening
	for range n {
		var head [4]byte
		if _, err := io.ReadFull(nc, head[:]); err != nil {
			t.Fatalf("after %v: %v", out, err)
		}
		d := jute.NewDecoder(head[:])
		b := make([]byte, d.Int())
		if _, err := io.ReadFull(nc, b); err != nil {
			t.Fatal(err)
		}
		d = jute.NewDecoder(b)
		var h proto.ReplyHeader
		_ = h.Decode(&d)
		x := happening{xid: h.Xid, zxid: h.Zxid}
		if h.Xid == proto.XidNotification {
			var e proto.WatcherEvent
			_ = e.Decode(&d)
			x.path, x.typ = e.Path, e.Type
		}
		out = append(out, x)
	}
	return out
}

// TestNotificationComesBeforeTheReplyThatRevealsIt: also for one's own write, and for reads parked behind it.
func TestNotificationComesBeforeTheReplyThatRevealsIt(t *testing.T) {
	s := startServer(t, nil)
	nc := raw(t, s)
	shake(t, nc)
	create := (&proto.CreateRequest{Path: "/w", ACL: proto.WorldAll()}).AppendTo(nil)
	set := (&proto.SetDataRequest{Path: "/w", Version: -1}).AppendTo(nil)
	var out []byte
	for _, frame := range [][]byte{
		request(1, proto.OpExists, (&proto.ReadRequest{Path: "/w", Watch: true}).AppendTo(nil)),
		request(2, proto.OpGetChildren, (&proto.ReadRequest{Path: "/", Watch: true}).AppendTo(nil)),
		request(3, proto.OpCreate, create),
		request(4, proto.OpGetData, (&proto.ReadRequest{Path: "/w", Watch: true}).AppendTo(nil)),
		request(5, proto.OpSetData, set),
		request(6, proto.OpGetData, (&proto.ReadRequest{Path: "/w"}).AppendTo(nil)),
	} {
		out = append(out, frame...)
	}
	if _, err := nc.Write(out); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, h := range happenings(t, nc, 9) {
		got += fmt.Sprintf("%d%s ", h.xid, h.path)
	}
	if want := "1 2 -1/w -1/ 3 4 -1/w 5 6 "; got != want {
		t.Fatalf("order %q, want %q", got, want)
	}
}

// TestTrap10_FilteredEventUsesUpItsWatch: who may not read the node is not told, and the watch is gone all the same.
func TestTrap10_FilteredEventUsesUpItsWatch(t *testing.T) {
	s, ctx := startServer(t, nil), t.Context()
	var mu sync.Mutex
	var told []proto.WatcherEvent
	watcher := dial(t, s, wire.Options{Event: func(e proto.WatcherEvent, _ proto.Zxid) {
		mu.Lock()
		told = append(told, e)
		mu.Unlock()
	}})
	writer := dial(t, s, wire.Options{})
	if _, err := writer.Create(ctx, "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := watcher.Get(ctx, "/n", true); err != nil {
		t.Fatal(err)
	}
	closed := []proto.ACL{{Perms: proto.PermAdmin | proto.PermWrite, ID: proto.ID{Scheme: "world", ID: "anyone"}}}
	for _, acl := range [][]proto.ACL{closed, proto.WorldAll()} {
		if _, err := writer.SetACL(ctx, "/n", acl, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Set(ctx, "/n", nil, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := watcher.Ping(ctx); err != nil { // what was to be told has been, before this
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 0 {
		t.Fatalf("told %v: the first change was filtered, and the second had no watch", told)
	}
}

// TestTrap10_ReplayedEventsAreNotFiltered: setWatches tells what has changed since, with zxid -1, whatever the ACL says.
func TestTrap10_ReplayedEventsAreNotFiltered(t *testing.T) {
	s, ctx := startServer(t, nil), t.Context()
	c := dial(t, s, wire.Options{})
	if _, err := c.Create(ctx, "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	st, err := c.Set(ctx, "/n", nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetACL(ctx, "/n", []proto.ACL{{Perms: proto.PermAdmin, ID: proto.ID{Scheme: "world", ID: "anyone"}}}, -1); err != nil {
		t.Fatal(err)
	}
	nc := raw(t, s)
	shake(t, nc)
	r := proto.SetWatchesRequest{RelativeZxid: st.Mzxid - 1, Data: []string{"/n", "/gone"}, Exist: []string{"/n"}, Child: []string{"/"}}
	if _, err := nc.Write(request(proto.XidSetWatches, proto.OpSetWatches, r.AppendTo(nil))); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, h := range happenings(t, nc, 4) {
		got += fmt.Sprintf("%d:%d%s@%v ", h.xid, h.typ, h.path, h.zxid == -1)
	}
	if want := "-1:3/n@true -1:2/gone@true -1:1/n@true -8:0@false "; got != want {
		t.Fatalf("told %q, want %q", got, want)
	}
}

// TestTrap13_WrongPasswordClosesTheLiveConnection of that session, on this server.
func TestTrap13_WrongPasswordClosesTheLiveConnection(t *testing.T) {
	s := startServer(t, nil)
	live := dial(t, s, wire.Options{})
	_, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{SessionID: live.SessionID, Password: make([]byte, 16)})
	if !errors.Is(err, wire.ErrRefused) {
		t.Fatalf("a wrong password: %v", err)
	}
	if err := live.Broken(); err == nil {
		t.Fatal("the live connection goes on")
	}
	back := dial(t, s, wire.Options{SessionID: live.SessionID, Password: live.Password})
	if err := back.Ping(t.Context()); err != nil {
		t.Fatalf("the session is of no use any more: %v", err)
	}
}

// TestTrap11_StandaloneCheckNeverReachesTheLog: it is refused at intake, and the session survives.
func TestTrap11_StandaloneCheckNeverReachesTheLog(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s, wire.Options{})
	before := s.pipeline.LastZxid()
	if _, err := c.Call(t.Context(), proto.OpCheck, &proto.VersionRequest{Path: "/", Version: -1}, nil); !errors.Is(err, proto.Unimplemented) {
		t.Fatalf("check: %v", err)
	}
	_ = c.Broken()
	back := dial(t, s, wire.Options{SessionID: c.SessionID, Password: c.Password})
	if _, err := back.Exists(t.Context(), "/", false); err != nil || s.pipeline.LastZxid() != before {
		t.Fatalf("after it: %v, zxid %v, was %v", err, s.pipeline.LastZxid(), before)
	}
}

// TestSilentSessionExpires takes its ephemerals along, and tells those who watch them.
func TestSilentSessionExpires(t *testing.T) {
	s := startServer(t, func(c *config.Config) {
		c.TickTime, c.MinSessionTimeout, c.MaxSessionTimeout = 20*time.Millisecond, 40*time.Millisecond, time.Minute
	})
	gone := make(chan proto.WatcherEvent, 1)
	watcher := dial(t, s, wire.Options{Timeout: time.Minute, Event: func(e proto.WatcherEvent, _ proto.Zxid) { gone <- e }})
	silent := dial(t, s, wire.Options{Timeout: 40 * time.Millisecond})
	if _, err := silent.Create(t.Context(), "/e", nil, proto.FlagEphemeral); err != nil && !errors.Is(err, proto.SessionExpired) {
		t.Fatal(err)
	}
	switch _, err := watcher.Exists(t.Context(), "/e", true); {
	case err == nil:
		if e := <-gone; e.Type != proto.EventDeleted || e.Path != "/e" {
			t.Fatalf("told %+v", e)
		}
	case !errors.Is(err, proto.NoNode): // it has expired already
		t.Fatal(err)
	}
	if err := silent.Broken(); err == nil {
		t.Fatal("the connection of an expired session goes on")
	}
	if _, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{SessionID: silent.SessionID, Password: silent.Password}); !errors.Is(err, wire.ErrRefused) {
		t.Fatalf("attaching to an expired session: %v", err)
	}
}

// TestSlowClient sends a request byte by byte.
func TestSlowClient(t *testing.T) {
	s := startServer(t, nil)
	nc := raw(t, s)
	shake(t, nc)
	for _, b := range request(5, proto.OpGetData, (&proto.ReadRequest{Path: "/"}).AppendTo(nil)) {
		if _, err := nc.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if h := happenings(t, nc, 1); h[0].xid != 5 {
		t.Fatalf("answer %+v", h)
	}
}

// TestStopAnswersOrBreaks stops a server under load: what was acknowledged is there after the next start.
func TestStopAnswersOrBreaks(t *testing.T) {
	cfg, ctx := testConfig(t.TempDir()), t.Context()
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, wire.Options{})
	var calls []*wire.Call
	for i := range 2000 {
		calls = append(calls, c.Go(proto.OpCreate, &proto.CreateRequest{Path: fmt.Sprintf("/n%d", i), ACL: proto.WorldAll()}, nil))
	}
	<-calls[100].Done
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close(context.Background()) })
	back, acknowledged := dial(t, again, wire.Options{}), 0
	for i, call := range calls {
		if _, err := c.Wait(ctx, call); err != nil {
			continue
		}
		acknowledged++
		if _, err := back.Exists(ctx, fmt.Sprintf("/n%d", i), false); err != nil {
			t.Fatalf("create %d was acknowledged: %v", i, err)
		}
	}
	if acknowledged < 100 {
		t.Fatalf("%d acknowledged", acknowledged)
	}
}
