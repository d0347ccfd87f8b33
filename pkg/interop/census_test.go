//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// node is all that a client can learn of a node.
type node struct {
	data string
	stat proto.Stat
	acl  string
}

func (n node) content() content {
	return content{n.data, n.stat.Version, n.stat.Aversion, n.stat.EphemeralOwner}
}

// nodes is a tree, by path.
type nodes map[string]node

// tree reads everything that a member holds, once it has all that was committed before.
func (e *ensemble) tree(m *member) nodes {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	c, err := wire.Dial(ctx, m.addr, wire.Options{})
	if err != nil {
		e.fatalf("server %d: %v", m.id, err)
	}
	defer c.Close()
	found := nodes{}
	err = errors.Join(c.Sync(ctx, "/"), walk(ctx, c, []string{"/"}, found), c.CloseSession(ctx))
	if err != nil {
		e.fatalf("walk the tree of server %d: %v", m.id, err)
	}
	return found
}

// walk reads the nodes and what is below them, a level at a time.
func walk(ctx context.Context, c *wire.Conn, level []string, found nodes) error {
	var below []string
	type answers struct {
		data  proto.DataReply
		acl   proto.ACLReply
		names proto.ChildrenReply
		calls []*wire.Call
	}
	asked := make([]answers, len(level))
	for i, path := range level {
		a := &asked[i]
		a.calls = append(a.calls, c.Go(proto.OpGetData, &proto.ReadRequest{Path: path}, &a.data),
			c.Go(proto.OpGetACL, &proto.PathRequest{Path: path}, &a.acl),
			c.Go(proto.OpGetChildren, &proto.ReadRequest{Path: path}, &a.names))
	}
	for i, path := range level {
		a := &asked[i]
		for _, call := range a.calls {
			if _, err := c.Wait(ctx, call); err != nil {
				return fmt.Errorf("%v %s: %w", call.Op, path, err)
			}
		}
		found[path] = node{string(a.data.Data), a.data.Stat, fmt.Sprint(a.acl.ACL)}
		for _, name := range a.names.Names {
			below = append(below, strings.TrimSuffix(path, "/")+"/"+name)
		}
	}
	if len(below) == 0 {
		return nil
	}
	return walk(ctx, c, below, found)
}

// sameTree compares the trees of all members and returns it.
func (e *ensemble) sameTree() nodes {
	e.t.Helper()
	first := e.tree(e.members[0])
	for _, m := range e.members[1:] {
		other := e.tree(m)
		paths := maps.Clone(first)
		maps.Copy(paths, other)
		var differ []string
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			a, b := first[path], other[path]
			if path == "/zookeeper/config" {
				a.stat.Mtime, b.stat.Mtime = 0, 0 // each member writes it for itself when it starts
			}
			if a != b {
				differ = append(differ, fmt.Sprintf("%s\nserver %d: %+v\nserver %d: %+v", path, e.members[0].id, first[path], m.id, other[path]))
			}
		}
		if len(differ) > 0 {
			e.fatalf("%d nodes differ:\n%s", len(differ), strings.Join(differ[:min(len(differ), 10)], "\n"))
		}
	}
	return first
}

// sameDigests fails when a member comes to another digest than the leader writes into the txns. A tree that differs
// raises an alarm with every txn, so it is found with the next. Alarms of the past count for nothing, for Java raises
// some by itself when it starts: a snapshot that it took under load can hold more than its trailer says, and a learner of
// 3.8.0 that has to synchronise twice logs the same txns twice.
func (e *ensemble) sameDigests() {
	e.t.Helper()
	before := map[*member]int{}
	for _, m := range e.members {
		before[m] = m.metric("digest_mismatches_count")
	}
	leader := e.leader()
	e.furnish(leader, map[string]string{fmt.Sprintf("/digest%x", leader.zxid()): ""})
	last := leader.zxid()
	for _, m := range e.members {
		e.await(fmt.Sprintf("server %d has applied %#x", m.id, last), func() bool { return m.zxid() >= last })
		if n := m.metric("digest_mismatches_count"); n < 0 || n != before[m] {
			e.fatalf("server %d (%s): digest_mismatches_count went from %d to %d with 3 txns", m.id, m.kind.name(), before[m], n)
		}
	}
}

var sessionIDs = regexp.MustCompile(`(?m)^\t?0x([0-9a-f]+)`)

// sameSessions waits until each member lists these sessions and no others: closing one takes its time. zabd shows nobody
// who asks by a word their ids, but a name for each; of them the number is compared.
func (e *ensemble) sameSessions(want []int64) {
	e.t.Helper()
	slices.Sort(want)
	for _, m := range e.members {
		var got []int64
		e.await(fmt.Sprintf("server %d knows %d sessions", m.id, len(want)), func() bool {
			text, err := m.word("dump")
			text, _, found := strings.Cut(text, "ephemeral nodes dump:")
			if err != nil || !found {
				return false
			}
			got = got[:0]
			for _, match := range sessionIDs.FindAllStringSubmatch(text, -1) {
				id, err := strconv.ParseUint(match[1], 16, 64)
				if err != nil {
					return false
				}
				got = append(got, int64(id))
			}
			slices.Sort(got)
			if m.kind.name() == "zabd" {
				return len(slices.Compact(got)) == len(want)
			}
			return slices.Equal(got, want)
		})
	}
}
