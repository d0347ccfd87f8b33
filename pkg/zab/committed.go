package zab

import (
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// committedLog keeps the newest committed entries, so that a learner that is a little behind gets the difference and
// not the tree. A ring: slot next is the oldest once the ring is full.
type committedLog struct {
	ring []txn.Entry
	next int
}

func newCommittedLog(capacity int) committedLog {
	return committedLog{ring: make([]txn.Entry, 0, max(capacity, 1))}
}

func (l *committedLog) add(e txn.Entry) {
	if len(l.ring) < cap(l.ring) {
		l.ring = append(l.ring, e)
		return
	}
	l.ring[l.next] = e
	l.next = (l.next + 1) % len(l.ring)
}

// since appends the entries above z in order; false when the entry behind z may already have been dropped.
func (l *committedLog) since(dst []txn.Entry, z proto.Zxid) ([]txn.Entry, bool) {
	if len(l.ring) == 0 || z < l.ring[l.next%len(l.ring)].Zxid {
		return dst, false
	}
	for i := range l.ring {
		if e := l.ring[(l.next+i)%len(l.ring)]; e.Zxid > z {
			dst = append(dst, e)
		}
	}
	return dst, true
}
