package pipeline

import (
	"runtime"
	"slices"
	"sync"
)

// fan sends a change's notifications, where many watch the node, from several goroutines, while the apply loop goes on:
// who wrote does not wait for thousands of sockets. The order of what one client is sent is that of its output, whoever
// sends it.
type fan struct {
	told []*Client // the apply loop's: clients with new notifications, that nobody sends yet

	mu      sync.Mutex
	waiting []*Client
	taken   int // so many of those are a sender's
	senders int
}

const (
	fewWatchers = 64 // so many the apply loop sends to itself
	crowd       = 4 * fewWatchers
	handful     = 32 // a sender takes so many at a time
)

// add marks a client as having a new notification, unless it is going to be sent to anyway. A crowd is sent to while the
// rest of it is told.
func (f *fan) add(c *Client) {
	if c.told.Swap(true) {
		return
	}
	if f.told = append(f.told, c); len(f.told) == crowd {
		f.flush()
	}
}

// flush sends to all that were added, or has it done.
func (f *fan) flush() {
	if len(f.told) > fewWatchers {
		f.share(f.told)
	} else {
		sendTold(f.told)
	}
	clear(f.told)
	f.told = f.told[:0]
}

// share leaves clients to the senders, of which there are as many as can run.
func (f *fan) share(all []*Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, all...)
	for most := min(runtime.GOMAXPROCS(0), (len(f.waiting)-f.taken)/fewWatchers); f.senders < most; f.senders++ {
		go f.send()
	}
}

// send sends until nobody waits.
func (f *fan) send() {
	var mine [handful]*Client
	for n := f.take(mine[:]); n > 0; n = f.take(mine[:]) {
		sendTold(mine[:n])
	}
}

// take gives some of those who wait to a sender; none is its end.
func (f *fan) take(mine []*Client) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := copy(mine, f.waiting[f.taken:])
	if f.taken += n; 2*f.taken >= len(f.waiting) {
		f.waiting, f.taken = slices.Delete(f.waiting, 0, f.taken), 0
	}
	if n == 0 {
		f.senders--
	}
	return n
}

// sendTold sends to clients. What they are told from here on has them added again.
func sendTold(cs []*Client) {
	for _, c := range cs {
		c.told.Store(false)
		c.tryFlush()
	}
}
