package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/zab"
)

// mostVotes is how many messages of a server may wait for the loop.
const mostVotes = 100

// electionConn is one connection on the election port, with a reader and a writer of its own.
type electionConn struct {
	port *electionPort
	to   *correspondent
	conn net.Conn
	gate
	wake    waker
	closed  chan struct{}
	closing sync.Once
}

func newElectionConn(e *electionPort, c *correspondent, conn net.Conn) *electionConn {
	abandon(conn, e.cfg.CnxTimeout)
	return &electionConn{
		port: e, to: c, conn: conn, gate: newGate(mostVotes), wake: newWaker(), closed: make(chan struct{}),
	}
}

func (n *electionConn) close() {
	n.closing.Do(func() {
		close(n.closed)
		_ = n.conn.Close()
	})
}

// frame returns a message with its length in front.
func frame(n *election.Notification) []byte {
	b := n.AppendTo(jute.AppendInt(nil, 0))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// write sends what waits, until the connection ends.
func (n *electionConn) write() {
	for {
		select {
		case <-n.wake:
		case <-n.closed:
			return
		}
		if b := n.take(); b != nil {
			if _, err := n.conn.Write(b); err != nil {
				n.port.lost(n, err)
				return
			}
		}
	}
}

// take returns the message that waits. It counts as sent, even if the connection fails.
func (n *electionConn) take() []byte {
	n.port.mu.Lock()
	defer n.port.mu.Unlock()
	c := n.to
	if c.conn != n || c.next == nil {
		return nil
	}
	c.next, c.last = nil, c.next
	return c.last
}

// read brings messages to the loop until the connection ends.
func (n *electionConn) read() {
	err := n.readAll()
	var wrong *messageError
	if errors.As(err, &wrong) {
		n.complain("a link on the election port is closed", err)
	}
	n.port.lost(n, err)
}

// messageError says that a peer sends what is no message.
type messageError struct{ length uint32 }

func (e *messageError) Error() string {
	return fmt.Sprintf("a message of %d bytes", e.length)
}

func (n *electionConn) readAll() error {
	var buf []byte
	var head [4]byte
	for {
		if _, err := io.ReadFull(n.conn, head[:]); err != nil {
			return err
		}
		length := binary.BigEndian.Uint32(head[:])
		if length < 1 || length > election.MaxNotification {
			return &messageError{length}
		}
		if cap(buf) < int(length) {
			buf = make([]byte, length)
		}
		if _, err := io.ReadFull(n.conn, buf[:length]); err != nil {
			return err
		}
		note, err := election.DecodeNotification(buf[:length])
		if err != nil {
			n.complain("a message on the election port is dropped", err)
			continue
		}
		n.gate.enter(1)
		n.port.events.add(voteEvent{zab.Heard{From: n.to.id, Note: note}, &n.gate})
		if !n.gate.wait(n.closed) {
			return net.ErrClosed
		}
	}
}

func (n *electionConn) complain(text string, err error) {
	n.port.complaints.warn(hostOf(n.conn), text, "peer", int64(n.to.id), "address", n.conn.RemoteAddr().String(), "err", err)
}
