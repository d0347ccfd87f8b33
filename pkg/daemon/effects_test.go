package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"
)

// freePorts returns a port for each address that nobody has there.
func freePorts(t *testing.T, hosts ...string) (ports []int) {
	t.Helper()
	for _, host := range hosts {
		l := listen(t, host+":0")
		defer l.Close() // all are open at one time, so that no port is given twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// TestAddressesOfPorts: each port is where its settings say, and nowhere else.
func TestAddressesOfPorts(t *testing.T) {
	hosts := []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}
	ports := freePorts(t, hosts...)
	start(t, settings(t, fmt.Sprintf("clientPort=%d\nclientPortAddress=127.0.0.2\nadmin.enableServer=true\n"+
		"admin.serverAddress=127.0.0.3\nadmin.serverPort=%d\nmetricsProvider.className=PrometheusMetricsProvider\n"+
		"metricsProvider.httpHost=127.0.0.4\nmetricsProvider.httpPort=%d\n", ports[0], ports[1], ports[2])), quiet())
	for i, host := range hosts {
		for _, at := range []string{host, "127.0.0.1"} {
			nc, err := net.Dial("tcp", net.JoinHostPort(at, strconv.Itoa(ports[i])))
			if (err == nil) != (at == host) {
				t.Errorf("port %d of %s at %s: %v", ports[i], host, at, err)
			}
			if err == nil {
				_ = nc.Close()
			}
		}
	}
}

// TestSnapshotsOnDemand: whether there are any, and how soon another one.
func TestSnapshotsOnDemand(t *testing.T) {
	for lines, want := range map[string][2]int{
		"admin.snapshot.enabled=false":          {503, 503},
		"admin.rateLimiterIntervalInMS=0":       {200, 200},
		"admin.rateLimiterIntervalInMS=2000000": {200, 429},
	} {
		tcp := askTCP(t, startWith(t, "admin.enableServer=true\nadmin.serverPort=0\n"+lines).admin.commands)
		for _, status := range want {
			if got, text, _ := tcp.ask("GET", "/commands/snapshot", "digest root:pw", ""); got != status {
				t.Errorf("%s: %d, want %d; %.100s", lines, got, status, text)
			}
		}
	}
}

// taps keep the connections between the quorum ports of servers: the ends that were accepted, and those that were dialed.
type taps struct {
	mu       sync.Mutex
	accepted []net.Conn
	dialed   map[string][]net.Conn // by the address
}

type tappedPort struct {
	net.Listener
	taps *taps
}

func (l tappedPort) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.taps.mu.Lock()
		defer l.taps.mu.Unlock()
		l.taps.accepted = append(l.taps.accepted, c)
	}
	return c, err
}

func (p *taps) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dialed[address] = append(p.dialed[address], c)
	}
	return c, err
}

// TestSmallPacketsBetweenServers asks the kernel whether they leave at once.
func TestSmallPacketsBetweenServers(t *testing.T) {
	for lines, want := range map[string]struct{ leader, follower bool }{
		"":                       {true, true},
		"leader.nodelay=false":   {false, true},
		"follower.nodelay=false": {true, false},
	} {
		h, p := newHosts(t, 2, 0), &taps{dialed: make(map[string][]net.Conn)}
		h.lines = lines
		h.around = func(o *Options) {
			o.Dial, o.Quorum = p.dial, []net.Listener{tappedPort{o.Quorum[0], p}}
		}
		h.start(1, 2)
		leader := h.awaitLeader(1, 2)
		member, _ := h.members.Member(leader)
		p.mu.Lock()
		accepted, dialed := p.accepted, p.dialed[member.Quorum[0].String()]
		p.mu.Unlock()
		if len(accepted) == 0 || len(dialed) == 0 {
			t.Fatalf("connections %v, %v", accepted, dialed)
		}
		if got := noDelay(t, accepted[len(accepted)-1]); got != want.leader {
			t.Errorf("%q: the leader's leave at once: %v", lines, got)
		}
		if got := noDelay(t, dialed[len(dialed)-1]); got != want.follower {
			t.Errorf("%q: the follower's leave at once: %v", lines, got)
		}
	}
}

func noDelay(t *testing.T, c net.Conn) bool {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var on int
	if cerr := raw.Control(func(fd uintptr) { on, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY) }); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return on != 0
}

// TestOneServer: it serves alone, or is an ensemble that others can join, which tells its members.
func TestOneServer(t *testing.T) {
	dir := t.TempDir()
	ports := freePorts(t, "127.0.0.1", "127.0.0.1")
	line := fmt.Sprintf("server.1=127.0.0.1:%d:%d", ports[0], ports[1])
	dynamic := filepath.Join(dir, "zoo.cfg.dynamic.1f")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "myid"), []byte("1"), 0o600), os.WriteFile(dynamic, []byte(line), 0o600)); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[string]struct {
		role    zab.Role
		members string
	}{
		"server.1=127.0.0.1:1:2":                                {zab.Standalone, ""},
		"standaloneEnabled=true\ndynamicConfigFile=" + dynamic:  {zab.Standalone, ""},
		"standaloneEnabled=false\n" + line:                      {zab.Leading, line + ":participant\nversion=0"},
		"standaloneEnabled=false\ndynamicConfigFile=" + dynamic: {zab.Leading, line + ":participant\nversion=1f"},
	} {
		s := start(t, settings(t, "initLimit=5\nsyncLimit=5\ndataDir="+dir+"\n"+lines), quiet())
		for !s.peer.Serving() {
			<-s.changed
		}
		c := dial(t, s, wire.Options{})
		data, _, err := c.Get(t.Context(), "/zookeeper/config", false)
		if got := s.peer.Role(); got != want.role || err != nil || string(data) != want.members {
			t.Errorf("%s: %v with members %q, %v", lines, got, data, err)
		}
		c.Close()
		closeServer(t, s)
	}
}

func TestTTLNodesNeedExtendedTypes(t *testing.T) {
	for lines, want := range map[string]error{"": proto.Unimplemented, "extendedTypesEnabled=true": nil} {
		timed := &proto.CreateTTLRequest{Path: "/timed", ACL: proto.WorldAll(), Flags: proto.FlagTTL, TTL: 1000}
		if _, err := dial(t, startWith(t, lines), wire.Options{}).Call(t.Context(), proto.OpCreateTTL, timed, nil); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", lines, err, want)
		}
	}
}

// TestNodesGoOneByOne: no more of those that have outlived their use than may go in a minute.
func TestNodesGoOneByOne(t *testing.T) {
	const each = 100 * time.Millisecond
	s := startWith(t, "extendedTypesEnabled=true\nznode.container.checkIntervalMs=1\nznode.container.maxPerMinute=600")
	gone := make(deletions, 3)
	c, begun := dial(t, s, wire.Options{Event: gone.event}), time.Now()
	watch := &proto.WatchModeRequest{Path: "/", Mode: 1} // persistent, recursive
	if _, err := c.Call(t.Context(), proto.OpAddWatch, watch, nil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/a", "/b", "/c"} {
		timed := &proto.CreateTTLRequest{Path: path, ACL: proto.WorldAll(), Flags: proto.FlagTTL, TTL: 1}
		if _, err := c.Call(t.Context(), proto.OpCreateTTL, timed, nil); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		path := <-gone
		if took := time.Since(begun); took < time.Duration(n)*each {
			t.Errorf("%s is gone after %v, as the %d. of them", path, took, n+1)
		}
	}
}

// TestReloadedLimits: what clients may do together changes under a server that runs.
func TestReloadedLimits(t *testing.T) {
	s, hold, release := onSlowDisk(t, "")
	a, b := dial(t, s, wire.Options{Timeout: time.Hour}), dial(t, s, wire.Options{Timeout: time.Hour})
	if _, err := a.Create(t.Context(), "/n", nil, 0); err != nil {
		t.Fatal(err)
	}
	next := settings(t, "request_throttle_max_requests=1\nlargeRequestThreshold=1000\nlargeRequestMaxBytes=2000\nmaxCnxns=2")
	if err := s.reload(func() (config.Config, []string, error) { return next, nil, nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{}); err == nil {
		t.Error("maxCnxns is as it was")
	}
	hold()
	first := set(a, "/n", 1)
	await(func() bool { return s.pipeline.Stats.Outstanding.Load() == 1 })
	second := set(b, "/n", 2)
	await(func() bool { return s.pipeline.Stats.Throttled.Load() == 1 })
	release()
	for c, call := range map[*wire.Conn]*wire.Call{a: first, b: second} {
		if _, err := c.Wait(t.Context(), call); err != nil {
			t.Error(err)
		}
	}
	if _, err := a.Set(t.Context(), "/n", make([]byte, 3000), -1); err == nil {
		t.Error("largeRequestMaxBytes is as it was")
	}
}
