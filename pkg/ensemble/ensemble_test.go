package ensemble

import "testing"

func TestMajority(t *testing.T) {
	for _, c := range []struct {
		positions []int
		want      bool
	}{
		{[]int{5}, true}, {[]int{4}, false}, {[]int{5, 4}, false}, {[]int{5, 6}, true}, {[]int{5, 4, 9}, true}, {[]int{5, 5, 4, 4}, false},
	} {
		if got := Reached(NewMajority(len(c.positions)), c.positions, 5); got != c.want {
			t.Errorf("%v at 5: %v", c.positions, got)
		}
	}
}
