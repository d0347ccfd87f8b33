package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/shell"
)

const cliScript = "zkCli.sh"

// nodesGroup holds the commands that are zkCli's.
var nodesGroup = &cobra.Group{ID: "nodes", Title: "Nodes, as zkCli:"}

// A saidError has been printed.
type saidError struct{ code int }

func (saidError) Error() string { return "" }

// said makes the error of a command of zkCli one of zabctl.
func said(err error) error {
	var e *shell.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.Usage:
		return saidError{exit.Usage}
	}
	return saidError{exit.NotThere}
}

// session says with whom a shell or a command has its session.
type session struct {
	server   string
	auth     []string
	timeout  time.Duration
	readOnly bool
}

func (x *session) flags(f *pflag.FlagSet) {
	f.StringVar(&x.server, "server", "", "host:port,host:port/chroot (default: the server of this host, as zoo.cfg says)")
	f.StringArrayVar(&x.auth, "auth", nil, "a credential, SCHEME:CREDENTIAL (digest:user:password); a file that holds it: @FILE")
	f.DurationVar(&x.timeout, "timeout", shell.DefaultTimeout, "of the session, and of a call without a connection")
	f.BoolVar(&x.readOnly, "readonly", false, "a server without a quorum will do")
}

// options returns what a shell is started with.
func (x *session) options(o *options) (shell.Options, error) {
	s := shell.Options{
		Server: cmp.Or(x.server, o.ownServer()), Timeout: x.timeout, ReadOnly: x.readOnly, Out: o.Out, Err: o.Err, Version: cliVersion(o.Version),
	}
	for _, a := range x.auth {
		if file, ok := strings.CutPrefix(a, "@"); ok {
			data, err := os.ReadFile(file)
			if err != nil {
				return s, failure{err}
			}
			a = strings.TrimSpace(string(data))
		}
		scheme, credential, _ := strings.Cut(a, ":")
		s.Auth = append(s.Auth, shell.Credential{Scheme: scheme, Text: credential})
	}
	return s, nil
}

// cliVersion is what the command version prints.
func cliVersion(own string) string { return zooKeeper + " (zabd " + own + ")" }

// ownServer is the client port of the server of this host, as far as zoo.cfg and its list of members tell, whatever else is
// wrong with them. Where only the line of the own server would tell, and it is not known which that is, all members will do.
func (o *options) ownServer() string {
	cfg, _ := config.Survey(o.config, o.Env)
	if cfg.ClientPort != 0 || cfg.Members == nil {
		return net.JoinHostPort(cmp.Or(strings.Trim(cfg.ClientPortAddress, "[]"), "localhost"), strconv.Itoa(cfg.ClientPort))
	}
	all := make([]string, len(cfg.Members.Members))
	for i := range all {
		all[i] = cfg.ClientAddress(&cfg.Members.Members[i])
	}
	return strings.Join(all, ",")
}

func (o *options) shellCommand() *cobra.Command {
	var x session
	cmd := &cobra.Command{
		Use: "shell", Short: "Type commands to a server, as in zkCli", GroupID: nodesGroup.ID,
		Long: "Reads commands from the terminal, or from stdin if that is none, and runs them in one session. They are those of ZooKeeper's zkCli; " +
			"a word that is no command prints the list. On a terminal the tab key completes commands, their options and paths, the arrow keys recall lines, " +
			"those of earlier shells too (~/.local/state/zabctl/history; lines with addauth are not kept there), and events are printed as they come. " +
			"Ctrl-C ends a command that runs, or else the shell, as Ctrl-D does. The exit code is that of the last command.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			so, err := x.options(o)
			if err != nil {
				return err
			}
			if code := o.interact(cmd.Context(), so); code != exit.OK {
				return saidError{code}
			}
			return nil
		},
	}
	x.flags(cmd.Flags())
	return cmd
}

// interact runs a shell on the terminal, or on stdin.
func (s Surroundings) interact(ctx context.Context, so shell.Options) int {
	in, isFile := s.In.(*os.File)
	terminal := isFile && isTerminal(in) && isTerminal(s.Out)
	so.Color = terminal && variable(s.Env, "NO_COLOR") == "" && variable(s.Env, "TERM") != "dumb"
	sh := shell.New(so)
	sh.Welcome(true)
	if err := sh.Connect(ctx, so.Server); err != nil {
		return sh.Tell(err)
	}
	if terminal {
		return sh.Terminal(ctx, newEditor(ctx, sh, in, s.Out.(*os.File), s.historyFile()))
	}
	return sh.Run(ctx, s.In)
}

// zkCli is the program by the name zkCli.sh. Its exit codes are zkCli's.
func zkCli(args []string, s Surroundings) int {
	start, err := shell.ParseStart(args)
	so := shell.Options{
		Server: start.Server, Timeout: start.Timeout, ReadOnly: start.ReadOnly, WaitForConnection: start.WaitForConnection,
		Out: s.Out, Err: s.Err, Version: cliVersion(s.Version),
	}
	ctx, sh := context.Background(), shell.New(so)
	switch {
	case err != nil:
		sh.Tell(err)
		return exit.Usage
	case start.Help:
		_, _ = fmt.Fprintln(s.Out, shell.Usage())
		return exit.OK
	case len(start.Command) == 0:
		return s.interact(ctx, so)
	}
	sh.Welcome(false)
	defer sh.Close()
	if err := sh.Connect(ctx, so.Server); err != nil {
		return sh.Tell(err)
	}
	return sh.Do(ctx, start.Command)
}

// historyFile is where the lines of shells are kept; "" = nowhere.
func (s Surroundings) historyFile() string {
	if dir := variable(s.Env, "XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "zabctl", "history")
	}
	if home := variable(s.Env, "HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "zabctl", "history")
	}
	return ""
}

// addNodes adds the shell, and a command for each of zkCli's. Those that are of use in a shell only are there, and not shown.
func (o *options) addNodes(root *cobra.Command) {
	root.AddGroup(nodesGroup)
	root.AddCommand(o.shellCommand())
	for _, c := range shell.Commands() {
		if c.Name != "config" { // zabctl's own has it, beside check and show
			root.AddCommand(o.nodeCommand(c))
		}
	}
}

// addMembers has the command config, which is about settings by its other verbs, print the ensemble's members, as zkCli's does.
func (o *options) addMembers(cmd *cobra.Command) {
	for _, c := range shell.Commands() {
		if c.Name == cmd.Name() {
			o.becomes(cmd, c)
			cmd.Long = "Without a word, prints the ensemble's members, as zkCli does. With one, checks or shows this host's settings."
		}
	}
}

func (o *options) nodeCommand(c *shell.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: c.Name + " " + c.Usage, Short: c.Short, GroupID: nodesGroup.ID, Hidden: c.Session || c.Instead != "", DisableFlagsInUseLine: true,
	}
	o.becomes(cmd, c)
	return cmd
}

// becomes has a command run one of zkCli's, with its options and those of a session.
func (o *options) becomes(cmd *cobra.Command, c *shell.Command) {
	var x session
	set := map[string]string{}
	for _, option := range c.Options {
		if option.Long == "" {
			continue
		}
		short := option.Name
		if len(short) > 1 {
			short = ""
		}
		f := cmd.Flags().VarPF(&optionValue{option, set}, option.Long, short, option.Text)
		if option.Value == "" {
			f.NoOptDefVal = "true"
		}
	}
	x.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		so, err := x.options(o)
		if err != nil {
			return err
		}
		return o.once(cmd.Context(), so, wordsOf(c.Name, set, args))
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		so, err := x.options(o)
		if err != nil || len(args) > 0 || !strings.HasPrefix(word, "/") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return o.paths(cmd.Context(), so, word), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// wordsOf returns a command in zkCli's language.
func wordsOf(name string, options map[string]string, args []string) []string {
	var given []string
	for _, o := range slices.Sorted(maps.Keys(options)) {
		given = append(given, "-"+o)
		if options[o] != "" {
			given = append(given, options[o])
		}
	}
	if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") }) {
		return slices.Concat([]string{name}, given, []string{"--"}, args)
	}
	return slices.Concat([]string{name}, args, given)
}

// twoDashes gives the options of reconfig, which zkCli spells with one dash, a second one.
func twoDashes(args []string) []string {
	at := slices.Index(args, "reconfig")
	if at < 0 {
		return args
	}
	args = slices.Clone(args)
	for i := at; i < len(args); i++ {
		if slices.Contains([]string{"-file", "-members", "-add", "-remove"}, args[i]) {
			args[i] = "-" + args[i]
		}
	}
	return args
}

// once runs one command in a session of its own.
func (o *options) once(ctx context.Context, so shell.Options, words []string) error {
	so.Quiet, so.WaitForConnection = true, true
	sh := shell.New(so)
	defer sh.Close()
	if err := sh.Connect(ctx, so.Server); err != nil {
		sh.Tell(err)
		return said(err)
	}
	return said(sh.Call(ctx, words))
}

// pathsWithin is how long the completion of a path may take.
const pathsWithin = time.Second

// paths completes a path.
func (o *options) paths(ctx context.Context, so shell.Options, word string) []string {
	so.Quiet, so.WaitForConnection, so.Timeout = true, true, pathsWithin
	so.Out, so.Err = io.Discard, io.Discard
	ctx, cancel := context.WithTimeout(ctx, pathsWithin)
	defer cancel()
	sh := shell.New(so)
	defer sh.Close()
	if err := sh.Connect(ctx, so.Server); err != nil {
		return nil
	}
	return sh.Candidates(ctx, nil, word)
}

// optionValue is a flag that is one of a command's options.
type optionValue struct {
	option shell.Option
	set    map[string]string // the options that were given
}

// String implements pflag.Value.
func (v *optionValue) String() string { return "" }

// Type implements pflag.Value.
func (v *optionValue) Type() string { return cmp.Or(v.option.Value, "bool") }

// Set implements pflag.Value.
func (v *optionValue) Set(text string) error {
	if v.option.Value == "" {
		text = ""
	}
	v.set[v.option.Name] = text
	return nil
}
