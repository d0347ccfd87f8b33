package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/serve"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/watch"
	"github.com/zabd/zabd/pkg/zab"
)

// A service is a server's side of its clients, as packages pipeline and server are in earnest: it brings requests and
// answers to the pure code that decides about them.
type service struct {
	p           *process
	open        bool // clients are let in
	from        int  // only when so many deliveries have been applied
	ids         *session.IDs
	sessions    map[int64]*lodging
	touched     map[int64]time.Duration
	visitors    []*visitor
	validations serve.Validations
}

// A lodging is a session whose client is, or was last, here.
type lodging struct {
	serve.Session
	id      int64
	timeout time.Duration
	heard   time.Duration
	waiting map[int32]bool // writes that were handed on
}

func (s *service) init(p *process) {
	s.p, s.ids = p, session.NewIDs(int64(p.h.id), time.Duration(p.h.wallMillis())*time.Millisecond)
	s.sessions, s.touched = make(map[int64]*lodging), make(map[int64]time.Duration)
}

// begin lets clients in as soon as the tree has what was delivered so far.
func (s *service) begin() { s.from = s.p.apply.given }

func (s *service) openUp() {
	if p := s.p; !s.open && p.serves && p.apply.applied >= s.from {
		s.open = true
		p.w.history.servesFrom(p)
	}
}

// closeAll ends everything: the server serves nobody any more.
func (s *service) closeAll() {
	s.open = false
	for _, v := range s.visitors {
		v.leave()
	}
	s.visitors = nil
	clear(s.sessions)
	clear(s.touched)
	s.validations.Reset()
	s.p.watches = watch.NewTable()
}

// Heard implements zab.Clients.
func (s *service) Heard(id int64) (last, timeout time.Duration, ok bool) {
	l := s.sessions[id]
	if l == nil {
		return 0, 0, false
	}
	return l.heard, l.timeout, true
}

// Touched implements zab.Clients.
func (s *service) Touched(dst []session.Touch) []session.Touch {
	at := len(dst)
	for id, timeout := range s.touched {
		dst = append(dst, session.Touch{ID: id, Timeout: timeout})
	}
	clear(s.touched)
	slices.SortFunc(dst[at:], func(a, b session.Touch) int { return cmp.Compare(a.ID, b.ID) })
	return dst
}

// Sessions implements zab.Clients.
func (s *service) Sessions(f func(id int64, timeoutMillis int32)) { s.p.tree.Sessions(f) }

// Expiring implements zab.Clients.
func (s *service) Expiring(id int64) {
	if l := s.sessions[id]; l != nil {
		l.End()
	}
}

func (s *service) adopt(id int64, timeout time.Duration) *lodging {
	l := s.sessions[id]
	if l == nil {
		l = &lodging{id: id, waiting: make(map[int32]bool)}
		s.sessions[id] = l
	}
	l.timeout, l.heard = timeout, s.p.now()
	return l
}

// touch notes that a session's client was heard of.
func (s *service) touch(l *lodging) {
	l.heard = s.p.now()
	s.touched[l.id] = l.timeout
}

// A visitor is one client's connection to a server.
type visitor struct {
	s       *service
	e       *end
	in      []frame
	due     bool
	lodging *lodging
	timeout time.Duration
	greeted bool // it has said who it is
	closing bool
	held    [][]byte // replies that wait for a longer lease, and what is behind them
	reader  serve.Reader
}

// accept lets a client in, or not.
func (s *service) accept(e *end) {
	v := &visitor{s: s, e: e}
	e.owner = v
	s.p.ends = append(s.p.ends, e)
	if !s.open {
		e.close()
		return
	}
	v.reader = serve.Reader{Watches: s.p.watches, Watcher: watch.NewWatcher(v)}
	s.visitors = append(s.visitors, v)
}

// leave ends the connection.
func (v *visitor) leave() {
	v.e.close()
	v.gone()
}

func (v *visitor) gone() {
	v.held, v.in, v.closing = nil, nil, true
	if v.lodging != nil {
		v.lodging.Detach(v)
	}
	if v.reader.Watches != nil {
		v.reader.Watches.RemoveAll(v.reader.Watcher)
	}
}

func (v *visitor) closed(bool) {
	if v.s.p.dead {
		return
	}
	v.gone()
	if i := slices.Index(v.s.visitors, v); i >= 0 {
		v.s.visitors = slices.Delete(v.s.visitors, i, i+1)
	}
}

func (v *visitor) received(f frame) {
	if v.s.p.dead {
		return
	}
	v.in = append(v.in, f)
	if !v.due {
		v.due = true
		v.s.p.after(v.s.p.w.upTo(v.s.p.w.profile.turn), v.handle)
	}
}

// handle is what the goroutine that reads the connection does.
func (v *visitor) handle() {
	v.due = false
	in := v.in
	v.in = nil
	var batch []*proto.Request
	for _, f := range in {
		if v.closing {
			break
		}
		d := jute.NewDecoder(f.data)
		if !v.greeted {
			v.greeted = true
			v.greet(&d)
			continue
		}
		if r := v.request(&d); r != nil {
			batch = append(batch, r)
		}
	}
	if len(batch) > 0 {
		v.s.p.post(zab.Submit{Requests: batch})
	}
}

// greet handles the handshake.
func (v *visitor) greet(d *jute.Decoder) {
	s, w := v.s, v.s.p.w
	var q proto.ConnectRequest
	if err := q.Decode(d); err != nil {
		w.fail("%v: %v", s.p, err)
		return
	}
	v.timeout = time.Duration(q.Timeout) * time.Millisecond
	switch {
	case q.LastZxidSeen > s.p.tree.LastZxid():
		w.Stats.ClientsAhead++
		v.leave()
	case q.SessionID == 0:
		id := s.ids.Next(s.alive)
		v.lodging = s.adopt(id, v.timeout)
		v.lodging.Attach(v)
		r := &proto.Request{Session: id, Op: proto.OpCreateSession, Body: jute.AppendInt(nil, q.Timeout)}
		v.lodging.Submit(serve.Item{Req: r, From: v})
		s.p.post(zab.Submit{Requests: []*proto.Request{r}})
	case !session.PasswordOK(q.SessionID, q.Password):
		w.fail("%v: a wrong password", s.p)
	default:
		if l := s.sessions[q.SessionID]; l != nil && l.Conn() != nil {
			l.Conn().(*visitor).leave()
		}
		s.validations.Ask(q.SessionID, v)
		s.p.post(zab.Revalidate{Touch: session.Touch{ID: q.SessionID, Timeout: v.timeout}})
	}
}

func (s *service) alive(id int64) bool {
	_, ok := s.p.tree.SessionTimeout(id)
	return ok || s.sessions[id] != nil
}

// validated lets a client in whose session lives.
func (s *service) validated(a zab.Validation) {
	v, _ := s.validations.Answer(a.ID).(*visitor)
	if v == nil || v.closing {
		return
	}
	ok := a.OK
	if ok {
		v.lodging = s.adopt(a.ID, v.timeout)
		var old any
		if old, ok = v.lodging.Attach(v); old != nil && old != any(v) {
			old.(*visitor).leave()
		}
	}
	if !ok {
		v.lodging = nil
		v.write(serve.AppendConnect(nil, &proto.ConnectResponse{}))
		v.leave()
		return
	}
	s.touch(v.lodging)
	v.welcome()
}

// welcome answers the handshake.
func (v *visitor) welcome() {
	pw := session.Password(v.lodging.id)
	v.write(serve.AppendConnect(nil, &proto.ConnectResponse{
		Timeout: int32(v.timeout / time.Millisecond), SessionID: v.lodging.id, Password: pw[:],
	}))
}

// request handles one request, and returns it if it goes to the replicator.
func (v *visitor) request(d *jute.Decoder) *proto.Request {
	var h proto.RequestHeader
	if h.Decode(d) != nil || v.lodging == nil {
		v.s.p.w.fail("%v: a request that cannot be", v.s.p)
		return nil
	}
	r := &proto.Request{Session: v.lodging.id, Xid: h.Xid, Op: h.Op, Body: d.Rest()}
	r.IDs = []proto.ID{{Scheme: "ip", ID: "127.0.0.1"}, {Scheme: "super"}}
	v.s.touch(v.lodging)
	it := serve.Item{Req: r, From: v}
	if serve.Replicated(r.Op) {
		if !v.lodging.Submit(it) {
			return nil
		}
		v.lodging.waiting[r.Xid] = r.Op.IsWrite()
		return r
	}
	switch now, waits := v.lodging.Read(v); {
	case now:
		v.read(r)
	case waits:
		v.lodging.Push(it)
	}
	return nil
}

// read answers a read, now or when there is a longer lease.
func (v *visitor) read(r *proto.Request) {
	p := v.s.p
	v.reader.Tree = p.tree
	reply := v.reader.Append(nil, r)
	if lease := serve.Lease(p.node.ServeUntil()); len(v.held) == 0 && !lease.Holds(p.now()) {
		p.w.Stats.ReadsHeld++
		v.held = append(v.held, reply)
		return
	}
	if v.write(reply); len(v.held) == 0 {
		p.w.checkFresh(p)
	}
}

// write puts a frame on its way, behind those that wait.
func (v *visitor) write(b []byte) {
	if len(v.held) > 0 {
		v.held = append(v.held, b)
		return
	}
	v.e.send(whole, b)
}

// release lets go what has waited for a longer lease.
func (s *service) release() {
	p := s.p
	s.openUp()
	for _, v := range s.visitors {
		if len(v.held) > 0 && serve.Lease(p.node.ServeUntil()).Holds(p.now()) {
			held := v.held
			v.held = nil
			for _, b := range held {
				v.e.send(whole, b)
			}
			p.w.checkFresh(p)
		}
	}
}

// committed answers whoever has asked for a txn, and then what has waited for it.
func (s *service) committed(x *txn.Txn, res *tree.Result) {
	l := s.sessions[x.Session]
	if l == nil {
		return
	}
	it, verdict := l.Commit(x.Cxid, x.Header.Type, res.Code)
	v, _ := it.From.(*visitor)
	if verdict == serve.Foreign && l.waiting[x.Cxid] {
		s.p.w.fail("%v: request %d of session %x is committed as %v, and waits behind another", s.p, x.Cxid, l.id, x.Zxid)
	}
	delete(l.waiting, x.Cxid)
	switch verdict {
	case serve.Welcome:
		v.welcome()
	case serve.Moved:
		s.p.w.Stats.MovedReplies++
		v.leave()
	case serve.Answer:
		if !v.closing {
			v.write(serve.AppendWrite(nil, it.Req, res))
		}
	}
	s.advance(l)
	if x.Header.Type == proto.OpCloseSession {
		s.forget(l)
	}
}

// synced answers a sync.
func (s *service) synced(r *proto.Request) {
	l := s.sessions[r.Session]
	if l == nil {
		return
	}
	if it, ok := l.Synced(r); ok {
		if v := it.From.(*visitor); !v.closing {
			v.write(serve.AppendSync(nil, r, s.p.tree.LastZxid()))
		}
		s.advance(l)
	}
}

// advance runs the reads that have waited.
func (s *service) advance(l *lodging) {
	for {
		it, ok := l.NextRead()
		if !ok {
			return
		}
		if v := it.From.(*visitor); !v.closing {
			v.read(it.Req)
		}
	}
}

// forget ends a session whose end was applied.
func (s *service) forget(l *lodging) {
	l.End()
	delete(s.sessions, l.id)
	delete(s.touched, l.id)
	if v, _ := l.Conn().(*visitor); v != nil {
		v.leave()
	}
}
