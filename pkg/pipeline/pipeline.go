// Package pipeline is the shell of package serve: it owns the tree's lock, the apply loop, the sessions that live here
// and the bytes on their way to clients. Committed txns come in by Deliver; replies and notifications go out.
//
// Clients are served in terms (term.go), which the peer loop begins and ends in the order of what it delivers.
//
// Locks, in the order in which they are taken: the tree's (Pipeline.mu), a session's (clientSession.mu), that of the
// table of sessions (Pipeline.smu), a client's output (output.mu). A read holds the tree's read lock from before it
// looks until its reply stands in the output, and the apply loop fires watches under the write lock: so a notification
// always stands before the reply that reveals it.
package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/audit"
	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/limit"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/watch"
)

// Replicator takes what clients ask for. Package peer provides it. No method blocks, and none but Drive calls the
// pipeline.
type Replicator interface {
	// Submit takes writes and syncs of one session in order; it keeps the requests and not the slice.
	Submit(rs []*proto.Request)
	// Drive has the replicator begin with what was submitted. It is called without any lock.
	Drive()
	// Revalidate asks whether a session lives whose client has come here and agreed to a timeout; Validated answers.
	Revalidate(id int64, timeout time.Duration)
	// Applied answers NotifyApplied.
	Applied(z proto.Zxid)
}

// Config is what a Pipeline needs.
type Config struct {
	Tree               *tree.Tree
	Prepper            *prep.Prepper
	IDs                *session.IDs
	Clock              func() time.Duration // monotonic, since the server's start
	WallMillis         func() int64         // the time that txns carry
	Auth               auth.Options
	OnlyFollowersServe bool   // and observers: no client is let in while this server leads
	EagerACL           bool   // what the ACLs forbid here does not go to the leader
	Limits             Limits // may change later: SetLimits
	EventBytes         int    // of notifications that may wait for one connection
	Reaping            Reaping
	Audit              *audit.Log       // of what clients change; nil = none is kept
	AuditUser          string           // who this server is in it
	Furnish            func(*tree.Tree) // puts into a tree what no txn brings; the tree is locked; may be nil
	Expired            func(id int64)   // told of each session that this server, as the leader, ends; by the peer loop; may be nil
	// ServeWait is how long a handshake waits for clients to be served; 0 = a second.
	ServeWait time.Duration
}

// A Pipeline serves the clients of one server.
type Pipeline struct {
	cfg     Config
	repl    Replicator
	prepper *prep.Prepper // under mu for reading, by the peer loop alone
	watches *watch.Table
	buffers *sync.Pool // for the outputs of all clients
	Stats   Stats
	digests digests

	mu   sync.RWMutex // the tree's, and which it is
	tree *tree.Tree

	queued, removed  int64 // the peer loop's: prep.Prepper.Changes as they are counted
	batches, untimed int64 // likewise: batches prepared, and requests whose time is yet to be told

	newest *term // the peer loop's: the term of the last Serve, until Unserve
	leads  bool  // the peer loop's: the next term is a leader's

	smu      sync.RWMutex // guards what follows; held while the replicator is told, so that Unserve comes before or after
	term     *term        // nil while clients are not served
	begun    chan struct{}
	sessions map[int64]*clientSession

	vmu         sync.Mutex // guards validations
	validations serve.Validations

	fmu   sync.Mutex // guards fresh
	fresh []*clientSession

	idmu sync.Mutex // guards cfg.IDs

	outstanding atomic.Int64                   // Limits.Outstanding
	requests    atomic.Pointer[limit.Requests] // Limits.Requests; nil if none are held back

	room    sync.Mutex // with roomy: where clients wait until fewer requests are outstanding
	roomy   *sync.Cond
	crowded atomic.Int32 // clients that wait there

	apply applier
	stop  chan struct{} // closed by Stop
}

// New returns a pipeline over a recovered tree, which serves nobody yet. Run it after Connect.
func New(cfg Config) *Pipeline {
	if cfg.ServeWait == 0 {
		cfg.ServeWait = time.Second
	}
	if cfg.Furnish == nil {
		cfg.Furnish = func(*tree.Tree) {}
	}
	p := &Pipeline{
		cfg: cfg, prepper: cfg.Prepper, tree: cfg.Tree, watches: watch.NewTable(), buffers: newBufferPool(),
		sessions: make(map[int64]*clientSession), begun: make(chan struct{}), stop: make(chan struct{}),
	}
	p.roomy = sync.NewCond(&p.room)
	p.SetLimits(cfg.Limits)
	p.apply.init(p.applyTurn)
	p.apply.busy.clock = cfg.Clock
	p.apply.spaces.set = &p.Stats.WriteBytes
	return p
}

// Connect tells the pipeline where writes go. It is called once, before any client.
func (p *Pipeline) Connect(r Replicator) { p.repl = r }

// Stop lets no client wait any longer for what may never be applied. It is called once.
func (p *Pipeline) Stop() {
	close(p.stop)
	p.room.Lock()
	p.roomy.Broadcast()
	p.room.Unlock()
}

func (p *Pipeline) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// Prepare appends the entry of each slot's request to dst (peer.Service).
func (p *Pipeline) Prepare(dst []txn.Entry, slots []txn.Slot) []txn.Entry {
	now, timed, begun := p.cfg.WallMillis(), p.timesPrepare(len(slots)), time.Duration(0)
	if timed {
		begun = p.cfg.Clock()
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, s := range slots {
		if s.Request.Op == proto.OpCloseSession {
			at := p.cfg.Clock()
			dst = append(dst, p.prepper.PrepareSlot(s, now))
			p.Stats.CloseSessionTime.Observe((p.cfg.Clock() - at).Milliseconds())
			continue
		}
		dst = append(dst, p.prepper.PrepareSlot(s, now))
	}
	p.countPrepared(int64(len(slots)), timed, begun)
	return dst
}

// Lead forgets what is in preparation: a leadership begins, with the next Serve (peer.Service).
func (p *Pipeline) Lead() {
	p.prepper.Reset()
	p.leads = true
}

// LastZxid returns the last zxid applied.
func (p *Pipeline) LastZxid() proto.Zxid {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.tree.LastZxid()
}

// View calls f with the tree under its read lock; f must be quick and keep nothing.
func (p *Pipeline) View(f func(*tree.Tree)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.tree)
}

// Watches returns the watch table, for its counts.
func (p *Pipeline) Watches() *watch.Table { return p.watches }

// A NodeWriter takes the nodes of a snapshot. Node buffers; Flush writes what is buffered.
type NodeWriter interface {
	Node(path string, data []byte, acl int64, st *proto.StatPersisted)
	Flush() error
}

// walkStep is how many nodes are written while the tree is locked once: well under a millisecond's worth.
const walkStep = 256

// Walk writes the tree exactly as it is at one zxid, while it goes on changing, or has another in its place. begin gets
// the walk, with its zxid, sessions and ACLs, and says where the nodes go; end is called behind the last node. Any
// number of walks may be under way.
func (p *Pipeline) Walk(begin func(*tree.Walk) (NodeWriter, error), end func() error) error {
	p.mu.Lock()
	w := p.tree.NewWalk()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		w.Close()
		p.mu.Unlock()
	}()
	nodes, err := begin(w)
	for more := true; more && err == nil; {
		p.mu.RLock()
		more = w.Next(walkStep, nodes.Node)
		p.mu.RUnlock()
		err = nodes.Flush()
	}
	if err != nil {
		return err
	}
	return end()
}
