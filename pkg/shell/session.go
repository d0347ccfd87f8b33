package shell

import (
	"context"
	"strconv"
)

const shownHistory = 10 // commands before the last that history shows

// sessionCommands are about the shell itself.
func sessionCommands() []*Command {
	return []*Command{
		{Name: "close", Short: "End the session", Session: true, verbatim: true, run: closeSession},
		{Name: "connect", Usage: "host:port", Short: "End the session and begin one with another server", Session: true, verbatim: true, local: true, run: connect},
		{Name: "exit", Short: "End the shell", Session: true, verbatim: true, local: true, run: quit},
		{Name: "history", Short: "Print the last commands with their numbers", Session: true, verbatim: true, local: true, run: history},
		{Name: "quit", Short: "End the shell", Session: true, verbatim: true, local: true, run: quit},
		{Name: "redo", Usage: "cmdno", Short: "Run a command again", Session: true, verbatim: true, local: true, run: redo},
		{Name: "version", Short: "Print the shell's version", most: 1, run: version},
	}
}

func closeSession(_ context.Context, s *Shell, _ Call) error {
	s.end()
	return nil
}

func connect(ctx context.Context, s *Shell, c Call) error {
	servers := s.Server
	if len(c.Args) > 0 {
		servers = c.Args[0]
	}
	return s.Connect(ctx, servers)
}

func quit(_ context.Context, s *Shell, _ Call) error {
	s.end()
	s.over = true
	return nil
}

func history(_ context.Context, s *Shell, _ Call) error {
	for i := max(0, len(s.lines)-1-shownHistory); i < len(s.lines); i++ {
		s.say("%d - %s", i, s.lines[i])
	}
	return nil
}

// redo runs a command again, in whose place it stands in the history.
func redo(ctx context.Context, s *Shell, c Call) error {
	if len(c.Args) == 0 {
		return nil
	}
	n, err := strconv.ParseInt(c.Args[0], 0, 32)
	if last := int64(len(s.lines) - 1); err != nil || n < 0 || n >= last {
		return fail("Command index out of range")
	}
	words := Words(s.lines[n])
	if len(words) > 0 && words[0] == "redo" {
		return fail("No redoing redos")
	}
	s.lines[len(s.lines)-1] = s.lines[n]
	return s.run(ctx, words)
}

func version(_ context.Context, s *Shell, _ Call) error {
	s.say("ZooKeeper CLI version: %s", s.Version)
	return nil
}
