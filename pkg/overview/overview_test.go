package overview

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// serve answers four-letter words at a client port.
func serve(t *testing.T, answers map[string]string) string {
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
			word := make([]byte, 4)
			_, _ = c.Read(word)
			_, _ = c.Write([]byte(answers[string(word)]))
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// recorded is what a ZooKeeper server of a role answers to a word.
func recorded(t *testing.T, role, word string) string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/golden39/admin/4lw-" + role + "/" + word + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestZooKeepersWordsAreRead(t *testing.T) {
	all := serve(t, map[string]string{"srvr": recorded(t, "leader", "srvr"), "mntr": recorded(t, "leader", "mntr")})
	few := serve(t, map[string]string{"srvr": recorded(t, "follower", "srvr"), "mntr": "mntr is not executed because it is not in the whitelist.\n"})
	none := serve(t, map[string]string{"srvr": recorded(t, "not-serving", "srvr")})
	mute := serve(t, nil)
	e := Ask(t.Context(), []Target{
		{ID: 3, Address: all},
		{ID: 1, Address: few},
		{ID: 2, Address: none},
		{ID: 5, Address: mute, Observer: true},
		{ID: 4, Address: all, Control: NewControl("/nonexistent", "/commands")},
	})
	s := e.Servers
	if s[0].Role != "leader" || s[0].Zxid != 0x100000002 || *s[0].Sessions != 1 || *s[0].SyncAvg != 3.5 || *s[0].SyncMax != 6 || s[0].Missing != "" {
		t.Errorf("a leader that answers all: %+v", s[0])
	}
	if s[1].Role != "follower" || !s[1].Ready || s[1].Sessions != nil || s[1].SyncAvg != nil || s[1].Missing == "" {
		t.Errorf("a follower that answers srvr alone: %+v", s[1])
	}
	if s[2].Role != Looking || s[2].Ready || !strings.Contains(s[2].Reason, "not currently serving") {
		t.Errorf("a server that does not serve: %+v", s[2])
	}
	if s[3].Role != Down || s[3].Ready || !strings.Contains(s[3].Reason, "does not answer srvr") {
		t.Errorf("a server that hangs up: %+v", s[3])
	}
	if s[4].Role != "leader" {
		t.Errorf("a server without a control socket: %+v", s[4])
	}
	if got := e.Summary(); got != "3 of 4 voters serve, server 3 leads, version 3.9.5-293c895a8d966a3ecb92872be4a1daf87d725da2" {
		t.Errorf("summary %q", got)
	}
}

func TestLag(t *testing.T) {
	const follower, leader = "follower", "leader"
	for name, c := range map[string]struct {
		leader, zxid Zxid
		role         string
		ready        bool
		lag          int64 // -1 = none
		epoch        uint32
	}{
		"caught up":                     {0x500000009, 0x500000009, follower, true, 0, 5},
		"behind":                        {0x500000009, 0x500000002, follower, true, 7, 5},
		"asked later":                   {0x500000009, 0x50000000c, follower, true, 0, 5},
		"nothing in the new epoch yet":  {0x600000000, 0x500000009, follower, true, 0, 6},
		"behind by all of the epoch":    {0x600000003, 0x500000009, follower, true, 3, 6},
		"it does not serve":             {0x500000009, 0x500000002, Looking, false, -1, 5},
		"an old leader that is cut off": {0x600000003, 0x500000009, leader, true, 3, 6},
	} {
		e := &Ensemble{Servers: []Server{{Zxid: c.zxid, Role: c.role, Ready: c.ready}, {Zxid: c.leader, Role: leader, Ready: true}}}
		e.compare()
		s, lag := &e.Servers[0], int64(-1)
		if s.Lag != nil {
			lag = *s.Lag
		}
		if lag != c.lag || s.Epoch != c.epoch {
			t.Errorf("%s: lag %d, epoch %d, want %d, %d", name, lag, s.Epoch, c.lag, c.epoch)
		}
	}
	if e := (&Ensemble{Servers: []Server{{Role: follower, Ready: true}}}); true {
		if e.compare(); e.Servers[0].Lag != nil {
			t.Errorf("without a leader: lag %d", *e.Servers[0].Lag)
		}
	}
}

func TestNotes(t *testing.T) {
	e := &Ensemble{Servers: []Server{
		{ID: 1, Role: "leader", Ready: true, Version: "3.9.5-zabd-1, built", Zxid: 0x600000000},
		{ID: 2, Role: "leader", Ready: true, Version: "3.8.0-5a02, built", Missing: "x"},
		{Address: "h:2181", Role: Looking, Reason: "looking,\n1/3 voters seen"},
	}}
	e.compare()
	want := []string{
		"h:2181: looking, 1/3 voters seen", "several servers say that they lead: all but the one with the highest epoch are cut off",
		"server 2: x", "server 2: version 3.8.0-5a02", "server 1: version 3.9.5-zabd-1",
	}
	if got := e.Notes(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := e.Summary(); got != "2 of 3 voters serve, server 1 leads" {
		t.Errorf("summary %q", got)
	}
}

func TestRates(t *testing.T) {
	server := func(received int64, zxid Zxid, syncs, sum float64) *Server {
		return &Server{Ready: true, Received: received, Zxid: zxid, Metrics: map[string]float64{"cnt_fsynctime": syncs, "sum_fsynctime": sum}}
	}
	before := server(100, 0x500000010, 10, 50)
	for name, c := range map[string]struct {
		now  *Server
		want Rates
		ok   bool
	}{
		"busy":          {server(300, 0x500000030, 14, 62), Rates{100, 16, 3}, true},
		"idle":          {server(100, 0x500000010, 10, 50), Rates{0, 0, -1}, true},
		"started anew":  {server(3, 0x500000030, 1, 1), Rates{}, false},
		"a new leader":  {server(300, 0x600000001, 14, 62), Rates{}, false},
		"not there now": {&Server{}, Rates{}, false},
	} {
		if r, ok := Between(before, c.now, 2); r != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %v", name, r, ok)
		}
	}
}
