package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/wire"
)

// await waits for what is bound to come.
func await(holds func() bool) {
	for !holds() {
		runtime.Gosched()
	}
}

// onSlowDisk starts a server whose log syncs nothing from hold to release.
func onSlowDisk(t *testing.T, lines string) (s *Server, hold, release func()) {
	t.Helper()
	disk, o, free := vfs.NewMem(1), quiet(), make(chan struct{})
	o.FS = disk
	s = start(t, settings(t, lines), o)
	release = sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	return s, func() {
		disk.SetFault(func(op vfs.Op) error {
			if op.Kind == "sync" && strings.HasPrefix(filepath.Base(op.Path), "log.") {
				<-free
			}
			return nil
		})
	}, release
}

func set(c *wire.Conn, path string, size int) *wire.Call {
	return c.Go(proto.OpSetData, &proto.SetDataRequest{Path: path, Data: make([]byte, size), Version: -1}, nil)
}

// TestBackPressure lets each client have far more outstanding than the server admits in all: it is read no further until
// there is room, and everything is answered.
func TestBackPressure(t *testing.T) {
	for lines, read := range map[string]int64{"globalOutstandingLimit=10": 1000, "globalOutstandingLimit=10000": 2000} {
		s, hold, release := onSlowDisk(t, lines)
		if _, err := dial(t, s, wire.Options{}).Create(t.Context(), "/n", nil, 0); err != nil {
			t.Fatal(err)
		}
		var calls []*wire.Call
		var clients, conns []*wire.Conn
		for range 4 {
			clients = append(clients, dial(t, s, wire.Options{Timeout: time.Hour}))
		}
		hold()
		for _, c := range clients {
			for range 500 {
				calls, conns = append(calls, set(c, "/n", 1000)), append(conns, c)
			}
		}
		st := &s.pipeline.Stats
		await(func() bool { return s.pipeline.Crowded() == 4 || st.Outstanding.Load() == 2000 })
		if got := st.Outstanding.Load(); got > read || read == 2000 && got < read {
			t.Errorf("%s: %d requests have been read", lines, got)
		}
		release()
		for i, call := range calls {
			if _, err := conns[i].Wait(t.Context(), call); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRequestThrottle(t *testing.T) {
	const two = "request_throttle_max_requests=2\n"
	const most = two + "request_throttle_stall_time=1\n"
	for _, c := range []struct {
		name, lines   string
		leave         bool // the client that waits closes its connection
		dropped, done bool
	}{
		{"waits its turn", most, false, false, true},
		{"its connection goes", most, true, true, false},
		{"which is seen late", two + "request_throttle_stall_time=3600000", true, true, false},
		{"and nobody looks", most + "request_stale_connection_check=false", true, false, true},
		{"and it counts all the same", most + "request_throttle_drop_stale=false", true, false, true},
		{"for longer than its session may be silent", most + "request_stale_latency_check=true\nminSessionTimeout=1500", false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, hold, release := onSlowDisk(t, c.lines)
			busy := dial(t, s, wire.Options{Timeout: time.Hour})
			for _, path := range []string{"/busy", "/n"} {
				if _, err := busy.Create(t.Context(), path, nil, 0); err != nil {
					t.Fatal(err)
				}
			}
			waiting := dial(t, s, wire.Options{Timeout: time.Millisecond}) // as long as the server lets it
			hold()
			set(busy, "/busy", 1)
			last := set(busy, "/busy", 1)
			st := &s.pipeline.Stats
			await(func() bool { return st.Outstanding.Load() == 2 })
			set(waiting, "/n", 7)
			await(func() bool { return st.Throttled.Load() == 1 })
			if c.leave {
				waiting.Close()
			}
			if late := strings.HasSuffix(c.lines, "=3600000"); c.dropped && !late {
				await(func() bool { return st.StaleDropped.Load() == 1 })
			} else if late {
				for range 20 { // in which it would
					ask(t, s, "srvr")
				}
				if st.StaleDropped.Load() > 0 {
					t.Error("it is looked again before the hour is over")
				}
			}
			release()
			if _, err := busy.Wait(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			done := func() bool {
				data, _, err := busy.Get(t.Context(), "/n", false)
				return err != nil || len(data) == 7
			}
			if c.done {
				await(done)
			} else if done() {
				t.Error("a stale request was carried out")
			}
			await(func() bool { return st.StaleDropped.Load() == 1 || !c.dropped })
			if c.dropped && st.Stale.Load() != 1 {
				t.Errorf("%d were stale", st.Stale.Load())
			}
			if got := st.StaleDropped.Load() == 1; got != c.dropped {
				t.Errorf("%d dropped", st.StaleDropped.Load())
			}
		})
	}
}

// TestRequestsUnderWayAreBounded: however many clients ask, no more are under way than may be, and all are answered.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	s, hold, release := onSlowDisk(t, "request_throttle_max_requests=3\nrequest_throttle_stall_time=60000")
	if _, err := dial(t, s, wire.Options{Timeout: time.Hour}).Create(t.Context(), "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	var conns []*wire.Conn
	for range 8 {
		conns = append(conns, dial(t, s, wire.Options{Timeout: time.Hour}))
	}
	hold()
	var calls []*wire.Call
	for _, c := range conns {
		calls = append(calls, set(c, "/n", 1))
	}
	st := &s.pipeline.Stats
	await(func() bool { return st.Throttled.Load() == 5 })
	if got := st.Outstanding.Load(); got != 3 {
		t.Errorf("%d are under way", got)
	}
	release()
	for i, call := range calls {
		if _, err := conns[i].Wait(t.Context(), call); err != nil {
			t.Error(err)
		}
	}
	if got := st.Outstanding.Load(); got != 0 {
		t.Errorf("%d are left", got)
	}
}

func TestThrottledOps(t *testing.T) {
	s, hold, release := onSlowDisk(t, "request_throttle_max_requests=1\nrequest_throttle_stall_time=1\nthrottled_op_wait_time=2")
	busy, waiting := dial(t, s, wire.Options{Timeout: time.Hour}), dial(t, s, wire.Options{Timeout: time.Hour})
	if _, err := busy.Create(t.Context(), "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	hold()
	first := set(busy, "/n", 1)
	await(func() bool { return s.pipeline.Stats.Outstanding.Load() == 1 })
	read := waiting.Go(proto.OpGetData, &proto.ReadRequest{Path: "/n"}, nil)
	write := set(waiting, "/n", 2)
	await(func() bool { return s.pipeline.Stats.Throttled.Load() == 1 })
	for begun := time.Now(); time.Since(begun) < 3*time.Millisecond; {
	}
	release()
	if _, err := busy.Wait(t.Context(), first); err != nil {
		t.Errorf("the request that came first: %v", err)
	}
	for _, call := range []*wire.Call{read, write} {
		if _, err := waiting.Wait(t.Context(), call); err != nil && !errors.Is(err, proto.ThrottledOp) {
			t.Errorf("a request that has waited: %v", err)
		}
	}
	if _, err := waiting.Wait(t.Context(), read); !errors.Is(err, proto.ThrottledOp) {
		t.Errorf("the one that has waited longest: %v", err)
	}
	if _, _, err := waiting.Get(t.Context(), "/n", false); err != nil {
		t.Errorf("the connection is of no use any more: %v", err)
	}
	if st := &s.pipeline.Stats; st.ThrottledOps.Load() == 0 || st.ThrottleTime.State().Count == 0 {
		t.Errorf("%d refused, %d have waited", s.pipeline.Stats.ThrottledOps.Load(), s.pipeline.Stats.ThrottleTime.State().Count)
	}
}

func TestLargeRequests(t *testing.T) {
	s, hold, release := onSlowDisk(t, "largeRequestThreshold=1000\nlargeRequestMaxBytes=5000")
	a, b, small := dial(t, s, wire.Options{}), dial(t, s, wire.Options{}), dial(t, s, wire.Options{})
	if _, err := a.Create(t.Context(), "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	hold()
	first := set(a, "/n", 4000)
	await(func() bool { return s.pipeline.Stats.Outstanding.Load() == 1 })
	second := set(b, "/n", 2000)
	if _, err := b.Wait(t.Context(), second); err == nil || b.Broken() == nil {
		t.Error("more large requests are taken than may be")
	}
	third := set(small, "/n", 500)
	release()
	for c, call := range map[*wire.Conn]*wire.Call{a: first, small: third} {
		if _, err := c.Wait(t.Context(), call); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Set(t.Context(), "/n", make([]byte, 4000), -1); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	if _, err := a.Set(t.Context(), "/n", make([]byte, 5000), -1); err == nil || s.clients.Stats.Large.Load() != 2 {
		t.Errorf("a request larger than all may be together: %v, %d refused", err, s.clients.Stats.Large.Load())
	}
}

func TestConnectionThrottle(t *testing.T) {
	const slow = "connection_throttle_fill_time=3600000\nconnection_throttle_fill_count=1\n"
	const weighted = "connection_throttle_weight_enabled=true\nconnection_throttle_global_session_weight=3\nconnection_throttle_renew_session_weight=2\n"
	const hundreds = "connection_throttle_tokens=300\nconnection_throttle_fill_time=50\nconnection_throttle_weight_enabled=true\n" +
		"connection_throttle_global_session_weight=300\nconnection_throttle_renew_session_weight=100\n"
	const byChance = "connection_throttle_freeze_time=0\nconnection_throttle_drop_increase=0.5\nconnection_throttle_drop_decrease=0.2\n"
	for _, c := range []struct {
		name, lines string
		news        []bool  // sessions that are opened
		back        bool    // the first one is resumed
		drop        float64 // the probability at the end
	}{
		{"off", "", []bool{true, true, true, true}, true, 0},
		{"two tokens", "connection_throttle_tokens=2\n" + slow, []bool{true, true, false}, false, 0},
		{"eight, weighted", "connection_throttle_tokens=8\n" + slow + weighted, []bool{true, true, false}, true, 0},
		{"seven, weighted", "connection_throttle_tokens=7\n" + slow + weighted, []bool{true, true, false}, false, 0},
		{"filled up", "connection_throttle_tokens=1\nconnection_throttle_fill_time=1\nconnection_throttle_fill_count=1", []bool{true}, true, 0},
		{"filled up by many", hundreds + "connection_throttle_fill_count=300", []bool{true}, true, 0},
		{"not by one", hundreds + "connection_throttle_fill_count=1", []bool{true}, false, 0},
		{"by chance", "connection_throttle_tokens=1\n" + slow + byChance, []bool{true, false, false}, false, 1},
		{"by smaller chance", "connection_throttle_tokens=1\nconnection_throttle_freeze_time=0\nconnection_throttle_drop_increase=0.125\n" + slow, []bool{true, false, false}, false, 0.375},
		{"seldom", "connection_throttle_tokens=1\n" + slow + byChance + "connection_throttle_freeze_time=3600000", []bool{true, false, false}, false, 0},
		{"and back", "connection_throttle_tokens=1\nconnection_throttle_decrease_ratio=1\n" + slow + byChance, []bool{true, false, false}, false, 0.8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startWith(t, c.lines)
			var first *wire.Conn
			for i, want := range c.news {
				conn, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{})
				if (err == nil) != want {
					t.Fatalf("session %d: %v", i, err)
				}
				if err == nil {
					t.Cleanup(conn.Close)
				}
				if first == nil {
					first = conn
				}
			}
			if strings.Contains(c.lines, "fill_time=1\n") || strings.Contains(c.lines, "fill_time=50\n") {
				began := time.Now()
				await(func() bool { return time.Since(began) > 55*time.Millisecond })
			}
			back, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{SessionID: first.SessionID, Password: first.Password})
			if (err == nil) != c.back {
				t.Errorf("the session that is resumed: %v", err)
			}
			if err == nil {
				back.Close()
			}
			if got := s.clients.DropProbability(); math.Abs(got-c.drop) > 1e-9 {
				t.Errorf("probability %v, want %v", got, c.drop)
			}
		})
	}
}

// TestMemoryIsShort: then nobody is let in, and nothing large is taken; who is there is served.
func TestMemoryIsShort(t *testing.T) {
	var used atomic.Uint64
	o := quiet()
	o.Memory = func() (uint64, uint64) { return used.Load(), 1000 }
	s := start(t, settings(t, ""), o)
	a, b := dial(t, s, wire.Options{}), dial(t, s, wire.Options{})
	if _, err := a.Create(t.Context(), "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	used.Store(901)
	s.lookAtMemory()
	if _, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{}); err == nil {
		t.Error("a connection is taken")
	}
	if _, err := b.Set(t.Context(), "/n", make([]byte, 100_000), -1); err == nil {
		t.Error("a large request is taken")
	}
	if err := a.Ping(t.Context()); err != nil {
		t.Errorf("a heartbeat: %v", err)
	}
	if _, err := a.Set(t.Context(), "/n", make([]byte, 1000), -1); err != nil {
		t.Errorf("a small request: %v", err)
	}
	used.Store(900)
	s.lookAtMemory()
	dial(t, s, wire.Options{})
}

// TestReload changes zoo.cfg under a server that runs.
func TestReload(t *testing.T) {
	file, dir, out := filepath.Join(t.TempDir(), "zoo.cfg"), t.TempDir(), &lockedBuffer{}
	write := func(lines string) {
		text := "dataDir=" + dir + "\nclientPort=0\nclientPortAddress=127.0.0.1\nsnapCount=2\n" + lines
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() (config.Config, []string, error) { return config.Load(file, nil, nil) }
	write("tickTime=2000")
	cfg, _, err := load()
	if err != nil {
		t.Fatal(err)
	}
	o := quiet()
	o.Level = new(slog.LevelVar)
	o.Log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: o.Level}))
	s := start(t, cfg, o)
	c := dial(t, s, wire.Options{})
	for i := range 50 {
		if _, err := c.Create(t.Context(), fmt.Sprintf("/n%d", i), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	await(func() bool { return len(files(t, dir, "snapshot.*")) > 3 })

	write("tickTime=1000\nmaxClientCnxns=1\n4lw.commands.whitelist=ruok\nautopurge.purgeInterval=1\nlogLevel=warn")
	s.reload(load)
	if _, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{}); err == nil {
		t.Error("maxClientCnxns is as it was")
	}
	await(func() bool { return len(files(t, dir, "snapshot.*")) <= 4 }) // 3, and perhaps one that is new
	if !strings.Contains(out.String(), "count only after a restart") || !strings.Contains(out.String(), "tickTime") {
		t.Errorf("tickTime is not named: %s", out.String())
	}
	if strings.Contains(out.String(), "settings reloaded") {
		t.Errorf("logLevel is as it was: %s", out.String())
	}

	write("maxClientCnxns=many")
	s.reload(load)
	if text := out.String(); !strings.Contains(text, "the settings stay as they are") || !strings.Contains(text, ":5: maxClientCnxns: ") {
		t.Errorf("a bad file: %s", text)
	}
	write("maxClientCnxns=0\n4lw.commands.whitelist=ruok\ntickTime=2000")
	s.reload(load)
	if got := ask(t, s, "ruok"); got != "imok" {
		t.Errorf("ruok = %q", got)
	}
	if !strings.Contains(out.String(), "settings reloaded") {
		t.Errorf("logLevel is not what it was again: %s", out.String())
	}
}
