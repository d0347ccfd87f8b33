//go:build interop

package interop

import (
	"regexp"
	"testing"
)

// TestCShell drives cli_mt, the shell that comes with the C library.
func TestCShell(t *testing.T) {
	t.Parallel()
	const shell = "/usr/lib/zookeeper/bin/cli_mt"
	needTool(t, shell, "apt-get install -y zookeeper-bin")
	s := serve(t, underTest)
	p := startProcess(t, []string{shell, s.addr})
	p.expect(t, regexp.MustCompile(`state = CONNECTED_STATE`))
	for _, step := range []struct {
		command string
		answers []string // in any order
	}{
		{"create /c", []string{`\[/c\]: rc = 0\n\tname = /c\n`}},
		{"set /c data", []string{`/c: rc = 0 Stat:`, `version=1\taversion=0\n\tephemeralOwner = 0\n`}},
		{"get /c", []string{`/c: rc = 0\n value_len = 4\ndata\n`, `ephemeralOwner = 0\n`}},
		{"create +e /c/e", []string{`name = /c/e\n`}},
		{"create +s /c/s-", []string{`name = /c/s-0000000001\n`}},
		{"create +es /c/es-", []string{`name = /c/es-0000000002\n`}},
		{"create2 +s /c/s-", []string{`name = /c/s-0000000003\n`, `version=0\taversion=0\n\tephemeralOwner = 0\n`}},
		{"create /c", []string{`\[/c\]: rc = -110\n`}},
		{"create /c/e/x", []string{`\[/c/e/x\]: rc = -108\n`}},
		{"delete /c", []string{`/c: rc = -111\n`}},
		{"get /none", []string{`/none: rc = -101\n`}},
		{"wexists /late", []string{`Error -101 for /late\n`}},
		{"create /late", []string{`CREATED_EVENT state = CONNECTED_STATE for path /late\n`, `name = /late\n`}},
		{"wexists /late", nil}, // it says nothing about a node that is there
		{"delete /late", []string{`DELETED_EVENT state = CONNECTED_STATE for path /late\n`, `/late: rc = 0\n`}},
		{"ls2 /c", []string{`\te\n`, `\ts-0000000001\n`, `\tes-0000000002\n`, `\ts-0000000003\n`}},
		{"sync /c", []string{`\[/c\]: rc = 0\n\tname = /c\n`}},
		{"delete /c/e", []string{`/c/e: rc = 0\n`}},
		{"exists /c/e", []string{`Error -101 for /c/e\n`}},
	} {
		var patterns []*regexp.Regexp
		for _, a := range step.answers {
			patterns = append(patterns, regexp.MustCompile(a))
		}
		p.send(t, step.command)
		p.expect(t, patterns...)
	}
	p.send(t, "quit")
	mustSucceed(t, p)
}
