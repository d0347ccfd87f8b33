package daemon

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// TestAuthentication has servers with other settings than the usual, and what a client then gets for its credential.
func TestAuthentication(t *testing.T) {
	mine := []proto.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}
	for _, c := range []struct {
		name, lines        string
		scheme, credential string
		auth               error // of the credential; io.EOF closes the connection without an answer
		id                 string
		write              error // of a node with a list for whoever it is
	}{
		{"as usual", "", "digest", "user:password", nil, "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=", nil},
		{
			"another hash", "DigestAuthenticationProvider.digestAlg=SHA-256", "digest", "user:password", nil,
			"user:yRsdas04PETE7CDJcj51jDEYKh9PAjHWPZElmi6hS50=", nil,
		},
		{"no digest", "DigestAuthenticationProvider.enabled=false", "digest", "user:password", proto.AuthFailed, "", nil},
		{"a name of this ensemble", "ensembleAuthName=red, blue", "ensemble", "blue", nil, "", proto.InvalidACL},
		{"another ensemble's name", "ensembleAuthName=red, blue", "ensemble", "green", io.EOF, "", nil},
		{"no ensemble has a name", "", "ensemble", "red", proto.AuthFailed, "", nil},
		{
			"a need that is met", "enforce.auth.enabled=true\nenforce.auth.schemes=digest", "digest", "user:password", nil,
			"user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=", nil,
		},
		{"a need that is not met", "enforce.auth.enabled=true\nenforce.auth.schemes=digest", "ip", "", nil, "", proto.SessionClosedRequireSasl},
		{"a need that everybody meets", "enforce.auth.enabled=true\nenforce.auth.schemes=ip, digest", "ip", "", nil, "", proto.InvalidACL},
		{"schemes, and no need", "enforce.auth.enabled=false\nenforce.auth.schemes=digest", "ip", "", nil, "", proto.InvalidACL},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			conn := dial(t, configured(t, t.TempDir(), c.lines), wire.Options{})
			if err := conn.Auth(ctx, c.scheme, c.credential); !errors.Is(err, c.auth) {
				t.Fatalf("%s %s: %v, want %v", c.scheme, c.credential, err, c.auth)
			}
			if c.auth != nil {
				return
			}
			_, err := conn.Call(ctx, proto.OpCreate, &proto.CreateRequest{Path: "/n", ACL: mine}, nil)
			if !errors.Is(err, c.write) {
				t.Fatalf("create = %v, want %v", err, c.write)
			}
			if errors.Is(err, proto.SessionClosedRequireSasl) {
				if err := conn.Broken(); !errors.Is(err, io.EOF) {
					t.Fatalf("afterwards: %v", err)
				}
			}
			if err != nil {
				return
			}
			acl, _, err := conn.GetACL(ctx, "/n")
			if err != nil || len(acl) != 1 || acl[0].ID != (proto.ID{Scheme: "digest", ID: c.id}) {
				t.Fatalf("the list is %v, %v; want %s", acl, err, c.id)
			}
		})
	}
}

// TestListsWithoutTheSchemeDigest: none may name it any more, and one that does grants nothing by it.
func TestListsWithoutTheSchemeDigest(t *testing.T) {
	dir := t.TempDir()
	s := configured(t, dir, "DigestAuthenticationProvider.enabled=true")
	c := dial(t, s, wire.Options{})
	makeMine(t, c)
	if err := errors.Join(c.Auth(t.Context(), "digest", "user:password"), errors.Join(everything(t, c)...)); err != nil {
		t.Fatal(err)
	}
	closeServer(t, s)
	c = dial(t, configured(t, dir, "DigestAuthenticationProvider.enabled=false"), wire.Options{})
	if _, _, err := c.Get(t.Context(), "/mine", false); !errors.Is(err, proto.NoAuth) {
		t.Errorf("what is somebody's: %v", err)
	}
	if _, err := c.Call(t.Context(), proto.OpCreate, &proto.CreateRequest{Path: "/n", ACL: somebodys}, nil); !errors.Is(err, proto.InvalidACL) {
		t.Errorf("a new list: %v", err)
	}
}

// TestEnforcedOnEveryRequest: who has not authenticated gets one answer, whatever is asked, and the session stays.
func TestEnforcedOnEveryRequest(t *testing.T) {
	s, ctx := configured(t, t.TempDir(), "enforce.auth.enabled=true\nenforce.auth.schemes=digest"), t.Context()
	for _, op := range []proto.Op{proto.OpPing, proto.OpGetData, proto.OpCreate, proto.OpMulti, proto.OpCloseSession, proto.OpCheck, 77} {
		c := dial(t, s, wire.Options{})
		if z, err := c.Call(ctx, op, nil, nil); !errors.Is(err, proto.SessionClosedRequireSasl) || z != 0 {
			t.Errorf("%v = %v at %v", op, err, z)
		}
		back := dial(t, s, wire.Options{SessionID: c.SessionID, Password: c.Password})
		if err := errors.Join(back.Auth(ctx, "digest", "u:p"), back.Ping(ctx)); err != nil {
			t.Errorf("after %v the session is gone: %v", op, err)
		}
	}
}

// TestEagerACLCheck: a follower refuses what its ACLs forbid without a txn, and leaves all else to the leader. A write
// behind another of its session is the leader's in any case. A server alone asks nobody, and so does not begin before.
func TestEagerACLCheck(t *testing.T) {
	enforce := configOf(t, "dataDir=/d\nenableEagerACLCheck=true")
	h := newHosts(t, 3, 0)
	h.tune = func(c *config.Config) { c.EagerACLCheck = enforce.EagerACLCheck }
	h.start(1, 2, 3)
	follower := 1 + h.awaitLeader(1, 2, 3)%3
	for name, c := range map[string]*wire.Conn{
		"follower": h.connect(follower, wire.Options{}),
		"alone":    dial(t, configured(t, t.TempDir(), "enableEagerACLCheck=true"), wire.Options{}),
	} {
		ctx := t.Context()
		closed := []proto.ACL{{Perms: proto.PermRead, ID: proto.ID{Scheme: "world", ID: "anyone"}}}
		made, err := c.Call(ctx, proto.OpCreate, &proto.CreateRequest{Path: "/closed", ACL: closed}, nil)
		if err != nil {
			t.Fatal(err)
		}
		early := func(want proto.Zxid) proto.Zxid {
			if name == "alone" {
				made++
				return made
			}
			return want
		}
		for _, q := range []struct {
			what string
			op   proto.Op
			req  wire.Record
			want error
		}{
			{"create below", proto.OpCreate, &proto.CreateRequest{Path: "/closed/n", ACL: closed}, proto.NoAuth},
			{"create2 below", proto.OpCreate2, &proto.CreateRequest{Path: "/closed/n", ACL: closed}, proto.NoAuth},
			{"delete below", proto.OpDelete, &proto.VersionRequest{Path: "/closed/n", Version: -1}, proto.NoAuth},
			{"set", proto.OpSetData, &proto.SetDataRequest{Path: "/closed", Version: -1}, proto.NoAuth},
			{"setACL", proto.OpSetACL, &proto.SetACLRequest{Path: "/closed", ACL: closed, Version: -1}, proto.NoAuth},
			{"a list of nobody", proto.OpCreate, &proto.CreateRequest{Path: "/free", ACL: []proto.ACL{{Perms: 1, ID: proto.ID{Scheme: "auth"}}}}, proto.InvalidACL},
		} {
			z, err := c.Call(ctx, q.op, q.req, nil)
			if want := early(0); !errors.Is(err, q.want) || z != want {
				t.Errorf("%s: %s = %v at %v, want %v at %v", name, q.what, err, z, q.want, want)
			}
		}
		for _, q := range []struct {
			what string
			op   proto.Op
			req  wire.Record
			want error
		}{
			{"a container below", proto.OpCreateContainer, &proto.CreateRequest{Path: "/closed/n", ACL: closed, Flags: proto.FlagContainer}, proto.NoAuth},
			{"no parent", proto.OpCreate, &proto.CreateRequest{Path: "/none/n", ACL: closed}, proto.NoNode},
			{"what cannot go", proto.OpDelete, &proto.VersionRequest{Path: "/zookeeper", Version: -1}, proto.BadArguments},
			{"no node", proto.OpSetData, &proto.SetDataRequest{Path: "/none", Version: -1}, proto.NoNode},
			{"a free place", proto.OpCreate, &proto.CreateRequest{Path: "/free", ACL: closed}, nil},
		} {
			made++
			if z, err := c.Call(ctx, q.op, q.req, nil); !errors.Is(err, q.want) || z != made {
				t.Errorf("%s: %s = %v at %v, want %v at %v", name, q.what, err, z, q.want, made)
			}
		}
		first := c.Go(proto.OpCreate, &proto.CreateRequest{Path: "/first", ACL: closed}, nil)
		second := c.Go(proto.OpSetData, &proto.SetDataRequest{Path: "/closed", Version: -1}, nil)
		if z, err := c.Wait(ctx, first); err != nil || z != made+1 {
			t.Errorf("%s: the first of two = %v at %v", name, err, z)
		}
		if _, err := c.Wait(ctx, second); !errors.Is(err, proto.NoAuth) {
			t.Errorf("%s: the second of two = %v", name, err)
		}
	}
}

// somebodys is a list that leaves everything to one user.
var somebodys = []proto.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "digest", ID: "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY="}}}

// everything does all that an ACL can forbid, to a node /mine that is somebody's, and returns what it was told.
func everything(t *testing.T, c *wire.Conn) (out []error) {
	t.Helper()
	ctx := t.Context()
	_, _, getErr := c.Get(ctx, "/mine", true)
	_, setErr := c.Set(ctx, "/mine", nil, -1)
	_, createErr := c.Create(ctx, "/mine/child", nil, 0)
	acl, _, aclErr := c.GetACL(ctx, "/mine")
	if aclErr == nil && !slices.Equal(acl, somebodys) {
		t.Errorf("getACL shows %v", acl)
	}
	results, multiErr := c.Multi(ctx, proto.MultiOp{Type: proto.OpCheck, Path: "/mine", Version: -1})
	if multiErr == nil && len(results) == 1 && results[0].Err != proto.OK {
		multiErr = results[0].Err
	}
	deleteErr := c.Delete(ctx, "/mine/child", -1)
	_, setACLErr := c.SetACL(ctx, "/mine", somebodys, -1)
	return []error{getErr, setErr, createErr, aclErr, multiErr, deleteErr, setACLErr}
}

// makeMine makes the node.
func makeMine(t *testing.T, c *wire.Conn) {
	t.Helper()
	if _, err := c.Call(t.Context(), proto.OpCreate, &proto.CreateRequest{Path: "/mine", ACL: somebodys}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestSuperUser: who knows the password of superDigest may do everything, and sees lists as they are.
func TestSuperUser(t *testing.T) {
	s := configured(t, t.TempDir(), "DigestAuthenticationProvider.superDigest=super:gG7s8t3oDEtIqF6DM9LlI/R+9Ss=")
	owner, super, other := dial(t, s, wire.Options{}), dial(t, s, wire.Options{}), dial(t, s, wire.Options{})
	makeMine(t, owner)
	if err := errors.Join(super.Auth(t.Context(), "digest", "super:super"), other.Auth(t.Context(), "digest", "super:wrong")); err != nil {
		t.Fatal(err)
	}
	for i, err := range everything(t, other) {
		if !errors.Is(err, proto.NoAuth) {
			t.Errorf("another user, %d: %v", i, err)
		}
	}
	if err := errors.Join(everything(t, super)...); err != nil {
		t.Error(err)
	}
}

// TestSkipACL: everybody may do everything, and is told of it; a list must still be one.
func TestSkipACL(t *testing.T) {
	told := make(chan string, 16)
	s := configured(t, t.TempDir(), "skipACL=yes")
	c := dial(t, s, wire.Options{Event: func(e proto.WatcherEvent, _ proto.Zxid) { told <- e.Path }})
	makeMine(t, c)
	if err := errors.Join(everything(t, c)...); err != nil {
		t.Error(err)
	}
	if path := <-told; path != "/mine" {
		t.Errorf("told of %s", path)
	}
	if _, err := c.Call(t.Context(), proto.OpCreate, &proto.CreateRequest{Path: "/n"}, nil); !errors.Is(err, proto.InvalidACL) {
		t.Errorf("no list: %v", err)
	}
}

// TestSASLIsAnsweredByNoToken, as where ZooKeeper is not set up for it: a client then goes on without. What is no token ends
// the connection.
func TestSASLIsAnsweredByNoToken(t *testing.T) {
	s := configured(t, t.TempDir(), "")
	c := dial(t, s, wire.Options{})
	for _, token := range []string{"", "some token"} {
		reply := proto.TokenRecord{Token: []byte("none yet")}
		if _, err := c.Call(t.Context(), proto.OpSasl, &proto.TokenRecord{Token: []byte(token)}, &reply); err != nil || len(reply.Token) > 0 {
			t.Errorf("%q is answered by %q, %v", token, reply.Token, err)
		}
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Call(t.Context(), proto.OpSasl, &proto.TokenRecord{}, nil); !errors.Is(err, io.EOF) {
		t.Errorf("no token: %v", err)
	}
}
