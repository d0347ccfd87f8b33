package ctl

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/load"
	"github.com/zabd/zabd/pkg/overview"
)

const (
	longestRun   = time.Hour
	cleanTimeout = 5 * time.Minute // for removing what a run has left
)

// bench is a call of zabctl bench.
type bench struct {
	*options
	servers  []string
	site     load.Site
	ops      []load.Operation
	shapes   []load.Shape
	duration time.Duration
}

// measured is one run, as programs are told of it.
type measured struct {
	Operation   string  `json:"operation"`
	Connections int     `json:"connections"`
	Outstanding int     `json:"outstanding"`
	Seconds     float64 `json:"seconds"`
	Operations  int     `json:"operations"`
	Errors      int     `json:"errors"`
	Rate        float64 `json:"rate"` // operations in a second
	P50         float64 `json:"p50_ms"`
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	P999        float64 `json:"p999_ms"`
	Most        float64 `json:"max_ms"`
}

func (o *options) benchCommand() *cobra.Command {
	var format, below string
	var ops, shapes []string
	var duration time.Duration
	var size int
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure throughput and latency of servers, zabd's or ZooKeeper's",
		Long: "Puts servers under load and prints operations in a second and percentiles of the latency in milliseconds, for each operation with each shape: " +
			"so many connections, spread over the servers, and so many requests under way on each. It works on nodes below a node of its own, which it makes and " +
			"removes, also when it is interrupted, and runs for a bounded time. Every server has to answer as well as it can meanwhile: do not run it where clients " +
			"would mind.\n\nOperations are " + strings.Join(load.Names(), ", ") + " (get nine times, then set once), and mixes with weights: --op get=90,set=9,createdelete=1.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := &bench{options: o, servers: addresses(o.server), duration: duration}
			b.site = load.Site{Root: fmt.Sprintf("%s/zabctl-bench-%d", strings.TrimSuffix(below, "/"), time.Now().UnixNano()), Size: size}
			if err := b.parse(ops, shapes); err != nil {
				return err
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			runs, err := b.run(ctx)
			if err != nil {
				return failure{err}
			}
			return o.print(format, map[string]any{"servers": b.servers, "size": size, "runs": runs}, func() { o.showRuns(runs) })
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&ops, "op", []string{"get", "set"}, "operation or mix; may be given several times")
	f.StringSliceVar(&shapes, "shape", []string{"1x1", "16x16"}, "CONNECTIONSxOUTSTANDING,...")
	f.DurationVar(&duration, "duration", 5*time.Second, "of each run, at most "+longestRun.String()+"; a quarter of it warms up before")
	f.IntVar(&size, "size", 100, "bytes of data that are written")
	f.StringVar(&below, "path", "/", "the node below which nodes are made; it must be there")
	o.serverFlag(cmd)
	formatFlag(cmd, &format)
	_ = cmd.RegisterFlagCompletionFunc("op", cobra.FixedCompletions(load.Names(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (b *bench) parse(ops, shapes []string) error {
	for _, text := range ops {
		op, err := load.Parse(text)
		if err != nil {
			return err
		}
		b.ops = append(b.ops, op)
	}
	for _, text := range shapes {
		s, err := load.ParseShape(text)
		if err != nil {
			return err
		}
		b.shapes = append(b.shapes, s)
	}
	switch {
	case len(b.ops) == 0 || len(b.shapes) == 0:
		return errors.New("there is nothing to measure: --op and --shape name it")
	case b.duration <= 0 || b.duration > longestRun:
		return fmt.Errorf("--duration %v: from more than nothing to %v", b.duration, longestRun)
	case b.site.Size < 1 || b.site.Size > 1<<20-4096:
		return fmt.Errorf("--size %d: from 1 byte to 4096 less than a mebibyte, which requests must not exceed", b.site.Size)
	case !strings.HasPrefix(b.site.Root, "/"):
		return fmt.Errorf("--path: %s does not begin with /", b.site.Root)
	}
	if len(b.servers) == 0 {
		targets, own := b.all()
		for i, t := range targets {
			if t.Address != "" && (own < 0 || own == i) {
				b.servers = append(b.servers, t.Address)
			}
		}
	}
	if len(b.servers) == 0 {
		return fmt.Errorf("%s names no client port: --server does", b.config)
	}
	return nil
}

// run measures everything, and removes what it has made however it ends.
func (b *bench) run(ctx context.Context) (runs []measured, err error) {
	for _, s := range overview.Ask(ctx, targetsAt(b.servers)).Servers {
		if !s.Ready {
			return nil, fmt.Errorf("%s does not serve: %s", s.Address, s.Reason)
		}
	}
	if err := b.site.Make(ctx, b.servers[0]); err != nil {
		return nil, err
	}
	bar := b.progress()
	defer bar.end()
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		bar.begin("removing nodes")
		removed := b.site.Remove(clean, b.servers[0], bar.at)
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		err = errors.Join(err, removed)
	}()
	for _, shape := range b.shapes {
		for _, op := range b.ops {
			stop := bar.time(op.Name+" "+shape.String(), b.duration*5/4)
			r, err := b.measure(ctx, op, shape)
			stop()
			if err != nil {
				return nil, err
			}
			runs = append(runs, measuredOf(op, shape, &r))
		}
	}
	return runs, nil
}

func targetsAt(addresses []string) (targets []overview.Target) {
	for _, a := range addresses {
		targets = append(targets, overview.Target{Address: a, SrvrOnly: true})
	}
	return targets
}

func (b *bench) measure(ctx context.Context, op load.Operation, shape load.Shape) (load.Result, error) {
	if _, err := b.site.Run(ctx, b.servers, op, shape, b.duration/4); err != nil {
		return load.Result{}, err
	}
	return b.site.Run(ctx, b.servers, op, shape, b.duration)
}

func measuredOf(op load.Operation, s load.Shape, r *load.Result) measured {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return measured{
		op.Name, s.Conns, s.Outstanding, r.Elapsed.Seconds(), r.Ops, r.Errors, r.Rate(),
		ms(r.P50), ms(r.P90), ms(r.P99), ms(r.P999), ms(r.Most),
	}
}

func (o *options) showRuns(runs []measured) {
	t := o.table("OPERATION", "SHAPE", "OPS/S", "ERRORS", "P50", "P90", "P99", "P99.9", "MAX")
	ms := func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
	for i := range runs {
		r := &runs[i]
		t.AppendRow(row(r.Operation, load.Shape{Conns: r.Connections, Outstanding: r.Outstanding}.String(), fmt.Sprintf("%.0f", r.Rate),
			strconv.Itoa(r.Errors), ms(r.P50), ms(r.P90), ms(r.P99), ms(r.P999), ms(r.Most)))
	}
	t.Render()
}

// bar shows on stderr how far something is, if that is a terminal. The zero value shows nothing.
type bar struct {
	w       progress.Writer
	tracker *progress.Tracker
	ended   chan struct{}
}

func (o *options) progress() *bar {
	if !isTerminal(o.Err) {
		return &bar{}
	}
	b := &bar{w: progress.NewWriter(), ended: make(chan struct{})}
	b.w.SetOutputWriter(o.Err)
	b.w.SetUpdateFrequency(100 * time.Millisecond)
	b.w.SetTrackerLength(30)
	b.w.Style().Visibility.ETA, b.w.Style().Visibility.Value = true, false
	go func() {
		b.w.Render()
		close(b.ended)
	}()
	return b
}

// begin shows that something else has begun.
func (b *bar) begin(what string) {
	if b.w == nil {
		return
	}
	b.finish()
	b.tracker = &progress.Tracker{Message: what, RemoveOnCompletion: true}
	b.w.AppendTracker(b.tracker)
}

// at shows how far it is.
func (b *bar) at(n, of int) {
	if b.w == nil {
		return
	}
	b.tracker.UpdateTotal(int64(of))
	b.tracker.SetValue(int64(min(n, of-1))) // it ends when the next begins
}

// time shows something that takes so long, until it is stopped.
func (b *bar) time(what string, d time.Duration) (stop func()) {
	if b.w == nil {
		return func() {}
	}
	b.begin(what)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); ; {
			select {
			case <-tick.C:
				b.at(int(time.Since(began).Milliseconds()), int(d.Milliseconds()))
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (b *bar) finish() {
	if b.tracker != nil {
		b.tracker.MarkAsDone()
	}
}

func (b *bar) end() {
	if b.w == nil {
		return
	}
	b.finish()
	b.w.Stop()
	<-b.ended
}
