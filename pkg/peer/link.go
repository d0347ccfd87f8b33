package peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

const (
	mostBehind = 4 << 20 // bytes of a link's packets that may wait for the loop; then it is read no further
	// eventOverhead is what a packet takes in memory besides its bytes.
	eventOverhead = 200

	keptBuffer = 1 << 20         // a larger buffer is not kept for the next packets
	writeStep  = 256 << 10       // bytes of a stream between two looks at the link
	lingerTime = 2 * time.Second // for what is queued when a link is hung up
)

var errSnapFromLearner = errors.New("SNAP comes from a leader only")

// link is one connection on the quorum port, with a reader and a writer of its own. The loop queues what goes out and
// never waits for it.
type link struct {
	port   *quorumPort
	id     zab.LinkID
	conn   net.Conn
	remote string
	made   time.Time
	dialed bool // by us: the other end leads

	in packetReader // the reader's
	gate
	came     atomic.Int64 // bytes read
	streamed atomic.Int64 // bytes of streams that were taken
	known    bool         // the reader's: the loop has been told of it
	closed   chan struct{}
	closing  sync.Once
	reason   error // why it was closed; set before closed is

	// What follows belongs to the loop.
	noticed int64            // came and streamed at the last look
	fresh   bool             // something was queued in this turn
	packets int64            // received
	times   *metrics.Summary // of its acks; nil until it is known whose they are

	raw      syscall.RawConn // of conn; nil if it has none
	mu       sync.Mutex      // guards what follows
	out      []byte
	queued   int              // packets in out
	since    time.Time        // when the first of them was queued
	sent     int64            // packets
	sizes    *metrics.Summary // of queued; nil until it is known who the other end is, as is waits
	waits    *metrics.Summary
	sid      int64 // the other end's
	observer bool
	jobs     []job // behind so many bytes of out
	busy     bool  // the writer has taken something
	writing  int   // bytes of it
	finish   bool  // close when all of it is written
	wake     waker
}

// job is something that the writer does between packets: a stream, or a look into the log.
type job struct {
	at     int // bytes of out that go before it
	stream *zab.Stream
	find   *zab.Find
}

func newLink(q *quorumPort, conn net.Conn, dialed bool) *link {
	l := &link{
		port: q, conn: conn, remote: conn.RemoteAddr().String(), made: time.Now(), dialed: dialed, known: dialed,
		gate: newGate(mostBehind), closed: make(chan struct{}), wake: newWaker(),
	}
	l.in = packetReader{r: l, most: q.cfg.MaxPacket}
	l.id = q.newID()
	if c, ok := conn.(syscall.Conn); ok {
		l.raw, _ = c.SyscallConn() // what is wrong with it a read finds out
	}
	return l
}

// Read reads what has come, and counts it.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.conn.Read(p)
	l.came.Add(int64(n))
	return n, err
}

// close ends the link; the first reason counts. The reader tells the loop.
func (l *link) close(reason error) {
	l.closing.Do(func() {
		l.reason = reason
		close(l.closed)
		_ = l.conn.Close()
	})
}

// read hands all packets over to the loop until the link ends, and then that it has ended.
func (l *link) read() {
	l.close(l.readAll())
	l.port.report(l)
	l.port.events.add(linkEvent{link: l, kind: linkClosed})
}

func (l *link) readAll() error {
	var batch []linkEvent
	for {
		size, restore := 0, false
		for !restore {
			p, n, ok, err := l.in.next()
			if err != nil {
				return fmt.Errorf("it sends no packet of the quorum port: %w", err)
			}
			if !ok {
				break
			}
			if !l.known {
				l.known = true
				_ = l.conn.SetReadDeadline(time.Time{})
				batch = append(batch, linkEvent{link: l, kind: linkAccepted})
			}
			n += eventOverhead
			size += n
			batch = append(batch, linkEvent{link: l, kind: linkReceived, packet: p, size: n})
			restore = p.Type == zab.TypeSnap
		}
		if restore {
			if err := l.restore(&batch[len(batch)-1]); err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			l.gate.enter(size)
			l.port.events.put(batch...)
			l.port.drive()
			clear(batch)
			batch = batch[:0]
			if !l.gate.wait(l.closed) {
				return l.reason
			}
		}
		if restore {
			continue // what has come behind the tree
		}
		if err := l.in.fill(); err != nil {
			return err
		}
	}
}

// restore reads the tree that follows a SNAP.
func (l *link) restore(e *linkEvent) error {
	if !l.dialed {
		return errSnapFromLearner
	}
	tree, err := l.port.cfg.Trees.Restore(&l.in, e.packet.Zxid)
	if err != nil {
		return fmt.Errorf("the tree behind SNAP %v: %w", e.packet.Zxid, err)
	}
	e.tree = tree
	return nil
}

// send queues a packet; false if too much waits already.
func (l *link) send(p *zab.Packet, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queued == 0 {
		l.since = time.Now()
	}
	l.queued++
	l.out = p.AppendTo(l.out)
	return len(l.out)+l.writing <= most
}

// pushSize is how much the loop writes itself: what costs less than a wake-up of the writer.
const pushSize = 16 << 10

// push writes what was sent if it is little, nothing goes before it and the socket takes it at once. All else is the
// writer's.
func (l *link) push() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.raw != nil && !l.busy && !l.finish && len(l.jobs) == 0 && len(l.out) <= pushSize {
		if l.out = l.out[:copy(l.out, l.out[tryWrite(l.raw, l.out):])]; len(l.out) == 0 {
			l.took()
			return
		}
	}
	l.wake.poke()
}

// tryWrite returns how much the socket takes without waiting. What is wrong with it the writer finds out.
func tryWrite(raw syscall.RawConn, b []byte) (n int) {
	_ = raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true
	})
	return max(n, 0)
}

// queue has the writer do something behind all that was sent.
func (l *link) queue(j job) {
	l.mu.Lock()
	j.at = len(l.out)
	l.jobs = append(l.jobs, j)
	l.mu.Unlock()
	l.wake.poke()
}

// hangUp closes the link behind all that was sent.
func (l *link) hangUp() {
	l.mu.Lock()
	l.finish = true
	l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(lingerTime))
	l.wake.poke()
}

// write is the link's writer: one write for all that is queued.
func (l *link) write() {
	var out []byte
	var jobs []job
	for {
		select {
		case <-l.wake:
		case <-l.closed:
			return
		}
		l.mu.Lock()
		l.out, out = out[:0], l.out
		l.jobs, jobs = jobs[:0], l.jobs
		l.busy, l.writing = true, len(out)
		l.took()
		finish := l.finish
		l.mu.Unlock()
		err := l.writeAll(out, jobs)
		l.mu.Lock()
		l.busy, l.writing = false, 0
		l.mu.Unlock()
		switch {
		case err != nil:
			l.close(err)
			return
		case finish:
			l.close(nil)
			return
		}
		clear(jobs)
		if cap(out) > keptBuffer {
			out = nil
		}
	}
}

func (l *link) writeAll(out []byte, jobs []job) error {
	done := 0
	for _, j := range jobs {
		if err := l.writeBytes(out[done:j.at]); err != nil {
			return err
		}
		done = j.at
		if err := l.do(j); err != nil {
			return err
		}
	}
	return l.writeBytes(out[done:])
}

func (l *link) writeBytes(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := l.conn.Write(b)
	return err
}

// streamWriter is where a stream goes: what the other end takes counts as a sign of life.
type streamWriter struct{ l *link }

func (w streamWriter) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = w.l.conn.Write(b[n:min(len(b), n+writeStep)])
		n += m
		w.l.streamed.Add(int64(m))
	}
	return n, err
}

func (l *link) do(j job) error {
	if j.find != nil {
		found, err := l.port.log.Find(j.find.Zxid)
		if err != nil {
			l.port.complaints.warn("log", "the log's files cannot be sent to a learner", "peer", l.remote, "err", err)
		}
		l.port.done(zab.LogFound{Link: l.id, Usable: err == nil && found.Usable, Floor: found.Floor, Next: found.Next})
		return nil
	}
	through, err := proto.Zxid(0), error(nil)
	defer l.port.stats.syncing(j.stream.Snapshot)()
	if j.stream.Snapshot {
		through, err = l.sendTree()
	} else {
		through, err = l.sendLog(j.stream.After, j.stream.Through)
	}
	if err == nil {
		l.port.done(zab.Streamed{Link: l.id, Through: through})
	}
	return err
}

// sendTree sends a SNAP packet and the tree as it stands.
func (l *link) sendTree() (at proto.Zxid, err error) {
	w := streamWriter{l}
	err = l.port.cfg.Trees.Send(w, func(z proto.Zxid) error {
		at = z
		snap := zab.Packet{Type: zab.TypeSnap, Zxid: z}
		_, err := w.Write(snap.AppendTo(nil))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("send the tree: %w", err)
	}
	return at, nil
}

// sendLog sends a part of the log: each entry is proposed and committed at once.
func (l *link) sendLog(after, through proto.Zxid) (last proto.Zxid, err error) {
	log, err := l.port.log.ReadFrom(after)
	if err != nil {
		return 0, fmt.Errorf("send the log from %v on: %w", after, err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	w, buf := streamWriter{l}, make([]byte, 0, writeStep)
	last = after
	for last < through {
		var e txn.Entry
		if e, err = log.Next(through); errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return last, fmt.Errorf("send the log up to %v: %w", through, err)
		}
		last = e.Zxid
		for _, p := range [...]zab.Packet{
			{Type: zab.TypeProposal, Zxid: e.Zxid, Data: e.Bytes}, {Type: zab.TypeCommit, Zxid: e.Zxid},
		} {
			buf = p.AppendTo(buf)
		}
		if len(buf) >= writeStep/2 {
			if _, err := w.Write(buf); err != nil {
				return last, err
			}
			buf = buf[:0]
		}
	}
	if last != through && through.Counter() != 0 { // 0 is the beginning of an epoch, which is no entry
		return last, fmt.Errorf("send the log up to %v: it ends at %v", through, last)
	}
	_, err = w.Write(buf)
	return last, err
}
