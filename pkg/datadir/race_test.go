//go:build race

package datadir

// stride is how far apart the operations are at which the disk crashes or fails: with the race detector each takes many
// times as long, and most of the tests have one goroutine.
const stride = 9
