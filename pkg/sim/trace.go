package sim

import (
	"fmt"
	"io"
)

// A trace is all that has happened, as a hash that is always kept, and as text if somebody wants to read it.
type trace struct {
	hash uint64
	out  io.Writer
}

func (t *trace) init() { t.hash = 0xcbf29ce484222325 }

// SetTrace has the world tell what happens.
func (w *World) SetTrace(out io.Writer) { w.trace.out = out }

// mix takes part of what happens into the hash (FNV-1a, by words).
func (w *World) mix(values ...uint64) {
	h := w.trace.hash ^ uint64(w.now)
	for _, v := range values {
		h = (h ^ v) * 0x100000001b3
		h ^= h >> 29
	}
	w.trace.hash = h
}

// tracef tells what happens.
func (w *World) tracef(format string, args ...any) {
	if w.trace.out != nil {
		_, _ = fmt.Fprintf(w.trace.out, "%11v  %s\n", w.now, fmt.Sprintf(format, args...))
	}
}

// tracing tells whether anybody reads: asked before what is costly to tell.
func (w *World) tracing() bool { return w.trace.out != nil }
