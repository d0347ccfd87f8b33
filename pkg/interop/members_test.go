//go:build interop

package interop

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestMembersChangeByRestarts lets three servers become four and four become three as sites do that have no reconfig: by
// another list in zoo.cfg and one restart after the other, the leader last, while guests write. The new server starts
// first, with the list that it is in, and follows as one that does not count; it is what those need who count four voters
// already while the leader counts three. The one that is to go does not lead, and runs until nobody counts it.
func TestMembersChangeByRestarts(t *testing.T) {
	for _, kinds := range []string{"zabd zabd zabd zabd", "zabd java zabd java", "zabd zabd zabd zabd:observer"} {
		t.Run(kinds, func(t *testing.T) {
			t.Parallel()
			e := assemble(t, kinds, 100000)
			stay, fourth := e.members[:3], e.members[3]
			without := map[*member]string{}
			for _, m := range stay {
				without[m] = string(fourthLine.ReplaceAll(readFile(t, m.cfg), nil))
			}
			with := map[*member]string{}
			for _, m := range stay {
				with[m] = string(readFile(t, m.cfg))
				writeFile(t, m.cfg, without[m])
			}
			e.start(stay...)
			e.start(fourth)
			c := gather(e)
			c.work()
			e.relist(c, stay, with)
			c.agree()
			c.work()
			if leader := e.leader(); leader == fourth {
				e.stop(fourth)
				e.settle()
				e.start(fourth)
			}
			fourth.serving.Store(false) // while the leader restarts, those who count four voters are too few for it
			e.relist(c, stay, without)
			c.rest()
			c.end()
			e.stop(fourth)
			e.members = stay
			tree := e.sameTree()
			for _, check := range c.checks {
				if err := check(tree); err != nil {
					e.fatalf("%v", err)
				}
			}
		})
	}
}

var fourthLine = regexp.MustCompile(`(?m)^server\.4=.*\n`)

// relist restarts members with other settings, the leader last, each while the ensemble serves.
func (e *ensemble) relist(c *crowd, members []*member, cfg map[*member]string) {
	e.t.Helper()
	for _, m := range e.leaderLast() {
		if !slices.Contains(members, m) {
			continue
		}
		c.busy()
		e.stop(m)
		writeFile(e.t, m.cfg, cfg[m])
		c.busy() // the others go on
		e.start(m)
		e.t.Logf("server %d of %s has its new list; %d leads", m.id, m.kind.name(), e.leader().id)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
