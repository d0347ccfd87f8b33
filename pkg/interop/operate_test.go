//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/ctl"
)

// zabctl runs the operator's tool, by one of its names.
func zabctl(args ...string) (code int, out, said string) {
	var o, e bytes.Buffer
	code = ctl.Main(args, ctl.Surroundings{Out: &o, Err: &e, Version: "test"})
	return code, o.String(), e.String()
}

// operated is what zabctl status says, for programs.
type operated struct {
	Mode    string
	Leader  int64
	Servers []struct {
		ID                            int64
		Role                          string
		Ready                         bool
		Lag, Sessions, Watches, Fsync *float64
	}
}

// TestZabctlOperatesZooKeeper asks, measures and examines ZooKeeper's servers, which have no control socket.
func TestZabctlOperatesZooKeeper(t *testing.T) {
	t.Parallel()
	e := assemble(t, "java java java", 100_000)
	e.begin()
	e.settle()
	own := e.members[0]
	cfg := withClientPorts(t, e)
	t.Run("status", func(t *testing.T) {
		code, out, said := zabctl("zabctl", "--config", cfg, "status", "-o", "json")
		var st operated
		if err := json.Unmarshal([]byte(out), &st); err != nil || code != 0 || st.Mode != "follower" || st.Leader != 2 || len(st.Servers) != 3 {
			t.Fatalf("%v, exit code %d, %s%s", err, code, out, said)
		}
		for i, s := range st.Servers {
			role := "follower"
			if i == 1 {
				role = "leader"
			}
			if s.ID != int64(i+1) || s.Role != role || !s.Ready || s.Lag == nil || *s.Lag != 0 || s.Sessions == nil || s.Watches == nil {
				t.Errorf("%s", out)
			}
		}
	})
	t.Run("top", func(t *testing.T) {
		code, out, _ := zabctl("zabctl", "top", "--server", e.addrs(), "--every", "10ms", "-n", "2")
		if code != 0 || strings.Count(out, "3 of 3 voters serve") != 2 || !strings.Contains(out, "version 3.8.0") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	t.Run("bench", func(t *testing.T) {
		code, out, said := zabctl("zabctl", "bench", "--server", e.addrs(), "--duration", "50ms", "--op", "get=3,set=1", "--op", "createdelete", "--shape", "2x2", "-o", "json")
		var b struct {
			Runs []struct{ Operations, Errors int }
		}
		if err := json.Unmarshal([]byte(out), &b); err != nil || code != 0 || len(b.Runs) != 2 || b.Runs[0].Operations == 0 || b.Runs[0].Errors+b.Runs[1].Errors > 0 {
			t.Errorf("%v, exit code %d, %s%s", err, code, out, said)
		}
		for path := range e.tree(own) {
			if strings.HasPrefix(path, "/zabctl") {
				t.Fatalf("%s is left", path)
			}
		}
	})
	t.Run("doctor", func(t *testing.T) {
		code, out, _ := zabctl("zabctl", "--config", cfg, "doctor")
		for _, wrong := range []string{" config: ", " serving: ", " ports: ", " myid: ", " equal: ", " version: ", "not examined: the leader's clock"} {
			if strings.Contains(out, wrong) {
				t.Errorf("there is nothing wrong: exit code %d\n%s", code, out)
				break
			}
		}
	})
	t.Run("zkServer.sh status", func(t *testing.T) { sameScript(t, own.cfg) })
	e.kill(e.members[2])
	t.Run("a server is down", func(t *testing.T) {
		_, out, _ := zabctl("zabctl", "--config", cfg, "status")
		if !strings.Contains(out, "2 of 3 voters serve, server 2 leads") || !strings.Contains(out, "server 3: dial tcp") {
			t.Error(out)
		}
		if code, out, _ := zabctl("zabctl", "--config", cfg, "doctor"); code != 1 || !strings.Contains(out, "serving: server 3: does not answer") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
}

// withClientPorts returns the first member's zoo.cfg with the client ports in the server lines, for who asks all servers.
func withClientPorts(t *testing.T, e *ensemble) string {
	t.Helper()
	text, err := os.ReadFile(e.members[0].cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range e.members {
		text = regexp.MustCompile(fmt.Sprintf(`(?m)^server\.%d=.*$`, m.id)).ReplaceAll(text, []byte("$0;"+m.addr))
	}
	cfg := filepath.Join(t.TempDir(), "zoo.cfg")
	writeFile(t, cfg, string(text))
	return cfg
}

// sameScript compares what ZooKeeper's zkServer.sh and ours print for status.
func sameScript(t *testing.T, cfg string) {
	t.Helper()
	const script = "/usr/share/zookeeper/bin/zkServer.sh"
	needTool(t, script, javaInstall)
	cmd := exec.Command(script, "status", cfg) // Debian's knows no --config
	var want bytes.Buffer
	cmd.Stdout = &want
	err := cmd.Run()
	code, out, _ := zabctl("zkServer.sh", "status", cfg)
	if out != want.String() || (code == 0) != (err == nil) {
		t.Errorf("exit code %d, %q, and ZooKeeper's %v, %q", code, out, err, &want)
	}
}
