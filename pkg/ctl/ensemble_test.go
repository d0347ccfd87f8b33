package ctl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/daemon"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/lab"
)

// TestMain is also the servers that the tests start: this program as zabd.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--config" {
		os.Exit(daemon.Main(os.Args[1:], os.Environ(), os.Stderr, daemon.Program{Version: "1.2.3"}))
	}
	os.Exit(m.Run())
}

// three starts an ensemble whose servers have their control sockets in their directories, and with these lines in zoo.cfg.
func three(t *testing.T, lines ...string) *lab.Ensemble {
	t.Helper()
	e, err := lab.New(t.TempDir(), lab.Kind{Name: "zabd", Argv: []string{os.Args[0], "--config"}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	for _, s := range e.Servers {
		text, err := os.ReadFile(s.Config())
		if err != nil {
			t.Fatal(err)
		}
		own := append([]string{strings.Replace(string(text), "./data", s.Data(), 1), "controlSocket=" + filepath.Join(s.Data(), "control")}, lines...)
		if err := os.WriteFile(s.Config(), []byte(strings.Join(own, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.InSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStatusOfAnEnsemble(t *testing.T) {
	t.Parallel()
	e := three(t, "4lw.commands.whitelist=srvr")
	own := e.Servers[0]
	code, out, said := call(t, Surroundings{}, "zabctl", "--config", own.Config(), "status")
	if code != exit.OK || said != "" {
		t.Errorf("exit code %d, %q", code, said)
	}
	for _, want := range []string{
		"3 of 3 voters serve, server 2 leads, version 3.9.5-zabd-1.2.3",
		"1 " + own.Addr + " follower yes", "2 " + e.Servers[1].Addr + " leader yes",
		"* server 2, server 3: sessions, watches and disk sync times are not told: mntr is not in 4lw.commands.whitelist",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	e.Servers[2].Kill()
	code, out, _ = call(t, Surroundings{}, "zabctl", "--config", own.Config(), "status", "-o", "json")
	var answer struct {
		Mode    string
		Leader  int64
		Servers []struct {
			ID      int64
			Role    string
			Ready   bool
			Lag     *int64
			Watches *int64
			Reason  string
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != exit.OK || len(answer.Servers) != 3 {
		t.Fatalf("%v, exit code %d\n%s", err, code, out)
	}
	s := answer.Servers
	if answer.Mode != "follower" || answer.Leader != 2 || s[0].Watches == nil || s[1].Watches != nil || s[1].Lag == nil || *s[1].Lag != 0 {
		t.Errorf("%s", out)
	}
	if s[2].ID != 3 || s[2].Role != "down" || s[2].Ready || !strings.Contains(s[2].Reason, "refused") {
		t.Errorf("a server that is down: %+v", s[2])
	}
	if code, _, _ := call(t, Surroundings{}, "zabctl", "--config", e.Servers[2].Config(), "status"); code != exit.NotThere {
		t.Errorf("on the host of the server that is down: exit code %d", code)
	}
	if code, _, _ := call(t, Surroundings{}, "zabctl", "wait", "--timeout", "1ms", "--server", strings.Join(e.Addrs(), ",")); code != exit.NotThere {
		t.Errorf("waiting for all while one is down: exit code %d", code)
	}
}

func TestTopShowsRatesFromTheSecondTableOn(t *testing.T) {
	t.Parallel()
	e := three(t)
	code, out, _ := call(t, Surroundings{}, "zabctl", "--config", e.Servers[0].Config(), "top", "--every", "1ms", "-n", "2")
	tables := strings.Split(out, "voters serve")
	if code != exit.OK || len(tables) != 3 || strings.Contains(out, "\x1b") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for i, rates := range []string{"- - 0/0", "0 0/0"} {
		if !strings.Contains(strings.Join(strings.Fields(tables[i+1]), " "), rates) {
			t.Errorf("table %d has no %q\n%s", i, rates, tables[i+1])
		}
	}
}

func TestBenchMeasuresAndLeavesNothing(t *testing.T) {
	t.Parallel()
	e := three(t)
	code, out, said := call(t, Surroundings{}, "zabctl", "bench", "--server", strings.Join(e.Addrs(), ","), "--duration", "20ms",
		"--shape", "1x1,3x4", "--op", "get=3,set=1", "--op", "sequential", "--size", "10", "-o", "json")
	var answer struct{ Runs []measured }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != exit.OK || len(answer.Runs) != 4 {
		t.Fatalf("%v, exit code %d, %s%s", err, code, out, said)
	}
	for _, r := range answer.Runs {
		if r.Rate <= 0 || r.Errors > 0 || r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Most {
			t.Errorf("%+v", r)
		}
	}
	if r := answer.Runs[3]; r.Operation != "sequential" || r.Connections != 3 || r.Outstanding != 4 {
		t.Errorf("the last run is %+v", r)
	}
	code, out, said = call(t, Surroundings{}, "zabctl", "bench", "--config", e.Servers[0].Config(), "--duration", "1ms")
	if code != exit.OK || said != "" || !strings.HasPrefix(out, "OPERATION") || strings.Count(out, "\n") != 5 {
		t.Errorf("exit code %d, %q\n%s", code, said, out)
	}
	_, out, _ = call(t, Surroundings{}, "zabctl", "status", "--server", e.Addrs()[0], "-o", "json")
	if !strings.Contains(out, `"znodes": 5`) { // those of a new ensemble
		t.Errorf("nodes are left: %s", out)
	}
	for name, args := range map[string]string{
		"operation": "--op git", "shape": "--shape 1", "duration": "--duration 2h", "size": "--size 0", "path": "--path x",
	} {
		if code, _, said := call(t, Surroundings{}, append([]string{"zabctl", "bench"}, strings.Fields(args)...)...); code != exit.Usage {
			t.Errorf("wrong %s: exit code %d, %q", name, code, said)
		}
	}
	if code, _, said := call(t, Surroundings{}, "zabctl", "bench", "--server", "127.0.0.1:1"); code != exit.NotThere || strings.Count(said, "\n") != 1 {
		t.Errorf("nobody there: exit code %d, %q", code, said)
	}
}

func TestDoctorPrintsRemediesAndWritesABundle(t *testing.T) {
	t.Parallel()
	e := three(t)
	own := e.Servers[0].Config()
	e.Servers[2].Kill()
	bundle := filepath.Join(t.TempDir(), "report.tar.gz")
	journal := func(string, ...string) (string, error) { return "started", nil }
	code, out, said := call(t, Surroundings{Run: journal}, "zabctl", "--config", own, "doctor", "--bundle", bundle)
	if code != exit.NotThere || !strings.Contains(out, "error  serving: server 3: does not answer: ") || !strings.Contains(out, "\n  remedy: on its host: ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if st, err := os.Stat(bundle); err != nil || st.Size() == 0 || st.Mode().Perm() != 0o600 || !strings.Contains(said, bundle+" is written") {
		t.Errorf("%v, %v, %q", st, err, said)
	}
	code, _, said = call(t, Surroundings{Run: journal}, "zabctl", "--config", own, "doctor", "--bundle", bundle)
	if code != exit.NotThere || !strings.Contains(said, "file exists") {
		t.Errorf("a bundle that is there: exit code %d, %q", code, said)
	}
	code, out, _ = call(t, Surroundings{}, "zabctl", "--config", write(t, "zoo.cfg", "dataDir=x", "tickTime=soon"), "doctor", "--socket", "/nonexistent", "-o", "json")
	var answer struct {
		Findings []struct{ Check, Severity, Where, Found, Remedy string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != exit.NotThere || len(answer.Findings) < 2 || answer.Findings[0].Check != "config" {
		t.Errorf("%v, exit code %d\n%s", err, code, out)
	}
}
