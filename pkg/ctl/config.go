package ctl

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/config"
)

// configCommand has the settings' own verbs, check and show. Without one of these it is zkCli's command of that name.
func (o *options) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check and show settings", Args: cobra.NoArgs, RunE: help}
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Say whether the server would start with the settings",
		Long: "Reads the settings as the server does, with the same code, and says where they are wrong, as file:line: key: reason. " +
			"What has no effect is said on stderr. Exits with 78 if the server would not start. The file myid is read as well, and no file is written.",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: files,
		RunE: func(_ *cobra.Command, args []string) error { return o.check(o.file(args)) },
	}
	var all bool
	var format string
	show := &cobra.Command{
		Use: "show [FILE]", Short: "Show the settings that count, and where each comes from",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: files,
		RunE: func(_ *cobra.Command, args []string) error {
			settings, err := config.Show(o.file(args), o.Env, nil, all)
			if err != nil {
				return err
			}
			return o.print(format, settings, func() {
				t := o.table()
				for _, s := range settings {
					t.AppendRow(row(s.Key+"="+s.Value, "# "+s.Source))
				}
				t.Render()
			})
		},
	}
	show.Flags().BoolVar(&all, "all", false, "with the defaults")
	formatFlag(show, &format)
	cmd.AddCommand(check, show)
	o.addMembers(cmd)
	return cmd
}

func (o *options) file(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return o.config
}

func (o *options) check(file string) error {
	_, warnings, err := config.Check(file, o.Env, nil)
	for _, w := range warnings {
		_, _ = fmt.Fprintln(o.Err, strings.TrimPrefix(w, "config: "))
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(o.Out, "%s: ok\n", file)
	return nil
}

// files completes the name of a file.
func files(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
