package tree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// TestOwners reads owners as ZooKeeper does by its settings, and refuses what it refuses to load.
func TestOwners(t *testing.T) {
	const ttl = -1<<56 | 5000
	for _, c := range []struct {
		name  string
		types Types
		owner int64
		want  kind
		bad   bool
	}{
		{"nobody", Types{}, 0, plain, false},
		{"session", Types{}, 0x0100_0000_0000_0001, ephemeral, false},
		{"session of server 254", Types{}, -2<<56 | 7, ephemeral, false},
		{"container", Types{}, proto.ContainerOwner, container, false},
		{"time", Types{}, ttl, timed, false},
		{"time with a bit that is kept for later", Types{}, ttl | 1<<40, timed, true},
		{"time, extended types off", Types{NoTTL: true}, ttl, ephemeral, false},
		{"kept bit, extended types off", Types{NoTTL: true}, ttl | 1<<40, ephemeral, false},
		{"container, extended types off", Types{NoTTL: true}, proto.ContainerOwner, container, false},
		{"time of 3.5.3", Types{}, proto.ContainerOwner | 5000, ephemeral, false},
		{"time of 3.5.3, emulated", Types{TTL353: true}, proto.ContainerOwner | 5000, timed, false},
		{"time, 3.5.3 emulated", Types{TTL353: true}, ttl, timed, false},
		{"kept bit, 3.5.3 emulated", Types{TTL353: true}, ttl | 1<<40, timed, false},
		{"container, 3.5.3 emulated", Types{TTL353: true}, proto.ContainerOwner, container, false},
		{"time of 3.5.3, emulated, extended types off", Types{NoTTL: true, TTL353: true}, proto.ContainerOwner | 5000, ephemeral, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.types.kind(c.owner); got != c.want {
				t.Errorf("the owner %#x makes kind %d, want %d", uint64(c.owner), got, c.want)
			}
			tr := Empty()
			tr.Types = c.types
			err := errors.Join(tr.LoadNode("", nil, -1, &proto.StatPersisted{}), tr.LoadNode("/n", nil, -1, &proto.StatPersisted{EphemeralOwner: c.owner}))
			if errors.Is(err, ErrBadTTL) != c.bad || err != nil && !c.bad {
				t.Errorf("load = %v", err)
			}
		})
	}
}

func createTTL(z int64, path string, ttl int64) *txn.Txn {
	return txnAt(z, proto.OpCreateTTL, txn.Body{Path: path, ACL: proto.WorldAll(), ParentCVersion: int32(z), TTL: ttl})
}

func createContainer(z int64, path string) *txn.Txn {
	return txnAt(z, proto.OpCreateContainer, txn.Body{Path: path, ACL: proto.WorldAll(), ParentCVersion: int32(z)})
}

// outlived looks through all, limit at a time.
func (t *Tree) outlived(limit int, now, neverUsed int64) []string {
	var paths []string
	for end := t.TransientCount(); end > 0; {
		paths, end = t.Outlived(paths, end, limit, now, neverUsed)
	}
	slices.Sort(paths)
	return paths
}

// TestOutlived: nodes are made at 1000 ms and their zxid; age counts from the last write, and must be larger.
func TestOutlived(t *testing.T) {
	tr := New()
	var r Result
	for _, x := range []*txn.Txn{
		createContainer(1, "/new"),
		createContainer(2, "/used"), create(3, "/used/c", 1), txnAt(4, proto.OpDelete, txn.Body{Path: "/used/c"}),
		createContainer(5, "/busy"), create(6, "/busy/c", 1),
		createTTL(10, "/short", 100), createTTL(11, "/long", 100_000),
		createTTL(12, "/parent", 100), create(13, "/parent/c", 1),
		createTTL(14, "/emptied", 100), create(15, "/emptied/c", 1), txnAt(16, proto.OpDelete, txn.Body{Path: "/emptied/c"}),
		createTTL(17, "/written", 100), txnAt(60, proto.OpSetData, txn.Body{Path: "/written", Version: 1}),
		txnAt(61, proto.OpCreate, txn.Body{Path: "/mine", ACL: proto.WorldAll(), Ephemeral: true, ParentCVersion: 61}),
	} {
		if tr.Apply(x, &r); r.Code != proto.OK {
			t.Fatalf("%+v: %v", x, r.Code)
		}
	}
	for _, c := range []struct {
		now, neverUsed int64
		want           string
	}{
		{1110, 0, "/used"},
		{1111, 0, "/short /used"},
		{1115, 0, "/emptied /short /used"},
		{1160, 0, "/emptied /short /used"},
		{1161, 0, "/emptied /short /used /written"},
		{1161, 160, "/emptied /short /used /written"},
		{1162, 160, "/emptied /new /short /used /written"},
		{900, 10, "/used"},
		{1 << 40, 0, "/emptied /long /short /used /written"},
	} {
		for _, limit := range []int{1, 3, 100} {
			if got := strings.Join(tr.outlived(limit, c.now, c.neverUsed), " "); got != c.want {
				t.Errorf("at %d, %d at a time, never used for %d: %s, want %s", c.now, limit, c.neverUsed, got, c.want)
			}
		}
	}
	tr.check(t)
}

// TestOutlivedWhileTheTreeChanges looks in parts while nodes come and go: who has been there all the time is found.
func TestOutlivedWhileTheTreeChanges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		tr := New()
		var r Result
		z := int64(1)
		stay := map[string]bool{}
		for i := range 100 {
			path := fmt.Sprintf("/n%d", i)
			stay[path] = true
			tr.Apply(createTTL(z, path, 1), &r)
			z++
		}
		var found []string
		for end := tr.TransientCount(); end > 0; {
			found, end = tr.Outlived(found, end, 7, 1<<30, 0)
			for range 5 {
				path := fmt.Sprintf("/n%d", rnd.IntN(100))
				tr.Apply(txnAt(z, proto.OpDeleteContainer, txn.Body{Path: path}), &r)
				delete(stay, path)
				tr.Apply(createTTL(z+1, fmt.Sprintf("/more%d", z), 1), &r)
				z += 2
			}
			tr.check(t)
		}
		for path := range stay {
			if !slices.Contains(found, path) {
				t.Fatalf("%s was there all the time and is not found", path)
			}
		}
	}
}
