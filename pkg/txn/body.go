package txn

import (
	"errors"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// A Body is the record of a txn of any type, flat: which fields count depends on Type.
//
//	create, create2                   Path Data ACL Ephemeral ParentCVersion
//	createContainer                   Path Data ACL ParentCVersion
//	createTTL                         Path Data ACL ParentCVersion TTL
//	delete, deleteContainer           Path
//	setData, reconfig, check          Path Data(not check) Version
//	setACL                            Path ACL Version
//	createSession                     Timeout
//	closeSession                      Paths, if HasPaths
//	error                             Err
//	multi                             Subs
type Body struct {
	Type           proto.Op
	Path           string
	Data           []byte
	ACL            []proto.ACL
	Ephemeral      bool
	ParentCVersion int32 // the parent's cversion from here on; -1 = one more than it has (logs of before 3.4)
	Version        int32 // the new one
	TTL            int64 // milliseconds
	Timeout        int32 // milliseconds
	Err            proto.Code
	Paths          []string // ephemerals that a closed session leaves
	HasPaths       bool     // false in logs of before 3.6
	Subs           []Body
}

func (b *Body) appendTo(dst []byte, typ proto.Op) []byte {
	switch typ {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return b.appendCreate(dst, typ)
	case proto.OpDelete, proto.OpDeleteContainer:
		return jute.AppendString(dst, b.Path)
	case proto.OpSetData, proto.OpReconfig:
		dst = jute.AppendBuffer(jute.AppendString(dst, b.Path), b.Data)
		return jute.AppendInt(dst, b.Version)
	case proto.OpSetACL:
		dst = proto.AppendACLs(jute.AppendString(dst, b.Path), b.ACL)
		return jute.AppendInt(dst, b.Version)
	case proto.OpCheck:
		return jute.AppendInt(jute.AppendString(dst, b.Path), b.Version)
	case proto.OpCreateSession:
		return jute.AppendInt(dst, b.Timeout)
	case proto.OpCloseSession:
		if b.HasPaths {
			if b.Paths == nil {
				return jute.AppendCount(dst, 0)
			}
			return proto.AppendStrings(dst, b.Paths)
		}
	case proto.OpError:
		return jute.AppendInt(dst, int32(b.Err))
	case proto.OpMulti:
		return b.appendSubs(dst)
	}
	return dst
}

func (b *Body) appendCreate(dst []byte, typ proto.Op) []byte {
	dst = jute.AppendBuffer(jute.AppendString(dst, b.Path), b.Data)
	dst = proto.AppendACLs(dst, b.ACL)
	if typ == proto.OpCreate || typ == proto.OpCreate2 {
		dst = jute.AppendBool(dst, b.Ephemeral)
	}
	dst = jute.AppendInt(dst, b.ParentCVersion)
	if typ == proto.OpCreateTTL {
		dst = jute.AppendLong(dst, b.TTL)
	}
	return dst
}

func (b *Body) appendSubs(dst []byte) []byte {
	dst = jute.AppendCount(dst, len(b.Subs))
	for i := range b.Subs {
		s := &b.Subs[i]
		dst = jute.AppendInt(dst, int32(s.Type))
		at := len(dst)
		dst = s.appendTo(jute.AppendInt(dst, 0), s.Type)
		jute.AppendInt(dst[:at], int32(len(dst)-at-4))
	}
	return dst
}

// decode reads the record of type typ, reusing the slices of b. Only the outermost record (top) may be a multi.
func (b *Body) decode(d *jute.Decoder, typ proto.Op, top bool) error {
	acl, paths, subs := b.ACL, b.Paths, b.Subs
	*b = Body{Type: typ, ACL: acl[:0], Paths: paths[:0], Subs: subs[:0]}
	switch typ {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return b.decodeCreate(d, typ)
	case proto.OpDelete, proto.OpDeleteContainer:
		b.Path = d.String()
	case proto.OpSetData, proto.OpReconfig:
		b.Path, b.Data, b.Version = d.String(), d.Buffer(), d.Int()
	case proto.OpSetACL:
		b.Path, b.ACL, b.Version = d.String(), proto.DecodeACLs(d, acl), d.Int()
	case proto.OpCheck:
		b.Path, b.Version = d.String(), d.Int()
	case proto.OpCreateSession:
		b.Timeout = d.Int()
	case proto.OpCloseSession:
		return b.decodeClose(d)
	case proto.OpError:
		b.Err = proto.Code(d.Int())
	case proto.OpMulti:
		if !top {
			return ErrType
		}
		b.Subs = subs
		return b.decodeSubs(d)
	default:
		return ErrType
	}
	return d.Err()
}

func (b *Body) decodeCreate(d *jute.Decoder, typ proto.Op) error {
	b.Path, b.Data, b.ACL = d.String(), d.Buffer(), proto.DecodeACLs(d, b.ACL)
	if typ == proto.OpCreate || typ == proto.OpCreate2 {
		b.Ephemeral = d.Bool()
	}
	if typ == proto.OpCreate && d.Err() == nil && d.Len() == 0 {
		b.ParentCVersion = -1
		return nil
	}
	b.ParentCVersion = d.Int()
	if typ == proto.OpCreateTTL {
		b.TTL = d.Long()
	}
	return d.Err()
}

// decodeClose tries the list of paths first; where there are too few bytes for it the txn has none.
func (b *Body) decodeClose(d *jute.Decoder) error {
	before := *d
	b.Paths = proto.DecodeStrings(d, b.Paths)
	if err := d.Err(); err != nil {
		if !errors.Is(err, jute.ErrShort) {
			return err
		}
		*d, b.Paths = before, nil
		return nil
	}
	b.HasPaths = true
	return nil
}

func (b *Body) decodeSubs(d *jute.Decoder) error {
	n := max(d.Count(8), 0)
	if cap(b.Subs) < n {
		b.Subs = make([]Body, n)
	}
	b.Subs = b.Subs[:n]
	for i := range b.Subs {
		typ := proto.Op(d.Int())
		sub := jute.NewDecoder(d.Buffer())
		if d.Err() != nil {
			return d.Err()
		}
		if err := b.Subs[i].decode(&sub, typ, false); err != nil {
			return err
		}
	}
	return d.Err()
}

// size returns what the encoded record takes, or a little more.
func (b *Body) size() int {
	n := 48 + len(b.Path) + len(b.Data)
	for i := range b.ACL {
		n += 12 + len(b.ACL[i].ID.Scheme) + len(b.ACL[i].ID.ID)
	}
	for _, p := range b.Paths {
		n += 4 + len(p)
	}
	for i := range b.Subs {
		n += 8 + b.Subs[i].size()
	}
	return n
}
