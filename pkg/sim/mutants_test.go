//go:build !race

package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A mutant is a mistake that somebody might make, kept in testdata/mutants:
//
//	# what is wrong
//	file pkg/zab/learner.go
//	from 17                     the first seed to try, if it is not 1
//	---- old
//	text that stands there once
//	---- new
//	what stands there instead
type mutant struct {
	path, old, new string
	from           uint64
}

// mutantSeeds is how many seeds may be needed to find one.
const mutantSeeds = 2000

func readMutant(name string) (m mutant, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return m, err
	}
	head, rest, ok := strings.Cut(string(text), "---- old\n")
	old, replacement, ok2 := strings.Cut(rest, "---- new\n")
	if !ok || !ok2 {
		return m, fmt.Errorf("%s has no old and new text", name)
	}
	m = mutant{old: strings.TrimSuffix(old, "\n"), new: strings.TrimSuffix(replacement, "\n"), from: 1}
	for line := range strings.Lines(head) {
		switch f := strings.Fields(line); f[0] {
		case "file":
			m.path = f[1]
		case "from":
			if m.from, err = strconv.ParseUint(f[1], 10, 64); err != nil {
				return m, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return m, nil
}

// build makes zabsim with the mistake in it.
func (m *mutant) build(dir string) (binary string, err error) {
	path, err := filepath.Abs(filepath.Join("..", "..", m.path))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("the old text stands %d times in %s", n, m.path)
	}
	mutated := filepath.Join(dir, filepath.Base(m.path))
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutated}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "zabsim")
	c := exec.Command("go", "build", "-ldflags=-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "../../cmd/zabsim")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", c, err, out)
	}
	return binary, nil
}

var failedSeed = regexp.MustCompile(`(?m)^seed (\d+): (.*)`)

// TestMutantsAreFound: the checkers bite. Each mistake makes an ordinary world fail.
func TestMutantsAreFound(t *testing.T) {
	names, err := filepath.Glob("testdata/mutants/*.txt")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d mutants, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			m, err := readMutant(name)
			if err != nil {
				t.Fatal(err)
			}
			binary, err := m.build(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			out, _ := exec.Command(binary, "-from", fmt.Sprint(m.from), "-count", fmt.Sprint(mutantSeeds), "-workers", "1", "-most", "1").Output()
			found := failedSeed.FindSubmatch(out)
			if found == nil {
				t.Fatalf("no seed from %d to %d finds it", m.from, m.from+mutantSeeds-1)
			}
			seed, _ := strconv.ParseUint(string(found[1]), 10, 64)
			t.Logf("found by seed %d, the %d. one: %s", seed, seed-m.from+1, found[2])
		})
	}
}
