package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// status is what a server tells of itself.
type status struct {
	Mode        string  `json:"mode"` // leader, follower, observer or standalone; "" = it serves nobody
	Ready       bool    `json:"ready"`
	Reason      string  `json:"reason,omitempty"` // why it is not
	Leader      int64   `json:"leader,omitempty"` // id
	Zxid        string  `json:"zxid,omitempty"`
	Znodes      int64   `json:"znodes"`
	Connections int64   `json:"connections"`
	Outstanding int64   `json:"outstanding"`
	LatencyMin  float64 `json:"latency_min_ms"`
	LatencyAvg  float64 `json:"latency_avg_ms"`
	LatencyMax  float64 `json:"latency_max_ms"`
	Version     string  `json:"version,omitempty"`
}

// errNotServing says that the server answers and serves nobody.
var errNotServing = failure{errors.New("the server does not serve clients")}

func (o *options) statusCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "status", Short: "Tell what a server does, and whether it serves clients",
		Long: "Asks the server of this host through its control socket, or another with --server by the word srvr. Exits with 0 if it serves clients, " +
			"which means in its quorum and caught up, and with 1 if it does not or does not answer.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := o.status(cmd.Context())
			if err != nil {
				return failure{err}
			}
			if err := o.print(format, st, st.table); err != nil {
				return err
			}
			if !st.Ready {
				return errNotServing
			}
			return nil
		},
	}
	formatFlag(cmd, &format)
	o.askedFlags(cmd)
	return cmd
}

func (o *options) askedFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.socket, "socket", "", "control socket (default: as zoo.cfg says, or "+defaultSocket+")")
	cmd.Flags().StringVar(&o.server, "server", "", "ask this host:port, and not the server of this host")
	cmd.MarkFlagsMutuallyExclusive("socket", "server")
}

// status asks the server.
func (o *options) status(ctx context.Context) (*status, error) {
	if o.server != "" {
		text, err := word(ctx, o.server, "srvr")
		if err != nil {
			return nil, err
		}
		return parseSrvr(text), nil
	}
	return o.control().status(ctx)
}

func (c *control) status(ctx context.Context) (*status, error) {
	why, err := c.ready(ctx)
	if err != nil {
		return nil, err
	}
	st := &status{Ready: why == "", Reason: why}
	if !st.Ready {
		return st, nil
	}
	var server struct {
		Version string `json:"version"`
		Nodes   int64  `json:"node_count"`
		Stats   struct {
			Mode        string  `json:"server_state"`
			Zxid        int64   `json:"last_processed_zxid"`
			Outstanding int64   `json:"outstanding_requests"`
			Connections int64   `json:"num_alive_client_connections"`
			Min         float64 `json:"min_latency"`
			Avg         float64 `json:"avg_latency"`
			Max         float64 `json:"max_latency"`
		} `json:"server_stats"`
	}
	var leader struct {
		ID int64 `json:"leader_id"` // none of a server alone
	}
	if err := errors.Join(c.command(ctx, "server_stats", &server), c.command(ctx, "leader", &leader)); err != nil {
		return nil, err
	}
	s := &server.Stats
	st.Mode, st.Leader, st.Zxid, st.Znodes, st.Version = s.Mode, leader.ID, fmt.Sprintf("0x%x", uint64(s.Zxid)), server.Nodes, server.Version
	st.Connections, st.Outstanding = s.Connections, s.Outstanding
	st.LatencyMin, st.LatencyAvg, st.LatencyMax = s.Min, s.Avg, s.Max
	return st, nil
}

// parseSrvr reads the answer to srvr, of any server that speaks ZooKeeper's words.
func parseSrvr(text string) *status {
	st := &status{}
	whole := func(v string) int64 { n, _ := strconv.ParseInt(v, 10, 64); return n }
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Zookeeper version":
			st.Version = value
		case "Latency min/avg/max":
			_, _ = fmt.Sscanf(strings.ReplaceAll(value, "/", " "), "%g %g %g", &st.LatencyMin, &st.LatencyAvg, &st.LatencyMax)
		case "Connections":
			st.Connections = whole(value)
		case "Outstanding":
			st.Outstanding = whole(value)
		case "Zxid":
			st.Zxid = value
		case "Mode":
			st.Mode, st.Ready = value, true
		case "Node count":
			st.Znodes = whole(value)
		}
	}
	if !st.Ready {
		st.Reason = strings.TrimSpace(text)
	}
	return st
}

// table writes the status for people.
func (st *status) table(w io.Writer) {
	line := func(name, format string, values ...any) { _, _ = fmt.Fprintf(w, name+":\t"+format+"\n", values...) }
	if !st.Ready {
		line("Ready", "no, %s", st.Reason)
		return
	}
	line("Mode", "%s", st.Mode)
	line("Ready", "yes")
	if st.Leader != 0 {
		line("Leader", "server %d", st.Leader)
	}
	line("Zxid", "%s", st.Zxid)
	line("Znodes", "%d", st.Znodes)
	line("Connections", "%d", st.Connections)
	line("Outstanding", "%d", st.Outstanding)
	line("Latency", "%g ms on average, %g to %g ms", st.LatencyAvg, st.LatencyMin, st.LatencyMax)
	line("Version", "%s", st.Version)
}

// pollEvery is how often wait asks.
const pollEvery = 200 * time.Millisecond

func (o *options) waitCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "wait", Short: "Wait until a server is in its quorum and caught up",
		Long: "Asks the server of this host through its control socket, or another with --server, until it serves clients. Says on stderr what it waits for. " +
			"Exits with 1 when the time is up.",
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

// wait asks until the server serves or ctx ends.
func (o *options) wait(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	said := ""
	for {
		st, err := o.status(ctx)
		switch {
		case err == nil && st.Ready:
			return nil
		case err == nil:
			err = errors.New(st.Reason)
		}
		if ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			_, _ = fmt.Fprintln(o.Err, said)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if said == "" {
				said = err.Error()
			}
			return failure{fmt.Errorf("the time is up: %s", said)}
		}
	}
}
