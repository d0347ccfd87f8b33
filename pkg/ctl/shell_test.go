package ctl

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
	"github.com/zabd/zabd/pkg/exit"
)

// server starts a zabd of the test's own and returns its address.
func server(t *testing.T) string {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress, cfg.PreAllocSize = t.TempDir(), 0, "127.0.0.1", 64<<10
	s, err := daemon.Start(t.Context(), cfg.Complete(), daemon.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s.ClientAddr()
}

func TestCommandsOfZkCliOneByOne(t *testing.T) {
	addr := server(t)
	zoo := write(t, "zoo.cfg", "clientPort="+addr[strings.IndexByte(addr, ':')+1:], "clientPortAddress=127.0.0.1")
	secret := write(t, "secret", "digest:alice:secret")
	for _, c := range []struct {
		name, line string
		code       int
		out, said  string
	}{
		{"create", "create /a hello", exit.OK, "", "Created /a\n"},
		{"read", "get /a", exit.OK, "hello\n", ""},
		{"options of zkCli", "get -b -- /a", exit.OK, "aGVsbG8=\n", ""},
		{"options with names", "get --base64 /a", exit.OK, "aGVsbG8=\n", ""},
		{"options behind the words", "set /a new -v 0", exit.OK, "", ""},
		{"an error", "set /a newer --version 7", exit.NotThere, "", "version No is not valid : /a\n"},
		{"no such node", "get /none", exit.NotThere, "", "Node does not exist: /none\n"},
		{"not a path", "get a", exit.NotThere, "", "Path must start with / character\n"},
		{"words of old", "rmr /a", exit.OK, "", "The command 'rmr' has been deprecated. Please use 'deleteall' instead.\n"},
		{"too few words", "create", exit.Usage, "", "create [-s] [-e] [-c] [-t ttl] path [data] [acl]\n"},
		{"no such option", "get --nonsense /a", exit.Usage, "", "zabctl get: unknown flag: --nonsense\n"},
		{"a credential", "create /mine x auth::cdrwa --auth digest:alice:secret", exit.OK, "", "Created /mine\n"},
		{"without it", "get /mine", exit.NotThere, "", "Insufficient permission : /mine\n"},
		{"in a file", "get /mine --auth @" + secret, exit.OK, "x\n", ""},
		{"one dash", "reconfig -remove 3", exit.NotThere, "", "KeeperErrorCode = Reconfig is disabled\n"},
		{"members", "config", exit.OK, "\n", ""},
		{"version", "version", exit.OK, "ZooKeeper CLI version: 3.9.5 (zabd 1.2.3)\n", ""},
	} {
		code, out, said := call(t, Surroundings{}, append([]string{"zabctl", "--config", zoo}, strings.Fields(c.line)...)...)
		if code != c.code || out != c.out || said != c.said {
			t.Errorf("%s: exit code %d, %q, %q, want %d, %q, %q", c.name, code, out, said, c.code, c.out, c.said)
		}
	}
}

// TestCommandsFindTheServerByItsList: where zoo.cfg has no clientPort, the server's line of the list of members that counts
// has it. Nobody has the port of the other lines.
func TestCommandsFindTheServerByItsList(t *testing.T) {
	t.Parallel()
	addr := server(t)
	host, port, _ := strings.Cut(addr, ":")
	const nobody = "server.2=127.0.0.1:2888:3888;127.0.0.1:1"
	own := "server.1=127.0.0.2:2888:3888;" + addr
	dynamic := []string{"reconfigEnabled=true", "initLimit=5", "syncLimit=2", "dynamicConfigFile=DIR/members"}
	both := own + "\n" + nobody
	for name, c := range map[string]struct {
		zoo   []string
		files map[string]string
		link  string // where that leads to which it is a version of
	}{
		"its line":                      {dynamic, map[string]string{"members": both, "myid": "1"}, ""},
		"its line of a reconfiguration": {dynamic, map[string]string{"members.100000003": both, "myid": "1"}, "members.100000003"},
		"the port was moved":            {append([]string{"clientPort=1"}, dynamic...), map[string]string{"members.100000003": both, "myid": "1"}, "members.100000003"},
		"the port was moved, and zoo.cfg has lines": {
			[]string{"server.1=127.0.0.2:2888:3888;1", nobody}, map[string]string{"zoo.cfg.dynamic.5": both, "myid": "1"}, "zoo.cfg.dynamic.5",
		},
		"a port for all addresses": {dynamic, map[string]string{"members": "server.1=127.0.0.2:2888:3888;" + port + "\n" + nobody, "myid": "1"}, ""},
		"a line alone":             {dynamic, map[string]string{"members": own}, ""},
		"beside mistakes":          {append([]string{"tickTime=soon", "minSessionTimeout=x"}, dynamic...), map[string]string{"members": both, "myid": "1"}, ""},
		"nobody says which line":   {dynamic, map[string]string{"members": nobody + "\n" + own, "myid": "x"}, ""},
		"clientPort, and nobody says which line": {
			append([]string{"clientPort=" + port, "clientPortAddress=" + host}, dynamic...), map[string]string{"members": nobody, "myid": "x"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.files["zoo.cfg"] = strings.ReplaceAll(strings.Join(append(c.zoo, "dataDir=DIR"), "\n"), "DIR", dir)
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.link != "" {
				if err := os.Symlink(c.link, filepath.Join(dir, strings.TrimSuffix(c.link, filepath.Ext(c.link)))); err != nil {
					t.Fatal(err)
				}
			}
			code, out, said := call(t, Surroundings{}, "zabctl", "--config", filepath.Join(dir, "zoo.cfg"), "ls", "/")
			if code != exit.OK || out != "[zookeeper]\n" {
				t.Errorf("exit code %d, %q, %q", code, out, said)
			}
		})
	}
}

func TestNoServerIsOneLine(t *testing.T) {
	for _, args := range [][]string{{"zabctl", "get", "--server", "127.0.0.1:1", "/a"}, {"zkCli.sh", "-server", "127.0.0.1:1", "get", "/a"}} {
		code, _, said := call(t, Surroundings{}, args...)
		if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "ConnectionLoss") || !strings.Contains(said, "connection refused") {
			t.Errorf("%q: exit code %d, %q", args, code, said)
		}
	}
}

// TestZkCli is the program by its other name.
func TestZkCli(t *testing.T) {
	addr := server(t)
	const connected = "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null zxid: -1\n"
	for _, c := range []struct {
		name      string
		args      []string
		in        string
		code      int
		out, said string
		last      string // what scripts take by tail
	}{
		{"one command", []string{"-server", addr, "-waitforconnection", "create", "/a", "two words"}, "", 0, "Connecting to " + addr + "\n" + connected, "Created /a\n", ""},
		{"no such command", []string{"-server", addr, "-waitforconnection", "fetch"}, "", 127, "Connecting to ", "ZooKeeper -server host:port -client-configuration properties-file cmd args\n", ""},
		{"commands of stdin", []string{"-server", addr, "-waitforconnection"}, "get /a\n\nget /none\nquit\nget /a\n", 1, "Connecting to " + addr + "\nWelcome to ZooKeeper!\n" + connected + "two words\n", "Node does not exist: /none\n", "state:Closed type:None path:null zxid: -1\n"},
		{"end of stdin", []string{"-server", addr, "-waitforconnection"}, "get /a\n", 0, "Connecting to ", "", "\ntwo words\n"},
		{"one answer", []string{"-server", addr, "get", "/a"}, "", 0, "Connecting to ", "", "\ntwo words\n"},
		{"no such flag", []string{"-sever", addr}, "", exit.Usage, "", "Error: no such option: -sever\n", ""},
	} {
		code, out, said := call(t, Surroundings{In: strings.NewReader(c.in)}, append([]string{"/usr/bin/zkCli.sh"}, c.args...)...)
		if code != c.code || !strings.HasPrefix(out, c.out) || !strings.HasPrefix(said, c.said) || c.last != "" && !strings.HasSuffix(out, c.last) {
			t.Errorf("%s: exit code %d, %q, %q, want %d, %q, %q", c.name, code, out, said, c.code, c.out, c.said)
		}
	}
}

func TestPathsAreCompleted(t *testing.T) {
	addr := server(t)
	for _, path := range []string{"/alpha", "/alphabet", "/beta"} {
		call(t, Surroundings{}, "zabctl", "create", "--server", addr, path)
	}
	// What the shells' completion scripts call.
	_, out, _ := call(t, Surroundings{}, "zabctl", "__complete", "get", "--server", addr, "/al")
	if !strings.HasPrefix(out, "/alpha\n/alphabet\n:") {
		t.Errorf("completions: %q", out)
	}
}
