package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/proto"
)

// TestOperations does each once and looks at its effect, in a chroot and out of it.
func TestOperations(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, _, err := s.connect(t, Options{}).Create(t.Context(), "/root", nil, ModePersistent); err != nil {
		t.Fatal(err)
	}
	for _, chroot := range []string{"", "/root"} {
		t.Run("chroot "+chroot, func(t *testing.T) { operations(t, s.connectTo(t, chroot, Options{})) })
	}
}

func operations(t *testing.T, c *Client) {
	ctx := t.Context()
	is := func(what string, got, want any) {
		t.Helper()
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s = %s, want %s", what, g, w)
		}
	}
	no := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	path, st, err := c.Create(ctx, "/a", []byte("x"), ModePersistent)
	no("Create", err)
	is("Create", []any{path, st.DataLength}, "[/a 1]")
	path, st, err = c.Create(ctx, "/a/e-", nil, ModeEphemeralSequential)
	no("Create", err)
	is("Create", []any{path, st.EphemeralOwner}, []any{"/a/e-0000000000", c.SessionID()})
	path, _, err = c.Create(ctx, "/a/", nil, ModePersistentSequential)
	no("Create of a bare number", err)
	is("Create of a bare number", path, "/a/0000000001")
	_, _, err = c.Create(ctx, "/box", nil, ModeContainer)
	no("Create of a container", err)
	_, _, err = c.CreateTTL(ctx, "/ttl", nil, ModePersistent, time.Hour)
	no("CreateTTL", err)
	names, st, err := c.Children(ctx, "/a")
	no("Children", err)
	is("Children", []any{names, st.NumChildren}, "[[0000000001 e-0000000000] 2]")
	all, err := c.Ephemerals(ctx, "/a")
	no("Ephemerals", err)
	is("Ephemerals", all, "[/a/e-0000000000]")
	n, err := c.AllChildrenNumber(ctx, "/a")
	no("AllChildrenNumber", err)
	is("AllChildrenNumber", n, 2)
	st, err = c.Set(ctx, "/a", []byte("yy"), 0)
	no("Set", err)
	is("Set", st.Version, 1)
	no("Sync", c.Sync(ctx, "/a"))
	data, st, err := c.Get(ctx, "/a")
	no("Get", err)
	is("Get", fmt.Sprintf("%s %d", data, st.Version), "yy 1")
	no("Delete", c.Delete(ctx, "/a/0000000001", 0))
	_, ok, err := c.Exists(ctx, "/a/0000000001")
	no("Exists", err)
	is("Exists", ok, false)
	is("Get of nothing", errors.Is(second3(c.Get(ctx, "/none")), ErrNoNode), true)

	no("AddAuth", c.AddAuth(ctx, "digest", []byte("u:p")))
	ids, err := c.WhoAmI(ctx)
	no("WhoAmI", err)
	is("WhoAmI", slices.Contains(ids, proto.ID{Scheme: "digest", ID: "u"}), true)
	mine := []ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}
	st, err = c.SetACL(ctx, "/box", mine, 0)
	no("SetACL", err)
	acl, _, err := c.ACL(ctx, "/box")
	no("ACL", err)
	is("ACL", []any{st.Aversion, len(acl), acl[0].ID.Scheme}, "[1 1 digest]")
	config, _, err := c.Config(ctx)
	no("Config", err)
	is("Config", string(config), "")
	is("Reconfig", errors.Is(second3(c.Reconfig(ctx, "", "1", "", -1)), proto.ReconfigDisabled), true)
	transactions(t, c)
	no("clean up", errors.Join(c.Delete(ctx, "/a/e-0000000000", -1), c.Delete(ctx, "/a", -1)))
}

func transactions(t *testing.T, c *Client) {
	ctx := t.Context()
	r, err := c.Txn().Check("/a", 1).Create("/t", []byte("1"), ModePersistent).Create("/t/s-", nil, ModeEphemeralSequential).
		CreateTTL("/t/ttl", nil, ModePersistent, time.Minute).Create("/t/c", nil, ModeContainer).Set("/t", []byte("22"), 0).Delete("/t/ttl", -1).Commit(ctx)
	if err != nil || len(r) != 7 || r[2].Path != "/t/s-0000000000" || r[5].Stat.Version != 1 {
		t.Fatalf("Commit = %+v, %v", r, err)
	}
	var failed *TxnError
	r, err = c.Txn().Delete("/t/c", -1).Set("/t", nil, 0).Delete("/t", -1).Commit(ctx)
	if !errors.As(err, &failed) || failed.Index != 1 || !errors.Is(err, ErrBadVersion) || len(r) != 3 || r[0].Err != nil || r[2].Err == nil {
		t.Fatalf("Commit of what cannot be = %+v, %v", r, err)
	}
	if _, ok, err := c.Exists(ctx, "/t/c"); !ok || err != nil {
		t.Fatalf("it has happened in part: %v, %v", ok, err)
	}
	r, err = c.Reads().Get("/t").Get("/none").Children("/t").Do(ctx)
	if err != nil || string(r[0].Data) != "22" || !errors.Is(r[1].Err, ErrNoNode) || len(r[2].Names) != 2 {
		t.Fatalf("Reads = %+v, %v", r, err)
	}
	if _, err := c.Txn().Delete("/t/s-0000000000", 0).Delete("/t/c", 0).Delete("/t", 1).Commit(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestFutures: many are under way at once, and are answered in order.
func TestFutures(t *testing.T) {
	t.Parallel()
	c, ctx := newServer(t).connect(t, Options{}), t.Context()
	a := c.Async()
	a.Create("/n", nil, ModePersistent)
	var sets []*Future[Stat]
	for range 1000 {
		sets = append(sets, a.Set("/n", nil, -1))
	}
	last := a.Get("/n")
	for i, f := range sets {
		if st, err := f.Wait(ctx); err != nil || int(st.Version) != i+1 {
			t.Fatalf("set %d: version %d, %v", i, st.Version, err)
		}
	}
	if n, err := last.Wait(ctx); err != nil || n.Stat.Version != 1000 {
		t.Fatalf("the read behind them: %+v, %v", n.Stat, err)
	}
}

// TestDetach: another client takes over the session with its ephemeral nodes; Close ends it.
func TestDetach(t *testing.T) {
	t.Parallel()
	s, ctx := newServer(t), t.Context()
	first := s.connect(t, Options{})
	if _, _, err := first.Create(ctx, "/e", nil, ModeEphemeral); err != nil {
		t.Fatal(err)
	}
	session := first.Detach()
	second, other := s.connect(t, Options{Session: &session}), s.connect(t, Options{})
	if st, ok, err := other.Exists(ctx, "/e"); !ok || err != nil || st.EphemeralOwner != second.SessionID() {
		t.Fatalf("%+v, %v, %v in session %d", st, ok, err, second.SessionID())
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := other.Exists(ctx, "/e"); ok || err != nil {
		t.Fatalf("after Close: %v, %v", ok, err)
	}
	for name, c := range map[string]*Client{"detached": first, "closed": second} {
		if _, _, err := c.Get(ctx, "/"); !errors.Is(err, ErrClosed) {
			t.Errorf("Get of a client that is %s = %v", name, err)
		}
	}
}

// TestBadInput: what a user can get wrong has a type, and a text that says what to do.
func TestBadInput(t *testing.T) {
	t.Parallel()
	c, ctx := newServer(t).connect(t, Options{}), t.Context()
	if err := c.Sync(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct {
		err error
		is  error
		as  any
		say string
	}{
		"trailing slash":     {second3(c.Get(ctx, "/a/")), ErrBadArguments, new(*PathError), `ends with a slash: want /a`},
		"no slash":           {second3(c.Get(ctx, "a")), ErrBadArguments, new(*PathError), `does not begin with a slash: want /a`},
		"empty":              {c.Delete(ctx, "", -1), ErrBadArguments, new(*PathError), `the root is /`},
		"two slashes":        {c.Sync(ctx, "/a//b"), ErrBadArguments, new(*PathError), `one slash between names`},
		"dots":               {second3(c.Children(ctx, "/a/../b")), ErrBadArguments, new(*PathError), `absolute`},
		"a NUL":              {second(c.Set(ctx, "/a\x00", nil, -1)), ErrBadArguments, new(*PathError), `no path may hold`},
		"in a transaction":   {second(c.Txn().Delete("/", 0).Delete("/a/", 0).Commit(ctx)), ErrBadArguments, new(*TxnError), `operation 1 failed`},
		"in several reads":   {second(c.Reads().Get("/a/").Do(ctx)), ErrBadArguments, new(*PathError), `want /a`},
		"2 MB":               {second3(c.Create(ctx, "/big", make([]byte, 2<<20), 0)), ErrBadArguments, new(*TooLargeError), `raise jute.maxbuffer`},
		"2 MB in a multi":    {second(c.Txn().Set("/", make([]byte, 2<<20), -1).Commit(ctx)), ErrBadArguments, new(*TooLargeError), `2097`},
		"the root":           {c.Delete(ctx, "/", -1), ErrBadArguments, new(*Error), `delete /`},
		"no parent":          {second3(c.Create(ctx, "/no/n", nil, ModePersistent)), ErrNoNode, new(*Error), `create2 /no/n: no node`},
		"not empty":          {c.Delete(ctx, "/zookeeper/x", -1), ErrNoNode, new(*Error), `no node`},
		"an unknown scheme":  {second3(c.Create(ctx, "/n", nil, 0, ACL{Perms: 31, ID: proto.ID{Scheme: "x", ID: "y"}})), ErrInvalidACL, new(*Error), `scheme`},
		"a TTL of nothing":   {second3(c.CreateTTL(ctx, "/n", nil, ModePersistent, 0)), ErrBadArguments, new(*Error), `createTTL /n`},
		"an unknown address": {second(New("host:port", Options{})), nil, new(*AddressError), `want host:port,host:port/chroot`},
		"no host":            {second(New(":2181", Options{})), nil, new(*AddressError), `no host`},
		"no name":            {second(New("a,,b", Options{})), nil, new(*AddressError), `empty`},
		"a bad chroot":       {second(New("a/b/", Options{})), nil, new(*PathError), `want /b`},
	} {
		if one.err == nil || one.is != nil && !errors.Is(one.err, one.is) || !errors.As(one.err, one.as) || !strings.Contains(one.err.Error(), one.say) {
			t.Errorf("%s: %v, want %v, %T, %q", name, one.err, one.is, one.as, one.say)
		}
	}
	// The connection has not suffered.
	if err := c.AddAuth(ctx, "nosuch", nil); !errors.Is(err, ErrAuthFailed) {
		t.Errorf("AddAuth = %v", err)
	}
	if _, _, err := c.Get(ctx, "/"); err != nil {
		t.Errorf("after a credential that was refused: %v", err)
	}
}

// TestWrongAddresses: nobody listens, somebody else does, or nobody answers.
func TestWrongAddresses(t *testing.T) {
	t.Parallel()
	listen := func(handle func(nc net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if handle == nil {
			_ = l.Close()
		}
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				handle(nc)
				_ = nc.Close()
			}
		}()
		return l.Addr().String()
	}
	for name, one := range map[string]struct{ addr, say string }{
		"nobody":        {listen(nil), "connection refused"},
		"a web server":  {listen(func(nc net.Conn) { _, _ = io.WriteString(nc, "HTTP/1.1 400 Bad Request\r\n\r\n") }), "does not answer as a ZooKeeper server does"},
		"one that ends": {listen(func(nc net.Conn) { _, _ = nc.Read(make([]byte, 100)) }), "has no quorum, or too many connections"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c, err := New(one.addr, Options{RetryMin: time.Millisecond, Metrics: Metrics{Lost: func(string, error) { cancel() }}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			<-ctx.Done()
			var not *NotConnectedError
			err = c.Connected(ctx)
			if !errors.As(err, &not) {
				t.Errorf("Connected = %v", err)
			}
			if err == nil || !strings.Contains(err.Error(), one.say) || !strings.Contains(err.Error(), "check the addresses") {
				t.Errorf("Connected = %v, want %q", err, one.say)
			}
		})
	}
}

// TestMetricsAndLog: each call, event and connection is told once.
func TestMetricsAndLog(t *testing.T) {
	t.Parallel()
	type call struct {
		op proto.Op
		ok bool
	}
	calls, connected, events := make(chan call, 10), make(chan string, 10), make(chan EventType, 10)
	var log strings.Builder
	c := newServer(t).connect(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: Metrics{
		Call: func(op proto.Op, took time.Duration, err error) {
			if took <= 0 || took > time.Hour {
				t.Errorf("%v took %v", op, took)
			}
			calls <- call{op, err == nil}
		},
		Connected: func(server string) { connected <- server },
		Event:     func(e EventType) { events <- e },
	}})
	ctx := t.Context()
	_, _, _, _ = c.ChildrenW(ctx, "/")
	_, _, _ = c.Create(ctx, "/n", nil, ModePersistent)
	_, _, _ = c.Get(ctx, "/none")
	for _, want := range []call{{proto.OpGetChildren2, true}, {proto.OpCreate2, true}, {proto.OpGetData, false}} {
		if got := <-calls; got != want {
			t.Errorf("told of %v, want %v", got, want)
		}
	}
	if e, server := <-events, <-connected; e != EventChildrenChanged || server != "server:2181" {
		t.Errorf("told of %v, %v", e, server)
	}
	_ = c.Close()
	if !strings.Contains(log.String(), "zookeeper: connected") || !strings.Contains(log.String(), "server=server:2181") {
		t.Errorf("logged %s", log.String())
	}
}

// TestConnectionIsCutAgainAndAgain under goroutines that make changes and reads: each change has happened once, or not at all
// if it was uncertain, and every read has an answer.
func TestConnectionIsCutAgainAndAgain(t *testing.T) {
	t.Parallel()
	c, ctx := newServer(t).connect(t, Options{RetryMin: time.Millisecond}), t.Context()
	session := c.SessionID()
	var wg sync.WaitGroup
	for i := range 8 {
		path := fmt.Sprintf("/n%d", i)
		if _, _, err := c.Create(ctx, path, nil, ModeEphemeral); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			open := false
			for n := int32(0); n < 200; {
				st, err := c.Set(ctx, path, nil, n)
				late := open && errors.Is(err, ErrBadVersion) // it was on its way when we looked
				if open = Uncertain(err); open || late {
					st, _, err = c.Exists(ctx, path)
				}
				if err != nil || st.Version != n+1 && !(open && st.Version == n) {
					t.Errorf("%s: version %d after %d, %v", path, st.Version, n, err)
					return
				}
				n = st.Version
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for events := c.Events(); ; {
		select {
		case <-done:
			if c.SessionID() != session {
				t.Errorf("the session %#x is now %#x", session, c.SessionID())
			}
			return
		case e := <-events:
			if conn := c.conn.Load(); e.State == StateConnected && conn != nil {
				if _, err := c.Async().Sync("/").Wait(ctx); err != nil { // something gets through
					t.Error(err)
				}
				conn.Fail(errors.New("cut"))
			}
		}
	}
}
