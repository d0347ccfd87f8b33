package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	doorPatience = time.Second
	mostAtDoor   = 1000 // connections that wait at one port
)

// A Door is the ports of a server that does not serve yet, because it is still reading its files. Who comes is let wait
// for a second, in which most servers are ready, and then turned away, so that he tries another server.
type Door struct {
	mu      sync.Mutex // guards what follows
	open    bool
	waiting []net.Conn

	ports []net.Listener
	done  sync.WaitGroup
}

// deadliner is a listener whose Accept can be interrupted.
type deadliner interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// HoldDoor accepts connections until Open. Listeners without deadlines are left alone.
func HoldDoor(ports []net.Listener) *Door {
	d := &Door{ports: ports}
	for _, l := range ports {
		if l, ok := l.(deadliner); ok {
			d.done.Go(func() { d.hold(l) })
		}
	}
	return d
}

// guest is a connection that waits.
type guest struct {
	conn  net.Conn
	until time.Time
}

// hold accepts at one port. The guests are in the order in which their time is up.
func (d *Door) hold(l deadliner) {
	var guests []guest
	for {
		next := time.Now().Add(doorPatience)
		if len(guests) > 0 {
			next = guests[0].until
		}
		d.mu.Lock()
		if d.open {
			for _, g := range guests {
				d.waiting = append(d.waiting, g.conn)
			}
			d.mu.Unlock()
			return
		}
		_ = l.SetDeadline(next)
		d.mu.Unlock()
		c, err := l.Accept()
		now := time.Now()
		switch {
		case err == nil && len(guests) < mostAtDoor:
			guests = append(guests, guest{c, now.Add(doorPatience)})
		case err == nil:
			_ = c.Close()
		case !errors.Is(err, os.ErrDeadlineExceeded) && len(guests) > 0: // no descriptor is left, or the port is closed
			guests[0].until = now
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return
		}
		for len(guests) > 0 && !now.Before(guests[0].until) {
			_ = guests[0].conn.Close()
			guests = guests[1:]
		}
	}
}

// Open ends it, and returns the connections that still wait. The ports can be served now.
func (d *Door) Open() []net.Conn {
	d.mu.Lock()
	d.open = true
	for _, l := range d.ports {
		if l, ok := l.(deadliner); ok {
			_ = l.SetDeadline(time.Unix(1, 0))
		}
	}
	d.mu.Unlock()
	d.done.Wait()
	for _, l := range d.ports {
		if l, ok := l.(deadliner); ok {
			_ = l.SetDeadline(time.Time{})
		}
	}
	return d.waiting
}

// Shut ends it without a server: nobody else is let in, and those who wait are turned away.
func (d *Door) Shut() {
	for _, c := range d.Open() {
		_ = c.Close()
	}
}
