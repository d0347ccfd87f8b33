// Package limit decides what a server that has too much to do turns away: connections, requests that nobody waits for
// any more, and whatever takes memory that it does not have. Times are arguments, and so is chance.
package limit

import "time"

// Rate says how fast sessions may be opened and resumed. The zero value does not bound it.
type Rate struct {
	Tokens    int           // that can be saved up; 0 = no bound
	FillTime  time.Duration // between two fillings, at least a nanosecond
	FillCount int           // tokens each time

	// Before all tokens are gone connections are turned away by chance, with a probability that is looked at once in
	// FreezeTime: it grows where no token is left, and falls where at most a share DecreaseRatio of them is missing.
	FreezeTime                                time.Duration // negative = there is no such chance
	DropIncrease, DropDecrease, DecreaseRatio float64

	New, Renewed int // tokens that a session takes, when it is opened and when its client comes back; 0 = 1
}

// A Bucket has the tokens of a Rate. Its owner guards it.
type Bucket struct {
	rate          Rate
	missing       int
	filled, moved time.Duration // when tokens were added, and when the probability was looked at
	drop          float64
}

// Set begins to bound by a rate, with all tokens there.
func (b *Bucket) Set(r Rate, now time.Duration) {
	*b = Bucket{rate: r, filled: now, moved: now}
}

// Take takes the tokens of a new session or one that is resumed, and tells whether it may go on. Chance is a number
// from 0 to 1, without 1, made by lot.
func (b *Bucket) Take(renewed bool, now time.Duration, chance float64) bool {
	r := &b.rate
	if r.Tokens <= 0 {
		return true
	}
	if times := (now - b.filled) / r.FillTime; times > 0 {
		b.missing = max(0, b.missing-int(min(times, time.Duration(b.missing)))*r.FillCount)
		b.filled += times * r.FillTime
	}
	if r.FreezeTime >= 0 {
		b.adapt(now)
		if chance < b.drop {
			return false
		}
	}
	need := max(r.New, 1)
	if renewed {
		need = max(r.Renewed, 1)
	}
	if r.Tokens-b.missing < need {
		b.moved = now // the probability does not fall while there are not enough
		return false
	}
	b.missing += need
	return true
}

// adapt moves the probability.
func (b *Bucket) adapt(now time.Duration) {
	r := &b.rate
	if now-b.moved <= r.FreezeTime {
		return
	}
	switch {
	case b.missing >= r.Tokens && b.drop < 1:
		b.drop = min(b.drop+r.DropIncrease, 1)
		b.moved = now
	case float64(b.missing) <= r.DecreaseRatio*float64(r.Tokens)+0.5 && b.drop > 0:
		b.drop = max(b.drop-r.DropDecrease, 0)
		b.moved = now
	}
}

// Drop returns the probability with which connections are turned away.
func (b *Bucket) Drop() float64 { return b.drop }

// Missing returns how many tokens have been taken and not been filled up.
func (b *Bucket) Missing() int { return b.missing }

// Requests says how many requests may be under way, and what becomes of those that have to wait.
type Requests struct {
	Most              int           // at least 1
	Stall             time.Duration // after which it is looked again whether a waiting request is stale
	DropStale         bool          // end the connections of stale requests
	StaleByLatency    bool          // a request is stale that has waited for longer than its session's timeout
	StaleByConnection bool          // a request is stale whose connection is gone
	Patience          time.Duration // a request that has waited longer is refused; 0 = none is
}

// Stale tells whether nobody waits for a request any more. Gone is asked only if it matters.
func (r *Requests) Stale(waited, timeout time.Duration, gone func() bool) bool {
	return r.StaleByLatency && waited > timeout || r.StaleByConnection && gone()
}

// Late tells whether a request has waited too long to be carried out.
func (r *Requests) Late(waited time.Duration) bool { return r.Patience > 0 && waited > r.Patience }

// Large bounds the requests that are large. The zero value bounds none.
type Large struct {
	Threshold int   // bytes; a longer request is large. Negative = none is
	Most      int64 // bytes of large requests under way; 0 = none is large
}

// Is tells whether a request of n bytes is large.
func (l Large) Is(n int) bool { return l.Most > 0 && l.Threshold >= 0 && n > l.Threshold }

// Fits tells whether a request of n bytes may be taken while the large ones under way have so many.
func (l Large) Fits(n int, underway int64) bool { return !l.Is(n) || underway+int64(n) <= l.Most }

// Tight tells whether so little memory is left that nothing may be begun: more than 90 % of a limit are in use. Without
// a limit, 0, it never is.
func Tight(used, most uint64) bool { return most > 0 && used > most/10*9 }
