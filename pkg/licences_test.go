package pkg

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// licences are the texts by which a licence that we may link is known.
var licences = map[string]string{
	"Apache-2.0": "Apache License",
	"MIT":        "Permission is hereby granted, free of charge",
	"BSD":        "Redistribution and use in source and binary forms",
	"ISC":        "Permission to use, copy, modify, and/or distribute",
	"MPL-2.0":    "Mozilla Public License",
}

// TestLicencesOfLinkedModules finds the licence of every module that a command links.
func TestLicencesOfLinkedModules(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-json=Module", "../cmd/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ Module *struct{ Path, Dir string } }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || seen[p.Module.Path] {
			continue
		}
		seen[p.Module.Path] = true
		if licence(p.Module.Dir) == "" {
			t.Errorf("%s has no licence that we know; its files are in %s", p.Module.Path, p.Module.Dir)
		}
	}
	if len(seen) < 2 {
		t.Fatalf("only %d modules are linked: the list is wrong", len(seen))
	}
}

func licence(dir string) string {
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "License*", "COPYING*"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			for name, words := range licences {
				if strings.Contains(string(text), words) {
					return name
				}
			}
		}
	}
	return ""
}
