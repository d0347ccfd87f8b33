package pkg

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/zabd/zabd/pkg/"

// layers is the map of the packages: what each may import of ours. Everything may import invariant.
var layers = map[string]string{
	// words: what is said and stored
	"jute": "", "proto": "jute", "txn": "jute proto ensemble",
	// state: pure, values in, values out
	"session": "", "limit": "", "auth": "proto", "watch": "proto",
	"tree": "jute proto txn", "prep": "jute proto txn tree auth session ensemble",
	"serve": "jute proto tree watch session auth",
	// agreement: pure, then its shell
	"ensemble": "", "election": "jute proto ensemble", "zab": "jute proto txn session ensemble election",
	"peer": "jute proto txn ensemble election zab session metrics turn",
	"sim":  "jute proto txn session auth watch tree prep serve ensemble election zab vfs txnlog snapshot datadir",
	// disk
	"vfs": "", "txnlog": "vfs jute proto txn", "snapshot": "vfs jute proto tree",
	"datadir": "vfs proto txn txnlog snapshot tree metrics",
	// service
	"pipeline": "jute proto txn tree prep auth watch session limit serve metrics audit turn",
	"server":   "jute proto limit pipeline metrics",
	"metrics":  "", "admin": "metrics", "audit": "metrics",
	// assembly
	"invariant": "", "turn": "", "systemd": "", "exit": "", "config": "ensemble auth",
	"daemon": "jute proto txn session limit auth watch tree prep serve ensemble election zab peer vfs txnlog snapshot datadir pipeline " +
		"server metrics admin audit systemd config exit",
	// users
	"wire": "jute proto", "client": "jute proto wire", "recipe": "proto client", "lab": "", "load": "proto wire lab",
	"overview": "", "doctor": "overview config ensemble proto wire",
	"offline": "jute proto txn tree vfs txnlog snapshot datadir",
	"ctl":     "config exit overview doctor offline load shell",
	"shell":   "proto client",
	// proof: tests that run the binary
	"interop": "jute proto wire client recipe load", "e2e": "wire load",
}

// pure packages have no clock, goroutine, lock, file, socket, logger or random source. (watch has its locks.)
var pure = strings.Fields("jute proto txn session limit auth tree prep serve ensemble election zab watch")

// impure are the imports that would bring one.
var impure = strings.Fields("os net log log/slog sync sync/atomic math/rand math/rand/v2 crypto/rand syscall context")

// only says which package alone may import a library.
var only = map[string]string{
	"github.com/spf13/viper":              "config",
	"github.com/spf13/cobra":              "ctl",
	"github.com/prometheus/client_golang": "metrics",
	"github.com/coreos/go-systemd":        "systemd",
	"github.com/hashicorp/go-sockaddr":    "config",
	"github.com/go-zookeeper/zk":          "interop",
	"github.com/klauspost/compress":       "snapshot",
	"github.com/jedib0t/go-pretty":        "ctl",
	"github.com/HdrHistogram":             "load",
	"golang.org/x/term":                   "ctl",
	"github.com/hanwen/go-fuse":           "e2e",
}

// source is one file of a package below pkg.
type source struct {
	path, pkg string
	test      bool
	imports   []string
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || !strings.Contains(path, "/") || strings.Contains(path, "/testdata/") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{path: path, pkg: filepath.ToSlash(filepath.Dir(path)), test: strings.HasSuffix(path, "_test.go")}
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, name)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLayers(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := layers[s.pkg]
		if !known {
			t.Errorf("%s: package %s is not in the map of layers", s.path, s.pkg)
			continue
		}
		for _, name := range s.imports {
			ours, is := strings.CutPrefix(name, module)
			if !is || s.test || ours == "invariant" || slices.Contains(strings.Fields(allowed), ours) {
				continue
			}
			t.Errorf("%s imports %s, which its layer may not", s.path, ours)
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, name := range s.imports {
			if slices.Contains(impure, name) && !(s.pkg == "watch" && name == "sync") {
				t.Errorf("%s imports %s: a pure package has no %s", s.path, name, name)
			}
		}
	}
}

func TestLibrariesHaveOneImporter(t *testing.T) {
	for _, s := range sources(t) {
		for _, name := range s.imports {
			for library, importer := range only {
				if strings.HasPrefix(name, library) && s.pkg != importer {
					t.Errorf("%s imports %s, which belongs to %s", s.path, name, importer)
				}
			}
		}
	}
}
