package ctl

import (
	"context"
	"fmt"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/overview"
)

// Home and erase for what is drawn again and again; a screen of its own, which is left as if nothing had been.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	eraseScreen = "\x1b[H\x1b[2J"
)

func (o *options) topCommand() *cobra.Command {
	var every time.Duration
	var count int
	cmd := &cobra.Command{
		Use: "top", Short: "Show live what every server of the ensemble does",
		Long: "Asks as status does, again and again, and shows what happened in between: REQ/S are the packets a server received from clients in a second, " +
			"WRITES/S the transactions that it applied, SYNC the average of its log's syncs in that time, in milliseconds (where mntr is answered). " +
			"On a terminal the screen is drawn anew each time, until Ctrl-C; elsewhere, the tables follow each other.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every <= 0 {
				return fmt.Errorf("--every %v: must be more than nothing", every)
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			o.top(ctx, every, count)
			return nil
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often")
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after so many tables; 0 = at Ctrl-C")
	o.askedFlags(cmd)
	return cmd
}

// interruptible returns a context that ends when the user has had enough.
func interruptible(cmd *cobra.Command) (context.Context, func()) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
}

// top shows tables until ctx ends. The first has no rates, for which two looks are needed.
func (o *options) top(ctx context.Context, every time.Duration, count int) {
	screen := isTerminal(o.Out)
	if screen {
		_, _ = fmt.Fprint(o.Out, enterScreen)
		defer func() { _, _ = fmt.Fprint(o.Out, leaveScreen) }()
	}
	targets, _ := o.all()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before *overview.Ensemble
	for n := 1; ; n++ {
		now := askFor(ctx, targets, max(every, leastPatience))
		if ctx.Err() != nil {
			return
		}
		if screen {
			_, _ = fmt.Fprint(o.Out, eraseScreen)
		}
		o.showTop(before, now)
		for i := range targets {
			targets[i].SrvrOnly = now.Servers[i].Ready && now.Servers[i].Metrics == nil
		}
		if before = now; n == count {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// leastPatience is for how long top waits for a server at least: a host that is cut off must not hold up the others.
const leastPatience = time.Second

func askFor(ctx context.Context, targets []overview.Target, within time.Duration) *overview.Ensemble {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return overview.Ask(ctx, targets)
}

func (o *options) showTop(before, now *overview.Ensemble) {
	_, _ = fmt.Fprintf(o.Out, "%s  %s\n", now.At.Format(time.TimeOnly), now.Summary())
	t := o.table("SERVER", "ADDRESS", "ROLE", "EPOCH", "ZXID", "LAG", "REQ/S", "WRITES/S", "LATENCY", "SYNC", "CLIENTS", "QUEUED", "WATCHES")
	for i := range now.Servers {
		s := &now.Servers[i]
		if !s.Ready {
			t.AppendRow(row(id(s), s.Address, o.role(s)))
			continue
		}
		requests, writes, syncs := "-", "-", "-"
		if before != nil {
			if r, ok := overview.Between(&before.Servers[i], s, now.At.Sub(before.At).Seconds()); ok {
				requests, writes = fmt.Sprintf("%.0f", r.Requests), fmt.Sprintf("%.0f", r.Writes)
				if r.SyncMS >= 0 {
					syncs = fmt.Sprintf("%.1f", r.SyncMS)
				}
			}
		}
		t.AppendRow(row(id(s), s.Address, o.role(s), strconv.Itoa(int(s.Epoch)), s.Zxid.String(), told(s.Lag, "%d"), requests, writes,
			fmt.Sprintf("%g/%g", s.LatencyAvg, s.LatencyMax), syncs, strconv.FormatInt(s.Connections, 10), strconv.FormatInt(s.Outstanding, 10),
			told(s.Watches, "%g")))
	}
	t.Render()
	o.notes(now)
}
