package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/admin"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/wire"
)

// started is a server that ends with the test, and dialled a client of it that never times out.
func started(t *testing.T, lines string) *Server {
	t.Helper()
	s, err := Start(t.Context(), loadConfig(t, lines), quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// taken returns a snapshot by the admin command.
func taken(t *testing.T, s *Server) []byte {
	t.Helper()
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	b, err := io.ReadAll(snap)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nodes returns every path with its data, zxids and owner, and the sessions.
func nodes(s *Server) string {
	var list []string
	s.pipeline.View(func(t *tree.Tree) {
		walk := t.NewWalk()
		defer walk.Close()
		walk.Next(1<<30, func(path string, data []byte, _ int64, st *proto.StatPersisted) {
			list = append(list, fmt.Sprintf("%s %q %v %v %x", path, data, st.Czxid, st.Mzxid, st.EphemeralOwner))
		})
		list = append(list, fmt.Sprint(walk.Sessions))
	})
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// TestARestoreOutlivesARestart: the tree and the sessions are those of the snapshot, and so are they after a restart.
// Clients' connections end, and with them their watches; a session that the snapshot has goes on.
func TestARestoreOutlivesARestart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := started(t, "controlSocket=DIR/s\n")
	c := dial(t, s, wire.Options{})
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Create(ctx, "/a", []byte("old"), 0))
	must(c.Create(ctx, "/e", nil, proto.FlagEphemeral))
	before, backup := nodes(s), taken(t, s)
	at := s.pipeline.LastZxid()
	late := dial(t, s, wire.Options{})
	must(late.Create(ctx, "/later", nil, proto.FlagEphemeral))
	must(c.Set(ctx, "/a", []byte("new"), -1))
	must(nil, c.Delete(ctx, "/e", -1))
	last := s.pipeline.LastZxid()

	status, text, _ := askSocket(t, s.cfg.ControlSocket).ask("POST", "/commands/restore", "", string(backup))
	if want := fmt.Sprintf("{\n  \"last_zxid\" : %d,\n  \"command\" : \"restore\",\n  \"error\" : null\n}", int64(at)); status != 200 || text != want {
		t.Fatalf("restore = %d %s", status, text)
	}
	<-c.Done()
	<-late.Done()
	if got := nodes(s); got != before {
		t.Errorf("restored is\n%s\nand was\n%s", got, before)
	}
	if now := s.pipeline.LastZxid(); now <= last {
		t.Errorf("the tree stands at %v, and clients have seen %v", now, last)
	}
	if _, err := wire.Dial(ctx, s.ClientAddr(), wire.Options{SessionID: late.SessionID, Password: late.Password}); err == nil {
		t.Error("a session goes on that the snapshot does not have")
	}
	back := dial(t, s, wire.Options{SessionID: c.SessionID, Password: c.Password})
	must(back.Create(ctx, "/after", nil, 0))
	if _, st, err := back.Get(ctx, "/after", false); err != nil || st.Czxid <= last {
		t.Errorf("the next write: %+v, %v", st, err)
	}
	whole := nodes(s)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := Start(ctx, s.cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close(context.Background()) }()
	if got := nodes(again); got != whole {
		t.Errorf("after a restart:\n%s\nwas\n%s", got, whole)
	}
}

// TestRestoreUnderLoad: clients write while the tree is replaced, twice; every one of them is told that it is over, and
// what they write behind that is on top of the new tree.
func TestRestoreUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := started(t, "")
	backup := taken(t, s)
	for round := range 2 {
		var ended []chan struct{}
		for i := range 4 {
			c, done := dial(t, s, wire.Options{}), make(chan struct{})
			ended = append(ended, done)
			if _, err := c.Create(ctx, fmt.Sprintf("/w%d", i), nil, 0); err != nil {
				t.Fatal(round, err)
			}
			go func() {
				defer close(done)
				for {
					if _, err := c.Set(ctx, fmt.Sprintf("/w%d", i), []byte("x"), -1); err != nil {
						return
					}
				}
			}()
		}
		if _, err := s.Restore(bytes.NewReader(backup)); err != nil {
			t.Fatal(err)
		}
		for _, done := range ended {
			<-done
		}
		if got := nodes(s); strings.Contains(got, "/w") {
			t.Errorf("round %d:\n%s", round, got)
		}
	}
}

// TestRestoreOfZooKeepersSnapshots: what its admin command gave, and what its servers have written.
func TestRestoreOfZooKeepersSnapshots(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		zxid  uint64
		nodes string
	}{
		"golden39/admin/streamed-snapshot.bin":                           {4, "/a /b"},
		"golden39/storage/all-types-restart/data/version-2/snapshot.37":  {0x37, "/m/c /m/e /a/quotaed"},
		"golden/storage/digest-disabled/data/version-2/snapshot.4":       {4, ""},
		"golden39/storage/ensemble-3/data2/version-2/snapshot.100000289": {0x100000289, ""},
	} {
		s := started(t, "")
		b, err := os.ReadFile("../../testdata/" + path)
		if err != nil {
			t.Fatal(err)
		}
		at, err := s.Restore(bytes.NewReader(b))
		if err != nil || at > want.zxid || strings.HasPrefix(path, "golden39") && at != want.zxid {
			t.Errorf("%s: restored at 0x%x, %v", path, at, err)
		}
		c := dial(t, s, wire.Options{})
		for _, node := range strings.Fields(want.nodes) {
			if _, err := c.Exists(t.Context(), node, false); err != nil {
				t.Errorf("%s: %s: %v", path, node, err)
			}
		}
	}
}

// TestADamagedSnapshotChangesNothing: it is refused as a whole, and clients do not notice.
func TestADamagedSnapshotChangesNothing(t *testing.T) {
	t.Parallel()
	s := started(t, "")
	c := dial(t, s, wire.Options{})
	if _, err := c.Create(t.Context(), "/a", []byte("data"), 0); err != nil {
		t.Fatal(err)
	}
	backup, before := taken(t, s), nodes(s)
	broken := errors.New("the client has gone")
	for name, r := range map[string]io.Reader{
		"nothing":     strings.NewReader(""),
		"garbage":     strings.NewReader(strings.Repeat("z", 5000)),
		"half of it":  bytes.NewReader(backup[:len(backup)/2]),
		"one short":   bytes.NewReader(backup[:len(backup)-1]),
		"one more":    bytes.NewReader(append(slices.Clone(backup), 0)),
		"a cut body":  io.MultiReader(bytes.NewReader(backup[:100]), failing{broken}),
		"a long path": strings.NewReader("ZKSN\x00\x00\x00\x02" + strings.Repeat("\x00", 16) + "\x7f\xff\xff\xff"),
	} {
		if _, err := s.Restore(r); err == nil {
			t.Errorf("%s is restored", name)
		}
	}
	for i := range backup {
		b := slices.Clone(backup)
		b[i] ^= 0x10
		if _, err := s.Restore(bytes.NewReader(b)); err == nil {
			t.Fatalf("a snapshot is restored whose byte %d is another", i)
		}
	}
	if got := nodes(s); got != before {
		t.Errorf("there is\n%s\nand was\n%s", got, before)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestACrashDuringARestore: at whatever operation of the disk the machine stops, the next start finds the old tree or the new
// one; and what was answered is the new one.
func TestACrashDuringARestore(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../testdata/golden39/admin/streamed-snapshot.bin")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig("/data")
	begin := func(files *vfs.Mem) *Server {
		t.Helper()
		o := quiet()
		o.FS = files
		s, err := Start(t.Context(), cfg, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	olds, news := 0, 0
	for n := 1; ; n++ {
		files := vfs.NewMem(uint64(n))
		s := begin(files)
		if _, err := dial(t, s, wire.Options{}).Create(t.Context(), "/old", nil, 0); err != nil {
			t.Fatal(err)
		}
		files.CrashAt(files.Ops() + n)
		answered := make(chan error, 1)
		go func() { _, err := s.Restore(bytes.NewReader(b)); answered <- err }()
		restored := false
		select {
		case err := <-answered:
			restored = err == nil
		case <-s.Failed():
		}
		left := files.Crash()
		_ = s.Close(t.Context())
		again := begin(left)
		got := nodes(again)
		isOld, isNew := strings.Contains(got, "/old "), strings.Contains(got, "\n/a ")
		if isOld == isNew || restored && isOld {
			t.Fatalf("a crash at operation %d leaves, restored %v,\n%s", n, restored, got)
		}
		if isOld {
			olds++
		} else {
			news++
		}
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if restored {
			break
		}
	}
	if olds == 0 || news < 2 {
		t.Errorf("%d times the old tree, %d times the new one", olds, news)
	}
}

// TestRestoreAsTheSettingsSay: it can be forbidden, and needs snapshots that say what they are of.
func TestRestoreAsTheSettingsSay(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]int{
		"admin.restore.enabled=false\n":              503,
		"serializeLastProcessedZxid.enabled=false\n": 500,
		"admin.rateLimiterIntervalInMS=1000000\n":    500, // for the body is none
	} {
		s := started(t, lines+"admin.enableServer=true\nadmin.serverPort=0\n")
		tcp := askTCP(t, s.admin.commands)
		if status, text, _ := tcp.ask("POST", "/commands/restore", "digest root:pw", "x"); status != want {
			t.Errorf("%s: %d %s", lines, status, text)
		}
		if strings.HasPrefix(lines, "admin.rate") {
			if status, _, _ := tcp.ask("POST", "/commands/restore", "digest root:pw", "x"); status != 429 {
				t.Errorf("the next one at once: %d", status)
			}
		}
	}
}

// TestAMemberIsNotRestored: its tree is the ensemble's.
func TestAMemberIsNotRestored(t *testing.T) {
	h := newHosts(t, 1, 0)
	h.start(1)
	if _, err := h.running[1].Restore(strings.NewReader("")); !errors.Is(err, admin.ErrNotHere) {
		t.Errorf("restore = %v", err)
	}
}
