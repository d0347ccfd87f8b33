package recipe

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// A Layout says how the nodes of contenders are called, so that programs on other libraries contend with ours. Whatever
// it is, nodes of every layout are counted when they are found: it decides what the others see of us.
type Layout int

const (
	// Curator is the layout of Curator's InterProcessMutex, LeaderSelector and InterProcessReadWriteLock.
	Curator Layout = iota
	// Kazoo is that of kazoo's Lock, ReadLock, WriteLock and Election.
	Kazoo
	// Latch is that of Curator's LeaderLatch, for elections.
	Latch
)

// A role is what a contender asks for.
type role int

const (
	exclusive role = iota // the lock of a Mutex, leadership
	writer                // exclusive too; Curator calls its node otherwise
	reader                // shared among readers
)

// marks are the words that end a contender's name, before its sequence number, in each Layout by role.
var marks = [...][3]string{
	Curator: {"lock-", "__WRIT__", "__READ__"},
	Kazoo:   {"__lock__", "__lock__", "__rlock__"},
	Latch:   {"latch-", "latch-", "latch-"},
}

// prefix is what the name of a new contender begins with. The GUID lets its maker find the node when the answer to the
// create was lost on the way.
func (l Layout) prefix(r role, guid string) string {
	if l == Kazoo {
		return strings.ReplaceAll(guid, "-", "") + marks[l][r]
	}
	return protected(guid, marks[l][r])
}

// protected is the name that Curator gives a node which its maker must be able to recognise.
func protected(guid, name string) string { return "_c_" + guid + "-" + name }

// carries tells whether a name was made with the GUID.
func carries(name, guid string) bool {
	return strings.HasPrefix(name, "_c_"+guid) || strings.HasPrefix(name, strings.ReplaceAll(guid, "-", ""))
}

// newGUID returns 122 random bits in the usual form.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // does not fail: it ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// A place is a contender's place in the line: its node's name, and what the name says.
type place struct {
	name   string
	shared bool
	seq    int32
}

// line returns the contenders among the names of a directory's children, first come first. Sequence numbers are compared
// as differences, so that the line stays in order when they pass 2^31-1, where the server goes on at -2^31.
func line(names []string) []place {
	var all []place
	for _, name := range names {
		if p, ok := parse(name); ok {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b place) int { return int(a.seq - b.seq) })
	return all
}

func parse(name string) (place, bool) {
	for _, layout := range marks {
		for r, mark := range layout {
			if seq, ok := sequence(name, mark); ok {
				return place{name: name, shared: role(r) == reader && layout[writer] != mark, seq: seq}, true
			}
		}
	}
	return place{}, false
}

// sequence returns the number that the server put behind the mark.
func sequence(name, mark string) (int32, bool) {
	i := strings.LastIndex(name, mark)
	if i < 0 {
		return 0, false
	}
	digits := name[i+len(mark):]
	if len(digits) < 10 { // the server's format is %010d
		return 0, false
	}
	seq, err := strconv.ParseInt(digits, 10, 32)
	return int32(seq), err == nil
}

// ahead returns whom the contender of that name has to wait for: nobody ("") once it holds what it asks for. found is
// false when it is not in the line. Each waits for one other, the nearest that excludes it, so that a release wakes
// nobody in vain; only readers wait for the same writer.
func ahead(all []place, name string) (predecessor string, found bool) {
	me := slices.IndexFunc(all, func(p place) bool { return p.name == name })
	if me < 0 {
		return "", false
	}
	for _, p := range slices.Backward(all[:me]) {
		if !all[me].shared || !p.shared {
			return p.name, true
		}
	}
	return "", true
}
