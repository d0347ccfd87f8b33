package client

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
)

// server is a zabd of the test's own. Its clients find it wherever it listens, unless they are cut off.
type server struct {
	cfg config.Config
	d   *daemon.Server

	mu  sync.Mutex
	off map[*Client]bool // clients that are cut off
}

func newServer(t *testing.T) *server {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress, cfg.PreAllocSize = t.TempDir(), 0, "127.0.0.1", 64<<10
	cfg.ExtendedTypesEnabled = true
	s := &server{cfg: cfg.Complete(), off: map[*Client]bool{}}
	s.start(t)
	t.Cleanup(func() { _ = s.d.Close(context.Background()) })
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	d, err := daemon.Start(t.Context(), s.cfg, daemon.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.d = d
}

// restart stops the server and starts another one on its directory.
func (s *server) restart(t *testing.T) {
	t.Helper()
	if err := s.d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.start(t)
}

// connect returns a client that has a session and is closed with the test.
func (s *server) connect(t *testing.T, o Options) *Client {
	t.Helper()
	return s.connectTo(t, "", o)
}

// connectTo has a chroot.
func (s *server) connectTo(t *testing.T, chroot string, o Options) *Client {
	t.Helper()
	var c *Client
	made := make(chan struct{})
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		<-made
		s.mu.Lock()
		addr, off := s.d.ClientAddr(), s.off[c]
		s.mu.Unlock()
		if off {
			return nil, errors.New("cut off")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	c, err := New("server"+chroot, o)
	if err != nil {
		t.Fatal(err)
	}
	close(made)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// cut has a client lose its connection, and find no other.
func (s *server) cut(c *Client) {
	s.mu.Lock()
	s.off[c] = true
	s.mu.Unlock()
	conn := c.conn.Load()
	conn.Fail(errors.New("cut off"))
	_ = conn.Broken()
}

// mend lets it find one again.
func (s *server) mend(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.off, c)
}
