package lab

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// options are what the command line says.
type options struct {
	program   string
	java      bool
	servers   int
	observers []int
	every     time.Duration
	last      time.Duration
	once      bool
}

func parseArgs(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("zablab", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&o.program, "zabd", "bin/zabd", "the server program")
	f.BoolVar(&o.java, "java", false, "run ZooKeeper instead")
	f.IntVar(&o.servers, "servers", 4, "how many")
	f.Func("observer", "id of a server that observes; may be given several times", func(v string) error {
		var id int
		if _, err := fmt.Sscan(v, &id); err != nil {
			return err
		}
		o.observers = append(o.observers, id)
		return nil
	})
	f.DurationVar(&o.every, "every", time.Second, "how often the table is renewed")
	f.DurationVar(&o.last, "for", 0, "end when all have served so long; 0 = at Ctrl-C")
	f.BoolVar(&o.once, "once", false, "print the table once when all serve, and end")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	wrong := ""
	switch {
	case f.NArg() > 0:
		wrong = fmt.Sprintf("unknown argument %q", f.Arg(0))
	case o.servers < 1 || o.servers > 9:
		wrong = fmt.Sprintf("-servers %d: 1 to 9 are possible", o.servers)
	case o.every <= 0:
		wrong = fmt.Sprintf("-every %v: must be more than nothing", o.every)
	case len(o.observers) > 0 && (slices.Min(o.observers) < 1 || slices.Max(o.observers) > o.servers):
		wrong = fmt.Sprintf("-observer %v: the servers are 1 to %d", o.observers, o.servers)
	}
	if wrong != "" {
		err := fmt.Errorf("zablab: %s", wrong)
		fmt.Fprintln(errOut, err)
		return o, err
	}
	return o, nil
}

func (o options) kind() (Kind, error) {
	if o.java {
		return Java("-Xmx256m")
	}
	return Zabd(o.program)
}

// Main is the command zablab: it starts servers one after the other, shows what they do, and leaves nothing behind.
func Main(args []string, out *os.File, errOut io.Writer) int {
	o, err := parseArgs(args, errOut)
	if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, out); err != nil {
		fmt.Fprintln(errOut, err)
		return 1
	}
	return 0
}

func run(ctx context.Context, o options, out *os.File) error {
	dir, err := os.MkdirTemp("", "zabd-lab-")
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer os.RemoveAll(dir)
	k, err := o.kind()
	if err != nil {
		return err
	}
	e, err := New(dir, k, o.servers, o.observers...)
	if err != nil {
		return err
	}
	defer e.Stop()
	fmt.Fprintf(out, "directories and logs: %s\nclients: zkCli.sh -server %s\n", dir, strings.Join(e.Addrs(), ","))
	ctx, cancel := context.WithCancel(ctx)
	started := make(chan error, 1)
	go func() {
		started <- e.Start(ctx)
		close(started)
	}()
	defer func() { // before the servers are stopped, nobody starts any more
		cancel()
		for range started {
		}
	}()
	return watch(ctx, o, e, started, &board{out: out, place: isTerminal(out) && !o.once})
}

// watch shows the table until it is time to end. It starts no server again that ends later: killing one is what a lab
// is for.
func watch(ctx context.Context, o options, e *Ensemble, started <-chan error, b *board) error {
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	var enough <-chan time.Time
	for {
		if !o.once {
			b.show(e.rows())
		}
		select {
		case <-tick.C:
		case <-enough:
			return nil
		case <-ctx.Done():
			return nil
		case err := <-started:
			started = nil
			if err != nil {
				return err
			}
			if o.once {
				b.show(e.rows())
				return nil
			}
			if o.last > 0 {
				enough = time.After(o.last)
			}
		}
	}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
