package pipeline

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

var seedFlag = flag.Uint64("seed", 0, "the seed of TestTermsComeAndGo; 0 = any")

// TestTermsComeAndGo serves users that write, read, sync and come back, while terms begin and end and trees are replaced.
// Each connection is answered in order, without a gap, and nothing is left at the end.
func TestTermsComeAndGo(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay: go test ./pkg/pipeline -run TestTermsComeAndGo -seed=%d", seed)
		}
	})
	r := newRig(t)
	r.commitAtOnce()
	r.p.cfg.ServeWait = 50 * time.Millisecond
	var users sync.WaitGroup
	for i := range uint64(6) {
		users.Add(1)
		go func() {
			defer users.Done()
			r.live(rand.New(rand.NewPCG(seed, i)), 30)
		}()
	}
	gone := make(chan struct{})
	go func() { users.Wait(); close(gone) }()
	r.rule(rand.New(rand.NewPCG(seed, 99)), gone)
	done := make(chan struct{})
	r.p.order(func() { close(done) })
	<-done
	watches := r.p.Watches().Count()
	if n := r.p.Stats.Outstanding.Load(); n != 0 || len(r.p.sessions) != 0 || watches != 0 {
		t.Fatalf("%d requests outstanding, %d sessions and %d watches at the end", n, len(r.p.sessions), watches)
	}
	t.Logf("%d requests answered, %d reads held", r.p.Stats.ReadLatency.State().Count+r.p.Stats.UpdateLatency.State().Count, r.p.Stats.ReadsHeld.Load())
}

// rule is the peer loop: it answers questions and lets terms begin and end, until everybody has gone.
func (r *rig) rule(rng *rand.Rand, gone <-chan struct{}) {
	epoch := uint32(1)
	for {
		select {
		case <-gone:
			r.p.Unserve()
			return
		default:
		}
		switch rng.IntN(40) {
		case 0:
			r.p.Unserve()
			r.loop.Lock()
			epoch++
			r.last = proto.MakeZxid(epoch, 0)
			r.deliver([]txn.Delivery{{Tree: treeWith("/n", proto.MakeZxid(epoch-1, 0xffff))}, {Entry: txn.Entry{Zxid: r.last}}})
			r.p.Lead()
			r.loop.Unlock()
		case 1, 2:
			r.p.Serve()
		default:
			r.p.Extend(r.p.cfg.Clock() + time.Duration(rng.IntN(300)-100)*time.Microsecond)
		}
		r.mu.Lock()
		asked := r.asked
		r.asked = nil
		r.mu.Unlock()
		for _, a := range asked {
			r.p.Validated(a.ID, rng.IntN(4) > 0)
		}
		r.p.View(func(*tree.Tree) {})
		r.p.Touched(nil)
		runtime.Gosched()
	}
}

// live is a user's life on so many connections.
func (r *rig) live(rng *rand.Rand, connections int) {
	id := int64(0)
	for range connections {
		u := r.dial()
		if !r.p.Admit(u.Client) {
			continue
		}
		welcomed := false
		if id == 0 || rng.IntN(3) == 0 {
			welcomed = r.p.Open(u.Client, timeout)
		} else {
			welcomed = r.p.Attach(u.Client, id, passwordOf(id), timeout)
		}
		if welcomed {
			id = u.SessionID()
			u.chat(rng)
		}
		u.Finish()
		u.Detach()
		if err := u.inOrder(); err != nil {
			r.t.Errorf("session %#x: %v", id, err)
		}
	}
}

// chat asks for all kinds of things, each with the next number.
func (u *user) chat(rng *rand.Rand) {
	xid := int32(0)
	for range rng.IntN(20) {
		u.Begin()
		for range 1 + rng.IntN(8) {
			xid++
			f := [][]byte{
				frame(xid, proto.OpSetData, set("/")), frame(xid, proto.OpGetData, get("/", true)),
				frame(xid, proto.OpSync, get("/", false)), frame(xid, proto.OpCreate, create("/e", 3)),
				frame(xid, proto.OpGetChildren, get("/", true)), frame(xid, proto.OpAddWatch, addWatch("/", proto.ModePersistent)),
				frame(xid, proto.OpAddWatch, addWatch("/", proto.ModeRecursive)),
			}[rng.IntN(7)]
			if _, err := u.Handle(f); err != nil {
				u.rig.t.Error(err)
			}
		}
		u.Idle()
		u.conn.mu.Lock()
		closed := u.conn.closed
		u.conn.mu.Unlock()
		if closed {
			return
		}
	}
	if rng.IntN(5) == 0 {
		u.sayAlone(frame(xid+1, proto.OpCloseSession, nil))
	}
}

func (u *user) sayAlone(f []byte) {
	u.Begin()
	_, _ = u.Handle(f)
	u.Idle()
}

// inOrder checks what a connection was told: numbers without a gap, zxids that never go back.
func (u *user) inOrder() error {
	u.conn.mu.Lock()
	defer u.conn.mu.Unlock()
	next, last := int32(1), proto.Zxid(0)
	for first, b := true, u.conn.out; len(b) > 0; first = false {
		n := 4 + int(binary.BigEndian.Uint32(b))
		if n > len(b) {
			return fmt.Errorf("a frame of %d bytes ends after %d", n, len(b))
		}
		d := jute.NewDecoder(b[4:n])
		b = b[n:]
		var h proto.ReplyHeader
		if err := h.Decode(&d); err != nil {
			return err
		}
		switch {
		case first: // the handshake's
			continue
		case h.Xid != proto.XidNotification && h.Xid != next:
			return fmt.Errorf("reply %d comes where %d should", h.Xid, next)
		case h.Zxid < last:
			return fmt.Errorf("reply %d has zxid %v behind %v", h.Xid, h.Zxid, last)
		}
		last = h.Zxid
		if h.Xid == next {
			next++
		}
	}
	return nil
}
