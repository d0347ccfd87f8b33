package server

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/pipeline"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// ensemble is three servers whose agreement is one loop that the third of them leads.
type ensemble struct {
	members  [3]*member
	inbox    chan func()
	sessions *session.Tracker
	last     proto.Zxid
	times    map[proto.Zxid]int64 // of the recorded txns
	now      atomic.Int64         // that of the last
}

type member struct {
	*ensemble
	origin   int64 // of its clients' requests
	pipeline *pipeline.Pipeline
	server   *Server
	addr     string
	applied  chan proto.Zxid
}

// newEnsemble starts three servers, the first of which counts its sessions from firstID[0].
func newEnsemble(t *testing.T, times map[proto.Zxid]int64, firstID [3]time.Duration) *ensemble {
	e := &ensemble{
		inbox: make(chan func(), 100), sessions: session.NewTracker(time.Second), last: proto.MakeZxid(1, 0), times: times,
	}
	for i := range e.members {
		e.members[i] = e.member(t, int64(i+1), firstID[i])
	}
	e.members[2].origin = session.Self
	go func() {
		for do := range e.inbox {
			do()
		}
	}()
	t.Cleanup(func() {
		for _, m := range e.members {
			m.pipeline.Stop()
			m.server.Close()
			m.pipeline.Close()
		}
		close(e.inbox)
	})
	return e
}

func (e *ensemble) member(t *testing.T, id int64, firstID time.Duration) *member {
	tr := tree.New()
	m := &member{ensemble: e, origin: id, applied: make(chan proto.Zxid, 1)}
	m.pipeline = pipeline.New(pipeline.Config{
		Tree: tr, Prepper: prep.New(tr, prep.Options{Ensemble: true}), IDs: session.NewIDs(id, firstID),
		Clock: func() time.Duration { return 0 }, WallMillis: e.now.Load, EventBytes: 1 << 20,
	})
	m.pipeline.Connect(m)
	go m.pipeline.Run()
	m.pipeline.Deliver([]txn.Delivery{{Entry: txn.Entry{Zxid: e.last}}}) // the epoch begins
	m.server = New(Config{
		Pipeline: m.pipeline, Log: slog.New(slog.DiscardHandler), MaxFrame: 1 << 20, MaxTimeout: time.Hour, Limits: Limits{HandshakeTimeout: time.Minute},
		Clock: func() time.Duration { return 0 },
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	m.server.Serve(l)
	m.pipeline.Serve()
	m.pipeline.Extend(time.Hour)
	return m
}

// Submit orders requests, each behind a look at whose session it is.
func (m *member) Submit(rs []*proto.Request) {
	rs = append([]*proto.Request{}, rs...)
	m.inbox <- func() {
		for _, r := range rs {
			switch r.Op {
			case proto.OpSync:
				m.pipeline.Deliver([]txn.Delivery{{Sync: r}})
				m.pipeline.Apply()
				continue
			case proto.OpCreateSession:
				m.sessions.Touch(r.Session, time.Hour, 0)
				m.sessions.Own(r.Session, m.origin)
			default:
				r.Moved = !m.sessions.Claim(r.Session, m.origin)
			}
			m.last++
			m.now.Store(m.times[m.last])
			es := m.members[2].pipeline.Prepare(nil, []txn.Slot{{Zxid: m.last, Request: r}})
			for _, other := range m.members {
				other.pipeline.Deliver([]txn.Delivery{{Entry: es[0]}})
				other.pipeline.Apply()
			}
		}
	}
}

// Drive has nothing to do.
func (m *member) Drive() {}

func (m *member) Revalidate(id int64, timeout time.Duration) {
	m.inbox <- func() { m.pipeline.Validated(id, m.sessions.Move(id, m.origin, timeout, 0)) }
}

func (m *member) Applied(z proto.Zxid) { m.applied <- z }

// settle waits until all have applied what was ordered.
func (e *ensemble) settle() {
	done := make(chan struct{})
	e.inbox <- func() {
		for _, m := range e.members {
			m.pipeline.NotifyApplied(e.last)
		}
		close(done)
	}
	<-done
	for _, m := range e.members {
		<-m.applied
	}
}

// TestGoldenSessionMoved plays what three servers of ZooKeeper 3.9.5 said to a client that moved from one to the other,
// byte for byte.
func TestGoldenSessionMoved(t *testing.T) {
	lines := transcript(t, "golden39/client/11-session-moved.jsonl")
	const firstID = 0x5a10b0 * time.Millisecond
	e := newEnsemble(t, timesOf(lines), [3]time.Duration{firstID, firstID, firstID})
	server := map[byte]*member{'A': e.members[0], 'B': e.members[1], 'L': e.members[2], 'W': e.members[0], 'U': e.members[1]}
	conns := map[string]net.Conn{}
	played := 0
	for _, l := range lines {
		if err := play(l, conns, func() (net.Conn, error) {
			if len(conns) > 0 {
				e.settle()
			}
			return net.Dial("tcp", server[l.Conn[0]].addr)
		}); err != nil {
			t.Fatalf("line %d: %v", l.number, err)
		}
		played++
	}
	for _, c := range conns {
		_ = c.Close()
	}
	t.Logf("%d lines played", played)
}

// timesOf returns when the recorded txns were made.
func timesOf(lines []line) map[proto.Zxid]int64 {
	at := map[proto.Zxid]int64{}
	for _, l := range lines {
		at[l.Dec.Stat.Czxid], at[l.Dec.Stat.Mzxid] = l.Dec.Stat.Ctime, l.Dec.Stat.Mtime
	}
	return at
}

func play(l line, conns map[string]net.Conn, dial func() (net.Conn, error)) error {
	b, err := hex.DecodeString(l.Hex)
	if err != nil {
		return err
	}
	c := conns[l.Conn]
	if c != nil {
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // against hanging; it measures nothing
	}
	switch {
	case l.Ev == "open":
		conns[l.Conn], err = dial()
	case l.Ev == "closed-by-server":
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			return fmt.Errorf("told %x and then %v, want the end", rest, err)
		}
	case l.Dir == "c>s":
		_, err = c.Write(b)
	case l.Dir == "s>c":
		got := make([]byte, len(b))
		if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, b) {
			return fmt.Errorf("told\n%x (%v), want\n%x", got[:n], err, b)
		}
	}
	return err
}

// line is one line of a transcript.
type line struct {
	Conn, Ev, Dir, Hex string
	Dec                struct{ Stat proto.Stat }
	number             int
}

func transcript(t *testing.T, name string) (lines []line) {
	t.Helper()
	f, err := os.Open("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		l := line{number: len(lines) + 1}
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("line %d: %v", l.number, err)
		}
		lines = append(lines, l)
	}
	return lines
}
