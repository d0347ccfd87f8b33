package prep

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// quotaBench has /q with the node /q/n of 5 bytes, and a quota with these limits; what is exceeded is noted.
func quotaBench(t *testing.T, limits string) (b *bench, excesses *[]Excess) {
	excesses = new([]Excess)
	b = newBench(t)
	b.prep.opt.EnforceQuota = true
	b.prep.opt.Exceeded = func(x Excess) { *excesses = append(*excesses, x) }
	put := func(path, data string) {
		b.submit(proto.OpCreate, (&proto.CreateRequest{Path: path, Data: []byte(data), ACL: proto.WorldAll()}).AppendTo(nil))
	}
	put("/q", "")
	put("/q/n", "12345")
	put(tree.QuotaPath+"/q", "")
	put(tree.QuotaPath+"/q/"+tree.LimitsNode, limits)
	put(tree.QuotaPath+"/q/"+tree.StatsNode, "")
	b.settle()
	return b, excesses
}

func sized(path string, n int) []byte {
	return (&proto.CreateRequest{Path: path, Data: make([]byte, n), ACL: proto.WorldAll()}).AppendTo(nil)
}

func setSized(path string, n int, version int32) []byte {
	return (&proto.SetDataRequest{Path: path, Data: make([]byte, n), Version: version}).AppendTo(nil)
}

func TestQuotas(t *testing.T) {
	const ok = proto.OK
	for _, c := range []struct {
		name, limits string
		op           proto.Op
		body         []byte
		want         proto.Code
		told         string // what is exceeded: h a hard, s a soft limit
	}{
		{"below a hard count", "countHardLimit=3", proto.OpCreate, sized("/q/m", 1), ok, ""},
		{"above a hard count", "countHardLimit=2", proto.OpCreate, sized("/q/m", 0), proto.QuotaExceeded, "h count 3 of 2"},
		{"above a soft count", "count=2,bytes=-1", proto.OpCreate, sized("/q/m", 100), ok, "s count 3 of 2"},
		{"a hard count hides the soft one", "count=2,countHardLimit=9", proto.OpCreate, sized("/q/m", 1), ok, ""},
		{"a set adds no node", "countHardLimit=1", proto.OpSetData, setSized("/q/n", 50, -1), ok, ""},
		{"up to hard bytes", "byteHardLimit=10", proto.OpCreate, sized("/q/m", 5), ok, ""},
		{"above hard bytes", "byteHardLimit=10", proto.OpCreate, sized("/q/m", 6), proto.QuotaExceeded, "h bytes 11 of 10"},
		{"a create without data", "byteHardLimit=1", proto.OpCreate, sized("/q/m", 0), ok, ""},
		{"a set above hard bytes", "byteHardLimit=10", proto.OpSetData, setSized("/q/n", 11, -1), proto.QuotaExceeded, "h bytes 11 of 10"},
		{"a set up to hard bytes", "byteHardLimit=10", proto.OpSetData, setSized("/q/n", 10, -1), ok, ""},
		{"a set that takes bytes away, above still", "byteHardLimit=2", proto.OpSetData, setSized("/q/n", 4, -1), proto.QuotaExceeded, "h bytes 4 of 2"},
		{"a set of equal length", "byteHardLimit=2", proto.OpSetData, setSized("/q/n", 5, -1), ok, ""},
		{"soft bytes and soft count", "count=1,bytes=2", proto.OpCreate, sized("/q/m", 1), ok, "s count 3 of 1, s bytes 6 of 2"},
		{"hard count before bytes", "countHardLimit=2,byteHardLimit=2", proto.OpCreate, sized("/q/m", 1), proto.QuotaExceeded, "h count 3 of 2"},
		{"soft count, hard bytes", "count=2,byteHardLimit=2", proto.OpCreate2, sized("/q/m", 1), proto.QuotaExceeded, "s count 3 of 2, h bytes 6 of 2"},
		{"a container", "countHardLimit=2", proto.OpCreateContainer, sized("/q/m", 0), proto.QuotaExceeded, "h count 3 of 2"},
		{"quota before version", "byteHardLimit=2", proto.OpSetData, setSized("/q/n", 9, 77), proto.QuotaExceeded, "h bytes 9 of 2"},
		{"an existing node before the quota", "countHardLimit=2", proto.OpCreate, sized("/q/n", 0), proto.NodeExists, ""},
		{"delete", "countHardLimit=0,byteHardLimit=0", proto.OpDelete, versionBody("/q/n", -1), ok, ""},
		{"another subtree", "countHardLimit=0", proto.OpCreate, sized("/qq", 0), ok, ""},
		{"unreadable limits", "count=many", proto.OpCreate, sized("/q/m", 0), proto.MarshallingError, ""},
		{"unreadable limits, and nothing to count", "count=many", proto.OpSetData, setSized("/q/n", 5, -1), proto.MarshallingError, ""},
		{"unreadable limits in a multi", "count=many", proto.OpMulti, multiBody(createOp("/x", 0), createOp("/q/m", 0)), proto.MarshallingError, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, excesses := quotaBench(t, c.limits)
			if got := code(b.submit(c.op, c.body)); got != c.want {
				t.Errorf("%v with %q = %v, want %v", c.op, c.limits, got, c.want)
			}
			var told []string
			for _, x := range *excesses {
				kind := map[bool]string{true: "h", false: "s"}[x.Hard]
				told = append(told, fmt.Sprintf("%s %s %d of %d", kind, x.Of, x.Value, x.Limit))
				if x.Subtree != "/q" || x.Namespace != "q" {
					t.Errorf("exceeded %+v", x)
				}
			}
			if got := strings.Join(told, ", "); got != c.told {
				t.Errorf("told %s, want %s", got, c.told)
			}
			b.settle()
			if _, there := b.tree.Find("/x"); there {
				t.Error("half of a multi is there")
			}
		})
	}
}

// TestQuotaCountsWhatIsApplied: creates in flight, and those of one multi, go beyond a limit together; what is undone by
// a failed multi leaves nothing behind.
func TestQuotaCountsWhatIsApplied(t *testing.T) {
	b, _ := quotaBench(t, "countHardLimit=3")
	for _, path := range []string{"/q/1", "/q/2"} {
		if got := code(b.submit(proto.OpCreate, sized(path, 0))); got != proto.OK {
			t.Fatalf("%s in flight = %v", path, got)
		}
	}
	b.settle()
	x := b.submit(proto.OpMulti, multiBody(createOp("/free", 0), createOp("/q/3", 0), createOp("/late", 0)))
	if len(x.Subs) != 3 || x.Subs[1].Err != proto.QuotaExceeded || x.Subs[2].Err != proto.RuntimeInconsistency {
		t.Fatalf("a multi beyond the limit became %+v", x.Subs)
	}
	if got := code(b.submit(proto.OpCreate, sized("/free", 0))); got != proto.OK {
		t.Fatalf("what the multi did not make = %v", got)
	}
	b.settle()
	b.prep.opt.EnforceQuota = false
	if got := code(b.submit(proto.OpCreate, sized("/q/3", 0))); got != proto.OK {
		t.Fatalf("not enforced = %v", got)
	}
}
