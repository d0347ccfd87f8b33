package admin

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

//go:generate go test -run TestTheManualOfCommands -update .

var update = flag.Bool("update", false, "write docs/admin.md")

const manual = "../../docs/admin.md"

// shownBy are the tests of this package that look at a word or a command, besides those of the shapes of all.
var shownBy = map[string]string{
	"crst": "TestResets", "srst": "TestResets", "stmk": "TestTraceMask", "gtmk": "TestTraceMask",
	"cons": "TestSessionIdsStayHidden", "dump": "TestSessionIdsStayHidden", "wchc": "TestSessionIdsStayHidden", "wchp": "TestSessionIdsStayHidden",
	"snapshot": "TestGuardedCommandsAnswerAsZooKeeper", "restore": "TestGuardedCommandsAnswerAsZooKeeper",
	"shed_connections": "TestShedRefusesNonsense", "initial_configuration": "TestSessionIdsOnlyOnTheControlSocket",
	"connections": "TestSessionIdsOnlyOnTheControlSocket", "watches": "TestSessionIdsOnlyOnTheControlSocket",
}

// TestTheManualOfCommands: docs/admin.md lists what is served. Write it with go generate.
func TestTheManualOfCommands(t *testing.T) {
	var b strings.Builder
	b.WriteString(manualHead)
	yes := map[bool]string{true: "yes", false: ""}
	for _, w := range words {
		tests := strings.TrimSpace("TestShapes " + shownBy[w.name])
		fmt.Fprintf(&b, "| %s | %s | %s |\n", w.name, yes[w.always], strings.ReplaceAll(tests, " ", ", "))
	}
	b.WriteString(manualCommands)
	for i := range commands {
		c := &commands[i]
		tests := strings.TrimSpace("TestCommandsHaveTheShapesOfZooKeeper " + shownBy[c.name])
		if c.name == "shed_connections" { // newer than the recordings
			tests = "TestNothingChangesOverTCPWithoutAuthentication " + shownBy[c.name]
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", c.name, strings.ReplaceAll(c.aliases, " ", ", "), c.method(), yes[c.changes], yes[!c.serving],
			strings.ReplaceAll(tests, " ", ", "))
	}
	if *update {
		if err := os.WriteFile(manual, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(manual); err != nil || string(got) != b.String() {
		t.Errorf("%s is stale (%v): go generate ./pkg/admin", manual, err)
	}
	source := ""
	for _, file := range []string{"fourletter_test.go", "http_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source += string(text)
	}
	for name, test := range shownBy {
		if !strings.Contains(source, "func "+test+"(t *testing.T)") {
			t.Errorf("%s: there is no %s", name, test)
		}
	}
}

const manualHead = `# Words and commands

This file is made by ` + "`go generate ./pkg/admin`" + ` of what is served. The answers are ZooKeeper 3.9's, compared with its recordings for
every role by the tests named here, which are those of package admin.

## Four-letter words

On the client port, as the first bytes of a connection, as far as 4lw.commands.whitelist allows them; srvr always. While clients are not
served most answer with a sentence that says so. Sessions are named by aliases.

| word | also while clients are not served | shown by |
| --- | --- | --- |
`

const manualCommands = `
## Commands

By HTTP below admin.commandURL, on the control socket and over TCP (see [operations.md](operations.md)). What changes something asks
over TCP for authentication.

| command | also called | method | changes something | also while clients are not served | shown by |
| --- | --- | --- | --- | --- | --- |
`
