package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func formatFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "table", "table or json")
}

// print writes an answer for people, with tabs between the columns, or for programs.
func (o *options) print(format string, answer any, table func(w io.Writer)) error {
	switch format {
	case "table":
		w := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
		table(w)
		return w.Flush()
	case "json":
		e := json.NewEncoder(o.Out)
		e.SetIndent("", "  ")
		return e.Encode(answer)
	}
	return fmt.Errorf("--output %s: there are table and json", format)
}
