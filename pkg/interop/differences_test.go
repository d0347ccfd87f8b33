//go:build interop

package interop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// sides are the answers of the two servers to one request.
type sides struct{ ask, zabd, java string }

// A departure is a way in which ZooKeeper 3.9.5 differs from 3.8.0. Its script tells where zabd does; if nowhere, zabd does
// here what 3.8.0 does.
type departure struct {
	name string
	play func(y *departing) []sides
}

// departing is the story of one departure, below a root of its own.
type departing struct {
	*story
	root string
	base proto.Zxid // zxids are told as steps from there
}

func newDeparting(t *testing.T, s *server, root string) *departing {
	y := &departing{story: &story{t: t, s: s}, root: root}
	p := y.client()
	p.withZxid = false
	y.ask(p, "root", create(root, "", 0))
	y.base = p.last
	return y
}

// client is a connection with a session, which takes a zxid.
func (y *departing) client() *probe {
	p := y.session(10000)
	p.base, p.eventZxid = y.base, true
	return p
}

func (y *departing) ask(p *probe, name string, r request) { y.tell(name, p.call(r.op, r.body)) }

// tell writes a line by the name of the request.
func (y *departing) tell(name, answer string) {
	y.lines = append(y.lines, name+" -> "+strings.ReplaceAll(answer, y.root, "~"))
}

// twice sends a request and a ping, and tells the first two answers.
func (y *departing) twice(p *probe, name string, r request) {
	p.submit(r.op, r.body)
	p.submit(proto.OpPing, nil)
	p.submit(proto.OpPing, nil)
	y.tell(name, p.answer())
	y.tell(name+", then", p.answer())
}

// logged tells the types of what has been logged behind the base.
func (y *departing) logged() {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(y.s.cfg), "log", "version-2", "log.*"))
	if err != nil || len(files) == 0 {
		y.t.Fatal("no log", err)
	}
	slices.SortFunc(files, func(a, b string) int {
		x, _ := txnlog.ParseName(filepath.Base(a))
		z, _ := txnlog.ParseName(filepath.Base(b))
		return int(x - z)
	})
	var types []string
	for _, file := range files {
		r, err := txnlog.Open(vfs.Disk(), file, txnlog.DefaultMaxRecord)
		if err != nil {
			y.t.Fatal(err)
		}
		var x txn.Txn
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				err = x.Decode(e.Bytes)
			}
			if err != nil {
				y.t.Fatal(err)
			}
			if x.Zxid <= y.base || x.Header.Type == proto.OpCreateSession {
				continue
			}
			what := x.Header.Type.String()
			for _, s := range x.Subs {
				what += " " + s.Type.String()
			}
			types = append(types, what)
		}
		_ = r.Close()
	}
	y.tell("logged", strings.Join(types, ", "))
}

func multiOf(op proto.Op, path string, flags int32) request {
	return multi(proto.MultiOp{Type: op, Path: path, Flags: flags, ACL: proto.WorldAll()})
}

func anyone(perms proto.Perm) proto.ACL {
	return proto.ACL{Perms: perms, ID: proto.ID{Scheme: "world", ID: "anyone"}}
}

var ping = request{proto.OpPing, nil}

func (y *departing) eventZxid() []sides {
	p, q := y.client(), y.client()
	y.ask(p, "watch", read(proto.OpExists, y.root+"/n", true))
	y.ask(q, "create", create(y.root+"/n", "", 0))
	y.ask(p, "created", ping)
	y.ask(p, "watch", read(proto.OpGetData, y.root+"/n", true))
	y.ask(p, "watch children", read(proto.OpGetChildren, y.root, true))
	y.ask(q, "multi", multi(proto.MultiOp{Type: proto.OpSetData, Path: y.root + "/n", Version: -1}, proto.MultiOp{Type: proto.OpDelete, Path: y.root + "/n", Version: -1}))
	y.ask(p, "by a multi", ping)
	y.ask(p, "replay", request{proto.OpSetWatches, &proto.SetWatchesRequest{RelativeZxid: y.base, Data: []string{y.root + "/n"}, Exist: []string{}, Child: []string{}}})
	return []sides{
		{"created", "event 1 state 3 ~/n zxid 0x3; err 0 zxid 0x3", "event 1 state 3 ~/n zxid -0x1; err 0 zxid 0x3"},
		{"by a multi", "event 3 state 3 ~/n zxid 0x4; event 4 state 3 ~ zxid 0x4; err 0 zxid 0x4", "event 3 state 3 ~/n zxid -0x1; event 4 state 3 ~ zxid -0x1; err 0 zxid 0x4"},
	}
}

func (y *departing) eventReadFilter() []sides {
	p, q := y.client(), y.client()
	y.ask(p, "watch", read(proto.OpExists, y.root+"/shut", true))
	y.ask(q, "create", create(y.root+"/shut", "", 0, anyone(proto.PermAll&^proto.PermRead)))
	y.ask(p, "nothing", ping)
	y.ask(q, "delete", remove(y.root+"/shut", -1))
	y.ask(p, "and nothing later", ping)
	return nil
}

func (y *departing) existsRead() []sides {
	p, shut := y.client(), y.root+"/shut"
	y.ask(p, "create", create(shut, "", 0, anyone(proto.PermAll&^proto.PermRead)))
	y.ask(p, "exists", read(proto.OpExists, shut, true))
	y.ask(p, "watched", checkWatches(shut, 3))
	y.ask(p, "missing", read(proto.OpExists, y.root+"/none", true))
	return []sides{
		{"exists", "err -102 zxid 0x2", "err 0 zxid 0x2 {c 0x2 m 0x2 p 0x2 version 0 0 0 owner none length 0 children 0}"},
		{"watched", "err -121 zxid 0x2", "err 0 zxid 0x2"},
	}
}

func (y *departing) checkAlone() []sides {
	check := func(path string, version int32) request {
		return request{proto.OpCheck, &proto.VersionRequest{Path: path, Version: version}}
	}
	y.twice(y.client(), "missing", check(y.root+"/none", 0))
	y.twice(y.client(), "wrong", check(y.root, 7))
	p := y.client()
	y.twice(p, "right", check(y.root, 0))
	q := y.again(p)
	q.base = y.base
	y.ask(q, "afterwards", exists(y.root))
	y.logged()
	return []sides{
		{"missing", "err -6 zxid -0x1", "err -101 zxid 0x2"},
		{"missing, then", "closed", "err 0 zxid 0x2"},
		{"wrong", "err -6 zxid -0x1", "err -103 zxid 0x4"},
		{"wrong, then", "closed", "err 0 zxid 0x4"},
		{"right", "err -6 zxid -0x1", "err 0 zxid 0x6"},
		{"right, then", "closed", "err 0 zxid 0x6"},
		{"afterwards", "err 0 zxid 0x3 {c 0x0 m 0x0 p 0x0 version 0 0 0 owner none length 0 children 0}", "err 0 zxid 0x6 {c 0x0 m 0x0 p 0x0 version 0 0 0 owner none length 0 children 0}"},
		{"logged", "", "error, error, check"},
	}
}

func (y *departing) deleteContainer() []sides {
	p := y.client()
	del := func(path string) request {
		return request{proto.OpDeleteContainer, &proto.PathRequest{Path: path}}
	}
	y.ask(p, "create", createContainer(y.root+"/c", nil))
	y.ask(p, "create", createContainer(y.root+"/full", nil))
	y.ask(p, "create", create(y.root+"/full/n", "", 0))
	y.ask(p, "create", create(y.root+"/e", "", 1))
	y.ask(p, "create", create(y.root+"/shut", "", 0, anyone(proto.PermAll&^proto.PermDelete)))
	y.ask(p, "create", createContainer(y.root+"/shut/c", nil))
	for _, path := range []string{"/c", "/full", "/full/n", "/e", "/shut/c", "/none"} {
		y.ask(p, path, del(y.root+path))
	}
	y.ask(p, "empty", del(""))
	y.ask(p, "slash", del("/"))
	y.ask(p, "quota", del("/zookeeper/quota"))
	y.ask(p, "left", children2(y.root))
	return []sides{
		{"/c", "err 0 zxid 0x8", "err -8 zxid 0x8"},
		{"/full", "err -111 zxid 0x9", "err -8 zxid 0x9"},
		{"/full/n", "err -103 zxid 0xa", "err -8 zxid 0xa"},
		{"/e", "err -103 zxid 0xb", "err -8 zxid 0xb"},
		{"/shut/c", "err -102 zxid 0xc", "err -8 zxid 0xc"},
		{"/none", "err -101 zxid 0xd", "err -8 zxid 0xd"},
		{"left", "err 0 zxid 0x10 [\"e\" \"full\" \"shut\"] {c 0x0 m 0x0 p 0x8 version 0 5 0 owner none length 0 children 3}", "err 0 zxid 0x10 [\"c\" \"e\" \"full\" \"shut\"] {c 0x0 m 0x0 p 0x6 version 0 4 0 owner none length 0 children 4}"},
	}
}

func (y *departing) undecodable() []sides {
	p := y.client()
	y.ask(p, "setData", request{proto.OpSetData, raw("x")})
	y.ask(p, "create", request{proto.OpCreate, raw("x")})
	y.ask(p, "multi", request{proto.OpMulti, raw("x")})
	y.ask(p, "next", create(y.root+"/n", "", 0))
	y.logged()
	return nil
}

func (y *departing) multiCreate2() []sides {
	p := y.client()
	y.ask(p, "create2", multiOf(proto.OpCreate2, y.root+"/n", 0))
	y.ask(p, "sequential", multiOf(proto.OpCreate2, y.root+"/s-", 2))
	y.logged()
	return []sides{
		{"create2", "err 0 zxid 0x2 [15/0 ~/n {c 0x2 m 0x2 p 0x2 version 0 0 0 owner none length 0 children 0}] end -1 -1", "err 0 zxid 0x2 [1/0 ~/n] end -1 -1"},
		{"sequential", "err 0 zxid 0x3 [15/0 ~/s-0000000001 {c 0x3 m 0x3 p 0x3 version 0 0 0 owner none length 0 children 0}] end -1 -1", "err 0 zxid 0x3 [1/0 ~/s-0000000001] end -1 -1"},
	}
}

func (y *departing) multiContainer() []sides {
	p := y.client()
	for flags := range int32(4) {
		path := fmt.Sprintf("%s/n%d-", y.root, flags)
		y.ask(p, fmt.Sprint("flags ", flags), multiOf(proto.OpCreateContainer, path, flags))
	}
	y.ask(p, "as children", children2(y.root))
	y.ask(p, "flags 1", exists(y.root+"/n1-"))
	y.logged()
	return []sides{
		{"flags 0", "err 0 zxid 0x2 [15/0 ~/n0- {c 0x2 m 0x2 p 0x2 version 0 0 0 owner none length 0 children 0}] end -1 -1", "err 0 zxid 0x2 [1/0 ~/n0-] end -1 -1"},
		{"flags 1", "err 0 zxid 0x3 [15/0 ~/n1- {c 0x3 m 0x3 p 0x3 version 0 0 0 owner none length 0 children 0}] end -1 -1", "err 0 zxid 0x3 [1/0 ~/n1-] end -1 -1"},
		{"flags 2", "err 0 zxid 0x4 [15/0 ~/n2-0000000002 {c 0x4 m 0x4 p 0x4 version 0 0 0 owner none length 0 children 0}] end -1 -1", "err 0 zxid 0x4 [1/0 ~/n2-0000000002] end -1 -1"},
		{"flags 3", "err 0 zxid 0x5 [15/0 ~/n3-0000000003 {c 0x5 m 0x5 p 0x5 version 0 0 0 owner none length 0 children 0}] end -1 -1", "err 0 zxid 0x5 [1/0 ~/n3-0000000003] end -1 -1"},
		{"flags 1", "err 0 zxid 0x5 {c 0x3 m 0x3 p 0x3 version 0 0 0 owner none length 0 children 0}", "err 0 zxid 0x5 {c 0x3 m 0x3 p 0x3 version 0 0 0 owner #1 length 0 children 0}"},
		{"logged", "multi createContainer, multi createContainer, multi createContainer, multi createContainer", "multi create, multi create, multi create, multi create"},
	}
}

func (y *departing) multiFlags() []sides {
	p := y.client()
	for _, op := range []proto.Op{proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer} {
		for _, flags := range []int32{7, -1, 5, 6} {
			y.ask(p, fmt.Sprintf("%v %d", op, flags), multiOf(op, y.root+"/n", flags))
		}
	}
	y.ask(p, "createTTL 7", multiOf(proto.OpCreateTTL, y.root+"/n", 7))
	return []sides{
		{"create 7", "err -5 zxid 0x2", "err 0 zxid 0x2 [-1/-8 -8] end -1 -1"},
		{"create -1", "err -5 zxid 0x3", "err 0 zxid 0x3 [-1/-8 -8] end -1 -1"},
		{"create2 7", "err -5 zxid 0x6", "err 0 zxid 0x6 [-1/-8 -8] end -1 -1"},
		{"create2 -1", "err -5 zxid 0x7", "err 0 zxid 0x7 [-1/-8 -8] end -1 -1"},
		{"createContainer 7", "err -5 zxid 0xa", "err 0 zxid 0xa [-1/-8 -8] end -1 -1"},
		{"createContainer -1", "err -5 zxid 0xb", "err 0 zxid 0xb [-1/-8 -8] end -1 -1"},
	}
}

func (y *departing) watchModes() []sides {
	p, q, n := y.client(), y.client(), y.root+"/n"
	y.ask(q, "create", create(n, "", 0))
	y.ask(p, "persistent", addWatch(n, 0))
	y.ask(p, "one-shot", read(proto.OpGetData, n, true))
	y.ask(q, "set", set(n, "1", -1))
	y.ask(p, "changed", ping)
	y.ask(q, "set", set(n, "2", -1))
	y.ask(p, "changed again", ping)
	y.ask(p, "persistent", addWatch(n, 0))
	y.ask(p, "recursive", addWatch(n, 1))
	y.ask(q, "create", create(n+"/c", "", 0))
	y.ask(p, "child", ping)
	return []sides{
		{"changed", "event 3 state 3 ~/n zxid 0x4; err 0 zxid 0x4", "event 3 state 3 ~/n zxid -0x1; err 0 zxid 0x4"},
		{"changed again", "event 3 state 3 ~/n zxid 0x5; err 0 zxid 0x5", "err 0 zxid 0x5"},
		{"child", "event 1 state 3 ~/n/c zxid 0x6; event 4 state 3 ~/n zxid 0x6; err 0 zxid 0x6", "event 1 state 3 ~/n/c zxid -0x1; err 0 zxid 0x6"},
	}
}

func (y *departing) watchTypes() []sides {
	p, n := y.client(), y.root+"/n"
	y.ask(p, "create", create(n, "", 0))
	for _, mode := range []int32{0, 1} {
		y.ask(p, "watch", addWatch(n, mode))
		for typ := range int32(7) {
			y.ask(p, fmt.Sprintf("check mode %d as %d", mode, typ), checkWatches(n, typ))
		}
		for _, typ := range []int32{4, 5, 1, 2, 3} {
			y.ask(p, fmt.Sprintf("remove mode %d as %d", mode, typ), removeWatches(n, typ))
		}
	}
	return []sides{
		{"check mode 0 as 1", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"check mode 0 as 2", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"check mode 0 as 4", "err 0 zxid 0x2", "err -5 zxid 0x2"},
		{"check mode 0 as 5", "err -121 zxid 0x2", "err -5 zxid 0x2"},
		{"remove mode 0 as 4", "err 0 zxid 0x2", "err -5 zxid 0x2"},
		{"remove mode 0 as 5", "err -121 zxid 0x2", "err -5 zxid 0x2"},
		{"remove mode 0 as 1", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"remove mode 0 as 2", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"check mode 1 as 1", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"check mode 1 as 2", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"check mode 1 as 4", "err -121 zxid 0x2", "err -5 zxid 0x2"},
		{"check mode 1 as 5", "err 0 zxid 0x2", "err -5 zxid 0x2"},
		{"remove mode 1 as 4", "err -121 zxid 0x2", "err -5 zxid 0x2"},
		{"remove mode 1 as 5", "err 0 zxid 0x2", "err -5 zxid 0x2"},
		{"remove mode 1 as 1", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"remove mode 1 as 2", "err -121 zxid 0x2", "err 0 zxid 0x2"},
	}
}

// othersWatches: 3.8.0 takes any connection's for one's own.
func (y *departing) othersWatches() []sides {
	p, q := y.client(), y.client()
	y.ask(p, "watch", read(proto.OpGetData, y.root, true))
	for typ := range int32(4) {
		y.ask(q, fmt.Sprint("another's as ", typ), checkWatches(y.root, typ))
	}
	y.ask(q, "remove", removeWatches(y.root, 3))
	y.ask(p, "own", checkWatches(y.root, 2))
	return []sides{
		{"another's as 2", "err -121 zxid 0x2", "err 0 zxid 0x2"},
		{"another's as 3", "err -121 zxid 0x2", "err 0 zxid 0x2"},
	}
}

func (y *departing) ipACL() []sides {
	p := y.client()
	for i, id := range []string{"::1", "fe80::/10", "2001:db8::1/128", "::/0", "::1/129", "fe80::1%lo", "::ffff:127.0.0.1", "127.0.0.1", "127.1"} {
		y.ask(p, id, create(fmt.Sprint(y.root, "/n", i), "", 0, proto.ACL{Perms: proto.PermAll, ID: proto.ID{Scheme: "ip", ID: id}}))
	}
	return []sides{
		{"::1", "err 0 zxid 0x2 ~/n0", "err -114 zxid 0x2"},
		{"fe80::/10", "err 0 zxid 0x3 ~/n1", "err -114 zxid 0x3"},
		{"2001:db8::1/128", "err 0 zxid 0x4 ~/n2", "err -114 zxid 0x4"},
		{"::/0", "err 0 zxid 0x5 ~/n3", "err -114 zxid 0x5"},
	}
}

// firstSnapshot has the same tree in both directories.
func (y *departing) firstSnapshot() []sides {
	st, err := os.Stat(filepath.Join(filepath.Dir(y.s.cfg), "data", "version-2", "snapshot.0"))
	if err != nil {
		y.t.Fatal(err)
	}
	y.tell("size", fmt.Sprint(st.Size()))
	return []sides{
		{"size", "478", "457"},
	}
}

func (y *departing) dirs() []sides {
	text, err := y.s.word("dirs")
	if err != nil {
		y.t.Fatal(err)
	}
	var data, log int64
	if _, err := fmt.Sscanf(text, "datadir_size: %d\nlogdir_size: %d", &data, &log); err != nil {
		y.t.Fatal(err, text)
	}
	y.tell("the directory of the log is the larger", fmt.Sprint(log > data))
	return []sides{
		{"the directory of the log is the larger", "true", "false"},
	}
}

func (y *departing) metrics() []sides {
	text, err := y.s.word("mntr")
	if err != nil {
		y.t.Fatal(err)
	}
	for _, name := range []string{"snapshot_error_count", "snapshot_rate_limited_count", "restore_error_count", "restore_rate_limited_count", "cnt_restore_time"} {
		y.tell(name, fmt.Sprint(strings.Contains(text, "\nzk_"+name+"\t")))
	}
	return []sides{
		{"snapshot_error_count", "true", "false"},
		{"snapshot_rate_limited_count", "true", "false"},
		{"restore_error_count", "true", "false"},
		{"restore_rate_limited_count", "true", "false"},
		{"cnt_restore_time", "true", "false"},
	}
}

// http tells the status of a command's answer and whether it says what is wrong, and returns its keys.
func (y *departing) http(method, command string) (keys []string) {
	r, err := http.NewRequestWithContext(y.t.Context(), method, "http://"+y.s.admin+"/commands/"+command, nil)
	if err != nil {
		y.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		y.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		y.t.Fatal(err)
	}
	for _, key := range regexp.MustCompile(`(?m)^ *"(\w+)"`).FindAllStringSubmatch(string(b), -1) {
		keys = append(keys, key[1])
	}
	unknown := strings.Contains(string(b), "Unknown command")
	y.tell(method+" "+command, fmt.Sprintf("%d, unknown %v", answer.StatusCode, unknown))
	return keys
}

func (y *departing) adminSnapshot() []sides {
	y.http("GET", "snapshot")
	return []sides{
		{"GET snapshot", "401, unknown false", "200, unknown true"},
	}
}

func (y *departing) adminRestore() []sides {
	y.http("GET", "restore")
	y.http("POST", "restore")
	return []sides{
		{"GET restore", "405, unknown false", "200, unknown true"},
		{"POST restore", "401, unknown false", "405, unknown false"},
	}
}

func (y *departing) jsonOrder() []sides {
	names := y.http("GET", "stats")
	y.tell("uptime comes first", fmt.Sprint(slices.Index(names, "uptime") < slices.Index(names, "auth_failed_count")))
	return []sides{
		{"uptime comes first", "false", "true"},
	}
}

// departures are the rows of the list of differences that a client or an operator can see of a server alone.
var departures = []departure{
	{"event-zxid", (*departing).eventZxid},
	{"event-read-filter", (*departing).eventReadFilter},
	{"exists-read", (*departing).existsRead},
	{"check-alone", (*departing).checkAlone},
	{"delete-container", (*departing).deleteContainer},
	{"undecodable-zxid", (*departing).undecodable},
	{"multi-create2", (*departing).multiCreate2},
	{"multi-container", (*departing).multiContainer},
	{"multi-flags", (*departing).multiFlags},
	{"watch-modes", (*departing).watchModes},
	{"watch-types", (*departing).watchTypes},
	{"watches of others", (*departing).othersWatches},
	{"ip-acl-v6", (*departing).ipACL},
	{"snapshot-last-zxid", (*departing).firstSnapshot},
	{"dirs-swap", (*departing).dirs},
	{"metrics", (*departing).metrics},
	{"admin-snapshot", (*departing).adminSnapshot},
	{"admin-restore", (*departing).adminRestore},
	{"json-order", (*departing).jsonOrder},
}

// TestDifferences plays each departure on both servers. They may differ in the lines that it states, and have to.
//
// Other rows of the list are shown where a single script cannot: digest-switch and digest-switch-back by datadir's
// TestTrap19_DigestsSwitchedOverExistingDirectories, repeated-zxid by TestTrap20_RepeatedZxidsLoad, check-entry by
// TestTrap11_LogWithAStandaloneCheckLoads, empty-log by TestTrap20_EmptyLastLogIsRemoved, log-hole by
// TestTrap20_HoleInALogIsRefused, what txn-create2 loses by TestTrap20_SubTypeCreate2IsAppliedInFull, replay-acl by tree's
// TestTrap02_ReplayOverNewerSnapshot, restore-not-durable by daemon's TestARestoreOutlivesARestart. Those between
// servers are shown by the golden tests of packages zab and election, and by TestMixedEnsemble.
func TestDifferences(t *testing.T) {
	t.Parallel()
	ours, java := serveAdmin(t, underTest), serveAdmin(t, javaKind{})
	_, itself := underTest.(javaKind)
	for i, c := range departures {
		t.Run(c.name, func(t *testing.T) {
			root := fmt.Sprint("/d", i)
			a, b := newDeparting(t, ours, root), newDeparting(t, java, root)
			want := c.play(a)
			c.play(b)
			if itself {
				want = nil
			}
			if len(a.lines) != len(b.lines) {
				t.Fatalf("%d lines, Java has %d", len(a.lines), len(b.lines))
			}
			var got []sides
			for i := range a.lines {
				if a.lines[i] != b.lines[i] {
					ask, zabd, _ := strings.Cut(a.lines[i], " -> ")
					_, java, _ := strings.Cut(b.lines[i], " -> ")
					got = append(got, sides{ask, zabd, java})
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("they differ in\n%q\nand should in\n%q", got, want)
			}
		})
	}
}

// serveAdmin is a server that answers by HTTP too, and has its log apart from its snapshots.
func serveAdmin(t *testing.T, k kind) *server {
	t.Helper()
	if k == (javaKind{}) {
		needTool(t, javaServlet, "apt-get install -y libservlet-api-java")
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, k, fmt.Sprintf("dataLogDir=DIR/log\nadmin.enableServer=true\nadmin.serverAddress=%s\nadmin.serverPort=%d\n", host, addr.Port))
	s.admin = addr.String()
	return s
}
