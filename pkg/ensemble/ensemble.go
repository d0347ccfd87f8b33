// Package ensemble says who belongs to an ensemble and which sets of its voters are a quorum.
package ensemble

import "cmp"

// An ID is a server's number, the N of server.N, from 1 to 255.
type ID int64

// A Quorum decides when enough voters hold something. Voters are numbered by slots from 0.
type Quorum struct{ voters int }

// NewMajority returns the rule that more than half of the voters are a quorum.
func NewMajority(voters int) Quorum { return Quorum{voters} }

// Voters returns the number of voters.
func (q Quorum) Voters() int { return q.voters }

// Reached tells whether the voters whose position is at or above want are a quorum.
func Reached[P cmp.Ordered](q Quorum, positions []P, want P) bool {
	n := 0
	for _, p := range positions {
		if p >= want {
			n++
		}
	}
	return 2*n > q.voters
}
