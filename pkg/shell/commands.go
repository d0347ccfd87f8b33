package shell

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A Command is one of zkCli's.
type Command struct {
	Name    string
	Usage   string // what follows the name
	Short   string // what it does
	Options []Option
	// Session says that the command is about the shell or its session, and of no use outside a shell.
	Session bool
	// Instead is what to write in the place of a word of old.
	Instead string

	least, most int    // words that it takes, with its own name; most 0 = any number
	group       group  // of its options
	verbatim    bool   // nothing in it is an option
	local       bool   // needs no connection
	detailed    bool   // its help has the options
	watchWord   string // what is said of a second word of old
	run         func(ctx context.Context, s *Shell, c Call) error
}

// A group says how a command's options go together.
type group int

const (
	free     group = iota
	atMost         // one of them, or none
	required       // one of them
)

// deprecated is what is said of a word of old.
func deprecated(old, instead string) string {
	return fmt.Sprintf("'%s' has been deprecated. Please use '%s' instead.", old, instead)
}

// Commands returns all commands, by name, those of old included.
func Commands() []*Command {
	all := slices.Concat(nodeCommands(), aclCommands(), quotaCommands(), watchCommands(), ensembleCommands(), sessionCommands())
	slices.SortFunc(all, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func commandNamed(name string) *Command {
	for _, c := range Commands() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// help is what a command says when it is not written as it should be.
func (cmd *Command) help() string {
	s := cmd.Name + " " + cmd.Usage
	if !cmd.detailed {
		return s
	}
	return s + "\n" + cmd.optionLines()
}

// optionLines describes the options, one a line.
func (cmd *Command) optionLines() string {
	width := 0
	heads := make([]string, len(cmd.Options))
	for i, o := range cmd.Options {
		if heads[i] = " -" + o.Name; o.Value != "" {
			heads[i] += " <arg>"
		}
		width = max(width, len(heads[i]))
	}
	for i, o := range cmd.Options {
		heads[i] = fmt.Sprintf("%-*s   %s", width, heads[i], o.Text)
	}
	return strings.Join(heads, "\n")
}

// Usage lists the commands.
func Usage() string {
	var b strings.Builder
	b.WriteString("ZooKeeper -server host:port -client-configuration properties-file cmd args")
	for _, c := range Commands() {
		if c.Instead == "" {
			fmt.Fprintf(&b, "\n\t%s %s", c.Name, c.Usage)
		}
	}
	return b.String()
}
