package proto

import "github.com/zabd/zabd/pkg/jute"

// PasswordSize is the length in bytes of a session's password.
const PasswordSize = 16

// A ConnectRequest opens a connection: with SessionID 0 it asks for a new session, else it re-attaches to one.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    Zxid
	Timeout         int32 // milliseconds
	SessionID       int64
	Password        []byte
	ReadOnly        bool
	HasReadOnly     bool // old clients leave the flag out
}

// AppendTo appends the encoded record.
func (r *ConnectRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, r.ProtocolVersion)
	dst = jute.AppendLong(dst, int64(r.LastZxidSeen))
	dst = jute.AppendInt(dst, r.Timeout)
	dst = jute.AppendLong(dst, r.SessionID)
	dst = jute.AppendBuffer(dst, r.Password)
	if r.HasReadOnly {
		dst = jute.AppendBool(dst, r.ReadOnly)
	}
	return dst
}

// Decode reads the record.
func (r *ConnectRequest) Decode(d *jute.Decoder) error {
	r.ProtocolVersion, r.LastZxidSeen, r.Timeout = d.Int(), Zxid(d.Long()), d.Int()
	r.SessionID, r.Password = d.Long(), d.Buffer()
	r.ReadOnly, r.HasReadOnly = false, d.Len() > 0
	if r.HasReadOnly {
		r.ReadOnly = d.Bool()
	}
	return d.Err()
}

// A ConnectResponse answers a ConnectRequest. A refusal has timeout and session 0.
type ConnectResponse struct {
	ProtocolVersion int32
	Timeout         int32 // milliseconds
	SessionID       int64
	Password        []byte
	ReadOnly        bool
	HasReadOnly     bool // as in the request
}

// AppendTo appends the encoded record.
func (r *ConnectResponse) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, r.ProtocolVersion)
	dst = jute.AppendInt(dst, r.Timeout)
	dst = jute.AppendLong(dst, r.SessionID)
	dst = jute.AppendBuffer(dst, r.Password)
	if r.HasReadOnly {
		dst = jute.AppendBool(dst, r.ReadOnly)
	}
	return dst
}

// Decode reads the record.
func (r *ConnectResponse) Decode(d *jute.Decoder) error {
	r.ProtocolVersion, r.Timeout, r.SessionID, r.Password = d.Int(), d.Int(), d.Long(), d.Buffer()
	r.ReadOnly, r.HasReadOnly = false, d.Len() > 0
	if r.HasReadOnly {
		r.ReadOnly = d.Bool()
	}
	return d.Err()
}

// A RequestHeader begins every request after the handshake.
type RequestHeader struct {
	Xid int32
	Op  Op
}

// AppendTo appends the encoded record.
func (h *RequestHeader) AppendTo(dst []byte) []byte {
	return jute.AppendInt(jute.AppendInt(dst, h.Xid), int32(h.Op))
}

// Decode reads the record.
func (h *RequestHeader) Decode(d *jute.Decoder) error {
	h.Xid, h.Op = d.Int(), Op(d.Int())
	return d.Err()
}

// ReplyHeaderSize is the encoded length of a ReplyHeader.
const ReplyHeaderSize = 16

// A ReplyHeader begins every reply and notification. Zxid is the last one that the server had applied.
type ReplyHeader struct {
	Xid  int32
	Zxid Zxid
	Err  Code
}

// AppendTo appends the encoded record.
func (h *ReplyHeader) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, h.Xid)
	dst = jute.AppendLong(dst, int64(h.Zxid))
	return jute.AppendInt(dst, int32(h.Err))
}

// Decode reads the record.
func (h *ReplyHeader) Decode(d *jute.Decoder) error {
	h.Xid, h.Zxid, h.Err = d.Int(), Zxid(d.Long()), Code(d.Int())
	return d.Err()
}

// A Request is one request of a session on its way through the server: what the frame held and who sent it. Body is
// the undecoded record. IDs are those that the connection had when the request was read.
type Request struct {
	Session int64
	Xid     int32
	Op      Op
	Body    []byte
	IDs     []ID
	// Moved says that the request came by another server than the one that owns its session; the leader sets it.
	Moved bool
}

// An EventType is what happened to a watched node.
type EventType int32

// The events of watches.
const (
	EventCreated         EventType = 1
	EventDeleted         EventType = 2
	EventDataChanged     EventType = 3
	EventChildrenChanged EventType = 4
)

// A WatchMode is what addWatch leaves.
type WatchMode int32

// The modes of addWatch: on the node and its children, or on the node and all below it.
const (
	ModePersistent WatchMode = 0
	ModeRecursive  WatchMode = 1
)

// A WatcherType is which watches checkWatches and removeWatches are about.
type WatcherType int32

// The types of watchers; the first two are of one-shot watches.
const (
	WatcherChildren   WatcherType = 1
	WatcherData       WatcherType = 2
	WatcherAny        WatcherType = 3
	WatcherPersistent WatcherType = 4
	WatcherRecursive  WatcherType = 5
)

// Valid tells whether there is such a type.
func (t WatcherType) Valid() bool { return t >= WatcherChildren && t <= WatcherRecursive }

// StateConnected is the session state that every notification of a node carries.
const StateConnected int32 = 3

// A WatcherEvent is the record of a notification.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  string
}

// AppendTo appends the encoded record.
func (e *WatcherEvent) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, int32(e.Type))
	dst = jute.AppendInt(dst, e.State)
	return jute.AppendString(dst, e.Path)
}

// Decode reads the record.
func (e *WatcherEvent) Decode(d *jute.Decoder) error {
	e.Type, e.State, e.Path = EventType(d.Int()), d.Int(), d.String()
	return d.Err()
}
