package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// hangGuard bounds how long an answer may take; it measures nothing.
func hangGuard() time.Time { return time.Now().Add(time.Minute) }

// recordedLine is one line of a transcript.
type recordedLine struct {
	Conn, Ev, Dir, Hex string
	Leftover           string
	at                 string // file:line
}

// player plays transcripts against one server.
type player struct {
	t         *testing.T
	addr      string
	conns     map[string]*playedConn
	sessions  map[int64]int64   // recorded to real
	passwords map[int64][]byte  // real, by recorded session
	zxids     map[int64]int64   // recorded to real
	rewrite   *strings.Replacer // of what is said and recorded; nil = nothing
	shift     int64             // real less recorded zxid
	resync    bool              // what was not played may have taken zxids
	freshZxid bool              // an undecodable write has one of its own: an exception to what was recorded
	others    map[string]int32  // the code of an answer that is an exception to what was recorded, by file:line
	played    int
}

type playedConn struct {
	net.Conn
	began, welcomed bool
	session         int64 // recorded
	asked           map[int32][]proto.Op
	lost            bool // the server has closed it
}

func startServer(t *testing.T, change func(*config.Config)) *Server {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress = t.TempDir(), 0, "127.0.0.1"
	cfg.TickTime, cfg.PreAllocSize, cfg.FourLetterWhitelist = 2*time.Second, 64<<10, []string{"*"}
	cfg.SuperDigest = auth.Digest(0, "super:pw")
	cfg.ExtendedTypesEnabled = true
	if change != nil {
		change(&cfg)
	}
	s, err := Start(t.Context(), cfg.Complete(), Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestGoldenTranscripts plays what was recorded from ZooKeeper 3.9.5 and expects the same answers. Files that share a
// server were recorded on one, in this order.
func TestGoldenTranscripts(t *testing.T) {
	unreplayed := readUnreplayed(t)
	others, freshZxid := readExceptions(t)
	played := map[string]bool{ // in package server, by three servers
		"10-reconfig.jsonl":      true, // TestGoldenReconfig
		"11-session-moved.jsonl": true, "16-undecodable-ensemble.jsonl": true,
	}
	for _, group := range [][]string{
		{"01-handshake", "02-crud", "03-watches", "04-multi", "05-auth-acl", "06-sessions", "09-sequence"},
		{"07-quota"},
		{"08-extended-types-off"},
		{"14-sequence-overflow"},
		{"15-version-differences"},
	} {
		s := startServer(t, func(c *config.Config) {
			c.ExtendedTypesEnabled = group[0] != "08-extended-types-off"
			c.EnforceQuota = group[0] == "07-quota"
			if group[0] == "14-sequence-overflow" {
				nearlyOverflown(t, c.DataDir)
			}
		})
		p := &player{addr: s.ClientAddr(), sessions: map[int64]int64{}, passwords: map[int64][]byte{}, zxids: map[int64]int64{}, freshZxid: freshZxid, others: others}
		for _, name := range group {
			t.Run(name, func(t *testing.T) {
				p.t, p.conns, p.resync = t, map[string]*playedConn{}, true
				played[name+".jsonl"] = true
				p.play(name + ".jsonl")
			})
		}
		t.Logf("%v: %d frames played", group, p.played)
	}
	all, _ := filepath.Glob("../../testdata/golden39/client/*.jsonl")
	for _, file := range all {
		if name := filepath.Base(file); !played[name] && unreplayed[name] == "" {
			t.Errorf("%s is neither played nor in testdata/unreplayed", name)
		}
	}
	for name := range unreplayed {
		if played[name] {
			t.Errorf("testdata/unreplayed: %s is played", name)
		}
	}
	t.Logf("%d transcripts are not played", len(unreplayed))
}

// readExceptions returns the codes of the answers that are not as recorded, and whether an undecodable write takes a zxid
// of its own.
func readExceptions(t *testing.T) (others map[string]int32, freshZxid bool) {
	text, err := os.ReadFile("../../testdata/exceptions")
	if err != nil {
		t.Fatal(err)
	}
	others = map[string]int32{}
	for _, l := range strings.Split(string(text), "\n") {
		switch words := strings.Fields(l); {
		case strings.HasPrefix(l, "transcript undecodable-write "):
			freshZxid = true
		case strings.HasPrefix(l, "answer ") && len(words) > 3:
			code, err := strconv.ParseInt(words[2], 10, 32)
			if err != nil {
				t.Fatalf("testdata/exceptions: %s: %v", l, err)
			}
			others[words[1]] = int32(code)
		default:
			continue
		}
		t.Log("exception: ", l)
	}
	return others, freshZxid
}

// readUnreplayed returns the transcripts that are not played, each with the feature that it needs.
func readUnreplayed(t *testing.T) map[string]string {
	text, err := os.ReadFile("../../testdata/unreplayed")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, l := range strings.Split(string(text), "\n") {
		if name, feature, ok := strings.Cut(l, " "); ok && !strings.HasPrefix(l, "#") {
			out[name] = feature
		}
	}
	return out
}

func (p *player) play(file string) {
	f, err := os.Open(filepath.Join("../../testdata/golden39/client", file))
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 8<<20)
	for n := 1; s.Scan(); n++ {
		l := recordedLine{at: fmt.Sprintf("%s:%d", file, n)}
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			p.t.Fatal(err)
		}
		if err := p.line(&l); err != nil {
			p.t.Errorf("%s: %v", l.at, err)
		}
	}
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *player) line(l *recordedLine) error {
	c := p.conns[l.Conn]
	switch {
	case l.Ev == "open":
		nc, err := net.Dial("tcp", p.addr)
		if err != nil {
			return err
		}
		p.conns[l.Conn] = &playedConn{Conn: nc, asked: map[int32][]proto.Op{}}
		return nil
	case l.Ev == "client-closes-socket":
		return c.Close()
	case l.Ev == "closed-by-server":
		return p.expectEnd(c)
	case l.Hex == "" || c == nil:
		return nil
	}
	b, err := hex.DecodeString(l.Hex)
	if err != nil {
		return err
	}
	if p.rewrite != nil {
		b = []byte(p.rewrite.Replace(string(b)))
	}
	p.played++
	_ = c.SetDeadline(hangGuard())
	if l.Dir == "c>s" {
		return p.send(c, b)
	}
	return p.expect(c, b, l.at)
}

func (p *player) expectEnd(c *playedConn) error {
	if c.lost {
		return nil
	}
	_ = c.SetDeadline(hangGuard())
	rest, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		return fmt.Errorf("the connection is not closed: %w", err)
	}
	c.lost = true
	if len(rest) > 0 {
		return fmt.Errorf("more was said before the end: %x", rest)
	}
	return nil
}

func (p *player) send(c *playedConn, b []byte) error {
	b = slices.Clone(b)
	if !c.began {
		c.began = true
		p.patchConnect(c, b)
	} else if len(b) >= 12 {
		xid, op := int32(binary.BigEndian.Uint32(b[4:])), proto.Op(binary.BigEndian.Uint32(b[8:]))
		if op == proto.OpPing {
			xid = proto.XidPing
		}
		c.asked[xid] = append(c.asked[xid], op)
		if (op == proto.OpSetWatches || op == proto.OpSetWatches2) && len(b) >= 20 {
			rel := int64(binary.BigEndian.Uint64(b[12:]))
			binary.BigEndian.PutUint64(b[12:], uint64(p.realZxid(rel)))
		}
	}
	if _, err := c.Write(b); err != nil && !c.lost {
		return err
	}
	return nil
}

// realZxid returns this run's zxid for a recorded one.
func (p *player) realZxid(recorded int64) int64 {
	best, real := int64(-1), recorded+p.shift
	for r, z := range p.zxids {
		if r <= recorded && r > best {
			best, real = r, z
		}
	}
	return real
}

func (p *player) patchConnect(c *playedConn, b []byte) {
	if len(b) < 48 {
		return
	}
	recorded := int64(binary.BigEndian.Uint64(b[20:]))
	if real, ok := p.sessions[recorded]; ok {
		binary.BigEndian.PutUint64(b[20:], uint64(real))
		pw := passwordOf(recorded)
		if bytes.Equal(b[32:48], pw) {
			copy(b[32:], p.passwords[recorded])
		}
	}
	if last := int64(binary.BigEndian.Uint64(b[8:])); last > 0 && last < 1<<32 {
		binary.BigEndian.PutUint64(b[8:], uint64(p.realZxid(last)))
	}
}

func readReply(c *playedConn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		c.lost = !errors.Is(err, os.ErrDeadlineExceeded)
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

func (p *player) expect(c *playedConn, want []byte, at string) error {
	if !c.welcomed {
		c.welcomed = true
		return p.expectWelcome(c, want)
	}
	wd := jute.NewDecoder(want[4:])
	var wh proto.ReplyHeader
	if err := wh.Decode(&wd); err != nil {
		return err
	}
	got, err := readReply(c)
	if err != nil {
		return fmt.Errorf("no answer like %x: %w", want, err)
	}
	gd := jute.NewDecoder(got)
	var gh proto.ReplyHeader
	if err := gh.Decode(&gd); err != nil {
		return err
	}
	other, excepted := p.others[at]
	recorded := wh.Err
	if excepted {
		wh.Err = proto.Code(other)
	}
	if gh.Xid != wh.Xid || gh.Err != wh.Err {
		return fmt.Errorf("answer xid %d %v %x, want xid %d %v %x", gh.Xid, gh.Err, got[16:], wh.Xid, wh.Err, want[20:])
	}
	op := proto.OpNotification
	if a := c.asked[wh.Xid]; wh.Xid != proto.XidNotification && len(a) > 0 {
		op, c.asked[wh.Xid] = a[0], a[1:]
	}
	err = p.sameZxid(op, int64(wh.Zxid), int64(gh.Zxid), wh.Err)
	differs := sameRecord(op, wd.Rest(), gd.Rest())
	switch {
	case !excepted:
		return errors.Join(err, differs)
	case recorded == gh.Err && differs == nil:
		return errors.New("answered as recorded, although testdata/exceptions has it")
	}
	return err
}
