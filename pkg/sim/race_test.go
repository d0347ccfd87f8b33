//go:build race

package sim

// manySeeds is how many seeds a test runs: the race detector makes each many times slower, and there is one goroutine.
const manySeeds = 10
