package ctl

import (
	"context"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/zabd/zabd/pkg/shell"
)

// editor is a terminal that edits, completes and recalls lines. It is in raw mode only while one is typed.
type editor struct {
	*term.Terminal
	in, out *os.File
}

// newEditor returns the terminal for a shell; history is the file of earlier lines.
func newEditor(ctx context.Context, sh *shell.Shell, in, out *os.File, history string) *editor {
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "")
	t.History = shell.LoadHistory(history)
	t.AutoCompleteCallback = func(line string, at int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return sh.Complete(ctx, line, at)
	}
	return &editor{t, in, out}
}

// ReadLine reads a line, with the keys that x/term knows: arrows, Ctrl-A and so on; Ctrl-C and Ctrl-D are the end.
func (e *editor) ReadLine() (string, error) {
	old, err := term.MakeRaw(int(e.in.Fd()))
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(int(e.in.Fd()), old) }()
	if width, height, err := term.GetSize(int(e.out.Fd())); err == nil && width > 0 {
		_ = e.SetSize(width, height)
	}
	return e.Terminal.ReadLine()
}
