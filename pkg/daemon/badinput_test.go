package daemon

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

func dial(t *testing.T, s *Server, o wire.Options) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(t.Context(), s.ClientAddr(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// raw opens a connection without a handshake.
func raw(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.ClientAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // a guard against hanging
	return c
}

func lengthOf(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func request(xid int32, op proto.Op, body []byte) []byte {
	h := proto.RequestHeader{Xid: xid, Op: op}
	b := append(h.AppendTo(make([]byte, 4)), body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// TestBadFramesEndTheirOwnConnectionOnly sends what no client should, each on a connection of its own, while another
// client goes on working.
func TestBadFramesEndTheirOwnConnectionOnly(t *testing.T) {
	s := startServer(t, nil)
	good := dial(t, s, wire.Options{})
	for _, c := range []struct {
		name      string
		handshake bool
		bytes     []byte
		answer    int // bytes before the end; -1 = any
	}{
		{"negative length before the handshake", false, lengthOf(-7), 0},
		{"huge length before the handshake", false, lengthOf(math.MaxInt32), 0},
		{"empty handshake", false, lengthOf(0), 0},
		{"handshake cut short", false, append(lengthOf(10), make([]byte, 10)...), 0},
		{"negative length", true, lengthOf(-1), 0},
		{"one byte above the limit", true, lengthOf(0xfffff + 1), 0},
		{"empty frame", true, lengthOf(0), 0},
		{"half a header", true, append(lengthOf(4), 0, 0, 0, 1), 0},
		{"unknown opcode", true, request(1, 999, nil), 20},
		{"stand-alone check", true, request(1, proto.OpCheck, (&proto.VersionRequest{Path: "/"}).AppendTo(nil)), 20},
		{"auth that does not decode", true, request(1, proto.OpAuth, []byte{1}), 0},
		{"auth of an unknown scheme", true, request(1, proto.OpAuth, (&proto.AuthRequest{Scheme: "x"}).AppendTo(nil)), 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := raw(t, s)
			if c.handshake {
				shake(t, nc)
			}
			if _, err := nc.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(nc)
			if err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatalf("the connection does not end: %v", err)
			}
			if len(rest) != c.answer {
				t.Fatalf("answer %x, want %d bytes", rest, c.answer)
			}
			if err := good.Ping(t.Context()); err != nil {
				t.Fatalf("another client: %v", err)
			}
		})
	}
}

func shake(t *testing.T, nc net.Conn) {
	t.Helper()
	r := proto.ConnectRequest{Timeout: 30000, Password: make([]byte, 16), HasReadOnly: true}
	b := r.AppendTo(make([]byte, 4))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 41)); err != nil {
		t.Fatal(err)
	}
}

// TestTrap22_BadBodiesAreAnswered: a body that cannot be decoded is an error of its request, and no more than that.
func TestTrap22_BadBodiesAreAnswered(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s, wire.Options{})
	for _, op := range []proto.Op{
		proto.OpCreate, proto.OpCreate2, proto.OpDelete, proto.OpSetData, proto.OpSetACL, proto.OpMulti, proto.OpCreateSession,
		proto.OpGetData, proto.OpExists, proto.OpGetChildren, proto.OpGetChildren2, proto.OpGetACL, proto.OpSetWatches,
	} {
		if _, err := c.Call(t.Context(), op, bad{}, nil); !errors.Is(err, proto.MarshallingError) {
			t.Errorf("%v with a body of one byte: %v, want %v", op, err, proto.MarshallingError)
		}
	}
	if _, err := c.Create(t.Context(), "/after", nil, 0); err != nil {
		t.Fatalf("the connection is of no use any more: %v", err)
	}
	for _, path := range []string{"", "x", "/a//b", "/./a", "/a/", "/\x01", "/\ufffd", "/" + string([]byte{0xff})} {
		if _, err := c.Create(t.Context(), path, nil, 0); !errors.Is(err, proto.BadArguments) && !errors.Is(err, proto.NoNode) {
			t.Errorf("create %q: %v", path, err)
		}
	}
}

type bad struct{}

func (bad) AppendTo(dst []byte) []byte { return append(dst, 7) }

// TestClientThatNeverReads fills a connection with requests and reads no answer: the others are served on, and the
// server holds only so much for it.
func TestClientThatNeverReads(t *testing.T) {
	s := startServer(t, func(c *config.Config) { c.MinSessionTimeout = time.Second })
	good := dial(t, s, wire.Options{})
	if _, err := good.Create(t.Context(), "/big", make([]byte, 500_000), 0); err != nil {
		t.Fatal(err)
	}
	nc := raw(t, s)
	shake(t, nc)
	get := request(1, proto.OpGetData, (&proto.ReadRequest{Path: "/big"}).AppendTo(nil))
	for range 2000 { // 1 GB of answers
		if err := nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(get); err != nil {
			break // the server does not read either: as it should
		}
	}
	for range 10 {
		if _, _, err := good.Get(t.Context(), "/big", false); err != nil {
			t.Fatal(err)
		}
	}
	_ = nc.Close()
}

func TestNoHandshake(t *testing.T) {
	s := startWith(t, "nio.sessionlessCnxnTimeout=50")
	if b, err := io.ReadAll(raw(t, s)); len(b) > 0 || err != nil {
		t.Fatalf("a silent connection ends with %q, %v; want its end", b, err)
	}
}

func TestLimitsOfConnections(t *testing.T) {
	for _, lines := range []string{"maxClientCnxns=2", "maxCnxns=2"} {
		s := startWith(t, lines)
		dial(t, s, wire.Options{})
		second := dial(t, s, wire.Options{})
		if _, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{}); err == nil {
			t.Fatalf("%s: a third connection is served", lines)
		}
		if err := second.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := startWith(t, "maxClientCnxns=0")
	for range 70 {
		dial(t, s, wire.Options{})
	}
}

func TestLargestRequest(t *testing.T) {
	s := startServer(t, nil)
	c := dial(t, s, wire.Options{})
	const around = 8 + 4 + 4 + 4 + 4 // header, path, lengths, version
	if _, err := c.Create(t.Context(), "/big", nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), "/big", make([]byte, 0xfffff-around), -1); err != nil {
		t.Fatalf("a frame of exactly jute.maxbuffer: %v", err)
	}
	if _, err := c.Set(t.Context(), "/big", make([]byte, 0xfffff-around+1), -1); err == nil {
		t.Fatal("a frame of one byte more is served")
	}
	for lines, want := range map[string]error{"jute.maxbuffer=2000": nil, "jute.maxbuffer=2000\njute.maxbuffer.extrasize=0": proto.MarshallingError} {
		s := startWith(t, lines)
		c := dial(t, s, wire.Options{})
		if _, err := c.Create(t.Context(), "/n", make([]byte, 1940), 0); !errors.Is(err, want) {
			t.Errorf("%q: a txn that is longer than its request: %v, want %v", lines, err, want)
		}
		if _, err := c.Create(t.Context(), "/m", make([]byte, 2000), 0); err == nil {
			t.Errorf("%q: a frame above jute.maxbuffer is served", lines)
		}
	}
}
