package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"
)

// loadConfig reads a zoo.cfg with these lines behind those that every test has.
func loadConfig(t *testing.T, lines string) config.Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("dataDir=%s/data\nclientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\n%s", dir, strings.ReplaceAll(lines, "DIR", dir))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := config.Load(file, nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return cfg
}

// asker asks by HTTP, over TCP or a socket file.
type asker struct {
	t    *testing.T
	base string
	http http.Client
}

func askTCP(t *testing.T, l net.Listener) *asker {
	return &asker{t: t, base: "http://" + l.Addr().String()}
}

func askSocket(t *testing.T, path string) *asker {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &asker{t: t, base: "http://zabd", http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func (a *asker) ask(method, path, authorization, body string) (status int, text string, header http.Header) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	r.Close = true
	answer, err := a.http.Do(r)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer.StatusCode, string(b), answer.Header
}

const allAdminKeys = `controlSocket=DIR/control.sock
admin.enableServer=true
admin.serverAddress=127.0.0.1
admin.serverPort=0
admin.idleTimeout=20000
admin.commandURL=/ops
admin.rateLimiterIntervalInMS=2000000000
admin.snapshot.enabled=true
metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider
metricsProvider.httpHost=127.0.0.1
metricsProvider.httpPort=0
`

// TestAdminPorts asks a server on each port that its settings open.
func TestAdminPorts(t *testing.T) {
	cfg, ctx := loadConfig(t, allAdminKeys), t.Context()
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, wire.Options{})
	if _, err := c.Create(ctx, "/a", []byte("x"), proto.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	socket, tcp, scrape := askSocket(t, cfg.ControlSocket), askTCP(t, s.admin.commands), askTCP(t, s.admin.metrics)
	id := fmt.Sprintf(`"session_id" : %d`, c.SessionID)
	for _, q := range []struct {
		on         *asker
		path, want string
		status     int
	}{
		{socket, "/ops/connections", id, 200},
		{tcp, "/ops/connections", `"last_operation" : "CREA"`, 200},
		{tcp, "/ops/monitor", `"znode_count" : 6`, 200},
		{tcp, "/ops/environment", `"java.version" : "go`, 200},
		{tcp, "/ops/last_snapshot", `"zxid" : "0"`, 200},
		{tcp, "/ops/stat_reset", "Auth info is missing", 401},
		{tcp, "/commands/monitor", "", 404},
		{tcp, "/readyz", "ok\n", 200},
		{tcp, "/livez", "ok\n", 200},
		{socket, "/metrics", "\nznode_count 6\n", 200}, // the root twice, and its second name below, as ZooKeeper has them
		{socket, "/metrics", "\napproximate_data_size 47\n", 200},
		{tcp, "/metrics", "\ngo_goroutines ", 200},
		{scrape, "/metrics", "\nprocess_open_fds ", 200},
		{scrape, "/ops/monitor", "", 404},
	} {
		if status, text, _ := q.on.ask("GET", q.path, "", ""); status != q.status || !strings.Contains(text, q.want) {
			t.Errorf("%s = %d, want %d with %s\n%s", q.path, status, q.status, q.want, text)
		}
	}
	if _, text, _ := tcp.ask("GET", "/ops/connections", "", ""); strings.Contains(text, id) {
		t.Error("the session's id is told over TCP")
	}
	if st, err := os.Stat(cfg.ControlSocket); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("the control socket: %v, %v", st.Mode(), err)
	}
	if _, err := Start(ctx, loadConfig(t, "controlSocket="+cfg.ControlSocket), quiet()); exitCode(err) != exit.Port {
		t.Errorf("a second server on the socket: %v", err)
	}
	snapshots(t, tcp, cfg.DataDir)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.ControlSocket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the control socket outlives the server: %v", err)
	}
}

// snapshots takes one, and finds the next too soon.
func snapshots(t *testing.T, tcp *asker, dataDir string) {
	t.Helper()
	status, body, header := tcp.ask("GET", "/ops/snapshot", "digest root:pw", "")
	file, err := os.ReadFile(filepath.Join(dataDir, "version-2", "snapshot.2"))
	if status != 200 || err != nil || !bytes.Equal(file, []byte(body)) || header.Get("last_zxid") != "0x2" {
		t.Errorf("snapshot = %d, %d bytes, %v; the file has %d, %v", status, len(body), header, len(file), err)
	}
	if status, _, _ := tcp.ask("GET", "/ops/snapshot", "digest root:pw", ""); status != 429 {
		t.Errorf("a snapshot at once behind another = %d", status)
	}
}

// TestAdminPortsAreClosedUnlessAsked: nothing listens that no setting names.
func TestAdminPortsAreClosedUnlessAsked(t *testing.T) {
	s, err := Start(t.Context(), testConfig(t.TempDir()), quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	if p := &s.admin; p.control != nil || p.commands != nil || p.metrics != nil {
		t.Errorf("open: %v", p)
	}
}

// TestOperatorsNeedTheRoot: a credential counts for as much as the root's ACL gives it.
func TestOperatorsNeedTheRoot(t *testing.T) {
	cfg, ctx := loadConfig(t, allAdminKeys), t.Context()
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	c, tcp := dial(t, s, wire.Options{}), askTCP(t, s.admin.commands)
	if status, _, _ := tcp.ask("GET", "/ops/srst", "digest anyone:pw", ""); status != 200 {
		t.Errorf("while the root is open to all: %d", status)
	}
	acl := []proto.ACL{{Perms: proto.PermRead | proto.PermAdmin, ID: proto.ID{Scheme: "world", ID: "anyone"}}}
	if _, err := c.SetACL(ctx, "/", acl, -1); err != nil {
		t.Fatal(err)
	}
	for authorization, want := range map[string]int{"": 401, "digest anyone:pw": 403, "sasl x": 401} {
		if status, _, _ := tcp.ask("GET", "/ops/srst", authorization, ""); status != want {
			t.Errorf("with %q: %d, want %d", authorization, status, want)
		}
	}
	if status, text, _ := askSocket(t, cfg.ControlSocket).ask("POST", "/ops/shed", "", `{"percentage":100}`); status != 200 || !strings.Contains(text, `"connections_shed" : 1`) {
		t.Errorf("shed = %d %s", status, text)
	}
	if _, _, err := c.Get(ctx, "/", false); err == nil {
		t.Error("a client that was shed is still connected")
	}
}

// TestEnsembleTellsOfItself asks a leader, a follower and an observer, and then one that has lost its quorum.
func TestEnsembleTellsOfItself(t *testing.T) {
	h := newHosts(t, 3, 1)
	h.tune = func(c *config.Config) { c.ControlSocket = filepath.Join(c.DataDir, "s") }
	h.start(1, 2, 3, 4)
	leader := h.awaitLeader(1, 2, 3)
	h.await(4, zab.Observing)
	ask := func(s *Server, path string) string {
		_, text, _ := askSocket(t, s.cfg.ControlSocket).ask("GET", path, "", "")
		return text
	}
	follower := leader%3 + 1
	for _, q := range []struct {
		of         *Server
		path, want string
	}{
		{h.running[leader], "/commands/leader", `"is_leader" : true`},
		{h.running[leader], "/commands/observers", `"sid" : 4,`},
		{h.running[leader], "/commands/monitor", `"learners" : 3`},
		{h.running[leader], "/commands/zabstate", `"zabstate" : "broadcast"`},
		{h.running[follower], "/commands/leader", fmt.Sprintf(`"leader_id" : %d`, leader)},
		{h.running[follower], "/commands/voting_view", `"learner_type" : "participant"`},
		{h.running[4], "/commands/zabstate", `"voting" : false`},
		{h.running[4], "/readyz", "ok"},
	} {
		if text := ask(q.of, q.path); !strings.Contains(text, q.want) {
			t.Errorf("%s has no %s:\n%s", q.path, q.want, text)
		}
	}
	h.stop(leader)
	h.stop(follower)
	lone := h.running[6-leader-follower]
	for lone.peer.Serving() {
		<-lone.changed
	}
	if status, text, _ := askSocket(t, lone.cfg.ControlSocket).ask("GET", "/readyz", "", ""); status != 503 || !strings.Contains(text, "clients are not served") {
		t.Errorf("/readyz without a quorum = %d %s", status, text)
	}
	if text := ask(lone, "/commands/ruok"); !strings.Contains(text, "not currently serving requests") {
		t.Errorf("ruok without a quorum = %s", text)
	}
}

// TestHostileAskers: what is no HTTP, what never ends and what never comes leaves the server as it was, and others are
// answered meanwhile.
func TestHostileAskers(t *testing.T) {
	s := startWith(t, "4lw.commands.whitelist=*\nadmin.enableServer=true\nadmin.serverPort=0\nadmin.idleTimeout=200\n")
	c, address := dial(t, s, wire.Options{}), s.admin.commands.Addr().String()
	send := func(to, text string) net.Conn {
		nc, err := net.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		_, _ = io.WriteString(nc, text) // it may be hung up on
		return nc
	}
	answered := map[string]bool{ // and not only hung up on
		"GET /commands/" + strings.Repeat("x", 100_000) + " HTTP/1.1\r\n\r\n": true, "\x00\xff\r\n\r\n": true,
		"GET /commands/%2e%2e/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":                            true,
		"POST /commands/shed HTTP/1.1\r\nHost: x\r\nAuthorization: digest a:b\r\nContent-Length: 100\r\n\r\n{": false,
		"GET /commands/moni": false, "": false,
		"GET /commands/ruok HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 100)+"\r\n", 1000) + "\r\n":       true,
		"GET /commands/ruok HTTP/1.1\r\nHost: x\r\nX-Y: " + strings.Repeat("z", 5000):                                               false, // goes on for ever
		"POST /commands/restore HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n" + strings.Repeat("z", 500_000):         true,
		"POST /commands/snapshot HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + strings.Repeat("z", 500_000): true,
		"POST /commands/shed HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n":                                                     true,
		"POST /commands/shed HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nx":                       false,
	}
	for text, want := range answered {
		b, _ := io.ReadAll(send(address, text)) // to its end, which comes
		if got := strings.HasPrefix(string(b), "HTTP/1.1 4"); want && !got {
			t.Errorf("%.30q is answered by %.60q", text, b)
		}
	}
	for range 100 { // more than may ask at one time, and they say nothing
		send(address, "")
	}
	for _, word := range []string{"mnt", "mntr\x00\x00", "stmk\x00", "envienvienvi", "crstsrst"} {
		nc := send(s.ClientAddr(), word)
		if tc, ok := nc.(*net.TCPConn); ok {
			_ = tc.CloseWrite()
		}
		_, _ = io.ReadAll(nc)
	}
	if _, _, err := c.Get(t.Context(), "/", false); err != nil {
		t.Errorf("a client meanwhile: %v", err)
	}
	if status, _, _ := askTCP(t, s.admin.commands).ask("GET", "/commands/ruok", "", ""); status != 200 {
		t.Errorf("ruok behind the silent = %d", status)
	}
}
