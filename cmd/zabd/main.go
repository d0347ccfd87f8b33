// Command zabd is the server: it serves ZooKeeper's clients from ZooKeeper's files.
package main

import (
	"os"

	"github.com/zabd/zabd/pkg/daemon"
)

// version is set when a release is built.
var version = "dev"

func main() {
	os.Exit(daemon.Main(os.Args[1:], os.Environ(), os.Stderr, daemon.Program{Version: version, Member: coarsenTimers}))
}
