package peer

import (
	"runtime"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// turnState belongs to whoever takes a turn.
type turnState struct {
	node    *zab.Node
	now     time.Duration
	eff     zab.Effects
	members *ensemble.Config // nil when standalone
	next    *ensemble.Config // may come to count; nil = none
	batch   []txn.Entry
	serving bool          // as the service has been told
	until   time.Duration // likewise
	stopped bool          // after Fatal nothing is carried out any more

	links   map[zab.LinkID]*link
	touched []*link // that have something to write
	stopOld func()  // ends the attempt to reach a leader
	up      map[ensemble.ID]bool

	timer *time.Timer
	armed time.Duration // when it fires; unarmed if it does not

	stands standing      // as others have been told
	since  time.Duration // when the role began
	sizes  sizes

	proposals proposals
	awayFrom  time.Duration     // since when clients are not served
	replaced  chan<- proto.Zxid // who waits for a tree to be replaced; nil if nobody does
	differed  int               // learners that got a difference, as it is counted
	disloyal  int               // leaderships that nobody agreed with, likewise
}

const neverYet zab.Role = -1 // before anything was told

const unarmed = time.Duration(1<<63 - 1)

func (s *turnState) init(n *zab.Node, now time.Duration) {
	s.node, s.stands.role = n, neverYet
	s.links, s.up = make(map[zab.LinkID]*link), make(map[ensemble.ID]bool)
	s.now, s.since, s.sizes = now, now, noSizes
	s.stopOld = func() {}
	s.timer, s.armed = time.NewTimer(0), now
}

// loop takes the turns that nobody else takes, and ends them all.
func (p *Peer) loop() {
	defer p.timer.Stop()
	for {
		select {
		case <-p.turns.C:
			runtime.Gosched() // readers that have input add it to this turn
		case <-p.timer.C:
		case <-p.ctx.Done():
			p.turns.Stop()
			p.stopOld()
			return
		}
		p.turns.Take()
		p.cfg.Service.Apply()
	}
}

// drive takes a turn for what the caller has put into the inbox, and does what follows from it. The caller holds no lock
// that a turn might take.
func (p *Peer) drive() {
	p.turns.Drive()
	p.cfg.Service.Apply()
}

// turn handles all that has come in. What is complete leaves first: somebody waits for it. Time passes behind what the
// others have said by then, so that a loop that was late does not take them for silent.
func (p *Peer) turn() {
	if p.stopped {
		return
	}
	p.busy.begin()
	defer p.busy.end()
	p.now = p.cfg.Clock()
	if p.now >= p.armed {
		p.armed = unarmed
	}
	for _, c := range p.completed.take() {
		if c.synced != 0 {
			p.step(zab.Synced{Zxid: c.synced})
			p.proposals.synced = p.proposals.reach(p.proposals.synced, c.synced, p.now, &p.stats.AckCreation)
		} else {
			p.step(c.in)
		}
	}
	for _, v := range p.votes.take() {
		p.onVote(v)
	}
	for _, e := range p.linked.take() {
		p.onLink(e)
	}
	if at, wanted := p.node.Wake(); wanted && p.now >= at {
		p.tick()
	}
	for _, t := range p.validating.take() {
		p.step(zab.Revalidate{Touch: t})
	}
	for _, r := range p.replacing.take() {
		p.replace(r)
	}
	if rs := p.requests.take(); len(rs) > 0 {
		p.step(zab.Submit{Requests: rs})
	}
	p.carryOut()
	p.publish()
	for _, to := range p.asking.take() {
		to <- p.status()
	}
	for _, f := range p.inspecting.take() {
		f()
	}
	if at, wanted := p.node.Wake(); wanted && at < p.armed {
		p.timer.Reset(max(at-p.cfg.Clock(), 0))
		p.armed = at
	}
}

// tick tells the node of the time, and before that of whom it has heard of without a packet.
func (p *Peer) tick() {
	for _, l := range p.links {
		if n := l.came.Load() + l.streamed.Load(); n != l.noticed {
			l.noticed = n
			p.step(zab.Alive{Link: l.id})
		}
	}
	p.step(zab.Tick{})
}

// step gives the node one input. What every write causes gathers until the end of the turn; what is rare is carried out
// at once, in its place.
func (p *Peer) step(in zab.Input) {
	if p.stopped {
		return
	}
	ef := &p.eff
	p.node.Step(p.now, in, ef)
	if p.node.Serving() != p.serving || ef.Members != nil || ef.Next != nil || len(ef.Store)+len(ef.Ballots)+len(ef.Connect)+len(ef.Hangup)+len(ef.Stream)+
		len(ef.FindLog)+len(ef.Validated)+len(ef.Lines) > 0 || ef.Dial != 0 || ef.Lead || ef.AwaitApplied != 0 || ef.Fatal != nil {
		p.carryOut()
	}
}

// carryOut does what the node has asked for, until it asks for no more preparation.
func (p *Peer) carryOut() {
	ef := &p.eff
	for {
		for _, l := range ef.Lines {
			p.say(l)
		}
		if ef.Fatal != nil {
			p.stopped = true
			p.fail(ef.Fatal)
			return
		}
		if p.node.Serving() == p.serving { // a change of that is carried out before anybody hears of it
			p.send()
		}
		if len(ef.Deliver) > 0 {
			p.cfg.Service.Deliver(ef.Deliver)
		}
		if len(ef.Append)+len(ef.Store) > 0 {
			p.log.add(ef.Append, ef.Store)
		}
		p.carryOutRare()
		p.send()
		p.stream()
		if len(ef.Prepare) == 0 || !p.node.Serving() { // what was asked of a leader that leads no more has no answer
			ef.Reset()
			return
		}
		clear(p.batch)
		p.batch = p.cfg.Service.Prepare(p.batch[:0], ef.Prepare)
		p.sizes.add(p.batch)
		if n := len(p.batch); n > 0 {
			p.proposals.add(p.batch[0].Zxid, p.batch[n-1].Zxid, p.now)
		}
		ef.Reset()
		p.node.Step(p.now, zab.Propose{Entries: p.batch}, ef)
	}
}

func (p *Peer) carryOutRare() {
	ef := &p.eff
	if ef.Members != nil || ef.Next != nil {
		p.changeMembers(ef.Members, ef.Next)
	}
	s := p.node.Serving()
	if ef.Lead || s && !p.serving && p.node.Role() == zab.Standalone {
		p.cfg.Service.Lead()
	}
	if s != p.serving {
		p.publish()
		p.serving = s
		if s {
			p.cfg.Service.Serve()
		} else {
			p.cfg.Service.Unserve()
		}
		p.until = 0
		p.publish()
	}
	if ef.Replaced != 0 {
		p.replaced <- ef.Replaced
		p.replaced = nil
	}
	if ef.AwaitApplied != 0 {
		p.cfg.Service.NotifyApplied(ef.AwaitApplied)
	}
	for _, v := range ef.Validated {
		p.cfg.Service.Validated(v.ID, v.OK)
	}
	if len(ef.Ballots) > 0 {
		p.election.send(ef.Ballots)
	}
	if len(ef.Connect) > 0 {
		p.election.connect(ef.Connect)
	}
	if ef.Dial != 0 {
		p.dial(ef.Dial)
	}
}

// send sends packets to the links. It comes first: others wait for them, and the own disk can begin a little later.
func (p *Peer) send() {
	ef := &p.eff
	for i := range ef.Send {
		l := p.links[ef.Send[i].Link]
		if l == nil {
			continue
		}
		if !l.send(&ef.Send[i].Packet, p.cfg.Network.MaxQueue) {
			l.close(errOverflow)
			continue
		}
		if !l.fresh {
			l.fresh = true
			p.touched = append(p.touched, l)
		}
	}
	for i, l := range p.touched {
		l.fresh = false
		l.push()
		p.touched[i] = nil
	}
	p.touched = p.touched[:0]
	clear(ef.Send)
	ef.Send = ef.Send[:0]
}

// stream has the links' writers do what comes behind the packets: streams, and then the end.
func (p *Peer) stream() {
	ef := &p.eff
	for _, s := range ef.Stream {
		if l := p.links[s.Link]; l != nil {
			l.queue(job{stream: &s})
		}
	}
	for _, f := range ef.FindLog {
		if l := p.links[f.Link]; l != nil {
			l.queue(job{find: &f})
		}
	}
	for _, id := range ef.Hangup {
		if l := p.links[id]; l != nil {
			delete(p.links, id)
			l.hangUp()
		}
	}
}

func (p *Peer) onVote(v voteEvent) {
	switch in := v.in.(type) {
	case zab.LinkUp:
		p.up[in.Peer] = true
	case zab.LinkDown:
		delete(p.up, in.Peer)
	}
	p.step(v.in)
	if v.gate != nil {
		v.gate.leave(1)
	}
}

func (p *Peer) onLink(e linkEvent) {
	switch e.kind {
	case linkAccepted:
		p.links[e.link.id] = e.link
		p.step(zab.Accepted{Link: e.link.id})
	case linkReceived:
		if p.links[e.link.id] != nil {
			e.link.packets++
			p.observe(e.link, &e.packet)
			p.step(zab.Received{Link: e.link.id, Packet: e.packet, Tree: e.tree})
		}
		e.link.leave(e.size)
	case linkClosed:
		if p.links[e.link.id] != nil {
			delete(p.links, e.link.id)
			p.step(zab.Closed{Link: e.link.id})
		}
	case linkDialed:
		p.links[e.link.id] = e.link
		p.step(zab.Dialed{Peer: e.peer, Link: e.link.id})
	case linkFailed:
		p.step(zab.DialFailed{Peer: e.peer})
	}
}

// dial connects to a leader. An attempt that is still under way is not wanted any more.
func (p *Peer) dial(id ensemble.ID) {
	p.stopOld()
	m, ok := p.members.Member(id)
	if !ok && p.next != nil {
		m, _ = p.next.Member(id)
	}
	p.stopOld = p.quorum.dial(m)
}

func (p *Peer) say(l zab.Line) {
	args := []any{"role", p.node.Role().String(), "epoch", p.node.Epoch()}
	if l.Warn {
		p.cfg.Logger.Warn(l.Text, args...)
	} else {
		p.cfg.Logger.Info(l.Text, args...)
	}
}
