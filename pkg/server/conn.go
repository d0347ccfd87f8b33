package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/pipeline"
	"github.com/zabd/zabd/pkg/proto"
)

// conn is one connection. Its reader owns it; Close and info may be called by anyone.
type conn struct {
	srv    *Server
	tcp    *net.TCPConn
	raw    syscall.RawConn
	ip     string
	client atomic.Pointer[pipeline.Client] // nil before the handshake
	in     frames
	closer sync.Once
	since  time.Time   // when it was accepted
	asks   atomic.Bool // a four-letter word
}

func newConn(s *Server, tcp *net.TCPConn) (*conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("server: connection: %w", err)
	}
	ip := tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("").String()
	_ = tcp.SetKeepAlive(s.cfg.KeepAlive)
	return &conn{srv: s, tcp: tcp, raw: raw, ip: ip, since: time.Now()}, nil
}

// Close closes the socket; the reader finds out by its next read.
func (c *conn) Close() { c.closer.Do(func() { _ = c.tcp.Close() }) }

// Write writes all of b and waits for it.
func (c *conn) Write(b []byte) (int, error) { return c.tcp.Write(b) }

// TryWrite writes what the socket takes at once.
func (c *conn) TryWrite(b []byte) (n int, err error) {
	werr := c.raw.Write(func(fd uintptr) bool {
		for {
			n, err = syscall.Write(int(fd), b)
			if err != syscall.EINTR {
				return true
			}
		}
	})
	if werr != nil {
		return 0, werr
	}
	if n < 0 {
		n = 0
	}
	if errors.Is(err, syscall.EAGAIN) {
		err = nil
	}
	return n, err
}

func (c *conn) info() ConnInfo {
	i := ConnInfo{Remote: c.tcp.RemoteAddr().String(), Since: c.since, Asks: c.asks.Load()}
	if p := c.client.Load(); p != nil {
		i.Session, i.Timeout, i.Queued = p.SessionID(), p.Timeout(), p.Queued()
		i.Counts, i.Heard = p.Counts(), p.LastHeard()
	}
	return i
}

// serve reads the connection to its end.
func (c *conn) serve() {
	defer c.Close()
	c.in.raw, c.in.pool, c.in.may = c.raw, &c.srv.buffers, c.srv.mayTake
	defer c.in.drop()
	err := c.handshake()
	c.srv.greeted()
	client := c.client.Load()
	if client == nil {
		c.report(err)
		return
	}
	if err == nil {
		err = c.requests(client)
	}
	c.report(err)
	c.trace("the session has lost its connection, or is closed", client)
	client.Detach()
}

// report logs what a client did wrong; that it went away is no news.
func (c *conn) report(err error) {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return
	}
	said := []any{"address", c.tcp.RemoteAddr().String(), "err", err}
	if client := c.client.Load(); client != nil {
		said = append(said, sessionAttr(client.SessionID()))
	}
	c.srv.cfg.Log.Info("connection closed", said...)
}

// sessionAttr names a session in the log as all of ZooKeeper's tools do.
func sessionAttr(id int64) slog.Attr { return slog.String("session", fmt.Sprintf("0x%x", uint64(id))) }

// trace logs what becomes of a session, if somebody wants to know that much.
func (c *conn) trace(what string, client *pipeline.Client) {
	if log := c.srv.cfg.Log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug(what, sessionAttr(client.SessionID()), "address", c.tcp.RemoteAddr().String(), "timeout", client.Timeout())
	}
}

var errAnswered = io.EOF // all is said; nothing to report

// handshake gives the connection a session, or answers a four-letter word.
func (c *conn) handshake() error {
	_ = c.tcp.SetReadDeadline(time.Now().Add(c.srv.limits.Load().HandshakeTimeout))
	head, err := c.in.peek(4)
	if err != nil {
		return c.deadline(err)
	}
	if done, err := c.fourLetter(string(head)); done {
		return err
	}
	frame, err := c.in.next(c.srv.cfg.MaxFrame)
	if err != nil {
		return c.deadline(err)
	}
	_ = c.tcp.SetReadDeadline(time.Time{})
	d := jute.NewDecoder(frame)
	var r proto.ConnectRequest
	if err := r.Decode(&d); err != nil {
		return fmt.Errorf("server: handshake: %w", err)
	}
	return c.connect(&r)
}

// fourLetter answers a word of four letters, if that is what a connection begins with.
func (c *conn) fourLetter(word string) (done bool, err error) {
	if c.srv.cfg.FourLetter == nil {
		return false, nil
	}
	c.asks.Store(true)
	text, ok := c.srv.cfg.FourLetter(word, c.in.rest()[4:])
	if !ok {
		c.asks.Store(false)
		return false, nil
	}
	if err := c.tell(text); err != nil {
		return true, fmt.Errorf("server: answer to %s: %w", word, err)
	}
	return true, errAnswered
}

// tell sends the answer to a word, for as long as its client goes on taking it.
func (c *conn) tell(text []byte) error {
	for piece := range slices.Chunk(text, readSize) {
		_ = c.tcp.SetWriteDeadline(time.Now().Add(c.srv.limits.Load().HandshakeTimeout))
		if _, err := c.tcp.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) deadline(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.srv.Stats.Sessionless.Add(1)
		return errors.New("server: no handshake in time")
	}
	return err
}

// connect gives the connection a session once clients are served. Where there is nothing to say it is closed without an
// answer, and the client tries another server.
func (c *conn) connect(r *proto.ConnectRequest) error {
	p := c.srv.cfg.Pipeline
	c.srv.Stats.Requests.Add(1)
	p.Stats.Received.Add(1)
	if !c.srv.maySession(r.SessionID != 0) {
		c.srv.Stats.Rejected.Add(1)
		return errAnswered
	}
	client := p.NewClient(c, c.ip, r.HasReadOnly)
	if !p.Admit(client) {
		c.srv.Stats.NotServed.Add(1)
		return errAnswered
	}
	if last := p.LastZxid(); r.LastZxidSeen > last {
		return fmt.Errorf("server: client has seen %v and this server only %v", r.LastZxidSeen, last)
	}
	timeout := time.Duration(r.Timeout) * time.Millisecond
	timeout = min(max(timeout, c.srv.cfg.MinTimeout), c.srv.cfg.MaxTimeout)
	if r.SessionID == 0 {
		ok := p.Open(client, timeout)
		c.client.Store(client)
		if !ok {
			return errAnswered
		}
		c.trace("session opened", client)
		return nil
	}
	if !p.Attach(client, r.SessionID, r.Password, timeout) {
		client.Finish()
		return errAnswered
	}
	c.client.Store(client)
	c.trace("session resumed", client)
	client.Idle()
	return nil
}

// requests reads frames until the connection ends.
func (c *conn) requests(client *pipeline.Client) error {
	for {
		if err := c.in.fill(); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.srv.Stats.Dropped.Add(1)
			}
			return err
		}
		client.Begin()
		large := c.srv.limits.Load().Large
		for {
			frame, ok, err := c.in.buffered(c.srv.cfg.MaxFrame)
			if err != nil {
				client.Idle()
				return err
			}
			if !ok {
				break
			}
			var done bool
			if large.Is(len(frame)) {
				done, err = c.handleLarge(client, frame, large.Most)
			} else {
				done, err = client.Handle(frame)
			}
			if done {
				client.Idle()
				if err == nil {
					client.Finish()
				}
				return err
			}
		}
		client.Idle()
	}
}

// handleLarge takes a large frame, and answers it before the connection is read on, so that it is known how many there
// are.
func (c *conn) handleLarge(client *pipeline.Client, frame []byte, most int64) (done bool, err error) {
	if err := c.srv.begin(len(frame), most); err != nil {
		return true, err
	}
	defer c.srv.end(len(frame))
	done, err = client.Handle(frame)
	client.Idle()
	client.WaitAnswered()
	client.Begin()
	return done, err
}

// Gone tells whether the client has closed its end, though there may be more to read (pipeline.Transport).
func (c *conn) Gone() bool {
	gone := true
	_ = c.raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone
}
