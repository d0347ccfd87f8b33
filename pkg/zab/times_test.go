package zab

import (
	"testing"
	"time"
)

// TestEpochLimit: a leader to whom no quorum comes gives up by initLimit, or earlier if that is wanted.
func TestEpochLimit(t *testing.T) {
	for limit, gives := range map[time.Duration]bool{0: false, 3 * time.Second: true, 5 * time.Second: false} {
		r := newRig(t, 3, 1)
		r.n.cfg.EpochLimit = limit
		for _, v := range votes(r.n, 3) {
			r.step(v)
		}
		if r.n.lead == nil {
			t.Fatal("it does not lead")
		}
		for at := time.Second; at <= 4*time.Second; at += time.Second {
			r.n.Step(at, Tick{}, &r.ef)
		}
		if got := r.n.lead == nil; got != gives {
			t.Errorf("with a limit of %v it has given up after 4 seconds: %v", limit, got)
		}
	}
}

// TestRedial: when a leader is called again that could not be reached.
func TestRedial(t *testing.T) {
	for pause, want := range map[time.Duration]time.Duration{0: redial, 70 * time.Millisecond: 70 * time.Millisecond} {
		r := newRig(t, 1, 1)
		r.n.cfg.Redial = pause
		for _, v := range votes(r.n, 3) {
			r.step(v)
		}
		r.step(DialFailed{3})
		if at, ok := r.n.Wake(); !ok || at != 1+want {
			t.Errorf("with a pause of %v it calls again at %v, %v", pause, at, ok)
		}
	}
}
