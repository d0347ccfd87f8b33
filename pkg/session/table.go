package session

import (
	"slices"
	"time"
)

// A Table knows when each session is due. Sessions sit in buckets of one tick; a touch moves a session to the first
// tick strictly behind the end of its timeout. It has one owner. A session that is known costs no allocation to touch:
// a bucket is a list through the seats, not a map.
//
// Invariants:
//
//	index[id] is the seat of id, and that seat is in the list of the bucket seats[i].due
//	buckets holds no empty list; the seats of free are in none
type Table struct {
	tick    time.Duration
	index   map[int64]int32
	seats   []seat
	free    int32 // the first free seat, or none; the others follow by next
	buckets map[time.Duration]int32
	scratch []int64
}

// seat is the place of a session in its bucket.
type seat struct {
	id         int64
	due        time.Duration
	prev, next int32
}

const none int32 = -1

// NewTable returns an empty table.
func NewTable(tick time.Duration) *Table {
	return &Table{tick: tick, index: make(map[int64]int32), free: none, buckets: make(map[time.Duration]int32)}
}

// Touch adds a session, or moves it: its client was heard of at heard.
func (t *Table) Touch(id int64, timeout, heard time.Duration) {
	due := ((heard+timeout)/t.tick + 1) * t.tick
	i, ok := t.index[id]
	switch {
	case !ok:
		i = t.take()
		t.seats[i].id = id
		t.index[id] = i
	case t.seats[i].due == due:
		return
	default:
		t.leave(i)
	}
	t.join(i, due)
}

// take returns a free seat.
func (t *Table) take() int32 {
	if t.free == none {
		t.seats = append(t.seats, seat{})
		return int32(len(t.seats) - 1)
	}
	i := t.free
	t.free = t.seats[i].next
	return i
}

// join puts a seat in front of its bucket.
func (t *Table) join(i int32, due time.Duration) {
	first, ok := t.buckets[due]
	if ok {
		t.seats[first].prev = i
	} else {
		first = none
	}
	s := &t.seats[i]
	s.due, s.prev, s.next = due, none, first
	t.buckets[due] = i
}

// leave takes a seat out of its bucket.
func (t *Table) leave(i int32) {
	s := t.seats[i]
	if s.next != none {
		t.seats[s.next].prev = s.prev
	}
	switch {
	case s.prev != none:
		t.seats[s.prev].next = s.next
	case s.next != none:
		t.buckets[s.due] = s.next
	default:
		delete(t.buckets, s.due)
	}
}

// Remove takes a session out.
func (t *Table) Remove(id int64) {
	i, ok := t.index[id]
	if !ok {
		return
	}
	t.leave(i)
	delete(t.index, id)
	t.seats[i] = seat{next: t.free}
	t.free = i
}

// Has tells whether a session is in the table.
func (t *Table) Has(id int64) bool { _, ok := t.index[id]; return ok }

// Len returns the number of sessions.
func (t *Table) Len() int { return len(t.index) }

// Next returns when the first bucket is due, and false if the table is empty.
func (t *Table) Next() (time.Duration, bool) {
	first, any := time.Duration(0), false
	for due := range t.buckets {
		if !any || due < first {
			first, any = due, true
		}
	}
	return first, any
}

// Expire takes out the sessions that are due and returns them in order of their ids; the slice is good until the next
// call. Touches may be lazy: heard tells when a session was last heard of and its timeout, if that is known; one that
// is not due by that is moved instead.
func (t *Table) Expire(now time.Duration, heard func(id int64) (last, timeout time.Duration, ok bool)) []int64 {
	due := t.scratch[:0]
	for at, i := range t.buckets {
		for ; at <= now && i != none; i = t.seats[i].next {
			due = append(due, t.seats[i].id)
		}
	}
	slices.Sort(due)
	t.scratch = due
	expired := due[:0]
	for _, id := range due {
		if last, timeout, ok := heard(id); ok {
			t.Touch(id, timeout, last)
			if t.seats[t.index[id]].due > now {
				continue
			}
		}
		t.Remove(id)
		expired = append(expired, id)
	}
	return expired
}

// Due returns all sessions by when they are due, in order of their ids.
func (t *Table) Due() map[time.Duration][]int64 {
	all := make(map[time.Duration][]int64, len(t.buckets))
	for due, i := range t.buckets {
		for ; i != none; i = t.seats[i].next {
			all[due] = append(all[due], t.seats[i].id)
		}
		slices.Sort(all[due])
	}
	return all
}
