package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/ensemble"
)

// defaultMembers is the name of the link to the active list of members, in the data directory.
const defaultMembers = "zoo.cfg.dynamic"

// MemberFiles are the files of a membership that changes while the servers run:
//
//	<link>            leads to the file of the active membership
//	<link>.<version>  the members of that version, in hexadecimal, a line for each; earlier ones stay
//	<link>.next       members that were proposed, with their version, until they are active or will never be
//
// The link is dynamicConfigFile without a version at its end, or else zoo.cfg.dynamic in the data directory. zoo.cfg is
// never changed. The zero value keeps nothing.
type MemberFiles struct {
	link    string
	next    []string    // <link>.next, and the one that ZooKeeper keeps beside zoo.cfg
	self    ensemble.ID // whose files they are
	version int64       // of the list that the server was started with
}

// memberFiles returns where the members of these settings, from the file zoo.cfg, are kept.
func (c *Config) memberFiles(zooCfg string) MemberFiles {
	f := MemberFiles{link: c.DynamicConfigFile}
	if _, versioned := versionIn(f.link); versioned {
		f.link = strings.TrimSuffix(f.link, filepath.Ext(f.link))
	}
	if f.link == "" {
		f.link = filepath.Join(c.DataDir, defaultMembers)
	}
	f.next = []string{f.link + ".next"}
	if zooCfg != "" {
		f.next = append(f.next, zooCfg+".dynamic.next")
	}
	return f
}

// SaveNext makes members durable that were proposed; nil forgets those that were.
func (f MemberFiles) SaveNext(c *ensemble.Config) error {
	switch {
	case f.link == "":
		return nil
	case c == nil:
		return f.forgetNext(math.MaxInt64)
	}
	if err := store(f.next[0], []byte(memberLines(c)+"\nversion="+strconv.FormatInt(c.Version, 16)), false); err != nil {
		return fmt.Errorf("config: write %s: %w", f.next[0], err)
	}
	return nil
}

// Activate makes members durable that count from now on, and forgets those that were proposed no later. A server that has
// never been a member, and is to be added, keeps its own list until it is: with the others' it could not start again.
func (f MemberFiles) Activate(c *ensemble.Config) error {
	_, listed := c.Member(f.self)
	if f.link == "" || !listed && f.version == 0 && !isLink(f.link) {
		return nil
	}
	path := f.link + "." + strconv.FormatInt(c.Version, 16)
	if err := store(path, []byte(memberLines(c)), false); err != nil {
		return fmt.Errorf("config: write %s: %w", path, err)
	}
	if err := f.lead(path); err != nil {
		return fmt.Errorf("config: link %s: %w", f.link, err)
	}
	return f.forgetNext(c.Version)
}

// forgetNext removes what was proposed, unless it is later than a version. ZooKeeper's own file may not be ours to remove:
// its version tells that it does not count.
func (f MemberFiles) forgetNext(version int64) error {
	for _, next := range f.next[1:] {
		_ = forget(next, version)
	}
	return forget(f.next[0], version)
}

// lead has the link lead to a file beside it. A file that stands in the place of the link is somebody's own list: it is
// kept under another name.
func (f MemberFiles) lead(path string) error {
	if st, err := os.Lstat(f.link); err == nil && st.Mode().IsRegular() {
		if err := os.Link(f.link, f.link+".bak"); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	temp := f.link + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Base(path), temp); err != nil {
		return err
	}
	if err := os.Rename(temp, f.link); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.link))
}

// forget removes a file of members that were proposed, unless they are later than a version.
func forget(file string, version int64) error {
	text, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if next, err := ensemble.ParseConfig(string(text)); err == nil && next.Version > version {
		return nil
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return syncDir(filepath.Dir(file))
}

// memberLines returns the lines of all members, in ZooKeeper's order: as texts are.
func memberLines(c *ensemble.Config) string {
	lines := make([]string, len(c.Members))
	for i, m := range c.Members {
		lines[i] = fmt.Sprintf("server.%d=%v", m.ID, m)
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(a, b) })
	return strings.Join(lines, "\n")
}
