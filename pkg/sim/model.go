package sim

import (
	"slices"
	"sort"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// A model is what the history means, for every node at every time: written anew and simply, so that it shares no mistake
// with package tree. Times are counted in committed entries: at time i the first i of them have happened.
type model struct {
	w        *World
	nodes    map[string][]version
	sessions map[int64]*lifetime
	asked    map[requestID]int // when the txn of a client's request was committed
	txn      txn.Txn
}

// A version is a node as it is from some time on.
type version struct {
	at       int
	exists   bool
	data     string
	version  int32
	cversion int32 // children made and removed
	czxid    proto.Zxid
	mzxid    proto.Zxid
	pzxid    proto.Zxid
	owner    int64
	children []string // in order
	// What has changed by it, as far as watches are concerned.
	changed, childrenChanged bool
}

// A lifetime is that of a session; ends is 0 while it lives.
type lifetime struct {
	begins, ends int
	newest       int32 // request that has taken effect
	owned        map[string]bool
}

type requestID struct {
	session int64
	cxid    int32
}

func (m *model) init(w *World) {
	m.w, m.nodes = w, make(map[string][]version)
	m.sessions, m.asked = make(map[int64]*lifetime), make(map[requestID]int)
	m.nodes["/"] = []version{{exists: true, children: []string{"zookeeper"}}}
}

// at returns a node as it is at a time.
func (m *model) at(path string, i int) version {
	vs := m.nodes[path]
	k := sort.Search(len(vs), func(k int) bool { return vs[k].at > i })
	if k == 0 {
		return version{}
	}
	return vs[k-1]
}

func (m *model) now(path string) version {
	vs := m.nodes[path]
	if len(vs) == 0 {
		return version{}
	}
	return vs[len(vs)-1]
}

func (m *model) put(i int, path string, v version) {
	v.at = i
	m.nodes[path] = append(m.nodes[path], v)
}

// apply takes in the entry that is committed as the i-th.
func (m *model) apply(i int, p *proposal) {
	x := &m.txn
	if err := x.Decode(p.Bytes); err != nil {
		m.w.fail("%v is committed and cannot be read: %v", p.Zxid, err)
		return
	}
	if x.Cxid != 0 || x.Header.Type == proto.OpCreateSession {
		id := requestID{x.Session, x.Cxid}
		if before, twice := m.asked[id]; twice {
			m.w.fail("request %d of session %x takes effect at %d and again as %v", x.Cxid, x.Session, before, p.Zxid)
			return
		}
		m.asked[id] = i
		if s := m.sessions[x.Session]; s != nil && !refused(x) {
			if x.Cxid < s.newest {
				m.w.fail("request %d of session %x takes effect as %v, behind request %d", x.Cxid, x.Session, p.Zxid, s.newest)
				return
			}
			s.newest = x.Cxid
		}
	}
	switch x.Header.Type {
	case proto.OpCreateSession:
		m.sessions[x.Session] = &lifetime{begins: i, owned: make(map[string]bool)}
		m.w.Stats.Sessions++
	case proto.OpCloseSession:
		m.close(i, x)
	case proto.OpMulti:
		if refused(x) {
			return
		}
		for k := range x.Subs {
			m.one(i, x, x.Subs[k].Type, &x.Subs[k])
		}
	default:
		m.one(i, x, x.Header.Type, &x.Body)
	}
}

// refused tells whether a txn has no effect.
func refused(x *txn.Txn) bool {
	failed := func(b txn.Body) bool { return b.Type == proto.OpError }
	return x.Header.Type == proto.OpError || slices.ContainsFunc(x.Subs, failed)
}

func (m *model) one(i int, x *txn.Txn, typ proto.Op, b *txn.Body) {
	v := m.now(b.Path)
	switch typ {
	case proto.OpCreate, proto.OpCreate2:
		owner := int64(0)
		if b.Ephemeral {
			owner = x.Session
			s := m.sessions[owner]
			if s == nil || s.ends != 0 {
				m.w.fail("%v makes the ephemeral %s of session %x, which does not live", x.Zxid, b.Path, owner)
				return
			}
			s.owned[b.Path] = true
		}
		if v.exists {
			m.w.fail("%v makes %s, which is there", x.Zxid, b.Path)
			return
		}
		m.put(i, b.Path, version{
			exists: true, data: string(b.Data), czxid: x.Zxid, mzxid: x.Zxid, pzxid: x.Zxid, owner: owner, changed: true,
		})
		m.child(i, x.Zxid, b.Path, true)
	case proto.OpDelete:
		m.remove(i, x.Zxid, b.Path)
	case proto.OpSetData:
		if !v.exists || b.Version != v.version+1 {
			m.w.fail("%v makes version %d of %s, which has %d (%v)", x.Zxid, b.Version, b.Path, v.version, v.exists)
			return
		}
		v.data, v.version, v.mzxid, v.changed, v.childrenChanged = string(b.Data), b.Version, x.Zxid, true, false
		m.put(i, b.Path, v)
	case proto.OpCheck, proto.OpError, proto.OpReconfig:
	default:
		m.w.fail("%v is of type %v, for which nobody has asked", x.Zxid, typ)
	}
}

func (m *model) remove(i int, z proto.Zxid, path string) {
	v := m.now(path)
	if !v.exists || len(v.children) > 0 {
		m.w.fail("%v removes %s, which is not there or has children %v", z, path, v.children)
		return
	}
	if s := m.sessions[v.owner]; v.owner != 0 && s != nil {
		delete(s.owned, path)
	}
	m.put(i, path, version{changed: true, childrenChanged: true})
	m.child(i, z, path, false)
}

// child notes that a child was made or removed.
func (m *model) child(i int, z proto.Zxid, path string, made bool) {
	at := strings.LastIndexByte(path, '/')
	dir, name := path[:max(at, 1)], path[at+1:]
	v := m.now(dir)
	if !v.exists {
		m.w.fail("%v changes a child of %s, which is not there", z, dir)
		return
	}
	k, _ := slices.BinarySearch(v.children, name)
	children := slices.Clone(v.children)
	if made {
		children = slices.Insert(children, k, name)
	} else {
		children = slices.Delete(children, k, k+1)
	}
	v.children, v.pzxid, v.changed, v.childrenChanged = children, z, false, true
	v.cversion++
	m.put(i, dir, v)
}

// close ends a session, and with it all that it owns.
func (m *model) close(i int, x *txn.Txn) {
	s := m.sessions[x.Session]
	if s == nil || s.ends != 0 {
		return // its end was asked for twice
	}
	s.ends = i
	for _, path := range sortedKeys(s.owned) {
		m.remove(i, x.Zxid, path)
	}
	if x.Cxid == 0 {
		m.w.Stats.Expired++
		m.w.expired(x.Session)
	}
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// firstChange returns the time of the first change of a node behind a time, for a watch of its data or of its children;
// 0 if there is none.
func (m *model) firstChange(path string, child bool, i int) int {
	vs := m.nodes[path]
	for k := sort.Search(len(vs), func(k int) bool { return vs[k].at > i }); k < len(vs); k++ {
		if child && vs[k].childrenChanged || !child && vs[k].changed {
			return vs[k].at
		}
	}
	return 0
}
