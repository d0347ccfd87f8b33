package proto

import "github.com/zabd/zabd/pkg/jute"

// A CreateRequest is the record of create, create2 and createContainer.
type CreateRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
}

// AppendTo appends the encoded record.
func (r *CreateRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	dst = jute.AppendBuffer(dst, r.Data)
	dst = AppendACLs(dst, r.ACL)
	return jute.AppendInt(dst, r.Flags)
}

// Decode reads the record.
func (r *CreateRequest) Decode(d *jute.Decoder) error {
	r.Path, r.Data, r.ACL, r.Flags = d.String(), d.Buffer(), DecodeACLs(d, r.ACL), d.Int()
	return d.Err()
}

// A CreateTTLRequest is the record of createTTL.
type CreateTTLRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
	TTL   int64 // milliseconds
}

// AppendTo appends the encoded record.
func (r *CreateTTLRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	dst = jute.AppendBuffer(dst, r.Data)
	dst = AppendACLs(dst, r.ACL)
	dst = jute.AppendInt(dst, r.Flags)
	return jute.AppendLong(dst, r.TTL)
}

// Decode reads the record.
func (r *CreateTTLRequest) Decode(d *jute.Decoder) error {
	r.Path, r.Data, r.ACL, r.Flags, r.TTL = d.String(), d.Buffer(), DecodeACLs(d, r.ACL), d.Int(), d.Long()
	return d.Err()
}

// A VersionRequest is the record of delete and check: version -1 matches any.
type VersionRequest struct {
	Path    string
	Version int32
}

// AppendTo appends the encoded record.
func (r *VersionRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	return jute.AppendInt(dst, r.Version)
}

// Decode reads the record.
func (r *VersionRequest) Decode(d *jute.Decoder) error {
	r.Path, r.Version = d.String(), d.Int()
	return d.Err()
}

// A ReadRequest is the record of exists, getData, getChildren and getChildren2.
type ReadRequest struct {
	Path  string
	Watch bool
}

// AppendTo appends the encoded record.
func (r *ReadRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	return jute.AppendBool(dst, r.Watch)
}

// Decode reads the record.
func (r *ReadRequest) Decode(d *jute.Decoder) error {
	r.Path, r.Watch = d.String(), d.Bool()
	return d.Err()
}

// A SetDataRequest is the record of setData.
type SetDataRequest struct {
	Path    string
	Data    []byte
	Version int32
}

// AppendTo appends the encoded record.
func (r *SetDataRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	dst = jute.AppendBuffer(dst, r.Data)
	return jute.AppendInt(dst, r.Version)
}

// Decode reads the record.
func (r *SetDataRequest) Decode(d *jute.Decoder) error {
	r.Path, r.Data, r.Version = d.String(), d.Buffer(), d.Int()
	return d.Err()
}

// A PathRequest is the record of getACL, getAllChildrenNumber and the record form of deleteContainer.
type PathRequest struct {
	Path string
}

// AppendTo appends the encoded record.
func (r *PathRequest) AppendTo(dst []byte) []byte {
	return jute.AppendString(dst, r.Path)
}

// Decode reads the record.
func (r *PathRequest) Decode(d *jute.Decoder) error {
	r.Path = d.String()
	return d.Err()
}

// A SetACLRequest is the record of setACL; the version is compared with the aversion.
type SetACLRequest struct {
	Path    string
	ACL     []ACL
	Version int32
}

// AppendTo appends the encoded record.
func (r *SetACLRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	dst = AppendACLs(dst, r.ACL)
	return jute.AppendInt(dst, r.Version)
}

// Decode reads the record.
func (r *SetACLRequest) Decode(d *jute.Decoder) error {
	r.Path, r.ACL, r.Version = d.String(), DecodeACLs(d, r.ACL), d.Int()
	return d.Err()
}

// A WatchModeRequest is the record of addWatch, checkWatches and removeWatches.
type WatchModeRequest struct {
	Path string
	Mode int32
}

// AppendTo appends the encoded record.
func (r *WatchModeRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendString(dst, r.Path)
	return jute.AppendInt(dst, r.Mode)
}

// Decode reads the record.
func (r *WatchModeRequest) Decode(d *jute.Decoder) error {
	r.Path, r.Mode = d.String(), d.Int()
	return d.Err()
}

// An AuthRequest adds credentials to a connection. Type is not used.
type AuthRequest struct {
	Type   int32
	Scheme string
	Auth   []byte
}

// AppendTo appends the encoded record.
func (r *AuthRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, r.Type)
	dst = jute.AppendString(dst, r.Scheme)
	return jute.AppendBuffer(dst, r.Auth)
}

// Decode reads the record.
func (r *AuthRequest) Decode(d *jute.Decoder) error {
	r.Type, r.Scheme, r.Auth = d.Int(), d.String(), d.Buffer()
	return d.Err()
}

// A TokenRecord is the request and the reply of sasl.
type TokenRecord struct {
	Token []byte
}

// AppendTo appends the encoded record.
func (r *TokenRecord) AppendTo(dst []byte) []byte {
	return jute.AppendBuffer(dst, r.Token)
}

// Decode reads the record.
func (r *TokenRecord) Decode(d *jute.Decoder) error {
	r.Token = d.Buffer()
	return d.Err()
}

// A ReconfigRequest changes the membership of the ensemble. What is null is left as it is.
type ReconfigRequest struct {
	Joining, Leaving, NewMembers OptString
	ConfigID                     int64
}

// AppendTo appends the encoded record.
func (r *ReconfigRequest) AppendTo(dst []byte) []byte {
	for _, s := range []*OptString{&r.Joining, &r.Leaving, &r.NewMembers} {
		dst = s.AppendTo(dst)
	}
	return jute.AppendLong(dst, r.ConfigID)
}

// Decode reads the record.
func (r *ReconfigRequest) Decode(d *jute.Decoder) error {
	for _, s := range []*OptString{&r.Joining, &r.Leaving, &r.NewMembers} {
		if err := s.Decode(d); err != nil {
			return err
		}
	}
	r.ConfigID = d.Long()
	return d.Err()
}

// An OptString is a string that may be null: the record of sync (a path) and of getEphemerals (a prefix).
type OptString struct {
	Text string
	Null bool
}

// AppendTo appends the encoded record.
func (r *OptString) AppendTo(dst []byte) []byte {
	if r.Null {
		return jute.AppendNullString(dst)
	}
	return jute.AppendString(dst, r.Text)
}

// Decode reads the record.
func (r *OptString) Decode(d *jute.Decoder) error {
	text, ok := d.OptString()
	r.Text, r.Null = text, !ok
	return d.Err()
}

// A SetWatchesRequest restores the watches of a client on a new connection: those that would have fired since
// RelativeZxid fire at once. Persistent and Recursive travel with setWatches2 only. A null vector is nil, and an empty one
// is not.
type SetWatchesRequest struct {
	RelativeZxid          Zxid
	Data, Exist, Child    []string
	Persistent, Recursive []string
}

// AppendTo appends the encoded record of setWatches.
func (r *SetWatchesRequest) AppendTo(dst []byte) []byte {
	dst = jute.AppendLong(dst, int64(r.RelativeZxid))
	dst = AppendStrings(dst, r.Data)
	dst = AppendStrings(dst, r.Exist)
	return AppendStrings(dst, r.Child)
}

// Decode reads the record of setWatches.
func (r *SetWatchesRequest) Decode(d *jute.Decoder) error {
	r.RelativeZxid = Zxid(d.Long())
	for _, v := range []*[]string{&r.Data, &r.Exist, &r.Child} {
		*v = DecodeStrings(d, *v)
	}
	return d.Err()
}

// AppendTo2 appends the encoded record of setWatches2.
func (r *SetWatchesRequest) AppendTo2(dst []byte) []byte {
	return AppendStrings(AppendStrings(r.AppendTo(dst), r.Persistent), r.Recursive)
}

// Decode2 reads the record of setWatches2.
func (r *SetWatchesRequest) Decode2(d *jute.Decoder) error {
	if err := r.Decode(d); err != nil {
		return err
	}
	for _, v := range []*[]string{&r.Persistent, &r.Recursive} {
		*v = DecodeStrings(d, *v)
	}
	return d.Err()
}
