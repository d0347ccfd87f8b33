// Package offline looks into the files of a server that does not run, and mends them: logs, snapshots and the directories
// that hold them, those of ZooKeeper's servers as well. It reads them with the server's own packages, so that what is right
// here is right for a start. It has two faces: functions whose results zabctl prints, and Script, which is ZooKeeper's own
// tools by their names, flags and output (the files java*.go).
//
// What only reads does so beside a running server. What changes a directory takes its lock first, and a running server
// keeps it.
package offline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/vfs"
)

const (
	versionDir = "version-2"
	lockName   = "zabd.lock" // of datadir
)

// find returns the files that the arguments name, in the order of their zxids: an argument is a file, or a directory, or a
// directory with version-2 below it, of which all files count whose names parse tells a zxid of.
func find(args []string, parse func(name string) (proto.Zxid, bool)) ([]string, error) {
	var files []string
	for _, arg := range args {
		st, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !st.IsDir() {
			files = append(files, arg)
			continue
		}
		below := filepath.Join(arg, versionDir)
		if st, err := os.Stat(below); err == nil && st.IsDir() {
			arg = below
		}
		in, err := inDir(arg, parse)
		if err != nil {
			return nil, err
		}
		files = append(files, in...)
	}
	return files, nil
}

// inDir returns the files of one kind in a directory, in the order of their zxids.
func inDir(dir string, parse func(name string) (proto.Zxid, bool)) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	zxids := map[string]uint64{}
	var files []string
	for _, e := range entries {
		if z, ok := parse(e.Name()); ok && !strings.HasSuffix(e.Name(), ".tmp") {
			path := filepath.Join(dir, e.Name())
			zxids[path] = uint64(z)
			files = append(files, path)
		}
	}
	slices.SortStableFunc(files, func(a, b string) int {
		switch x, y := zxids[a], zxids[b]; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return files, nil
}

// above compares zxids as their epochs and counters do.
func above(a, b proto.Zxid) bool { return uint64(a) > uint64(b) }

// lock takes a directory from the servers, as far as it is one of a server: one that no server was ever in has no lock.
// A lock that is made belongs to whoever owns the directory, so that a server can take it which does not run as root.
func lock(dir string) (io.Closer, error) {
	path := filepath.Join(dir, lockName)
	_, err := os.Stat(path)
	made := errors.Is(err, fs.ErrNotExist)
	if made && filepath.Base(dir) != versionDir {
		return io.NopCloser(nil), nil
	}
	l, err := datadir.Lock(vfs.Disk(), dir)
	if err != nil || !made {
		return l, err
	}
	if err := likeOwner(path, dir); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// likeOwner gives a file to whom another belongs. Only root can have made it somebody else's.
func likeOwner(path, like string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := os.Stat(like)
	if err != nil {
		return err
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("offline: the owner of %s is not known", like)
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}

// ParseZxid reads a zxid as tools print it: 0x and hexadecimal digits.
func ParseZxid(text string) (proto.Zxid, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	var z uint64
	if _, err := fmt.Sscanf(digits, "%x", &z); !ok || err != nil || proto.Zxid(z).String() != "0x"+strings.ToLower(digits) {
		return 0, fmt.Errorf("%q is no zxid: it begins with 0x, as in 0x500000012", text)
	}
	return proto.Zxid(z), nil
}

// Purge removes from the directories of a server that does not run what is not needed to load any of the newest snapshots
// that look whole, of which it leaves keep. It returns the names of what it has removed.
func Purge(dataDir, logDir string, keep int) (removed []string, err error) {
	if logDir == "" {
		logDir = dataDir
	}
	for _, dir := range []string{dataDir, logDir} {
		dir = filepath.Join(dir, versionDir)
		if _, err := os.Stat(dir); err != nil {
			return nil, err
		}
		l, err := lock(dir) // so that the lock has the right owner
		if err != nil {
			return nil, err
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	d, err := datadir.Open(vfs.Disk(), datadir.Options{DataDir: dataDir, LogDir: logDir, NeedDirectory: true})
	if err != nil {
		return nil, err
	}
	removed, err = d.Purge(keep)
	return removed, errors.Join(err, d.Close())
}
