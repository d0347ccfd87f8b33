//go:build interop

package interop

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// story is one run of a script against one server: a line for each request with its answer.
type story struct {
	t     *testing.T
	s     *server
	known []int64
	lines []string
}

func (y *story) dial() *probe { return dialProbe(y.t, y.s, &y.known) }

func (y *story) tell(request, answer string) {
	y.lines = append(y.lines, fmt.Sprintf("%-50s -> %s", request, answer))
}

// session opens a connection with a new session.
func (y *story) session(timeout int32) *probe {
	p := y.dial()
	y.tell(fmt.Sprintf("connect, timeout %d", timeout), p.handshake(proto.ConnectRequest{Timeout: timeout, HasReadOnly: true}))
	return p
}

func (y *story) do(p *probe, op proto.Op, body record) {
	request := op.String()
	if body != nil {
		request += " " + strings.TrimPrefix(fmt.Sprintf("%+v", body), "&")
	}
	y.tell(fmt.Sprintf("%.160s", request), p.call(op, body))
}

// The requests of a story, short enough for a table.
type request struct {
	op   proto.Op
	body record
}

func create(path, data string, flags int32, acl ...proto.ACL) request {
	if acl == nil {
		acl = proto.WorldAll()
	}
	return request{proto.OpCreate, &proto.CreateRequest{Path: path, Data: []byte(data), ACL: acl, Flags: flags}}
}

func create2(path, data string, flags int32) request {
	return request{proto.OpCreate2, create(path, data, flags).body}
}

func createContainer(path string, data []byte) request {
	return request{proto.OpCreateContainer, &proto.CreateRequest{Path: path, Data: data, ACL: proto.WorldAll(), Flags: proto.FlagContainer}}
}

func createTTL(path string, data []byte, flags int32, ttl int64) request {
	return request{proto.OpCreateTTL, &proto.CreateTTLRequest{Path: path, Data: data, ACL: proto.WorldAll(), Flags: flags, TTL: ttl}}
}

func remove(path string, version int32) request {
	return request{proto.OpDelete, &proto.VersionRequest{Path: path, Version: version}}
}

func set(path, data string, version int32) request {
	return request{proto.OpSetData, &proto.SetDataRequest{Path: path, Data: []byte(data), Version: version}}
}

func setACL(path string, version int32, acl ...proto.ACL) request {
	return request{proto.OpSetACL, &proto.SetACLRequest{Path: path, Version: version, ACL: acl}}
}

func getACL(path string) request { return request{proto.OpGetACL, &proto.PathRequest{Path: path}} }

func get(path string) request { return read(proto.OpGetData, path, false) }

func exists(path string) request { return read(proto.OpExists, path, false) }

func children2(path string) request { return read(proto.OpGetChildren2, path, false) }

func read(op proto.Op, path string, watch bool) request {
	return request{op, &proto.ReadRequest{Path: path, Watch: watch}}
}

func multi(ops ...proto.MultiOp) request {
	return request{proto.OpMulti, &proto.MultiRequest{Ops: ops}}
}

func auth(scheme, data string) request {
	return request{proto.OpAuth, &proto.AuthRequest{Scheme: scheme, Auth: []byte(data)}}
}

func syncPath(path string) request { return request{proto.OpSync, &proto.PathRequest{Path: path}} }

func (y *story) all(p *probe, requests ...request) {
	for _, r := range requests {
		y.do(p, r.op, r.body)
	}
}

func (y *story) shake(r proto.ConnectRequest) {
	y.tell(fmt.Sprintf("connect %+v", r), y.dial().handshake(r))
}

// cut is the record without its last n bytes.
func cut(r request, n int) request {
	b := r.body.AppendTo(nil)
	return request{r.op, raw(b[:len(b)-n])}
}

func (y *story) handshakes() {
	for _, timeout := range []int32{-5, 0, 1, 1999, 2000, 2001, 20000, 20001, 1 << 30} {
		y.session(timeout)
	}
	y.shake(proto.ConnectRequest{ProtocolVersion: 77, Timeout: 5000, Password: []byte("short")})
	y.shake(proto.ConnectRequest{Timeout: 5000, LastZxidSeen: 1 << 40, HasReadOnly: true})
	y.shake(proto.ConnectRequest{Timeout: 5000, SessionID: 0x1234567, Password: make([]byte, 16), HasReadOnly: true})
	y.shake(proto.ConnectRequest{Timeout: 5000, HasReadOnly: true, ReadOnly: true})
	for _, frame := range []string{"\xff\xff\xff\xff", "\x00\x10\x00\x00", "\x00\x00\x00\x00", "\x7f\xff\xff\xff", "\x00\x00\x00\x04abcd"} {
		p := y.dial()
		if _, err := io.WriteString(p.conn, frame); err != nil {
			y.t.Fatal(err)
		}
		_, err := p.read()
		y.tell(fmt.Sprintf("first bytes %q", frame), closed(err))
	}
	p := y.session(5000)
	y.all(p, create("/attached", "", 1))
	again := y.dial()
	y.tell("reattach", again.handshake(proto.ConnectRequest{Timeout: 7000, SessionID: p.session, Password: p.password, HasReadOnly: true}))
	y.all(p, exists("/attached")) // closed by the new connection
	y.all(again, exists("/attached"))
	y.tell("wrong password", y.dial().handshake(proto.ConnectRequest{Timeout: 7000, SessionID: p.session, Password: make([]byte, 16), HasReadOnly: true}))
	y.all(again, exists("/attached"))
	third := y.dial()
	y.tell("reattach", third.handshake(proto.ConnectRequest{Timeout: 7000, SessionID: p.session, Password: p.password}))
	y.all(third, request{proto.OpCloseSession, nil})
	y.tell("after close", third.answer())
	y.tell("closed session", y.dial().handshake(proto.ConnectRequest{Timeout: 7000, SessionID: p.session, Password: p.password, HasReadOnly: true}))
}

func (y *story) nodes() {
	p := y.session(10000)
	y.all(p,
		create("/n", "data", 0), get("/n"), create2("/n/p", "x", 0), create2("/n/e", "x", 1), create2("/n/s-", "x", 2),
		create2("/n/es-", "x", 3), create("/n/s-", "x", 2), children2("/n"), read(proto.OpGetChildren, "/n", false), exists("/n"),
		remove("/n/s-0000000002", -1), create("/n/s-", "", 2), create("/n/", "", 2), exists("/n"), set("/n", "", 0), set("/n", "y", -1),
		set("/n", "y", 7), set("/none", "", -1), get("/none"), exists("/none"), children2("/none"), remove("/none", -1),
		remove("/n", -1), remove("/n/p", 3), remove("/n/p", 0), create("/n/e/x", "", 0), create("/n/e/s", "", 2), create("/n/e", "", 0),
		create("/none/x", "", 0), get("/"), children2("/"), exists("/zookeeper"), children2("/zookeeper"), get("/zookeeper/quota"),
		create("/", "", 0), create("", "", 0), create("c", "", 0), create("/c/", "", 0), create("/c//d", "", 0), create("//c", "", 0),
		create("/n/.", "", 0), create("/n/..", "", 0), create("/n/.x", "", 0), create("/n/a\x00b", "", 0), create("/n/a\x01b", "", 0),
		create("/n/\u00e9\u4e16", "", 0), create("/n/\U0001F600", "", 0), create("/n/\ue000", "", 0), create("/n/\ufff0", "", 0),
		create("/n/x", "", 7), create("/n/x", "", -1), create("/n/x", "", 5), create("/n/x", "", 6),
		remove("/", -1), remove("", -1), remove("c", -1), remove("/zookeeper", -1), remove("/zookeeper/quota", -1), remove("/zookeeper/config", -1),
		remove("/n/", -1), remove("/zookeeper/none", -1), create("/zookeeper/mine", "", 0), remove("/zookeeper/mine", -1),
		set("", "", -1), set("/n/", "", -1), set("n", "", -1), set("/", "root", -1), get("/"), set("/zookeeper", "z", 0), get(""), exists(""),
		exists("c"), get("c"), get("/n/"), exists("/n/"), exists("/a\x00"), children2("/n/"), children2(""), getACL("/n/"), getACL(""),
		create("/", "", 2), create("/s", "", 2), create("/n/s/", "", 0), set("/n\x00", "", -1), remove("/n\x00", -1),
	)
	null := &proto.CreateRequest{Path: "/null", ACL: proto.WorldAll()}
	y.all(p, request{proto.OpCreate, null}, get("/null"), request{proto.OpSetData, &proto.SetDataRequest{Path: "/null", Version: -1}}, get("/null"),
		syncPath("/n"), syncPath("no path"), syncPath(""), request{proto.OpSync, raw(jute.AppendNullString(nil))}, request{proto.OpPing, nil})
}

func (y *story) acls() {
	p, q := y.session(10000), y.session(10000)
	digest := func(perm proto.Perm, id string) proto.ACL {
		return proto.ACL{Perms: perm, ID: proto.ID{Scheme: "digest", ID: id}}
	}
	world := func(perm proto.Perm) proto.ACL {
		return proto.ACL{Perms: perm, ID: proto.ID{Scheme: "world", ID: "anyone"}}
	}
	of := func(scheme, id string) proto.ACL {
		return proto.ACL{Perms: proto.PermAll, ID: proto.ID{Scheme: scheme, ID: id}}
	}
	for i, acl := range [][]proto.ACL{
		{},
		{of("auth", "")},
		{of("world", "me")},
		{of("digest", "a")},
		{of("digest", "a:")},
		{of("digest", ":b")},
		{of("digest", "a:b:c")},
		{of("digest", "a:b:")},
		{of("digest", "a:b")},
		{of("ip", "127.0.0.1")},
		{of("ip", "127.0.0.1/8")},
		{of("ip", "127.0.0.1/33")},
		{of("ip", "127.0.0.1/")},
		{of("ip", "127.1")},
		{of("ip", "name")},
		{of("nobody", "x")},
		{of("", "")},
		{world(0)},
		{world(1), world(1), world(31)},
		{world(-1)},
		{world(64)},
		{of("world", "anyone"), of("auth", "x")},
		{of("super", "")},
		{of("ip", "10.0.0.0/8")},
		{of("ip", "256.0.0.1")},
	} {
		path := fmt.Sprintf("/acl%d", i)
		y.do(p, proto.OpCreate, &proto.CreateRequest{Path: path, ACL: acl})
		y.all(p, getACL(path), get(path), setACL("/zookeeper/quota", -1, acl...))
	}
	y.do(p, proto.OpCreate, &proto.CreateRequest{Path: "/nullacl"})
	y.all(p,
		auth("digest", "u:pw"), create("/u", "x", 0, of("auth", "")), getACL("/u"), auth("digest", "v:pw"), create("/uv", "x", 0, of("auth", "any")),
		getACL("/uv"), auth("ip", ""), auth("digest", "nocolon"), auth("digest", ""), create("/more", "", 0, of("auth", ""), world(1)), getACL("/more"),
	)
	y.all(q, get("/u"), set("/u", "", -1), create("/u/c", "", 0), children2("/u"), getACL("/u"), setACL("/u", -1, world(31)), remove("/u", 9),
		getACL("/more"), get("/more"), set("/more", "", -1), auth("digest", "u:wrong"), get("/u"), auth("digest", "u:pw"), get("/u"),
		setACL("/u", 3, world(1)), setACL("/u", 0, digest(16, "u:x"), world(1)), getACL("/u"), setACL("/u", -1, world(1)), setACL("/none", -1, world(1)), setACL("/u/", -1, world(1)),
		setACL("/more", -1), setACL("/more", 0, world(31)), exists("/more"))
	// Deleting asks the parent; the order of the checks shows in the code.
	y.all(p, create("/closed", "", 0), create("/closed/c", "", 0, world(0)), set("/closed/c", "", 9), setACL("/closed", -1, world(1)), remove("/closed/c", -1),
		remove("/closed/none", -1), create("/closed/c", "", 0), create("/closed/x", "", 0), multi(proto.MultiOp{Type: proto.OpCheck, Path: "/closed/c", Version: 0}))
	r := y.session(10000)
	y.all(r, auth("nobody", "x"))
	y.tell("after auth with an unknown scheme", r.answer())
	r = y.session(10000)
	y.all(r, auth("world", "anyone"))
	y.tell("after auth as world", r.answer())
}

func (y *story) multis() {
	p := y.session(10000)
	op := func(typ proto.Op, path string) proto.MultiOp {
		return proto.MultiOp{Type: typ, Path: path, Version: -1, ACL: proto.WorldAll()}
	}
	flagged := func(path string, flags int32) proto.MultiOp {
		return proto.MultiOp{Type: proto.OpCreate, Path: path, Flags: flags, ACL: proto.WorldAll()}
	}
	version := func(typ proto.Op, path string, v int32) proto.MultiOp {
		return proto.MultiOp{Type: typ, Path: path, Version: v}
	}
	const c, d, s, k = proto.OpCreate, proto.OpDelete, proto.OpSetData, proto.OpCheck
	y.all(p,
		multi(), multi(op(c, "/m")), multi(op(c, "/m/a"), op(c, "/m/a/b"), op(s, "/m/a"), op(k, "/m/a"), version(k, "/m/a", 1), op(d, "/m/a/b")),
		children2("/m"), exists("/m/a"), multi(op(d, "/m/a"), op(c, "/m/a"), op(d, "/m/a"), op(c, "/m/a")), exists("/m/a"), exists("/m"),
		multi(flagged("/m/s-", 2), flagged("/m/s-", 2), flagged("/m/e", 1), flagged("/m/es-", 3)), children2("/m"),
		multi(op(c, "/m/x"), op(k, "/none"), op(c, "/m/y")), exists("/m/x"), multi(version(k, "/m", 4), op(c, "/m/x")), multi(op(d, "/m")),
		multi(op(c, "/m/x"), op(c, "/m/x")), multi(op(s, "/m/x")), multi(op(c, "/m/e/x")), multi(flagged("/m/q", 1), op(c, "/m/q/x")), multi(op(c, "bad")), multi(op(c, "")),
		multi(op(d, "/")), multi(proto.MultiOp{Type: c, Path: "/m/n"}), multi(op(proto.OpGetData, "/m")), multi(op(c, "/m/r"), op(proto.OpGetData, "/m")),
		request{proto.OpMulti, raw("\x00\x00\x00\x01")}, request{proto.OpMulti, raw("\x00\x00\x00\x63\x00\xff\xff\xff\xff")}, request{proto.OpMulti, raw(nil)}, cut(multi(op(c, "/m/z")), 9),
		children2("/m"), get("/m"), read(proto.OpGetChildren, "/m", false),
	)
	y.all(p, multi(op(s, "/m"), op(s, "/m"), op(s, "/m")), get("/m"), multi(op(k, "/m"), op(s, "/m"), version(s, "/m", 3)), get("/m"))
}

func (y *story) malformed() {
	p := y.session(10000)
	for _, r := range []request{
		create("/bad", "data", 0), create2("/bad", "data", 0), remove("/bad", 0), set("/bad", "data", 0), setACL("/bad", 0, proto.WorldAll()...),
		get("/bad"), exists("/bad"), children2("/bad"), getACL("/bad"), read(proto.OpGetChildren, "/bad", false),
	} {
		y.all(p, cut(r, 1), request{r.op, raw(nil)}, request{r.op, raw("\x7f\xff\xff\xff")}, request{r.op, raw("\xff\xff\xff\xfe")})
	}
	long := append(create("/long", "", 0).body.AppendTo(nil), "more"...)
	y.all(p, request{proto.OpCreate, raw(long)}, exists("/long"), request{proto.OpPing, raw("more")}, cut(syncPath("/x"), 1))
	for _, op := range []proto.Op{proto.OpNotification, proto.OpError, 10, 99, 4711, -12} {
		q := y.session(10000)
		y.do(q, op, nil)
		y.tell("after an unknown op", q.answer())
		again := y.dial()
		y.tell("reattach", again.handshake(proto.ConnectRequest{Timeout: 7000, SessionID: q.session, Password: q.password, HasReadOnly: true}))
		y.all(again, exists("/"))
	}
	for _, frame := range []string{"", "\x00\x00\x00\x09", "\x00\x00\x00\x09\x00\x00\x00"} {
		q := y.session(10000)
		if err := q.write([]byte(frame)); err != nil {
			y.t.Fatal(err)
		}
		y.tell(fmt.Sprintf("frame %q", frame), q.answer())
	}
	q := y.session(10000)
	y.do(q, proto.OpAuth, raw("\x00"))
	y.tell("after an undecodable auth", q.answer())
}

func (y *story) watches() {
	p, q := y.session(10000), y.session(10000)
	w := func(op proto.Op, path string) request { return read(op, path, true) }
	const e, g, k = proto.OpExists, proto.OpGetData, proto.OpGetChildren
	ping := request{proto.OpPing, nil}
	both := func(r request) {
		y.all(p, r)
		y.all(q, ping)
	}
	arm := func(requests ...request) {
		y.all(p, requests...)
		y.all(q, requests...)
	}
	arm(w(e, "/w"), w(g, "/w"), w(k, "/w"), w(k, "/"))
	both(create("/w", "", 0))
	both(set("/w", "x", -1))
	arm(w(e, "/w"), w(g, "/w"), w(k, "/w"), w(proto.OpGetChildren2, "/w"))
	both(set("/w", "x", -1))
	both(create("/w/c", "", 1))
	arm(w(g, "/w/c"), w(e, "/w/c"), w(k, "/w/c"), w(k, "/w"))
	both(remove("/w/c", -1))
	arm(w(e, "/w"), w(k, "/w"))
	both(setACL("/w", -1, proto.WorldAll()...))
	both(get("/w"))
	both(multi(proto.MultiOp{Type: proto.OpCreate, Path: "/w/m", ACL: proto.WorldAll()}, proto.MultiOp{Type: proto.OpSetData, Path: "/w", Version: -1},
		proto.MultiOp{Type: proto.OpDelete, Path: "/w/m", Version: -1}, proto.MultiOp{Type: proto.OpDelete, Path: "/w", Version: -1}))
	both(create("/w", "", 0))
	both(create("/w/e", "", 1))
	arm(w(e, "/w/e"), w(k, "/w"), w(e, "/w/never"), w(g, "/w/never"), w(k, "/w/never"), w(e, "c"), w(e, "/w/"))
	y.do(p, proto.OpCloseSession, nil)
	y.all(q, ping, children2("/w"))
	// Replay: what was changed behind the given zxid is told at once, the rest is armed.
	base := q.last
	y.all(q, create("/r", "", 0), create("/r/c", "", 0), create("/still", "", 0))
	mid := q.last
	y.all(q, set("/r", "", -1), remove("/r/c", -1))
	for _, z := range []proto.Zxid{base, mid, q.last} {
		r := y.session(10000)
		y.do(r, proto.OpSetWatches, &proto.SetWatchesRequest{
			RelativeZxid: z, Data: []string{"/r", "/still", "/gone"}, Exist: []string{"/r", "/absent"}, Child: []string{"/r", "/still", "/gone"},
		})
		y.all(r, ping, set("/still", "", -1), create("/absent", "", 0), create("/still/c", "", 0), remove("/absent", -1), remove("/still/c", -1), ping)
	}
	// Events of nodes that one may not read.
	y.all(q, w(e, "/secret"), create("/secret", "", 0, proto.ACL{Perms: 14, ID: proto.ID{Scheme: "world", ID: "anyone"}}), ping)
	r := y.session(10000)
	y.all(r, w(e, "/shut"), w(k, "/"))
	y.all(q, create("/shut", "", 0), setACL("/shut", -1, proto.ACL{Perms: 16, ID: proto.ID{Scheme: "world", ID: "anyone"}}))
	y.all(r, ping)
	y.all(q, remove("/shut", -1))
	y.all(r, ping)
}

// pipelined sends requests without waiting: those of one session take effect and are answered in order, and checks see
// writes that are still on their way.
func (y *story) pipelined() {
	p := y.session(10000)
	p.withZxid = false // of reads: the last one applied, which depends on how far the server has come
	requests := []request{
		create("/q", "", 0), exists("/q"), create("/q/s-", "", 2), create("/q/s-", "", 2), children2("/q"), remove("/q", -1), set("/q", "1", 0), set("/q", "2", 0), set("/q", "2", 1),
		get("/q"), remove("/q/s-0000000000", -1), remove("/q/s-0000000001", -1), read(proto.OpExists, "/q", true), remove("/q", -1), exists("/q"), create("/q", "again", 1), create("/q/x", "", 0),
		get("/q"), multi(proto.MultiOp{Type: proto.OpDelete, Path: "/q", Version: -1}, proto.MultiOp{Type: proto.OpCheck, Path: "/none"}), create("/q", "", 0), remove("/q", -1), get("/q"), syncPath("/q"),
	}
	for _, r := range requests {
		p.submit(r.op, r.body)
	}
	p.submit(proto.OpCloseSession, nil)
	for _, r := range requests {
		y.tell(fmt.Sprintf("pipelined %.100s", fmt.Sprint(r.op, fmt.Sprintf("%+v", r.body))), p.answer())
	}
	y.tell("closeSession", p.answer())
	y.tell("after closeSession", p.answer())
}

func TestSameAsJava(t *testing.T) {
	for _, chapter := range []struct {
		name string
		play func(y *story)
	}{
		{"handshakes", (*story).handshakes},
		{"nodes", (*story).nodes},
		{"acls", (*story).acls},
		{"multis", (*story).multis},
		{"malformed", (*story).malformed},
		{"watches", (*story).watches},
		{"persistent watches", (*story).persistent},
		{"reads", (*story).reads},
		{"transients", (*story).transients},
		{"quotas", (*story).quotas},
		{"pipelined", (*story).pipelined},
	} {
		t.Run(chapter.name, func(t *testing.T) {
			t.Parallel()
			ours, java := &story{t: t, s: serve(t, underTest)}, &story{t: t, s: serve(t, javaKind{})}
			chapter.play(ours)
			chapter.play(java)
			compare(t, ours.lines, java.lines)
		})
	}
}

// compare reports every line that differs.
func compare(t *testing.T, ours, java []string) {
	t.Helper()
	for i := range max(len(ours), len(java)) {
		switch {
		case i >= len(ours) || i >= len(java):
			t.Fatalf("%d lines, Java has %d", len(ours), len(java))
		case ours[i] != java[i]:
			t.Errorf("line %d\n got: %s\njava: %s", i+1, ours[i], java[i])
		}
	}
	t.Logf("%d answers compared", len(ours))
}
