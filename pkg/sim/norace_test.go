//go:build !race

package sim

// manySeeds is how many seeds a test runs.
const manySeeds = 2000
