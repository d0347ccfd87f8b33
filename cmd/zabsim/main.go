// Command zabsim runs ensembles in package sim: a range of seeds, each a world of its own.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/zabd/zabd/pkg/sim"
)

func main() {
	var b sim.Batch
	flag.Uint64Var(&b.From, "from", 1, "first `seed`")
	flag.IntVar(&b.Count, "count", 20000, "how many seeds to run")
	flag.IntVar(&b.Workers, "workers", runtime.GOMAXPROCS(0), "how many to run at a time")
	flag.IntVar(&b.Most, "most", 10, "end after so many failures; 0 = never")
	flag.Parse()
	debug.SetGCPercent(400) // worlds are small, and leave much behind
	b.Failed = func(seed uint64, err error) {
		fmt.Printf("seed %d: %v\nreplay: %s\n", seed, err, sim.Replay(seed))
	}
	r := b.Run()
	if !r.Report(os.Stdout) {
		os.Exit(1)
	}
}
