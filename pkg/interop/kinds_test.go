//go:build interop

package interop

import (
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// quotaOf returns the node that has the limits and stats of a subtree.
func quotaOf(path string) string { return "/zookeeper/quota" + path }

// transients are containers and TTL nodes, alone and in multis, as far as 3.8.0 has them like 3.9.5.
func (y *story) transients() {
	p := y.session(10000)
	const day = 86_400_000
	container := createContainer("/c/odd", nil)
	container.body.(*proto.CreateRequest).Flags = proto.FlagEphemeral
	y.all(p,
		createContainer("/c", []byte("x")), createContainer("/c", nil), createContainer("/none/c", nil), get("/c"), exists("/c"),
		createContainer("/c/in", nil), create("/c/in/e", "", proto.FlagEphemeral), createContainer("/c/in/e/below", nil), remove("/c/in", -1),
		create("/c/s-", "", proto.FlagSequential), container, exists("/c/odd"), create("/c/plain", "", proto.FlagContainer), exists("/c/plain"),
		create2("/c/plain2", "", proto.FlagContainer), exists("/c/plain2"), children2("/c"),
		createTTL("/t", []byte("x"), proto.FlagTTL, day), createTTL("/t", nil, proto.FlagTTL, day), exists("/t"),
		createTTL("/t/s-", nil, proto.FlagTTLSequential, day), createTTL("/t/s-", nil, proto.FlagTTLSequential, 1<<40-1),
		createTTL("/t/zero", nil, proto.FlagTTL, 0), createTTL("/t/less", nil, proto.FlagTTL, -1), createTTL("/t/more", nil, proto.FlagTTL, 1<<40),
		createTTL("/t/flags", nil, proto.FlagPersistent, day), createTTL("/t/flags", nil, 7, day), createTTL("/t/flags", nil, proto.FlagContainer, 5),
		create("/t/wrong", "", proto.FlagTTL), create2("/t/wrong", "", proto.FlagTTLSequential), children2("/t"), remove("/t", -1),
		set("/t", "later", -1), exists("/t"),
	)
	op := func(typ proto.Op, path string, flags int32, ttl int64) proto.MultiOp {
		return proto.MultiOp{Type: typ, Path: path, ACL: proto.WorldAll(), Flags: flags, TTL: ttl}
	}
	y.all(p,
		multi(op(proto.OpCreate, "/m", proto.FlagContainer, 0), op(proto.OpCreateTTL, "/m/t", proto.FlagTTL, day), op(proto.OpCreateTTL, "/m/s-", proto.FlagTTLSequential, day)),
		multi(op(proto.OpCreateTTL, "/m/plain", 0, 5), op(proto.OpCreateTTL, "/m/container", proto.FlagContainer, 5)),
		multi(op(proto.OpCreateTTL, "/m/bad", proto.FlagTTL, 0)), multi(op(proto.OpCreate, "/m/bad", proto.FlagTTL, 0)),
		exists("/m"), exists("/m/t"), exists("/m/container"), children2("/m"),
	)
	y.do(p, proto.OpCloseSession, nil)
	y.s.crash(y.t)
	p = y.session(10000)
	y.all(p, exists("/c"), exists("/t"), exists("/m/t"), exists("/m/container"), children2("/c"), createContainer("/c/after", nil))
}

// quotas has limits of all spellings, and writes that go beyond them or not.
func (y *story) quotas() {
	p := y.session(10000)
	limits, stats := quotaOf("/q")+"/zookeeper_limits", quotaOf("/q")+"/zookeeper_stats"
	y.all(p, create("/q", "12", 0), create("/q/n", "345", 0), create(quotaOf("/q"), "", 0), create(limits, "count=2,bytes=3", 0), create(stats, "", 0),
		get(stats), create("/q/m", "6789", 0), get(stats), set("/q/m", "6", -1), get(stats), remove("/q/m", -1), get(stats))
	for _, l := range []string{
		"count=-1,bytes=-1=;byteHardLimit=8;countHardLimit=3", "countHardLimit=3", "byteHardLimit=8", "count=1,,;bytes=1;", "countHardLimit=0,byteHardLimit=0",
		"countHardLimit==3", "other=7", "", "count=1=2=3", "nonsense", "count=", "count=x", ",count=1", "=",
	} {
		y.all(p, set(limits, l, -1), create("/q/a", "12", 0), create("/q/b", "12", 0), create("/q/c", "", 0), set("/q/n", "1234567", -1), set("/q/n", "345", 9),
			multi(proto.MultiOp{Type: proto.OpCreate, Path: "/q/d", ACL: proto.WorldAll(), Data: []byte("1")}, proto.MultiOp{Type: proto.OpDelete, Path: "/q/d", Version: -1}),
			createContainer("/q/e", nil), get(stats), remove("/q/a", -1), remove("/q/b", -1), remove("/q/c", -1), remove("/q/e", -1), set("/q/n", "345", -1), get(stats))
	}
	y.all(p, set(limits, "count=1", -1), set(stats, "count=100,bytes=7=;z=1;countHardLimit=2", -1), create("/q/a", "1", 0), get(stats), set(stats, "", -1),
		create("/q/b", "1", 0), get(stats), create("/q/b/in", "12", 0), create(quotaOf("/q/b"), "", 0), create(quotaOf("/q/b")+"/zookeeper_limits", "count=1", 0),
		create(quotaOf("/q/b")+"/zookeeper_stats", "", 0), get(quotaOf("/q/b")+"/zookeeper_stats"), create("/q/b/in/in", "1", 0), remove("/q/b/in/in", -1),
		get(quotaOf("/q/b")+"/zookeeper_stats"), get(stats), remove(quotaOf("/q/b")+"/zookeeper_limits", -1), set("/q/b/in", "1", -1), get(quotaOf("/q/b")+"/zookeeper_stats"),
		get(stats), create("/q/e", "12", proto.FlagEphemeral), get(stats), create("/qq", "not in it", 0), get(stats))
	// A load of a snapshot counts anew, and when there is one is chance: what is counted must be true before.
	y.all(p, remove(quotaOf("/q/b")+"/zookeeper_stats", -1), remove(stats, -1), create(stats, "", 0))
	y.do(p, proto.OpCloseSession, nil)
	p = y.session(10000)
	y.all(p, get(stats))
	y.s.crash(y.t)
	p = y.session(10000)
	y.all(p, get(stats), create("/q/last", "12", 0), get(stats))
}

// zkCliKinds makes containers, TTL nodes and quotas by the shell, which says of a quota what the server keeps.
func zkCliKinds(t *testing.T, z *zkCli) {
	z.says(t, "create -c /box", `Created /box\n`)
	z.says(t, "create -t 86400000 /timed data", `Created /timed\n`)
	z.says(t, "create -s -t 86400000 /timed/s-", `Created /timed/s-0000000000\n`)
	z.says(t, "stat /box", `ephemeralOwner = 0x0\n`)
	z.says(t, "create /limited 12", `Created /limited\n`)
	z.says(t, "setquota -n 5 /limited")
	z.says(t, "setquota -N 2 /limited")
	z.says(t, "create /limited/a 345", `Created /limited/a\n`)
	z.says(t, "listquota /limited", `Output quota for /limited count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=2`, `Output stat for /limited count=2,bytes=5`)
	z.says(t, "create /limited/b", `(?i)quota`)
	z.says(t, "delquota /limited")
	z.says(t, "create /limited/b", `Created /limited/b\n`)
}
