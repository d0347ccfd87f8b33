package proto

import (
	"errors"

	"github.com/zabd/zabd/pkg/jute"
)

// ErrMultiOp says that a multi holds an operation that no multi can.
var ErrMultiOp = errors.New("operation not allowed in a multi")

// A MultiHeader stands before each operation and result of a multi, and behind the last one with Done set.
type MultiHeader struct {
	Type Op
	Done bool
	Err  Code
}

// AppendTo appends the encoded record.
func (h *MultiHeader) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, int32(h.Type))
	dst = jute.AppendBool(dst, h.Done)
	return jute.AppendInt(dst, int32(h.Err))
}

// Decode reads the record.
func (h *MultiHeader) Decode(d *jute.Decoder) error {
	h.Type, h.Done, h.Err = Op(d.Int()), d.Bool(), Code(d.Int())
	return d.Err()
}

// AppendMultiEnd appends what stands behind the last operation or result.
func AppendMultiEnd(dst []byte) []byte {
	end := MultiHeader{OpError, true, -1}
	return end.AppendTo(dst)
}

// A MultiOp is one operation of a multi; which fields count depends on Type.
type MultiOp struct {
	Type    Op
	Path    string
	Data    []byte
	ACL     []ACL
	Flags   int32
	Version int32
	TTL     int64
	Watch   bool
	Null    bool // the path of a read is null
}

// A MultiRequest is the record of multi and multiRead.
type MultiRequest struct{ Ops []MultiOp }

// AppendTo appends the encoded record.
func (r *MultiRequest) AppendTo(dst []byte) []byte {
	for i := range r.Ops {
		dst = r.Ops[i].appendTo(dst)
	}
	return AppendMultiEnd(dst)
}

func (o *MultiOp) appendTo(dst []byte) []byte {
	h := MultiHeader{o.Type, false, -1}
	dst = h.AppendTo(dst)
	switch o.Type {
	case OpCreate, OpCreate2, OpCreateContainer:
		return (&CreateRequest{o.Path, o.Data, o.ACL, o.Flags}).AppendTo(dst)
	case OpCreateTTL:
		return (&CreateTTLRequest{o.Path, o.Data, o.ACL, o.Flags, o.TTL}).AppendTo(dst)
	case OpDelete, OpCheck:
		return (&VersionRequest{o.Path, o.Version}).AppendTo(dst)
	case OpSetData:
		return (&SetDataRequest{o.Path, o.Data, o.Version}).AppendTo(dst)
	case OpGetData, OpGetChildren:
		path := OptString{o.Path, o.Null}
		return jute.AppendBool(path.AppendTo(dst), o.Watch)
	}
	return dst
}

// Decode reads the record. An operation of any other type than create, create2, createContainer, createTTL, delete,
// check, setData, getData and getChildren is ErrMultiOp; whether reads and writes mix is left to the caller.
func (r *MultiRequest) Decode(d *jute.Decoder) error {
	r.Ops = r.Ops[:0]
	for {
		var h MultiHeader
		if err := h.Decode(d); err != nil {
			return err
		}
		if h.Done {
			return nil
		}
		o := MultiOp{Type: h.Type}
		o.decode(d)
		if d.Err() != nil {
			return d.Err()
		}
		r.Ops = append(r.Ops, o)
	}
}

func (o *MultiOp) decode(d *jute.Decoder) {
	switch o.Type {
	case OpCreate, OpCreate2, OpCreateContainer:
		o.Path, o.Data, o.ACL, o.Flags = d.String(), d.Buffer(), DecodeACLs(d, nil), d.Int()
	case OpCreateTTL:
		o.Path, o.Data, o.ACL, o.Flags, o.TTL = d.String(), d.Buffer(), DecodeACLs(d, nil), d.Int(), d.Long()
	case OpDelete, OpCheck:
		o.Path, o.Version = d.String(), d.Int()
	case OpSetData:
		o.Path, o.Data, o.Version = d.String(), d.Buffer(), d.Int()
	case OpGetData, OpGetChildren:
		path, ok := d.OptString()
		o.Path, o.Null, o.Watch = path, !ok, d.Bool()
	default:
		d.Fail(ErrMultiOp)
	}
}

// A MultiResult answers one operation of a multi; which fields count depends on Type, which is OpError for a failure.
type MultiResult struct {
	Type  Op
	Err   Code
	Path  string
	Stat  Stat
	Data  []byte
	Names []string
}

// A MultiReply is the record that answers multi and multiRead.
type MultiReply struct{ Results []MultiResult }

// AppendTo appends the encoded record.
func (r *MultiReply) AppendTo(dst []byte) []byte {
	for i := range r.Results {
		dst = r.Results[i].appendTo(dst)
	}
	return AppendMultiEnd(dst)
}

func (m *MultiResult) appendTo(dst []byte) []byte {
	h := MultiHeader{m.Type, false, m.Err}
	dst = h.AppendTo(dst)
	switch m.Type {
	case OpCreate:
		return jute.AppendString(dst, m.Path)
	case OpCreate2:
		return m.Stat.AppendTo(jute.AppendString(dst, m.Path))
	case OpSetData:
		return m.Stat.AppendTo(dst)
	case OpGetData:
		return m.Stat.AppendTo(jute.AppendBuffer(dst, m.Data))
	case OpGetChildren:
		return AppendStrings(dst, m.Names)
	case OpError:
		return jute.AppendInt(dst, int32(m.Err))
	}
	return dst
}

// Decode reads the record.
func (r *MultiReply) Decode(d *jute.Decoder) error {
	r.Results = r.Results[:0]
	for {
		var h MultiHeader
		if err := h.Decode(d); err != nil {
			return err
		}
		if h.Done {
			return nil
		}
		m := MultiResult{Type: h.Type, Err: h.Err}
		m.decode(d)
		if d.Err() != nil {
			return d.Err()
		}
		r.Results = append(r.Results, m)
	}
}

func (m *MultiResult) decode(d *jute.Decoder) {
	switch m.Type {
	case OpCreate:
		m.Path = d.String()
	case OpCreate2:
		m.Path = d.String()
		m.Stat.Decode(d)
	case OpSetData:
		m.Stat.Decode(d)
	case OpGetData:
		m.Data = d.Buffer()
		m.Stat.Decode(d)
	case OpGetChildren:
		m.Names = DecodeStrings(d, nil)
	case OpError:
		m.Err = Code(d.Int())
	case OpDelete, OpCheck:
	default:
		d.Fail(ErrMultiOp)
	}
}
