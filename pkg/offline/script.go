package offline

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/zabd/zabd/pkg/datadir"
)

// The exit codes of ZooKeeper's tools.
const (
	javaError = 1
	javaUsage = 2
)

// A Host is what a script gets from outside.
type Host struct {
	In       io.Reader
	Out, Err io.Writer
	Config   string // zoo.cfg, unless the script is told another
	// Dirs returns the directories that a zoo.cfg names; logs is empty if they are where the data is.
	Dirs func(config string) (data, logs string, err error)
}

func (h *Host) say(format string, values ...any) { _, _ = fmt.Fprintf(h.Out, format, values...) }

func (h *Host) warn(format string, values ...any) { _, _ = fmt.Fprintf(h.Err, format+"\n", values...) }

// Script returns ZooKeeper's script of that name, which takes its arguments and returns its exit code; false if there is
// none.
func Script(name string) (func(args []string, h Host) int, bool) {
	s, ok := map[string]func(h *Host, args []string) int{
		"zkTxnLogToolkit.sh":                   zkTxnLogToolkit,
		"zkSnapShotToolkit.sh":                 zkSnapShotToolkit,
		"zkSnapshotComparer.sh":                zkSnapshotComparer,
		"zkSnapshotRecursiveSummaryToolkit.sh": zkSnapshotRecursiveSummaryToolkit,
		"zkCleanup.sh":                         zkCleanup,
		"zkServer-initialize.sh":               zkServerInitialize,
	}[name]
	return func(args []string, h Host) int {
		out := bufio.NewWriter(h.Out)
		defer func() { _ = out.Flush() }()
		h.Out = out
		h.In = flushing{h.In, out}
		return s(&h, args)
	}, ok
}

// flushing shows what was said before it waits for an answer.
type flushing struct {
	io.Reader
	out *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	_ = f.out.Flush()
	return f.Reader.Read(p)
}

// parse reads options as ZooKeeper's library does, which takes long names behind one dash as well.
func parse(set *pflag.FlagSet, args []string) ([]string, error) {
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	args = slices.Clone(args)
	for i, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if len(name) > 1 && arg[0] == '-' && set.Lookup(name) != nil {
			args[i] = "-" + arg
		}
	}
	err := set.Parse(args)
	return set.Args(), err
}

const txnLogUsage = `usage: TxnLogToolkit [-dhrvc] <txn_log_file_name> (-z <zxid>)
 -c,--chop         Chop mode. Chop txn file to a zxid.
 -d,--dump         Dump mode. Dump all entries of the log file with printing the content of a nodepath (default)
 -h,--help         Print help message
 -r,--recover      Recovery mode. Re-calculate CRC for broken entries.
 -v,--verbose      Be verbose in recovery mode: print all entries, not just fixed ones.
 -y,--yes          Non-interactive mode: repair all CRC errors without asking
 -z,--zxid <arg>   Used with chop. Zxid to which to chop.
`

func zkTxnLogToolkit(h *Host, args []string) int {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	x := javaTool{Host: *h, answers: bufio.NewScanner(h.In)}
	x.answers.Split(bufio.ScanWords)
	help, chop := set.BoolP("help", "h", false, ""), set.BoolP("chop", "c", false, "")
	set.BoolP("dump", "d", false, "")
	set.BoolVarP(&x.recover, "recover", "r", false, "")
	set.BoolVarP(&x.verbose, "verbose", "v", false, "")
	set.BoolVarP(&x.always, "yes", "y", false, "")
	zxid := set.StringP("zxid", "z", "", "")
	rest, err := parse(set, args)
	switch {
	case err != nil:
		h.warn("%v\n", err)
		fallthrough
	case !*help && len(rest) == 0:
		h.say("%s", txnLogUsage)
		return javaError
	case *help:
		h.say("%s", txnLogUsage)
		return 0
	}
	x.path = rest[0]
	if !*chop || *zxid == "" {
		return x.dump()
	}
	z, err := strconv.ParseInt(*zxid, 0, 64)
	if err != nil {
		h.warn("%v", err)
		return javaError
	}
	return x.chop(z)
}

func zkSnapShotToolkit(h *Host, args []string) int {
	data, asJSON, file := false, false, ""
	for len(args) > 0 && file == "" {
		switch args[0] {
		case "-d":
			data = true
		case "-json":
			asJSON = true
		default:
			file = args[0]
		}
		args = args[1:]
	}
	if file == "" || len(args) > 0 {
		h.warn("USAGE: SnapshotFormatter [-d|-json] snapshot_file\n       -d dump the data for each znode\n       -json dump znode info in json format")
		return javaUsage
	}
	return h.javaFormat(file, data, asJSON)
}

const comparerUsage = `usage: java -cp <classPath> org.apache.zookeeper.server.SnapshotComparer
 -b,--bytes <BYTETHRESHOLD>   (Required) The node data delta size threshold, in bytes, for printing the node.
 -d,--debug                   Use debug output.
 -i,--interactive             Enter interactive mode.
 -l,--left <LEFT>             (Required) The left snapshot file.
 -n,--nodes <NODETHRESHOLD>   (Required) The descendant node delta size threshold, in nodes, for printing the node.
 -r,--right <RIGHT>           (Required) The right snapshot file.
`

func zkSnapshotComparer(h *Host, args []string) int {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	c := javaComparer{Host: h}
	left, right := set.StringP("left", "l", "", ""), set.StringP("right", "r", "", "")
	bytes, nodes := set.StringP("bytes", "b", "", ""), set.StringP("nodes", "n", "", "")
	set.BoolVarP(&c.debug, "debug", "d", false, "")
	set.BoolVarP(&c.interactive, "interactive", "i", false, "")
	_, err := parse(set, args)
	var missing []string
	for _, name := range []string{"left", "right", "bytes", "nodes"} {
		if !set.Changed(name) {
			missing = append(missing, name[:1])
		}
	}
	switch {
	case err != nil:
	case len(missing) == 1:
		err = javaSays("Missing required option: " + missing[0])
	case len(missing) > 1:
		err = javaSays("Missing required options: " + strings.Join(missing, ", "))
	}
	if err != nil {
		h.warn("%v", err)
		h.say("%s", comparerUsage)
		return javaUsage
	}
	c.bytes, err = strconv.ParseInt(*bytes, 10, 32)
	if err == nil {
		c.nodes, err = strconv.ParseInt(*nodes, 10, 32)
	}
	if err != nil {
		h.warn("%v", err)
		return javaError
	}
	return c.run(*left, *right)
}

const summaryUsage = `USAGE:


SnapshotRecursiveSummary  <snapshot_file>  <starting_node>  <max_depth>


snapshot_file:    path to the zookeeper snapshot
starting_node:    the path in the zookeeper tree where the traversal should begin
max_depth:        the depth down to which nodes are printed: 0 means all that have children, 1 the starting node and its
children, and so on. What is counted does not depend on it.`

func zkSnapshotRecursiveSummaryToolkit(h *Host, args []string) int {
	if len(args) == 3 {
		if depth, err := strconv.ParseInt(args[2], 10, 32); err == nil {
			return h.javaSummary(args[0], args[1], int(depth))
		}
	}
	h.warn("%s", summaryUsage)
	return javaUsage
}

const (
	purgeUsage = "Usage:\nPurgeTxnLog dataLogDir [snapDir] -n count\n\tdataLogDir -- path to the txn log directory\n\tsnapDir -- path to the snapshot directory\n" +
		"\tcount -- the number of old snaps/logs you want to keep, value should be greater than or equal to 3\n"
	fewestKept = 3
	// InUse is what to do about a directory whose server runs.
	InUse = "a running server removes what is not needed itself: autopurge.purgeInterval and autopurge.snapRetainCount in zoo.cfg"
)

// zkCleanup purges the directories that zoo.cfg names, -n COUNT, or those that it is told, dataLogDir [snapDir] -n COUNT.
func zkCleanup(h *Host, args []string) int {
	usage := func() int {
		h.say("%s", purgeUsage)
		return javaError
	}
	if len(args) == 2 {
		data, logs, err := h.Dirs(h.Config)
		if err != nil {
			h.warn("%v", err)
			return usage()
		}
		if logs != "" {
			args = append([]string{logs, data}, args...)
		} else {
			args = append([]string{data}, args...)
		}
	}
	if len(args) < 3 || len(args) > 4 || args[len(args)-2] != "-n" {
		return usage()
	}
	dirs := args[:len(args)-2]
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			h.warn("Path '%s' does not exist. ", dir)
			return usage()
		}
	}
	n, err := strconv.Atoi(args[len(args)-1])
	switch {
	case err != nil:
		h.warn("'%s' can not be parsed to integer.", args[len(args)-1])
		return usage()
	case n < fewestKept:
		h.warn("count should be greater than or equal to 3")
		return usage()
	}
	return h.javaPurge(dirs[len(dirs)-1], dirs[0], n)
}

func (h *Host) javaPurge(data, logs string, keep int) int {
	written := map[string]time.Time{}
	for _, dir := range []string{data, logs} {
		entries, _ := os.ReadDir(filepath.Join(dir, versionDir))
		for _, e := range entries {
			if st, err := e.Info(); err == nil {
				written[filepath.Join(dir, versionDir, e.Name())] = st.ModTime()
			}
		}
	}
	removed, err := Purge(data, logs, keep)
	for _, path := range removed {
		h.say("Removing file: %s\t%s\n", written[path].Format("Jan 2, 2006, 3:04:05 PM"), path)
	}
	switch {
	case errors.Is(err, datadir.ErrLocked):
		h.warn("%v: %s", err, InUse)
		return javaError
	case err != nil:
		h.warn("%v", err)
		return javaError
	}
	return 0
}

const initializeUsage = `usage: zkServer-initialize.sh <parameters>
  Optional parameters:
     -h                                                    Display this message
     --help                                                Display this message
     --configfile=%-40s ZooKeeper config file
     --myid=#                                              Set the myid to be used, if any (1-255)
     --force                                               Force creation of the data/txnlog dirs
`

// zkServerInitialize makes empty directories for a server's first start, and the file that lets it begin there.
func zkServerInitialize(h *Host, args []string) int {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	config, id := set.String("configfile", h.Config, ""), set.Int("myid", 0, "")
	force, help := set.Bool("force", false, ""), set.BoolP("help", "h", false, "")
	rest, err := parse(set, args)
	if err == nil && len(rest) > 0 {
		err = javaSays("Unknown option: " + rest[0])
	}
	if err == nil && set.Changed("myid") && (*id < 1 || *id > 255) {
		err = fmt.Errorf("--myid=%d: it is 1 to 255", *id)
	}
	if err != nil || *help {
		if err != nil {
			h.say("%v\n", err)
		}
		h.say(initializeUsage, *config)
		return javaError
	}
	if _, err := os.Stat(*config); err != nil {
		h.say("Unable to find config file at %s\n", *config)
		return javaError
	}
	data, logs, err := h.Dirs(*config)
	if err != nil || data == "" {
		h.say("Unable to determine dataDir from %s\n", *config)
		return javaError
	}
	if err := h.initialize(data, logs, *id, *force); err != nil {
		h.say("%v\n", err)
		return javaError
	}
	return 0
}

func (h *Host) initialize(data, logs string, id int, force bool) error {
	dirs := slices.Compact([]string{data, cmp.Or(logs, data)})
	if force {
		h.say("Force enabled, data/txnlog directories will be re-initialized\n")
	}
	for i, dir := range dirs {
		st, err := os.Stat(filepath.Join(dir, versionDir))
		if err == nil && st.IsDir() && !force {
			return fmt.Errorf("ZooKeeper %s directory already exists at %s (or use --force to force re-initialization)", [...]string{"data", "txnlog"}[i], dir)
		}
	}
	for _, dir := range dirs {
		if err := renew(dir); err != nil {
			return err
		}
	}
	if id != 0 {
		h.say("Using myid of %d\n", id)
		if err := writeLike(filepath.Join(data, "myid"), strconv.Itoa(id)+"\n"); err != nil {
			return err
		}
	} else {
		h.say("No myid provided, be sure to specify it in %s if using non-standalone\n", filepath.Join(data, "myid"))
	}
	return writeLike(filepath.Join(data, "initialize"), "")
}

// renew removes a server's files in a directory that no server uses, and makes a new place for them.
func renew(dir string) error {
	below := filepath.Join(dir, versionDir)
	if _, err := os.Stat(below); err == nil {
		l, err := lock(below)
		if err != nil {
			return err
		}
		defer l.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "myid")), os.RemoveAll(below), os.MkdirAll(below, 0o750)); err != nil {
		return err
	}
	return likeOwner(below, dir)
}

func writeLike(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		return err
	}
	return likeOwner(path, filepath.Dir(path))
}
