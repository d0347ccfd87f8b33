package proto

import "github.com/zabd/zabd/pkg/jute"

// A Perm is a set of permission bits.
type Perm int32

// The permission bits.
const (
	PermRead   Perm = 1
	PermWrite  Perm = 2
	PermCreate Perm = 4
	PermDelete Perm = 8
	PermAdmin  Perm = 16
	PermAll    Perm = 31
)

// An ID is who somebody is under an authentication scheme.
type ID struct{ Scheme, ID string }

// Text returns what a credential says: bytes that are not valid UTF-8 read as replacement characters, as in ZooKeeper.
func Text(b []byte) string { return jute.Text(b) }

// An ACL gives permissions to an ID.
type ACL struct {
	Perms Perm
	ID    ID
}

// WorldAll returns the list that lets anyone do everything.
func WorldAll() []ACL { return []ACL{{PermAll, ID{"world", "anyone"}}} }

const minACLSize = 12 // perms and two empty strings

// AppendACLs appends a vector of ACLs; nil is the null vector.
func AppendACLs(dst []byte, acl []ACL) []byte {
	if acl == nil {
		return jute.AppendCount(dst, -1)
	}
	dst = jute.AppendCount(dst, len(acl))
	for i := range acl {
		dst = jute.AppendInt(dst, int32(acl[i].Perms))
		dst = jute.AppendString(dst, acl[i].ID.Scheme)
		dst = jute.AppendString(dst, acl[i].ID.ID)
	}
	return dst
}

// DecodeACLs reads a vector of ACLs into the space of reuse: nil for the null vector. A null scheme or id reads as
// empty, which no scheme accepts.
func DecodeACLs(d *jute.Decoder, reuse []ACL) []ACL {
	n := d.Count(minACLSize)
	if n < 0 || d.Err() != nil {
		return nil
	}
	acl := reuse[:0]
	if acl == nil {
		acl = make([]ACL, 0, n)
	}
	for range n {
		var a ACL
		a.Perms = Perm(d.Int())
		a.ID.Scheme, _ = d.OptString()
		a.ID.ID, _ = d.OptString()
		acl = append(acl, a)
	}
	return acl
}

// AppendStrings appends a vector of strings; nil is the null vector.
func AppendStrings(dst []byte, v []string) []byte {
	if v == nil {
		return jute.AppendCount(dst, -1)
	}
	dst = jute.AppendCount(dst, len(v))
	for _, s := range v {
		dst = jute.AppendString(dst, s)
	}
	return dst
}

// DecodeStrings reads a vector of strings into the space of reuse: nil for the null vector.
func DecodeStrings(d *jute.Decoder, reuse []string) []string {
	n := d.Count(4)
	if n < 0 || d.Err() != nil {
		return nil
	}
	v := reuse[:0]
	if v == nil {
		v = make([]string, 0, n)
	}
	for range n {
		v = append(v, d.String())
	}
	return v
}
