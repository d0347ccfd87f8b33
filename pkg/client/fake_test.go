package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// fakes are servers in memory that do what a test tells them. Connection n, in the order of dialling, goes to scripts[n], and
// all after the last script are refused.
type fakes struct {
	t       *testing.T
	scripts []func(p *peer)

	mu    sync.Mutex
	dials []string // the servers that were dialled
}

var errUnreachable = errors.New("nobody listens")

func (f *fakes) dial(_ context.Context, _, addr string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, addr)
	n := len(f.dials) - 1
	if n >= len(f.scripts) || f.scripts[n] == nil {
		return nil, errUnreachable
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		f.scripts[n](&peer{t: f.t, nc: theirs, addr: addr})
	}()
	return ours, nil
}

// client returns a client of the servers a, b and so on, which are these.
func (f *fakes) client(servers string, o Options) *Client {
	f.t.Helper()
	o.Dial = f.dial
	c, err := New(servers, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// peer is a server's end of a connection.
type peer struct {
	t    *testing.T
	nc   net.Conn
	addr string
}

// request is what a client has sent.
type request struct {
	proto.RequestHeader
	body []byte
}

func (p *peer) frame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.nc, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p.nc, b)
	return b, err
}

func (p *peer) write(parts ...interface{ AppendTo([]byte) []byte }) {
	b := make([]byte, 4)
	for _, part := range parts {
		b = part.AppendTo(b)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, _ = p.nc.Write(b)
}

// welcome answers the handshake and returns what the client asked for.
func (p *peer) welcome(session int64) proto.ConnectRequest {
	return p.answer(proto.ConnectResponse{Timeout: 6000, SessionID: session, Password: make([]byte, 16), HasReadOnly: true})
}

func (p *peer) answer(r proto.ConnectResponse) (asked proto.ConnectRequest) {
	b, err := p.frame()
	if err != nil {
		p.t.Errorf("handshake: %v", err)
		return asked
	}
	d := jute.NewDecoder(b)
	if err := asked.Decode(&d); err != nil {
		p.t.Errorf("handshake: %v", err)
	}
	p.write(&r)
	return asked
}

// next returns the next request that is no ping, which it answers; false at the end.
func (p *peer) next() (request, bool) {
	for {
		b, err := p.frame()
		if err != nil {
			return request{}, false
		}
		d := jute.NewDecoder(b)
		var r request
		if err := r.Decode(&d); err != nil {
			p.t.Errorf("request: %v", err)
		}
		r.body = d.Rest()
		if r.Op == proto.OpPing {
			p.reply(r, 0, proto.OK, nil)
			continue
		}
		return r, true
	}
}

func (p *peer) reply(r request, z proto.Zxid, code proto.Code, record interface{ AppendTo([]byte) []byte }) {
	h := &proto.ReplyHeader{Xid: r.Xid, Zxid: z, Err: code}
	if record == nil {
		p.write(h)
		return
	}
	p.write(h, record)
}

// mute reads all requests and answers none.
func (p *peer) mute() (frames int) {
	for {
		if _, err := p.frame(); err != nil {
			return frames
		}
		frames++
	}
}

// serve answers all requests, closeSession too, with OK and a Stat or nothing, and returns what they were.
func (p *peer) serve() (all []request) {
	for {
		r, ok := p.next()
		if !ok {
			return all
		}
		all = append(all, r)
		switch r.Op {
		case proto.OpGetData:
			p.reply(r, 9, proto.OK, &proto.DataReply{Data: []byte("data")})
		case proto.OpExists, proto.OpSetData:
			p.reply(r, 9, proto.OK, &proto.Stat{})
		default:
			p.reply(r, 9, proto.OK, nil)
		}
		if r.Op == proto.OpCloseSession {
			return all
		}
	}
}
