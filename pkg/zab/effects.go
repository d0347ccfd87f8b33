package zab

import (
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/txn"
)

// A LinkID names one connection on the quorum port. Numbers are above 0 and never used again.
type LinkID int64

// An Envelope is a packet and the link that it goes to.
type Envelope struct {
	Link   LinkID
	Packet Packet
}

// Effects is what the shell must do after a Step. Append and Send need no order between them: a message that promises
// durability is made only by the input that reports it (Synced, Stored).
//
// What concerns the disk is done by one worker in the order of the steps, in each step Append before Store.
type Effects struct {
	Prepare []txn.Slot     // leading: answer with one Propose that holds an entry for each, in order
	Append  []txn.Entry    // write to the log in order, then answer with Synced
	Store   []Store        // carry out in order behind Append; answer each with one Stored
	Deliver []txn.Delivery // apply in order, each exactly once

	Send    []Envelope        // keep this order on each link
	Ballots []election.Ballot // for the election port; of two for the same server the later one may replace the other
	Connect []ensemble.ID     // servers to open an election link to, if there is none
	Dial    ensemble.ID       // connect to this server's quorum port, if not 0; answer with Dialed, or DialFailed
	Hangup  []LinkID          // close behind what was sent; no answer
	Stream  []Stream          // send a snapshot or a part of the log; answer each with Streamed, or Closed
	FindLog []Find            // look into the log's files; answer each with LogFound

	// Members: this membership is active from now on. Next: this one may become active, and links to its members, by the
	// addresses that it has, are wanted from now on (of two addresses of a server that of the active one comes first); it is the
	// active one itself if what may have become active came to nothing. Both
	// are set before what else the step asks for (Connect, Dial, Ballots), and nil in all other steps. What a Node is
	// started with is not told again.
	Members, Next *ensemble.Config

	Validated    []Validation // answers to Revalidate
	Lead         bool         // forget what was in preparation: a leadership begins, with the next Prepare
	AwaitApplied proto.Zxid   // if not 0: answer with Applied as soon as the tree has it
	Replaced     proto.Zxid   // if not 0: answers Replace; the new tree stands at it, and clients are served
	Lines        []Line       // for the log
	Fatal        error        // the server cannot go on
}

// Reset empties the effects and keeps their space.
func (e *Effects) Reset() {
	clear(e.Prepare)
	clear(e.Append)
	clear(e.Store)
	clear(e.Deliver)
	clear(e.Send)
	*e = Effects{
		Prepare: e.Prepare[:0], Append: e.Append[:0], Store: e.Store[:0], Deliver: e.Deliver[:0], Send: e.Send[:0],
		Ballots: e.Ballots[:0], Connect: e.Connect[:0], Hangup: e.Hangup[:0], Stream: e.Stream[:0], FindLog: e.FindLog[:0],
		Validated: e.Validated[:0], Lines: e.Lines[:0],
	}
}

// A Store is one change of the disk: SaveEpochs, Truncate, Install, AppendBehind, SaveNext, or Activate.
type Store interface{ store() }

// SaveEpochs makes both epochs durable, behind everything that was appended before.
type SaveEpochs struct{ Accepted, Current uint32 }

// Truncate removes everything above To from the disk. With Rebuild the answer brings the tree that is left.
type Truncate struct {
	To      proto.Zxid
	Rebuild bool
}

// Install makes a received tree durable in the place of all that the disk has: Entries are applied to it, and it is
// written as the snapshot at Zxid. The log goes on behind it.
type Install struct {
	Tree    any
	Entries []txn.Entry
	Zxid    proto.Zxid
}

// AppendBehind appends entries to the log behind an Install or a SaveNext of the same step; Synced reports them, too.
type AppendBehind struct{ Entries []txn.Entry }

// SaveNext makes the membership durable that has been seen last and is not active (ZooKeeper's file .dynamic.next). Without
// one, what was saved is removed: it came to nothing.
type SaveNext struct{ Config *ensemble.Config }

// Activate makes a membership durable as the active one (ZooKeeper's file .dynamic.<version>, to which the static file
// points from then on). What SaveNext has saved is removed behind that, unless it is newer.
type Activate struct{ Config *ensemble.Config }

func (SaveEpochs) store()   {}
func (Truncate) store()     {}
func (Install) store()      {}
func (AppendBehind) store() {}
func (SaveNext) store()     {}
func (Activate) store()     {}

// A Stream is a long answer to a learner that is behind. A snapshot is a SNAP packet with the tree's zxid and the tree; a
// part of the log is a PROPOSAL and a COMMIT for each entry above After up to and including Through.
type Stream struct {
	Link           LinkID
	Snapshot       bool
	After, Through proto.Zxid
}

// Find asks what the log's files know around a learner's last zxid.
type Find struct {
	Link LinkID
	Zxid proto.Zxid
}

// Validation answers one Revalidate.
type Validation struct {
	ID int64
	OK bool
}

// A Line is for the server's log.
type Line struct {
	Warn bool
	Text string
}

// Input is what can happen to a Node.
type Input interface{ input() }

// Tick says that time has passed, and no more.
type Tick struct{}

// Heard brings a message from the election port.
type Heard struct {
	From ensemble.ID
	Note election.Notification
}

// LinkUp says that the election link to a server is open.
type LinkUp struct{ Peer ensemble.ID }

// LinkDown says that it is not, or that no connection could be made. Refused: the server's host said so, by a refusal or
// a reset; otherwise it was silent.
type LinkDown struct {
	Peer    ensemble.ID
	Refused bool
}

// Dialed answers Effects.Dial: the link to that server is open.
type Dialed struct {
	Peer ensemble.ID
	Link LinkID
}

// DialFailed answers Effects.Dial.
type DialFailed struct{ Peer ensemble.ID }

// Accepted says that somebody has connected to the quorum port.
type Accepted struct{ Link LinkID }

// Received brings a packet. Tree is what followed a SNAP. The packet's bytes are the node's from here on.
type Received struct {
	Link   LinkID
	Packet Packet
	Tree   any
}

// Alive says that bytes have come on a link, or were taken by its other end, that make no packet yet.
type Alive struct{ Link LinkID }

// Closed says that a link is at its end, for whatever reason but Effects.Hangup.
type Closed struct{ Link LinkID }

// Synced reports that the log is durable up to and including Zxid. It is reported in the order of the log's changes:
// behind the Stored of a Truncate only what was appended after it counts.
type Synced struct{ Zxid proto.Zxid }

// Stored answers the oldest element of Effects.Store that has no answer yet.
type Stored struct {
	// After Truncate: the last zxid on the disk, and the tree that is left, if it was asked for; NoBase says that nothing
	// was removed, because no snapshot and log make a tree at that zxid.
	Last   proto.Zxid
	Tree   any
	NoBase bool
}

// Streamed answers a Stream: all of it has been queued behind what was sent before; Through is the zxid of the tree, or
// that of the last entry.
type Streamed struct {
	Link    LinkID
	Through proto.Zxid
}

// LogFound answers a Find. Usable: the files reach back far enough and are small enough to be sent. Floor is the newest
// logged zxid that is not above the one asked for, and Next the one behind it (0 if there is none).
type LogFound struct {
	Link        LinkID
	Usable      bool
	Floor, Next proto.Zxid
}

// Applied says that the tree has everything up to Zxid.
type Applied struct{ Zxid proto.Zxid }

// Submit brings requests of clients that connect here: writes, and syncs.
type Submit struct{ Requests []*proto.Request }

// Propose brings the prepared entries, in the order of Effects.Prepare.
type Propose struct{ Entries []txn.Entry }

// Replace puts a tree into the place of that of a standalone server, which nothing else changes meanwhile. Zxid is where it
// stood where it comes from. Effects.Replaced answers; the input is ignored while another is under way.
type Replace struct {
	Tree any
	Zxid proto.Zxid
}

// Revalidate asks whether a session lives whose client has connected here with its id. There is no answer if the server
// stops serving meanwhile.
type Revalidate struct{ session.Touch }

func (Tick) input()       {}
func (Heard) input()      {}
func (LinkUp) input()     {}
func (LinkDown) input()   {}
func (Dialed) input()     {}
func (DialFailed) input() {}
func (Accepted) input()   {}
func (Received) input()   {}
func (Alive) input()      {}
func (Closed) input()     {}
func (Synced) input()     {}
func (Stored) input()     {}
func (Streamed) input()   {}
func (LogFound) input()   {}
func (Applied) input()    {}
func (Submit) input()     {}
func (Propose) input()    {}
func (Replace) input()    {}
func (Revalidate) input() {}

// Clients is what a Node asks of the server whose clients' writes it replicates. The answers are of the moment.
type Clients interface {
	// Heard tells when a session's client was last heard of here, and the timeout it has agreed to; false if unknown.
	Heard(id int64) (last, timeout time.Duration, ok bool)
	// Touched appends the sessions heard of here since the last call, in the order of their ids.
	Touched(dst []session.Touch) []session.Touch
	// Sessions calls f with every session of the tree, in the order of their ids.
	Sessions(f func(id int64, timeoutMillis int32))
	// Expiring tells that a session is about to be closed: it takes no requests and no connection any more.
	Expiring(id int64)
}
