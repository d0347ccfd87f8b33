package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/wire"
)

// settings reads a zoo.cfg with these lines, of a server alone whose port the kernel chooses.
func settings(t *testing.T, lines string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	text := "dataDir=" + t.TempDir() + "\nclientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\n" + lines
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start starts a server, which the test closes unless it is closed before.
func start(t *testing.T, cfg config.Config, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func startWith(t *testing.T, lines string) *Server {
	t.Helper()
	return start(t, settings(t, lines), quiet())
}

func closeServer(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// fill makes a node and writes it some times.
func fill(t *testing.T, s *Server, writes, size int) {
	t.Helper()
	c := dial(t, s, wire.Options{Timeout: time.Minute})
	if _, err := c.Create(t.Context(), "/n", nil, 0); err != nil && !errors.Is(err, proto.NodeExists) {
		t.Fatal(err)
	}
	for range writes {
		if _, err := c.Set(t.Context(), "/n", make([]byte, size), -1); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
}

// lockedBuffer is a log to look at while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// files returns the names below version-2 that match.
func files(t *testing.T, dir, pattern string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "version-2", pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	return names
}

func TestDirectories(t *testing.T) {
	logs := t.TempDir()
	cfg := settings(t, "preAllocSize=128\ndataLogDir="+logs)
	s := start(t, cfg, quiet())
	fill(t, s, 1, 1)
	info, err := os.Stat(filepath.Join(logs, "version-2", "log.1"))
	if err != nil || info.Size() != 128<<10 {
		t.Errorf("the log: %v, %v, want 128 KiB", info, err)
	}
	if got := files(t, cfg.DataDir, "*"); !slices.Contains(got, "snapshot.0") || len(files(t, cfg.DataDir, "log.*")) > 0 {
		t.Errorf("dataDir has %v", got)
	}
	if len(files(t, logs, "snapshot.*")) > 0 {
		t.Error("a snapshot among the logs")
	}
}

func TestSnapshotsAreTaken(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		more        bool
	}{
		{"after few txns", "snapCount=10", true},
		{"before many", "snapCount=1000", false},
		{"after few bytes", "snapSizeLimitInKb=16", true},
		{"regardless of bytes", "snapSizeLimitInKb=0", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, c.lines)
			s := start(t, cfg, quiet())
			fill(t, s, 40, 1000)
			closeServer(t, s)
			if got := files(t, cfg.DataDir, "snapshot.*"); len(got) > 1 != c.more {
				t.Errorf("snapshots %v", got)
			}
		})
	}
}

func TestLogFilesAreBounded(t *testing.T) {
	for lines, several := range map[string]bool{"preAllocSize=1024": false, "preAllocSize=1024\ntxnLogSizeLimitInKb=16": true} {
		cfg := settings(t, lines)
		s := start(t, cfg, quiet())
		fill(t, s, 200, 1000)
		closeServer(t, s)
		if got := files(t, cfg.DataDir, "log.*"); len(got) > 1 != several {
			t.Errorf("%q: logs %v", lines, got)
		}
	}
}

func TestPurge(t *testing.T) {
	cfg := settings(t, "snapCount=2")
	for range 6 {
		s := start(t, cfg, quiet())
		fill(t, s, 4, 1)
		closeServer(t, s)
	}
	before := files(t, cfg.DataDir, "snapshot.*")
	if len(before) < 5 {
		t.Fatalf("snapshots %v", before)
	}
	for _, c := range []struct {
		lines string
		left  int
	}{
		{"autopurge.purgeInterval=0\nautopurge.snapRetainCount=3", len(before)},
		{"autopurge.purgeInterval=1d\nautopurge.snapRetainCount=4", 4},
		{"autopurge.purgeInterval=1", 3},
	} {
		closeServer(t, start(t, settings(t, c.lines+"\ndataDir="+cfg.DataDir), quiet()))
		if got := files(t, cfg.DataDir, "snapshot.*"); len(got) != c.left {
			t.Errorf("%q leaves %v", c.lines, got)
		}
	}
}

// TestForceSync counts the syncs of the log that writes wait for.
func TestForceSync(t *testing.T) {
	for lines, synced := range map[string]bool{"forceSync=yes": true, "forceSync=no": false} {
		disk, o, syncs := vfs.NewMem(1), quiet(), atomic.Int64{}
		o.FS = disk
		s := start(t, settings(t, lines), o)
		disk.SetFault(func(op vfs.Op) error {
			if op.Kind == "sync" && strings.HasPrefix(filepath.Base(op.Path), "log.") {
				syncs.Add(1)
			}
			return nil
		})
		const writes = 20
		fill(t, s, writes, 1)
		if got := syncs.Load() >= writes; got != synced {
			t.Errorf("%s: %d syncs for %d writes", lines, syncs.Load(), writes)
		}
	}
}

func TestSlowSyncIsSaid(t *testing.T) {
	for lines, said := range map[string]bool{"fsync.warningthresholdms=1": true, "fsync.warningthresholdms=60000": false} {
		disk, o, out := vfs.NewMem(1), quiet(), &lockedBuffer{}
		o.FS, o.Log = disk, slog.New(slog.NewTextHandler(out, nil))
		s := start(t, settings(t, lines), o)
		disk.SetFault(func(op vfs.Op) error {
			for begun := time.Now(); op.Kind == "sync" && time.Since(begun) < 2*time.Millisecond; { // a slow disk
			}
			return nil
		})
		fill(t, s, 1, 1)
		if got := strings.Contains(out.String(), "a sync of the log in "); got != said {
			t.Errorf("%s: %s", lines, out.String())
		}
	}
}

// TestFlush: how long a write takes tells what it has waited for. Where it would have to wait for a minute the test
// would not end.
func TestFlush(t *testing.T) {
	for _, c := range []struct {
		lines string
		least time.Duration
	}{
		{"flushDelay=0", 0},
		{"flushDelay=30\nmaxWriteQueuePollTime=60000", 30 * time.Millisecond},
		{"flushDelay=60000\nmaxWriteQueuePollTime=20", 20 * time.Millisecond},
		{"flushDelay=60", 20 * time.Millisecond},
		{"flushDelay=60000\nmaxBatchSize=1", 0},
	} {
		s := startWith(t, c.lines)
		conn := dial(t, s, wire.Options{Timeout: time.Minute})
		begun := time.Now()
		if _, err := conn.Create(t.Context(), "/n", nil, 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < c.least {
			t.Errorf("%q: a write takes %v, want at least %v", c.lines, took, c.least)
		}
	}
}

func TestCompressedSnapshots(t *testing.T) {
	for method, magic := range map[string]string{"gz": "\x1f\x8b", "snappy": "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"} {
		cfg := settings(t, "snapshot.compression.method="+method+"\nsnapCount=10")
		s := start(t, cfg, quiet())
		fill(t, s, 40, 100_000)
		closeServer(t, s)
		all, packed := files(t, cfg.DataDir, "snapshot.*"), files(t, cfg.DataDir, "snapshot.*."+method)
		if len(packed) < 2 || len(packed) != len(all) {
			t.Fatalf("%s: snapshots %v", method, all)
		}
		newest := filepath.Join(cfg.DataDir, "version-2", slices.MaxFunc(packed, func(a, b string) int { return strings.Compare(a[:len("snapshot.00")], b[:len("snapshot.00")]) }))
		text, err := os.ReadFile(newest)
		if err != nil || !strings.HasPrefix(string(text), magic) || len(text) > 50_000 {
			t.Errorf("%s has %d bytes and begins with %q, %v", newest, len(text), text[:16], err)
		}
		again := start(t, cfg, quiet())
		if data, _, err := dial(t, again, wire.Options{}).Get(t.Context(), "/n", false); err != nil || len(data) != 100_000 {
			t.Errorf("%s: after the restart %d bytes, %v", method, len(data), err)
		}
	}
}

func TestEndsOfSnapshots(t *testing.T) {
	for lines, want := range map[string]snapshot.Trailer{
		"": {HasDigest: true, HasLast: true},
		"serializeLastProcessedZxid.enabled=false": {HasDigest: true},
		"digest.enabled=false":                     {},
	} {
		cfg := settings(t, lines)
		s := start(t, cfg, quiet())
		fill(t, s, 1, 1)
		closeServer(t, s)
		if x := lastTxn(t, cfg.DataDir); x.Header.Type != proto.OpSetData || x.HasDigest != want.HasDigest {
			t.Errorf("%q: the last txn is %+v", lines, x)
		}
		got, err := snapshot.ReadFile(vfs.Disk(), filepath.Join(cfg.DataDir, "version-2", "snapshot.0"), snapshot.Plain, tree.Empty(), 0)
		if err != nil || got.HasDigest != want.HasDigest || got.HasLast != want.HasLast {
			t.Errorf("%q: %+v, %v", lines, got, err)
		}
	}
}

func TestStartRules(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	bare, begun, logs := t.TempDir(), t.TempDir(), t.TempDir()
	s := start(t, settings(t, "dataDir="+logs), quiet())
	fill(t, s, 1, 1)
	closeServer(t, s)
	if err := errors.Join(os.WriteFile(filepath.Join(begun, "initialize"), nil, 0o600), os.Remove(filepath.Join(logs, "version-2", "snapshot.0"))); err != nil {
		t.Fatal(err)
	}
	damage := func(err error) bool { var d *datadir.DamageError; return errors.As(err, &d) }
	fine := func(err error) bool { return err == nil }
	for _, c := range []struct {
		lines string
		want  func(error) bool
	}{
		{"datadir.autocreate=false\ndataDir=" + missing, func(err error) bool { return errors.Is(err, datadir.ErrDirectory) }},
		{"datadir.autocreate=true\ndataDir=" + missing, fine},
		{"db.autocreate=false\ndataDir=" + bare, damage},
		{"db.autocreate=false\ndataDir=" + begun, fine},
		{"snapshot.trust.empty=false\ndataDir=" + logs, damage},
		{"snapshot.trust.empty=true\ndataDir=" + logs, fine},
	} {
		s, err := Start(t.Context(), settings(t, c.lines), quiet())
		if !c.want(err) {
			t.Errorf("%q: %v", c.lines, err)
		}
		if err == nil {
			closeServer(t, s)
		}
	}
	if _, err := os.Stat(filepath.Join(begun, "initialize")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file initialize counts again: %v", err)
	}
}

// lastTxn returns the last one in the first log.
func lastTxn(t *testing.T, dataDir string) (x txn.Txn) {
	t.Helper()
	r, err := txnlog.Open(vfs.Disk(), filepath.Join(dataDir, "version-2", "log.1"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := r.Next(); err == nil; e, err = r.Next() {
		if err := x.Decode(e.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// TestCloseSessionTxn: the ephemerals go whether or not the txn lists them.
func TestCloseSessionTxn(t *testing.T) {
	for lines, listed := range map[string]bool{"closeSessionTxn.enabled=true": true, "closeSessionTxn.enabled=false": false} {
		cfg := settings(t, lines)
		s := start(t, cfg, quiet())
		c := dial(t, s, wire.Options{})
		if _, err := c.Create(t.Context(), "/e", nil, proto.FlagEphemeral); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeServer(t, s)
		x := lastTxn(t, cfg.DataDir)
		if x.Header.Type != proto.OpCloseSession || x.Body.HasPaths != listed || len(x.Body.Paths) == 1 != listed || x.HasDigest != listed {
			t.Errorf("%s: the last txn is %+v", lines, x)
		}
		if _, err := dial(t, start(t, cfg, quiet()), wire.Options{}).Exists(t.Context(), "/e", false); !errors.Is(err, proto.NoNode) {
			t.Errorf("%s: after a restart: %v", lines, err)
		}
	}
}

func TestSessionTimeouts(t *testing.T) {
	for lines, want := range map[string][2]time.Duration{
		"tickTime=100": {200 * time.Millisecond, 2 * time.Second},
		"tickTime=100\nminSessionTimeout=300\nmaxSessionTimeout=400": {300 * time.Millisecond, 400 * time.Millisecond},
	} {
		s := startWith(t, lines)
		short, long := dial(t, s, wire.Options{Timeout: time.Millisecond}), dial(t, s, wire.Options{Timeout: time.Hour})
		if got := [2]time.Duration{short.Timeout, long.Timeout}; got != want {
			t.Errorf("%q: timeouts %v, want %v", lines, got, want)
		}
	}
}
