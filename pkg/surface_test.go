package pkg

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

//go:generate go test -run TestTheManualOfTheSurface -update .

var update = flag.Bool("update", false, "write docs/surface.md")

const surfaceHead = `# ZooKeeper's surface, row by row

This file is made by ` + "`go generate ./pkg`" + ` of testdata/surface.txt and of the tables in config.md, admin.md and metrics.md. Each row has
the test that shows it, or the reason why there is no such thing here.
`

// TestTheManualOfTheSurface: docs/surface.md has every row of ZooKeeper's surface, each with a test that is there and knows the
// row, or with a reason. Write it with go generate.
func TestTheManualOfTheSurface(t *testing.T) {
	rows, err := os.ReadFile("../testdata/surface.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(surfaceHead)
	var answers map[string]string // of the section's file; nil = it has none
	for line := range strings.Lines(string(rows)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "## "):
			title, file, _ := strings.Cut(strings.TrimSuffix(line, ")"), " (docs/")
			answers = tablesOf(t, file)
			fmt.Fprintf(&b, "\n%s\n\n| row | shown by, or why not |\n| --- | --- |\n", title)
		case answers != nil:
			if answers[line] == "" {
				t.Errorf("%s: its manual does not have it", line)
			}
			fmt.Fprintf(&b, "| %s | %s |\n", line, answers[line])
		default:
			cells := strings.Split(line, " | ")
			if why, none := strings.CutPrefix(cells[1], "none: "); none {
				fmt.Fprintf(&b, "| %s | none: %s |\n", cells[0], why)
				continue
			}
			if !knows(t, cells[1], cells[len(cells)-1], cells[0]) {
				t.Errorf("%s: %s is not there, or does not know it", cells[0], cells[1])
			}
			fmt.Fprintf(&b, "| %s | %s |\n", cells[0], cells[1])
		}
	}
	manual := "../docs/surface.md"
	if *update && !t.Failed() {
		if err := os.WriteFile(manual, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(manual); err != nil || string(got) != b.String() {
		t.Errorf("%s is stale (%v): go generate ./pkg", manual, err)
	}
}

// tablesOf returns what the tables of a manual say of each name in their first column: the test in the last one, or why
// there is none. Nil without a file.
func tablesOf(t *testing.T, file string) map[string]string {
	t.Helper()
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join("../docs", file))
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) < 2 {
			continue
		}
		says := strings.TrimSpace(cells[len(cells)-1])
		before := strings.TrimSpace(cells[len(cells)-2])
		switch {
		case len(cells) == 2: // of what there is not
			says = "none: " + says
		case says == "":
			says = strings.Replace(strings.TrimSuffix(before, "."), "None: ", "none: ", 1)
		case says == "config.TestKeysOfLaterReleases":
			says = "closed, and the log says so: " + strings.TrimSuffix(before, ".") + " (" + says + ")"
		case file == "admin.md":
			says = "admin." + strings.ReplaceAll(says, ", ", ", admin.")
		}
		for _, name := range strings.Fields(strings.NewReplacer("<br>also:", " ", ",", " ").Replace(cells[0])) {
			said[name] = says
		}
	}
	return said
}

// knows tells whether there is a test, and its file, or a text among its package's test data, has a word; of a row that
// does not say which, its name, as far as that is one.
func knows(t *testing.T, test, word, row string) bool {
	t.Helper()
	if word == test {
		word = regexp.MustCompile(`[\w./-]*\w`).FindString(row)
	}
	dir, name, _ := strings.Cut(test, ".")
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	there, known := false, false
	data, err := filepath.Glob(filepath.Join(dir, "testdata", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, data...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		mine := bytes.Contains(text, []byte("func "+name+"(t *testing.T)"))
		there = there || mine
		known = known || (mine || strings.HasSuffix(file, ".txt")) && bytes.Contains(text, []byte(word))
	}
	return there && known
}
