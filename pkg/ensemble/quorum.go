package ensemble

import (
	"cmp"
	"slices"
)

// A Quorum decides when enough voters hold something. Voters are numbered by slots from 0. While a membership is about to
// change, enough are a quorum of each of two configurations: the active one, whose voters have the first slots, and the
// next one.
type Quorum struct {
	active, slots int
	next          []int // the slots of the next configuration's voters; nil if there is none
}

// NewMajority returns the rule that more than half of the voters are a quorum.
func NewMajority(voters int) Quorum { return Quorum{active: voters, slots: voters} }

// Voters returns the number of voters: their slots are those below it.
func (q Quorum) Voters() int { return q.slots }

// Reached tells whether the voters whose position is at or above want are a quorum. Positions behind those of the voters do
// not count.
func Reached[P cmp.Ordered](q Quorum, positions []P, want P) bool {
	n := 0
	for _, p := range positions[:q.active] {
		if p >= want {
			n++
		}
	}
	if 2*n <= q.active {
		return false
	}
	if q.next == nil {
		return true
	}
	n = 0
	for _, slot := range q.next {
		if positions[slot] >= want {
			n++
		}
	}
	return 2*n > len(q.next)
}

// Holds tells whether the voters that are marked are a quorum.
func (q Quorum) Holds(marked []bool) bool {
	n := 0
	for _, m := range marked[:q.active] {
		if m {
			n++
		}
	}
	if 2*n <= q.active {
		return false
	}
	m := 0
	for _, slot := range q.next {
		if marked[slot] {
			m++
		}
	}
	return q.next == nil || 2*m > len(q.next)
}

// An Electorate is who votes: the voters of the active configuration and, once a newer one has been seen that may come to
// be active, the voters of that, too. Then only what a quorum of each holds is decided: whichever of the two the others go
// by, their quorums meet this one. (A. Shraer, B. Reed, D. Malkhi, F. Junqueira: Dynamic reconfiguration of
// primary/backup clusters, USENIX ATC 2012.)
//
// Invariant: Next is nil, or newer than Active.
type Electorate struct {
	Active, Next *Config

	voters []ID
}

// NewElectorate returns the voters of the active configuration, and of the next one, unless that is nil or not newer.
func NewElectorate(active, next *Config) *Electorate {
	e := &Electorate{Active: active, voters: active.voters}
	if next == nil || next.Version <= active.Version {
		return e
	}
	e.Next, e.voters = next, slices.Clone(active.voters)
	for _, id := range next.voters {
		if !active.IsVoter(id) {
			e.voters = append(e.voters, id)
		}
	}
	return e
}

// LastSeen returns the newest configuration: the next one, if there is one.
func (e *Electorate) LastSeen() *Config {
	if e.Next != nil {
		return e.Next
	}
	return e.Active
}

// Member returns the member with that id, as the active configuration has it or else the next.
func (e *Electorate) Member(id ID) (Member, bool) {
	m, ok := e.Active.Member(id)
	if !ok && e.Next != nil {
		m, ok = e.Next.Member(id)
	}
	return m, ok
}

// Voters returns the ids of all voters by their slots: first those of the active configuration, ascending. The slice is the
// electorate's own.
func (e *Electorate) Voters() []ID { return e.voters }

// Slot returns a voter's place among the voters.
func (e *Electorate) Slot(id ID) (int, bool) {
	slot := slices.Index(e.voters, id)
	return slot, slot >= 0
}

// IsVoter tells whether the id is that of a voter of either configuration.
func (e *Electorate) IsVoter(id ID) bool { return slices.Contains(e.voters, id) }

// Quorum returns the rule by which the voters' slots make a quorum.
func (e *Electorate) Quorum() Quorum {
	q := Quorum{active: len(e.Active.voters), slots: len(e.voters)}
	if e.Next != nil {
		for _, id := range e.Next.voters {
			q.next = append(q.next, slices.Index(e.voters, id))
		}
	}
	return q
}

// Holds tells whether the voters for which f is true are a quorum.
func (e *Electorate) Holds(f func(ID) bool) bool {
	return e.Active.Holds(f) && (e.Next == nil || e.Next.Holds(f))
}
