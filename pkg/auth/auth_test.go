package auth

import (
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// anyRules are the usual ones.
var anyRules Rules

func id(scheme, name string) proto.ID { return proto.ID{Scheme: scheme, ID: name} }

func TestAuthenticate(t *testing.T) {
	o := Options{SuperDigest: Digest(0, "super:pw")}
	for _, c := range []struct {
		name, scheme string
		data         []byte
		want         []proto.ID
		code         proto.Code
	}{
		{"digest", "digest", []byte("user:password"), []proto.ID{id("digest", "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=")}, proto.OK},
		{"digest without a colon", "digest", []byte("nocolon"), []proto.ID{id("digest", "nocolon:Ra+cHr2ZoHvBjtNArFGNGlVie4g=")}, proto.OK},
		{"super", "digest", []byte("super:pw"), []proto.ID{id("digest", o.SuperDigest), id("super", "")}, proto.OK},
		{"not UTF-8", "digest", []byte("u\xff:p\xff"), []proto.ID{id("digest", Digest(0, "u\uFFFD:p\uFFFD"))}, proto.OK},
		{"empty", "digest", []byte{}, []proto.ID{id("digest", Digest(0, ""))}, proto.OK},
		{"null digest", "digest", nil, nil, proto.AuthFailed},
		{"ip", "ip", nil, []proto.ID{id("ip", "10.0.0.1")}, proto.OK},
		{"world", "world", []byte("anyone"), nil, proto.AuthFailed},
		{"unknown", "kerberos", []byte("x"), nil, proto.AuthFailed},
	} {
		got, code := o.Authenticate(c.scheme, c.data, "10.0.0.1")
		if code != c.code || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, code, c.want, c.code)
		}
	}
}

func TestFixACL(t *testing.T) {
	ids := []proto.ID{id("ip", "10.0.0.1"), id("digest", "u:h")}
	entry := func(scheme, name string) proto.ACL { return proto.ACL{Perms: 3, ID: id(scheme, name)} }
	for _, c := range []struct {
		name string
		acl  []proto.ACL
		want []proto.ACL // nil: refused
	}{
		{"null", nil, nil},
		{"world", []proto.ACL{entry("world", "anyone")}, []proto.ACL{entry("world", "anyone")}},
		{"world but not anyone", []proto.ACL{entry("world", "me")}, nil},
		{"duplicates go", []proto.ACL{entry("digest", "a:b"), entry("digest", "a:b")}, []proto.ACL{entry("digest", "a:b")}},
		{"auth becomes who I am, and not where", []proto.ACL{entry("auth", "")}, []proto.ACL{entry("digest", "u:h")}},
		{"what auth becomes may be there already", []proto.ACL{entry("digest", "u:h"), entry("auth", "")}, []proto.ACL{entry("digest", "u:h"), entry("digest", "u:h")}},
		{"digest without a hash", []proto.ACL{entry("digest", "a:")}, nil},
		{"digest without a user", []proto.ACL{entry("digest", ":h")}, []proto.ACL{entry("digest", ":h")}},
		{"digest with a trailing colon", []proto.ACL{entry("digest", "a:b:")}, []proto.ACL{entry("digest", "a:b:")}},
		{"digest of three parts", []proto.ACL{entry("digest", "a:b:c")}, nil},
		{"address", []proto.ACL{entry("ip", "10.1.2.3")}, []proto.ACL{entry("ip", "10.1.2.3")}},
		{"network", []proto.ACL{entry("ip", "10.0.0.0/8")}, []proto.ACL{entry("ip", "10.0.0.0/8")}},
		{"mask too long", []proto.ACL{entry("ip", "10.0.0.0/33")}, nil},
		{"empty mask", []proto.ACL{entry("ip", "10.0.0.0/")}, nil},
		{"short address", []proto.ACL{entry("ip", "127.1")}, nil},
		{"name", []proto.ACL{entry("ip", "localhost")}, nil},
		{"leading zeros and a sign", []proto.ACL{entry("ip", "010.001.0.0/+8")}, []proto.ACL{entry("ip", "010.001.0.0/+8")}},
		{"five parts", []proto.ACL{entry("ip", "1.2.3.4.")}, nil},
		{"empty part", []proto.ACL{entry("ip", "1..3.4")}, nil},
		{"part too large", []proto.ACL{entry("ip", "1.2.3.256")}, nil},
		{"mask alone", []proto.ACL{entry("ip", "/8")}, nil},
		{"all of IPv6", []proto.ACL{entry("ip", "::/0")}, []proto.ACL{entry("ip", "::/0")}},
		{"IPv6 mask too long", []proto.ACL{entry("ip", "::1/129")}, nil},
		{"IPv6", []proto.ACL{entry("ip", "2001:db8::/32")}, []proto.ACL{entry("ip", "2001:db8::/32")}},
		{"IPv6 with a zone", []proto.ACL{entry("ip", "fe80::1%eth0")}, nil},
		{"mapped IPv4", []proto.ACL{entry("ip", "::ffff:1.2.3.4")}, nil},
		{"unknown scheme", []proto.ACL{entry("kerberos", "x")}, nil},
	} {
		got, code := anyRules.FixACL(c.acl, ids)
		if (code == proto.OK) != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, code, c.want)
		}
	}
	if _, code := anyRules.FixACL([]proto.ACL{entry("auth", "")}, ids[:1]); code != proto.InvalidACL {
		t.Errorf("auth of nobody = %v, want %v", code, proto.InvalidACL)
	}
}

func TestPermit(t *testing.T) {
	acl := []proto.ACL{
		{Perms: proto.PermRead, ID: id("world", "anyone")},
		{Perms: proto.PermWrite, ID: id("digest", "u:h")},
		{Perms: proto.PermCreate, ID: id("ip", "10.1.0.0/13")},
	}
	for _, c := range []struct {
		name string
		need proto.Perm
		ids  []proto.ID
		want bool
	}{
		{"anyone reads", proto.PermRead, nil, true},
		{"nobody writes", proto.PermWrite, []proto.ID{id("ip", "1.2.3.4")}, false},
		{"the user writes", proto.PermWrite, []proto.ID{id("digest", "u:h")}, true},
		{"another user does not", proto.PermWrite, []proto.ID{id("digest", "u:i")}, false},
		{"an address of the network creates", proto.PermCreate, []proto.ID{id("ip", "10.7.255.1")}, true},
		{"one beside it does not", proto.PermCreate, []proto.ID{id("ip", "10.8.0.1")}, false},
		{"super does all", proto.PermAdmin, []proto.ID{id("super", "")}, true},
		{"one of two bits is enough", proto.PermAdmin | proto.PermRead, nil, true},
	} {
		if got := anyRules.Permit(acl, c.need, c.ids); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if !anyRules.Permit(nil, proto.PermAdmin, nil) {
		t.Error("an empty list refuses")
	}
}

func TestInNetwork(t *testing.T) {
	for _, c := range []struct {
		ip, network string
		want        bool
	}{
		{"10.7.255.1", "10.1.0.0/13", true},
		{"10.8.0.0", "10.1.0.0/13", false},
		{"10.0.0.1", "010.000.000.001", true},
		{"10.0.0.1", "1.2.3.4/0", true},
		{"::1", "1.2.3.4/0", false},
		{"2001:db8::7", "2001:db8::/32", true},
		{"2001:db9::7", "2001:db8::/32", false},
		{"fe80::1%eth0", "fe80::/10", true},
		{"127.0.0.1", "localhost", false},
		{"", "1.2.3.4", false},
	} {
		if got := inNetwork(c.ip, c.network); got != c.want {
			t.Errorf("inNetwork(%s, %s) = %v, want %v", c.ip, c.network, got, c.want)
		}
	}
}

func TestPermitAllocatesNothing(t *testing.T) {
	acl, ids := proto.WorldAll(), []proto.ID{id("ip", "10.0.0.1")}
	if n := testing.AllocsPerRun(100, func() { anyRules.Permit(acl, proto.PermRead, ids) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestDisplayACL(t *testing.T) {
	acl := []proto.ACL{{Perms: 1, ID: id("digest", "u:secret")}, {Perms: 1, ID: id("ip", "1.2.3.4")}}
	shown := DisplayACL(acl)
	if shown[0].ID.ID != "u:x" || shown[1] != acl[1] || acl[0].ID.ID != "u:secret" {
		t.Fatalf("%v is shown as %v", acl, shown)
	}
}

// TestHashes: what openssl makes of the same.
func TestHashes(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"SHA1", "tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY="},
		{"sha-1", "tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY="},
		{"SHA", "tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY="},
		{"SHA-256", "yRsdas04PETE7CDJcj51jDEYKh9PAjHWPZElmi6hS50="},
		{"SHA256", "yRsdas04PETE7CDJcj51jDEYKh9PAjHWPZElmi6hS50="},
		{"SHA-512", "jpg++2gII4jzID8eXmWBSuUbGt1jbK9iB9PlOOf0uNwG7O0rsNtKX7GP4vq+QM0ncsfbzxZTuyf0xv2Xbkfz1Q=="},
		{"SHA-512/256", "BJ4p7RfQWcJD4uSvfIaTRHf2W3T/r7vXir0nGIUZvt4="},
		{"SHA3-256", "NAR2RZ7JZxGXKOuQubzhytx9PjP71AWWZoOY+TVw1hw="},
		{"MD5", "OunqX+etW/ZSxR9D2ldCLA=="},
		{"SHA-224", ""},
		{"SHA-384", ""},
		{"SHA-512/224", ""},
		{"SHA3-224", ""},
		{"SHA3-384", ""},
		{"SHA3-512", ""},
	} {
		h, err := ParseHash(c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := Digest(h, "user:password"); c.want != "" && got != "user:"+c.want {
			t.Errorf("%s gives %s, want %s", c.name, got, c.want)
		}
	}
	for _, name := range []string{"RipeMD160", "MD2", "", "SHA-2", "SHA3"} {
		if h, err := ParseHash(name); err == nil {
			t.Errorf("%q is %v", name, h)
		}
	}
}

// TestWithoutDigest: nobody can be known by a password, and what names one grants nothing.
func TestWithoutDigest(t *testing.T) {
	o := Options{Rules: Rules{NoDigest: true}, SuperDigest: Digest(0, "super:pw")}
	if ids, code := o.Authenticate("digest", []byte("super:pw"), ""); code != proto.AuthFailed {
		t.Errorf("authenticate = %v, %v", ids, code)
	}
	mine := []proto.ACL{{Perms: proto.PermAll, ID: id("digest", "u:h")}}
	ids := []proto.ID{id("digest", "u:h"), id("ip", "1.2.3.4")} // as a server says that has the scheme
	if o.Permit(mine, proto.PermRead, ids) {
		t.Error("an entry of digest grants")
	}
	for _, acl := range [][]proto.ACL{mine, {{Perms: 1, ID: id("auth", "")}}} {
		if _, code := o.FixACL(acl, ids); code != proto.InvalidACL {
			t.Errorf("%v is fixed: %v", acl, code)
		}
	}
	if o.Knows("digest") || !o.Knows("ip") || o.Knows("ensemble") || o.Knows("world") || !new(Options).Knows("digest") {
		t.Error("schemes")
	}
}

func TestEnsembleNames(t *testing.T) {
	o := Options{Ensembles: []string{"red", "blue"}}
	for _, c := range []struct {
		name string
		data []byte
		want proto.Code
	}{
		{"one of them", []byte("blue"), proto.OK},
		{"no name", nil, proto.OK},
		{"an empty name", []byte{}, proto.OK},
		{"another", []byte("green"), proto.BadArguments},
		{"both", []byte("red,blue"), proto.BadArguments},
	} {
		if ids, code := o.Authenticate("ensemble", c.data, ""); code != c.want || len(ids) > 0 {
			t.Errorf("%s: %v, %v, want %v", c.name, ids, code, c.want)
		}
	}
	if _, code := new(Options).Authenticate("ensemble", nil, ""); code != proto.AuthFailed {
		t.Errorf("without names: %v", code)
	}
}

func TestServes(t *testing.T) {
	someone, nobody := []proto.ID{id("ip", "1.2.3.4"), id("digest", "u:h")}, []proto.ID{id("ip", "1.2.3.4")}
	o := Options{Required: []string{"sasl", "digest"}}
	if !o.Serves(someone) || o.Serves(nobody) || !new(Options).Serves(nobody) {
		t.Error("who is served")
	}
}
