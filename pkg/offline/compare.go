package offline

import (
	"bytes"
	"slices"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// A Difference is one between the nodes of two snapshots that have the same path.
type Difference struct {
	Path   string   `json:"path"`
	Change string   `json:"change"`           // added, removed or changed: to come from the first to the second
	Fields []string `json:"fields,omitempty"` // of what has changed: data, acl, kind, or a field of Stat
}

// Compare calls f with the differences between two snapshots in the order of a walk, and says how many there are. What
// lies below an added or removed node is given as well.
func Compare(from, to *Snapshot, f func(Difference) error) (count int, err error) {
	c := comparison{from: from, to: to, f: f}
	a, _ := from.Tree.Find("")
	b, _ := to.Tree.Find("")
	err = c.both("", a, b)
	return c.count, err
}

type comparison struct {
	from, to *Snapshot
	f        func(Difference) error
	count    int
}

func (c *comparison) tell(d Difference) error {
	c.count++
	if d.Path == "" {
		d.Path = "/"
	}
	return c.f(d)
}

// both compares a node that both have, and what is below it.
func (c *comparison) both(path string, a, b tree.Ref) error {
	if fields := c.fields(a, b); len(fields) > 0 {
		if err := c.tell(Difference{path, "changed", fields}); err != nil {
			return err
		}
	}
	left, right := c.from.children(a), c.to.children(b)
	for len(left)+len(right) > 0 {
		var err error
		switch {
		case len(right) == 0 || len(left) > 0 && left[0] < right[0]:
			err = c.one(c.from, path+"/"+left[0], "removed")
			left = left[1:]
		case len(left) == 0 || right[0] < left[0]:
			err = c.one(c.to, path+"/"+right[0], "added")
			right = right[1:]
		default:
			below := path + "/" + left[0]
			x, _ := c.from.Tree.Find(below)
			y, _ := c.to.Tree.Find(below)
			err = c.both(below, x, y)
			left, right = left[1:], right[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// one tells of a node that one snapshot has, and what is below it.
func (c *comparison) one(s *Snapshot, path, change string) error {
	return s.walk(path, func(path string, _ tree.Ref, _ int) error { return c.tell(Difference{Path: path, Change: change}) })
}

func (c *comparison) fields(a, b tree.Ref) []string {
	var fields []string
	add := func(differ bool, name string) {
		if differ {
			fields = append(fields, name)
		}
	}
	x, y := c.from.Tree.Data(a), c.to.Tree.Data(b)
	add(!bytes.Equal(x, y) || (x == nil) != (y == nil), "data")
	add(!slices.Equal(c.from.Tree.ACL(a), c.to.Tree.ACL(b)), "acl")
	s, t := c.from.Tree.Persisted(a), c.to.Tree.Persisted(b)
	add(s.EphemeralOwner != t.EphemeralOwner, "kind")
	for _, z := range []struct {
		a, b proto.Zxid
		name string
	}{{s.Czxid, t.Czxid, "czxid"}, {s.Mzxid, t.Mzxid, "mzxid"}, {s.Pzxid, t.Pzxid, "pzxid"}} {
		add(z.a != z.b, z.name)
	}
	add(s.Ctime != t.Ctime, "ctime")
	add(s.Mtime != t.Mtime, "mtime")
	add(s.Version != t.Version, "version")
	add(s.Cversion != t.Cversion, "cversion")
	add(s.Aversion != t.Aversion, "aversion")
	return fields
}
