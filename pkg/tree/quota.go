package tree

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The nodes of quotas: QuotaPath + P + LimitsNode has what the subtree at P may hold, and StatsNode beside it what it
// holds. A change of the subtree changes the data of the stats node and nothing else of it, without a txn of its own.
const (
	QuotaPath  = systemPath + "/quota"
	LimitsNode = "zookeeper_limits"
	StatsNode  = "zookeeper_stats"
)

// A Quota is the data of a limits or a stats node (StatsTrack). Counts are nodes, bytes those of data; NoLimit is what is
// not said.
type Quota struct {
	Count, Bytes         int64
	CountHard, BytesHard int64
	others               []pair // what else is said, in the order of the keys
}

// NoLimit is the value of what a quota does not say.
const NoLimit = -1

type pair struct {
	key   string
	value int64
}

// The keys of a quota's data.
const (
	countKey     = "count"
	bytesKey     = "bytes"
	countHardKey = "countHardLimit"
	bytesHardKey = "byteHardLimit"
)

// ParseQuota reads pairs like "count=2,bytes=-1=;byteHardLimit=10": any run of commas and semicolons parts them, and
// what is behind a second = does not count, which is how ZooKeeper hides hard limits from its versions before 3.7. False:
// it is not of that form.
func ParseQuota(data []byte) (q Quota, ok bool) {
	q = Quota{NoLimit, NoLimit, NoLimit, NoLimit, nil}
	if data == nil {
		return q, false
	}
	for rest := bytes.TrimRight(data, ",;"); len(rest) > 0; {
		var pair []byte
		if i := bytes.IndexAny(rest, ",;"); i >= 0 {
			pair, rest = rest[:i], bytes.TrimLeft(rest[i:], ",;")
		} else {
			pair, rest = rest, nil
		}
		key, text, said := bytes.Cut(bytes.TrimRight(pair, "="), []byte("="))
		text, _, _ = bytes.Cut(text, []byte("="))
		value := int64(NoLimit)
		if len(text) > 0 {
			if value, ok = parseLong(text); !ok {
				return q, false
			}
		}
		if !said {
			return q, false
		}
		switch string(key) {
		case countKey:
			q.Count = value
		case bytesKey:
			q.Bytes = value
		default:
			q.say(string(key), value)
		}
	}
	return q, true
}

// parseLong reads a number as Java's parseLong does. (strconv wants a string, and keeps it in its error.)
func parseLong(text []byte) (n int64, ok bool) {
	digits := text
	if len(text) > 1 && (text[0] == '-' || text[0] == '+') {
		digits = text[1:]
	}
	for _, c := range digits { // below 0, where there is one number more
		d := int64(c) - '0'
		if d < 0 || d > 9 || n < (math.MinInt64+d)/10 {
			return 0, false
		}
		n = n*10 - d
	}
	if text[0] != '-' {
		n = -n
	}
	return n, text[0] == '-' || n >= 0
}

// say takes what not every quota says.
func (q *Quota) say(key string, value int64) {
	switch key {
	case countHardKey:
		q.CountHard = value
	case bytesHardKey:
		q.BytesHard = value
	}
	i, found := slices.BinarySearchFunc(q.others, key, func(p pair, key string) int { return strings.Compare(p.key, key) })
	if !found {
		q.others = slices.Insert(q.others, i, pair{key: key})
	}
	q.others[i].value = value
}

// appendTo appends the data of a stats node.
func (q *Quota) appendTo(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, countKey+"="...), q.Count, 10)
	dst = strconv.AppendInt(append(dst, ","+bytesKey+"="...), q.Bytes, 10)
	if len(q.others) > 0 {
		dst = append(dst, '=')
	}
	for _, p := range q.others {
		dst = append(append(append(dst, ';'), p.key...), '=')
		dst = strconv.AppendInt(dst, p.value, 10)
	}
	return dst
}

func (t *Tree) hasQuotas() bool { return t.quota != none && t.at(t.quota).children > 0 }

// quotaFor returns the node that has the limits and stats of the innermost quota of a path; the root has none.
func (t *Tree) quotaFor(path string) (quota Ref, prefix string) {
	if !t.hasQuotas() {
		return none, ""
	}
	at := t.quota
	for start := 1; start < len(path); {
		end := len(path)
		if i := strings.IndexByte(path[start:], '/'); i >= 0 {
			end = start + i
		}
		if at = t.child(at, path[start:end]); at == none {
			break
		}
		if t.child(at, LimitsNode) != none {
			quota, prefix = at, path[:end]
		}
		start = end + 1
	}
	return quota, prefix
}

// QuotaOf returns the limits and the stats node of the innermost quota of a path, and the path of the subtree that the
// quota is for. ok tells whether there is a quota, counted whether it has stats.
func (t *Tree) QuotaOf(path string) (subtree string, limits, stats Ref, ok, counted bool) {
	q, subtree := t.quotaFor(path)
	if q == none {
		return "", none, none, false, false
	}
	limits, stats = t.child(q, LimitsNode), t.child(q, StatsNode)
	return subtree, limits, stats, true, stats != none
}

// account changes what the innermost quota of a path holds. The tree has the change already. Stats that a client has
// overwritten with something else are counted anew.
func (t *Tree) account(path string, bytes, count int64) {
	q, prefix := t.quotaFor(path)
	if q == none {
		return
	}
	s := t.child(q, StatsNode)
	if s == none {
		return
	}
	held, ok := ParseQuota(t.Data(s))
	if ok {
		held.Count += count
		held.Bytes += bytes
	} else {
		held = t.held(prefix)
	}
	t.setStats(s, &held)
}

func (t *Tree) setStats(s Ref, held *Quota) {
	t.save(s)
	t.stats = held.appendTo(t.stats[:0])
	n := t.at(s)
	t.bytes += int64(len(t.stats) - t.dataLen(n.data))
	n.data = t.heap.replace(n.data, t.stats)
}

// held counts the subtree at path, its top included.
func (t *Tree) held(path string) Quota {
	q := Quota{CountHard: NoLimit, BytesHard: NoLimit}
	top, ok := t.Find(path)
	for r := top; ok && r != none; {
		n := t.at(r)
		q.Count++
		q.Bytes += int64(t.dataLen(n.data))
		if r = n.firstChild; r == none {
			r = t.besides(n, top)
		}
	}
	return q
}

// besides returns the node behind n's subtree, within the subtree of top.
func (t *Tree) besides(n *node, top Ref) Ref {
	for n != t.at(top) {
		if n.next != none {
			return n.next
		}
		n = t.at(n.parent)
	}
	return none
}

// EachQuota calls f with the subtree of every quota, its limits and what it holds, as far as they can be read.
func (t *Tree) EachQuota(f func(subtree string, limits, held *Quota)) {
	t.eachQuota(func(q, limits, stats Ref) {
		l, ok := ParseQuota(t.Data(limits))
		h, okToo := ParseQuota(t.Data(stats))
		if ok && okToo {
			f(t.Path(q)[len(QuotaPath):], &l, &h)
		}
	})
}

func (t *Tree) eachQuota(f func(q, limits, stats Ref)) {
	if !t.hasQuotas() {
		return
	}
	for q := t.at(t.quota).firstChild; q != none; {
		n := t.at(q)
		if limits, stats := t.child(q, LimitsNode), t.child(q, StatsNode); limits != none && stats != none {
			f(q, limits, stats)
		}
		if q = n.firstChild; q == none {
			q = t.besides(n, t.quota)
		}
	}
}

// beginStats counts for a stats node that has just been made.
func (t *Tree) beginStats(s Ref, dir, name string) {
	if name != StatsNode || !strings.HasPrefix(dir, QuotaPath) {
		return
	}
	if path := dir[len(QuotaPath):]; path == "" || path[0] == '/' {
		held := t.held(path)
		t.setStats(s, &held)
	}
}

// recount counts for every quota, as ZooKeeper does when it has loaded a snapshot.
func (t *Tree) recount() {
	t.eachQuota(func(q, _, stats Ref) {
		held := t.held(t.Path(q)[len(QuotaPath):])
		t.setStats(stats, &held)
	})
}
