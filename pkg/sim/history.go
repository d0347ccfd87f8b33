package sim

import (
	"bytes"
	"slices"
	"sort"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// A history is what was proposed, and which of it was committed, in order. Every server's log, tree and snapshots are
// compared with it.
//
// Each proposal knows the one before it: a zxid stands for everything up to it, so that two logs can be compared by the
// zxids at their ends (contains). The zxid with counter 0 stands for what its epoch began with (plain).
type history struct {
	w         *World
	proposals map[proto.Zxid]*proposal
	committed []*proposal
	epochs    map[uint32]*epoch
	highest   uint32           // epoch that was established
	closing   map[int64]bool   // sessions whose end was proposed
	empty     uint64           // digest of the tree of a new ensemble
	members   *ensemble.Config // that were committed last
}

type proposal struct {
	txn.Entry
	before    proto.Zxid // the entry in front of it
	digest    uint64     // of the tree behind it
	committed bool
	members   *ensemble.Config // that it changes to
}

// An epoch is one that a leader has established.
type epoch struct {
	leader *process
	tip    proto.Zxid // what it began with
	before int        // committed entries when it was established
}

func (hs *history) init(w *World) {
	hs.w, hs.proposals, hs.epochs = w, make(map[proto.Zxid]*proposal), make(map[uint32]*epoch)
	hs.closing, hs.members = make(map[int64]bool), w.members
	hs.empty = tree.New().Digest()
}

// tip returns the last committed zxid.
func (hs *history) tip() proto.Zxid {
	if len(hs.committed) == 0 {
		return 0
	}
	return hs.committed[len(hs.committed)-1].Zxid
}

// plain returns the entry that a zxid stands for; false if it is that of no epoch that was established.
func (hs *history) plain(z proto.Zxid) (proto.Zxid, bool) {
	if z.Counter() != 0 || z == 0 {
		return z, true
	}
	e := hs.epochs[z.Epoch()]
	if e == nil {
		return 0, false
	}
	return e.tip, true
}

// contains tells whether a history that ends at end has z.
func (hs *history) contains(end, z proto.Zxid) bool {
	end, ok := hs.plain(end)
	z, ok2 := hs.plain(z)
	for ok && ok2 && end > z {
		p := hs.proposals[end]
		if p == nil {
			return false
		}
		end = p.before
	}
	return ok && ok2 && end == z
}

// digest returns that of the tree at a zxid.
func (hs *history) digest(z proto.Zxid) (uint64, bool) {
	z, ok := hs.plain(z)
	if z == 0 {
		return hs.empty, ok
	}
	p := hs.proposals[z]
	if p == nil {
		return 0, false
	}
	return p.digest, ok
}

// index returns how many committed entries there are up to a zxid.
func (hs *history) index(z proto.Zxid) int {
	return sort.Search(len(hs.committed), func(i int) bool { return hs.committed[i].Zxid > z })
}

// has tells whether all up to a zxid is committed.
func (hs *history) has(z proto.Zxid) bool {
	z, ok := hs.plain(z)
	return ok && (z == 0 || hs.proposals[z] != nil && hs.proposals[z].committed)
}

// recovered compares what a server finds on its disk with what it had reported to be durable.
func (hs *history) recovered(h *host, rec *datadir.Recovered) {
	w := hs.w
	if rec.Last < 0 {
		if !h.wiped {
			w.fail("%v has lost its data", h)
		}
		h.tip, h.durable, h.written = 0, 0, 0
		return
	}
	if want, ok := hs.digest(rec.Last); !ok || rec.Tree.Digest() != want {
		w.fail("%v recovers %v with digest %x, want %x", h, rec.Last, rec.Tree.Digest(), want)
	}
	if !hs.contains(rec.Last, h.durable) && !(h.installing != 0 && hs.contains(rec.Last, h.installing)) {
		w.fail("%v recovers %v, and had made %v durable", h, rec.Last, h.durable)
	}
	last, _ := hs.plain(rec.Last)
	switch {
	case h.starts > 1 && last > h.durable && h.installing == 0:
		w.Stats.TornKept++
	case last < h.written && h.installing == 0:
		w.Stats.TornCut++
	}
	h.tip, h.durable, h.written, h.installing = rec.Last, last, last, 0
}

// proposed takes in what a leader proposes.
func (hs *history) proposed(p *process, es []txn.Entry) {
	w := hs.w
	for _, e := range es {
		ep := hs.epochs[e.Zxid.Epoch()]
		if ep == nil || ep.leader != p {
			w.fail("%v proposes %v, and has not established that epoch", p, e.Zxid)
			return
		}
		if old := hs.proposals[e.Zxid]; old != nil {
			w.fail("%v proposes %v, which was proposed before", p, e.Zxid)
			return
		}
		before := p.proposed
		if before.Epoch() != e.Zxid.Epoch() {
			before = ep.tip
		}
		if e.Zxid != before+1 && e.Zxid.Counter() != 1 {
			w.fail("%v proposes %v behind %v", p, e.Zxid, before)
			return
		}
		pr := &proposal{Entry: txn.Entry{Zxid: e.Zxid, Bytes: bytes.Clone(e.Bytes)}, before: before}
		var x txn.Txn
		if err := x.Decode(e.Bytes); err != nil || x.Zxid != e.Zxid {
			w.fail("%v proposes %v as %v: %v", p, e.Zxid, x.Zxid, err)
			return
		}
		if pr.digest = x.Digest.Tree; !x.HasDigest {
			pr.digest, _ = hs.digest(before)
		}
		hs.proposals[e.Zxid], p.proposed = pr, e.Zxid
		if x.Header.Type == proto.OpReconfig {
			pr.members = w.membersIn(&x)
		}
		if x.Header.Type == proto.OpCloseSession {
			hs.closing[x.Session] = true
			if x.Cxid == 0 && w.now < p.due[x.Session] {
				w.fail("%v expires session %x, of which it was told, and which is due at %v", p, x.Session, p.due[x.Session])
			}
		}
		w.mix(uint64(e.Zxid), pr.digest)
		if w.tracing() {
			w.tracef("%v proposes %v: %v session %x cxid %d path %q", p, e.Zxid, x.Header.Type, x.Session, x.Cxid, x.Path)
		}
	}
}

// appended checks what a server appends to its log.
func (hs *history) appended(p *process, es []txn.Entry) {
	for _, e := range es {
		pr := hs.proposals[e.Zxid]
		if pr == nil || !bytes.Equal(pr.Bytes, e.Bytes) {
			hs.w.fail("%v logs %v, which nobody has proposed like that", p, e.Zxid)
			return
		}
		if end, ok := hs.plain(p.h.tip); !ok || end != pr.before {
			hs.w.fail("%v logs %v behind %v, and its leader had %v before it", p, e.Zxid, p.h.tip, pr.before)
			return
		}
		p.h.tip = e.Zxid
	}
}

// established takes in that a process leads an epoch: whatever was committed must be in what it begins with, and that is
// committed by now.
func (hs *history) established(p *process) {
	w, e := hs.w, p.node.Epoch()
	if old := hs.epochs[e]; old != nil {
		w.fail("%v establishes epoch %d, which %v has established", p, e, old.leader)
		return
	}
	tip, ok := hs.plain(p.h.tip)
	if w.tracing() {
		w.tracef("%v has established epoch %d, with %v; committed is %v", p, e, tip, hs.tip())
	}
	switch {
	case !ok || tip.Epoch() >= e:
		w.fail("%v establishes epoch %d with %v", p, e, p.h.tip)
		return
	case e < hs.highest && !hs.has(tip):
		w.fail("%v establishes epoch %d with %v, after epoch %d without it", p, e, tip, hs.highest)
		return
	case e > hs.highest && !hs.contains(tip, hs.tip()):
		w.fail("%v establishes epoch %d with %v, which lacks %v, though it was committed", p, e, tip, hs.tip())
		return
	}
	hs.epochs[e] = &epoch{leader: p, tip: tip, before: len(hs.committed)}
	p.proposed = tip
	w.mix(0xe5, uint64(e), uint64(tip))
	if e < hs.highest {
		return
	}
	hs.highest = e
	var chain []*proposal
	for z := tip; z > hs.tip(); {
		pr := hs.proposals[z]
		chain = append(chain, pr)
		z = pr.before
	}
	if len(chain) > 0 {
		w.Stats.LeadersWithTail++
	}
	for i := len(chain) - 1; i >= 0; i-- {
		if chain[i].members != nil {
			w.Stats.ReconfigsInherited++
		}
		hs.commit(chain[i])
	}
}

// commit takes in the next committed entry.
func (hs *history) commit(pr *proposal) {
	pr.committed = true
	hs.committed = append(hs.committed, pr)
	hs.w.model.apply(len(hs.committed), pr)
	hs.mustBeDurable(pr)
	if pr.members != nil {
		hs.members = pr.members
		hs.w.Stats.Reconfigs++
	}
}

// mustBeDurable checks that a quorum has an entry on its disks, or had it on one that was lost since.
func (hs *history) mustBeDurable(pr *proposal) {
	var have []ensemble.ID
	for _, h := range hs.w.hosts {
		if hs.contains(h.durable, pr.Zxid) || hs.contains(h.lost, pr.Zxid) {
			have = append(have, h.id)
		}
	}
	who := hs.electorate(pr)
	if !who.Holds(func(id ensemble.ID) bool { return slices.Contains(have, id) }) {
		hs.w.fail("%v is committed, and only %v have it on their disks, where %v vote", pr.Zxid, have, who.Voters())
	}
}

// delivered checks what a server gives to its tree.
func (hs *history) delivered(p *process, ds []txn.Delivery) {
	w := hs.w
	for i := range ds {
		d := &ds[i]
		switch {
		case d.Sync != nil:
		case d.Tree != nil:
			want, ok := hs.digest(d.Zxid)
			if got := d.Tree.(*tree.Tree); !ok || !hs.has(d.Zxid) && p.serves || got.Digest() != want || got.LastZxid() != d.Zxid {
				w.fail("%v goes on with a tree at %v (%v), digest %x, want %x", p, d.Zxid, got.LastZxid(), got.Digest(), want)
				return
			}
			p.delivered = d.Zxid
		case d.Bytes == nil:
			now, ok := hs.plain(d.Zxid)
			if had, _ := hs.plain(p.delivered); !ok || had != now {
				w.fail("%v begins %v behind %v", p, d.Zxid, p.delivered)
				return
			}
			p.delivered = d.Zxid
		default:
			hs.deliveredEntry(p, d.Entry)
		}
		if w.err != nil {
			return
		}
	}
}

func (hs *history) deliveredEntry(p *process, e txn.Entry) {
	w, pr := hs.w, hs.proposals[e.Zxid]
	had, ok := hs.plain(p.delivered)
	switch {
	case pr == nil || !bytes.Equal(pr.Bytes, e.Bytes):
		w.fail("%v delivers %v, which nobody has proposed like that", p, e.Zxid)
		return
	case !ok || had != pr.before:
		w.fail("%v delivers %v behind %v, and %v stands before it", p, e.Zxid, p.delivered, pr.before)
		return
	case !pr.committed && pr.before != hs.tip():
		w.fail("%v delivers %v behind %v, and %v was committed in its place", p, e.Zxid, pr.before, hs.tip())
		return
	}
	if !pr.committed {
		hs.commit(pr)
	}
	p.delivered = e.Zxid
	w.mix(uint64(p.h.id), uint64(e.Zxid))
}

// serves checks a server that begins to serve: it has all that its epoch began with, and nothing else.
func (hs *history) serves(p *process) {
	e := p.node.Epoch()
	ep := hs.epochs[e]
	if ep == nil {
		hs.w.fail("%v serves in epoch %d, which nobody has established", p, e)
		return
	}
	if hs.w.tracing() {
		hs.w.tracef("%v serves epoch %d as %v", p, e, p.node.Role())
	}
	hs.w.mix(0x5e, uint64(p.h.id), uint64(e))
	hs.w.Stats.Served++
}

// servesFrom checks the tree with which a server answers its first client.
func (hs *history) servesFrom(p *process) {
	ep := hs.epochs[p.node.Epoch()]
	if z := p.tree.LastZxid(); ep == nil || !hs.has(z) || hs.index(z) < hs.index(ep.tip) {
		hs.w.fail("%v serves its tree at %v, in epoch %d", p, z, p.node.Epoch())
		return
	}
	hs.applied(p)
}

// applied compares a tree with the history.
func (hs *history) applied(p *process) {
	if want, ok := hs.digest(p.tree.LastZxid()); !ok || want != p.tree.Digest() {
		hs.w.fail("%v has a tree at %v with digest %x, want %x", p, p.tree.LastZxid(), p.tree.Digest(), want)
	}
}

// snapshot checks what a server's own snapshot holds.
func (hs *history) snapshot(p *process, z proto.Zxid, digest uint64) {
	if want, ok := hs.digest(z); !ok || !hs.has(z) || want != digest {
		hs.w.fail("%v writes a snapshot at %v with digest %x, want %x; committed is %v", p, z, digest, want, hs.tip())
	}
}

// truncating notes that a server cuts its log; what it had promised to keep it need not keep any more.
func (hs *history) truncating(p *process, to proto.Zxid) {
	p.h.tip = min(p.h.tip, to)
	for z, ok := hs.plain(p.h.tip); ok && z > to; z = p.h.tip {
		p.h.tip = hs.proposals[z].before
	}
}

// installing notes that a tree takes the place of all that a server has.
func (hs *history) installing(p *process, s zab.Install) { p.h.tip = s.Zxid }
