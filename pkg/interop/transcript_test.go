//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// changing is what differs between two runs of the same program.
var changing = []struct {
	what *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ (?:19|20)\d\d`), "TIME"},
	{regexp.MustCompile(`0x[0-9a-f]{10,}`), "SESSION"},
	{regexp.MustCompile(regexp.QuoteMeta(host) + `:\d+`), "SERVER"},
	{regexp.MustCompile(`(?m)^SLF4J: .*\n`), ""},
}

// A deviation is a difference that is documented.
type deviation struct {
	side string
	what *regexp.Regexp
	into string
	used bool
}

func deviations(t *testing.T, file string) (all []*deviation) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "java", field == "ours":
			all = append(all, &deviation{side: field, what: regexp.MustCompile(value)})
		case field == "into":
			all[len(all)-1].into = strings.ReplaceAll(value, `\n`, "\n")
		case line != "" && line[0] != '#':
			t.Fatalf("%s: %q", file, line)
		}
	}
	return all
}

// An answer is what a program prints for a command; events come from another thread of it, in any order.
type answer struct {
	text   string
	events []string
}

// An event is printed in two pieces.
var (
	eventHead = regexp.MustCompile(`\nWATCHER::\n`)
	eventBody = regexp.MustCompile(`\n(WatchedEvent [^\n]*)\n`)
)

func parseAnswer(text, side string, documented []*deviation) (a answer) {
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.to)
	}
	for _, d := range documented {
		if d.side == side && d.what.MatchString(text) {
			text, d.used = d.what.ReplaceAllString(text, d.into), true
		}
	}
	for _, m := range eventBody.FindAllStringSubmatch(text, -1) {
		a.events = append(a.events, m[1])
	}
	slices.Sort(a.events)
	a.text = eventBody.ReplaceAllString(eventHead.ReplaceAllString(text, ""), "")
	return a
}

// TestZkCliTranscript has zabctl, called as zkCli.sh, and ZooKeeper's own zkCli run the same long session, each with a new
// server. What they print differs in what testdata/zkcli-differences.txt documents, each item of which there is.
func TestZkCliTranscript(t *testing.T) {
	t.Parallel()
	needTool(t, zkCliScript, javaInstall)
	script := filepath.Join(t.TempDir(), "zkCli.sh")
	if out, err := exec.Command("go", "build", "-o", script, "github.com/zabd/zabd/cmd/zabctl").CombinedOutput(); err != nil {
		t.Fatalf("build zabctl: %v\n%s", err, out)
	}
	session, err := os.ReadFile("../shell/testdata/session.txt")
	if err != nil {
		t.Fatal(err)
	}
	commands := []string{""} // the first answer is what is said at the start
	for _, m := range regexp.MustCompile(`(?m)^> (.*)$`).FindAllStringSubmatch(string(session), -1) {
		commands = append(commands, m[1])
	}
	documented := deviations(t, "testdata/zkcli-differences.txt")
	ours := converse(t, script, "ours", commands, documented, nil)
	java := converse(t, zkCliScript, "java", commands, documented, ours)
	for i := range ours {
		if ours[i].text != java[i].text || !slices.Equal(ours[i].events, java[i].events) {
			t.Errorf("zabctl:\n%s%q\nzkCli:\n%s%q", ours[i].text, ours[i].events, java[i].text, java[i].events)
		}
	}
	for _, d := range documented {
		if !d.used {
			t.Errorf("there is no such difference: %s: %s", d.side, d.what)
		}
	}
}

// converse types the commands and returns the answers, each with the command before it. A command that fails marks
// the end of each; the events that the other program has printed are waited for.
func converse(t *testing.T, program, side string, commands []string, documented []*deviation, other []answer) (all []answer) {
	t.Helper()
	s := serveWith(t, underTest, "admin.enableServer=false\n")
	p := startProcess(t, []string{program, "-server", s.addr, "-timeout", "20000", "-waitforconnection"}, "CLIENT_JVMFLAGS="+strings.Join(jvm, " "))
	end := regexp.MustCompile("Command index out of range\n")
	for i, command := range commands {
		patterns := []*regexp.Regexp{end}
		if other != nil {
			for _, e := range other[i].events {
				patterns = append(patterns, regexp.MustCompile(regexp.QuoteMeta(e)+".*\n"))
			}
		}
		if command != "" {
			p.send(t, strings.ReplaceAll(command, "SERVER", s.addr))
		}
		p.send(t, "redo 99999")
		text := p.expect(t, patterns...)
		all = append(all, parseAnswer("> "+command+"\n"+end.ReplaceAllString(text, ""), side, documented))
	}
	p.send(t, "quit")
	_, _ = p.wait(t)
	return all
}
