package turn

import (
	"sync"
	"testing"
	"testing/synctest"
)

// TestNothingIsLeftBehind has many goroutines bring work, to a loop that sleeps whenever it can. All of it is done, each
// piece once and by one goroutine at a time.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	const bringers, each = 8, 2000
	var mu sync.Mutex
	brought, done, at := 0, 0, 0
	l := New(nil)
	l.turn = func() {
		if at++; at != 1 {
			t.Error("two turns at a time")
		}
		mu.Lock()
		done, brought = done+brought, 0
		mu.Unlock()
		at--
	}
	quit := make(chan struct{})
	var loop, all sync.WaitGroup
	loop.Go(func() {
		for {
			select {
			case <-l.C:
				l.Take()
			case <-quit:
				l.Stop()
				return
			}
		}
	})
	for b := range bringers {
		all.Go(func() {
			for range each {
				mu.Lock()
				brought++
				mu.Unlock()
				if b%2 == 0 {
					l.Drive()
				} else {
					l.Wake()
				}
			}
		})
	}
	all.Wait()
	l.Take()
	close(quit)
	loop.Wait()
	if done != bringers*each {
		t.Errorf("%d of %d pieces of work are done", done, bringers*each)
	}
	if l.Drive(); done != bringers*each {
		t.Error("a turn was taken behind Stop")
	}
}

// TestWhatComesDuringATurn is the loop's, not that of whoever has brought it.
func TestWhatComesDuringATurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := 0
		begun, end := make(chan struct{}), make(chan struct{})
		l := New(func() {
			if turns++; turns == 1 {
				close(begun)
				<-end
			}
		})
		go l.Drive()
		<-begun
		l.Drive() // returns at once
		if turns != 1 {
			t.Fatalf("%d turns", turns)
		}
		close(end)
		<-l.C
		l.Take()
		if turns != 2 {
			t.Errorf("%d turns", turns)
		}
	})
}
