// Package invariant stops the program on what cannot be: a state from which going on would do harm.
package invariant

import "fmt"

// That panics with the formatted message unless cond holds.
func That(cond bool, format string, args ...any) {
	if !cond {
		panic("broken invariant: " + fmt.Sprintf(format, args...))
	}
}
