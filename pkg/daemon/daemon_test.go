package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/wire"
)

func testConfig(dir string) config.Config {
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress, cfg.PreAllocSize = dir, 0, "127.0.0.1", 64<<10
	return cfg.Complete()
}

func quiet() Options { return Options{Log: slog.New(slog.DiscardHandler), Version: "test"} }

// TestSessionsAndNodesOutliveTheServer stops a server and starts another one on its directories.
func TestSessionsAndNodesOutliveTheServer(t *testing.T) {
	cfg, ctx := testConfig(t.TempDir()), t.Context()
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, wire.Options{})
	if _, err := c.Create(ctx, "/e", []byte("mine"), proto.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if path, err := c.Create(ctx, "/s-", nil, proto.FlagSequential); err != nil || path != fmt.Sprintf("/s-%010d", i+1) {
			t.Fatalf("sequential %q, %v", path, err)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close(context.Background()) }()
	back := dial(t, again, wire.Options{SessionID: c.SessionID, Password: c.Password})
	data, st, err := back.Get(ctx, "/e", false)
	if err != nil || string(data) != "mine" || st.EphemeralOwner != c.SessionID {
		t.Fatalf("after the restart: %q, %+v, %v", data, st, err)
	}
	if err := back.CloseSession(ctx); err != nil {
		t.Fatal(err)
	}
	other := dial(t, again, wire.Options{})
	if _, err := other.Exists(ctx, "/e", false); !errors.Is(err, proto.NoNode) {
		t.Fatalf("the ephemeral of a closed session: %v", err)
	}
	if _, err := wire.Dial(ctx, again.ClientAddr(), wire.Options{SessionID: c.SessionID, Password: c.Password}); !errors.Is(err, wire.ErrRefused) {
		t.Fatalf("attaching to a closed session: %v", err)
	}
}

// TestFailingDiskEndsTheServer fails writes and syncs of the log: nothing unsynced is acknowledged, the error names the
// path and has its exit code, and after repair everything acknowledged is there.
func TestFailingDiskEndsTheServer(t *testing.T) {
	for name, cause := range map[string]error{"full": syscall.ENOSPC, "read-only": syscall.EROFS, "broken": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			disk, cfg, ctx := vfs.NewMem(1), testConfig("/data"), t.Context()
			o := quiet()
			o.FS = disk
			s, err := Start(ctx, cfg, o)
			if err != nil {
				t.Fatal(err)
			}
			c := dial(t, s, wire.Options{})
			if _, err := c.Create(ctx, "/n", []byte("0"), 0); err != nil {
				t.Fatal(err)
			}
			disk.SetFault(func(vfs.Op) error { return cause })
			lost := c.Go(proto.OpSetData, &proto.SetDataRequest{Path: "/n", Data: []byte("1"), Version: -1}, nil)
			failure := <-s.Failed()
			var diskErr *datadir.DiskError
			if !errors.As(failure, &diskErr) || !strings.Contains(failure.Error(), "/data/version-2/log.") || exitCode(failure) != exit.Disk {
				t.Fatalf("the server ends with %v, exit code %d", failure, exitCode(failure))
			}
			_ = s.Close(ctx)
			if _, err := c.Wait(ctx, lost); err == nil {
				t.Error("a write is acknowledged that is on no disk")
			}
			disk.SetFault(nil)
			again, err := Start(ctx, cfg, o)
			if err != nil {
				t.Fatalf("after repair: %v", err)
			}
			defer func() { _ = again.Close(context.Background()) }()
			if data, _, err := dial(t, again, wire.Options{}).Get(ctx, "/n", false); err != nil || string(data) == "" {
				t.Fatalf("after repair: %q, %v", data, err)
			}
		})
	}
}

// TestSnapshotsBesideWriters writes under several clients with a low snapCount, kills nothing, and starts again: what
// the snapshots and the log behind them make is what was acknowledged.
func TestSnapshotsBesideWriters(t *testing.T) {
	cfg, ctx := testConfig(t.TempDir()), t.Context()
	cfg.SnapCount = 100
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	const clients, writes = 4, 400
	var wg sync.WaitGroup
	for i := range clients {
		c := dial(t, s, wire.Options{})
		wg.Add(1)
		go func() {
			defer wg.Done()
			path := fmt.Sprintf("/c%d", i)
			if _, err := c.Create(ctx, path, nil, 0); err != nil {
				t.Error(err)
			}
			for n := range writes {
				if _, err := c.Set(ctx, path, fmt.Appendf(nil, "%d", n), int32(n)); err != nil {
					t.Errorf("set %s %d: %v", path, n, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	snapshots, _ := filepath.Glob(filepath.Join(cfg.DataDir, "version-2", "snapshot.*"))
	if len(snapshots) < 2 {
		t.Fatalf("snapshots: %v", snapshots)
	}
	again, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close(context.Background()) }()
	c := dial(t, again, wire.Options{})
	for i := range clients {
		data, st, err := c.Get(ctx, fmt.Sprintf("/c%d", i), false)
		if err != nil || string(data) != fmt.Sprint(writes-1) || st.Version != writes {
			t.Fatalf("/c%d is %q, version %d, %v", i, data, st.Version, err)
		}
	}
}

// TestExitCodes starts what cannot serve.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	running, err := Start(t.Context(), testConfig(dir), quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close(context.Background()) }()
	foreign := t.TempDir()
	if err := os.MkdirAll(filepath.Join(foreign, "version-2"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "version-2", "snapshot.5"), []byte("not a snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	busy := testConfig(t.TempDir())
	busy.ClientPort = running.listeners[0].Addr().(*net.TCPAddr).Port
	damaged := testConfig(foreign)
	damaged.DBAutocreate = false
	nowhere := testConfig(filepath.Join(t.TempDir(), "none"))
	nowhere.DatadirAutocreate = false
	for name, c := range map[string]struct {
		cfg  config.Config
		want int
	}{
		"another server in the directory": {testConfig(dir), exit.Locked},
		"port in use":                     {busy, exit.Port},
		"nothing that loads":              {damaged, exit.Damage},
		"no directory":                    {nowhere, exit.Foreign},
	} {
		s, err := Start(t.Context(), c.cfg, quiet())
		if err == nil {
			_ = s.Close(t.Context())
		}
		if exitCode(err) != c.want {
			t.Errorf("%s: %v has exit code %d, want %d", name, err, exitCode(err), c.want)
		}
	}
}

func TestProgramRefusesItsCommandLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte("dataDir="+dir+"\nclientPort=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--nonsense"}, exit.Usage},
		{[]string{"extra"}, exit.Usage},
		{[]string{"--set", "x"}, exit.Usage},
		{[]string{"--config", filepath.Join(dir, "none")}, exit.Config},
		{[]string{"--config", file}, exit.Config},
		{[]string{"--set", "tickTime=2000"}, exit.Config},
		{[]string{"--version"}, exit.OK},
		{[]string{"--set", "dataDir=" + dir, "--log-format", "xml"}, exit.Usage},
	} {
		stderr, err := os.CreateTemp(dir, "stderr")
		if err != nil {
			t.Fatal(err)
		}
		if got := Main(c.args, nil, stderr, Program{Version: "test"}); got != c.want {
			t.Errorf("zabd %v ends with %d, want %d", c.args, got, c.want)
		}
		_ = stderr.Close()
	}
}
