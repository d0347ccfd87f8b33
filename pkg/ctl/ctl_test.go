package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/exit"
)

// call runs a command line.
func call(t *testing.T, s Surroundings, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	s.Out, s.Err, s.Version = &o, &e, "1.2.3"
	if s.Booted == nil {
		s.Booted = func() bool { return true }
	}
	code = Main(args, s)
	return code, o.String(), e.String()
}

func write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigCheckSaysWhereAMistakeIs(t *testing.T) {
	dir := t.TempDir()
	good := write(t, "zoo.cfg", "dataDir="+dir, "tickTime=2000", "nonsense=1")
	bad := write(t, "zoo.cfg", "dataDir="+dir, "", "tickTime=soon")
	for name, c := range map[string]struct {
		args      []string
		code      int
		out, said string
	}{
		"good":          {[]string{"config", "check", good}, exit.OK, good + ": ok\n", good + ":3: nonsense is unknown"},
		"by flag":       {[]string{"--config", good, "config", "check"}, exit.OK, good + ": ok\n", ""},
		"bad":           {[]string{"config", "check", bad}, exit.Config, "", bad + ":3: tickTime: "},
		"no such check": {[]string{"config", "chuck"}, exit.Usage, "", "zabctl config: unknown command \"chuck\""},
		"no file":       {[]string{"config", "check", dir + "/none"}, exit.Config, "", "open " + dir + "/none: "},
		"two files":     {[]string{"config", "check", good, bad}, exit.Usage, "", "zabctl config check: accepts at most 1"},
		"no command":    {[]string{"confog"}, exit.Usage, "", "zabctl: unknown command \"confog\""},
	} {
		code, out, said := call(t, Surroundings{}, append([]string{"zabctl"}, c.args...)...)
		if code != c.code || out != c.out || !strings.HasPrefix(said, c.said) {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, said)
		}
	}
}

// TestConfigCheckWritesNothing: the server writes the id that it finds by address, and whoever asks does not.
func TestConfigCheckWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := write(t, "zoo.cfg", "dataDir="+dir, "initLimit=5", "syncLimit=2", "standaloneEnabled=false", "server.7=127.0.0.1:2888:3888")
	code, _, said := call(t, Surroundings{}, "zabctl", "config", "check", cfg)
	if _, err := os.Stat(dir); code != exit.OK || err == nil || !strings.Contains(said, "the server will write its id into") {
		t.Errorf("exit code %d, %v, %q", code, err, said)
	}
}

func TestConfigShow(t *testing.T) {
	cfg := write(t, "zoo.cfg", "dataDir=/d", "zookeeper.ticktime=2000", "DigestAuthenticationProvider.superDigest=super:xyz")
	env := []string{"ZABD_CLIENTPORT=2182"}
	code, out, _ := call(t, Surroundings{Env: env}, "zabctl", "config", "show", cfg)
	want := "clientPort=2182                                        # environment\n" +
		"dataDir=/d                                             # " + cfg + ":1\n" +
		"DigestAuthenticationProvider.superDigest=(secret)      # " + cfg + ":3\n" +
		"tickTime=2000                                          # " + cfg + ":2\n"
	if strings.Join(strings.Fields(out), " ") != strings.Join(strings.Fields(want), " ") || code != exit.OK {
		t.Errorf("exit code %d\n%s", code, out)
	}
	_, out, _ = call(t, Surroundings{}, "zabctl", "config", "show", "--all", "-o", "json", cfg)
	if !strings.Contains(out, `"key": "maxClientCnxns",`+"\n    "+`"value": "60",`+"\n    "+`"source": "default"`) {
		t.Errorf("the defaults are not shown:\n%s", out)
	}
}

func TestCompletionKnowsWordsAndValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want []string
	}{
		{"st", []string{"status"}},
		{"config ", []string{"check", "show"}},
		{"status --output ", []string{"table", "json"}},
		{"top --", []string{"--every", "--server", "--config"}},
		{"bench --op ", []string{"createdelete", "mix"}},
		{"doctor --b", []string{"--bundle"}},
	} {
		words := append(strings.Fields(c.line), "")
		if !strings.HasSuffix(c.line, " ") {
			words = words[:len(words)-1]
		}
		code, out, _ := call(t, Surroundings{}, append([]string{"zabctl", "__complete"}, words...)...)
		for _, want := range c.want {
			if code != exit.OK || !strings.Contains("\n"+out, "\n"+want) {
				t.Errorf("zabctl %s<tab>: exit code %d, no %q in\n%s", c.line, code, want, out)
			}
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := call(t, Surroundings{}, "zabctl", "completion", shell); code != exit.OK || !strings.Contains(out, "zabctl") {
			t.Errorf("%s: exit code %d, %.100s", shell, code, out)
		}
	}
}

// TestEveryExitCodeIsExplained has the help name each code that commands end with.
func TestEveryExitCodeIsExplained(t *testing.T) {
	code, out, _ := call(t, Surroundings{}, "zabctl", "help", "exit-codes")
	for _, n := range []int{exit.OK, exit.NotThere, exit.Usage, exit.Damage, exit.Locked, exit.Disk, exit.Config} {
		if code != exit.OK || !strings.Contains(out, fmt.Sprintf("* %d: ", n)) {
			t.Errorf("%d is not in\n%s", n, out)
		}
	}
}

// controlSocket is a server's control socket; ready holds an answer to /readyz for each time it is asked, and then the last.
func controlSocket(t *testing.T, ready ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	answer := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
	}
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		now := ready[0]
		if len(ready) > 1 {
			ready = ready[1:]
		}
		if now != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(now + "\n"))
	})
	answer("/commands/server_stats", `{"version":"3.9.5-zabd-1","server_stats":{"server_state":"follower","last_processed_zxid":21474836499,
		"outstanding_requests":1,"num_alive_client_connections":2,"min_latency":0,"avg_latency":0.5,"max_latency":7},"node_count":5,"command":"server_stats","error":null}`)
	answer("/commands/leader", `{"is_leader":false,"leader_id":3,"leader_ip":"10.0.0.3","command":"leader","error":null}`)
	answer("/commands/monitor", `{"version":"3.9.5-zabd-1","global_sessions":4,"watch_count":6,"avg_fsynctime":0.5,"max_fsynctime":3}`)
	s := &http.Server{Handler: mux}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return path
}

// clientPort answers srvr, and no other four-letter word.
func clientPort(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			word, answer := make([]byte, 4), text
			_, _ = c.Read(word)
			if string(word) != "srvr" {
				answer = string(word) + " is not executed because it is not in the whitelist.\n"
			}
			_, _ = c.Write([]byte(answer))
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func recorded(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/golden39/admin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	looking := "clients are not served: looking, 1/3 voters seen"
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"serving": {[]string{"--socket", controlSocket(t, "ok")}, exit.OK, []string{
			"SERVER ADDRESS ROLE READY EPOCH ZXID LAG LATENCY CLIENTS SESSIONS WATCHES SYNC ZNODES", "follower yes 5 0x500000013 - 0.5/7 2 4 6 0.5/3 5",
			"1 of 1 voters serve, server 3 leads, version 3.9.5-zabd-1",
		}},
		"json": {[]string{"--socket", controlSocket(t, "ok"), "-o", "json"}, exit.OK, []string{
			`{ "mode": "follower", "role": "follower", "ready": true,`, `"zxid": "0x500000013", "lag": null,`, `"leader": 3, "servers": [`, `"sessions": 4, "watches": 6, "fsync_avg_ms": 0.5,`,
		}},
		"looking":     {[]string{"--socket", controlSocket(t, looking)}, exit.NotThere, []string{"- looking no", "the server of this host: " + looking}},
		"named":       {[]string{"--config", write(t, "zoo.cfg", "controlSocket="+controlSocket(t, "ok"))}, exit.OK, []string{"follower yes"}},
		"leader":      {[]string{"--server", clientPort(t, recorded(t, "4lw-leader/srvr.txt"))}, exit.OK, []string{"leader yes 1 0x100000002 0 0/0 1 - - -/- 6", "leads, version 3.9.5-", "mntr is not in 4lw.commands.whitelist"}},
		"not serving": {[]string{"--server", clientPort(t, recorded(t, "4lw-not-serving/srvr.txt"))}, exit.NotThere, []string{"not currently serving"}},
		"nobody":      {[]string{"--socket", "/nonexistent"}, exit.NotThere, []string{"no server answers on /nonexistent"}},
		"no table":    {[]string{"--socket", controlSocket(t, "ok"), "-o", "yaml"}, exit.Usage, []string{"there are table and json"}},
	} {
		code, out, said := call(t, Surroundings{}, append([]string{"zabctl", "status"}, c.args...)...)
		all := strings.Join(strings.Fields(out+said), " ")
		if code != c.code {
			t.Errorf("%s: exit code %d", name, code)
		}
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: no %q in %s", name, want, all)
			}
		}
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	code, _, said := call(t, Surroundings{}, "zabctl", "wait", "--socket", controlSocket(t, "looking", "looking", "synchronising", "ok"))
	if code != exit.OK || said != "looking\nsynchronising\n" {
		t.Errorf("exit code %d, %q", code, said)
	}
	code, _, said = call(t, Surroundings{}, "zabctl", "wait", "--timeout", "1ms", "--socket", controlSocket(t, "looking"))
	if code != exit.NotThere || !strings.Contains(said, "the time is up: ") {
		t.Errorf("in vain: exit code %d, %q", code, said)
	}
}

// manager is systemd with one service.
type manager struct {
	running bool
	refuses bool
	asked   []string
}

func (m *manager) run(name string, args ...string) (string, error) {
	m.asked = append(m.asked, strings.Join(append([]string{name}, args...), " "))
	switch {
	case args[0] == "show" && m.running:
		return "42\n", nil
	case args[0] == "show":
		return "0\n", nil
	case m.refuses:
		return "Job failed.", errors.New("exit status 1")
	}
	m.running = args[0] != "stop"
	return "", nil
}

func TestStartScript(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args      []string
		manager   manager
		code      int
		out, said string
	}{
		"start":         {[]string{"start"}, manager{}, 0, "Starting zookeeper ... STARTED\n", "Using config: /etc/zabd/zoo.cfg"},
		"twice":         {[]string{"start"}, manager{running: true}, 1, "Starting zookeeper ... already running as process 42.\n", ""},
		"failing":       {[]string{"start"}, manager{refuses: true}, 1, "Starting zookeeper ... FAILED TO START\n", "Job failed."},
		"another file":  {[]string{"--config", "/x", "start", "y.cfg"}, manager{}, 1, "Starting zookeeper ... FAILED TO START\n", "open /x/y.cfg: no such file"},
		"stop":          {[]string{"stop"}, manager{running: true}, 0, "Stopping zookeeper ... STOPPED\n", ""},
		"stop in vain":  {[]string{"stop"}, manager{}, 0, "Stopping zookeeper ... no zookeeper to stop (zabd.service does not run)\n", ""},
		"restart":       {[]string{"restart"}, manager{running: true}, 0, "Restarting zookeeper ... STARTED\n", ""},
		"version":       {[]string{"version"}, manager{}, 0, "zabd 1.2.3, compatible with Apache ZooKeeper, version 3.9.5\n", ""},
		"print-cmd":     {[]string{"--config", "/x", "print-cmd"}, manager{}, 0, "\"/usr/bin/zabd\" --config \"/x/zoo.cfg\"\n", ""},
		"help":          {[]string{"help"}, manager{}, 0, scriptUsage, ""},
		"wrong command": {[]string{"begin"}, manager{}, exit.Usage, "", "Usage: zkServer.sh"},
	} {
		m := c.manager
		code, out, said := call(t, Surroundings{Run: m.run}, append([]string{"/usr/share/zabd/zkServer.sh"}, c.args...)...)
		if code != c.code || out != c.out || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, said)
		}
		if slices.Contains(m.asked, "systemctl stop zabd.service") && name != "stop" {
			t.Errorf("%s: %v", name, m.asked)
		}
	}
}

func TestStartScriptStatusSpeaksAsJavas(t *testing.T) {
	t.Parallel()
	server := clientPort(t, recorded(t, "4lw-follower/srvr.txt"))
	_, port, _ := net.SplitHostPort(server)
	cfg := write(t, "zoo.cfg", "dataDir="+t.TempDir(), "clientPort="+port, "clientPortAddress=127.0.0.1")
	found := "Client port found: " + port + ". Client address: 127.0.0.1. Client SSL: false.\n"
	code, out, _ := call(t, Surroundings{}, "zkServer.sh", "status", cfg)
	if code != 0 || out != found+"Mode: follower\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
	silent := write(t, "zoo.cfg", "dataDir="+t.TempDir(), "clientPort=1", "clientPortAddress=127.0.0.1")
	code, out, _ = call(t, Surroundings{Env: []string{"ZOOCFGDIR=" + filepath.Dir(silent)}}, "zkServer.sh", "status")
	if code != 1 || !strings.HasSuffix(out, "Error contacting service. It is probably not running.\n") {
		t.Errorf("nobody there: exit code %d, %q", code, out)
	}
}

// TestStartScriptFindsThePortInTheDynamicFile: in the line of this host's myid, as Java's script does.
func TestStartScriptFindsThePortInTheDynamicFile(t *testing.T) {
	t.Parallel()
	server, dir := clientPort(t, recorded(t, "4lw-follower/srvr.txt")), t.TempDir()
	_, port, _ := net.SplitHostPort(server)
	members := write(t, "zoo.cfg.dynamic.100000003", "server.1=127.0.0.2:2888:3888:participant;127.0.0.1:1", "server.2=127.0.0.3:2888:3888:participant;"+server)
	cfg := write(t, "zoo.cfg", "dataDir="+dir, "initLimit=5", "syncLimit=2", "reconfigEnabled=true", "dynamicConfigFile="+members)
	for id, c := range map[string]struct {
		code int
		out  string
	}{
		"2": {0, "Client port not found in static config file. Looking in dynamic config file.\nClient port found: " + port + ". Client address: 127.0.0.1. Client SSL: false.\nMode: follower\n"},
		"x": {1, "The client port is in this server's line of the dynamic config file, and which that is, the file myid in dataDir does not tell here.\n"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "myid"), []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, said := call(t, Surroundings{}, "zkServer.sh", "status", cfg); code != c.code || out != c.out {
			t.Errorf("myid %s: exit code %d, %q, %q", id, code, out, said)
		}
	}
}

func TestStartScriptInTheForeground(t *testing.T) {
	var became []string
	s := Surroundings{Become: func(name string, args, _ []string) error {
		became = append([]string{name}, args[1:]...)
		return errors.New("no such program")
	}}
	code, _, said := call(t, s, "zkServer.sh", "--config", "/x", "start-foreground")
	if want := "/usr/bin/zabd --config /x/zoo.cfg"; strings.Join(became, " ") != want || code != 1 || !strings.Contains(said, "no such program") {
		t.Errorf("%v, exit code %d, %q", became, code, said)
	}
}
