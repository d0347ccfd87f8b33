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
	"strings"
	"syscall"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/systemd"
	"github.com/zabd/zabd/pkg/zab"
)

// A Program is what runs Main.
type Program struct {
	Version string
	// Member is called, if it is not nil, as soon as it is known that the server is one of an ensemble, and before anything
	// is opened that would be lost if the program was started again in its own place.
	Member func()
}

// Main is the program zabd: it serves until SIGTERM or SIGINT and returns the exit code.
func Main(args, env []string, stderr *os.File, p Program) int {
	cl, code, done := parse(args, stderr, p.Version)
	if done {
		return code
	}
	level, standing := new(slog.LevelVar), new(systemd.Standing)
	handler, err := systemd.Handler(cl.logFormat, level, standing, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "zabd:", err)
		return exit.Usage
	}
	log := slog.New(handler)
	x := service{log: log, member: p.Member, standing: standing, load: func() (config.Config, []string, error) { return config.Load(cl.config, env, cl.set) }}
	x.options = Options{Log: log, Version: p.Version, Level: level, Journal: newJournalAudit()}
	if err = x.prepare(cl.config, env); err == nil {
		ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer cancel()
		err = x.run(ctx)
	}
	if err != nil {
		x.explain(err)
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
