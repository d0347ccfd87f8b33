package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/doctor"
)

// errFindings says that something is wrong, which has been printed.
var errFindings = failure{errors.New("something is wrong")}

func (o *options) doctorCommand() *cobra.Command {
	var format, bundle string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong with the server, its host and its ensemble",
		Long: "Examines zoo.cfg, whether every server serves, the ports that the servers need of each other, duplicate myids, servers that are run by another zoo.cfg, " +
			"the clock, the time that syncs take, the room on the disks, limits, and versions, and prints a remedy with each finding. Run it as root on every host, for " +
			"clocks, disks and ports are examined from and on this one. For a moment it opens sessions at every client port, makes an ephemeral node below /zookeeper, and syncs a few KiB " +
			"below dataLogDir. Exits with 1 if there is a finding.\n\n" +
			"--bundle writes the report, the settings (without passwords), what the servers tell and the end of the journal into a .tar.gz.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := o.subject()
			r := doctor.Examine(cmd.Context(), s)
			if err := o.print(format, r, func() { o.showReport(r) }); err != nil {
				return err
			}
			if bundle != "" {
				if err := o.bundle(cmd.Context(), bundle, s, r); err != nil {
					return failure{fmt.Errorf("--bundle: %w", err)}
				}
			}
			if len(r.Findings) > 0 {
				return errFindings
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&bundle, "bundle", "", "write a report file, .tar.gz, that is not there yet")
	_ = cmd.MarkFlagFilename("bundle", "tar.gz")
	cmd.Flags().StringVar(&o.socket, "socket", "", "control socket (default: as zoo.cfg says, or "+defaultSocket+")")
	formatFlag(cmd, &format)
	return cmd
}

// subject is this host, with the ensemble that its zoo.cfg names.
func (o *options) subject() *doctor.Subject {
	s := &doctor.Subject{File: o.config, Host: doctor.ThisHost()}
	s.Targets, s.Own = o.members()
	if cfg, err := config.Survey(o.config, o.Env); err == nil {
		s.Config = &cfg
	}
	if s.Own >= 0 { // on another host, the file is that of nobody
		_, _, s.ConfigErr = config.Check(o.config, o.Env, nil)
	}
	return s
}

func (o *options) showReport(r *doctor.Report) {
	for i := range r.Findings {
		f := &r.Findings[i]
		colour := text.FgYellow
		if f.Severity == doctor.Error {
			colour = text.FgRed
		}
		_, _ = fmt.Fprintf(o.Out, "%s  %s: %s: %s\n  remedy: %s\n", o.painted(string(f.Severity), colour), f.Check, f.Where, f.Found, f.Remedy)
	}
	for _, why := range r.Skipped {
		_, _ = fmt.Fprintln(o.Out, "not examined: "+why)
	}
	if len(r.Findings) == 0 {
		_, _ = fmt.Fprintln(o.Out, o.painted("ok", text.FgGreen)+": "+r.Ensemble.Summary())
	}
}

func (o *options) bundle(ctx context.Context, path string, s *doctor.Subject, r *doctor.Report) error {
	more := map[string][]byte{"settings.txt": o.settings()}
	if text, err := o.Run("journalctl", "--unit="+unit, "--lines=5000", "--no-pager", "--output=short-precise"); err == nil {
		more["journal.txt"] = []byte(text)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(doctor.WriteBundle(ctx, f, s, r, more), f.Close()); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(o.Err, "%s is written: look at it before it leaves the house\n", path)
	return nil
}

// settings are those that count, as config show prints them.
func (o *options) settings() []byte {
	var b bytes.Buffer
	all, err := config.Show(o.config, o.Env, nil, true)
	if err != nil {
		return []byte(err.Error())
	}
	for _, s := range all {
		_, _ = fmt.Fprintf(&b, "%s=%s\t# %s\n", s.Key, s.Value, s.Source)
	}
	return b.Bytes()
}
