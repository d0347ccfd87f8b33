package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMain is also the servers that the tests start: this program with a zoo.cfg as its last argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		if err := serve(os.Args[2]); err != nil {
			fmt.Println("refused:", err)
			os.Exit(3)
		}
	}
	os.Exit(m.Run())
}

// serve answers srvr as server N of zoo.cfg: server 1 looks for a leader while it is alone, 2 leads, the others follow.
func serve(cfg string) error {
	id, err := os.ReadFile("data/myid")
	if err != nil {
		return err
	}
	n := strings.TrimSpace(string(id))
	text, err := os.ReadFile(cfg)
	if err != nil {
		return err
	}
	addr := regexp.MustCompile(`(?m)^server\.` + n + `=.*;(.*)$`).FindSubmatch(text)
	if addr == nil {
		return errors.New("no server line")
	}
	l, err := net.Listen("tcp", string(addr[1]))
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		// Whoever asks may have given up and ask again.
		_, _ = io.ReadFull(c, make([]byte, 4))
		_, _ = io.WriteString(c, answer(n))
		_ = c.Close()
	}
}

func answer(n string) string {
	const leads = "../fake-2/data/leads" // where server 2 says so
	if n == "2" {
		_ = os.WriteFile(leads, nil, 0o600)
		return "Latency min/avg/max: 0/0.25/7\nConnections: 3\nZxid: 0x500000012\nMode: leader\n"
	}
	if _, err := os.Stat(leads); err != nil {
		return "This instance is not currently serving requests\n"
	}
	return "Latency min/avg/max: 0/0.0/0\nConnections: 1\nZxid: 0x500000012\nMode: follower\n"
}

func fake(t *testing.T, servers int, observers ...int) *Ensemble {
	t.Helper()
	e, err := New(t.TempDir(), Kind{"fake", []string{os.Args[0], "serve"}}, servers, observers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	return e
}

func awaitRole(t *testing.T, s *Server, r Role) {
	t.Helper()
	if err := s.Await(t.Context(), func(st Status) bool { return st.Role == r }); err != nil {
		t.Fatalf("%v, want %s", err, r)
	}
}

func TestAllServersHaveTheSameFileAndAnIdEach(t *testing.T) {
	e := fake(t, 4, 4)
	var first []byte
	for _, s := range e.Servers {
		cfg, err := os.ReadFile(filepath.Join(s.dir, "zoo.cfg"))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = cfg
		}
		if !bytes.Equal(cfg, first) {
			t.Errorf("server %d has another zoo.cfg:\n%s\nthan server 1:\n%s", s.ID, cfg, first)
		}
		id, err := os.ReadFile(filepath.Join(s.dir, "data", "myid"))
		if err != nil || string(id) != fmt.Sprintln(s.ID) {
			t.Errorf("server %d has myid %q, %v", s.ID, id, err)
		}
	}
	if !regexp.MustCompile(`(?m)^server\.4=.*:observer;`).Match(first) || bytes.Count(first, []byte(":observer")) != 1 {
		t.Errorf("server 4 alone should observe:\n%s", first)
	}
}

func TestServersAreStartedOneByOne(t *testing.T) {
	e := fake(t, 3)
	if err := e.Start(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	awaitRole(t, e.Servers[0], Looking)
	if err := e.Start(t.Context(), 2, 3); err != nil {
		t.Fatal(err)
	}
	leader, err := e.Leader(t.Context())
	if err != nil || leader.ID != 2 {
		t.Fatalf("Leader() = %v, %v, want server 2", leader, err)
	}
	if err := e.InSync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cpu, memory := e.CPU(), e.Resident(); cpu < 0 || memory == 0 {
		t.Errorf("three running servers use %v of CPU and %d bytes", cpu, memory)
	}
}

func TestAKilledServerComesBackWhereItWas(t *testing.T) {
	e := fake(t, 3)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Servers[2]
	first := s.Status().PID
	s.Kill()
	if st := s.Status(); st.Role != Down || st.PID != 0 {
		t.Errorf("killed: %+v, want it down", st)
	}
	awaitRole(t, e.Servers[1], Leader)
	if err := e.Start(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	awaitRole(t, s, Follower)
	if again := s.Status().PID; again == first {
		t.Errorf("started again it is process %d as before", again)
	}
	e.Stop()
	for _, s := range e.Servers {
		if s.Running() {
			t.Errorf("server %d runs after Stop", s.ID)
		}
	}
}

func TestAServerThatRefusesToStartIsNotWaitedFor(t *testing.T) {
	e := fake(t, 3)
	if err := os.Remove(filepath.Join(e.Servers[0].dir, "data", "myid")); err != nil {
		t.Fatal(err)
	}
	err := e.Start(t.Context())
	var ended *EndedError
	if !errors.As(err, &ended) || ended.ID != 1 || !strings.Contains(err.Error(), "refused: open data/myid") {
		t.Fatalf("Start() = %v, want the end of server 1 and what it said", err)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	e := fake(t, 3)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := e.Servers[2].Await(ctx, func(st Status) bool { return st.Role == Leader })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "it is follower, zxid 0x500000012") {
		t.Fatalf("Await() = %v, want what was seen last", err)
	}
}

func TestTheTableOnATerminalAndElsewhere(t *testing.T) {
	s := &Server{ID: 3, Addr: "127.0.0.2:2181"}
	looking := row(s, Status{PID: 77, Role: Looking})
	st := parse("Latency min/avg/max: 0/0.25/7\nConnections: 3\nZxid: 0x500000012\nMode: leader\n")
	st.PID, st.Epoch = 78, 6
	leading := row(s, st)
	if want := "3       78       leader      6      0x500000012   0.25/7              3            127.0.0.2:2181"; leading != want {
		t.Errorf("row\n%s, want\n%s", leading, want)
	}
	for _, c := range []struct {
		name  string
		place bool
		want  string
	}{
		{"elsewhere", false, heading + "\n" + looking + "\n" + leading + "\n"},
		{
			"on a terminal", true,
			heading + "\n\r" + looking + "\x1b[K\n\x1b[1A\r" + looking + "\x1b[K\n\x1b[1A\r" + leading + "\x1b[K\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			b := board{out: &out, place: c.place}
			for _, r := range []string{looking, looking, leading} {
				b.show([]string{r})
			}
			if out.String() != c.want {
				t.Errorf("shown:\n%q, want:\n%q", out.String(), c.want)
			}
		})
	}
}

func TestACommandLineThatIsWrongIsRefused(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-observer 5", "the servers are 1 to 4"},
		{"-observer x", "invalid value"},
		{"-servers 0", "1 to 9"},
		{"-every 0s", "more than nothing"},
		{"four", `unknown argument "four"`},
	} {
		var said bytes.Buffer
		if _, err := parseArgs(strings.Fields(c.args), &said); err == nil || !strings.Contains(said.String(), c.want) {
			t.Errorf("zablab %s: %v, said %q, want %q", c.args, err, said.String(), c.want)
		}
	}
}
