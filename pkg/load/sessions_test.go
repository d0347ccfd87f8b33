//go:build bench

package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
)

const sessionCount = 5000

// TestSessions measures how fast 5,000 sessions are opened, each on a connection of its own.
func TestSessions(t *testing.T) {
	if !chosen("sessions") {
		return
	}
	allowDescriptors(t, sessionCount)
	running := contenders(t, 1)
	for _, e := range running {
		start(t, e)
	}
	takeTurns(t, running, 3, []row{
		{fmt.Sprintf("%d sessions opened, rate/s", sessionCount), goal{2, false}},
		{"CPU s of the server/100k", goal{}},
	}, func(e *lab.Ensemble) []float64 {
		cpu, began := e.CPU(), time.Now()
		c := gather(t, e, sessionCount)
		took, used := time.Since(began), e.CPU()-cpu
		c.dismiss(t, e)
		return []float64{sessionCount / took.Seconds(), used.Seconds() / sessionCount * 1e5}
	})
}
