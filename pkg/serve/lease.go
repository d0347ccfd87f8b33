package serve

import (
	"math"
	"time"
)

// A Lease is until when a server may answer reads: as long as it has heard enough of its ensemble to know that it is
// not cut off. A reply to a read, with everything behind it on its connection, leaves only while the lease holds that is
// looked at after the tree was read; else it waits for a longer lease, or for the end of the connection. Replies to
// writes and notifications need none: what they tell is committed.
type Lease time.Duration

// Always is the lease of a server that has nobody to hear of.
const Always Lease = math.MaxInt64

// Holds tells whether reads may be answered at this time.
func (l Lease) Holds(now time.Duration) bool { return now < time.Duration(l) }
