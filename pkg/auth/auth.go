// Package auth knows the authentication schemes: which ids a credential gives, which entries an ACL may have, and
// whether somebody's ids satisfy one.
package auth

import (
	"crypto"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
)

// Rules are the settings of a server that decide what is permitted.
type Rules struct {
	SkipACL  bool // everything is
	NoDigest bool // there is no scheme digest
}

// Options are all the settings of a server that concern authentication.
type Options struct {
	Rules
	Hash        crypto.Hash // of the scheme digest; 0 = SHA-1
	SuperDigest string      // user:hash of whoever may do everything; none if empty
	Ensembles   []string    // what clients may call the ensemble that they mean, by the scheme ensemble; it is there if any is
	Required    []string    // schemes of which a connection needs an id; none = anybody is served
}

var super = proto.ID{Scheme: "super"}

// Authenticate returns the ids that a credential gives to a connection from ip. AuthFailed refuses it, and ends the
// connection; BadArguments ends it without an answer, so that the client goes to another server.
func (o *Options) Authenticate(scheme string, data []byte, ip string) ([]proto.ID, proto.Code) {
	switch {
	case scheme == "digest" && !o.NoDigest && data != nil:
		id := Digest(o.Hash, proto.Text(data))
		ids := []proto.ID{{Scheme: "digest", ID: id}}
		if o.SuperDigest != "" && id == o.SuperDigest {
			ids = append(ids, super)
		}
		return ids, proto.OK
	case scheme == "ip":
		return []proto.ID{{Scheme: "ip", ID: ip}}, proto.OK
	case scheme == EnsembleScheme && len(o.Ensembles) > 0:
		if len(data) > 0 && !slices.Contains(o.Ensembles, proto.Text(data)) {
			return nil, proto.BadArguments
		}
		return nil, proto.OK
	}
	return nil, proto.AuthFailed
}

// EnsembleScheme gives no id: a client says by it which ensemble it means.
const EnsembleScheme = "ensemble"

// Serves tells whether a connection that has these ids is served.
func (o *Options) Serves(ids []proto.ID) bool {
	return len(o.Required) == 0 || slices.ContainsFunc(ids, func(id proto.ID) bool { return slices.Contains(o.Required, id.Scheme) })
}

// Knows tells whether there is a scheme by which a client can authenticate.
func (o *Options) Knows(scheme string) bool {
	return scheme == "ip" || scheme == "digest" && !o.NoDigest || scheme == EnsembleScheme && len(o.Ensembles) > 0
}

// Permit tells whether one who has ids is granted any of the needed bits. An empty list grants everything.
func (r Rules) Permit(acl []proto.ACL, need proto.Perm, ids []proto.ID) bool {
	if r.SkipACL || len(acl) == 0 {
		return true
	}
	for i := range acl {
		a := &acl[i]
		if a.Perms&need == 0 {
			continue
		}
		if a.ID.Scheme == "world" && a.ID.ID == "anyone" {
			return true
		}
		for j := range ids {
			if ids[j].Scheme == a.ID.Scheme && r.matches(a.ID, ids[j].ID) {
				return true
			}
		}
	}
	return slices.ContainsFunc(ids, func(id proto.ID) bool { return id.Scheme == "super" })
}

// matches tells whether the id of one who asks satisfies an entry of the same scheme.
func (r Rules) matches(entry proto.ID, id string) bool {
	if entry.Scheme == "ip" {
		return inNetwork(id, entry.ID)
	}
	return r.isAuthenticated(entry.Scheme) && id == entry.ID
}

// inNetwork tells whether an address lies in addr/bits.
func inNetwork(ip, network string) bool {
	prefix, ok := parseNetwork(network)
	if !ok {
		return false
	}
	addr, err := netip.ParseAddr(ip)
	return err == nil && prefix.Contains(addr.WithZone(""))
}

// parseNetwork reads an address with or without /bits: IPv4 in four decimal parts, or IPv6 without zone and not as a
// mapped IPv4 address. Numbers are those of Java's parseInt, with leading zeros and a sign.
func parseNetwork(s string) (netip.Prefix, bool) {
	text, bits, masked := strings.Cut(s, "/")
	addr, ok := parseV4(text)
	if !ok {
		var err error
		if addr, err = netip.ParseAddr(text); err != nil || addr.Zone() != "" || !addr.Is6() || addr.Is4In6() {
			return netip.Prefix{}, false
		}
	}
	n := addr.BitLen()
	if masked {
		var err error
		if n, err = strconv.Atoi(bits); err != nil || n < 0 || n > addr.BitLen() {
			return netip.Prefix{}, false
		}
	}
	return netip.PrefixFrom(addr, n), true
}

func parseV4(s string) (netip.Addr, bool) {
	var b [4]byte
	for i := range b {
		part, rest, more := strings.Cut(s, ".")
		if n, err := strconv.Atoi(part); err != nil || n < 0 || n > 255 || more != (i < len(b)-1) {
			return netip.Addr{}, false
		} else {
			b[i] = byte(n)
		}
		s = rest
	}
	return netip.AddrFrom4(b), true
}

// FixACL turns the list of a request into the one that is stored, a new one: duplicates go, and then "auth" becomes what
// the connection has authenticated as. InvalidACL refuses an empty list and entries that no scheme accepts.
func (r Rules) FixACL(acl []proto.ACL, ids []proto.ID) ([]proto.ACL, proto.Code) {
	if len(acl) == 0 {
		return nil, proto.InvalidACL
	}
	fixed := make([]proto.ACL, 0, len(acl))
	for i, a := range acl {
		switch {
		case slices.Contains(acl[:i], a):
		case a.ID == (proto.ID{Scheme: "world", ID: "anyone"}):
			fixed = append(fixed, a)
		case a.ID.Scheme == "auth":
			found := false
			for _, id := range ids {
				if r.isAuthenticated(id.Scheme) {
					fixed = append(fixed, proto.ACL{Perms: a.Perms, ID: id})
					found = true
				}
			}
			if !found {
				return nil, proto.InvalidACL
			}
		case r.valid(a.ID):
			fixed = append(fixed, a)
		default:
			return nil, proto.InvalidACL
		}
	}
	return fixed, proto.OK
}

// isAuthenticated tells whether ids of a scheme prove who somebody is; an address does not.
func (r Rules) isAuthenticated(scheme string) bool {
	return scheme == "digest" && !r.NoDigest || scheme == "sasl" || scheme == "x509"
}

// valid tells whether a list may name an id.
func (r Rules) valid(id proto.ID) bool {
	switch {
	case id.Scheme == "digest" && !r.NoDigest:
		parts := strings.Split(id.ID, ":")
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		return len(parts) == 2
	case id.Scheme == "ip":
		_, ok := parseNetwork(id.ID)
		return ok
	}
	return false
}

// DisplayACL returns a list as those see it who may not administer the node: digests without what the password left.
func DisplayACL(acl []proto.ACL) []proto.ACL {
	shown := slices.Clone(acl)
	for i := range shown {
		if shown[i].ID.Scheme == "digest" {
			shown[i].ID.ID = User(shown[i].ID) + ":x"
		}
	}
	return shown
}

// User returns who an id is, without what a password left.
func User(id proto.ID) string {
	if id.Scheme != "digest" {
		return id.ID
	}
	user, _, _ := strings.Cut(id.ID, ":")
	return user
}
