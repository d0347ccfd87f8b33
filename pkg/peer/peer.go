// Package peer is the shell of package zab: the one loop that owns the node, the log writer beside it, and the links to
// the other servers. It brings inputs to the node in batches, carries out what the node asks for, and decides nothing
// of the protocol itself.
//
//	clients  -> Submit -> loop -> Prepare -> log writer -> Synced -> loop -> Deliver -> apply loop
//	learners -> link    ->                -> link       -> ACK    ->
//
//	loop.go      one turn: what has come in, what the node makes of it, what follows; packets and the log writer take
//	             turns themselves while there is little to do (package turn)
//	storage.go   the log writer
//	quorum.go    links on the quorum port; link.go is one of them, packets.go cuts its input
//	election.go  links on the election port; election_conn.go is one of them
//	members.go   other members, and other addresses of our own
//	dial.go      ports and connections; gate.go: what bounds them
//
// The loop never blocks on a send: its inbox and the queues that it fills are slices under a mutex, swapped whole, with
// one wake-up for as much as has queued up. What comes in is bounded by what clients may have outstanding (package
// server) and by the links' gates; what goes out to a peer is bounded in bytes: behind that, the link is closed, and the
// learner synchronises again.
package peer

import (
	"context"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/turn"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// Log is what package peer asks of stable storage. The log writer calls what changes it; Find and ReadFrom are called
// beside it.
type Log interface {
	// Append takes entries for the next Sync.
	Append(entries []txn.Entry) error
	// Sync makes everything appended durable.
	Sync() error
	// SaveEpochs makes both epochs durable.
	SaveEpochs(accepted, current uint32) error
	// SaveNext makes a membership durable that may come to count; nil forgets the one before.
	SaveNext(c *ensemble.Config) error
	// Activate makes a membership durable that counts.
	Activate(c *ensemble.Config) error
	// Truncate removes everything above a zxid and tells what is left, or removes nothing and returns ErrNoBase.
	Truncate(to proto.Zxid, rebuild bool) (Left, error)
	// Install applies entries to a received tree, makes it durable as the snapshot at a zxid, and removes all else.
	Install(tree any, entries []txn.Entry, at proto.Zxid) error
	// Find looks for a learner's last zxid.
	Find(last proto.Zxid) (Found, error)
	// ReadFrom returns the entries behind a zxid, as far as they are durable.
	ReadFrom(after proto.Zxid) (Entries, error)
}

// Left is what a truncation has left: the last zxid, and the tree if it was asked for.
type Left struct {
	Last proto.Zxid
	Tree any
}

// Found is what the log's files know around a zxid: whether they reach back far enough and are small enough to be sent,
// the newest entry that is not above it, and the one behind that (0 if there is none).
type Found struct {
	Usable      bool
	Floor, Next proto.Zxid
}

// Entries is a place in the log.
type Entries interface {
	// Next returns the next entry; io.EOF if there is none up to and including through.
	Next(through proto.Zxid) (txn.Entry, error)
	io.Closer
}

// Trees sends whole trees to learners and takes those that a leader sends.
type Trees interface {
	// Send writes the tree as it stands. begin is called first, with the zxid at which it stands.
	Send(w io.Writer, begin func(proto.Zxid) error) error
	// Restore reads a tree that stands at a zxid, and nothing behind it.
	Restore(r io.Reader, at proto.Zxid) (any, error)
}

// Service is the server that the peer replicates for. Package pipeline provides it. No method may block for long.
type Service interface {
	// Prepare appends the entry of each request to dst, in order.
	Prepare(dst []txn.Entry, batch []txn.Slot) []txn.Entry
	// Lead says that nothing is in preparation any more, and that this server leads from the next Serve until Unserve.
	Lead()
	// Deliver takes what happens to the tree, in order. It keeps what is in the slice and not the slice.
	Deliver(ds []txn.Delivery)
	// Apply follows Deliver, behind the turn: what was delivered is applied, perhaps on the caller's goroutine.
	Apply()
	// NotifyApplied has Peer.Applied called as soon as the tree has everything up to z.
	NotifyApplied(z proto.Zxid)
	// Validated answers Peer.Revalidate.
	Validated(id int64, ok bool)
	// Serve says that clients are to be served, behind what was delivered; Unserve that they are not. In between, Extend
	// says until when, by Config.Clock, reads may be answered.
	Serve()
	Extend(until time.Duration)
	Unserve()
}

// Config is what a Peer needs.
type Config struct {
	Node     *zab.Node
	Log      Log
	Service  Service
	Clock    func() time.Duration
	MaxBatch int // bytes that the log writer may append before it syncs
	Flush    Flush
	// Durable is called by the log writer after a sync, once the tree holds nothing but what was committed: as soon as
	// this server has followed, or become, an established leader.
	Durable func()
	Fatal   func(error) // called once, when the server cannot go on; nothing is acknowledged afterwards
	Changed func()      // called by the loop when there is another Status to tell, beyond its zxid; may be nil
	// Members is called by the loop when other members count; behind the Deliver of the txn that says so, if there is one.
	Members func(*ensemble.Config)
	Logger  *slog.Logger
	Network *Network // nil for a standalone server
}

// Network is what a member of an ensemble needs besides.
type Network struct {
	Self          ensemble.ID
	Members, Next *ensemble.Config // as zab.Start has them
	// Quorum and Election are the own ports, open. Listen opens either at other addresses.
	Quorum, Election []net.Listener
	Listen           func(context.Context, []ensemble.Addr) ([]net.Listener, error)
	Dial             Dialer
	Trees            Trees

	MaxPacket      int           // bytes of a packet on the quorum port
	MaxQueue       int           // bytes that may wait for a peer to take them (64 MiB)
	FirstPacket    time.Duration // in which somebody who connects to the quorum port must say something
	HelloTimeout   time.Duration // likewise on the election port
	ConnectTimeout time.Duration // to reach a leader's quorum port
	CnxTimeout     time.Duration // to reach an election port
	MultiAddress   bool          // the others are told all our election addresses, and not one
	InTurn         time.Duration // try the addresses of a server one after another, each for so long; 0 = all at once

	// What is sent to the leader, and by it, may wait for more, so that packets get larger (Nagle's algorithm).
	FollowerDelay, LeaderDelay bool
}

const defaultQueue = 64 << 20

// A Peer runs one node.
type Peer struct {
	cfg        Config
	log        *logWriter
	quorum     *quorumPort   // nil when standalone, as is election
	election   *electionPort //
	complaints *complaints
	busy       Busy
	progress   progress
	stats      Stats

	// turns are those of the loop; what follows are the lanes of its inbox.
	turns      *turn.Loop
	completed  completions
	votes      lane[voteEvent]
	linked     lane[linkEvent]
	validating lane[session.Touch]
	requests   lane[*proto.Request]
	asking     lane[chan<- Status]
	inspecting lane[func()]
	replacing  lane[replacement]

	cancel  context.CancelFunc // of ctx, which ends the ports
	ctx     context.Context
	tasks   sync.WaitGroup
	failing sync.Once

	turnState
}

// New returns a peer that does nothing until Start.
func New(cfg Config) *Peer {
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Members == nil {
		cfg.Members = func(*ensemble.Config) {}
	}
	p := &Peer{cfg: cfg, complaints: newComplaints(cfg.Logger)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.turns = turn.New(p.turn)
	p.completed.wake, p.votes.wake, p.linked.wake = p.turns.C, p.turns.C, p.turns.C
	p.validating.wake, p.requests.wake, p.asking.wake = p.turns.C, p.turns.C, p.turns.C
	p.inspecting.wake, p.replacing.wake = p.turns.C, p.turns.C
	p.log = newLogWriter(&cfg, &p.stats, &p.completed, p.drive, p.durable, p.fail)
	p.turnState.init(cfg.Node, cfg.Clock())
	if n := cfg.Network; n != nil {
		p.members, p.next = n.Members, n.Next
		if n.MaxQueue <= 0 {
			n.MaxQueue = defaultQueue
		}
		p.quorum = newQuorumPort(p)
		p.election = newElectionPort(p)
		p.election.follow(n.Members, n.Next)
	}
	p.publish()
	return p
}

// Start begins to run the node. The service has to know of the peer by then.
func (p *Peer) Start() {
	if n := p.cfg.Network; n != nil {
		p.quorum.listening.serve(n.Quorum)
		p.election.start(n.Election)
	}
	p.tasks.Go(p.loop)
	p.tasks.Go(p.log.run)
}

// Close closes the ports and all links, stops the loop, and then the log writer, which first makes durable what has been
// appended.
func (p *Peer) Close() {
	p.cancel()
	if p.cfg.Network != nil {
		p.quorum.listening.close()
		p.election.listening.close()
		p.quorum.close()
		p.election.close()
	}
	p.log.close()
	p.tasks.Wait()
}

func (p *Peer) durable() {
	if p.progress.served.Load() {
		p.cfg.Durable()
	}
}

// fail ends the server: the first reason counts.
func (p *Peer) fail(err error) { p.failing.Do(func() { p.cfg.Fatal(err) }) }

// Loops returns the stamps of the peer's loops, by name.
func (p *Peer) Loops() map[string]*Busy {
	return map[string]*Busy{"peer loop": &p.busy, LogWriter: &p.log.busy}
}

// LogWriter is the loop that waits for the disk.
const LogWriter = "log writer"

// Submit brings requests of one client in order: writes and syncs. The peer keeps the requests and not the slice. Drive
// must follow.
func (p *Peer) Submit(rs []*proto.Request) { p.requests.put(rs...) }

// Drive has the peer look at what was submitted, perhaps before it returns. It may call the service.
func (p *Peer) Drive() {
	runtime.Gosched() // clients that have input add it to this turn
	p.drive()
}

// Revalidate asks whether a session lives whose client has come here, and what its timeout is to be from now on.
// Service.Validated has the answer; there is none if the server stops serving meanwhile.
func (p *Peer) Revalidate(id int64, timeout time.Duration) {
	p.validating.add(session.Touch{ID: id, Timeout: timeout})
}

// Applied answers Service.NotifyApplied.
func (p *Peer) Applied(z proto.Zxid) { p.completed.add(completion{in: zab.Applied{Zxid: z}}) }
