package sim

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
)

var (
	oneSeed = flag.Uint64("sim.seed", 0, "run this seed alone")
	seeds   = flag.Int("sim.seeds", 0, "how many seeds to run")
	tracing = flag.Bool("sim.trace", false, "tell what happens")
)

// run runs one seed.
func run(seed uint64, trace bool) (*World, error) {
	w := NewWorld(seed)
	if trace {
		w.SetTrace(os.Stdout)
	}
	return w, w.Run()
}

// TestSeeds runs many worlds; each must end well, and together they must have gone through all that matters.
func TestSeeds(t *testing.T) {
	if *oneSeed != 0 {
		w, err := run(*oneSeed, *tracing)
		if err != nil {
			t.Fatalf("seed %d: %v\nreplay: %s", *oneSeed, err, Replay(*oneSeed))
		}
		t.Logf("trace %x", w.Trace())
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // worlds are small, and leave much behind
	count := *seeds
	if count == 0 {
		count = manySeeds
	}
	r := Batch{From: 1, Count: count, Workers: 1, Most: 5, Failed: func(seed uint64, err error) {
		t.Errorf("seed %d: %v\nreplay: %s", seed, err, Replay(seed))
	}}.Run()
	r.Stats.Print(os.Stdout, r.Seeds, r.Took)
	if missing := r.Stats.Missing(); r.Failed == 0 && count >= 100 && len(missing) > 0 {
		t.Errorf("never happened: %v", missing)
	}
}

// TestSameSeedSameTrace: nothing but the seed decides what happens.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		a, _ := run(seed, false)
		b, _ := run(seed, false)
		if a.Trace() != b.Trace() || a.Stats != b.Stats {
			t.Errorf("seed %d: traces %x and %x", seed, a.Trace(), b.Trace())
		}
	}
}
