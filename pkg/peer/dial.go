package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/ensemble"
)

// A Dialer opens connections, as net.Dialer's DialContext does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dialAny connects to all addresses at once. The first connection counts, so that an address that does not answer
// delays nothing; that is ZooKeeper's check which of several addresses can be reached, done by connecting.
func dialAny(ctx context.Context, dial Dialer, addrs []ensemble.Addr) (net.Conn, error) {
	if len(addrs) == 1 {
		return dial(ctx, "tcp", addrs[0].String())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	for _, a := range addrs {
		go func() {
			c, err := dial(ctx, "tcp", a.String())
			results <- result{c, err}
		}()
	}
	var first net.Conn
	var failures []error
	for range addrs { // all of them: a connection that comes too late must be closed
		switch r := <-results; {
		case r.err != nil:
			failures = append(failures, r.err)
		case first == nil:
			first = r.conn
			cancel()
		default:
			_ = r.conn.Close()
		}
	}
	if first != nil {
		return first, nil
	}
	return nil, errors.Join(failures...)
}

// dial connects to one of a server's addresses.
func (n *Network) dial(ctx context.Context, addrs []ensemble.Addr) (net.Conn, error) {
	if n.InTurn <= 0 || len(addrs) == 1 {
		return dialAny(ctx, n.Dial, addrs)
	}
	var failures []error
	for _, a := range addrs {
		timed, cancel := context.WithTimeout(ctx, n.InTurn)
		c, err := n.Dial(timed, "tcp", a.String())
		cancel()
		if err == nil {
			return c, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// gather lets small packets of a connection wait for more to come, if that is wanted.
func gather(c net.Conn, wanted bool) {
	if c, ok := c.(interface{ SetNoDelay(bool) error }); ok && wanted {
		_ = c.SetNoDelay(false)
	}
}

// abandon lets a connection end when what it was sent has not been acknowledged for so long. A host that has lost its
// network hangs up on nobody: the kernel would try for a quarter of an hour, in the end every two minutes.
func abandon(c net.Conn, after time.Duration) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil { // an option that the kernel does not take costs patience alone
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
		})
	}
}

// refused tells whether every address of a host has said no: somebody is there, and the port is not open.
func refused(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return len(many.Unwrap()) > 0 && !slices.ContainsFunc(many.Unwrap(), func(e error) bool { return !refused(e) })
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// Ports says how to open the ports of a server.
type Ports struct {
	AllIPs    bool // on every address of the host, by the port alone
	Retries   int  // attempts for each; 0 = without end
	KeepAlive bool // of the connections that are accepted
	Log       *slog.Logger
}

const bindPause = time.Second

// Open listens on all the addresses. A port that is in use is tried again for a while. Where a server has several
// addresses, one that cannot be opened is only said: the others are there for that.
func (p Ports) Open(ctx context.Context, addrs []ensemble.Addr) ([]net.Listener, error) {
	var where []string
	for _, a := range addrs {
		address := a.String()
		if p.AllIPs {
			address = ":" + strconv.Itoa(a.Port)
		}
		if !slices.Contains(where, address) {
			where = append(where, address)
		}
	}
	opened, failures := make([]net.Listener, len(where)), make([]error, len(where))
	var wait sync.WaitGroup
	for i, address := range where {
		wait.Go(func() { opened[i], failures[i] = p.open(ctx, address) })
	}
	wait.Wait()
	opened = slices.DeleteFunc(opened, func(l net.Listener) bool { return l == nil })
	if len(opened) == 0 {
		return nil, errors.Join(failures...)
	}
	for _, err := range failures {
		if err != nil {
			p.Log.Warn("one of several addresses cannot be used", "err", err)
		}
	}
	return opened, nil
}

func (p Ports) open(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{}
	if !p.KeepAlive {
		config.KeepAlive = -1
	}
	for n := 1; ; n++ {
		l, err := config.Listen(ctx, "tcp", address)
		if err == nil {
			return l, nil
		}
		if n == p.Retries {
			return nil, fmt.Errorf("peer: listen on %s: %w", address, err)
		}
		p.Log.Warn("a port cannot be opened yet", "address", address, "err", err)
		if !pause(ctx, bindPause) {
			return nil, fmt.Errorf("peer: listen on %s: %w", address, ctx.Err())
		}
	}
}
