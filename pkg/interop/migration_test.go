//go:build interop

package interop

import (
	"slices"
	"testing"
)

// TestMigration replaces three Java servers by zabd, one at a time on their own data, and then back again, while guests
// write through all of them. Each replacement is what an operator does: stop the one, start the other; the leader comes
// last.
func TestMigration(t *testing.T) {
	t.Parallel()
	e := assemble(t, "java java java", 300)
	e.begin()
	c := gather(e)
	for _, k := range []kind{underTest, javaKind{}} {
		for _, m := range e.leaderLast() {
			c.work()
			c.busy()
			e.stop(m)
			m.kind = k
			c.busy() // the two others go on
			e.start(m)
			c.busy()
			c.agree()
			t.Logf("server %d is now %s", m.id, k.name())
		}
	}
	c.leave()
}

func (e *ensemble) leaderLast() []*member {
	e.t.Helper()
	leader := e.leader()
	order := slices.DeleteFunc(slices.Clone(e.members), func(m *member) bool { return m == leader })
	return append(order, leader)
}

// TestClientsMoveAlong kills the server that a client of somebody else's making is attached to. The client knows three:
// it must find its session, its ephemeral and its watches on another.
func TestClientsMoveAlong(t *testing.T) {
	t.Parallel()
	e := assemble(t, "java zabd zabd", 100000)
	e.begin()
	type client struct {
		program
		root string
		proc *process
		at   int // the member's id
	}
	var clients []*client
	for _, p := range programs {
		c := &client{program: p, root: "/" + p.name}
		clients = append(clients, c)
		e.furnish(e.members[0], map[string]string{c.root: ""})
		c.proc = startProcess(t, append(p.argv(t), e.addrs(), "survive", c.root), p.env...)
	}
	for _, c := range clients {
		c.proc.expect(t, ready)
		// A session's id begins with the id of the server that made it.
		c.at = int(e.tree(e.members[0])[c.root+"/mine"].stat.EphemeralOwner >> 56)
	}
	for _, m := range e.members {
		var moving []*client
		for _, c := range clients {
			if c.at == m.id {
				moving = append(moving, c)
			}
		}
		if len(moving) == 0 {
			continue
		}
		e.kill(m)
		e.settle()
		for _, c := range moving {
			c.proc.send(t, "go")
		}
		for _, c := range moving {
			mustSucceed(t, c.proc)
			t.Logf("%s moved away from server %d (%s)", c.name, m.id, m.kind.name())
		}
		e.start(m)
	}
	tree := e.sameTree()
	for _, c := range clients {
		for name, want := range map[string]bool{"mine": false, "watched": true, "new": true} {
			if n, there := tree[c.root+"/"+name]; there != want {
				t.Errorf("%s/%s is there: %v (%+v), want %v", c.root, name, there, n, want)
			}
		}
	}
}
