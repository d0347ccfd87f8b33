package ctl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/overview"
)

// pollEvery is how often wait asks.
const pollEvery = 200 * time.Millisecond

func (o *options) waitCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "wait", Short: "Wait until a server is in its quorum and caught up",
		Long: "Asks the server of this host through its control socket, or others with --server, until it serves clients, or all of them do. " +
			"Says on stderr what it waits for. Exits with 1 when the time is up.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return o.wait(ctx)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long")
	o.askedFlags(cmd)
	return cmd
}

// wait asks until all serve or ctx ends.
func (o *options) wait(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	targets, said := o.one(), ""
	for i := range targets {
		targets[i].SrvrOnly = true
	}
	for {
		why := waitsFor(overview.Ask(ctx, targets))
		if why == "" {
			return nil
		}
		if ctx.Err() == nil && why != said {
			said = why
			_, _ = fmt.Fprintln(o.Err, said)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if said == "" {
				said = why
			}
			return failure{fmt.Errorf("the time is up: %s", said)}
		}
	}
}

// waitsFor says why the first server that does not serve does not, and which it is if there are several.
func waitsFor(e *overview.Ensemble) string {
	for i := range e.Servers {
		s := &e.Servers[i]
		switch {
		case s.Ready:
		case len(e.Servers) > 1:
			return s.Name() + ": " + s.Reason
		default:
			return s.Reason
		}
	}
	return ""
}
