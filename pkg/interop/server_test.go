//go:build interop

package interop

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/zabd/zabd/pkg/proto"
)

// host is where servers listen. Outgoing connections to 127.0.0.0/8 leave from 127.0.0.1, so on 127.0.0.2 nobody takes
// a server's port while it is down.
const host = "127.0.0.2"

const (
	javaClasses = "/usr/share/java/zookeeper.jar"
	javaInstall = "apt-get install -y zookeeper default-jdk-headless"
	javaLogging = "/usr/share/java/slf4j-simple.jar" // lets Java tell, on stderr, what it does
	javaServlet = "/usr/share/java/servlet-api.jar"  // without which its admin server stays closed
)

// jvm makes many short-lived JVMs bearable on two cores.
var jvm = []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}

// kind is a server program.
type kind interface {
	name() string
	// command is the argv that serves the configuration file in the foreground.
	command(t testing.TB, cfg string) []string
}

type zabdKind struct{ binary string }

func (zabdKind) name() string { return "zabd" }

func (k zabdKind) command(_ testing.TB, cfg string) []string {
	return []string{k.binary, "--config", cfg}
}

type javaKind struct{}

func (javaKind) name() string { return "java" }

func (javaKind) command(t testing.TB, cfg string) []string {
	needTool(t, javaClasses, javaInstall)
	argv := append([]string{"/usr/bin/java"}, jvm...)
	argv = append(argv, "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS", "-Dznode.container.checkIntervalMs="+never)
	return append(argv, "-cp", javaClasses+":"+javaLogging+":"+javaServlet, "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfg)
}

// never is an interval in milliseconds that no test lasts for. ZooKeeper takes that of containers from the command line only.
const never = "100000000"

// underTest is what the suite runs against; TestMain sets it.
var underTest kind

// TestMain builds zabd once. As a child of the suite it is go-zookeeper/zk's client program instead.
func TestMain(m *testing.M) {
	if os.Getenv("ZABD_INTEROP_CLIENT") == "go-zk" {
		os.Exit(goZKMain(os.Args[1:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("ZABD_INTEROP_SERVER") == "java" {
		underTest = javaKind{}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "zabd-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "zabd")
	build := exec.Command("go", "build", "-o", binary, "github.com/zabd/zabd/cmd/zabd")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build zabd: %v\n%s", err, out)
		return 1
	}
	underTest = zabdKind{binary}
	return m.Run()
}

// server is one server with its own data and port, which it keeps when it is started again.
type server struct {
	kind kind
	addr string
	cfg  string
	proc *process

	admin string // where it answers by HTTP, if it does
}

// serve starts a server of the kind and returns when it serves. Sessions may ask for 2 s to 20 s. Logs are short, so
// that servers meet snapshots, too.
func serve(t testing.TB, k kind) *server {
	t.Helper()
	return serveWith(t, k, "admin.enableServer=false\n")
}

// serveWith has more lines in its configuration; DIR is the server's directory.
func serveWith(t testing.TB, k kind, lines string) *server {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &server{kind: k, addr: addr.String(), cfg: filepath.Join(dir, "zoo.cfg")}
	cfg := fmt.Sprintf("tickTime=1000\ndataDir=%s\nclientPort=%d\nclientPortAddress=%s\nmaxClientCnxns=0\nsnapCount=300\n"+
		"4lw.commands.whitelist=*\nextendedTypesEnabled=true\nenforceQuota=true\n"+
		"znode.container.checkIntervalMs="+never+"\n"+strings.ReplaceAll(lines, "DIR", dir), filepath.Join(dir, "data"), addr.Port, host)
	if err := os.WriteFile(s.cfg, []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	return s
}

func (s *server) launch(t testing.TB) {
	t.Helper()
	s.proc = startProcess(t, s.kind.command(t, s.cfg))
}

// start returns when the server serves.
func (s *server) start(t testing.TB) {
	t.Helper()
	s.launch(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !s.serves() {
		select {
		case <-tick.C:
		case <-s.proc.done:
			t.Fatalf("%s ended (%v):\n%s", s.kind.name(), s.proc.err, s.proc.tail())
		case <-ctx.Done():
			t.Fatalf("%s does not serve:\n%s", s.kind.name(), s.proc.tail())
		}
	}
}

// serves asks for a session that nobody has. A server that is only listening closes the connection; one that has its
// data refuses with an answer, and nothing is written to its log, so scripts can count zxids.
func (s *server) serves() bool {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	// A server that is just starting may take a connection and forget it; it is asked again.
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	p := probe{conn: c}
	r := proto.ConnectRequest{Timeout: 5000, SessionID: 1, Password: make([]byte, 16), HasReadOnly: true}
	_, err = p.exchange(r.AppendTo(nil))
	return err == nil
}

// word asks for a four-letter word.
func (s *server) word(word string) (string, error) {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// crash is kill -9 and a new start on the same data.
func (s *server) crash(t testing.TB) {
	t.Helper()
	s.proc.kill()
	s.start(t)
}

// connect is the suite's own view of the server, by go-zookeeper/zk.
func (s *server) connect(t testing.TB) *zk.Conn {
	t.Helper()
	c, err := dialGoZK(s.addr, 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.Conn
}
