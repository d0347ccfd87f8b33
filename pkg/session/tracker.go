package session

import "time"

// A Tracker is what a leader knows of every global session: when it is due, which server's client it is, and whether it
// is about to end. It has one owner.
//
// A server is named by its origin, the number of the link by which its requests come; the leader's own clients have the
// origin Self. The first server that uses a session owns it, until another proves to have its client (Move).
type Tracker struct {
	*Table
	owners  map[int64]int64
	closing map[int64]struct{}
}

// A Touch is a session that was heard of, and its timeout.
type Touch struct {
	ID      int64
	Timeout time.Duration
}

// Self is the origin of the leader's own clients.
const Self int64 = 0

// NewTracker returns a tracker without sessions; tick is that of its Table.
func NewTracker(tick time.Duration) *Tracker {
	t := &Tracker{}
	t.Reset(tick)
	return t
}

// Reset forgets everything: a leadership begins.
func (t *Tracker) Reset(tick time.Duration) {
	*t = Tracker{Table: NewTable(tick), owners: make(map[int64]int64), closing: make(map[int64]struct{})}
}

// Claim tells whether the server with this origin may write for a session, and makes it the owner if there is none. A
// session that is not tracked has no owner: whether it lives is for others to say.
func (t *Tracker) Claim(id, origin int64) bool {
	if !t.Has(id) {
		return true
	}
	owner, owned := t.owners[id]
	if !owned {
		t.owners[id] = origin
		return true
	}
	return owner == origin
}

// Own makes the server with this origin the owner of a session that is about to be tracked.
func (t *Tracker) Own(id, origin int64) { t.owners[id] = origin }

// Move makes a server the owner of a session whose client has come to it, and touches it; false if there is no such
// session, or it is about to end.
func (t *Tracker) Move(id, origin int64, timeout, now time.Duration) bool {
	if _, ends := t.closing[id]; ends || !t.Has(id) {
		return false
	}
	t.owners[id] = origin
	t.Touch(id, timeout, now)
	return true
}

// Close says that the end of a session is on its way: nobody can move it any more.
func (t *Tracker) Close(id int64) { t.closing[id] = struct{}{} }

// Forget takes a session out: its end is committed.
func (t *Tracker) Forget(id int64) {
	t.Remove(id)
	delete(t.owners, id)
	delete(t.closing, id)
}
