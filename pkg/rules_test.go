package pkg

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/exit"
)

const (
	longestFile     = 600
	longestFunction = 70
	longestMain     = 50
)

// each calls f with every Go file of the module.
func each(t *testing.T, f func(path string, text []byte, set *token.FileSet, file *ast.File)) {
	t.Helper()
	for _, top := range []string{".", "../cmd", "../packaging"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, text, parser.ParseComments)
			if err != nil {
				return err
			}
			f(path, text, set, file)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	each(t, func(path string, text []byte, set *token.FileSet, file *ast.File) {
		lines := bytes.Count(text, []byte("\n"))
		if lines > longestFile {
			t.Errorf("%s has %d lines, more than %d", path, lines, longestFile)
		}
		if strings.HasPrefix(path, "../cmd") && lines > longestMain {
			t.Errorf("%s has %d lines: a main has at most %d", path, lines, longestMain)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > longestFunction {
				t.Errorf("%s: %s has %d lines, more than %d", path, f.Name, n, longestFunction)
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: init runs before anyone has said so", path)
			}
		}
	})
}

func TestPackagesSayWhatTheyOwn(t *testing.T) {
	said := map[string]bool{}
	each(t, func(path string, _ []byte, _ *token.FileSet, file *ast.File) {
		dir := filepath.Dir(path)
		said[dir] = said[dir] || file.Doc != nil
	})
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// TestNothingWaitsByTheClock finds sleeps and skips in tests, and clocks and goroutines in pure packages.
func TestNothingWaitsByTheClock(t *testing.T) {
	inTests := map[string]string{"time.Sleep": "sleeps", "t.Skip": "skips", "t.Skipf": "skips", "t.SkipNow": "skips", "b.Skip": "skips"}
	inPure := map[string]string{
		"time.Now": "reads the clock", "time.Since": "reads the clock", "time.After": "waits", "time.NewTimer": "waits",
		"time.NewTicker": "waits", "time.Sleep": "sleeps",
	}
	each(t, func(path string, _ []byte, set *token.FileSet, file *ast.File) {
		test, isPure := strings.HasSuffix(path, "_test.go"), slices.Contains(pure, filepath.Dir(path))
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok && isPure && !test {
				t.Errorf("%v: a pure package starts no goroutine", set.Position(g.Pos()))
			}
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := x.Name + "." + sel.Sel.Name
			if what := inTests[name]; test && what != "" {
				t.Errorf("%v: a test %s", set.Position(sel.Pos()), what)
			}
			if what := inPure[name]; isPure && !test && what != "" {
				t.Errorf("%v: a pure package %s", set.Position(sel.Pos()), what)
			}
			return true
		})
	})
}

// unfinished are the words by which a text says that it is not done. They are spelled in halves, so as not to find
// themselves.
var unfinished = regexp.MustCompile(`(?i)\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK|not (yet )?imple` + `mented|place` + `holder|for n` + `ow)\b`)

// machinePath is a place that only one machine has.
var machinePath = regexp.MustCompile(`(^|[^\w./-])/(work|farm|home|root)/`)

func TestTextsAreFinishedAndFitEveryMachine(t *testing.T) {
	names := []string{"../Makefile", "../README.md", "../ARCHITECTURE.md", "../CHANGELOG.md", "../.ci/run", "../nfpm.yaml"}
	for _, pattern := range []string{"../docs/*", "../packaging/*", "../packaging/*/*", "../ansible/*", "../ansible/roles/*/*/*", "../vagrant/*", "*/*.go", "*.go", "../cmd/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			if m := unfinished.FindString(line); m != "" {
				t.Errorf("%s:%d says %q", name, i+1, m)
			}
			if m := machinePath.FindString(line); m != "" {
				t.Errorf("%s:%d names %q, a place on one machine", name, i+1, m)
			}
		}
	}
}

func TestReadmeNamesTheCommands(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"make run", "make test", "make bench", "make interop", "make packages", "make fuzz", "make e2e"} {
		if !bytes.Contains(readme, []byte(command)) {
			t.Errorf("README.md does not name %q", command)
		}
	}
}

// TestExitCodesAreDocumented compares the table of package exit with the manual and the unit.
func TestExitCodesAreDocumented(t *testing.T) {
	code, err := os.ReadFile("exit/exit.go")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ += (\d+)`).FindAllSubmatch(code, -1) {
		if !bytes.Contains(manual, []byte("| "+string(m[1])+" |")) {
			t.Errorf("docs/operations.md has no row for exit code %s", m[1])
		}
	}
	unit, err := os.ReadFile("../packaging/systemd/zabd.service")
	if err != nil {
		t.Fatal(err)
	}
	want := "RestartPreventExitStatus=" + strings.Trim(fmt.Sprint(exit.Final()), "[]")
	if !bytes.Contains(unit, []byte(want+"\n")) {
		t.Errorf("the unit does not say %s", want)
	}
}
