package client

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
)

// serve starts a zabd of the test's own and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress, cfg.PreAllocSize = t.TempDir(), 0, "127.0.0.1", 64<<10
	cfg.ExtendedTypesEnabled = true
	s, err := daemon.Start(t.Context(), cfg.Complete(), daemon.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s.ClientAddr()
}

// connect returns a client that has a session and is closed with the test.
func connect(t *testing.T, servers string, o Options) *Client {
	t.Helper()
	c, err := New(servers, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNodes(t *testing.T) {
	t.Parallel()
	c, ctx := connect(t, serve(t), Options{}), t.Context()
	path, st, err := c.Create(ctx, "/a", []byte("x"), ModePersistent)
	if err != nil || path != "/a" || st.DataLength != 1 {
		t.Fatalf("Create = %q, %+v, %v", path, st, err)
	}
	_, _, watch, err := c.GetW(ctx, "/a")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := c.Set(ctx, "/a", []byte("y"), 0); err != nil || st.Version != 1 {
		t.Fatalf("Set = %+v, %v", st, err)
	}
	if e := <-watch; e.Type != EventDataChanged || e.Path != "/a" {
		t.Fatalf("the watch tells %+v", e)
	}
	if _, err := c.Set(ctx, "/a", nil, 0); !errors.Is(err, ErrBadVersion) {
		t.Fatalf("Set of an old version = %v", err)
	}
	r, err := c.Txn().Check("/a", 1).Create("/a/b", nil, ModeEphemeral).Set("/a", nil, 1).Commit(ctx)
	if err != nil || len(r) != 3 || r[1].Path != "/a/b" || r[2].Stat.Version != 2 {
		t.Fatalf("Commit = %+v, %v", r, err)
	}
}
