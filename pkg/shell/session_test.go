package shell

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
)

var rewrite = flag.Bool("rewrite", false, "write what is printed into testdata")

// serve starts a zabd of the test's own and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	addr, _ := server(t)
	return addr
}

// server also returns how to stop it.
func server(t *testing.T) (addr string, stop func()) {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress, cfg.PreAllocSize = t.TempDir(), 0, "127.0.0.1", 64<<10
	cfg.ExtendedTypesEnabled, cfg.EnforceQuota = true, true
	s, err := daemon.Start(t.Context(), cfg.Complete(), daemon.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { _ = s.Close(context.Background()) })
	t.Cleanup(stop)
	return s.ClientAddr(), stop
}

// changing is what differs between two runs.
var changing = []struct {
	what *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ (?:19|20)\d\d`), "TIME"},
	{regexp.MustCompile(`0x[0-9a-f]{10,}`), "SESSION"},
}

// TestSession runs the commands of testdata/session.txt in one session with a new server, and expects what is below each of
// them. Package interop has ZooKeeper's own zkCli print the same. Behind each command comes one more, as there.
func TestSession(t *testing.T) {
	t.Parallel()
	const file = "testdata/session.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t)
	var out bytes.Buffer
	s := New(Options{Server: addr, Out: &out, Err: &out, Version: "TEST", WaitForConnection: true})
	if err := s.Connect(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "> ")
		if !ok {
			continue
		}
		out.Reset()
		s.Line(t.Context(), strings.ReplaceAll(command, "SERVER", addr))
		answer := out.String()
		for _, c := range changing {
			answer = c.what.ReplaceAllString(answer, c.to)
		}
		fmt.Fprintf(&got, "> %s\n%s", command, answer)
		s.Line(t.Context(), "redo 99999")
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	diff(t, strings.Split(got.String(), "\n"), strings.Split(string(text), "\n"))
}

// TestWatchesOfEveryKind is about what zkCli 3.8 does not have, and what its other thread might print at another time.
func TestWatchesOfEveryKind(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	var out bytes.Buffer
	s := New(Options{Server: addr, Out: &out, Err: &out, WaitForConnection: true})
	if err := s.Connect(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const fired, removed = "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:%s path:/a zxid: %d\n", -1
	for _, c := range []struct{ command, want string }{
		{"create /a 0", "Created /a\n"},
		{"get -w /a", "0\n"},
		{"printwatches off", ""},
		{"set /a 1", ""},
		{"printwatches on", ""},
		{"set /a 2", ""}, // the watch has fired
		{"get -w /a", "2\n"},
		{"stat -w /b", "Node does not exist: /b\n"},
		{"get -w /a", "2\n"},
		{"addWatch -m PERSISTENT /a", ""},
		{"addWatch /a", ""},
		{"set /a 3", fmt.Sprintf(fired, "NodeDataChanged", 5)}, // four watches, one event
		{"removewatches /a -p", fmt.Sprintf(fired, "PersistentWatchRemoved", removed)},
		{"removewatches /a -p", "KeeperErrorCode = No such watcher for /a\n"},
		{"set /a 4", fmt.Sprintf(fired, "NodeDataChanged", 6)},
		{"removewatches /a -r", fmt.Sprintf(fired, "PersistentWatchRemoved", removed)},
		{"set /a 5", ""},
		{"get -w /a", "5\n"},
		{"ls -w /a", "[]\n"},
		{"removewatches /a -d -l", fmt.Sprintf(fired, "DataWatchRemoved", removed)},
		{"delete /a", fmt.Sprintf(fired, "NodeDeleted", 8)},
	} {
		out.Reset()
		s.Line(t.Context(), c.command)
		if got := out.String(); got != c.want {
			t.Fatalf("%s prints %q, want %q", c.command, got, c.want)
		}
	}
}

// TestWhatGoesWrongIsOneLine that says what to do.
func TestWhatGoesWrongIsOneLine(t *testing.T) {
	t.Parallel()
	addr, stop := server(t)
	var out bytes.Buffer
	s := New(Options{Server: addr, Out: &out, Err: &out, WaitForConnection: true, Quiet: true})
	if err := s.Connect(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		name, line, want string
		before           func()
	}{
		{"a large value", "create /a " + strings.Repeat("x", 2<<20), "The request has 2097", nil},
		{"a bad credential", "addauth nonsense x", "KeeperErrorCode = AuthFailed\n", nil},
		{"the session goes on", "create /a", "Created /a\n", nil},
		{"no number", "set /a x -v 1.5", "-v argument must be an int value\n", nil},
		{"no base64", "set -b /a !", "The data is not base64: ", nil},
		{"a server that has gone", "get /a", "KeeperErrorCode = ConnectionLoss for /a: not connected to " + addr + ": ", stop},
		{"a server that is not there", "connect " + addr, "KeeperErrorCode = ConnectionLoss: not connected to " + addr + ": ", nil},
		{"no session", "get /a", "Not connected\n", nil},
		{"a wrong address", "connect a:b", "client: address \"a:b\"", nil},
	} {
		if c.before != nil {
			c.before()
		}
		out.Reset()
		code, _ := s.Line(t.Context(), c.line)
		got := out.String()
		if !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") != 1 || (code == 0) != strings.HasPrefix(c.want, "Created") {
			t.Errorf("%s: %.40s prints %q, exit code %d, want %q", c.name, c.line, got, code, c.want)
		}
	}
}

// diff reports the first line that differs, with what comes before it.
func diff(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			from := max(0, i-8)
			t.Fatalf("line %d differs; got:\n%s\nwant:\n%s", i+1, strings.Join(got[from:min(i+1, len(got))], "\n"), strings.Join(want[from:min(i+1, len(want))], "\n"))
		}
	}
}
