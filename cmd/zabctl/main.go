// Command zabctl is the operator's tool: it checks settings, and asks the server of this host or another. Called as
// zkServer.sh, or another of ZooKeeper's scripts, it is that script.
package main

import (
	"os"

	"github.com/zabd/zabd/pkg/ctl"
)

// version is set when a release is built.
var version = "dev"

func main() {
	os.Exit(ctl.Main(os.Args, ctl.Surroundings{Env: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: version}))
}
