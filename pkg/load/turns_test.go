//go:build bench

package load

import (
	"fmt"
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/lab"
)

// A row is one figure of a trial, and what zabd's is asked to be as a ratio to ZooKeeper's.
type row struct {
	what  string
	asked goal // nothing if its bound is 0
}

// minTurns is how often a trial is made at least: what the host does meanwhile is to meet both contenders.
const minTurns = 3

// takeTurns has the contenders make a trial in turn, each trials times before it counts, and prints the medians of the
// figures that it returns, one for each row, and of their ratios.
func takeTurns(t *testing.T, running []*lab.Ensemble, warmUps int, rows []row, trial func(e *lab.Ensemble) []float64) {
	t.Helper()
	got := make([][][]float64, len(running)) // by contender and row, all turns
	for i := range got {
		got[i] = make([][]float64, len(rows))
	}
	for turn := range warmUps + max(*rounds, minTurns) {
		for i, e := range running {
			figures := trial(e)
			if turn < warmUps {
				continue
			}
			for j, f := range figures {
				got[i][j] = append(got[i][j], f)
			}
		}
	}
	for j, r := range rows {
		for i, e := range running {
			fmt.Printf("%s: %s %.1f\n", e.Name, r.what, median(got[i][j]))
		}
		if len(running) < 2 {
			continue
		}
		var ratios []float64
		for turn, zabd := range got[0][j] {
			ratios = append(ratios, zabd/got[1][j][turn])
		}
		ratio := median(ratios)
		if r.asked.bound == 0 {
			fmt.Printf("%s: got %.2f\n", r.what, ratio)
			continue
		}
		fmt.Println(r.asked.verdict(r.what, ratio))
	}
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
