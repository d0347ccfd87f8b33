package serve

import "github.com/zabd/zabd/pkg/proto"

// A Session is one server's part of a session: the connection by which its client is served here, if any, and what it
// has outstanding. Connections are opaque, and compared. Its owner guards it.
//
// Invariants:
//
//	requests are taken from conn alone: what a client still says on an older connection disturbs nobody
//	a session that is ending takes no request and no connection any more
type Session struct {
	Queue
	conn   any
	ending bool
}

// A Verdict says what a committed txn means for the server that has its session.
type Verdict uint8

const (
	Foreign Verdict = iota // nobody here has asked for it
	Answer                 // reply with the result
	Welcome                // the session exists now: that answers the handshake
	Moved                  // the session is another server's: no reply, and the connection is closed
)

// Conn returns the session's connection; nil if there is none.
func (s *Session) Conn() any { return s.conn }

// Attach makes conn the session's connection, in the place of old, which is to be closed. False: the session is ending.
func (s *Session) Attach(conn any) (old any, ok bool) {
	if s.ending {
		return nil, false
	}
	old, s.conn = s.conn, conn
	return old, true
}

// Detach says that a connection is gone. What it has asked for stays in the session's order.
func (s *Session) Detach(conn any) {
	if s.conn == conn {
		s.conn = nil
	}
}

// End lets the session take no request and no connection any more.
func (s *Session) End() { s.ending = true }

// Submit puts a write or a sync into the session's order. False drops it: it comes by a connection that is not the
// session's any more, or behind the session's end.
func (s *Session) Submit(it Item) bool {
	if !s.takes(it.From) {
		return false
	}
	s.ending = it.Req.Op == proto.OpCloseSession
	s.Push(it)
	return true
}

// Read tells what becomes of a read by conn: it runs now, or waits behind what the session has outstanding (Push), or,
// for the same reasons as a write, is dropped.
func (s *Session) Read(conn any) (now, waits bool) {
	takes, free := s.takes(conn), s.Len() == 0
	return takes && free, takes && !free
}

func (s *Session) takes(conn any) bool { return s.conn == conn && !s.ending }

// Commit takes the request that a committed txn of this session answers, if there is one here, and says what to do.
// NextRead gives the reads that have waited for it.
func (s *Session) Commit(cxid int32, op proto.Op, code proto.Code) (Item, Verdict) {
	it, ok := s.Complete(cxid, op)
	switch {
	case !ok:
		return it, Foreign
	case code == proto.SessionMoved: // also where one operation of a multi found out
		s.Detach(it.From)
		return it, Moved
	case op == proto.OpCreateSession:
		return it, Welcome
	}
	return it, Answer
}
