// Package shell owns zkCli's language: it reads commands, has a client carry them out, and prints what ZooKeeper 3.9's zkCli
// prints. docs/zabctl.md has what is printed otherwise. The words of a line are split in words.go, the options of a command
// read in options.go; each group of commands has a file with its table, from which zabctl's manual is made as well.
package shell

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/client"
)

// DefaultServer is where zkCli connects to if it is not told.
const DefaultServer = "localhost:2181"

// DefaultTimeout is the session timeout that zkCli asks for.
const DefaultTimeout = 30 * time.Second

// longestLine is what a command may have: a node's data and the rest of a request.
const longestLine = 4 << 20

// Options are what a shell is started with.
type Options struct {
	Server            string        // host:port,host:port/chroot
	Timeout           time.Duration // of the session, and of a call without a connection
	ReadOnly          bool          // a server without a quorum will do
	WaitForConnection bool          // Connect waits for the session
	Quiet             bool          // prints what commands answer, and neither events nor what is connected to
	Color             bool
	Auth              []Credential // given to the servers before anything else
	Out, Err          io.Writer    // of answers, and of all else
	Version           string
}

// A Credential is what addauth is given.
type Credential struct{ Scheme, Text string }

// A Shell is a session with a server, and what has been asked in it. It runs one command at a time; events are printed as
// they come.
type Shell struct {
	Options
	zk    *connection // nil before the first
	lines []string    // the history; the last is what runs
	over  bool        // quit was asked for

	mu sync.Mutex // held while anything is printed, and while what a prompt shows is changed

	news struct { // events that are to be printed
		sync.Mutex
		due     []event
		silent  bool // none is
		telling bool // a goroutine is on its way to print them
	}
	// prompt tells a terminal that the prompt has changed; nil without one.
	prompt func()
}

// New returns a shell that is not connected.
func New(o Options) *Shell {
	o.Server = cmp.Or(o.Server, DefaultServer)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	s := &Shell{Options: o}
	s.news.silent = o.Quiet
	return s
}

// Welcome says what is connected to, as zkCli does at its start.
func (s *Shell) Welcome(interactive bool) {
	s.say("Connecting to %s", s.Server)
	if interactive {
		s.say("Welcome to ZooKeeper!")
	}
}

// Connect ends the session, if there is one, and begins one with other servers. It does not wait for it, unless
// WaitForConnection says so.
func (s *Shell) Connect(ctx context.Context, servers string) error {
	s.end()
	zk, err := dial(s, servers)
	if err != nil {
		return fail("%v", err)
	}
	s.mu.Lock()
	s.zk, s.Server = zk, servers
	s.mu.Unlock()
	if !s.WaitForConnection {
		return nil
	}
	ctx, cancel := zk.patience(ctx)
	defer cancel()
	if err := zk.Connected(ctx); err != nil {
		s.end()
		return explain(err, "")
	}
	<-zk.told
	s.flush()
	return nil
}

// end ends the session.
func (s *Shell) end() {
	if s.zk.alive() {
		s.zk.close()
	}
	s.flush()
}

// Close ends the shell's session without a word: what was answered last stays the last line.
func (s *Shell) Close() {
	s.news.Lock()
	s.news.silent = true
	s.news.Unlock()
	s.end()
}

// Run reads commands until there are no more, or one ends the shell, and returns the exit code: that of the last command.
func (s *Shell) Run(ctx context.Context, in io.Reader) int {
	code := 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestLine)
	for !s.over && ctx.Err() == nil && lines.Scan() {
		if c, ok := s.Line(ctx, lines.Text()); ok && !s.over {
			code = c
		}
	}
	if err := lines.Err(); err != nil {
		s.complain("Error reading commands: %v", err)
		code = codeFailed
	}
	s.Close()
	return code
}

// Line runs a line as a command, notes it in the history, and returns its exit code; ok is false if it is no command.
func (s *Shell) Line(ctx context.Context, line string) (code int, ok bool) {
	words := Words(line)
	if len(words) == 0 {
		return 0, false
	}
	s.mu.Lock()
	s.lines = append(s.lines, line)
	s.mu.Unlock()
	return s.Do(ctx, words), true
}

// Do runs a command and returns its exit code.
func (s *Shell) Do(ctx context.Context, words []string) int {
	return s.Tell(s.run(ctx, words))
}

// Call is Do with an error, which has been printed.
func (s *Shell) Call(ctx context.Context, words []string) error {
	err := s.run(ctx, words)
	s.Tell(err)
	return err
}

// Tell prints an error and returns its exit code. All events that came before are printed.
func (s *Shell) Tell(err error) int {
	defer s.flush()
	var e *Error
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &e):
		e = &Error{Text: err.Error(), Code: codeFailed}
	}
	if e.Code == codeNoCommand {
		s.note("%s", Usage())
	}
	if e.Text != "" {
		s.complain("%s", e.Text)
	}
	return e.Code
}

// run runs a command. One that needs a connection is not even read without one.
func (s *Shell) run(ctx context.Context, words []string) error {
	cmd := commandNamed(words[0])
	if cmd != nil && !cmd.local && !s.zk.alive() {
		s.say("Not connected")
		return errSaid
	}
	c, err := Parse(words)
	if c.notice != "" {
		s.note("%s", c.notice)
	}
	if err != nil {
		return err
	}
	if c.Instead != "" {
		s.complain("The command '%s' has been deprecated. Please use '%s' instead.", c.Name, c.Instead)
	}
	return s.call(ctx, c)
}

func (s *Shell) call(ctx context.Context, c Call) error {
	if c.local {
		err := c.run(ctx, s, c)
		if err == nil && !s.over && !s.zk.alive() {
			s.say("Not connected")
		}
		return err
	}
	ctx, cancel := s.zk.patience(ctx)
	defer cancel()
	select {
	case <-s.zk.told: // that there is a session is printed before any answer
	case <-ctx.Done():
		path := ""
		if len(c.Args) > 0 && strings.HasPrefix(c.Args[0], "/") {
			path = c.Args[0]
		}
		return explain(s.zk.Connected(ctx), path)
	}
	return c.run(ctx, s, c)
}

// say prints an answer.
func (s *Shell) say(format string, values ...any) { s.print(s.Out, "", format, values) }

// note prints what is no answer and no error.
func (s *Shell) note(format string, values ...any) { s.print(s.Err, "", format, values) }

// complain prints an error.
func (s *Shell) complain(format string, values ...any) { s.print(s.Err, red, format, values) }

const (
	red   = "\x1b[31m"
	cyan  = "\x1b[36m"
	plain = "\x1b[0m"
)

func (s *Shell) print(w io.Writer, color, format string, values []any) {
	text := fmt.Sprintf(format, values...)
	if s.Color && color != "" {
		text = color + text + plain
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
	_, _ = io.WriteString(w, text+"\n")
}

// happened has an event printed: before anything else is, or else as soon as may be. It does not wait.
func (s *Shell) happened(e event) {
	s.news.Lock()
	defer s.news.Unlock()
	s.news.due = append(s.news.due, e)
	if s.news.telling {
		return
	}
	s.news.telling = true
	go s.flush()
}

// flush prints the events that are due.
func (s *Shell) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
}

// tell prints the events that are due. mu is held.
func (s *Shell) tell() {
	s.news.Lock()
	due, silent := s.news.due, s.news.silent
	s.news.due, s.news.telling = nil, false
	s.news.Unlock()
	if len(due) > 0 && s.prompt != nil {
		s.prompt()
	}
	for _, e := range due {
		text := e.String()
		if s.Color {
			text = cyan + text + plain
		}
		if !silent {
			_, _ = io.WriteString(s.Out, "\nWATCHER::\n\n"+text+"\n")
		}
	}
}

// Prompt is what stands before a line that is to be typed. Whoever runs commands calls it, or holds mu.
func (s *Shell) Prompt() string {
	state := client.StateClosed
	if s.zk != nil {
		state = s.zk.State()
	}
	return fmt.Sprintf("[zk: %s(%s) %d] ", s.Server, promptStates[state], len(s.lines))
}
