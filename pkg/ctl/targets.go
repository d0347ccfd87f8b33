package ctl

import (
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/overview"
)

const (
	defaultSocket = "/run/zabd/control.sock"
	defaultPort   = "2181"
)

// asked says which servers are asked: that of this host and the others of its zoo.cfg, or those that are named.
type asked struct {
	socket string // "" = as zoo.cfg says
	server string // host:port,host:port; "" = the server of this host
}

func (o *options) askedFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.socket, "socket", "", "control socket (default: as zoo.cfg says, or "+defaultSocket+")")
	o.serverFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("socket", "server")
}

func (o *options) serverFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.server, "server", "", "ask these, host:port,..., and not the server of this host")
	_ = cmd.RegisterFlagCompletionFunc("server", cobra.NoFileCompletions)
}

// control returns the control socket that is named, or that zoo.cfg names. A zoo.cfg with mistakes, or that may not be read,
// must not keep anybody from asking a server that runs.
func (o *options) control() *overview.Control {
	path, commands := defaultSocket, "/commands"
	settings, _ := config.Show(o.config, o.Env, nil, false)
	for _, s := range settings {
		switch {
		case s.Key == "controlSocket" && s.Value != "":
			path = s.Value
		case s.Key == "admin.commandURL" && strings.HasPrefix(s.Value, "/"):
			commands = s.Value
		}
	}
	if o.socket != "" {
		path = o.socket
	}
	return overview.NewControl(path, commands)
}

// addresses returns the servers that --server names.
func addresses(list string) (out []string) {
	for a := range strings.SplitSeq(list, ",") {
		if a = strings.TrimSpace(a); a == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), defaultPort)
		}
		out = append(out, a)
	}
	return out
}

// one returns whom the commands ask that are about one server; with --server, each that is named.
func (o *options) one() (targets []overview.Target) {
	if o.server == "" {
		return []overview.Target{{Control: o.control()}}
	}
	for _, a := range addresses(o.server) {
		targets = append(targets, overview.Target{Address: a})
	}
	return targets
}

// all returns the servers of the ensemble, and which of them is the one of this host: -1 = none, or those that were named.
func (o *options) all() (targets []overview.Target, own int) {
	if o.server != "" || o.socket != "" {
		return o.one(), -1
	}
	return o.members()
}

// members returns the servers that zoo.cfg names, and which of them is the one of this host.
func (o *options) members() (targets []overview.Target, own int) {
	cfg, err := config.Survey(o.config, o.Env)
	if err != nil {
		return []overview.Target{{Control: o.control()}}, 0
	}
	if cfg.Members == nil {
		host := cfg.ClientPortAddress
		if host == "" {
			host = "127.0.0.1"
		}
		return []overview.Target{{Address: net.JoinHostPort(host, strconv.Itoa(cfg.ClientPort)), Control: o.control()}}, 0
	}
	own = -1
	for i := range cfg.Members.Members {
		m := &cfg.Members.Members[i]
		t := overview.Target{ID: int64(m.ID), Address: cfg.ClientAddress(m), Observer: !cfg.Members.IsVoter(m.ID)}
		if m.ID == cfg.MyID {
			own, t.Control = i, o.control()
		}
		targets = append(targets, t)
	}
	return targets, own
}
