package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// format is how an answer is printed: the value of --output.
type format struct{ name *string }

func (f format) String() string { return *f.name }

// Type implements pflag.Value.
func (f format) Type() string { return "FORMAT" }

// Set implements pflag.Value.
func (f format) Set(name string) error {
	if name != "table" && name != "json" {
		return fmt.Errorf("there are table and json")
	}
	*f.name = name
	return nil
}

// formatFlag gives a command that prints an answer the flag --output.
func formatFlag(cmd *cobra.Command, name *string) {
	*name = "table"
	cmd.Flags().VarP(format{name}, "output", "o", "table, for people, or json, for programs")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// print prints an answer in the format that was asked for; people prints it for people.
func (o *options) print(format string, answer any, people func()) error {
	if format == "json" {
		e := json.NewEncoder(o.Out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(answer)
	}
	people()
	return nil
}

// table returns a table that is printed to stdout, with headings if there are any: columns and nothing else, so that it can be
// cut and searched.
func (o *options) table(headings ...string) table.Writer {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	if o.colours() {
		style.Color.Header = text.Colors{text.Bold}
	}
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.SetOutputMirror(o.Out)
	if len(headings) > 0 {
		t.AppendHeader(row(headings...))
	}
	return t
}

func row(cells ...string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		r[i] = c
	}
	return r
}

// painted colours a text, if it goes to a terminal.
func (o *options) painted(s string, colour text.Color) string {
	if !o.colours() {
		return s
	}
	return colour.Sprint(s)
}

// colours tells whether there are any: on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb.
func (o *options) colours() bool {
	return isTerminal(o.Out) && variable(o.Env, "NO_COLOR") == "" && variable(o.Env, "TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, is := w.(*os.File)
	return is && term.IsTerminal(int(f.Fd()))
}
