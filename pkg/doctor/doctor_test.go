package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
	"github.com/zabd/zabd/pkg/lab"
	"github.com/zabd/zabd/pkg/overview"
	"github.com/zabd/zabd/pkg/wire"
)

// TestMain is also the servers that the tests start: this program as zabd.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--config" {
		os.Exit(daemon.Main(os.Args[1:], os.Environ(), os.Stderr, daemon.Program{Version: "test"}))
	}
	os.Exit(m.Run())
}

// three starts an ensemble, whose servers have their control sockets in their directories.
func three(t *testing.T) *lab.Ensemble {
	t.Helper()
	e, err := lab.New(t.TempDir(), lab.Kind{Name: "zabd", Argv: []string{os.Args[0], "--config"}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	for _, s := range e.Servers {
		text := strings.Replace(read(t, s.Config()), "./data", s.Data(), 1) + "controlSocket=" + filepath.Join(s.Data(), "control") + "\n"
		if err := os.WriteFile(s.Config(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.Start(t.Context()), e.InSync(t.Context())); err != nil {
		t.Fatal(err)
	}
	return e
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// host is a machine where all is well.
func host(t *testing.T) Host {
	return Host{
		Now: time.Now, Synchronised: func() (bool, error) { return true, nil },
		Space: func(string) (Space, error) { return Space{900 << 30, 1000 << 30}, nil },
		Syncs: func(string) ([]time.Duration, error) { return []time.Duration{time.Millisecond}, nil },
		Proc:  t.TempDir(),
	}
}

// subject is the host of the ensemble's first server, with its zoo.cfg as edit changes it.
func subject(t *testing.T, e *lab.Ensemble, edit func(text string) string) *Subject {
	t.Helper()
	own := e.Servers[0]
	s := &Subject{File: filepath.Join(t.TempDir(), "zoo.cfg"), Host: host(t)}
	if err := os.WriteFile(s.File, []byte(edit(read(t, own.Config()))), 0o600); err != nil {
		t.Fatal(err)
	}
	control := overview.NewControl(filepath.Join(own.Data(), "control"), "/commands")
	_, _, s.ConfigErr = config.Check(s.File, nil, nil)
	cfg, err := config.Survey(s.File, nil)
	if err != nil {
		s.Targets = []overview.Target{{Control: control}}
		return s
	}
	s.Config = &cfg
	for i := range cfg.Members.Members {
		m := &cfg.Members.Members[i]
		target := overview.Target{ID: int64(m.ID), Address: cfg.ClientAddress(m), Observer: !cfg.Members.IsVoter(m.ID)}
		if m.ID == 1 {
			target.Control = control
		}
		s.Targets = append(s.Targets, target)
	}
	return s
}

func same(text string) string { return text }

// beside are findings that depend on the machine that the tests run on.
func beside(f Finding) bool { return f.Check == "fsync" || f.Check == "limits" }

// lineOf returns the server line with an id.
func lineOf(text string, id int) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, fmt.Sprintf("server.%d=", id)) {
			return line
		}
	}
	return ""
}

// listen opens a port of the kernel's choice.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// lone starts a server that is an ensemble of itself alone, by an id, and returns its client address.
func lone(t *testing.T, id int, lines ...string) string {
	t.Helper()
	client, quorum, election := listen(t), listen(t), listen(t)
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	text := append(lines, "dataDir="+t.TempDir(), "initLimit=10", "syncLimit=5", "standaloneEnabled=false",
		fmt.Sprintf("server.%d=127.0.0.1:%d:%d;127.0.0.1:%d", id, port(quorum), port(election), port(client)))
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(file, []byte(strings.Join(text, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := daemon.Start(t.Context(), cfg, daemon.Options{
		Log: slog.New(slog.DiscardHandler), Listeners: []net.Listener{client}, Quorum: []net.Listener{quorum}, Election: []net.Listener{election}, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	return client.Addr().String()
}

// awaitServing waits until a server opens sessions.
func awaitServing(t *testing.T, address string) {
	t.Helper()
	for {
		c, err := wire.Dial(t.Context(), address, wire.Options{})
		if err == nil {
			_ = c.CloseSession(t.Context())
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// found returns the finding of a check whose text has a part, somewhere or anywhere, and all findings as a text.
func found(r *Report, check, where, part string) (f Finding, ok bool, all string) {
	var b strings.Builder
	for _, x := range r.Findings {
		fmt.Fprintf(&b, "%+v\n", x)
		if x.Check == check && (where == "" || x.Where == where) && strings.Contains(x.Found, part) {
			f, ok = x, true
		}
	}
	return f, ok, b.String()
}

// provoked is what somebody does, to zoo.cfg or to the host, and the finding that comes of it.
type provoked struct {
	edit               func(text string) string
	change             func(s *Subject)
	check, where, part string
	severity           Severity
}

// inEnsemble are what is wrong between servers; impostor is the address of a server 2 that is none of ours.
func inEnsemble(impostor string) map[string]provoked {
	return map[string]provoked{
		"a mistake in zoo.cfg": {
			edit:  func(text string) string { return text + "snapCount=few\n" },
			check: "config", part: "snapCount: ", severity: Error,
		},
		"a server that is down": {
			edit:  func(text string) string { return text + "server.4=127.0.0.1:1:2:observer;127.0.0.1:3\n" },
			check: "serving", where: "server 4", part: "does not answer: dial tcp 127.0.0.1:3: connect: connection refused", severity: Error,
		},
		"an election port that nobody has": {
			edit: func(text string) string {
				line := lineOf(text, 3)
				parts := strings.Split(line, ":")
				parts[2] = "1"
				return strings.Replace(text, line, strings.Join(parts, ":"), 1)
			},
			check: "ports", where: "server 3", part: "its election port 127.0.0.2:1 cannot be reached from here: connection refused", severity: Error,
		},
		"two servers with one myid": {
			edit:  func(text string) string { return text + "server.4=127.0.0.1:1:2:observer;" + impostor + "\n" },
			check: "myid", where: "server 2", part: "several servers say that they are it: " + impostor, severity: Error,
		},
		"a server line that leads to another server": {
			edit: func(text string) string {
				two := lineOf(text, 2)
				return strings.Replace(text, two, strings.Replace(two, "server.2", "server.7", 1), 1)
			},
			check: "myid", where: "server 7", part: "answers server 2", severity: Error,
		},
		"another tickTime": {
			edit:  func(text string) string { return strings.Replace(text, "tickTime=2000", "tickTime=3000", 1) },
			check: "equal", where: "server 1, server 2, server 3", part: "minSessionTimeout is 4s, and 6s here; maxSessionTimeout is 40s, and 1m0s here; tickTime is 2000, and 3000 here", severity: Warning,
		},
		"other members": {
			edit:  func(text string) string { return text + "server.4=127.0.0.1:1:2:observer;127.0.0.1:3\n" },
			check: "equal", where: "server 1, server 2, server 3", part: "server.4 is not there, and 127.0.0.1:1:2:observer here", severity: Warning,
		},
	}
}

// onHost are what is wrong with the host of server 1, whose data is in dir.
func onHost(dir string) map[string]provoked {
	small := func(string) (Space, error) { return Space{1 << 20, 1000 << 30}, nil }
	return map[string]provoked{
		"a clock that is not the leader's": {
			change: func(s *Subject) { s.Host.Now = func() time.Time { return time.Now().Add(time.Hour) } },
			check:  "clock", where: "this host", part: "ahead of the leader's", severity: Warning,
		},
		"a clock that nothing synchronises": {
			change: func(s *Subject) { s.Host.Synchronised = func() (bool, error) { return false, nil } },
			check:  "clock", where: "this host", part: "nothing synchronises", severity: Warning,
		},
		"a slow disk": {
			change: func(s *Subject) {
				s.Host.Syncs = func(string) ([]time.Duration, error) {
					return []time.Duration{60 * time.Millisecond, 40 * time.Millisecond}, nil
				}
			},
			check: "fsync", where: dir, part: "60ms in the median", severity: Warning,
		},
		"a full disk":            {change: func(s *Subject) { s.Host.Space = small }, check: "disk", where: dir, part: "1 MiB of 1024000 are free", severity: Error},
		"memory that is in swap": {change: swapped, check: "limits", where: "server 1", part: "12 MiB of its memory are in swap", severity: Warning},
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	e := three(t)
	impostor := lone(t, 2)
	awaitServing(t, impostor)
	cases := inEnsemble(impostor)
	maps.Copy(cases, onHost(e.Servers[0].Data()))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.edit == nil {
				c.edit = same
			}
			s := subject(t, e, c.edit)
			if c.change != nil {
				c.change(s)
			}
			r := Examine(t.Context(), s)
			f, ok, all := found(r, c.check, c.where, c.part)
			if !ok || f.Severity != c.severity || f.Remedy == "" {
				t.Errorf("no finding %s of %q, %q, in\n%s%q", c.check, c.where, c.part, all, r.Skipped)
			}
		})
	}
	t.Run("nothing is wrong", func(t *testing.T) {
		t.Parallel()
		r := Examine(t.Context(), subject(t, e, same))
		for _, f := range r.Findings {
			if !beside(f) {
				t.Errorf("%+v", f)
			}
		}
		if len(r.Skipped) > 0 {
			t.Errorf("not examined: %q", r.Skipped)
		}
	})
}

// TestAFileThatHasChangedSinceTheStartIsFound: what the server runs by is asked at its control socket where conf is not allowed.
func TestAFileThatHasChangedSinceTheStartIsFound(t *testing.T) {
	t.Parallel()
	control := filepath.Join(t.TempDir(), "c")
	address := lone(t, 1, "controlSocket="+control, "maxClientCnxns=70")
	awaitServing(t, address)
	cfg := config.Default().Complete()
	s := &Subject{Config: &cfg, Targets: []overview.Target{{ID: 1, Address: address, Control: overview.NewControl(control, "/commands")}}, Host: host(t)}
	r := Examine(t.Context(), s)
	if _, ok, all := found(r, "equal", "server 1", "maxClientCnxns is 70, and 60 here"); !ok || strings.Contains(all, "tickTime") {
		t.Errorf("%s%q", all, r.Skipped)
	}
}

// swapped has the kernel say that a part of the server is not in memory.
func swapped(s *Subject) {
	pid, err := s.Targets[0].Control.Process()
	if err != nil {
		panic(err)
	}
	dir := filepath.Join(s.Host.Proc, fmt.Sprint(pid))
	_ = os.Mkdir(dir, 0o700)
	_ = os.WriteFile(filepath.Join(dir, "status"), []byte("Name:\tzabd\nVmSwap:\t   12288 kB\n"), 0o600)
}

func TestSnapshotsThatNobodyRemovesAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "version-2"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range mostOld + 1 {
		if err := os.WriteFile(filepath.Join(dir, "version-2", fmt.Sprintf("snapshot.%x", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &Subject{Config: &config.Config{DataDir: dir}, Targets: []overview.Target{{Address: "127.0.0.1:1"}}, Host: host(t)}
	if _, ok, all := found(Examine(t.Context(), s), "disk", "", "21 snapshots are kept"); !ok {
		t.Error(all)
	}
}

func TestLimitsThatAreReachedAreFound(t *testing.T) {
	t.Parallel()
	s := &Subject{Own: -1, Host: host(t)}
	for name, c := range map[string]struct {
		metrics map[string]float64
		part    string
	}{
		"few files":       {map[string]float64{"open_file_descriptor_count": 10, "max_file_descriptor_count": 1024}, "it may open 1024 files, and has 10"},
		"many are open":   {map[string]float64{"open_file_descriptor_count": 60000, "max_file_descriptor_count": 65536}, "and has 60000"},
		"clients in vain": {map[string]float64{"connection_rejected": 7}, "7 connections were turned away"},
	} {
		x := &examination{Subject: s, ensemble: &overview.Ensemble{Servers: []overview.Server{{ID: 2, Metrics: c.metrics}}}}
		x.limits(t.Context())
		if _, ok, all := found(&x.report, "limits", "server 2", c.part); !ok {
			t.Errorf("%s: %s", name, all)
		}
	}
}

func TestServersOfOtherVersionsAndSlowDisksElsewhereAreFound(t *testing.T) {
	t.Parallel()
	avg, most := 31.5, 2000.0
	x := &examination{Subject: &Subject{Own: -1, Host: host(t)}, ensemble: &overview.Ensemble{Servers: []overview.Server{
		{ID: 1, Version: "3.9.5-zabd-1, built on"}, {ID: 2, Version: "3.8.0-5a02, built on", SyncAvg: &avg, SyncMax: &most},
	}}}
	x.versions()
	x.syncs(t.Context())
	if _, ok, all := found(&x.report, "version", "the ensemble", "server 1 3.9.5-zabd-1, server 2 3.8.0-5a02"); !ok {
		t.Error(all)
	}
	if _, ok, all := found(&x.report, "fsync", "server 2", "31.5 ms on average, and at most 2000 ms"); !ok {
		t.Error(all)
	}
}

// TestAHostWithoutAServerIsNotAccused: what cannot be examined is said, and is no finding.
func TestAHostWithoutAServerIsNotAccused(t *testing.T) {
	t.Parallel()
	address := lone(t, 1)
	awaitServing(t, address)
	h := host(t)
	h.Synchronised = func() (bool, error) { return false, errors.New("not permitted") }
	r := Examine(t.Context(), &Subject{File: "/nonexistent", Own: -1, Targets: []overview.Target{{Address: address}}, Host: h})
	skipped := strings.Join(r.Skipped, "\n")
	for _, want := range []string{"not permitted", "this host's disks", "/nonexistent cannot be read"} {
		if !strings.Contains(skipped, want) {
			t.Errorf("no %q in\n%s", want, skipped)
		}
	}
	for _, f := range r.Findings {
		if !beside(f) {
			t.Errorf("%+v", f)
		}
	}
}

func TestThisMachineIsExamined(t *testing.T) {
	t.Parallel()
	h, dir := ThisHost(), t.TempDir()
	if took, err := h.Syncs(dir); err != nil || len(took) == 0 || took[0] <= 0 {
		t.Errorf("syncs: %v, %v", took, err)
	}
	if s, err := h.Space(dir); err != nil || s.Total == 0 || s.Free > s.Total {
		t.Errorf("space: %+v, %v", s, err)
	}
	if _, err := h.Space(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there has space")
	}
	if _, err := h.Syncs(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there takes syncs")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("%v is left, %v", files, err)
	}
	if _, err := h.Synchronised(); err != nil {
		t.Errorf("the clock: %v", err)
	}
}

func TestABundleHasWhatTheServersTell(t *testing.T) {
	t.Parallel()
	e := three(t)
	s := subject(t, e, same)
	s.Host.Proc = "/proc"
	r := Examine(t.Context(), s)
	var b bytes.Buffer
	if err := WriteBundle(t.Context(), &b, s, r, map[string][]byte{"settings.txt": []byte("x")}); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for files := tar.NewReader(zip); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes[strings.TrimPrefix(h.Name, "zabd-report/")] = h.Size
	}
	pid, err := s.Targets[0].Control.Process()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"report.json", "settings.txt", "control/monitor.json", "control/voting_view.json", "metrics/2.json", "proc/meminfo", fmt.Sprintf("proc/%d/limits", pid),
	} {
		if sizes[name] == 0 {
			t.Errorf("%s is missing or empty, of %v", name, sizes)
		}
	}
}
