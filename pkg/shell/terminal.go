package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// An Editor is a terminal with a line that is being typed.
type Editor interface {
	io.Writer // above that line
	SetPrompt(prompt string)
	ReadLine() (string, error) // io.EOF at the end
}

// Terminal reads commands from a terminal and returns the exit code of the last. Ctrl-C ends a command that runs.
func (s *Shell) Terminal(ctx context.Context, e Editor) int {
	s.mu.Lock()
	s.Out, s.Err = e, e
	s.prompt = func() { e.SetPrompt(s.painted()) }
	s.mu.Unlock()
	code := 0
	for !s.over && ctx.Err() == nil {
		s.mu.Lock()
		s.prompt()
		s.mu.Unlock()
		line, err := e.ReadLine()
		if err != nil {
			s.say("")
			if !errors.Is(err, io.EOF) {
				s.complain("Error reading commands: %v", err)
				code = codeFailed
			}
			break
		}
		if c, ok := s.interruptible(ctx, line); ok && !s.over {
			code = c
		}
	}
	s.Close()
	return code
}

func (s *Shell) interruptible(ctx context.Context, line string) (code int, ok bool) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	return s.Line(ctx, line)
}

const bold = "\x1b[1m"

func (s *Shell) painted() string {
	if !s.Color {
		return s.Prompt()
	}
	return bold + strings.TrimSuffix(s.Prompt(), " ") + plain + " "
}

// mostShown is how many of the words that a word may become are listed.
const mostShown = 100

// Complete completes the word before the cursor as far as it is certain, and lists what it may become if it is not.
func (s *Shell) Complete(ctx context.Context, line string, at int) (newLine string, newAt int, ok bool) {
	start := strings.LastIndexAny(line[:at], " \t") + 1
	found := s.Candidates(ctx, strings.Fields(line[:start]), line[start:at])
	if len(found) == 0 {
		return "", 0, false
	}
	common := found[0]
	for _, c := range found[1:] {
		for !strings.HasPrefix(c, common) {
			common = common[:len(common)-1]
		}
	}
	for !utf8.ValidString(common) {
		common = common[:len(common)-1]
	}
	if len(found) > 1 && start+len(common) == at {
		more := ""
		if n := len(found) - mostShown; n > 0 {
			found, more = found[:mostShown], fmt.Sprintf("  and %d more", n)
		}
		s.say("%s%s", strings.Join(found, "  "), more)
		return "", 0, false
	}
	if len(found) == 1 && common[0] != '/' {
		common += " "
	}
	return line[:start] + common + line[at:], start + len(common), true
}

// Candidates returns what a word may become that stands behind others: a command, one of its options or a path.
func (s *Shell) Candidates(ctx context.Context, before []string, word string) (found []string) {
	var all []string
	switch {
	case strings.HasPrefix(word, "/"):
		dir := word[:strings.LastIndexByte(word, '/')]
		if dir == "" {
			dir = "/"
		}
		if !s.zk.alive() {
			return nil
		}
		ctx, cancel := s.zk.patience(ctx)
		defer cancel()
		names, _, err := s.zk.Children(ctx, dir)
		if err != nil {
			return nil
		}
		for _, name := range names {
			all = append(all, join(dir, name))
		}
	case len(before) == 0:
		for _, c := range Commands() {
			if c.Instead == "" {
				all = append(all, c.Name)
			}
		}
	case strings.HasPrefix(word, "-"):
		if c := commandNamed(before[0]); c != nil {
			for _, o := range c.Options {
				all = append(all, "-"+o.Name)
			}
		}
	}
	for _, a := range all {
		if strings.HasPrefix(a, word) {
			found = append(found, a)
		}
	}
	slices.Sort(found)
	return found
}

// keptLines is how many lines the history has.
const keptLines = 1000

// A History is what has been typed, the last line last. Its file is a convenience: what cannot be read or written is not kept.
type History struct {
	file string // "" = none

	mu    sync.Mutex
	lines []string
}

// LoadHistory returns what the file has; "" for none.
func LoadHistory(file string) *History {
	h := &History{file: file}
	f, err := os.Open(file)
	if err != nil {
		return h
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, longestLine)
	n := 0
	for ; lines.Scan(); n++ {
		h.keep(lines.Text())
	}
	if n > 2*keptLines {
		_ = os.WriteFile(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
	return h
}

func (h *History) keep(line string) {
	h.lines = append(h.lines, line)
	if len(h.lines) > 2*keptLines {
		h.lines = slices.Clone(h.lines[keptLines:])
	}
}

// Add notes a line. One with a password in it is not written to the file.
func (h *History) Add(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	words := Words(line)
	if len(words) == 0 || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.keep(line)
	if h.file == "" || words[0] == "addauth" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(line + "\n")
	_ = f.Close()
}

// Len returns how many lines there are.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lines)
}

// At returns a line, the last one for 0.
func (h *History) At(i int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lines[len(h.lines)-1-i]
}
