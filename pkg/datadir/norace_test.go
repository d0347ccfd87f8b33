//go:build !race

package datadir

// stride is how far apart the operations are at which the disk crashes or fails.
const stride = 1
