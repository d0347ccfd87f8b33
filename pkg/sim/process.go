package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/watch"
	"github.com/zabd/zabd/pkg/zab"
)

// A process is a server from its start to its death: the shell of a zab.Node, as package peer is in earnest. Whatever
// it waits for is on the world's agenda, and comes to nothing when it is dead, or later when it is stopped.
type process struct {
	h    *host
	w    *World
	dead bool

	stopped  bool     // SIGSTOP
	deferred []func() // what has come due meanwhile
	born     time.Duration

	dir  *datadir.Dir
	node *zab.Node
	ef   zab.Effects

	inbox    []input
	turnDue  bool
	tickAt   time.Duration // of the earliest tick on the agenda; 0 = none
	crashIn  int           // effects until it crashes; 0 = never
	role     zab.Role
	serves   bool
	leads    int                     // leaderships that were established, as the node counts them
	heardOf  []time.Duration         // by host: when the newest that was handled from it was sent
	heardAt  []time.Duration         // and when it was handled
	due      map[int64]time.Duration // leading: when each session expires that a learner has told of, at the earliest
	ends     []*end
	links    map[zab.LinkID]*link
	lastLink zab.LinkID
	votes    []*voteLink

	jobs    []job // of the log worker
	working bool
	walking bool // a snapshot is being written

	proposed  proto.Zxid // by it, the last
	delivered proto.Zxid // to the tree

	tree    *tree.Tree
	prepper *prep.Prepper
	watches *watch.Table
	apply   applier
	service service
}

// An input is what waits for the node. What another host has sent bears the time when it was sent.
type input struct {
	in   zab.Input
	from *host
	sent time.Duration
}

// start loads what is on the disk.
func (h *host) start() (*process, error) {
	w := h.w
	dir, err := datadir.Open(h.disk, h.options())
	if err != nil {
		return nil, err
	}
	rec, err := dir.Load()
	if err != nil {
		return nil, err
	}
	w.history.recovered(h, rec)
	p := &process{
		h: h, w: w, born: w.now - w.between(time.Second, time.Hour), dir: dir, tree: rec.Tree, watches: watch.NewTable(),
		links: make(map[zab.LinkID]*link), due: make(map[int64]time.Duration), heardOf: make([]time.Duration, len(w.hosts)),
		heardAt: make([]time.Duration, len(w.hosts)),
	}
	p.delivered = max(rec.Last, 0)
	p.prepper = prep.New(p.tree, prep.Options{Digest: true, Ensemble: true, Reconfig: prep.Reconfig{Enabled: w.profile.changes}})
	p.service.init(p)
	p.openVoteLinks()
	p.node = zab.New(zab.Start{
		Self: h.id, Members: h.active, Next: h.next, Reconfig: w.profile.changes, Clients: &p.service,
		Last: rec.Last, AcceptedEpoch: rec.AcceptedEpoch, CurrentEpoch: rec.CurrentEpoch,
		Recent: rec.Recent, CommitLogCap: w.profile.commitLog,
		Tick: w.profile.tick, InitLimit: w.profile.initLimit, SyncLimit: w.profile.syncLimit,
		MinNotification: w.profile.minNote, MaxNotification: w.profile.maxNote, Extensions: h.extensions,
		NoLogSync: w.profile.noLogSync, ForceSnapshot: w.profile.forceSnapshot,
	})
	if w.tracing() {
		w.tracef("%v starts: last %v, epochs %d %d, %s, %d replayed %v",
			h, rec.Last, rec.AcceptedEpoch, rec.CurrentEpoch, rec.Snapshot, rec.Replayed, rec.Warnings)
	}
	return p, nil
}

func (p *process) String() string { return fmt.Sprintf("%d.%d", p.h.id, p.h.starts) }

// begin lets the node look for a leader.
func (p *process) begin() { p.wake() }

// now is the process's monotonic clock.
func (p *process) now() time.Duration { return p.w.now - p.born }

// after lets fn happen in the process's life.
func (p *process) after(d time.Duration, fn func()) {
	p.w.after(d, func() {
		switch {
		case p.dead:
		case p.stopped:
			p.deferred = append(p.deferred, fn)
		default:
			fn()
		}
	})
}

// stop is SIGSTOP, and cont SIGCONT.
func (p *process) stop() {
	p.stopped = true
	p.w.Stats.Pauses++
}

func (p *process) cont() {
	if p.dead || !p.stopped {
		return
	}
	p.stopped = false
	deferred := p.deferred
	p.deferred = nil
	for _, fn := range deferred {
		p.after(p.w.upTo(time.Millisecond), fn)
	}
}

func (p *process) post(in zab.Input) { p.postFrom(in, nil, 0) }

// postFrom has the loop handle an input in its next turn.
func (p *process) postFrom(in zab.Input, from *host, sent time.Duration) {
	if p.dead {
		return
	}
	p.inbox = append(p.inbox, input{in, from, sent})
	p.wake()
}

// wake lets the loop take a turn.
func (p *process) wake() {
	if !p.turnDue {
		p.turnDue = true
		p.after(p.w.upTo(p.w.profile.turn), p.turn)
	}
}

// lane says which of the inputs of one turn come first: what is complete, the votes, the links, then the clients.
func lane(in zab.Input) int {
	switch in.(type) {
	case zab.Synced, zab.Stored, zab.Applied:
		return 0
	case zab.Heard, zab.LinkUp, zab.LinkDown:
		return 1
	case zab.Revalidate:
		return 3
	case zab.Submit:
		return 4
	}
	return 2
}

// turn is one turn of the loop: all that has come in, then all that follows from it. What is rare follows at once.
// Time passes behind what the others have said by then.
func (p *process) turn() {
	p.turnDue = false
	ins := p.inbox
	p.inbox = nil
	slices.SortStableFunc(ins, func(a, b input) int { return cmp.Compare(lane(a.in), lane(b.in)) })
	ticked := false
	for _, i := range ins {
		if l := lane(i.in); l > 2 && !ticked {
			ticked = true
			p.tick()
		}
		if h := i.from; h != nil {
			p.heardOf[h.place], p.heardAt[h.place] = max(p.heardOf[h.place], i.sent), p.w.now
			p.noteTouches(i.in)
		}
		if p.step(i.in); p.dead || p.w.err != nil {
			return
		}
	}
	if !ticked {
		p.tick()
	}
	if p.dead || p.w.err != nil {
		return
	}
	if p.carryOut(); p.dead || p.w.err != nil {
		return
	}
	for _, i := range ins { // from now on a leader knows who has come back, perhaps without its data
		if i.from != nil && p.role == zab.Leading && i.sent > i.from.lostAt {
			i.from.lost = 0
		}
	}
	p.w.history.knowsMembers(p)
	p.setAlarm()
	p.service.release()
}

// noteTouches notes what a learner tells of sessions.
func (p *process) noteTouches(in zab.Input) {
	r, ok := in.(zab.Received)
	if !ok || r.Packet.Type != zab.TypePing || p.role != zab.Leading {
		return
	}
	for d := jute.NewDecoder(r.Packet.Data); d.Len() > 0; {
		id, timeout := d.Long(), time.Duration(d.Int())*time.Millisecond
		p.due[id] = p.w.now + timeout
	}
}

func (p *process) tick() {
	if at, ok := p.node.Wake(); ok && p.now() >= at && !p.dead {
		p.step(zab.Tick{})
	}
}

// step gives the node one input.
func (p *process) step(in zab.Input) {
	p.traceInput(in)
	p.node.Step(p.now(), in, &p.ef)
	if p.look() || rare(&p.ef) {
		p.carryOut()
	}
}

// look compares the node with what it was; true if it serves now, or no longer.
func (p *process) look() bool {
	if r := p.node.Role(); r != p.role {
		if p.w.tracing() {
			p.w.tracef("%v is %v", p, r)
		}
		p.role = r
	}
	if n := p.node.Stats.Leaderships; n != p.leads {
		p.leads = n
		p.w.history.established(p)
	}
	return p.node.Serving() != p.serves
}

// synchronising tells whether it leads or follows, and does not serve yet.
func (p *process) synchronising() bool {
	return p.role != zab.Looking && !p.serves && len(p.links) > 0
}

// setAlarm makes sure that the node gets its next tick.
func (p *process) setAlarm() {
	at, ok := p.node.Wake()
	if !ok || p.tickAt != 0 && p.tickAt <= at {
		return
	}
	p.tickAt = at
	late := p.w.upTo(200 * time.Microsecond)
	p.after(at-p.now()+late, func() {
		if p.tickAt != at {
			return
		}
		p.tickAt = 0
		if wake, ok := p.node.Wake(); ok && wake > p.now() {
			p.setAlarm()
			return
		}
		p.wake()
	})
}

// rare tells whether the effects must be carried out before the next step.
func rare(ef *zab.Effects) bool {
	return len(ef.Store)+len(ef.Ballots)+len(ef.Connect)+len(ef.Hangup)+len(ef.Stream)+len(ef.FindLog)+
		len(ef.Validated)+len(ef.Lines) > 0 || ef.Dial != 0 || ef.Lead || ef.AwaitApplied != 0 || ef.Fatal != nil
}

// carryOut does what follows from the steps. Messages may leave before the disk is told, or after. Between any two
// effects the process may crash.
func (p *process) carryOut() {
	ef := &p.ef
	for {
		parts := [...]func(*zab.Effects){p.carryDisk, p.carryDeliveries, p.carryPackets, p.carryRest}
		if p.w.chance(2) {
			parts[0], parts[2] = parts[2], parts[0]
		}
		for _, part := range parts {
			if part(ef); p.dead || p.w.err != nil {
				return
			}
		}
		if len(ef.Prepare) == 0 || !p.node.Serving() {
			ef.Reset()
			return
		}
		entries := p.prepare(ef.Prepare)
		ef.Reset()
		p.w.history.proposed(p, entries)
		p.node.Step(p.now(), zab.Propose{Entries: entries}, ef)
		p.look()
	}
}

// effect is a place where the process may crash.
func (p *process) effect() (alive bool) {
	if p.crashIn > 0 {
		if p.crashIn--; p.crashIn == 0 {
			p.w.Stats.CrashesAtEffect++
			p.h.crash(p.w.chance(2))
		}
	}
	return !p.dead
}

func (p *process) carryDisk(ef *zab.Effects) {
	if len(ef.Append) > 0 && p.effect() {
		p.w.history.appended(p, ef.Append)
		p.addJob(job{entries: append([]txn.Entry(nil), ef.Append...)})
	}
	for _, s := range ef.Store {
		if !p.effect() {
			return
		}
		p.addStore(s)
	}
}

func (p *process) carryDeliveries(ef *zab.Effects) {
	if len(ef.Deliver) > 0 && p.effect() {
		p.w.history.delivered(p, ef.Deliver)
		p.apply.add(p, ef.Deliver)
	}
}

func (p *process) carryPackets(ef *zab.Effects) {
	for i := range ef.Send {
		if !p.effect() {
			return
		}
		p.sendPacket(ef.Send[i].Link, &ef.Send[i].Packet)
	}
	for _, b := range ef.Ballots {
		if !p.effect() {
			return
		}
		p.ballot(b)
	}
}

func (p *process) carryRest(ef *zab.Effects) {
	if ef.Lead {
		p.prepper.Reset()
	}
	if ef.Members != nil {
		p.w.history.activated(p, ef.Members)
	}
	if s := p.node.Serving(); s != p.serves {
		p.serves = s
		if s {
			p.w.history.serves(p)
			p.service.begin()
		} else {
			p.service.closeAll()
		}
	}
	for _, id := range ef.Connect {
		if h := p.w.host(id); h != nil {
			p.votes[h.place].connect()
		}
	}
	if ef.Dial != 0 {
		p.dial(ef.Dial)
	}
	for _, s := range ef.Stream {
		p.stream(s)
	}
	for _, f := range ef.FindLog {
		p.find(f)
	}
	for _, id := range ef.Hangup {
		p.hangup(id)
	}
	for _, v := range ef.Validated {
		p.service.validated(v)
	}
	if ef.AwaitApplied != 0 {
		p.apply.await(p, ef.AwaitApplied)
	}
	for _, l := range ef.Lines {
		if p.w.tracing() {
			p.w.tracef("%v says: %s", p, l.Text)
		}
	}
	if ef.Fatal != nil {
		p.w.fail("%v cannot go on: %v", p, ef.Fatal)
	}
}

// prepare makes the entries of requests.
func (p *process) prepare(slots []txn.Slot) []txn.Entry {
	entries := make([]txn.Entry, 0, len(slots))
	for _, s := range slots {
		entries = append(entries, p.prepper.PrepareSlot(s, p.h.wallMillis()))
	}
	return entries
}

func (p *process) traceInput(in zab.Input) {
	w := p.w
	w.mix(uint64(p.h.id), uint64(p.node.Logged()), uint64(p.node.Committed()))
	if !w.tracing() {
		return
	}
	switch in := in.(type) {
	case zab.Tick, zab.Alive:
	case zab.Received:
		w.tracef("%v <  link %d: %v %v", p, in.Link, in.Packet.Type, in.Packet.Zxid)
	case zab.Heard:
		w.tracef("%v <  %d: %v %v", p, in.From, in.Note.State, in.Note.Vote)
	case zab.Stored:
		w.tracef("%v <  stored %v no base %v", p, in.Last, in.NoBase)
	case zab.Submit:
		w.tracef("%v <  %d requests", p, len(in.Requests))
	default:
		w.tracef("%v <  %T %+v", p, in, in)
	}
}
