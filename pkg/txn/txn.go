// Package txn has what is replicated: the txn that a write becomes when the leader has prepared it, idempotent and
// free of conditions, and the Entry that carries its bytes to the log, to every learner and to the tree. It knows the
// layout of all txn types and the meaning of none.
//
// The payload of an entry, as it stands in the log and in a proposal:
//
//	session (8) | cxid (4) | zxid (8) | time in ms (8) | type (4)
//	record of that type
//	digest version (4) | digest of the tree behind the txn (8)       absent in errors and where digests are off
package txn

import (
	"errors"
	"fmt"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// HeaderSize is the encoded length of a Header.
const HeaderSize = 32

// DigestVersion is the version of the digests that package tree computes; others are not compared.
const DigestVersion = 2

// ErrType says that a payload is of a type that no server of any version can apply.
var ErrType = errors.New("unknown txn type")

// An Entry is one txn on its way: its zxid and its payload. The bytes are shared by the log, the links and the tree
// and are never changed or reused once the entry exists.
type Entry struct {
	Zxid  proto.Zxid
	Bytes []byte
}

// A Slot is the place in the order of all writes that a request is given before it is prepared.
type Slot struct {
	Zxid     proto.Zxid
	Request  *proto.Request
	Reconfig *Reconfig // of a reconfig that a leader of an ensemble is asked for; else nil
}

// A Reconfig is what a leader knows of its ensemble when it is asked to change it.
//
// It is shared by the slots that are prepared while none of them has come back as an entry: who makes an entry of type
// reconfig sets Pending, and so the next one is refused.
type Reconfig struct {
	Enabled bool
	Pending bool             // one is under way; there is never a second
	Active  *ensemble.Config // the change begins from here; its version is what a client's is compared with
	InSync  []ensemble.ID    // who would acknowledge: the leader, and followers that are in sync, with or without a vote
}

// A Delivery is one thing that the apply loop is given, in the order of all that happens to the tree: a committed entry;
// or a Tree to go on with in the place of the present one; or a client's Sync, up to which everything has come; or, with
// nothing but a zxid, an epoch that begins.
type Delivery struct {
	Entry
	Sync *proto.Request
	Tree any
}

// A Header says who asked for a txn and when. Cxid is the client's xid; it and Session are 0 for what a server made.
type Header struct {
	Session int64
	Cxid    int32
	Zxid    proto.Zxid
	Time    int64 // milliseconds since 1970, the leader's clock
	Type    proto.Op
}

// AppendTo appends the encoded header.
func (h *Header) AppendTo(dst []byte) []byte {
	dst = jute.AppendLong(dst, h.Session)
	dst = jute.AppendInt(dst, h.Cxid)
	dst = jute.AppendLong(dst, int64(h.Zxid))
	dst = jute.AppendLong(dst, h.Time)
	return jute.AppendInt(dst, int32(h.Type))
}

// Decode reads the header.
func (h *Header) Decode(d *jute.Decoder) error {
	h.Session, h.Cxid, h.Zxid, h.Time, h.Type = d.Long(), d.Int(), proto.Zxid(d.Long()), d.Long(), proto.Op(d.Int())
	return d.Err()
}

// DecodeHeader reads the header of an entry's payload.
func DecodeHeader(payload []byte) (Header, error) {
	d := jute.NewDecoder(payload)
	var h Header
	if err := h.Decode(&d); err != nil {
		return h, fmt.Errorf("txn: header: %w", err)
	}
	return h, nil
}

// A Digest is the sum of all node digests once the txn is applied.
type Digest struct {
	Version int32
	Tree    uint64
}

// A Txn is a decoded payload.
type Txn struct {
	Header
	Body
	Digest    Digest
	HasDigest bool
}

// AppendTo appends the encoded payload.
func (t *Txn) AppendTo(dst []byte) []byte {
	dst = t.Header.AppendTo(dst)
	dst = t.Body.appendTo(dst, t.Header.Type)
	if t.HasDigest {
		dst = jute.AppendInt(dst, t.Digest.Version)
		dst = jute.AppendLong(dst, int64(t.Digest.Tree))
	}
	return dst
}

// Decode reads a payload, reusing the slices of t. Strings and data alias the payload. The digest is recognised by
// there being bytes behind the record.
func (t *Txn) Decode(payload []byte) error {
	d := jute.NewDecoder(payload)
	if err := t.Header.Decode(&d); err != nil {
		return fmt.Errorf("txn: header: %w", err)
	}
	t.Digest, t.HasDigest = Digest{}, false
	if err := t.Body.decode(&d, t.Header.Type, true); err != nil {
		return fmt.Errorf("txn: %v of type %v: %w", t.Zxid, t.Header.Type, err)
	}
	if d.Len() >= 12 {
		t.Digest, t.HasDigest = Digest{d.Int(), uint64(d.Long())}, true
	}
	return nil
}

// Entry encodes the txn into an entry of its own, in one allocation.
func (t *Txn) Entry() Entry {
	return Entry{t.Zxid, t.AppendTo(make([]byte, 0, HeaderSize+t.Body.size()+12))}
}
