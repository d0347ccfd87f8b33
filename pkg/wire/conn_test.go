package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// script is a server that answers the handshake with welcome and then does what serve says.
func script(t *testing.T, welcome proto.ConnectResponse, serve func(nc net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		if _, err := next(nc); err != nil {
			return
		}
		_, _ = nc.Write(frame(welcome.AppendTo(make([]byte, 4))))
		serve(nc)
	}()
	return l.Addr().String()
}

// next reads a frame.
func next(nc net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(nc, b)
	return b, err
}

func reply(h proto.ReplyHeader, r Record) []byte {
	b := h.AppendTo(make([]byte, 4))
	if r != nil {
		b = r.AppendTo(b)
	}
	return frame(b)
}

var welcome = proto.ConnectResponse{Timeout: 4000, SessionID: 7, Password: make([]byte, 16), HasReadOnly: true}

func TestRefusedSession(t *testing.T) {
	addr := script(t, proto.ConnectResponse{Password: make([]byte, 16), HasReadOnly: true}, func(net.Conn) {})
	if _, err := Dial(t.Context(), addr, Options{}); !errors.Is(err, ErrRefused) {
		t.Fatalf("Dial = %v, want %v", err, ErrRefused)
	}
}

// TestEventsComeInOrderWithReplies, and an auth reply ahead of what is in the pipeline finds its call.
func TestEventsComeInOrderWithReplies(t *testing.T) {
	addr := script(t, welcome, func(nc net.Conn) {
		for range 2 {
			_, _ = next(nc)
		}
		out := reply(proto.ReplyHeader{Xid: proto.XidAuth}, nil)
		out = append(out, reply(proto.ReplyHeader{Xid: proto.XidNotification, Zxid: 5}, &proto.WatcherEvent{Type: proto.EventDeleted, Path: "/a"})...)
		out = append(out, reply(proto.ReplyHeader{Xid: 1, Zxid: 5, Err: proto.NoNode}, nil)...)
		_, _ = nc.Write(out)
		_, _ = next(nc)
	})
	var told []proto.WatcherEvent
	c, err := Dial(t.Context(), addr, Options{Event: func(e proto.WatcherEvent, z proto.Zxid) {
		if z == 5 {
			told = append(told, e)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	get, auth := c.Go(proto.OpGetData, &proto.ReadRequest{Path: "/a"}, nil), c.Go(proto.OpAuth, &proto.AuthRequest{Scheme: "digest"}, nil)
	if _, err := c.Wait(t.Context(), auth); err != nil {
		t.Fatal(err)
	}
	if z, err := c.Wait(t.Context(), get); !errors.Is(err, proto.NoNode) || z != 5 {
		t.Fatalf("get = %v, %v", z, err)
	}
	if len(told) != 1 || told[0].Path != "/a" {
		t.Fatalf("told %v before the reply", told)
	}
}

// TestCancelledCallLeavesTheConnectionInOrder: its answer is dropped, and the next call gets its own.
func TestCancelledCallLeavesTheConnectionInOrder(t *testing.T) {
	goOn := make(chan struct{})
	addr := script(t, welcome, func(nc net.Conn) {
		for range 2 {
			_, _ = next(nc)
		}
		<-goOn
		_, _ = nc.Write(append(reply(proto.ReplyHeader{Xid: 1}, nil), reply(proto.ReplyHeader{Xid: 2, Zxid: 9}, nil)...))
		_, _ = next(nc)
	})
	c, err := Dial(t.Context(), addr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Call(ctx, proto.OpSync, &proto.OptString{Text: "/"}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled call = %v", err)
	}
	second := c.Go(proto.OpSync, &proto.OptString{Text: "/"}, nil)
	close(goOn)
	if z, err := c.Wait(t.Context(), second); err != nil || z != 9 {
		t.Fatalf("the next call = %v, %v", z, err)
	}
}

func TestBrokenConnectionsFailTheirCalls(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"huge frame":       binary.BigEndian.AppendUint32(nil, 1<<31-1),
		"half a header":    {0, 0, 0, 2, 1, 1},
		"unknown xid":      reply(proto.ReplyHeader{Xid: 77}, nil),
		"bad notification": reply(proto.ReplyHeader{Xid: proto.XidNotification}, nil),
		"end":              {},
	} {
		t.Run(name, func(t *testing.T) {
			addr := script(t, welcome, func(nc net.Conn) {
				_, _ = next(nc)
				_, _ = nc.Write(bytes)
			})
			c, err := Dial(t.Context(), addr, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Exists(t.Context(), "/", false); err == nil {
				t.Fatal("the call succeeds")
			}
			if _, err := c.Exists(t.Context(), "/", false); err == nil {
				t.Fatal("a call on a broken connection succeeds")
			}
		})
	}
}

func TestReplyThatDoesNotDecode(t *testing.T) {
	addr := script(t, welcome, func(nc net.Conn) {
		_, _ = next(nc)
		_, _ = nc.Write(reply(proto.ReplyHeader{Xid: 1}, nil))
		_, _ = next(nc)
	})
	c, err := Dial(t.Context(), addr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Exists(t.Context(), "/", false); !errors.Is(err, jute.ErrShort) {
		t.Fatalf("exists = %v", err)
	}
}

// TestReplyThatIsTooLong fails its call and no other.
func TestReplyThatIsTooLong(t *testing.T) {
	addr := script(t, welcome, func(nc net.Conn) {
		for range 2 {
			_, _ = next(nc)
		}
		out := reply(proto.ReplyHeader{Xid: 1}, &proto.DataReply{Data: make([]byte, 200<<10)})
		_, _ = nc.Write(append(out, reply(proto.ReplyHeader{Xid: 2, Zxid: 9}, nil)...))
		_, _ = next(nc)
	})
	c, err := Dial(t.Context(), addr, Options{MaxReply: 100 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	get, sync := c.Go(proto.OpGetData, &proto.ReadRequest{Path: "/"}, nil), c.Go(proto.OpSync, &proto.OptString{Text: "/"}, nil)
	var large *TooLargeError
	if _, err := c.Wait(t.Context(), get); !errors.As(err, &large) || large.Limit != 100<<10 {
		t.Fatalf("the long one: %v", err)
	}
	if z, err := c.Wait(t.Context(), sync); err != nil || z != 9 {
		t.Fatalf("the next one: %v, %v", z, err)
	}
}
