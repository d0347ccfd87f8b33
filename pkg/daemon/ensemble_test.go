package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/systemd"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"
)

// hosts are the members of an ensemble in one process. Each has its directory, and ports that the kernel has chosen.
type hosts struct {
	t       *testing.T
	members *ensemble.Config
	dirs    map[ensemble.ID]string
	ports   map[ensemble.ID][2]net.Listener // quorum and election, until the server takes them
	running map[ensemble.ID]*Server
	lines   string // of zoo.cfg, besides
	tune    func(*config.Config)
	around  func(*Options)
}

func newHosts(t *testing.T, voters, observers int) *hosts {
	t.Helper()
	h := &hosts{
		t: t, dirs: map[ensemble.ID]string{}, ports: map[ensemble.ID][2]net.Listener{}, running: map[ensemble.ID]*Server{},
		tune: func(*config.Config) {}, around: func(*Options) {},
	}
	var lines strings.Builder
	for i := range voters + observers {
		id := ensemble.ID(i + 1)
		q, e := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
		role := "participant"
		if i >= voters {
			role = "observer"
		}
		fmt.Fprintf(&lines, "server.%d=127.0.0.1:%d:%d:%s\n", id, q.Addr().(*net.TCPAddr).Port, e.Addr().(*net.TCPAddr).Port, role)
		h.dirs[id], h.ports[id] = t.TempDir(), [2]net.Listener{q, e}
	}
	var err error
	if h.members, err = ensemble.ParseConfig(lines.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for id := range h.running {
			h.stop(id)
		}
		for _, ports := range h.ports {
			_, _ = ports[0].Close(), ports[1].Close()
		}
	})
	return h
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start starts servers. The ports of one that has run before are opened by itself.
func (h *hosts) start(ids ...ensemble.ID) {
	h.t.Helper()
	for _, id := range ids {
		cfg := settings(h.t, "dataDir="+h.dirs[id]+"\ntickTime=200\ninitLimit=100\nsyncLimit=50\nminSessionTimeout=1000\n"+
			"maxSessionTimeout=60000\n4lw.commands.whitelist=*\n"+h.lines)
		cfg.Members, cfg.MyID = h.members, id
		h.tune(&cfg)
		o := quiet()
		if ports, ok := h.ports[id]; ok {
			o.Quorum, o.Election = ports[:1], ports[1:]
			delete(h.ports, id)
		}
		h.around(&o)
		s, err := Start(h.t.Context(), cfg.Complete(), o)
		if err != nil {
			h.t.Fatal(err)
		}
		h.running[id] = s
	}
}

func (h *hosts) stop(id ensemble.ID) {
	if err := h.running[id].Close(context.Background()); err != nil {
		h.t.Error(err)
	}
	delete(h.running, id)
}

// await waits for a server to serve in a role.
func (h *hosts) await(id ensemble.ID, role zab.Role) {
	h.t.Helper()
	s := h.running[id]
	for {
		if st, ok := s.peer.Status(); ok && st.Serving {
			if st.Role != role {
				h.t.Fatalf("server %d is %v, want %v", id, st.Role, role)
			}
			return
		}
		select {
		case <-s.changed:
		case err := <-s.Failed():
			h.t.Fatalf("server %d: %v", id, err)
		}
	}
}

// awaitLeader waits until one of the servers leads and the others serve, and returns it.
func (h *hosts) awaitLeader(ids ...ensemble.ID) (leader ensemble.ID) {
	h.t.Helper()
	for {
		for _, id := range ids {
			for !h.running[id].peer.Serving() {
				<-h.running[id].changed
			}
			if h.running[id].peer.Role() == zab.Leading {
				leader = id
			}
		}
		if leader != 0 {
			return leader
		}
		<-h.running[ids[0]].changed // they have not yet missed the one before
	}
}

// connect gets a session, of a server that may still be looking for its leader.
func (h *hosts) connect(id ensemble.ID, o wire.Options) *wire.Conn {
	h.t.Helper()
	for {
		c, err := wire.Dial(h.t.Context(), h.running[id].ClientAddr(), o)
		switch {
		case err == nil:
			h.t.Cleanup(c.Close)
			return c
		case errors.Is(err, io.EOF): // it does not serve yet
		default:
			h.t.Fatalf("server %d: %v", id, err)
		}
	}
}

// TestFourServersStartedInTurn is the deployment: started 1, 2, 3, 4, the third start makes a leader.
func TestFourServersStartedInTurn(t *testing.T) {
	for _, observers := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d observers", observers), func(t *testing.T) {
			h, ctx := newHosts(t, 4-observers, observers), t.Context()
			h.start(1)
			h.start(2)
			last := zab.Following
			if observers == 0 { // of four voters three are needed
				h.start(3)
				h.await(3, zab.Leading)
			} else {
				last = zab.Observing
				h.await(2, zab.Leading)
				h.start(3)
				h.await(3, zab.Following)
			}
			h.start(4)
			h.await(4, last)
			h.await(1, zab.Following)
			for id := ensemble.ID(1); id <= 4; id++ {
				if _, err := h.connect(id, wire.Options{}).Create(ctx, fmt.Sprintf("/by-%d", id), []byte{byte(id)}, 0); err != nil {
					t.Fatalf("server %d: %v", id, err)
				}
			}
			for id := ensemble.ID(1); id <= 4; id++ {
				c := h.connect(id, wire.Options{})
				if err := c.Sync(ctx, "/"); err != nil {
					t.Fatal(err)
				}
				for by := 1; by <= 4; by++ {
					if data, _, err := c.Get(ctx, fmt.Sprintf("/by-%d", by), false); err != nil || !bytes.Equal(data, []byte{byte(by)}) {
						t.Errorf("server %d has %v in /by-%d, %v", id, data, by, err)
					}
				}
				if n := h.running[id].pipeline.Stats.DigestErrors.Load(); n != 0 {
					t.Errorf("server %d has another tree than the leader %d times", id, n)
				}
				if data, st, err := c.Get(ctx, "/zookeeper/config", false); err != nil || string(data) != h.members.Text() || st.Version != -1 {
					t.Errorf("server %d has %q in its config, version %d, %v", id, data, st.Version, err)
				}
				if high := byte(uint64(c.SessionID) >> 56); high != byte(id) {
					t.Errorf("server %d makes session 0x%x", id, c.SessionID)
				}
			}
		})
	}
}

// TestSessionsOutliveTheirServer stops the leader: the others go on, and its client finds its session at another server,
// with its ephemeral node, and is told of what has changed under its watch meanwhile.
func TestSessionsOutliveTheirServer(t *testing.T) {
	h, ctx := newHosts(t, 3, 0), t.Context()
	h.start(1, 2, 3)
	leader := h.awaitLeader(1, 2, 3)
	mine := h.connect(leader, wire.Options{Timeout: time.Minute})
	if _, err := mine.Create(ctx, "/mine", []byte("e"), proto.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Create(ctx, "/watched", nil, 0); err != nil {
		t.Fatal(err)
	}
	_, st, err := mine.Get(ctx, "/watched", true)
	if err != nil {
		t.Fatal(err)
	}
	h.stop(leader)
	var left []ensemble.ID
	for id := range h.running {
		left = append(left, id)
	}
	h.awaitLeader(left...)
	if _, err := h.connect(left[0], wire.Options{}).Set(ctx, "/watched", []byte("new"), -1); err != nil {
		t.Fatal(err)
	}
	events := make(chan proto.WatcherEvent, 10)
	back := h.connect(left[1], wire.Options{
		Timeout: time.Minute, SessionID: mine.SessionID, Password: mine.Password,
		Event: func(e proto.WatcherEvent, _ proto.Zxid) { events <- e },
	})
	if back.SessionID != mine.SessionID {
		t.Fatalf("session 0x%x, want 0x%x", back.SessionID, mine.SessionID)
	}
	if err := back.Sync(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	if _, st, err := back.Get(ctx, "/mine", false); err != nil || st.EphemeralOwner != mine.SessionID {
		t.Fatalf("the ephemeral node: %+v, %v", st, err)
	}
	if _, err := back.Call(ctx, proto.OpSetWatches, &proto.SetWatchesRequest{
		RelativeZxid: st.Mzxid, Data: []string{"/watched"}, Exist: []string{}, Child: []string{},
	}, nil); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Path != "/watched" || e.Type != proto.EventDataChanged {
		t.Errorf("the watch says %+v", e)
	}
	if _, err := back.Set(ctx, "/mine", []byte("still"), -1); err != nil {
		t.Errorf("a write after the move: %v", err)
	}
	if err := back.CloseSession(ctx); err != nil {
		t.Fatal(err)
	}
	other := h.connect(left[0], wire.Options{})
	if err := other.Sync(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exists(ctx, "/mine", false); !errors.Is(err, proto.NoNode) {
		t.Errorf("the ephemeral node of a closed session: %v", err)
	}
	h.start(leader)
	h.await(leader, zab.Following)
}

// TestServersComeBackByEveryWay restarts followers that have missed little, much, and everything.
func TestServersComeBackByEveryWay(t *testing.T) {
	h, ctx := newHosts(t, 3, 0), t.Context()
	h.tune = func(c *config.Config) { c.CommitLogCount = 5 }
	h.start(1, 2, 3)
	leader := h.awaitLeader(1, 2, 3)
	away := leader%3 + 1
	c := h.connect(leader, wire.Options{Timeout: time.Minute})
	if _, err := c.Create(ctx, "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, way := range []struct {
		writes int
		empty  bool
		stat   func(zab.Stats) int
	}{
		{2, false, func(s zab.Stats) int { return s.Diffs }},
		{100, false, func(s zab.Stats) int { return s.DiffFromLog + s.Snaps }},
		{10, true, func(s zab.Stats) int { return s.DiffFromLog + s.Snaps }},
	} {
		h.stop(away)
		if way.empty {
			h.dirs[away] = t.TempDir()
		}
		for range way.writes {
			want++
			if _, err := c.Set(ctx, "/n", []byte(fmt.Sprint(want)), -1); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := h.running[leader].peer.Status()
		h.start(away)
		h.await(away, zab.Following)
		after, _ := h.running[leader].peer.Status()
		if way.stat(after.Stats) <= way.stat(before.Stats) {
			t.Errorf("after %d writes: %+v, before %+v", way.writes, after.Stats, before.Stats)
		}
		r := h.connect(away, wire.Options{})
		if err := r.Sync(ctx, "/"); err != nil {
			t.Fatal(err)
		}
		if data, _, err := r.Get(ctx, "/n", false); err != nil || string(data) != fmt.Sprint(want) {
			t.Errorf("/n is %q, want %d; %v", data, want, err)
		}
	}
}

// TestAllServersStopAndStart finds everything again, also in an ensemble of one.
func TestAllServersStopAndStart(t *testing.T) {
	for _, voters := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d voters", voters), func(t *testing.T) {
			h, ctx := newHosts(t, voters, 0), t.Context()
			var all []ensemble.ID
			for i := range voters {
				all = append(all, ensemble.ID(i+1))
			}
			h.start(all...)
			h.awaitLeader(all...)
			c := h.connect(1, wire.Options{Timeout: time.Minute})
			if _, err := c.Create(ctx, "/mine", []byte("e"), proto.FlagEphemeral); err != nil {
				t.Fatal(err)
			}
			for _, id := range all {
				h.stop(id)
			}
			h.start(all...)
			leader := h.awaitLeader(all...)
			if st, _ := h.running[leader].peer.Status(); st.Epoch < 2 {
				t.Errorf("epoch %d after the second start", st.Epoch)
			}
			again := h.connect(all[len(all)-1], wire.Options{Timeout: time.Minute, SessionID: c.SessionID, Password: c.Password})
			if err := again.Sync(ctx, "/"); err != nil {
				t.Fatal(err)
			}
			if data, st, err := again.Get(ctx, "/mine", false); err != nil || string(data) != "e" || st.EphemeralOwner != c.SessionID {
				t.Errorf("/mine is %q, %+v, %v", data, st, err)
			}
		})
	}
}

// ask sends a four-letter word.
func ask(t *testing.T, s *Server, word string) string {
	t.Helper()
	c := raw(t, s)
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestMembersTellWhatTheyAre asks a member without a leader, and then all of them, and compares conf with the recordings.
func TestMembersTellWhatTheyAre(t *testing.T) {
	h := newHosts(t, 3, 1)
	h.start(1)
	for word, want := range map[string]string{"ruok": "imok", "isro": "null", "srvr": notServing, "conf": notServing, "mntr": notServing, "stat": notServing} {
		if got := ask(t, h.running[1], word); got != want {
			t.Errorf("%s = %q without a leader, want %q", word, got, want)
		}
	}
	if got, want := statusOf(h.running[1]), "looking, 1/3 voters seen"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	h.start(2)
	h.await(2, zab.Leading)
	h.start(3, 4)
	h.await(1, zab.Following)
	h.await(3, zab.Following)
	h.await(4, zab.Observing)
	for id, mode := range map[ensemble.ID]string{1: "follower", 2: "leader", 3: "follower", 4: "observer"} {
		if got := ask(t, h.running[id], "srvr"); !strings.Contains(got, "\nMode: "+mode+"\n") {
			t.Errorf("srvr of server %d = %q", id, got)
		}
		golden, err := os.ReadFile("../../testdata/golden39/admin/4lw-" + mode + "/conf.txt")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := keysOf(ask(t, h.running[id], "conf")), keysOf(string(golden)); got != want {
			t.Errorf("conf of server %d has %s, want %s", id, got, want)
		}
		if got := ask(t, h.running[id], "mntr"); !strings.Contains(got, "zk_quorum_size\t3\n") || !strings.Contains(got, "zk_peer_state\t"+mode[:4]) {
			t.Errorf("mntr of server %d = %q", id, got)
		}
	}
	mntr := ask(t, h.running[2], "mntr")
	for _, line := range []string{"zk_learners\t3", "zk_synced_followers\t2", "zk_synced_observers\t1", "zk_looking_count\t1"} {
		if !strings.Contains(mntr, line+"\n") {
			t.Errorf("the leader's mntr does not say %q: %s", line, mntr)
		}
	}
	if got, want := statusOf(h.running[2]), "leader, epoch 1, zxid 0x100000000, 3/3 voters in sync"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
}

// statusOf returns what the service manager is told.
func statusOf(s *Server) string {
	x := service{log: slog.New(slog.DiscardHandler), standing: new(systemd.Standing)}
	return x.look(s)
}

const notServing = "This ZooKeeper instance is not currently serving requests\n"

// keysOf returns what stands in front of the values of conf; of a server line its number and its role.
func keysOf(conf string) string {
	var keys []string
	for line := range strings.Lines(conf) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.HasPrefix(key, "server.") {
			key += value[strings.LastIndex(value, ":"):]
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

func TestPortsOfTheEnsembleInUse(t *testing.T) {
	h := newHosts(t, 3, 0)
	busy := h.ports[1] // open, and not handed on
	delete(h.ports, 1)
	defer busy[0].Close()
	defer busy[1].Close()
	cfg := settings(t, "dataDir="+h.dirs[1]+"\ninitLimit=5\nsyncLimit=2\nelectionPortBindRetry=1")
	cfg.Members, cfg.MyID = h.members, 1
	s, err := Start(t.Context(), cfg.Complete(), quiet())
	if err == nil {
		_ = s.Close(t.Context())
	}
	var bind *BindError
	if !errors.As(err, &bind) || bind.Port != "quorum port" || exitCode(err) != exit.Port {
		t.Errorf("Start() = %v, exit code %d", err, exitCode(err))
	}
	if got := exitCode(fmt.Errorf("peer: %w", &zab.LostHistoryError{})); got != exit.History {
		t.Errorf("a leader that lacks what was committed: exit code %d, want %d", got, exit.History)
	}
}
