package tree

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// TestParseQuota: what StatsTrack reads, and what it throws upon.
func TestParseQuota(t *testing.T) {
	for _, c := range []struct{ text, want string }{ // want is what a stats node would say; "" = unreadable
		{"count=2,bytes=10", "count=2,bytes=10"},
		{"bytes=10", "count=-1,bytes=10"},
		{"count=-1,bytes=-1;byteHardLimit=12;countHardLimit=3", "count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=3"},
		{"count=5,bytes=-1=;countHardLimit=9", "count=5,bytes=-1=;countHardLimit=9"},
		{"count=5,,;;,bytes=6,;", "count=5,bytes=6"},
		{"count=1,count=2", "count=2,bytes=-1"},
		{"count=+7", "count=7,bytes=-1"},
		{"count=7=8", "count=7,bytes=-1"},
		{"z=1,a=2", "count=-1,bytes=-1=;a=2;z=1"},
		{"=3", "count=-1,bytes=-1=;=3"},
		{"count==3", "count=-1,bytes=-1"},
		{"countHardLimit==3", "count=-1,bytes=-1=;countHardLimit=-1"},
		{"", "count=-1,bytes=-1"},
		{",;", "count=-1,bytes=-1"},
		{",count=1", ""},
		{"count=", ""},
		{"count==", ""},
		{"count", ""},
		{"count= 1", ""},
		{"count=1.5", ""},
		{"count=9223372036854775807,bytes=-9223372036854775808", "count=9223372036854775807,bytes=-9223372036854775808"},
		{"count=9223372036854775808", ""},
		{"count=-9223372036854775809", ""},
		{"count=99999999999999999999", ""},
		{"count=0012", "count=12,bytes=-1"},
		{"count=-", ""},
		{"count=--1", ""},
	} {
		q, ok := ParseQuota([]byte(c.text))
		if got := string(q.appendTo(nil)); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q is %v, %v; want %q", c.text, got, ok, c.want)
		}
	}
	if _, ok := ParseQuota(nil); ok {
		t.Error("null is a quota")
	}
	if q, _ := ParseQuota([]byte("countHardLimit=3,byteHardLimit=4")); q.CountHard != 3 || q.BytesHard != 4 || q.Count != NoLimit {
		t.Errorf("hard limits: %+v", q)
	}
}

func FuzzParseQuota(f *testing.F) {
	f.Add([]byte("count=5,bytes=-1=;countHardLimit=9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, ok := ParseQuota(data)
		if !ok {
			return
		}
		text := q.appendTo(nil)
		again, ok := ParseQuota(text)
		if got := again.appendTo(nil); !ok || string(got) != string(text) {
			t.Fatalf("%q reads as %q, and that as %q", data, text, got)
		}
	})
}

// grower applies txns one after the other.
type grower struct {
	*Tree
	tb testing.TB
	z  int64
	r  Result
}

func (g *grower) apply(typ proto.Op, b txn.Body) proto.Code {
	g.z++
	g.Apply(txnAt(g.z, typ, b), &g.r)
	return g.r.Code
}

func (g *grower) create(path, data string) proto.Code {
	return g.apply(proto.OpCreate, txn.Body{Path: path, Data: []byte(data), ACL: proto.WorldAll(), ParentCVersion: int32(g.z) + 1})
}

func (g *grower) set(path, data string) proto.Code {
	return g.apply(proto.OpSetData, txn.Body{Path: path, Data: []byte(data)})
}

func (g *grower) remove(path string) proto.Code { return g.apply(proto.OpDelete, txn.Body{Path: path}) }

// limit makes a quota.
func (g *grower) limit(path string) {
	at := QuotaPath
	for _, name := range strings.Split(path[1:], "/") {
		at += "/" + name
		g.create(at, "")
	}
	g.create(at+"/"+LimitsNode, "count=1")
	g.create(at+"/"+StatsNode, "count=0,bytes=0")
}

func (g *grower) stats(path string) string {
	r, ok := g.Find(QuotaPath + path + "/" + StatsNode)
	if !ok {
		return "none"
	}
	return string(g.Data(r))
}

func (g *grower) expect(path, want string) {
	g.tb.Helper()
	if got := g.stats(path); got != want {
		g.tb.Fatalf("at zxid %d the stats of %s are %s, want %s", g.z, path, got, want)
	}
}

// TestQuotaStats: the innermost quota counts, stats begin with what is there, and only their data changes.
func TestQuotaStats(t *testing.T) {
	g := &grower{Tree: New(), tb: t}
	g.create("/a", "12")
	g.create("/a/b", "345")
	g.limit("/a")
	g.expect("/a", "count=2,bytes=5")
	g.limit("/a/b")
	g.expect("/a/b", "count=1,bytes=3")
	digest, ref := g.Digest(), Ref(0)
	ref, _ = g.Find(QuotaPath + "/a/b/" + StatsNode)
	stat := g.Stat(ref)
	g.create("/a/b/c", "1234567")
	g.expect("/a/b", "count=2,bytes=10")
	g.expect("/a", "count=2,bytes=5")
	now := g.Stat(ref)
	if now.DataLength = stat.DataLength; now != stat || g.Digest() == digest {
		t.Fatalf("the stats node is %+v, was %+v", now, stat)
	}
	g.set("/a/b/c", "1")
	g.expect("/a/b", "count=2,bytes=4")
	g.set("/a", "")
	g.expect("/a", "count=2,bytes=3")
	g.create("/ab", "not in it")
	g.expect("/a", "count=2,bytes=3")
	if g.create("/a/b/c", "there") != proto.NodeExists || g.set("/a/x", "gone") != proto.NoNode || g.remove("/a/x") != proto.NoNode {
		t.Fatal("changes that are none")
	}
	g.expect("/a", "count=2,bytes=3")
	g.remove(QuotaPath + "/a/b/" + LimitsNode)
	g.remove("/a/b/c") // the outer quota's now
	g.expect("/a/b", "count=2,bytes=4")
	g.expect("/a", "count=1,bytes=2")
	g.set(QuotaPath+"/a/"+StatsNode, "count=100,bytes=7=;mine=1")
	g.create("/a/n", "1")
	g.expect("/a", "count=101,bytes=8=;mine=1")
	g.set(QuotaPath+"/a/"+StatsNode, "nonsense")
	g.create("/a/m", "1")
	g.expect("/a", "count=4,bytes=5")
	g.apply(proto.OpSetData, txn.Body{Path: QuotaPath + "/a/" + StatsNode})
	g.set("/a/m", "12")
	g.expect("/a", "count=4,bytes=6")
	g.remove(QuotaPath + "/a/" + StatsNode)
	g.create("/a/o", "1")
	g.create(QuotaPath+"/a/"+StatsNode, "")
	g.expect("/a", "count=5,bytes=7")
	g.create(QuotaPath+"/"+LimitsNode, "count=0")
	g.create(QuotaPath+"/"+StatsNode, "")
	g.create("/elsewhere", "")
	g.check(t)
}

// TestQuotaStatsOfASession: the ephemerals of a session that ends are counted off.
func TestQuotaStatsOfASession(t *testing.T) {
	g := &grower{Tree: New(), tb: t}
	g.create("/a", "")
	g.limit("/a")
	for i := range 3 {
		g.apply(proto.OpCreate, txn.Body{Path: fmt.Sprintf("/a/e%d", i), Data: []byte("xy"), ACL: proto.WorldAll(), Ephemeral: true, ParentCVersion: int32(i) + 1})
	}
	g.expect("/a", "count=4,bytes=6")
	g.apply(proto.OpCloseSession, txn.Body{HasPaths: true, Paths: []string{"/a/e1"}})
	g.expect("/a", "count=1,bytes=0")
}

// TestQuotaStatsAreTrue over random changes, in a tree that is walked and loaded again beside them: what a stats node
// says is what a count of the subtree gives, less what inner quotas have.
func TestQuotaStatsAreTrue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	g := &grower{Tree: New(), tb: t}
	paths := []string{"/a", "/a/b", "/a/b/c", "/a/b/d", "/a/e", "/f", "/f/g"}
	for _, p := range paths[:2] {
		g.create(p, "")
		g.limit(p)
	}
	for i := range 3000 {
		path := paths[rnd.IntN(len(paths))]
		switch rnd.IntN(3) {
		case 0:
			g.create(path, strings.Repeat("x", rnd.IntN(200)))
		case 1:
			g.set(path, strings.Repeat("y", rnd.IntN(200)))
		default:
			if r, ok := g.Find(path); ok && g.NumChildren(r) == 0 {
				g.remove(path)
			}
		}
		inner, outer := g.held("/a/b"), g.held("/a")
		g.expect("/a/b", fmt.Sprintf("count=%d,bytes=%d", inner.Count, inner.Bytes))
		if i%100 != 0 {
			continue
		}
		g.check(t)
		w := g.NewWalk()
		g.create("/f", "")
		g.set("/a", "later")
		loaded := Empty()
		for _, a := range w.ACLs {
			loaded.LoadACL(a.Key, a.List)
		}
		for more := true; more; {
			more = w.Next(3, func(path string, data []byte, acl int64, st *proto.StatPersisted) {
				if err := loaded.LoadNode(path, data, acl, st); err != nil {
					t.Fatal(err)
				}
			})
		}
		w.Close()
		if err := loaded.FinishLoad(w.Zxid); err != nil {
			t.Fatal(err)
		}
		l := &grower{Tree: loaded, tb: t}
		l.expect("/a", fmt.Sprintf("count=%d,bytes=%d", outer.Count, outer.Bytes)) // a load counts all that is below
		loaded.check(t)
	}
}

// TestQuotaAllocations: a write below a quota costs no more than one without.
func TestQuotaAllocations(t *testing.T) {
	g := &grower{Tree: New(), tb: t}
	g.create("/a", "")
	g.create("/a/b", "")
	g.limit("/a")
	data, x := []byte("12345"), txnAt(100, proto.OpSetData, txn.Body{Path: "/a/b"})
	flip := func() {
		x.Data = data[:len(data)-len(x.Data)]
		g.Apply(x, &g.r)
	}
	if n := testing.AllocsPerRun(1000, flip); n != 0 {
		t.Errorf("a write below a quota allocates %v times", n)
	}
	g.expect("/a", fmt.Sprintf("count=2,bytes=%d", len(x.Data)))
}
