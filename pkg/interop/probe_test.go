//go:build interop

package interop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// record is a request's body.
type record interface{ AppendTo(dst []byte) []byte }

// raw is a body that no encoder would make.
type raw []byte

// AppendTo appends the bytes.
func (r raw) AppendTo(dst []byte) []byte { return append(dst, r...) }

// probe is a bare connection that writes down what a server answers, in words that do not differ from run to run:
// sessions get numbers, times are left out. Zxids stay, for a script starts on an empty server.
type probe struct {
	conn     net.Conn
	known    *[]int64 // sessions in the order in which they appeared on this server
	xid      int32
	session  int64
	password []byte
	withZxid bool
	base     proto.Zxid // zxids are told as steps from there
	anyOrder bool       // events before a reply are sorted

	eventZxid bool       // is told with each event
	sent      []proto.Op // ops whose reply is outstanding
	last      proto.Zxid // of the last reply
}

func dialProbe(t *testing.T, s *server, known *[]int64) *probe {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &probe{conn: c, known: known, withZxid: true}
}

// handshake sends a connect request and returns the answer in words.
func (p *probe) handshake(r proto.ConnectRequest) string {
	frame, err := p.exchange(r.AppendTo(nil))
	if err != nil {
		return closed(err)
	}
	d := jute.NewDecoder(frame)
	var got proto.ConnectResponse
	if err := got.Decode(&d); err != nil || d.Len() != 0 {
		return fmt.Sprintf("undecodable %x", frame)
	}
	p.session, p.password = got.SessionID, slices.Clone(got.Password)
	return fmt.Sprintf("connected: protocol %d timeout %d session %s password %v readOnly %v %v",
		got.ProtocolVersion, got.Timeout, p.name(got.SessionID), passwordKind(got.Password), got.HasReadOnly, got.ReadOnly)
}

// name numbers a session.
func (p *probe) name(id int64) string {
	if id == 0 {
		return "none"
	}
	i := slices.Index(*p.known, id)
	if i < 0 {
		i = len(*p.known)
		*p.known = append(*p.known, id)
	}
	return fmt.Sprintf("#%d", i)
}

func closed(err error) string {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return "no answer"
	}
	return "closed"
}

func (p *probe) exchange(body []byte) ([]byte, error) {
	if err := p.write(body); err != nil {
		return nil, err
	}
	return p.read()
}

func (p *probe) write(body []byte) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	_, err := p.conn.Write(append(frame, body...))
	return err
}

func (p *probe) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p.conn, frame)
	return frame, err
}

// submit sends a request whose reply answer reads later.
func (p *probe) submit(op proto.Op, body record) {
	p.xid++
	h := proto.RequestHeader{Xid: p.xid, Op: op}
	b := h.AppendTo(nil)
	if body != nil {
		b = body.AppendTo(b)
	}
	p.sent = append(p.sent, op)
	_ = p.write(b) // a connection that is already closed shows in the answer
}

// answer returns the notifications up to the next reply, and the reply, in words.
func (p *probe) answer() string {
	var said []string
	for {
		frame, err := p.read()
		if err != nil {
			return strings.Join(append(said, closed(err)), "; ")
		}
		d := jute.NewDecoder(frame)
		var h proto.ReplyHeader
		if err := h.Decode(&d); err != nil {
			return fmt.Sprintf("undecodable %x", frame)
		}
		if h.Xid == -1 {
			var e proto.WatcherEvent
			if err := e.Decode(&d); err != nil || d.Len() != 0 || h.Err != 0 {
				return fmt.Sprintf("undecodable event %x", frame)
			}
			event := fmt.Sprintf("event %d state %d %s", e.Type, e.State, e.Path)
			if p.eventZxid {
				event += " zxid " + p.zxid(h.Zxid)
			}
			said = append(said, event)
			continue
		}
		if p.anyOrder {
			slices.Sort(said)
		}
		op := p.sent[0]
		p.sent = p.sent[1:]
		p.last = h.Zxid
		return strings.Join(append(said, p.reply(op, h, frame[d.Offset():])), "; ")
	}
}

func (p *probe) call(op proto.Op, body record) string {
	p.submit(op, body)
	return p.answer()
}

func (p *probe) reply(op proto.Op, h proto.ReplyHeader, body []byte) string {
	out := fmt.Sprintf("err %d", h.Err)
	if p.withZxid {
		out += " zxid " + p.zxid(h.Zxid)
	}
	if want := p.xid - int32(len(p.sent)); h.Xid != want && h.Xid != -2 {
		out += fmt.Sprintf(" xid %d instead of %d", h.Xid, want)
	}
	if len(body) == 0 {
		return out
	}
	d := jute.NewDecoder(body)
	text := p.result(op, &d)
	if d.Err() != nil || d.Len() != 0 {
		return fmt.Sprintf("%s body %x", out, body)
	}
	return out + " " + text
}

func (p *probe) result(op proto.Op, d *jute.Decoder) string {
	switch op {
	case proto.OpCreate:
		return d.String()
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return d.String() + " " + p.stat(d)
	case proto.OpExists, proto.OpSetData, proto.OpSetACL:
		return p.stat(d)
	case proto.OpGetData:
		return fmt.Sprintf("%q ", d.Buffer()) + p.stat(d)
	case proto.OpGetACL:
		// Java keeps a connection's ids in a set, so the entries that "auth" becomes have no order.
		acl := proto.DecodeACLs(d, nil)
		slices.SortFunc(acl, func(a, b proto.ACL) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return fmt.Sprint(acl) + " " + p.stat(d)
	case proto.OpGetChildren, proto.OpGetEphemerals:
		return fmt.Sprintf("%q", sorted(proto.DecodeStrings(d, nil)))
	case proto.OpGetChildren2:
		return fmt.Sprintf("%q ", sorted(proto.DecodeStrings(d, nil))) + p.stat(d)
	case proto.OpSync:
		s, ok := d.OptString()
		return fmt.Sprintf("%q %v", s, ok)
	case proto.OpWhoAmI: // a set, too
		var r proto.IDsReply
		_ = r.Decode(d)
		slices.SortFunc(r.IDs, func(a, b proto.ID) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return fmt.Sprint(r.IDs)
	case proto.OpMulti, proto.OpMultiRead:
		return p.multi(d)
	}
	return fmt.Sprintf("%x", d.Rest())
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

func (p *probe) zxid(z proto.Zxid) string {
	if z > 0 {
		z -= p.base
	}
	return fmt.Sprintf("%#x", int64(z))
}

func (p *probe) stat(d *jute.Decoder) string {
	var s proto.Stat
	if s.Decode(d) != nil {
		return "undecodable"
	}
	z := func(z proto.Zxid) string {
		if !p.withZxid {
			return ""
		}
		return p.zxid(z)
	}
	return fmt.Sprintf("{c %s m %s p %s version %d %d %d owner %s length %d children %d}", z(s.Czxid), z(s.Mzxid), z(s.Pzxid),
		s.Version, s.Cversion, s.Aversion, p.name(s.EphemeralOwner), s.DataLength, s.NumChildren)
}

func (p *probe) multi(d *jute.Decoder) string {
	var out []string
	for {
		var h proto.MultiHeader
		if h.Decode(d) != nil {
			return "undecodable"
		}
		if h.Done {
			return fmt.Sprint(out, " end ", int32(h.Type), int32(h.Err))
		}
		s := fmt.Sprintf("%d/%d", h.Type, h.Err)
		switch h.Type {
		case proto.OpError:
			s += fmt.Sprintf(" %d", d.Int())
		case proto.OpCreate, proto.OpCreate2, proto.OpSetData, proto.OpGetData, proto.OpGetChildren:
			s += " " + p.result(h.Type, d)
		}
		out = append(out, s)
	}
}

func passwordKind(b []byte) string {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return fmt.Sprintf("%d zeros", len(b))
	}
	return fmt.Sprintf("%d bytes", len(b))
}
