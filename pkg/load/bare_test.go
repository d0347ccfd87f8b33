//go:build bench

package load

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	requestSize      = 45 // a getData with a watch, its answer, and the notification: what a server writes for each
	answerSize       = 92
	notificationSize = 58
)

// fireBare does what fireOne measures without a server: as many sockets are written to by as many goroutines as can run.
// What is below its milliseconds is the kernel's and the reader's, whatever the server.
func fireBare(t *testing.T) float64 {
	t.Helper()
	near, far := pairs(t, manyWatchers)
	for i := range far {
		defer near[i].Close()
		defer far[i].Close()
	}
	var buf [answerSize]byte
	took := time.Duration(0)
	for range watchCount / manyWatchers {
		for i := range far { // the watch is set
			pass(t, near[i], far[i], buf[:requestSize])
			pass(t, far[i], near[i], buf[:answerSize])
		}
		began := time.Now()
		var senders sync.WaitGroup
		for s := range runtime.GOMAXPROCS(0) {
			senders.Go(func() {
				var event [notificationSize]byte
				for i := s; i < len(far); i += runtime.GOMAXPROCS(0) {
					if _, err := far[i].Write(event[:]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for _, nc := range near {
			if _, err := io.ReadFull(nc, buf[:notificationSize]); err != nil {
				t.Fatal(err)
			}
		}
		senders.Wait()
		took += time.Since(began)
	}
	return took.Seconds() * 1e3
}

// pairs are connections, by both their ends.
func pairs(t *testing.T, n int) (near, far crowd) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range n {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		near, far = append(near, c), append(far, s)
	}
	return near, far
}

// pass sends bytes from one end to the other.
func pass(t *testing.T, from, to net.Conn, b []byte) {
	t.Helper()
	if _, err := from.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, b); err != nil {
		t.Fatal(err)
	}
}
