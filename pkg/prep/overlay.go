package prep

import (
	"slices"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// record is a node as it will be when a txn in flight is applied.
type record struct {
	exists    bool
	ephemeral bool
	children  int32
	stat      proto.StatPersisted
	acl       []proto.ACL
	data      []byte // the tree's own, or a request's
	digest    uint64 // the node's share in the tree's digest
}

// overlay is what txns in flight change, over the tree that does not have them yet.
//
// Invariants:
//
//	pending[path] is the newest record of that path; log holds all records that are not yet applied, in zxid order
//	a record's data aliases the tree only while no txn in flight up to it changes that data
//	owned[id] is how many records of log are ephemerals of session id
//	digest is the tree's once everything in flight is applied, if digests are kept
type overlay struct {
	pending  map[string]*record
	log      []inFlight
	head     int
	sessions map[int64]sessionChange
	owned    map[int64]int
	digests  bool
	digest   uint64
	digester tree.Digester
	free     []*record
	made     int64 // records and changes of sessions that were ever put into log and not taken back
}

// inFlight is one record, or the change of a session (record nil), with what it hides.
type inFlight struct {
	zxid    proto.Zxid
	path    string
	rec     *record
	hides   *record
	session int64
}

type sessionState uint8

const (
	sessionUnknown sessionState = iota
	sessionLives
	sessionClosing
)

type sessionChange struct {
	zxid  proto.Zxid
	state sessionState
}

func newOverlay(digests bool) overlay {
	return overlay{
		pending: make(map[string]*record), sessions: make(map[int64]sessionChange), owned: make(map[int64]int), digests: digests,
	}
}

// Reset forgets everything in flight.
func (v *overlay) Reset() {
	made := v.made
	*v = newOverlay(v.digests)
	v.made = made
}

// Changes returns how many changes of nodes and sessions were put in flight so far, and how many are not any more.
func (v *overlay) Changes() (queued, removed int64) { return v.made, v.made - int64(len(v.log)-v.head) }

// settle drops what the tree has by now.
func (v *overlay) settle(t *tree.Tree) {
	applied := t.LastZxid()
	for v.head < len(v.log) && v.log[v.head].zxid <= applied {
		l := &v.log[v.head]
		switch {
		case l.rec == nil:
			if v.sessions[l.session].zxid == l.zxid {
				delete(v.sessions, l.session)
			}
		default:
			if v.pending[l.path] == l.rec {
				delete(v.pending, l.path)
			}
			v.release(l.rec)
		}
		*l = inFlight{}
		v.head++
	}
	if v.head == len(v.log) {
		v.log, v.head = v.log[:0], 0
		v.digest = t.Digest()
	} else if v.head > 1024 && 2*v.head > len(v.log) {
		n := copy(v.log, v.log[v.head:])
		clear(v.log[n:])
		v.log, v.head = v.log[:n], 0
	}
}

// look returns a node as it will be. The root is "" or "/".
func (v *overlay) look(t *tree.Tree, path string) (record, bool) {
	if path == "/" {
		path = ""
	}
	if r := v.pending[path]; r != nil {
		return *r, r.exists
	}
	ref, ok := t.Find(path)
	if !ok {
		return record{}, false
	}
	return record{
		exists: true, ephemeral: t.IsEphemeral(ref), children: int32(t.NumChildren(ref)),
		stat: t.Persisted(ref), acl: t.ACL(ref), data: t.Data(ref), digest: t.NodeDigestOf(ref),
	}, true
}

// change records what a node will be. r comes from look, changed, or is a new node with digest 0.
func (v *overlay) change(z proto.Zxid, path string, r record) {
	if path == "/" {
		path = ""
	}
	sum := uint64(0)
	if r.exists && v.digests {
		sum = v.digester.Node(path, r.data, &r.stat)
	}
	v.digest += sum - r.digest
	r.digest = sum
	var own *record
	if n := len(v.free); n > 0 {
		own, v.free = v.free[n-1], v.free[:n-1]
	} else {
		own = new(record)
	}
	*own = r
	if r.ephemeral {
		v.owned[r.stat.EphemeralOwner]++
	}
	v.log = append(v.log, inFlight{zxid: z, path: path, rec: own, hides: v.pending[path]})
	v.made++
	v.pending[path] = own
}

// remove records that a node, as it comes from look, will be gone.
func (v *overlay) remove(z proto.Zxid, path string, r record) {
	v.change(z, path, record{digest: r.digest})
}

// release lets a record be used again.
func (v *overlay) release(r *record) {
	if r.ephemeral {
		id := r.stat.EphemeralOwner
		if v.owned[id]--; v.owned[id] == 0 {
			delete(v.owned, id)
		}
	}
	*r = record{}
	v.free = append(v.free, r)
}

// mark is a point to roll back to.
type mark struct {
	length int
	digest uint64
}

func (v *overlay) mark() mark { return mark{len(v.log), v.digest} }

// rollBack takes back all changes since the mark and shows again what they hid. Nothing is applied in between, so what
// they hid is still in flight or in the tree.
func (v *overlay) rollBack(m mark) {
	for len(v.log) > m.length {
		l := v.log[len(v.log)-1]
		v.log[len(v.log)-1] = inFlight{}
		v.log = v.log[:len(v.log)-1]
		v.made--
		if l.hides != nil {
			v.pending[l.path] = l.hides
		} else {
			delete(v.pending, l.path)
		}
		v.release(l.rec)
	}
	v.digest = m.digest
}

func (v *overlay) sessionBegins(z proto.Zxid, id int64) { v.setSession(z, id, sessionLives) }
func (v *overlay) sessionEnds(z proto.Zxid, id int64)   { v.setSession(z, id, sessionClosing) }

func (v *overlay) setSession(z proto.Zxid, id int64, s sessionState) {
	v.sessions[id] = sessionChange{z, s}
	v.log = append(v.log, inFlight{zxid: z, session: id})
	v.made++
}

func (v *overlay) sessionState(t *tree.Tree, id int64) sessionState {
	if c, ok := v.sessions[id]; ok {
		return c.state
	}
	if _, ok := t.SessionTimeout(id); ok {
		return sessionLives
	}
	return sessionUnknown
}

// ephemeralsOf returns the paths that a session will own, sorted. When many sessions expire at once each of them comes
// here with the closes of the others in flight, so that what is in flight is searched only where it holds some of them.
func (v *overlay) ephemeralsOf(t *tree.Tree, id int64) []string {
	paths := slices.DeleteFunc(t.Ephemerals(id), func(path string) bool {
		r := v.pending[path]
		return r != nil && !r.belongsTo(id)
	})
	if v.owned[id] == 0 {
		return paths
	}
	for _, l := range v.log[v.head:] {
		if l.rec != nil && l.rec.belongsTo(id) && v.pending[l.path] == l.rec {
			paths = append(paths, l.path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths) // one that is applied and was set since came twice
}

func (r *record) belongsTo(session int64) bool {
	return r.ephemeral && r.stat.EphemeralOwner == session
}
