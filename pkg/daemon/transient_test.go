package daemon

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// deletions tells which nodes a client is told to be gone.
type deletions chan string

func (d deletions) event(e proto.WatcherEvent, _ proto.Zxid) {
	if e.Type == proto.EventDeleted {
		d <- e.Path
	}
}

// await makes a container and a TTL node, and waits for both to go, the container once its child has gone.
func (d deletions) await(t *testing.T, c *wire.Conn) {
	t.Helper()
	ctx := t.Context()
	container := &proto.CreateRequest{Path: "/container", ACL: proto.WorldAll(), Flags: proto.FlagContainer}
	timed := &proto.CreateTTLRequest{Path: "/timed", ACL: proto.WorldAll(), Flags: proto.FlagTTL, TTL: 1}
	var made proto.CreateReply
	if _, err := c.Call(ctx, proto.OpCreateContainer, container, &made); err != nil || made.Path != "/container" {
		t.Fatalf("createContainer = %+v, %v", made, err)
	}
	if _, err := c.Create(ctx, "/container/child", nil, proto.FlagPersistent); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exists(ctx, "/container", true); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exists(ctx, "/timed", true); !errors.Is(err, proto.NoNode) {
		t.Fatal(err)
	}
	if _, err := c.Call(ctx, proto.OpCreateTTL, timed, &made); err != nil {
		t.Fatalf("createTTL = %+v, %v", made, err)
	}
	_, err := c.Exists(ctx, "/timed", true)
	if err == nil {
		if path := <-d; path != "/timed" {
			t.Fatalf("%s is gone first", path)
		}
	} else if !errors.Is(err, proto.NoNode) {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, "/container/child", -1); err != nil {
		t.Fatal(err)
	}
	if path := <-d; path != "/container" {
		t.Fatalf("%s is gone, want the container", path)
	}
}

// configured starts a server on a directory with lines of a zoo.cfg.
func configured(t *testing.T, dir, lines string) *Server {
	t.Helper()
	s, err := Start(t.Context(), configOf(t, "dataDir="+dir+"\n"+lines), quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// configOf returns what lines of a zoo.cfg say.
func configOf(t *testing.T, lines string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	text := "clientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\n" + lines
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := config.Load(file, nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%q, %v", warnings, err)
	}
	return cfg
}

// TestContainersAndTTLNodesGo from a server alone.
func TestContainersAndTTLNodesGo(t *testing.T) {
	s := configured(t, t.TempDir(), "extendedTypesEnabled=true\nznode.container.checkIntervalMs=5\nznode.container.maxPerMinute=60000")
	gone := make(deletions, 16)
	gone.await(t, dial(t, s, wire.Options{Event: gone.event}))
}

func TestContainersNeverUsedGo(t *testing.T) {
	s := configured(t, t.TempDir(), "znode.container.checkIntervalMs=5\nznode.container.maxNeverUsedIntervalMs=1")
	gone := make(deletions, 1)
	c := dial(t, s, wire.Options{Event: gone.event})
	// The watch may come too late for the first ones.
	for err := error(proto.NoNode); err != nil; {
		container := &proto.CreateRequest{Path: "/c", ACL: proto.WorldAll(), Flags: proto.FlagContainer}
		if _, err := c.Call(t.Context(), proto.OpCreateContainer, container, nil); err != nil {
			t.Fatal(err)
		}
		if _, err = c.Exists(t.Context(), "/c", true); err != nil && !errors.Is(err, proto.NoNode) {
			t.Fatal(err)
		}
	}
	if path := <-gone; path != "/c" {
		t.Fatalf("%s is gone", path)
	}
}

// TestContainersGoFromAnEnsemble: its leader removes them, and after its end the next one.
func TestContainersGoFromAnEnsemble(t *testing.T) {
	h := newHosts(t, 3, 0)
	h.tune = func(c *config.Config) {
		c.ContainerCheckInterval, c.ExtendedTypesEnabled = 5*time.Millisecond, true
	}
	h.start(1, 2, 3)
	leader := h.awaitLeader(1, 2, 3)
	follower := 1 + leader%3
	gone := make(deletions, 16)
	gone.await(t, h.connect(follower, wire.Options{Event: gone.event}))
	h.stop(leader)
	next := h.awaitLeader(follower, 1+follower%3)
	gone.await(t, h.connect(next, wire.Options{Event: gone.event}))
}

// TestTTLNodesOf353 starts on a snapshot with a TTL node as ZooKeeper 3.5.3 wrote it, with one of today and with one
// whose owner is a session that is not there. What is taken for a session's goes when a server starts alone.
func TestTTLNodesOf353(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"", "container"},
		{"extendedTypesEnabled=true", "container new"},
		{"extendedTypesEnabled=true\nemulate353TTLNodes=true", "container new old"},
	} {
		dir := t.TempDir()
		writeOwned(t, dir, map[string]int64{
			"/container": proto.ContainerOwner, "/new": -1<<56 | 1_000_000_000, "/old": proto.ContainerOwner | 1_000_000_000, "/gone": 7,
		})
		s := configured(t, dir, c.lines)
		names, _, err := dial(t, s, wire.Options{}).Children(t.Context(), "/", false)
		names = slices.DeleteFunc(names, func(name string) bool { return name == "zookeeper" })
		slices.Sort(names)
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("with %q there is %s, %v; want %s", c.lines, got, err, c.want)
		}
	}
}

// writeOwned writes a snapshot with nodes of these owners.
func writeOwned(t *testing.T, dir string, owners map[string]int64) {
	t.Helper()
	writeSnapshot(t, dir, slices.Collect(maps.Keys(owners)), func(path string, st *proto.StatPersisted) {
		st.EphemeralOwner = owners[path]
	})
}
