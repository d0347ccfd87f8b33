package proto

import "github.com/zabd/zabd/pkg/jute"

// A PathReply answers create, and sync with a path.
type PathReply struct {
	Path string
}

// AppendTo appends the encoded record.
func (r *PathReply) AppendTo(dst []byte) []byte {
	return jute.AppendString(dst, r.Path)
}

// Decode reads the record.
func (r *PathReply) Decode(d *jute.Decoder) error {
	r.Path = d.String()
	return d.Err()
}

// A CreateReply answers create2, createContainer and createTTL.
type CreateReply struct {
	Path string
	Stat Stat
}

// AppendTo appends the encoded record.
func (r *CreateReply) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	return r.Stat.AppendTo(dst)
}

// Decode reads the record.
func (r *CreateReply) Decode(d *jute.Decoder) error {
	r.Path = d.String()
	return r.Stat.Decode(d)
}

// A DataReply answers getData and reconfig.
type DataReply struct {
	Data []byte
	Stat Stat
}

// AppendTo appends the encoded record.
func (r *DataReply) AppendTo(dst []byte) []byte {
	dst = jute.AppendBuffer(dst, r.Data)
	return r.Stat.AppendTo(dst)
}

// Decode reads the record.
func (r *DataReply) Decode(d *jute.Decoder) error {
	r.Data = d.Buffer()
	return r.Stat.Decode(d)
}

// An ACLReply answers getACL.
type ACLReply struct {
	ACL  []ACL
	Stat Stat
}

// AppendTo appends the encoded record.
func (r *ACLReply) AppendTo(dst []byte) []byte {
	dst = AppendACLs(dst, r.ACL)
	return r.Stat.AppendTo(dst)
}

// Decode reads the record.
func (r *ACLReply) Decode(d *jute.Decoder) error {
	r.ACL = DecodeACLs(d, r.ACL)
	return r.Stat.Decode(d)
}

// A ChildrenReply answers getChildren and getEphemerals.
type ChildrenReply struct {
	Names []string
}

// AppendTo appends the encoded record.
func (r *ChildrenReply) AppendTo(dst []byte) []byte {
	return AppendStrings(dst, r.Names)
}

// Decode reads the record.
func (r *ChildrenReply) Decode(d *jute.Decoder) error {
	r.Names = DecodeStrings(d, r.Names)
	return d.Err()
}

// A Children2Reply answers getChildren2.
type Children2Reply struct {
	Names []string
	Stat  Stat
}

// AppendTo appends the encoded record.
func (r *Children2Reply) AppendTo(dst []byte) []byte {
	dst = AppendStrings(dst, r.Names)
	return r.Stat.AppendTo(dst)
}

// Decode reads the record.
func (r *Children2Reply) Decode(d *jute.Decoder) error {
	r.Names = DecodeStrings(d, r.Names)
	return r.Stat.Decode(d)
}

// A CountReply answers getAllChildrenNumber.
type CountReply struct {
	Count int32
}

// AppendTo appends the encoded record.
func (r *CountReply) AppendTo(dst []byte) []byte {
	return jute.AppendInt(dst, r.Count)
}

// Decode reads the record.
func (r *CountReply) Decode(d *jute.Decoder) error {
	r.Count = d.Int()
	return d.Err()
}

// An IDsReply answers whoAmI.
type IDsReply struct{ IDs []ID }

// AppendTo appends the encoded record.
func (r *IDsReply) AppendTo(dst []byte) []byte {
	dst = jute.AppendCount(dst, len(r.IDs))
	for _, id := range r.IDs {
		dst = jute.AppendString(jute.AppendString(dst, id.Scheme), id.ID)
	}
	return dst
}

// Decode reads the record.
func (r *IDsReply) Decode(d *jute.Decoder) error {
	n := d.Count(8)
	r.IDs = r.IDs[:0]
	for range n {
		r.IDs = append(r.IDs, ID{d.String(), d.String()})
	}
	return d.Err()
}
