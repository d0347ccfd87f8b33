package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/overview"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// A Host is what is asked of this machine.
type Host struct {
	Now          func() time.Time
	Synchronised func() (bool, error)                      // the clock, says the kernel
	Space        func(dir string) (Space, error)           // of the file system
	Syncs        func(dir string) ([]time.Duration, error) // how long some take
	Proc         string                                    // "/proc"
}

// Space is that of a file system, in bytes.
type Space struct{ Free, Total uint64 }

// ThisHost returns the machine that we run on.
func ThisHost() Host {
	return Host{time.Now, synchronised, space, syncs, "/proc"}
}

func synchronised() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, err
}

func space(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return Space{st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize)}, nil
}

// syncs times some writes of a block with fdatasync, as the log's are, in a file that has no name and goes with us.
func syncs(dir string) (took []time.Duration, err error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open a file without a name in", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	block := make([]byte, 4096)
	for i := range 32 {
		began := time.Now()
		if _, err := unix.Pwrite(fd, block, int64(i*len(block))); err != nil {
			return nil, &os.PathError{Op: "write", Path: dir, Err: err}
		}
		if err := unix.Fdatasync(fd); err != nil {
			return nil, &os.PathError{Op: "sync", Path: dir, Err: err}
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// What is too much.
const (
	mostSkew   = 500 * time.Millisecond
	mostSync   = 20 * time.Millisecond  // in the median
	longSync   = 500 * time.Millisecond // once
	leastShare = 10                     // of a hundred parts of a file system that are free
	leastFiles = 4096
	mostOld    = 20 // snapshots that nobody removes
)

// clock: it is not synchronised, or it is not the leader's.
func (x *examination) clock(ctx context.Context) {
	const remedy = "run chronyd or systemd-timesyncd on every host, against the same servers, and look at `timedatectl`"
	if ok, err := x.Host.Synchronised(); err != nil {
		x.skip("whether the clock is synchronised: " + err.Error())
	} else if !ok {
		x.find(Finding{"clock", Warning, "this host", "the kernel says that nothing synchronises its clock", remedy})
	}
	address := ""
	for i := range x.Targets { // the server of this host, or any that serves
		if x.ensemble.Servers[i].Ready && x.Targets[i].Address != "" && (address == "" || i == x.Own) {
			address = x.Targets[i].Address
		}
	}
	if address == "" {
		x.skip("the leader's clock: no server serves")
		return
	}
	skew, unsure, err := x.skew(ctx, address)
	if err != nil {
		x.skip("the leader's clock: " + err.Error())
		return
	}
	if skew.Abs()-unsure > mostSkew {
		how := "behind"
		if skew < 0 {
			how = "ahead of"
		}
		x.find(Finding{"clock", Warning, "this host", fmt.Sprintf("its clock is %v %s the leader's", skew.Abs().Round(time.Millisecond), how), remedy})
	}
}

// skew returns how far the leader's clock is ahead of ours, which the ctime of a node tells that we make.
func (x *examination) skew(ctx context.Context, address string) (skew, unsure time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	c, err := wire.Dial(ctx, address, wire.Options{Timeout: sessionTimeout})
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	before := x.Host.Now()
	// Below /zookeeper, where the parent's count of changes, and with it the names of sequential nodes, are nobody's business.
	path, err := c.Create(ctx, "/zookeeper/zabctl-doctor-", nil, proto.FlagEphemeral|proto.FlagSequential)
	if err != nil {
		return 0, 0, fmt.Errorf("an ephemeral node in /zookeeper: %w", err)
	}
	after := x.Host.Now()
	st, err := c.Exists(ctx, path, false)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.CloseSession(ctx); err != nil {
		return 0, 0, err
	}
	unsure = after.Sub(before)/2 + time.Millisecond
	return time.UnixMilli(st.Ctime).Sub(before.Add(unsure)), unsure, nil
}

// syncs: the disk of the log is slow, here or as servers tell.
func (x *examination) syncs(context.Context) {
	const remedy = "give the log a disk of its own (dataLogDir), an SSD with power-loss protection, and keep other writers off it"
	dirs := x.ownDirs()
	if dirs == nil {
		x.skip("this host's disks: there is no server of the ensemble here")
	} else {
		dir := dirs[len(dirs)-1]
		if took, err := x.Host.Syncs(dir); err != nil {
			x.skip("the time that syncs take: " + err.Error())
		} else {
			slices.Sort(took)
			if median, longest := took[len(took)/2], took[len(took)-1]; median > mostSync || longest > longSync {
				x.find(Finding{
					"fsync", Warning, dir,
					fmt.Sprintf("a sync takes %v in the median and at most %v", median.Round(time.Microsecond), longest.Round(time.Microsecond)), remedy,
				})
			}
		}
	}
	for i := range x.ensemble.Servers {
		s := &x.ensemble.Servers[i]
		if s.SyncAvg != nil && *s.SyncAvg > float64(mostSync.Milliseconds()) {
			x.find(Finding{"fsync", Warning, s.Name(), fmt.Sprintf("its syncs take %g ms on average, and at most %s ms", *s.SyncAvg, number(s.SyncMax)), remedy})
		}
	}
}

func number(v *float64) string {
	if v == nil {
		return "?"
	}
	return fmt.Sprintf("%g", *v)
}

// disk: there is little room, or what is old is kept for ever.
func (x *examination) disk(context.Context) {
	for _, dir := range x.ownDirs() {
		s, err := x.Host.Space(dir)
		if err != nil {
			x.skip("the room on the disk: " + err.Error())
			continue
		}
		snapshots, newest := snapshots(dir)
		need := 3*newest + 4*uint64(max(0, x.Config.PreAllocSize)) // snapshots that are written, and log files
		severity := Warning
		if s.Free < need {
			severity = Error
		}
		if s.Free < need || s.Free < s.Total/100*leastShare {
			x.find(Finding{
				"disk", severity, dir, fmt.Sprintf("%d MiB of %d are free, and the next snapshots and logs need about %d", s.Free>>20, s.Total>>20, need>>20),
				"make room: old snapshots and logs by autopurge.purgeInterval or zkCleanup.sh, never the newest by hand; or a larger disk",
			})
		}
		if x.Config.AutopurgePurgeInterval == 0 && snapshots > mostOld {
			x.find(Finding{
				"disk", Warning, dir, fmt.Sprintf("%d snapshots are kept, and nothing removes old ones", snapshots),
				"set autopurge.purgeInterval=1 in zoo.cfg, which systemctl reload zabd takes",
			})
		}
	}
}

// snapshots counts those in a directory, and tells how large the largest is.
func snapshots(dir string) (n int, largest uint64) {
	files, _ := filepath.Glob(filepath.Join(dir, "version-2", "snapshot.*"))
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			n, largest = n+1, max(largest, uint64(st.Size()))
		}
	}
	return n, largest
}

// limits: a server may not open many files, has turned clients away, or is not all in memory.
func (x *examination) limits(context.Context) {
	for i := range x.ensemble.Servers {
		s := &x.ensemble.Servers[i]
		open, most := s.Metrics["open_file_descriptor_count"], s.Metrics["max_file_descriptor_count"]
		if most > 0 && (most < leastFiles || open > most*8/10) {
			x.find(Finding{
				"limits", Warning, s.Name(), fmt.Sprintf("it may open %g files, and has %g", most, open),
				"raise LimitNOFILE (systemctl edit zabd), to 65536 or to twice the connections that are expected",
			})
		}
		if n := s.Metrics["connection_rejected"]; n > 0 {
			x.find(Finding{
				"limits", Warning, s.Name(), fmt.Sprintf("%g connections were turned away since it started", n),
				"raise maxClientCnxns (of one address) or maxCnxns (of all) in zoo.cfg, or find the client that connects too often: `zabctl top`",
			})
		}
	}
	x.swapped()
}

// swapped: heartbeats must not wait for a disk.
func (x *examination) swapped() {
	if x.Own < 0 || x.Targets[x.Own].Control == nil || x.ensemble.Servers[x.Own].Role == overview.Down {
		return
	}
	pid, err := x.Targets[x.Own].Control.Process()
	if errors.Is(err, os.ErrNotExist) { // ZooKeeper has no control socket
		return
	}
	if err != nil {
		x.skip("the server's process: " + reason(err))
		return
	}
	text, err := os.ReadFile(filepath.Join(x.Host.Proc, fmt.Sprint(pid), "status"))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmSwap: %d kB", &kib); err == nil && kib > 0 {
			x.find(Finding{
				"limits", Warning, x.ensemble.Servers[x.Own].Name(), fmt.Sprintf("%d MiB of its memory are in swap", kib>>10),
				"take memory from what else runs here, or turn swap off: a server that waits for swap is taken for dead",
			})
		}
	}
}
