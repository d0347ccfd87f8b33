// Command notices prints what the packages have as NOTICES: the licence of zabd and those of all modules that it links.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	text, err := os.ReadFile("LICENSE")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("zabd\n\n%s", text)
	out, err := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/...").Output()
	if err != nil {
		log.Fatalf("notices: go list: %v", err)
	}
	seen := map[string]bool{"github.com/zabd/zabd": true}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Module *struct{ Path, Version, Dir string }
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if p.Module == nil || seen[p.Module.Path] {
			continue
		}
		seen[p.Module.Path] = true
		fmt.Printf("\n%s\n%s %s\n\n%s", strings.Repeat("-", 80), p.Module.Path, p.Module.Version, notice(p.Module.Dir))
	}
}

// notice returns the licence and notice files of a module.
func notice(dir string) string {
	var all strings.Builder
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				log.Fatal(err)
			}
			all.Write(text)
		}
	}
	if all.Len() == 0 {
		log.Fatalf("notices: %s has no licence file", dir)
	}
	return all.String()
}
