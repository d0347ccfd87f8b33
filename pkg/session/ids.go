// Package session knows what a session is apart from its place in the replicated tree: ids and passwords, and when one
// has been silent for too long. Time is an argument everywhere, as a duration since some fixed instant.
package session

import (
	"crypto/subtle"
	"math"
	"time"
)

// PasswordSize is the length of a session's password in bytes.
const PasswordSize = 16

// IDs makes session ids: the server's id in the highest byte, then what time it was when the server started, then a
// counter, so that servers never collide and a server that starts again goes on far from where it was.
type IDs struct{ next int64 }

// NewIDs returns the ids of a server that starts now. The formula is that of SessionTrackerImpl.initializeNextSessionId.
func NewIDs(serverID int64, now time.Duration) *IDs {
	first := int64(uint64(now.Milliseconds())<<24>>8) | serverID<<56
	return &IDs{next: first}
}

// Next returns an id that is not taken; never the one that marks containers.
func (i *IDs) Next(taken func(int64) bool) int64 {
	for {
		id := i.next
		i.next++
		if id != math.MinInt64 && id != 0 && !taken(id) {
			return id
		}
	}
}

// Password returns the password of a session. It follows from the id, so that every server can check it: the first
// bytes of java.util.Random (D. Knuth, TAOCP 2, 3.2.1) seeded with the id and a constant.
func Password(id int64) [PasswordSize]byte {
	const (
		superSecret = 0xB3415C00
		multiplier  = 0x5DEECE66D
		addend      = 0xB
		mask        = 1<<48 - 1
	)
	var pw [PasswordSize]byte
	seed := (uint64(id) ^ superSecret ^ multiplier) & mask
	for i := 0; i < len(pw); i += 4 {
		seed = (seed*multiplier + addend) & mask
		for j := range 4 {
			pw[i+j] = byte(seed >> 16 >> (8 * j))
		}
	}
	return pw
}

// PasswordOK checks a password in constant time.
func PasswordOK(id int64, password []byte) bool {
	want := Password(id)
	return subtle.ConstantTimeCompare(want[:], password) == 1
}
