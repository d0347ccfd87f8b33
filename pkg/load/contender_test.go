//go:build bench

package load

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
)

var (
	seconds = flag.Float64("load.seconds", 2, "how long each cell is measured")
	rounds  = flag.Int("load.rounds", 1, "how often each cell is measured on each contender, in turn")
	peers   = flag.String("load.peers", "zabd,java", "what is measured")
	program = flag.String("load.zabd", "", "the zabd program; built if empty")
)

// duration is how long each cell is measured.
func duration() time.Duration { return time.Duration(*seconds * float64(time.Second)) }

// contenders makes ready an ensemble of each kind that is asked for, zabd's first, and starts none. They end with the
// test.
func contenders(t *testing.T, servers int, observers ...int) []*lab.Ensemble {
	t.Helper()
	return contendersWith(t, "-Xmx2g", servers, observers...)
}

// contendersWith gives ZooKeeper's servers another heap.
func contendersWith(t *testing.T, javaHeap string, servers int, observers ...int) []*lab.Ensemble {
	t.Helper()
	var out []*lab.Ensemble
	for _, name := range []string{"zabd", "java"} {
		if !strings.Contains(*peers, name) {
			continue
		}
		e, err := lab.New(t.TempDir(), kindOf(t, name, javaHeap), servers, observers...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Kill)
		out = append(out, e)
	}
	return out
}

func kindOf(t *testing.T, name, javaHeap string) lab.Kind {
	t.Helper()
	k, err := lab.Kind{}, error(nil)
	switch {
	case name == "java":
		k, err = lab.Java(javaHeap)
	case *program != "":
		k, err = lab.Zabd(*program)
	default:
		built := filepath.Join(t.TempDir(), "zabd")
		if out, err := exec.Command("go", "build", "-o", built, "../../cmd/zabd").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		k, err = lab.Zabd(built)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// start starts servers of a contender, all if no ids are given.
func start(t *testing.T, e *lab.Ensemble, ids ...int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.Start(ctx, ids...); err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
}

// inSync waits until all servers of a contender have the same.
func inSync(t *testing.T, e *lab.Ensemble) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.InSync(ctx); err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
}

// A goal is a bound that zabd is asked to keep.
type goal struct {
	bound float64
	most  bool // it is an upper one
}

func (g goal) kept(got float64) bool { return g.most && got <= g.bound || !g.most && got >= g.bound }

// verdict says what was asked, what was got, and in what.
func (g goal) verdict(what string, got float64) string {
	sign, end := "at least", "kept"
	if g.most {
		sign = "at most"
	}
	if !g.kept(got) {
		end = "MISSED"
	}
	return fmt.Sprintf("%s: asked %s %.2f, got %.2f: %s", what, sign, g.bound, got, end)
}
