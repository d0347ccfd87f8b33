//go:build interop

package interop

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// TestJavaTakesOver lets the servers take turns on one directory, each killed in the middle of its life.
func TestJavaTakesOver(t *testing.T) {
	t.Parallel()
	s := serve(t, underTest)
	y := &story{t: t, s: s}
	for i, k := range []kind{underTest, javaKind{}, underTest, javaKind{}, underTest} {
		if i > 0 {
			before := y.dump()
			s.proc.kill()
			s.kind = k
			s.start(t)
			y.lines = nil
			compare(t, y.dump(), before)
			if k == (javaKind{}) {
				s.noDigestMismatch(t)
			}
		}
		d := dice{rand.New(rand.NewPCG(uint64(i), 1)), "/turn" + string(rune('0'+i)), false}
		y.perform(d.root, d.moves())
		open := y.session(20000) // its ephemerals live on, for its client may come back
		y.all(open, create("/left"+string(rune('0'+i)), "", 1), request{proto.OpSync, &proto.PathRequest{Path: "/"}})
	}
}

var names = regexp.MustCompile(`"([^"]+)"`)

// dump describes every node: data, Stat and ACL.
func (y *story) dump() []string {
	p := y.session(10000)
	for on := range 3 {
		p.call(proto.OpAuth, identity(on).body)
	}
	var out []string
	var walk func(path string)
	walk = func(path string) {
		list := p.call(proto.OpGetChildren, &proto.ReadRequest{Path: path})
		for _, r := range []request{get(path), getACL(path)} {
			answer := regexp.MustCompile(`^err (\S+) zxid \S+`).ReplaceAllString(p.call(r.op, r.body), "err $1")
			out = append(out, path+" "+answer)
		}
		var kids []string
		for _, m := range names.FindAllStringSubmatch(list, -1) {
			kids = append(kids, m[1])
		}
		slices.Sort(kids)
		for _, k := range kids {
			walk(strings.TrimSuffix(path, "/") + "/" + k)
		}
	}
	walk("/")
	p.call(proto.OpCloseSession, nil)
	return out
}

// noDigestMismatch fails when a server, replaying the log or applying what its leader sent, came to another digest than
// the txn says.
func (s *server) noDigestMismatch(t *testing.T) {
	t.Helper()
	text, err := s.word("mntr")
	if err != nil || !strings.Contains(text, "zk_digest_mismatches_count\t0\n") {
		t.Fatalf("mntr (%v) of %s does not report zk_digest_mismatches_count 0:\n%s", err, s.kind.name(), text)
	}
}
