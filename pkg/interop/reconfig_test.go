//go:build interop

package interop

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	zauth "github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/wire"
)

// elastic is an ensemble whose members change while they run. zoo.cfg has those of the beginning, and each server's own
// line.
type elastic struct {
	*ensemble
	lines map[int]string // server.N=..., as a voter
}

// assembleElastic makes an ensemble of which the last server is none of the beginning.
func assembleElastic(t *testing.T, kinds string) *elastic {
	t.Helper()
	c := &elastic{assemble(t, kinds, 100_000), map[int]string{}}
	for _, m := range c.members {
		cfg := string(readFile(t, m.cfg))
		for _, line := range regexp.MustCompile(`(?m)^server\.(\d+)=.*$`).FindAllStringSubmatch(cfg, -1) {
			id, _ := strconv.Atoi(line[1])
			c.lines[id] = line[0] + ":participant;" + c.members[id-1].addr
		}
	}
	for _, m := range c.members {
		cfg := regexp.MustCompile(`(?m)^(server|clientPort).*\n`).ReplaceAllString(string(readFile(t, m.cfg)), "")
		cfg += "reconfigEnabled=true\nDigestAuthenticationProvider.superDigest=" + zauth.Digest(0, "super:pw") + "\n"
		for id := 1; id <= len(c.members); id++ {
			if id < len(c.members) || id == m.id {
				cfg += c.lines[id] + "\n"
			}
		}
		writeFile(t, m.cfg, cfg)
	}
	return c
}

// config is what a member shows of the members; "" while it does not serve.
func (m *member) config(t *testing.T) string {
	conn, err := wire.Dial(t.Context(), m.addr, wire.Options{})
	if err != nil {
		return ""
	}
	defer conn.Close()
	data, _, err := conn.Get(t.Context(), tree.ConfigPath, false)
	if err != nil {
		return ""
	}
	return string(data)
}

// shows waits until servers show a list: lines, and the same version.
func (c *elastic) shows(lines []string, members ...*member) {
	c.t.Helper()
	var seen []string
	c.await(fmt.Sprintf("all show %q", lines), func() bool {
		seen = seen[:0]
		for _, m := range members {
			seen = append(seen, m.config(c.t))
		}
		list, _, _ := strings.Cut(seen[0], "\nversion=")
		return list == strings.Join(lines, "\n") && len(slices.Compact(slices.Clone(seen))) == 1
	})
}

func (c *elastic) list(ids ...int) (lines []string) {
	for _, id := range ids {
		lines = append(lines, c.lines[id])
	}
	return lines
}

// works writes by each member, and reads at each what all have written.
func (c *elastic) works(turn string, members ...*member) {
	c.t.Helper()
	ctx := c.t.Context()
	for _, m := range members {
		conn := ourClient(c.t, m.addr, client.Options{Timeout: longSession})
		if _, _, err := conn.Create(ctx, fmt.Sprintf("/%s-%d", turn, m.id), nil, client.ModePersistent); err != nil && !errors.Is(err, client.ErrNodeExists) {
			c.fatalf("%s: server %d: %v", turn, m.id, err)
		}
	}
	for _, m := range members {
		conn := ourClient(c.t, m.addr, client.Options{Timeout: longSession})
		if err := conn.Sync(ctx, "/"); err != nil {
			c.fatalf("%s: server %d: %v", turn, m.id, err)
		}
		for _, by := range members {
			if _, there, err := conn.Exists(ctx, fmt.Sprintf("/%s-%d", turn, by.id)); err != nil || !there {
				c.fatalf("%s: server %d lacks what was written by %d: %v", turn, m.id, by.id, err)
			}
		}
	}
}

// TestReconfigBesideJava: servers of both kinds in one ensemble, either leading, add and remove each other by everybody's
// clients; the leader is removed, a server observes for a while, all are killed and started again, and each kind goes on
// with what the other has left of the list of members.
func TestReconfigBesideJava(t *testing.T) {
	for _, kinds := range []string{"java zabd java zabd", "zabd java zabd java"} { // server 2 leads at first
		t.Run(kinds, func(t *testing.T) {
			t.Parallel()
			c := assembleElastic(t, kinds)
			all := c.members
			s1, s2, s3, s4 := all[0], all[1], all[2], all[3]
			c.start(s1, s2)
			if leader := c.leader(); leader != s2 {
				c.fatalf("server %d leads", leader.id)
			}
			c.start(s3, s4) // 4 follows, and is no member
			c.shows(c.list(1, 2, 3), all...)

			z := startZKCli(t, s1.server, 10000)
			z.do(t, "addauth digest super:pw")
			if said := z.do(t, "reconfig -add "+c.lines[4]); !strings.Contains(said, "Committed new configuration:\n"+strings.Join(c.list(1, 2, 3, 4), "\n")) {
				c.fatalf("zkCli: %s", said)
			}
			z.kill()
			c.shows(c.list(1, 2, 3, 4), all...)
			c.works("joined", all...)

			kazoo := startProcess(t, []string{"/usr/bin/python3", testdata(t, "kazoo_reconfig.py"), s4.addr, "-", "2"})
			if out, err := kazoo.wait(t); err != nil || !strings.Contains(out, strings.Join(c.list(1, 3, 4), "\n")+"\nversion=") {
				c.fatalf("kazoo: %v\n%s", err, out)
			}
			rest := []*member{s1, s3, s4}
			c.shows(c.list(1, 3, 4), rest...)
			c.await("another leads", func() bool {
				leader := c.leader()
				return leader != s2 && slices.Contains(rest, leader)
			})
			c.works("without-2", rest...)

			own := ourClient(t, s3.addr, client.Options{Timeout: longSession, Auth: []client.Auth{{Scheme: "digest", Credential: []byte("super:pw")}}})
			back := strings.Replace(c.lines[2], ":participant", ":observer", 1)
			if _, _, err := own.Reconfig(t.Context(), back, "", "", -1); err != nil {
				c.fatalf("our client: %v", err)
			}
			c.shows([]string{c.lines[1], back, c.lines[3], c.lines[4]}, rest...)
			s2.observer = true
			c.await("server 2 observes", func() bool { return s2.mode() == "observer" })
			leaves := s1
			if c.leader() == s1 {
				leaves = s3
			}
			if code, out, said := zabctl("zabctl", "reconfig", "--server", s4.addr, "--auth", "digest:super:pw", "--add", c.lines[2], "--remove", strconv.Itoa(leaves.id)); code != 0 {
				c.fatalf("zabctl: %d, %s%s", code, out, said)
			}
			s2.observer = false
			voters := slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return m == leaves })
			list := slices.DeleteFunc(c.list(1, 2, 3, 4), func(line string) bool { return line == c.lines[leaves.id] })
			c.shows(list, voters...)
			c.works("without-another", voters...)

			c.kill(all...)
			c.exchange(voters)
			c.start(voters...)
			c.settle()
			c.shows(list, voters...)
			c.works("again", voters...)
		})
	}
}

// exchange makes servers that are down those of the other kind: the first two that are not of the same.
func (c *elastic) exchange(members []*member) {
	c.t.Helper()
	a := members[0]
	b := members[slices.IndexFunc(members, func(m *member) bool { return m.kind != a.kind })]
	a.kind, b.kind = b.kind, a.kind
	for _, m := range []*member{a, b} {
		if m.kind.name() != "java" {
			continue // zoo.cfg names the file that Java has written last
		}
		cfg := regexp.MustCompile(`(?m)^server.*\n`).ReplaceAllString(string(readFile(c.t, m.cfg)), "")
		writeFile(c.t, m.cfg, cfg+"dynamicConfigFile="+filepath.Join(m.data, "zoo.cfg.dynamic")+"\n")
	}
}
