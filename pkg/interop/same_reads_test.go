//go:build interop

package interop

import (
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

func addWatch(path string, mode int32) request {
	return request{proto.OpAddWatch, &proto.WatchModeRequest{Path: path, Mode: mode}}
}

func checkWatches(path string, typ int32) request {
	return request{proto.OpCheckWatches, &proto.WatchModeRequest{Path: path, Mode: typ}}
}

func removeWatches(path string, typ int32) request {
	return request{proto.OpRemoveWatches, &proto.WatchModeRequest{Path: path, Mode: typ}}
}

func multiRead(ops ...proto.MultiOp) request {
	return request{proto.OpMultiRead, &proto.MultiRequest{Ops: ops}}
}

// setWatches2 is that record of SetWatchesRequest.
type setWatches2 struct{ proto.SetWatchesRequest }

// AppendTo appends the encoded record.
func (r *setWatches2) AppendTo(dst []byte) []byte { return r.AppendTo2(dst) }

// persistent is about watches that stay. 3.8.0 keeps one mode for a path and connection, so no path here has two.
func (y *story) persistent() {
	p, q := y.session(10000), y.session(10000)
	ping := request{proto.OpPing, nil}
	both := func(r request) {
		y.all(q, r)
		y.all(p, ping)
	}
	y.all(p, addWatch("/a", 0), addWatch("/r", 1), addWatch("/a", 2), addWatch("/a", -1), addWatch("relative", 1), addWatch("", 0), addWatch("/x/", 1),
		cut(addWatch("/a", 0), 1), request{proto.OpAddWatch, raw(nil)})
	for range 2 {
		for _, r := range []request{
			create("/a", "", 0), set("/a", "x", -1), create("/a/c", "", 0), set("/a/c", "x", -1), create("/a/c/d", "", 1), setACL("/a", -1, proto.WorldAll()...),
			remove("/a/c/d", -1), remove("/a/c", -1), remove("/a", -1), create("/r", "", 0), create("/r/c", "", 0), create("/r/c/s-", "", 2), set("/r/c", "", -1),
			multi(proto.MultiOp{Type: proto.OpCreate, Path: "/r/m", ACL: proto.WorldAll()}, proto.MultiOp{Type: proto.OpSetData, Path: "/r", Version: -1},
				proto.MultiOp{Type: proto.OpDelete, Path: "/r/m", Version: -1}),
			create("/ra", "", 0), set("/", "", -1), remove("/ra", -1), set("/r/c", "", 99), create("/x", "", 0), create("/x/y", "", 0), remove("/x/y", -1),
			remove("/x", -1),
		} {
			both(r)
		}
		y.all(q, children2("/r/c"), exists("/r"))
		both(multi(proto.MultiOp{Type: proto.OpDelete, Path: "/r/none", Version: -1}))
	}
	y.all(p, checkWatches("/a", 3), checkWatches("/r", 3), checkWatches("/none", 3), checkWatches("/a", 0), checkWatches("/a", 6), checkWatches("/a", -1),
		read(proto.OpExists, "/o", true), read(proto.OpGetChildren, "/", true), checkWatches("/o", 1), checkWatches("/o", 2), checkWatches("/o", 3),
		checkWatches("/", 1), checkWatches("/", 2), removeWatches("/", 2), removeWatches("/", 1), removeWatches("/", 1), removeWatches("/o", 3),
		removeWatches("/o", 3), removeWatches("/a", 3), removeWatches("/a", 3), removeWatches("/r", 9), removeWatches("relative", 3),
		cut(checkWatches("/a", 1), 1), cut(removeWatches("/a", 1), 2))
	y.all(q, removeWatches("/r", 3)) // another's, which 3.8.0's checkWatches, and no later one, takes for one's own
	both(create("/a", "", 0))
	both(create("/o", "", 0))
	both(set("/r", "y", -1))
	y.do(p, proto.OpCloseSession, nil)
	base := q.last
	y.all(q, set("/a", "z", -1), set("/r/c", "z", -1))
	for _, z := range []proto.Zxid{base, q.last} {
		r := y.session(10000)
		y.do(r, proto.OpSetWatches2, &setWatches2{proto.SetWatchesRequest{
			RelativeZxid: z, Data: []string{"/a"}, Exist: []string{"/absent"}, Child: []string{"/o"},
			Persistent: []string{"/z"}, Recursive: []string{"/r"},
		}})
		y.all(r, ping, set("/a", "", -1), create("/z", "", 0), create("/z/y", "", 0), set("/r/c", "", -1), set("/r/c", "", -1), remove("/z/y", -1), remove("/z", -1), ping)
	}
	y.all(q, request{proto.OpSetWatches2, raw("\x00\x00\x00\x00\x00\x00\x00\x00")})
	// Null vectors: what stands before them counts.
	q = y.session(10000)
	null, some := []string(nil), []string{"/a"}
	for _, r := range []proto.SetWatchesRequest{
		{RelativeZxid: base},
		{RelativeZxid: base, Data: some},
		{RelativeZxid: q.last, Data: some, Exist: some, Child: null},
		{RelativeZxid: base, Data: null, Exist: some, Child: some},
	} {
		y.all(q, request{proto.OpSetWatches, &r}, ping)
		r.Persistent, r.Recursive = some, some
		y.all(q, request{proto.OpSetWatches2, &setWatches2{r}}, ping)
	}
	y.all(q, request{proto.OpSetWatches2, &setWatches2{proto.SetWatchesRequest{Data: []string{}, Exist: []string{}, Child: some, Persistent: some}}})
	y.all(q, set("/a", "", -1), create("/a/x", "", 0), set("/a/x", "", -1), ping)
}

// reads are those that only new clients ask.
func (y *story) reads() {
	p, q := y.session(10000), y.session(10000)
	y.all(q, create("/not-mine", "", 1), create("/t", "", 0), create("/t/a", "1", 0), create("/t/a/b", "", 0), create("/t/c", "", 0), create("/tu", "", 0),
		create("/shut", "", 0, proto.ACL{Perms: 14, ID: proto.ID{Scheme: "world", ID: "anyone"}}))
	y.all(p, create("/e", "", 1), create("/t/e-", "", 3), create("/t/ee", "", 1))
	for _, path := range []string{"/", "", "/t", "/t/", "/t/a", "/t/a/b", "/none", "t", "/zookeeper", "/shut"} {
		y.do(p, proto.OpGetAllChildrenNumber, &proto.PathRequest{Path: path})
	}
	for _, prefix := range []string{"", " ", "/", " / ", "/e", "/t", "/t/e", "/t/e-0", "e", "/none", " /t", "\t\n"} {
		y.do(p, proto.OpGetEphemerals, &proto.OptString{Text: prefix})
	}
	null := raw(jute.AppendNullString(nil))
	y.all(p, request{proto.OpGetEphemerals, null}, request{proto.OpGetEphemerals, raw(nil)}, request{proto.OpGetAllChildrenNumber, null},
		request{proto.OpGetAllChildrenNumber, raw(nil)}, request{proto.OpWhoAmI, nil}, auth("digest", "u:pw"), request{proto.OpWhoAmI, nil},
		auth("digest", "v"), request{proto.OpWhoAmI, raw("more")})
	op := func(typ proto.Op, path string) proto.MultiOp {
		return proto.MultiOp{Type: typ, Path: path, Version: -1, Watch: true, ACL: proto.WorldAll()}
	}
	const g, k, s, c = proto.OpGetData, proto.OpGetChildren, proto.OpSetData, proto.OpCreate
	y.all(p, multiRead(), multiRead(op(g, "/t/a")), multiRead(op(k, "/t"), op(g, "/none"), op(g, "/shut"), op(k, "/none"), op(g, ""), op(g, "t"), op(k, "/")),
		multiRead(op(s, "/t")), multiRead(op(c, "/t/new"), op(s, "/t")), multiRead(op(g, "/t"), op(s, "/t")), multiRead(op(s, "/t"), op(g, "/t")),
		multiRead(proto.MultiOp{Type: g, Null: true}), multiRead(op(g, "/t"), op(k, "/t"), proto.MultiOp{Type: k, Null: true}, op(g, "/t")),
		multiRead(op(proto.OpExists, "/t")), request{proto.OpMultiRead, raw(nil)}, cut(multiRead(op(g, "/t")), 1), exists("/t"), set("/t/a", "2", -1), get("/t/new"),
		create("/t/last", "", 0))
}
