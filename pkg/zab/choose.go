package zab

import (
	"sort"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// history is what a leader has in memory of what it brings learners to: the committed log, and while it is not
// established its own tail, which is going to be part of every history.
type history struct {
	recent *committedLog
	tail   []txn.Entry
}

func (n *Node) history() history {
	h := history{recent: &n.recent}
	if !n.lead.established {
		h.tail = n.pending[n.head:]
	}
	return h
}

func (h *history) len() int { return h.recent.len() + len(h.tail) }

func (h *history) at(i int) *txn.Entry {
	if k := h.recent.len(); i >= k {
		return &h.tail[i-k]
	}
	return h.recent.at(i)
}

// from returns the index of the first entry at or above z.
func (h *history) from(z proto.Zxid) int {
	return sort.Search(h.len(), func(i int) bool { return h.at(i).Zxid >= z })
}

// last returns the zxid that a learner is brought to: Java calls it the last processed one.
func (n *Node) last() proto.Zxid {
	if l := n.lead; l.established {
		return max(n.committed, l.start)
	}
	return n.logged
}

// lastEntry returns the zxid of our newest entry that a learner gets as part of our history.
func (n *Node) lastEntry() proto.Zxid {
	if l := n.lead; l.established {
		return max(n.committed, l.inherited)
	}
	return n.logged
}

// A course is how a learner's history is made ours: the packet that opens it, and the zxid behind which our entries
// follow.
type course struct {
	opening PacketType // Diff, Trunc or Snap; 0: only the log's files can tell
	zxid    proto.Zxid
	after   proto.Zxid
}

var wholeTree = course{opening: TypeSnap}

// choose says how a learner whose last zxid is p is brought to a history that ends at last. The rules are those of
// LearnerHandler.syncFollower in ZooKeeper. An epoch's first zxid, with counter 0, stands for no entry: such a learner
// has all that was before the epoch.
func choose(p, last proto.Zxid, h history) course {
	lowest, highest := last, last
	if h.len() > 0 {
		lowest, highest = h.at(0).Zxid, h.at(h.len()-1).Zxid
	}
	start := p.Counter() == 0
	switch {
	case p == last:
		return course{TypeDiff, p, p}
	case p > highest && !start:
		return course{TypeTrunc, highest, highest}
	case p > highest:
		return wholeTree
	case p < lowest:
		return course{}
	}
	i := h.from(p)
	switch first := h.at(i).Zxid; {
	case first == p || start:
		return course{TypeDiff, highest, p}
	case first.Epoch() != p.Epoch():
		return wholeTree // its last entries are of an epoch whose end we cannot tell
	}
	before := h.at(i - 1).Zxid
	return course{TypeTrunc, before, before}
}

// chooseByLog is choose for a learner that is further behind than our memory: floor and next are the entries of the log
// around p, and highest is where our history ends.
func chooseByLog(p, floor, next, highest proto.Zxid) course {
	switch {
	case floor == p, p.Counter() == 0:
		return course{TypeDiff, highest, p}
	case next.Epoch() != p.Epoch():
		return wholeTree
	}
	return course{TypeTrunc, floor, floor}
}
