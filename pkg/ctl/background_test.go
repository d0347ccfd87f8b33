package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/exit"
)

// TestStartScriptWithoutAUnit has the server run in the background, with ZooKeeper's words.
func TestStartScriptWithoutAUnit(t *testing.T) {
	t.Parallel()
	data, logs := t.TempDir(), t.TempDir()
	cfg := write(t, "zoo.cfg", "dataDir="+data, "clientPort=0", "clientPortAddress=127.0.0.1")
	pidFile := filepath.Join(data, "zookeeper_server.pid")
	s := Surroundings{Env: append(os.Environ(), "ZOO_LOG_DIR="+logs, "USER=me"), Server: os.Args[0]}
	script := func(command, want string, code int) {
		t.Helper()
		if got, out, said := call(t, s, "zkServer.sh", command, cfg); out != want || got != code {
			t.Fatalf("%s: exit code %d, %q, %q", command, got, out, said)
		}
	}
	t.Cleanup(func() { call(t, s, "zkServer.sh", "stop", cfg) })
	script("stop", fmt.Sprintf("Stopping zookeeper ... no zookeeper to stop (could not find file %s)\n", pidFile), exit.OK)
	script("start", "Starting zookeeper ... STARTED\n", exit.OK)
	first, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	script("start", fmt.Sprintf("Starting zookeeper ... already running as process %s.\n", first), exit.NotThere)
	script("restart", "Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED\n", exit.OK)
	if again, err := os.ReadFile(pidFile); err != nil || string(again) == string(first) {
		t.Errorf("after a restart it is process %s as before, %v", again, err)
	}
	script("stop", "Stopping zookeeper ... STOPPED\n", exit.OK)
	if _, err := os.Stat(pidFile); err == nil {
		t.Errorf("%s is left", pidFile)
	}
	if err := os.WriteFile(pidFile, fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	script("stop", "Stopping zookeeper ... STOPPED\n", exit.OK) // somebody else has the number now, and lives
	bad := write(t, "zoo.cfg", "dataDir="+data, "clientPort=0", "initLimit=x")
	if code, out, said := call(t, s, "zkServer.sh", "start", bad); code != exit.NotThere || !strings.HasSuffix(out, "FAILED TO START\n") || !strings.Contains(said, ":3: initLimit") {
		t.Errorf("a wrong file: exit code %d, %q, %q", code, out, said)
	}
	s.Server = "/bin/ls"
	if code, out, said := call(t, s, "zkServer.sh", "start", cfg); code != exit.NotThere || !strings.HasSuffix(out, "FAILED TO START\n") || !strings.Contains(said, "exit status 2; see "+logs) {
		t.Errorf("a server that ends: exit code %d, %q, %q", code, out, said)
	}
	host, _ := os.Hostname()
	if text, err := os.ReadFile(filepath.Join(logs, "zookeeper-me-server-"+host+".out")); err != nil || !strings.Contains(string(text), "--config") {
		t.Errorf("what the server said: %q, %v", text, err)
	}
}
