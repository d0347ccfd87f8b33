// Package ctl is the program zabctl: its commands, their flags and how answers are printed, a file for each. What they do is
// other packages': overview asks the servers, doctor looks for what is wrong, load measures, config reads settings.
package ctl

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/offline"
)

const defaultConfig = "/etc/zabd/zoo.cfg"

// Surroundings are what the program gets from outside.
type Surroundings struct {
	Env      []string
	In       io.Reader
	Out, Err io.Writer
	Version  string
	// Run runs another program of this host and returns what it has printed; the real one if nil.
	Run func(name string, args ...string) (string, error)
	// Become runs another program in the place of this one; the real one if nil.
	Become func(name string, args, env []string) error
	// Booted tells whether systemd runs this host; it is asked if nil.
	Booted func() bool
	Server string // the server's program; /usr/bin/zabd if empty
}

// Main runs the command line, whose first word is the program's name, and returns the exit code.
func Main(args []string, s Surroundings) int {
	if s.Run == nil {
		s.Run = run
	}
	if s.Become == nil {
		s.Become = become
	}
	if s.Booted == nil {
		s.Booted = booted
	}
	switch filepath.Base(args[0]) {
	case startScript:
		return zkServer(args[1:], s)
	case cliScript:
		return zkCli(args[1:], s)
	}
	if script, ok := offline.Script(filepath.Base(args[0])); ok {
		return script(args[1:], (&options{Surroundings: s}).host())
	}
	root := Command(s)
	root.SetArgs(twoDashes(args[1:]))
	cmd, err := root.ExecuteC()
	if err == nil {
		return exit.OK
	}
	if told, ok := err.(saidError); ok {
		return told.code
	}
	if code(err) == exit.Config { // begin with the file and line, as compilers do
		_, _ = fmt.Fprintln(s.Err, strings.TrimPrefix(err.Error(), "config: "))
	} else {
		_, _ = fmt.Fprintf(s.Err, "%s: %v\n", cmd.CommandPath(), err)
	}
	return code(err)
}

// failure is an error of a command that was called as it should be.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// code returns the exit code of an error.
func code(err error) int {
	var setting *config.Error
	var path *fs.PathError
	var failed failure
	var own coded
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &failed):
		return exit.NotThere
	case errors.As(err, &setting), errors.As(err, &path):
		return exit.Config
	}
	return exit.Usage
}

// Command returns the tree of all commands, of which the manual and the completions are made as well.
func Command(s Surroundings) *cobra.Command {
	root := &cobra.Command{
		Use: "zabctl", Short: "Check, ask and operate zabd servers", Version: s.Version,
		Args: cobra.NoArgs, RunE: help, SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
	}
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	o := &options{Surroundings: s}
	root.PersistentFlags().StringVar(&o.config, "config", defaultConfig, "zoo.cfg of the server of this host")
	_ = root.MarkPersistentFlagFilename("config")
	addGroup(root, "Servers:", o.statusCommand(), o.topCommand(), o.waitCommand(), o.doctorCommand(), o.benchCommand(), o.configCommand())
	addGroup(root, "Files:", o.logCommand(), o.snapshotCommand(), o.purgeCommand())
	o.addNodes(root)
	root.AddCommand(exitCodesTopic())
	return root
}

// addGroup adds commands that stand together in the help.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// help is what a command answers that has others below it.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// options are what all commands share.
type options struct {
	Surroundings
	config string
	asked
}
