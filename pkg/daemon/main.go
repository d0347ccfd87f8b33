package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/systemd"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/zab"
)

// stopTimeout bounds how long a stop may take before the process ends all the same.
const stopTimeout = 20 * time.Second

// Main is the program zabd: it serves until SIGTERM or SIGINT and returns the exit code.
func Main(args, env []string, stderr *os.File, version string) int {
	cl, code, done := parse(args, stderr, version)
	if done {
		return code
	}
	cfg, warnings, err := config.Load(cl.config, env, cl.set)
	if err != nil {
		fmt.Fprintln(stderr, "zabd:", err)
		return exitCode(err)
	}
	level := new(slog.LevelVar)
	level.Set(levels[cfg.LogLevel])
	handler, err := systemd.Handler(cl.logFormat, level, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "zabd:", err)
		return exit.Usage
	}
	log := slog.New(handler)
	for _, w := range warnings {
		log.Warn(w)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	boundMemory(env, log)
	listeners, err := systemd.Listeners()
	if err == nil {
		load := func() (config.Config, []string, error) { return config.Load(cl.config, env, cl.set) }
		text, _ := os.ReadFile(cl.config) // nobody depends on it
		err = run(ctx, cfg, load, Options{Log: log, Version: version, Listeners: listeners, Level: level, ConfigText: string(text), Journal: newJournalAudit()})
	}
	if err != nil {
		log.Error("zabd ends", "err", err, "exit_code", exitCode(err))
	}
	return exitCode(err)
}

// commandLine is what the flags say.
type commandLine struct {
	config    string
	logFormat string
	set       map[string]string
}

func parse(args []string, stderr *os.File, version string) (cl commandLine, code int, done bool) {
	fl := flag.NewFlagSet("zabd", flag.ContinueOnError)
	fl.SetOutput(stderr)
	fl.StringVar(&cl.config, "config", "", "the `file` zoo.cfg")
	fl.StringVar(&cl.logFormat, "log-format", "auto", "text, json, journal, or auto: journal where there is one")
	cl.set = make(map[string]string)
	fl.Func("set", "a setting, `key=value`, above the file's; may be repeated", func(s string) error {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("not key=value")
		}
		cl.set[key] = value
		return nil
	})
	show := fl.Bool("version", false, "print the version")
	switch err := fl.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return cl, exit.OK, true
	case err != nil:
		return cl, exit.Usage, true
	case *show:
		fmt.Println("zabd", version)
		return cl, exit.OK, true
	case fl.NArg() > 0:
		fmt.Fprintf(stderr, "zabd: unexpected argument %q\n", fl.Arg(0))
		return cl, exit.Usage, true
	}
	return cl, exit.OK, false
}

// run serves until ctx ends or the server fails, and keeps the service manager informed. At SIGHUP it loads the settings
// again.
func run(ctx context.Context, cfg config.Config, load func() (config.Config, []string, error), o Options) error {
	tell := func(err error) {
		if err != nil {
			o.Log.Warn("the service manager was not told", "err", err)
		}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from the start: it would end the process
	defer signal.Stop(hangups)
	tell(systemd.Status("recovering"))
	s, err := Start(ctx, cfg, o)
	if err != nil {
		return err
	}
	o.Log.Info("serving", "address", s.ClientAddr(), "version", o.Version)
	tell(systemd.Ready(s.oneLine()))
	quit := make(chan struct{})
	go func() {
		tell(systemd.Watchdog(quit, func(within time.Duration) bool {
			tell(systemd.Status(s.oneLine()))
			return s.Alive(within)
		}))
	}()
	defer close(quit)
	for serving := true; serving; {
		select {
		case err := <-s.Failed():
			return err // nothing that is in memory only was acknowledged
		case <-s.changed:
			tell(systemd.Status(s.oneLine()))
		case <-hangups:
			tell(systemd.Reloading())
			s.reload(load)
			tell(systemd.Ready(s.oneLine()))
		case <-ctx.Done():
			serving = false
		}
	}
	tell(systemd.Stopping())
	o.Log.Info("stopping")
	bounded, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return s.Close(bounded)
}

// boundMemory has the garbage collector keep the process within what the service manager grants it, less a twentieth for
// what it does not know of. GOMEMLIMIT, where it is set, counts instead.
func boundMemory(env []string, log *slog.Logger) {
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "GOMEMLIMIT=") }) {
		return
	}
	if most, ok := systemd.MemoryMax(); ok {
		debug.SetMemoryLimit(most / 20 * 19)
		log.Info("memory is bounded", "bytes", most)
	}
}

// oneLine is the status that `systemctl status` shows.
func (s *Server) oneLine() string {
	st, ok := s.peer.Status()
	if !ok {
		return "the peer loop does not answer"
	}
	var nodes int
	s.pipeline.View(func(t *tree.Tree) { nodes = t.NodeCount() })
	return fmt.Sprintf("%v, %d znodes, %d connections", st, nodes, s.pipeline.Stats.Connections.Load())
}

// exitCode returns the documented code of an error.
func exitCode(err error) int {
	var (
		cfg    *config.Error
		bind   *BindError
		damage *datadir.DamageError
		disk   *datadir.DiskError
		lost   *zab.LostHistoryError
		path   *fs.PathError
	)
	switch {
	case err == nil:
		return exit.OK
	case errors.As(err, &cfg):
		return exit.Config
	case errors.As(err, &bind):
		return exit.Port
	case errors.Is(err, datadir.ErrLocked):
		return exit.Locked
	case errors.Is(err, datadir.ErrForeign), errors.Is(err, datadir.ErrDirectory), errors.Is(err, fs.ErrPermission):
		return exit.Foreign
	case errors.As(err, &damage):
		return exit.Damage
	case errors.As(err, &disk):
		return exit.Disk
	case errors.As(err, &lost):
		return exit.History
	case errors.As(err, &path):
		return exit.Config // the file that was named cannot be read
	}
	return exit.Internal
}
