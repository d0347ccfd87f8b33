package zab

import (
	"sort"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

var noEntry txn.Entry

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

// reset drops everything: the history has been cut, or is another one.
func (l *committedLog) reset() {
	clear(l.ring)
	l.ring, l.next = l.ring[:0], 0
}

func (l *committedLog) len() int { return len(l.ring) }

// at returns the i-th entry from the oldest on.
func (l *committedLog) at(i int) *txn.Entry { return &l.ring[(l.next+i)%len(l.ring)] }

// since appends the entries above z in order; false when the entry behind z may already have been dropped.
func (l *committedLog) since(dst []txn.Entry, z proto.Zxid) ([]txn.Entry, bool) {
	if l.len() == 0 || z < l.at(0).Zxid {
		return dst, false
	}
	from := sort.Search(l.len(), func(i int) bool { return l.at(i).Zxid > z })
	for i := from; i < l.len(); i++ {
		dst = append(dst, *l.at(i))
	}
	return dst, true
}
