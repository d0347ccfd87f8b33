package limit

import (
	"math"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestBucketFillsUp(t *testing.T) {
	var b Bucket
	b.Set(Rate{Tokens: 3, FillTime: 10 * ms, FillCount: 2, FreezeTime: -1}, 0)
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, {9 * ms, false}, // all are gone
		{10 * ms, true}, {10 * ms, true}, {10 * ms, false}, // two have come
		{time.Hour, true}, {time.Hour, true}, {time.Hour, true}, {time.Hour, false}, // no more than three
	} {
		if got := b.Take(false, c.at, 0); got != c.want {
			t.Errorf("%d: Take at %v = %v", i, c.at, got)
		}
	}
	var none Bucket
	if !none.Take(true, 0, 0) {
		t.Error("without a rate connections are turned away")
	}
}

func TestBucketWeighs(t *testing.T) {
	var b Bucket
	b.Set(Rate{Tokens: 7, FillTime: time.Hour, FreezeTime: -1, New: 3, Renewed: 2}, 0)
	for i, c := range []struct{ renewed, want bool }{{false, true}, {false, true}, {false, false}, {true, false}} {
		if got := b.Take(c.renewed, 0, 0); got != c.want {
			t.Errorf("%d: Take = %v with %d missing", i, got, b.Missing())
		}
	}
	if b.Missing() != 6 {
		t.Errorf("%d missing", b.Missing())
	}
}

// TestBucketDropsByChance: the probability grows while the bucket is empty and falls while it is full, one step in each
// FreezeTime.
func TestBucketDropsByChance(t *testing.T) {
	var b Bucket
	b.Set(Rate{Tokens: 2, FillTime: time.Second, FillCount: 1, FreezeTime: 5 * ms, DropIncrease: 0.4, DropDecrease: 0.3}, 0)
	never, always := math.Nextafter(1, 0), 0.0
	b.Take(false, 0, never)
	b.Take(false, 0, never)
	for _, c := range []struct {
		at     time.Duration
		chance float64
		want   bool
		drop   float64
	}{
		{4 * ms, never, false, 0},                   // too early, and nothing there
		{20 * ms, always, false, 0.4},               // a step up
		{21 * ms, always, false, 0.4},               // no second one
		{40 * ms, always, false, 0.8},               //
		{60 * ms, always, false, 1},                 // at most
		{10 * time.Second, never, true, 0.7},        // full: a step down, and lucky
		{11 * time.Second, 0.39, false, 0.4},        // unlucky
		{12 * time.Second, never, true, 0.1},        //
		{13 * time.Second, always, true, 0},         // at least
		{13*time.Second + 9*ms, always, true, 0},    // one of two is left
		{13*time.Second + 10*ms, always, false, .4}, // none
	} {
		if got := b.Take(false, c.at, c.chance); got != c.want || math.Abs(b.Drop()-c.drop) > 1e-9 {
			t.Errorf("Take at %v, chance %v = %v, probability %v; want %v, %v", c.at, c.chance, got, b.Drop(), c.want, c.drop)
		}
	}
}

func TestStaleAndLate(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	both := Requests{StaleByLatency: true, StaleByConnection: true, Patience: 3 * ms}
	for _, c := range []struct {
		name string
		got  bool
		want bool
	}{
		{"neither", both.Stale(10*ms, 10*ms, no), false},
		{"too late for its session", both.Stale(11*ms, 10*ms, no), true},
		{"its connection is gone", both.Stale(1*ms, 10*ms, yes), true},
		{"nobody asks", (&Requests{}).Stale(11*ms, 10*ms, func() bool { t.Error("asked"); return true }), false},
		{"patient", both.Late(3 * ms), false},
		{"impatient", both.Late(4 * ms), true},
		{"endlessly patient", (&Requests{}).Late(time.Hour), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.name, c.got)
		}
	}
}

func TestLargeAndTight(t *testing.T) {
	l := Large{Threshold: 10, Most: 100}
	for _, c := range []struct {
		n        int
		underway int64
		want     bool
	}{{10, 1000, true}, {11, 89, true}, {11, 90, false}, {101, 0, false}} {
		if got := l.Fits(c.n, c.underway); got != c.want {
			t.Errorf("Fits(%d, %d) = %v", c.n, c.underway, got)
		}
	}
	if off := (Large{Threshold: -1, Most: 1}); off.Is(1<<30) || !off.Fits(1<<30, 0) {
		t.Error("a request is large though none can be")
	}
	if Tight(900, 1000) || !Tight(901, 1000) || Tight(1<<40, 0) {
		t.Error("more than 90 % is tight, and nothing else")
	}
}
