package recipe

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// TestMutexExcludes: what is read and written back under the lock is never overtaken, and tokens only grow.
func TestMutexExcludes(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	const clients, workers, turns = 3, 3, 10
	plain, last := 0, int64(0) // the race detector minds these
	var wg sync.WaitGroup
	for range clients {
		m := NewMutex(connect(t, addr, client.Options{}), "/locks/counter", Options{})
		for range workers {
			wg.Go(func() {
				for range turns {
					h, err := m.Lock(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					plain++
					if int64(h.Token()) <= last {
						t.Errorf("token %v after %v", h.Token(), last)
					}
					last = int64(h.Token())
					if err := h.Release(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if plain != clients*workers*turns {
		t.Fatalf("counted %d, want %d", plain, clients*workers*turns)
	}
}

// TestReleaseWakesOne: with 100 waiters, each a client of its own, a release notifies the next one and nobody else.
func TestReleaseWakesOne(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	const waiters = 100
	var notified atomic.Int32
	watches := make(chan struct{}, waiters)
	o := client.Options{Metrics: client.Metrics{
		Event: func(client.EventType) { notified.Add(1) },
		Call: func(op proto.Op, _ time.Duration, _ error) {
			if op == proto.OpGetData && len(watches) < waiters {
				watches <- struct{}{}
			}
		},
	}}
	var clients []*client.Client
	var locks []*Mutex
	for range waiters + 1 {
		c := connect(t, addr, o)
		clients = append(clients, c)
		locks = append(locks, NewMutex(c, "/lock", Options{}))
	}
	h, err := locks[0].Lock(t.Context())
	must(t, err)
	next := make(chan *Hold)
	for i := range waiters {
		go func() {
			h, err := locks[i+1].Lock(t.Context())
			if err != nil {
				t.Error(err)
			}
			next <- h
		}()
	}
	for range waiters {
		<-watches
	}
	for turn := 1; turn <= 5; turn++ {
		must(t, h.Release(t.Context()))
		h = <-next
		for _, c := range clients { // a notification comes before the answer to what was asked later
			must(t, c.Sync(t.Context(), "/"))
		}
		if n := notified.Load(); n != int32(turn) {
			t.Fatalf("%d notifications after %d releases", n, turn)
		}
	}
	must(t, h.Release(t.Context()))
	for range waiters - 5 {
		h = <-next
		must(t, h.Release(t.Context()))
	}
}

// TestLockThroughLostConnections: whatever is lost of a lock's life, it is taken and given back once, and leaves nothing.
func TestLockThroughLostConnections(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	eachLoss(t, addr, func(t *testing.T, c *client.Client, root string) {
		m := NewMutex(c, root+"/lock", Options{ID: "me"})
		h := got[*Hold](t)(m.Lock(t.Context()))
		if all := got[[]Contender](t)(m.Contenders(t.Context())); len(all) != 1 || all[0].Path != h.Path() || all[0].ID != "me" {
			t.Fatalf("contenders %+v, want %s alone", all, h.Path())
		}
		if _, err := NewMutex(view, root+"/lock", Options{}).TryLock(t.Context()); !errors.Is(err, ErrBusy) {
			t.Fatalf("another's TryLock = %v", err)
		}
		must(t, h.Release(t.Context()))
		other := got[*Hold](t)(NewMutex(view, root+"/lock", Options{}).TryLock(t.Context()))
		must(t, other.Release(t.Context()))
	})
}

// TestGivingUp: a waiter whose context ends returns at once, and does not stand in the way of those behind.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	m := NewMutex(connect(t, serve(t), client.Options{}), "/lock", Options{})
	h := got[*Hold](t)(m.Lock(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := m.Lock(ctx)
		gaveUp <- err
	}()
	awaitContenders(t, m, 2)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Fatalf("Lock = %v", err)
	}
	next := make(chan error)
	go func() {
		h, err := m.Lock(t.Context())
		if err == nil {
			err = h.Release(t.Context())
		}
		next <- err
	}()
	must(t, h.Release(t.Context()))
	must(t, <-next)
	if h.Err() != ErrReleased || h.Release(t.Context()) != nil {
		t.Fatalf("after Release, Err = %v", h.Err())
	}
}

// awaitContenders returns when so many stand in line.
func awaitContenders(t *testing.T, m *Mutex, n int) {
	t.Helper()
	for {
		names, changed, err := m.at.listW(t.Context())
		must(t, err)
		if len(line(names)) == n {
			return
		}
		<-changed
	}
}

// lostBy waits for the end of a Hold and checks why it ended.
func lostBy(t *testing.T, h *Hold, want error) {
	t.Helper()
	<-h.Context().Done()
	var lost *LostError
	if err := h.Err(); !errors.As(err, &lost) || !errors.Is(err, want) || lost.Path != h.Path() {
		t.Fatalf("the hold ended by %v, want a LostError by %v", err, want)
	}
	if err := h.Release(t.Context()); !errors.Is(err, want) {
		t.Fatalf("Release = %v, want %v", err, want)
	}
}

// TestLossOfAHold: its context ends, with what has happened as the cause.
func TestLossOfAHold(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	t.Run("removed by an operator", func(t *testing.T) {
		t.Parallel()
		c, _ := overWire(t, addr, 10*time.Second)
		h := got[*Hold](t)(NewMutex(c, "/removed", Options{}).Lock(t.Context()))
		must(t, view.Delete(t.Context(), h.Path(), -1))
		lostBy(t, h, ErrRemoved)
	})
	t.Run("removed unseen", func(t *testing.T) {
		t.Parallel()
		h := got[*Hold](t)(NewMutex(view, "/unseen", Options{}).Lock(t.Context()))
		must(t, view.Delete(t.Context(), h.Path(), -1))
		if err := h.Release(t.Context()); !errors.Is(err, ErrRemoved) {
			t.Fatalf("Release = %v", err)
		}
	})
	t.Run("cut off, and back in time", func(t *testing.T) {
		t.Parallel()
		c, w := overWire(t, addr, 3*time.Second)
		h := got[*Hold](t)(NewMutex(c, "/cut", Options{}).Lock(t.Context()))
		gone := awaitable(t, view, h)
		w.breaks()
		lostBy(t, h, ErrCutOff) // before the session is over
		w.mend()
		<-gone // it is given back as soon as it can be
		must(t, c.Connected(t.Context()))
		h = got[*Hold](t)(NewMutex(c, "/cut", Options{}).TryLock(t.Context()))
		must(t, h.Release(t.Context()))
	})
	t.Run("client closed", func(t *testing.T) {
		t.Parallel()
		c, _ := overWire(t, addr, 0)
		h := got[*Hold](t)(NewMutex(c, "/closed", Options{}).Lock(t.Context()))
		must(t, c.Close())
		lostBy(t, h, ErrSessionExpired)
	})
}

// awaitable returns a channel that tells when the node of a hold has gone.
func awaitable(t *testing.T, view *client.Client, h *Hold) <-chan client.Event {
	t.Helper()
	_, ok, gone, err := view.ExistsW(t.Context(), h.Path())
	if err != nil || !ok {
		t.Fatalf("%s: %v, %v", h.Path(), ok, err)
	}
	return gone
}

// TestSessionExpiresUnderALock: who holds it and who waits for it are told, and the client goes on under a new session.
func TestSessionExpiresUnderALock(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	c, w := overWire(t, addr, time.Second)
	m := NewMutex(c, "/expired", Options{})
	h := got[*Hold](t)(m.Lock(t.Context()))
	gone := awaitable(t, view, h)
	waiting := make(chan error)
	go func() {
		_, err := m.Lock(t.Context())
		waiting <- err
	}()
	for op := range w.asked {
		if op == proto.OpGetData { // it watches the holder's node
			break
		}
	}
	w.breaks()
	<-gone
	w.mend()
	<-h.Context().Done()
	if err := <-waiting; !errors.As(err, new(*LostError)) {
		t.Fatalf("the Lock of one who waited = %v", err)
	}
	must(t, c.Connected(t.Context()))
	h = got[*Hold](t)(m.Lock(t.Context())) // under a new session
	must(t, h.Release(t.Context()))
}
