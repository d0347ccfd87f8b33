package session

import (
	"slices"
	"time"
)

// A Table knows when each session is due. Sessions sit in buckets of one tick; a touch moves a session to the first
// tick strictly behind the end of its timeout. It has one owner.
//
// Invariant: at[id] is the bucket that holds id, and every id in a bucket is in at.
type Table struct {
	tick    time.Duration
	at      map[int64]time.Duration
	buckets map[time.Duration]map[int64]struct{}
}

// NewTable returns an empty table.
func NewTable(tick time.Duration) *Table {
	return &Table{tick, make(map[int64]time.Duration), make(map[time.Duration]map[int64]struct{})}
}

// Touch adds a session, or moves it: its client was heard of at heard.
func (t *Table) Touch(id int64, timeout, heard time.Duration) {
	due := ((heard+timeout)/t.tick + 1) * t.tick
	if old, ok := t.at[id]; ok {
		if old == due {
			return
		}
		t.leave(id, old)
	}
	t.at[id] = due
	b := t.buckets[due]
	if b == nil {
		b = make(map[int64]struct{})
		t.buckets[due] = b
	}
	b[id] = struct{}{}
}

// Remove takes a session out.
func (t *Table) Remove(id int64) {
	if due, ok := t.at[id]; ok {
		t.leave(id, due)
		delete(t.at, id)
	}
}

func (t *Table) leave(id int64, due time.Duration) {
	b := t.buckets[due]
	delete(b, id)
	if len(b) == 0 {
		delete(t.buckets, due)
	}
}

// Has tells whether a session is in the table.
func (t *Table) Has(id int64) bool { _, ok := t.at[id]; return ok }

// Len returns the number of sessions.
func (t *Table) Len() int { return len(t.at) }

// Expire takes out the sessions that are due and returns them in order of their ids. Touches may be lazy: heard tells
// when a session was last heard of and its timeout, if that is known; one that is not due by that is moved instead.
func (t *Table) Expire(now time.Duration, heard func(id int64) (last, timeout time.Duration, ok bool)) []int64 {
	var due []int64
	for at, b := range t.buckets {
		if at <= now {
			for id := range b {
				due = append(due, id)
			}
		}
	}
	slices.Sort(due)
	expired := due[:0]
	for _, id := range due {
		if last, timeout, ok := heard(id); ok {
			t.Touch(id, timeout, last)
			if t.at[id] > now {
				continue
			}
		}
		t.Remove(id)
		expired = append(expired, id)
	}
	return expired
}
