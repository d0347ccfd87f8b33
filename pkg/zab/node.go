// Package zab is a peer's whole life in the broadcast protocol as a deterministic state machine: inputs in, effects
// out, without clock, goroutine, socket, file or lock. Package peer is its shell. A node looks for a leader (package
// election does the voting), leads or follows it through discovery and synchronisation, and then broadcasts.
//
//	looking.go     the election, and what becomes of its result
//	discovery.go   leading: who is there, and which epoch begins
//	choose.go      which way a learner is brought to the leader's history; catchup.go walks it
//	broadcast.go   leading: from a request to a committed entry; alive.go: who still answers
//	learner.go     following and observing, up to UPTODATE; follow.go: from there on
//	replace.go     a standalone server goes on with another tree
//	reconfig.go    the members change
//	sessions.go    whose sessions live, and who may write for them
//
// A standalone server is the start state of a sole voter that leads the epoch of its last zxid, without discovery and
// without links.
//
// (F. Junqueira, B. Reed, M. Serafini: Zab, high-performance broadcast for primary-backup systems, DSN 2011.)
package zab

import (
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/invariant"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
)

// Start is the state that a Node begins with.
type Start struct {
	Self    ensemble.ID
	Members *ensemble.Config // the active membership; nil for a standalone server
	Next    *ensemble.Config // the last one that was saved by SaveNext and is not active; nil if there is none
	Clients Clients

	Reconfig bool // reconfigEnabled: memberships that come from others, or by an entry, are heeded

	// Last is the last zxid in the log, or of the snapshot, and what the tree has: 0 for a new server, -1 for one that has
	// lost its data and must not vote.
	Last                             proto.Zxid
	AcceptedEpoch, CurrentEpoch      uint32
	Recent                           []txn.Entry // the entries that end with Last
	CommitLogCap                     int         // how many committed entries to keep for learners to come
	Tick                             time.Duration
	InitLimit, SyncLimit             time.Duration // for a learner to come so far; for anybody to be silent
	MinNotification, MaxNotification time.Duration // between repeated votes, at first and at most; 0 = ZooKeeper's
	Extensions                       uint64        // that are offered to other peers
	ForceSnapshot                    bool          // every learner gets the whole tree
	NoLogSync                        bool          // nobody gets a part of the log's files
	EpochLimit                       time.Duration // for a quorum to agree on a new leader's epoch; 0 = InitLimit
	Redial                           time.Duration // between attempts to reach a leader; 0 = a few milliseconds
	ObserverPause                    time.Duration // until an observer that has lost its leader connects to one
	MaxSnaps, MaxDiffs               int           // observers are turned away while so many learners are being brought up; 0 = any number
}

// Role is what a node is in its ensemble.
type Role int

// The roles. Looking is that of a node without a leader.
const (
	Looking Role = iota
	Following
	Observing
	Leading
	Standalone
)

var roleNames = [...]string{"looking", "follower", "observer", "leader", "standalone"}

// String returns the role as ZooKeeper's tools print it.
func (r Role) String() string { return roleNames[r] }

// A Node is one peer's state. It has one owner, the loop of package peer.
//
// Invariants:
//
//	applied <= logged, and pending[head:] is what was logged and not delivered: in zxid order, without holes, from the
//	entry behind applied to logged
//	what was delivered was committed, or recovered at the start
//	leading and serving: assigned >= proposed == logged; what lies between is being prepared, in order
//	epoch(logged) <= currentEpoch <= acceptedEpoch once no Store is under way
type Node struct {
	cfg     Start
	self    ensemble.ID
	who     *ensemble.Electorate // the active membership, and the last seen; nil for a standalone server
	now     time.Duration
	role    Role
	serving bool // clients are served

	acceptedEpoch, currentEpoch uint32

	applied   proto.Zxid  // delivered to the tree, or in it from the start
	committed proto.Zxid  // an entry that is known to be, by a leader that was established, or by ourselves
	logged    proto.Zxid  // appended, though perhaps not synced
	synced    proto.Zxid  // durable, as far as we were told
	pending   []txn.Entry // from head on
	head      int
	recent    committedLog
	aside     any     // a received or rebuilt tree that stands at applied, until the apply loop goes on with it
	storing   []Store // without an answer yet

	el        *election.Election
	votes     election.Effects // scratch
	started   bool
	lostAt    time.Duration // when the last leader was last heard of
	refusedAt time.Duration // when a leader's epoch was one that we cannot follow any more
	early     []Heard       // votes that came while the disk was changing
	lobby     []*learner    // links to learners that came while nobody leads
	lead      *leadership   // leading and standalone
	follow    *discipleship // following and observing
	sessions  *session.Tracker
	scratch   txn.Txn
	fresh     map[int64]time.Duration // new sessions and their timeouts: a learner tells its leader once of each, whoever owns it

	Stats Stats
}

// Stats counts what a node has gone through since its start.
type Stats struct {
	Elections      int // decided
	Leaderships    int // established
	Diffs          int // learners that got a difference, of these from the log's files, a truncation, the whole tree
	DiffFromLog    int
	Truncs         int
	Snaps          int
	TailsInherited int // leaderships that began with entries which nobody had committed
	TailsCut       int // truncations that took entries of our own
	SessionsMoved  int
	Refused        int // learners turned away
	Dropped        int // learners that were too slow
	Disloyal       int // leaderships that no quorum has agreed with in time
	Proposals      int64
	Commits        int64
	Revalidated    int64 // times that a learner has asked whether a session lives
	Expired        int64 // sessions that a leader has found silent for too long
	Reconfigs      int   // changes of members that were committed while leading
	Appointed      int   // times that a leader was followed, or became one, because the one before has suggested it
	Adopted        int   // memberships that others had, and this server did not know
	Undone         int   // changes of members that were logged, and are no part of a later leader's history
}

// forever is the lease of a server that needs nobody.
const forever = time.Duration(1<<63 - 1)

// New returns a node of an ensemble. It begins to look for a leader with the first Step.
func New(s Start) *Node {
	n := newNode(s)
	n.who = startMembers(&s)
	n.el = election.New(election.Options{
		Self: s.Self, Members: n.who.Active, Next: n.who.Next, Reconfig: s.Reconfig,
		MinInterval: s.MinNotification, MaxInterval: s.MaxNotification,
	})
	return n
}

// NewStandalone returns a node that is its ensemble's only voter and leads the epoch of its last zxid.
func NewStandalone(s Start) *Node {
	n := newNode(s)
	n.role, n.serving, n.started, n.committed = Standalone, true, true, s.Last
	n.lead = &leadership{
		quorum: ensemble.NewMajority(1), acked: []proto.Zxid{s.Last}, assigned: s.Last, proposed: s.Last, established: true,
	}
	if s.Clients != nil {
		n.trackSessions()
	}
	return n
}

func newNode(s Start) *Node {
	n := &Node{
		cfg: s, self: s.Self, acceptedEpoch: s.AcceptedEpoch, currentEpoch: s.CurrentEpoch,
		applied: s.Last, logged: s.Last, synced: s.Last, recent: newCommittedLog(s.CommitLogCap),
		sessions: session.NewTracker(max(s.Tick, time.Millisecond)),
	}
	for _, e := range s.Recent {
		n.recent.add(e)
	}
	return n
}

// Role returns what the node is now.
func (n *Node) Role() Role { return n.role }

// Serving tells whether clients are to be served.
func (n *Node) Serving() bool { return n.serving }

// Committed returns the last zxid that is known to be committed.
func (n *Node) Committed() proto.Zxid { return n.committed }

// Logged returns the last zxid that was appended to the log.
func (n *Node) Logged() proto.Zxid { return n.logged }

// Epoch returns the epoch that the node takes part in.
func (n *Node) Epoch() uint32 { return n.currentEpoch }

// Election returns the state of the votes, to look at; nil for a standalone server.
func (n *Node) Election() *election.Election { return n.el }

// Leader returns the server that leads, as far as this one is in contact with it; 0 if none.
func (n *Node) Leader() ensemble.ID {
	switch {
	case n.role == Leading:
		return n.self
	case n.follow != nil:
		return n.follow.leader
	}
	return 0
}

// Members returns the membership that is active, and the one that was seen last; nil for a standalone server.
func (n *Node) Members() *ensemble.Electorate { return n.who }

// Outstanding returns how many entries are logged and not yet delivered.
func (n *Node) Outstanding() int { return len(n.pending) - n.head }

// CommittedSince appends the kept committed entries with a zxid above z to dst; false if some are no longer kept.
func (n *Node) CommittedSince(dst []txn.Entry, z proto.Zxid) ([]txn.Entry, bool) {
	return n.recent.since(dst, z)
}

// Step takes one input, at the time now, which never goes back, and adds what must follow from it to ef.
func (n *Node) Step(now time.Duration, in Input, ef *Effects) {
	if gap := now - n.now; n.role != Looking && n.role != Standalone && gap > n.cfg.SyncLimit {
		// We have slept, or did not run. What waits in the links is old, and would pass for a sign of life.
		n.now = now
		n.leave(ef, "this server stood still for %v", gap)
	}
	n.now = max(n.now, now)
	if !n.started {
		n.started = true
		n.recallMembers(ef)
		n.look(ef)
	}
	switch in := in.(type) {
	case Submit:
		n.onSubmit(in.Requests, ef)
	case Propose:
		n.onPropose(in.Entries, ef)
	case Received:
		n.onReceived(in, ef)
	case Synced:
		n.onSynced(in.Zxid, ef)
	default:
		n.stepRare(in, ef)
	}
	n.check()
}

// stepRare handles what does not come with every write.
func (n *Node) stepRare(in Input, ef *Effects) {
	switch in := in.(type) {
	case Tick:
		n.onTick(ef)
	case Heard:
		n.onHeard(in, ef)
	case LinkUp:
		n.vote(func(v *election.Effects) { n.el.LinkUp(n.now, in.Peer, v) }, ef)
	case LinkDown:
		n.vote(func(v *election.Effects) { n.el.LinkDown(n.now, in.Peer, in.Refused, v) }, ef)
	case Dialed:
		n.onDialed(in, ef)
	case DialFailed:
		n.onDialFailed(in, ef)
	case Accepted:
		n.onAccepted(in.Link, ef)
	case Alive:
		n.onAlive(in.Link)
	case Closed:
		n.onClosed(in.Link, ef)
	case Stored:
		n.onStored(in, ef)
	case Streamed:
		n.onStreamed(in, ef)
	case LogFound:
		n.onLogFound(in, ef)
	case Applied:
		n.onApplied(in.Zxid, ef)
	case Replace:
		n.onReplace(in, ef)
	case Revalidate:
		n.onRevalidate(in.Touch, ef)
	}
}

// store hands a change of the disk to the shell; then is called with its answer.
func (n *Node) store(s Store, ef *Effects) {
	n.storing = append(n.storing, s)
	ef.Store = append(ef.Store, s)
}

// append adds an entry to the log and to what waits to be committed.
func (n *Node) append(e txn.Entry, ef *Effects) {
	n.logged = e.Zxid
	n.pending = append(n.pending, e)
	for i := range ef.Store {
		if _, ok := ef.Store[i].(AppendBehind); ok { // it comes behind what goes there
			n.store(AppendBehind{[]txn.Entry{e}}, ef)
			return
		}
	}
	ef.Append = append(ef.Append, e)
}

// appendChange adds an entry that changes the members. The membership is on the disk before it.
func (n *Node) appendChange(e txn.Entry, c *ensemble.Config, ef *Effects) {
	n.seeEntry(c, ef)
	n.logged = e.Zxid
	n.pending = append(n.pending, e)
	n.store(AppendBehind{[]txn.Entry{e}}, ef)
}

// deliver gives what waits up to and including z to the apply loop.
func (n *Node) deliver(z proto.Zxid, ef *Effects) {
	for n.head < len(n.pending) && n.pending[n.head].Zxid <= z {
		e := n.pending[n.head]
		n.applied = e.Zxid
		n.recent.add(e)
		n.watchSessions(e)
		n.Stats.Commits++
		ef.Deliver = append(ef.Deliver, txn.Delivery{Entry: e})
		n.pending[n.head] = noEntry // its bytes are the collector's once the committed log drops them
		n.head++
	}
	if z.Counter() != 0 { // or else it is no entry's, and a later leader need not know it
		n.committed = max(n.committed, z)
	}
	if 2*n.head >= len(n.pending) { // close the gap when that costs no more than what made it
		kept := copy(n.pending, n.pending[n.head:])
		clear(n.pending[kept:])
		n.pending, n.head = n.pending[:kept], 0
	}
}

// adopt lets the apply loop go on with the tree that was received or rebuilt, if there is one.
func (n *Node) adopt(ef *Effects) {
	if n.aside != nil {
		ef.Deliver = append(ef.Deliver, txn.Delivery{Tree: n.aside, Entry: txn.Entry{Zxid: n.applied}})
		n.aside = nil
	}
}

func (n *Node) say(ef *Effects, warn bool, format string, args ...any) {
	ef.Lines = append(ef.Lines, Line{warn, fmt.Sprintf(format, args...)})
}

// check says the invariants of Node in code. (The conditions stand outside of That, whose arguments would be
// allocated for every step.)
func (n *Node) check() {
	if n.applied > n.logged && n.logged >= 0 || n.synced > n.logged {
		invariant.That(false, "zab: applied %v, synced %v, logged %v", n.applied, n.synced, n.logged)
	}
	if l := n.lead; l != nil && l.established && n.head < len(n.pending) {
		if last := n.pending[len(n.pending)-1].Zxid; last != n.logged || l.proposed > l.assigned {
			invariant.That(false, "zab: pending to %v, logged %v, proposed %v, assigned %v", last, n.logged, l.proposed, l.assigned)
		}
	}
	if l := n.lead; l != nil && l.established && n.who != nil && (l.reconfig != 0) != (n.who.Next != nil) {
		invariant.That(false, "zab: the change %v is under way, and the next membership is %v", l.reconfig, n.who.Next)
	}
	if n.head < len(n.pending) && n.pending[n.head].Zxid <= n.applied {
		invariant.That(false, "zab: %v is pending, and %v applied", n.pending[n.head].Zxid, n.applied)
	}
}
