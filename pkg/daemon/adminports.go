package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/admin"
)

// adminPorts are where those who watch and operate the server ask: the control socket, the commands over TCP and the
// metrics. Each is open only if a setting says so.
type adminPorts struct {
	control, commands, metrics net.Listener // nil = not open

	servers []*http.Server
	closing sync.Once
}

// socketMode lets the server's user and group in.
const socketMode = 0o660

// openAdmin opens what the settings name.
func (s *Server) openAdmin() (err error) {
	cfg, p := &s.cfg, &s.admin
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if cfg.ControlSocket != "" {
		if p.control, err = listenUnix(cfg.ControlSocket); err != nil {
			return &BindError{"control socket", err}
		}
	}
	if cfg.AdminEnabled {
		if p.commands, err = net.Listen("tcp", net.JoinHostPort(cfg.AdminAddress, strconv.Itoa(cfg.AdminPort))); err != nil {
			return &BindError{"admin port", err}
		}
	}
	if cfg.PrometheusEnabled() {
		if p.metrics, err = net.Listen("tcp", net.JoinHostPort(cfg.MetricsHost, strconv.Itoa(cfg.MetricsPort))); err != nil {
			return &BindError{"metrics port", err}
		}
	}
	return nil
}

// listenUnix opens a socket file, in the place of one that a server has left which ended by force.
func listenUnix(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, errors.New(path + " is another server's")
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// serveAdmin answers on all that is open, in the background until close.
func (s *Server) serveAdmin() {
	p, cfg := &s.admin, &s.cfg
	h := &admin.HTTP{
		Source: s, Registry: s.registry, Trace: s.words.Load().Trace, Aliases: s.words.Load().Aliases, Stats: &s.adminStats,
		CommandURL: cfg.AdminCommandURL, SnapshotEnabled: cfg.AdminSnapshotEnabled,
		SnapshotEvery:  cfg.AdminRateLimit / 1000, // see config.Admin
		RestoreEnabled: cfg.AdminRestoreEnabled, RestoreEvery: cfg.AdminRateLimit, Patience: cfg.AdminIdleTimeout,
	}
	metrics := http.NewServeMux()
	metrics.Handle("/metrics", s.registry.Handler())
	for _, port := range []struct {
		listener net.Listener
		handler  http.Handler
	}{{p.control, h.Handler(true)}, {p.commands, h.Handler(false)}, {p.metrics, metrics}} {
		if port.listener == nil {
			continue
		}
		server := &http.Server{
			Handler: admin.Patient(port.handler, cfg.AdminIdleTimeout), ReadHeaderTimeout: cfg.AdminIdleTimeout, ReadTimeout: cfg.AdminIdleTimeout,
			IdleTimeout: cfg.AdminIdleTimeout, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelInfo),
		}
		p.servers = append(p.servers, server)
		s.goBackground(func() {
			if err := server.Serve(newFew(port.listener)); !errors.Is(err, http.ErrServerClosed) {
				s.log.Warn("an admin port has failed", "address", port.listener.Addr().String(), "err", err)
			}
		})
	}
}

// mostAsking is how many connections each port has at one time; others wait to be accepted. Clients of the server need the
// descriptors more.
const mostAsking = 64

// few accepts no more than mostAsking connections at one time.
type few struct {
	net.Listener
	seats chan struct{}
	ended chan struct{}
	once  *sync.Once
}

func newFew(l net.Listener) few {
	return few{l, make(chan struct{}, mostAsking), make(chan struct{}), new(sync.Once)}
}

// Accept implements net.Listener.
func (f few) Accept() (net.Conn, error) {
	select {
	case f.seats <- struct{}{}:
	case <-f.ended:
		return nil, net.ErrClosed
	}
	c, err := f.Listener.Accept()
	if err != nil {
		<-f.seats
		return nil, err
	}
	return &seated{Conn: c, leave: sync.OnceFunc(func() { <-f.seats })}, nil
}

// Close implements net.Listener.
func (f few) Close() error {
	f.once.Do(func() { close(f.ended) })
	return f.Listener.Close()
}

// seated is a connection that gives its seat back.
type seated struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (s *seated) Close() error {
	s.leave()
	return s.Conn.Close()
}

// answerTime is for what is being answered when the server stops.
const answerTime = time.Second

// close ends all ports.
func (p *adminPorts) close() {
	p.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		for _, server := range p.servers {
			if server.Shutdown(ctx) != nil {
				_ = server.Close()
			}
		}
		for _, l := range []net.Listener{p.control, p.commands, p.metrics} {
			if l != nil {
				_ = l.Close()
			}
		}
	})
}
