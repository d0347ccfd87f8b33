package server

import (
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// exhaustedListener has a connection that waits, and no descriptor for it but the server's spare one.
type exhaustedListener struct {
	s        *Server
	waiting  chan net.Conn
	attempts int
}

func (l *exhaustedListener) Accept() (net.Conn, error) {
	l.attempts++
	if len(l.s.spare.slot) > 0 { // it is kept: nothing is free
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	nc, ok := <-l.waiting
	if !ok {
		return nil, net.ErrClosed
	}
	return nc, nil
}

func (l *exhaustedListener) Close() error   { close(l.waiting); return nil }
func (l *exhaustedListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestNoDescriptorIsLeft: who cannot be served is told so at once, the server does not spin, and keeps a descriptor for
// the next.
func TestNoDescriptorIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Log: slog.New(slog.DiscardHandler), Clock: func() time.Duration { return 0 }})
		l := &exhaustedListener{s: s, waiting: make(chan net.Conn, 3)}
		var clients []net.Conn
		for range 2 {
			client, served := net.Pipe()
			clients = append(clients, client)
			l.waiting <- served
		}
		begun := time.Now()
		s.Serve(l)
		for i, c := range clients {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("client %d: %v", i, err)
			}
		}
		synctest.Wait()
		if got := time.Since(begun); got != acceptPause || l.attempts != 4 || len(s.spare.slot) != 1 {
			t.Errorf("%d attempts in %v, %d descriptors kept", l.attempts, got, len(s.spare.slot))
		}
		if got := s.Stats.Rejected.Load(); got != 2 {
			t.Errorf("%d rejected", got)
		}
		go s.Close()
		synctest.Wait()
	})
}

func TestSpareDescriptor(t *testing.T) {
	s := newSpare()
	if !s.give() || s.give() {
		t.Error("there is one to give, and no second")
	}
	s.take()
	s.take() // keeps one
	if len(s.slot) != 1 || !s.give() {
		t.Error("it was not taken again")
	}
}
