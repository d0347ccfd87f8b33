package daemon

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/wire"
)

// untilHungUp sends a text again and again, and takes nothing, until the server has hung up.
func untilHungUp(t *testing.T, address, text string) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	if err := nc.(*net.TCPConn).SetReadBuffer(4096); err != nil { // the less the kernel takes, the sooner it is over
		t.Fatal(err)
	}
	text = strings.Repeat(text, 1000)
	for err == nil {
		_, err = io.WriteString(nc, text)
	}
}

// endSilentConnections gives new connections little time to have a session. Whoever is to get one comes before.
func endSilentConnections(s *Server) {
	cfg := *s.current.Load()
	cfg.SessionlessTimeout = 50 * time.Millisecond
	s.apply(&cfg)
}

// TestAskersThatTakeNothing: who asks for a long answer and does not read it is hung up on, on each port.
func TestAskersThatTakeNothing(t *testing.T) {
	s := startWith(t, "4lw.commands.whitelist=*\nadmin.enableServer=true\nadmin.serverPort=0\nadmin.idleTimeout=200\n"+
		"metricsProvider.className=PrometheusMetricsProvider\nmetricsProvider.httpPort=0\n")
	c := dial(t, s, wire.Options{Timeout: time.Minute})
	long := strings.Repeat("x", 10_000)
	for i := range 600 { // what wchp tells is more than the kernel holds for a connection
		if _, err := c.Exists(t.Context(), fmt.Sprintf("/%s%d", long, i), true); err == nil {
			t.Fatal("there is such a node")
		}
	}
	endSilentConnections(s)
	untilHungUp(t, s.ClientAddr(), "wchp"+long)
	untilHungUp(t, s.admin.commands.Addr().String(), "GET /commands/monitor HTTP/1.1\r\nHost: x\r\n\r\n")
	untilHungUp(t, s.admin.metrics.Addr().String(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWordsInPieces: a word counts however it arrives; without the rest that it needs it has no answer.
func TestWordsInPieces(t *testing.T) {
	s := startWith(t, "4lw.commands.whitelist=*")
	for _, q := range []struct {
		pieces []string
		answer string
	}{
		{[]string{"r", "u", "o", "k"}, "imok"},
		{[]string{"ru", "ok\n"}, "imok"},
		{[]string{"gt", "mk"}, "306"},
		{[]string{"stmk\x00\x00\x00\x00\x00\x00\x01\x00"}, "256"},
		{[]string{"stmk"}, ""},
		{[]string{"stmk\x00\x00\x00"}, ""},
		{[]string{"ruo"}, ""}, // and no more
		{[]string{"RUOK"}, ""},
		{[]string{"ruo", "\x00"}, ""},
	} {
		if q.answer == "" {
			endSilentConnections(s)
		}
		nc := raw(t, s)
		for _, piece := range q.pieces {
			if _, err := io.WriteString(nc, piece); err != nil {
				t.Fatal(err)
			}
		}
		if b, _ := io.ReadAll(nc); string(b) != q.answer {
			t.Errorf("%q is answered by %.40q, want %q", q.pieces, b, q.answer)
		}
	}
}
