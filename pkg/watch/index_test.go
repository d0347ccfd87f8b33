package watch

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestIndexFindsWhatItHolds beside a map, with tags of which many are the same.
func TestIndexFindsWhatItHolds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x index
	model := map[string]*list{}
	for step := range 100_000 {
		n := rng.IntN(300)
		if step%2000 > 1500 { // and down to nothing again
			n = rng.IntN(300) &^ 1
		}
		path, tag := fmt.Sprint("/", n), uint32(n%97*2654435761)
		l := model[path]
		if got := x.get(tag, path); got != l {
			t.Fatalf("step %d: get(%s) = %p, want %p", step, path, got, l)
		}
		switch {
		case l != nil && rng.IntN(2) == 0:
			x.drop(tag, path)
			delete(model, path)
		case l == nil && step%2000 <= 1500:
			l = &list{path: path}
			x.put(tag, l)
			model[path] = l
		}
		if x.used != len(model) || 4*x.used > 3*len(x.lists) {
			t.Fatalf("step %d: %d used of %d, want %d", step, x.used, len(x.lists), len(model))
		}
	}
	for n := range 300 {
		path, tag := fmt.Sprint("/", n), uint32(n%97*2654435761)
		if model[path] != nil {
			x.drop(tag, path)
		}
	}
	if x.used != 0 || x.lists != nil {
		t.Fatalf("%d used of %d when all are gone", x.used, len(x.lists))
	}
}
