package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/peer"
	"github.com/zabd/zabd/pkg/systemd"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/zab"
)

// stopTimeout bounds how long a stop may take before the process ends all the same.
const stopTimeout = 20 * time.Second

// service is one server as the service manager sees it: it tells what becomes of it, there and in the log.
type service struct {
	log      *slog.Logger
	standing *systemd.Standing
	load     func() (config.Config, []string, error)
	member   func() // Program's
	cfg      config.Config
	options  Options

	last      peer.Status // that was told
	reloadErr error       // why the last reload has changed nothing; nil = it has
}

// tell logs that the service manager was not told something.
func (x *service) tell(err error) {
	if err != nil {
		x.log.Warn("the service manager was not told", "err", err)
	}
}

// prepare loads the settings and takes the sockets that are open.
func (x *service) prepare(file string, env []string) error {
	cfg, warnings, err := x.load()
	if err != nil {
		return err
	}
	x.cfg = cfg
	if cfg.Members != nil && x.member != nil {
		x.member()
	}
	x.options.Level.Set(levels[cfg.LogLevel])
	for _, w := range warnings {
		x.log.Warn(w)
	}
	boundMemory(env, x.log)
	if x.options.Listeners, err = systemd.Listeners(systemd.ClientSockets); err != nil {
		return err
	}
	text, _ := os.ReadFile(file) // nobody depends on it
	x.options.ConfigText = string(text)
	return compareSockets(&cfg, file, x.options.Listeners)
}

// compareSockets refuses sockets that are not where the settings say: clients look for a server where its settings, and
// those of the others, say.
func compareSockets(cfg *config.Config, file string, open []net.Listener) error {
	for _, l := range open {
		addr, ok := l.Addr().(*net.TCPAddr)
		if ok && addr.Port == cfg.ClientPort && isAt(addr.IP, cfg.ClientPortAddress) {
			continue
		}
		where := net.JoinHostPort(cfg.ClientPortAddress, fmt.Sprint(cfg.ClientPort))
		return cfg.BadClientPort(file, fmt.Sprintf(
			"the client port is %s here, and zabd.socket has opened %v: let ListenStream agree (systemctl edit zabd.socket), or do without the socket unit (systemctl mask zabd.socket)", where, l.Addr()))
	}
	return nil
}

// isAt tells whether a socket's address is the one that is configured; "" = all addresses.
func isAt(ip net.IP, configured string) bool {
	if want := net.ParseIP(configured); configured == "" || want != nil && want.IsUnspecified() {
		return ip.IsUnspecified()
	}
	all, err := net.LookupHost(configured)
	return err == nil && slices.ContainsFunc(all, func(a string) bool { return ip.Equal(net.ParseIP(a)) })
}

// boundMemory has the garbage collector keep the process within what the service manager grants it.
func boundMemory(env []string, log *slog.Logger) {
	if limit, ok := heapLimit(env, systemd.MemoryMax); ok {
		debug.SetMemoryLimit(limit)
		log.Info("memory is bounded", "heap", limit)
	}
}

// heapLimit returns the bytes that the garbage collector is to keep to: what is granted, less a twentieth for what it
// does not know of. GOMEMLIMIT, where it is set, counts instead.
func heapLimit(env []string, granted func() (int64, bool)) (limit int64, ok bool) {
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "GOMEMLIMIT=") }) {
		return 0, false
	}
	most, ok := granted()
	return most / 20 * 19, ok
}

// run serves until ctx ends or the server fails. At SIGHUP it loads the settings again.
func (x *service) run(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from the start: it would end the process
	defer signal.Stop(hangups)
	s, err := x.start(ctx)
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		x.log.Info("stopped before clients were served")
		return nil
	case err != nil:
		return err
	}
	x.log.Info("serving", "address", s.ClientAddr(), "version", x.options.Version)
	x.tell(systemd.Ready(x.look(s)))
	quit, looks := make(chan struct{}), make(chan struct{}, 1)
	defer close(quit)
	go func() {
		x.tell(systemd.Watchdog(quit, func(within time.Duration) bool {
			select {
			case looks <- struct{}{}: // the zxid has moved on
			default:
			}
			return s.Alive(within)
		}))
	}()
	for serving := true; serving; {
		select {
		case err := <-s.Failed():
			return err // nothing that is in memory only was acknowledged
		case <-s.changed:
			x.tell(systemd.Status(x.look(s)))
		case <-looks:
			x.tell(systemd.Status(x.look(s)))
		case <-hangups:
			x.tell(systemd.Reloading())
			x.reloadErr = s.reload(x.load)
			x.tell(systemd.Ready(x.look(s)))
		case <-ctx.Done():
			serving = false
		}
	}
	x.tell(systemd.Stopping())
	x.log.Info("stopping")
	bounded, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return s.Close(bounded)
}

// start starts the server. While its files are being read, the service manager is asked for patience.
func (x *service) start(ctx context.Context) (*Server, error) {
	x.tell(systemd.Status("recovering"))
	if x.options.FS == nil {
		x.options.FS = vfs.Disk()
	}
	files := &readFS{FS: x.options.FS}
	x.options.FS = files
	tick := time.NewTicker(lookAtReading)
	defer tick.Stop()
	started := make(chan struct{})
	defer close(started)
	go func() { x.tell(files.extend(tick.C, started)) }()
	return Start(ctx, x.cfg, x.options)
}

// look returns the status that systemctl shows, and logs what has changed since the last look.
func (x *service) look(s *Server) string {
	now, ok := s.peer.Status()
	if !ok {
		return "the peer loop does not answer"
	}
	before := x.last
	x.last = now
	x.standing.Set(slog.String("role", now.Role.String()), slog.Int64("epoch", int64(now.Epoch)), slog.Int64("server", int64(s.id())))
	switch {
	case now.Role == zab.Standalone:
	case now.Serving && (!before.Serving || now.Epoch != before.Epoch || now.Leader != before.Leader):
		x.log.Info("clients are served: "+now.String(), "leader", int64(now.Leader), "zxid", now.Zxid, systemd.EventKey, systemd.Election)
	case before.Serving && !now.Serving:
		x.log.Warn("clients are not served: "+now.String(), "was", before.Role, "zxid", before.Zxid, systemd.EventKey, systemd.LostQuorum)
	}
	if x.reloadErr != nil {
		return now.String() + "; the settings stay as they are: " + oneLine(x.reloadErr)
	}
	return now.String()
}

// oneLine returns what an error says, for a status.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// events are what the exit codes stand for in the message catalogue.
var events = map[int]systemd.Event{
	exit.Damage: systemd.Damage, exit.Disk: systemd.FailedDisk, exit.History: systemd.LostHistory,
}

// explain says in the log, and where systemctl shows it, why the server ends.
func (x *service) explain(err error) {
	code := exitCode(err)
	said := []any{"err", err, "exit_code", code}
	var setting *config.Error
	switch event := events[code]; {
	case errors.Is(err, errEmptied), errors.As(err, &setting) && filepath.Base(setting.Source) == "myid":
		said = append(said, systemd.EventKey, systemd.LostIdentity)
	case event != "":
		said = append(said, systemd.EventKey, event)
	}
	x.log.Error("zabd ends", said...)
	x.tell(systemd.Status(oneLine(err)))
}
