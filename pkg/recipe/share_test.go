package recipe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/client"
)

// TestReadersShareAndWritersDoNot: two readers hold the lock together; a writer waits for both, and a reader who comes
// behind the writer waits for that.
func TestReadersShareAndWritersDoNot(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	for name, layout := range map[string]Layout{"Curator": Curator, "Kazoo": Kazoo} {
		t.Run(name, func(t *testing.T) {
			m := NewRWMutex(connect(t, addr, client.Options{}), "/"+name, Options{Layout: layout})
			first, second := got[*Hold](t)(m.RLock(t.Context())), got[*Hold](t)(m.RLock(t.Context()))
			if _, err := m.TryLock(t.Context()); !errors.Is(err, ErrBusy) {
				t.Fatalf("TryLock beside readers = %v", err)
			}
			order := make(chan string, 2)
			var both sync.WaitGroup
			begin := func(as string, lock func(context.Context) (*Hold, error)) {
				both.Go(func() {
					h, err := lock(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					order <- as // before the release: the next may hold it before that is answered
					if err := h.Release(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			begin("writer", m.Lock)
			awaitContenders(t, &Mutex{m.at}, 3)
			begin("reader", m.RLock)
			awaitContenders(t, &Mutex{m.at}, 4)
			must(t, second.Release(t.Context()))
			must(t, first.Release(t.Context()))
			both.Wait()
			close(order)
			if first, then := <-order, <-order; first != "writer" || then != "reader" {
				t.Fatalf("it went %q, %q", first, then)
			}
		})
	}
}

// TestSemaphoreHoldsBack: never more than so many hold it, and each who waits has his turn.
func TestSemaphoreHoldsBack(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	const most = 3
	var inside, peak atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		s := NewSemaphore(connect(t, addr, client.Options{}), "/semaphore", most, Options{})
		for range 3 {
			wg.Go(func() {
				for range 5 {
					h, err := s.Acquire(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					n := inside.Add(1)
					for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
					}
					inside.Add(-1)
					if err := h.Release(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if peak.Load() > most {
		t.Fatalf("%d held it at once, want at most %d", peak.Load(), most)
	}
	s := NewSemaphore(connect(t, addr, client.Options{}), "/semaphore", 1, Options{})
	h := got[*Hold](t)(s.TryAcquire(t.Context()))
	if _, err := s.TryAcquire(t.Context()); !errors.Is(err, ErrBusy) {
		t.Fatalf("TryAcquire of a second lease = %v", err)
	}
	must(t, h.Release(t.Context()))
}

// TestElection: one leads at a time, who resigns is followed by the next, and terms have growing tokens.
func TestElection(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	a := NewElection(connect(t, addr, client.Options{}), "/election", Options{ID: "a"})
	b := NewElection(connect(t, addr, client.Options{}), "/election", Options{ID: "b"})
	if _, err := a.Leader(t.Context()); !errors.Is(err, ErrNoLeader) {
		t.Fatalf("Leader of nobody = %v", err)
	}
	first := got[*Hold](t)(a.Campaign(t.Context()))
	second := make(chan *Hold)
	go func() {
		h, err := b.Campaign(t.Context())
		if err != nil {
			t.Error(err)
		}
		second <- h
	}()
	awaitContenders(t, &Mutex{a.at}, 2)
	if l := got[Contender](t)(b.Leader(t.Context())); l.ID != "a" {
		t.Fatalf("leader %+v", l)
	}
	must(t, first.Release(t.Context()))
	h := <-second
	if all := got[[]Contender](t)(a.Candidates(t.Context())); h.Token() <= first.Token() || len(all) != 1 || all[0].ID != "b" {
		t.Fatalf("after %v resigned, %v leads: %+v", first.Token(), h.Token(), all)
	}
	must(t, h.Release(t.Context()))
}

// TestElectionRun leads again after a loss, and ends with its context.
func TestElectionRun(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	view := connect(t, addr, client.Options{})
	c, w := overWire(t, addr, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	terms, ended := make(chan *Hold), make(chan error)
	go func() {
		ended <- NewElection(c, "/election", Options{}).Run(ctx, func(ctx context.Context, h *Hold) error {
			terms <- h
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}()
	first := <-terms
	_, _, gone, err := view.ExistsW(t.Context(), first.Path())
	must(t, err)
	w.breaks()
	<-gone
	w.mend()
	second := <-terms
	if second.Token() <= first.Token() {
		t.Fatalf("terms %v, %v", first.Token(), second.Token())
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v", err)
	}
	if h := got[*Hold](t)(NewElection(view, "/election", Options{}).Campaign(t.Context())); h.Token() <= second.Token() {
		t.Fatalf("terms %v, %v", second.Token(), h.Token())
	}
}

// TestElectionRunEndsByTheLeadersError, and not by that of one who leads no longer.
func TestElectionRunEndsByTheLeadersError(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	err := NewElection(connect(t, serve(t), client.Options{}), "/e", Options{}).Run(t.Context(), func(context.Context, *Hold) error { return enough })
	if !errors.Is(err, enough) {
		t.Fatalf("Run = %v", err)
	}
}

func TestBarrier(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t), client.Options{})
	b := NewBarrier(c, "/a/barrier", Options{})
	must(t, b.Wait(t.Context())) // it does not stand
	must(t, b.Set(t.Context()))
	must(t, b.Set(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Wait = %v", err)
	}
	done := make(chan error)
	for range 3 {
		go func() { done <- b.Wait(t.Context()) }()
	}
	must(t, b.Lift(t.Context()))
	for range 3 {
		must(t, <-done)
	}
	must(t, b.Lift(t.Context()))
}

// TestDoubleBarrierAgainAndAgain: in each round nobody goes on before all have come, nor before all have left, though the
// quick are in the next round while the slow are still on their way out.
func TestDoubleBarrierAgainAndAgain(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	const members, rounds = 5, 10
	var entered, left [rounds]atomic.Int32
	var wg sync.WaitGroup
	for range members {
		b := NewDoubleBarrier(connect(t, addr, client.Options{}), "/double", members, Options{})
		wg.Go(func() {
			for r := range rounds {
				entered[r].Add(1)
				in, err := b.Enter(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if n := entered[r].Load(); n != members {
					t.Errorf("round %d: %d of %d had come", r, n, members)
				}
				left[r].Add(1)
				if err := in.Leave(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if n := left[r].Load(); n != members {
					t.Errorf("round %d: %d of %d had left", r, n, members)
				}
			}
		})
	}
	wg.Wait()
}

// TestDoubleBarrierIsNotHeldByTheDead: one who enters and dies is not waited for by those who leave; and what a round
// that died has left does not open the next.
func TestDoubleBarrierIsNotHeldByTheDead(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	living, mortal := connect(t, addr, client.Options{}), connect(t, addr, client.Options{})
	b := NewDoubleBarrier(living, "/double", 2, Options{})
	other := make(chan error)
	go func() {
		_, err := NewDoubleBarrier(mortal, "/double", 2, Options{}).Enter(t.Context())
		other <- err
	}()
	in, err := b.Enter(t.Context())
	must(t, err)
	must(t, <-other)
	must(t, mortal.Close())
	must(t, in.Leave(t.Context()))

	must(t, b.sub(ready).make(t.Context())) // as members would who all died inside
	ctx, cancel := context.WithCancel(t.Context())
	alone := make(chan error)
	go func() {
		_, err := b.Enter(ctx)
		alone <- err
	}()
	awaitGoneBut(t, living, "/double", 1)
	cancel()
	if err := <-alone; !errors.Is(err, context.Canceled) {
		t.Fatalf("Enter alone = %v", err)
	}
}

// awaitGoneBut returns when a node has so many children, none of them ready.
func awaitGoneBut(t *testing.T, c *client.Client, path string, n int) {
	t.Helper()
	for {
		names, _, changed, err := c.ChildrenW(t.Context(), path)
		must(t, err)
		if len(names) == n && !slices.Contains(names, ready) {
			return
		}
		<-changed
	}
}

// TestQueue: each item goes to one taker; what one puts in comes out in order; and who waits is woken.
func TestQueue(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	const takers, items = 4, 60
	taken := make(chan string, items)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range takers {
		q := NewQueue(connect(t, addr, client.Options{}), "/queue", Options{})
		wg.Go(func() {
			last := ""
			for {
				data, err := q.Take(ctx)
				if errors.Is(err, context.Canceled) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
				if string(data) <= last {
					t.Errorf("%s after %s", data, last)
				}
				last = string(data)
				taken <- last
			}
		})
	}
	q := NewQueue(connect(t, addr, client.Options{}), "/queue", Options{})
	for i := range items {
		must(t, q.Put(t.Context(), fmt.Appendf(nil, "%03d", i)))
	}
	seen := map[string]bool{}
	for range items {
		seen[<-taken] = true
	}
	cancel()
	wg.Wait()
	if len(seen) != items || len(taken) != 0 {
		t.Fatalf("%d different items taken, and %d too many", len(seen), len(taken))
	}
	if _, ok, err := q.TryTake(t.Context()); ok || err != nil {
		t.Fatalf("TryTake of nothing = %v, %v", ok, err)
	}
}

// TestPutWakesOne: of 20 who wait for an item, one is woken by it, and one takes his place in front.
func TestPutWakesOne(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	const takers = 20
	var notified atomic.Int32
	o := client.Options{Metrics: client.Metrics{Event: func(client.EventType) { notified.Add(1) }}}
	ctx, cancel := context.WithCancel(t.Context())
	taken := make(chan error, takers)
	var all []*client.Client
	for range takers {
		c := connect(t, addr, o)
		all = append(all, c)
		go func() {
			_, err := NewQueue(c, "/queue", Options{}).Take(ctx)
			taken <- err
		}()
	}
	q := NewQueue(connect(t, addr, client.Options{}), "/queue", Options{})
	awaitContenders(t, &Mutex{q.waiting}, takers)
	for _, c := range all {
		must(t, c.Sync(t.Context(), "/"))
	}
	before := notified.Load()
	must(t, q.Put(t.Context(), nil))
	must(t, <-taken)
	awaitContenders(t, &Mutex{q.waiting}, takers-1)
	for _, c := range all {
		must(t, c.Sync(t.Context(), "/"))
	}
	if n := notified.Load() - before; n > 2 {
		t.Fatalf("%d notifications for one item", n)
	}
	cancel()
	for range takers - 1 {
		<-taken
	}
}

func TestPriorityQueue(t *testing.T) {
	t.Parallel()
	q := NewPriorityQueue(connect(t, serve(t), client.Options{}), "/queue", Options{})
	for _, i := range []struct {
		priority int
		item     string
	}{{DefaultPriority, "c"}, {LastPriority, "e"}, {FirstPriority, "a"}, {7, "b"}, {DefaultPriority, "d"}} {
		must(t, q.Put(t.Context(), i.priority, []byte(i.item)))
	}
	if n := got[int](t)(q.Len(t.Context())); n != 5 {
		t.Fatalf("Len = %d", n)
	}
	for _, want := range []string{"a", "b", "c", "d", "e"} {
		if item := got[[]byte](t)(q.Take(t.Context())); string(item) != want {
			t.Fatalf("took %s, want %s", item, want)
		}
	}
	if err := q.Put(t.Context(), 1000, nil); !errors.As(err, new(PriorityError)) {
		t.Fatalf("Put of priority 1000 = %v", err)
	}
}
