package ctl

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/offline"
)

// coded is an error with the exit code that it ends in.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// ofFiles gives an error of package offline its exit code.
func ofFiles(err error) error {
	code := exit.Disk
	switch kind := offline.Kind(err); {
	case err == nil:
		return nil
	case kind == offline.Locked:
		code = exit.Locked
	case kind == offline.Damaged:
		code = exit.Damage
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), kind == offline.Refused:
		code = exit.Usage
	}
	return coded{err, code}
}

// host is what ZooKeeper's scripts get.
func (o *options) host() offline.Host {
	return offline.Host{In: o.In, Out: o.Out, Err: o.Err, Config: scriptConfig(o.Env), Dirs: o.dirs}
}

// scriptConfig is the zoo.cfg that ZooKeeper's scripts read.
func scriptConfig(env []string) string {
	file := cmp.Or(variable(env, "ZOOCFG"), filepath.Base(defaultConfig))
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(cmp.Or(variable(env, "ZOOCFGDIR"), filepath.Dir(defaultConfig)), file)
}

// dirs returns the directories that a zoo.cfg names; logs is empty if they are where the data is.
func (o *options) dirs(file string) (data, logs string, err error) {
	settings, err := config.Show(file, o.Env, nil, false)
	for _, s := range settings {
		switch s.Key {
		case "dataDir":
			data = s.Value
		case "dataLogDir":
			logs = s.Value
		}
	}
	if err == nil && data == "" {
		err = fmt.Errorf("%s: there is no dataDir", file)
	}
	return data, logs, err
}

func (o *options) logCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Show, check and mend transaction logs", Args: cobra.NoArgs, RunE: help}
	cmd.AddCommand(o.logDump(), o.logVerify(), o.logRepair())
	return cmd
}

func (o *options) logDump() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "dump FILE", Short: "Show the entries of a log",
		Long: "Prints every entry of a log file, with its zxid, the leader's time, session, cxid, type and what it does; with --output json all of it, and where " +
			"it stands in the file. Files of ZooKeeper's servers are read as well, and a file that a server is writing. Exits with 65 where the file is damaged, " +
			"naming file and offset, behind what is before that.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			l := newList(o.Out, format)
			l.head("%-14s  %-24s  %-18s  %6s  %-15s  %s\n", "ZXID", "TIME", "SESSION", "CXID", "TYPE", "")
			err := offline.EachEntry(args[0], func(e *offline.Entry) error {
				return l.add(e, "%-14s  %-24s  %-18s  %6d  %-15s  %s\n", e.Zxid, e.Time.Format("2006-01-02T15:04:05.000Z"), e.Session, e.Cxid, e.Type,
					cmp.Or(e.Problem, e.String()))
			})
			return ofFiles(errors.Join(err, l.close()))
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

func (o *options) logVerify() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "verify FILE|DIRECTORY...", Short: "Check logs from end to end",
		Long: "Reads log files, or all of a data directory, and checks checksums, forms and the order of the zxids. What a crash has torn at the end of a file, and " +
			"a log that does not go on behind the one before it, are noted. Exits with 65 if a file is damaged, naming file and offset.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := offline.Logs(args)
			if err != nil {
				return ofFiles(err)
			}
			reports, damage := offline.VerifyLogs(files)
			err = o.print(format, reports, func() {
				t := o.table("FILE", "ENTRIES", "FIRST", "LAST", "BYTES", "")
				for _, r := range reports {
					state := "ok"
					if r.Damage != "" {
						state = "damaged"
					}
					t.AppendRow(row(r.File, strconv.Itoa(r.Entries), r.First, r.Last, strconv.FormatInt(r.Bytes, 10), strings.Join(append([]string{state}, r.Notes...), "; ")))
				}
				t.Render()
			})
			return errors.Join(err, ofFiles(damage))
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

func (o *options) logRepair() *cobra.Command {
	var format, cut string
	var yes bool
	cmd := &cobra.Command{
		Use: "repair FILE", Short: "Mend a log of a server that does not run",
		Long: "Gives the records a right checksum whose bytes are a txn that fits between its neighbours, after asking for each, and cuts off what a crash has torn. " +
			"With --cut, all behind one entry is dropped; what clients were told is lost then, unless the rest of the ensemble has it. The file as it was stays " +
			"beside it as unusable-FILE. Changes nothing and exits with 65 where more is damaged, and with 73 while a server runs in the directory. A ZooKeeper server's " +
			"directory has no lock: stop it first.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			how := offline.Repair{Keep: o.keep(yes)}
			if cut != "" {
				var err error
				if how.Cut, err = offline.ParseZxid(cut); err != nil {
					return err
				}
			}
			done, err := offline.RepairLog(args[0], how)
			if err != nil {
				return ofFiles(err)
			}
			return o.print(format, done, func() {
				if done.Kept == "" {
					_, _ = fmt.Fprintf(o.Out, "%s: nothing to repair in %d entries\n", done.File, done.Entries)
					return
				}
				_, _ = fmt.Fprintf(o.Out, "%s: %d entries, %d of them with a new checksum, %d bytes cut off; as it was: %s\n", done.File, done.Entries, done.Fixed,
					done.Dropped, done.Kept)
				if done.Warning != "" {
					_, _ = fmt.Fprintln(o.Err, done.Warning)
				}
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVar(&cut, "cut", "", "drop all behind the entry with this zxid, as in 0x500000012")
	formatFlag(cmd, &format)
	return cmd
}

// keep asks whether a record stays whose checksum is wrong.
func (o *options) keep(yes bool) func(e *offline.Entry) (bool, error) {
	answers := bufio.NewScanner(o.In)
	return func(e *offline.Entry) (bool, error) {
		_, _ = fmt.Fprintf(o.Err, "wrong checksum at offset %d: %s %s %s\n", e.Offset, e.Zxid, e.Type, cmp.Or(e.Problem, e.String()))
		if yes {
			return true, nil
		}
		_, _ = fmt.Fprint(o.Err, "keep it as it is? (yes/no) ")
		return answers.Scan() && strings.HasPrefix(strings.ToLower(answers.Text()), "y"), answers.Err()
	}
}

func (o *options) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "snapshot", Short: "Show, check and compare snapshots", Args: cobra.NoArgs, RunE: help}
	cmd.AddCommand(o.snapshotDump(), o.snapshotVerify(), o.snapshotCompare(), o.snapshotSummary())
	return cmd
}

func (o *options) snapshotDump() *cobra.Command {
	var format string
	var data bool
	cmd := &cobra.Command{
		Use: "dump FILE [PATH]", Short: "Show the nodes of a snapshot",
		Long: "Prints every node of a snapshot, or those from PATH on; with --output json all that it holds of them. It may be compressed (.gz, .snappy), of a " +
			"ZooKeeper server, or a backup of any name that the admin command snapshot has made.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			l := newList(o.Out, format)
			s, err := offline.ReadSnapshot(args[0])
			if err != nil {
				return ofFiles(err)
			}
			l.head("%-14s  %-14s  %7s  %8s  %-10s  %s\n", "CZXID", "MZXID", "VERSION", "BYTES", "KIND", "PATH")
			err = s.EachNode(pathOf(args[1:]), data, func(n *offline.Node) error {
				path := n.Path
				if data {
					path += fmt.Sprintf("  %q", n.Data)
				}
				return l.add(n, "%-14s  %-14s  %7d  %8d  %-10s  %s\n", n.Czxid, n.Mzxid, n.Version, n.Bytes, n.Kind, path)
			})
			return ofFiles(errors.Join(err, l.close()))
		},
	}
	cmd.Flags().BoolVarP(&data, "data", "d", false, "with the data")
	formatFlag(cmd, &format)
	return cmd
}

// pathOf returns the path among arguments, "" for the root.
func pathOf(args []string) string {
	if len(args) == 0 || args[0] == "/" {
		return ""
	}
	return args[0]
}

func (o *options) snapshotVerify() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "verify FILE|DIRECTORY...", Short: "Check snapshots from end to end",
		Long: "Reads snapshots, or all of a data directory, and checks that they are whole: their checksums, and that they make a tree. DIGEST is ok if the tree is " +
			"the one that the server had, none if the file does not tell, and differs else. Exits with 65 if a file is damaged, naming file and offset.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := offline.Snapshots(args)
			if err != nil {
				return ofFiles(err)
			}
			reports, damage := offline.VerifySnapshots(files)
			err = o.print(format, reports, func() {
				t := o.table("FILE", "ZXID", "NODES", "BYTES", "SESSIONS", "DIGEST", "")
				for _, r := range reports {
					if r.Damage != "" {
						t.AppendRow(row(r.File, "", "", "", "", "", "damaged"))
						continue
					}
					t.AppendRow(row(r.File, r.Zxid, strconv.Itoa(r.Nodes), strconv.FormatInt(r.Bytes, 10), strconv.Itoa(r.Sessions), r.Digest, "ok"))
				}
				t.Render()
			})
			return errors.Join(err, ofFiles(damage))
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

// errDiffer says that two snapshots are not of the same tree.
var errDiffer = failure{errors.New("they differ")}

func (o *options) snapshotCompare() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "compare FILE1 FILE2", Short: "Show how two snapshots differ",
		Long: "Prints the nodes that FILE2 has and FILE1 has not (+), that it has no more (-) and that have changed (~), and what of them has. Sessions are not " +
			"compared. Exits with 0 if all nodes are equal, and with 1 if not.",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			l := newList(o.Out, format)
			from, err := offline.ReadSnapshot(args[0])
			if err != nil {
				return ofFiles(err)
			}
			to, err := offline.ReadSnapshot(args[1])
			if err != nil {
				return ofFiles(err)
			}
			signs := map[string]string{"added": "+", "removed": "-", "changed": "~"}
			n, err := offline.Compare(from, to, func(d offline.Difference) error {
				return l.add(d, "%s %s\n", signs[d.Change], strings.TrimSpace(d.Path+"  "+strings.Join(d.Fields, " ")))
			})
			if err = errors.Join(err, l.close()); err != nil || n == 0 {
				return ofFiles(err)
			}
			return errDiffer
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

func (o *options) snapshotSummary() *cobra.Command {
	var format string
	var depth int
	cmd := &cobra.Command{
		Use: "summary FILE [PATH]", Short: "Count what lies below the nodes of a snapshot",
		Long: "Prints for each node that has children how many nodes and how many bytes of data are below it, with its own, from PATH on and down to --depth.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			if depth < 0 {
				return fmt.Errorf("--depth %d: it is 0, for all, or more", depth)
			}
			s, err := offline.ReadSnapshot(args[0])
			if err != nil {
				return ofFiles(err)
			}
			list, err := s.Summary(pathOf(args[1:]), depth)
			if err != nil {
				return ofFiles(err)
			}
			return o.print(format, list, func() {
				t := o.table("NODES", "BYTES", "PATH")
				for _, sub := range list {
					t.AppendRow(row(strconv.Itoa(sub.Nodes), strconv.FormatInt(sub.Bytes, 10), sub.Path))
				}
				t.Render()
			})
		},
	}
	cmd.Flags().IntVar(&depth, "depth", 0, "how deep below PATH nodes are shown; 0 = all that have children")
	formatFlag(cmd, &format)
	return cmd
}

func (o *options) purgeCommand() *cobra.Command {
	var format, data, logs string
	var keep int
	cmd := &cobra.Command{
		Use: "purge", Short: "Remove old snapshots and logs of a server that does not run",
		Long: "Keeps the newest snapshots that look whole and all logs that are needed to load any of them, and prints what it removes. The directories are those of " +
			"zoo.cfg, or those that are named. Exits with 73 while a server runs in them: it removes what is not needed itself, by autopurge.purgeInterval.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if data == "" {
				var err error
				if data, logs, err = o.dirs(o.config); err != nil {
					return err
				}
			}
			if keep < 1 {
				return fmt.Errorf("--keep %d: it is 1 or more", keep)
			}
			removed, err := offline.Purge(data, logs, keep)
			if offline.Kind(err) == offline.Locked {
				err = fmt.Errorf("%w: %s", err, offline.InUse)
			}
			if err = ofFiles(err); err != nil {
				return err
			}
			return o.print(format, append([]string{}, removed...), func() {
				for _, path := range removed {
					_, _ = fmt.Fprintf(o.Out, "removed %s\n", path)
				}
			})
		},
	}
	cmd.Flags().IntVar(&keep, "keep", 3, "how many snapshots stay")
	cmd.Flags().StringVar(&data, "data-dir", "", "dataDir of the server (default: as zoo.cfg says)")
	cmd.Flags().StringVar(&logs, "log-dir", "", "its dataLogDir, if that is another")
	formatFlag(cmd, &format)
	return cmd
}

// list writes what may be too long to be held: lines for people, or an array for programs.
type list struct {
	w      *bufio.Writer
	asJSON bool
	n      int
}

func newList(w io.Writer, format string) *list {
	return &list{w: bufio.NewWriter(w), asJSON: format == "json"}
}

func (l *list) head(format string, values ...any) {
	if !l.asJSON {
		_, _ = fmt.Fprintf(l.w, format, values...)
	}
}

func (l *list) add(x any, format string, values ...any) error {
	l.n++
	if !l.asJSON {
		_, err := fmt.Fprintf(l.w, format, values...)
		return err
	}
	sep := ",\n  "
	if l.n == 1 {
		sep = "[\n  "
	}
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = l.w.WriteString(sep + string(b))
	return err
}

func (l *list) close() error {
	if l.asJSON {
		end := "\n]\n"
		if l.n == 0 {
			end = "[]\n"
		}
		_, _ = l.w.WriteString(end)
	}
	return l.w.Flush()
}
