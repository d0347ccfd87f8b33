package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/ensemble"
)

// A memberList is a membership as it stands in a file.
type memberList struct {
	file    string
	version int64 // 0 = no reconfiguration has made it
	lines   []serverLine
}

// givenList reads the list that zoo.cfg has or names.
func (l *loader) givenList(c *Config) (memberList, error) {
	if c.DynamicConfigFile != "" {
		for _, key := range slices.Sorted(slices.Values(l.values.AllKeys())) {
			if isServerLine(key) {
				return memberList{}, l.bad(key, "stands beside dynamicConfigFile: it belongs into "+c.DynamicConfigFile)
			}
		}
		return l.dynamicList(c, c.DynamicConfigFile)
	}
	given := memberList{file: l.file}
	for _, key := range slices.Sorted(slices.Values(l.values.AllKeys())) {
		if !isServerLine(key) {
			continue
		}
		s, err := parseServerLine(c, l.from[key], l.values.GetString(key))
		if err != nil {
			return memberList{}, err
		}
		given.lines = append(given.lines, s)
	}
	var err error
	given.lines, err = inOrder(given.lines)
	return given, err
}

// dynamicList reads a file of members. It holds nothing else. The version is the end of the file's name, in
// hexadecimal, or else of that of the file which it leads to.
func (l *loader) dynamicList(c *Config, file string) (memberList, error) {
	props, err := l.properties(file)
	if err != nil {
		return memberList{}, err
	}
	out := memberList{file: file}
	for _, p := range props {
		o, key := origin{at(file, p), p.key}, canonical(p.key)
		var s serverLine
		switch {
		case isServerLine(key):
			s, err = parseServerLine(c, o, p.value)
		case isHierarchy(key):
			err = &Error{o.source, o.key, noHierarchy}
		case key == "version":
			err = &Error{o.source, o.key, "does not belong here: the version is the end of the file's name"}
		default:
			err = &Error{o.source, o.key, "does not belong into a file of members"}
		}
		if err != nil {
			return memberList{}, err
		}
		out.lines = append(out.lines, s)
	}
	if out.lines, err = inOrder(out.lines); err != nil {
		return memberList{}, err
	}
	out.version, err = l.versionOf(file)
	return out, err
}

func (l *loader) versionOf(file string) (int64, error) {
	if version, ok := versionIn(file); ok {
		return version, nil
	}
	target, err := l.host.target(file)
	if err != nil {
		return 0, fmt.Errorf("config: %w", err)
	}
	version, _ := versionIn(target)
	return version, nil
}

// preferActive takes the list that a reconfiguration has left in the place of the given one, if it is later: nobody
// changes zoo.cfg then.
func (l *loader) preferActive(c *Config) error {
	link := c.memberFiles(l.file).link
	if link == "" || link == c.DynamicConfigFile {
		return nil
	}
	active, err := l.dynamicList(c, link)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !isLink(link), errors.Is(err, syscall.ENOTDIR), l.mayNotLook(link, err):
		return nil
	case err != nil:
		return err
	case active.version <= l.list.version:
		return nil
	}
	same := slices.EqualFunc(l.list.lines, active.lines, func(a, b serverLine) bool {
		return a.member.ID == b.member.ID && a.member.String() == b.member.String()
	})
	if len(l.list.lines) > 0 && !same {
		l.warn(origin{l.list.file, "the server lines"}, fmt.Sprintf("do not count: those of %s do, which a reconfiguration has left", active.file))
	}
	l.list = active
	return nil
}

// prepareReconfig finds a membership that was proposed before the server ended, and looks whether there can be others.
func (l *loader) prepareReconfig(c *Config) error {
	files := c.memberFiles(l.file)
	for _, file := range files.next {
		next, err := l.nextList(file)
		switch {
		case err != nil:
			return err
		case next == nil || next.Version <= c.Members.Version || c.Next != nil && next.Version <= c.Next.Version:
			continue
		case !c.ReconfigEnabled:
			return &Error{Source: file, Reason: "a reconfiguration is under way, which needs reconfigEnabled=true to end"}
		}
		c.Next = next
	}
	if dir := filepath.Dir(files.link); c.ReconfigEnabled && c.DynamicConfigFile != "" && l.host.store != nil && !l.host.writable(dir) {
		return l.bad("dynamicConfigFile", dir+" is not this server's to write: reconfigEnabled needs a place for new lists of members")
	}
	files.self, files.version = c.MyID, l.list.version
	c.Files = files
	return nil
}

// nextList reads a membership that was proposed; nil if there is none.
func (l *loader) nextList(file string) (*ensemble.Config, error) {
	text, err := l.host.readFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), l.mayNotLook(file, err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("config: %w", err)
	}
	next, err := ensemble.ParseConfig(string(text))
	if err != nil {
		return nil, &Error{Source: file, Reason: err.Error()}
	}
	return next, nil
}

// versionIn returns the version that a file of members has at the end of its name.
func versionIn(file string) (int64, bool) {
	version, err := strconv.ParseUint(filepath.Ext(file)[min(1, len(filepath.Ext(file))):], 16, 63)
	return int64(version), err == nil
}

// writable tells whether this process may make files in a directory.
func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

// mayNotLook tells whether a file in the server's own directory is hidden from somebody who is not the server, and only
// wants to know.
func (l *loader) mayNotLook(file string, err error) bool {
	if l.host.store != nil || !errors.Is(err, fs.ErrPermission) {
		return false
	}
	l.warn(origin{source: file}, "may not be read here: a reconfiguration may have left other members in it")
	return true
}

// isLink tells whether there is a link, wherever it leads.
func isLink(file string) bool {
	_, err := os.Readlink(file)
	return err == nil
}
