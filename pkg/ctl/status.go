package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/overview"
)

// errNotServing says that a server answers and serves nobody.
var errNotServing = failure{errors.New("the server does not serve clients")}

// status is the answer for programs: the server that is asked, and beside it the ensemble.
type status struct {
	Mode string `json:"mode"` // leader, follower, observer or standalone; "" = it serves nobody
	overview.Server
	*overview.Ensemble
}

func (o *options) statusCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "status", Short: "Show what every server of the ensemble does",
		Long: "Asks the server of this host through its control socket, and the others of its zoo.cfg at their client ports; with --server, those that are named, " +
			"ZooKeeper's as well. Of another server, sessions, watches and disk sync times are known only if its 4lw.commands.whitelist has mntr. " +
			"LAG counts the leader's transactions that a server has not applied; LATENCY and SYNC (of the log's disk) are average/maximum in milliseconds.\n\n" +
			"Exits with 0 if the server of this host, or every server that is named, serves clients, which means in its quorum and caught up, and else with 1.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			targets, own := o.all()
			e := overview.Ask(cmd.Context(), targets)
			if err := o.print(format, statusOf(e, own), func() { o.showStatus(e) }); err != nil {
				return err
			}
			for i := range e.Servers {
				if (own < 0 || own == i) && !e.Servers[i].Ready {
					return errNotServing
				}
			}
			return nil
		},
	}
	formatFlag(cmd, &format)
	o.askedFlags(cmd)
	return cmd
}

func statusOf(e *overview.Ensemble, own int) *status {
	st := &status{Server: e.Servers[max(own, 0)], Ensemble: e}
	if st.Ready {
		st.Mode = st.Role
	}
	return st
}

func (o *options) showStatus(e *overview.Ensemble) {
	t := o.table("SERVER", "ADDRESS", "ROLE", "READY", "EPOCH", "ZXID", "LAG", "LATENCY", "CLIENTS", "SESSIONS", "WATCHES", "SYNC", "ZNODES")
	for i := range e.Servers {
		s := &e.Servers[i]
		if !s.Ready {
			t.AppendRow(row(id(s), s.Address, o.role(s), "no"))
			continue
		}
		t.AppendRow(row(id(s), s.Address, o.role(s), "yes", strconv.Itoa(int(s.Epoch)), s.Zxid.String(), told(s.Lag, "%d"),
			fmt.Sprintf("%g/%g", s.LatencyAvg, s.LatencyMax), strconv.FormatInt(s.Connections, 10), told(s.Sessions, "%g"),
			told(s.Watches, "%g"), told(s.SyncAvg, "%g")+"/"+told(s.SyncMax, "%g"), strconv.FormatInt(s.Znodes, 10)))
	}
	t.Render()
	_, _ = fmt.Fprintln(o.Out, e.Summary())
	o.notes(e)
}

func (o *options) notes(e *overview.Ensemble) {
	for _, n := range e.Notes() {
		_, _ = fmt.Fprintln(o.Out, "* "+n)
	}
}

// role paints who leads and who does not serve.
func (o *options) role(s *overview.Server) string {
	switch {
	case !s.Ready:
		return o.painted(s.Role, text.FgRed)
	case s.Role == "leader", s.Role == "standalone":
		return o.painted(s.Role, text.FgGreen)
	}
	return s.Role
}

func id(s *overview.Server) string {
	if s.ID == 0 {
		return "-"
	}
	return strconv.FormatInt(s.ID, 10)
}

// told prints what a server has told, or a dash.
func told[T cmp.Ordered](v *T, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}
