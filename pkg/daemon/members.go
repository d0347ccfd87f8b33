package daemon

import (
	"net"
	"strconv"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// members returns the membership that counts now; nil if the server serves alone.
func (s *Server) members() *ensemble.Config { return s.current.Load().Members }

// changeSettings makes one of the settings that count another. The configuration itself is never changed.
func (s *Server) changeSettings(change func(*config.Config)) {
	s.settings.Lock()
	defer s.settings.Unlock()
	next := *s.current.Load()
	change(&next)
	s.current.Store(&next)
}

// takeMembers is told by the peer loop that other members count. What takes time is done elsewhere.
func (s *Server) takeMembers(c *ensemble.Config) {
	s.changeSettings(func(cfg *config.Config) { cfg.Members = c })
	s.pipeline.Furnish()
	if _, listed := c.Member(s.cfg.MyID); !listed {
		s.log.Warn("this server is none of the members: it follows without a vote, until it is added or stopped", "version", strconv.FormatInt(c.Version, 16), "members", len(c.Members))
	}
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// furnish puts the membership into a tree that nobody else has, or whose lock is held for writing. It is not replicated:
// every member does so for itself.
func (s *Server) furnish(t *tree.Tree) {
	if c := s.members(); c != nil {
		t.SetConfig([]byte(c.Text()), proto.Zxid(c.Version), time.Now().UnixMilli())
	}
}

// clientPortLoop moves the client port when the server's own line has another client address.
func (s *Server) clientPortLoop() {
	for {
		select {
		case <-s.quit:
			return
		case <-s.moved:
		}
		self, _ := s.members().Member(s.cfg.MyID)
		now := *s.current.Load()
		if self.Client == nil {
			continue
		}
		next := now
		next.SetClientAddress(self.Client)
		if next.ClientPort == now.ClientPort && next.ClientPortAddress == now.ClientPortAddress {
			continue
		}
		if err := s.moveClientPort(&next); err != nil {
			s.log.Error("the client port stays where it is", "err", err, "wanted", self.Client.String())
			continue
		}
		s.log.Info("the client port has moved", "address", s.ClientAddr())
		if s.handed {
			s.log.Warn("zabd.socket still has the client port of the start: let its ListenStream follow (systemctl edit zabd.socket), or zabd does not start again", "address", s.ClientAddr())
		}
	}
}

// moveClientPort opens the client port at another address. Who is connected stays. The old port is closed when the new
// one is open, or before, where one excludes the other.
func (s *Server) moveClientPort(to *config.Config) error {
	addr := net.JoinHostPort(to.ClientPortAddress, strconv.Itoa(to.ClientPort))
	l, err := listenClients(addr, s.cfg.ClientPortListenBacklog)
	old := s.clientListeners()
	if err != nil && s.sharesPort(old, to.ClientPort) {
		closeAll(old)
		if l, err = listenClients(addr, s.cfg.ClientPortListenBacklog); err != nil {
			err = s.reopen(old, err)
		}
	}
	if err != nil {
		return &BindError{"client port", err}
	}
	s.setClientListeners([]net.Listener{l})
	s.clients.Serve(l)
	closeAll(old)
	s.changeSettings(func(cfg *config.Config) { cfg.ClientPort, cfg.ClientPortAddress = to.ClientPort, to.ClientPortAddress })
	return nil
}

// reopen opens again what was closed in vain.
func (s *Server) reopen(old []net.Listener, why error) error {
	var open []net.Listener
	for _, o := range old {
		l, err := listenClients(o.Addr().String(), s.cfg.ClientPortListenBacklog)
		if err != nil {
			s.fail(&BindError{"client port", err})
			return err
		}
		open = append(open, l)
		s.clients.Serve(l)
	}
	s.setClientListeners(open)
	return why
}

func (s *Server) sharesPort(open []net.Listener, port int) bool {
	for _, l := range open {
		if a, ok := l.Addr().(*net.TCPAddr); ok && a.Port == port {
			return true
		}
	}
	return false
}

func (s *Server) clientListeners() []net.Listener {
	s.ports.Lock()
	defer s.ports.Unlock()
	return s.listeners
}

func (s *Server) setClientListeners(ls []net.Listener) {
	s.ports.Lock()
	defer s.ports.Unlock()
	s.listeners = ls
}

// SaveNext implements peer.Log.
func (s store) SaveNext(c *ensemble.Config) error { return onDisk(s.files.SaveNext(c)) }

// Activate implements peer.Log.
func (s store) Activate(c *ensemble.Config) error { return onDisk(s.files.Activate(c)) }

// onDisk says that the disk has failed, and not a setting.
func onDisk(err error) error {
	if err == nil {
		return nil
	}
	return &datadir.DiskError{Op: "keep", Path: "the list of members", Err: err}
}
