//go:build interop

package interop

import (
	"flag"
	"fmt"
	"math/rand/v2"

	"github.com/zabd/zabd/pkg/proto"
)

var (
	firstSeed = flag.Uint64("interop.seed", 1, "first seed of TestDifferential")
	seedCount = flag.Uint64("interop.seeds", 20, "number of seeds of TestDifferential")
)

// requestsPerSeed is how many requests a seed sends to each server in each way.
const requestsPerSeed = 300

// dice makes requests that meet each other on a few paths.
type dice struct {
	*rand.Rand
	root string
	tame bool // only what Java's server answers alike however many requests are on their way
}

func (d dice) path() string {
	p := d.root
	for range d.IntN(4) {
		p += "/" + string(rune('a'+d.IntN(3)))
	}
	return p
}

// version is mostly one that fits.
func (d dice) version() int32 {
	if d.IntN(3) == 0 {
		return int32(d.IntN(4))
	}
	return -1
}

// acl always lets everybody read: ZooKeeper 3.8.0 tells everybody that a node exists, 3.9.5 only those who may read.
func (d dice) acl() []proto.ACL {
	anyone := proto.ID{Scheme: "world", ID: "anyone"}
	n := d.IntN(12)
	if d.tame && n < 2 {
		return proto.WorldAll()
	}
	switch n {
	case 0:
		return []proto.ACL{{Perms: proto.PermRead | proto.Perm(d.IntN(32)), ID: anyone}}
	case 1:
		return []proto.ACL{{Perms: proto.PermRead, ID: anyone}, {Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}
	case 2:
		return nil
	}
	return proto.WorldAll()
}

func (d dice) data() []byte {
	if d.IntN(8) == 0 {
		return nil
	}
	return make([]byte, d.IntN(40))
}

// limits are those of a quota that is now and then in the way.
func (d dice) limits() string {
	return []string{
		"count=3,bytes=20", "count=-1,bytes=-1=;byteHardLimit=200;countHardLimit=15", "countHardLimit=9", "byteHardLimit=90,count=1",
	}[d.IntN(4)]
}

// flags are persistent half of the time; ephemerals stop a tree's growth.
func (d dice) flags() int32 { return []int32{0, 0, 0, 1, 2, 3}[d.IntN(6)] }

func (d dice) request() request {
	path, watch := d.path(), d.IntN(3) == 0
	kinds := 19
	if d.tame {
		kinds = 17 // no multis, and no quotas, which count what is applied
	}
	switch d.IntN(kinds) {
	case 0, 1, 2:
		return request{proto.OpCreate, &proto.CreateRequest{Path: path, Data: d.data(), ACL: d.acl(), Flags: d.flags()}}
	case 3, 4:
		return request{proto.OpCreate2, &proto.CreateRequest{Path: path, Data: d.data(), ACL: d.acl(), Flags: d.flags()}}
	case 5, 6:
		return remove(path, d.version())
	case 7, 8:
		return request{proto.OpSetData, &proto.SetDataRequest{Path: path, Data: d.data(), Version: d.version()}}
	case 9:
		return setACL(path, d.version(), d.acl()...)
	case 10:
		return getACL(path)
	case 11:
		return read(proto.OpExists, path, watch)
	case 12:
		return read(proto.OpGetData, path, watch)
	case 13:
		return read(proto.OpGetChildren, path, watch)
	case 14:
		return read(proto.OpGetChildren2, path, watch)
	case 15:
		return createContainer(path, d.data())
	case 16:
		return createTTL(path, d.data(), 5+int32(d.IntN(2)), []int64{1 << 35, 1 << 35, 0, -1}[d.IntN(4)])
	case 17:
		return get(quotaOf(d.root) + "/zookeeper_stats")
	}
	var ops []proto.MultiOp
	for range d.IntN(5) {
		typ := []proto.Op{proto.OpCreate, proto.OpCreate, proto.OpDelete, proto.OpSetData, proto.OpCheck}[d.IntN(5)]
		ops = append(ops, proto.MultiOp{
			Type: typ, Path: d.path(), Data: d.data(), ACL: proto.WorldAll(), Flags: d.flags(), Version: d.version(),
		})
		if o := &ops[len(ops)-1]; typ == proto.OpCreate && d.IntN(4) == 0 {
			o.Flags = proto.FlagContainer
		}
	}
	return multi(ops...)
}

// pipe plays requests on one connection with many of them outstanding. The dice are tame, for two things depend on how
// many writes Java's server has applied: what it believes of pending changes after a failed multi, and which ACL it
// goes by after a setACL, whose pending record it gives the old list.
func (y *story) pipe(d dice) {
	y.lines = append(y.lines, "pipe "+d.root)
	p := y.session(10000)
	y.all(p, create(d.root, "", 0))
	p.withZxid = false
	const window = 40
	var asked []request
	for range requestsPerSeed {
		r := d.request()
		asked = append(asked, r)
		p.submit(r.op, r.body)
		if len(p.sent) == window {
			for range 1 + d.IntN(window) {
				y.tell(fmt.Sprintf("%v %.120s", asked[0].op, fmt.Sprintf("%+v", asked[0].body)), p.answer())
				asked = asked[1:]
			}
		}
	}
	for _, r := range asked {
		y.tell(fmt.Sprintf("%v %.120s", r.op, fmt.Sprintf("%+v", r.body)), p.answer())
	}
	p.anyOrder = true
	y.do(p, proto.OpCloseSession, nil)
}
