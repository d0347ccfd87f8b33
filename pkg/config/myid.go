package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-sockaddr"

	"github.com/zabd/zabd/pkg/ensemble"
)

// host is what a server asks of the machine that it runs on.
type host struct {
	readFile  func(path string) ([]byte, error)
	target    func(path string) (string, error) // where links lead
	writable  func(dir string) bool
	store     func(path string, content []byte, mkdir bool) error // durably, the whole or nothing; nil = nothing is to change
	addresses func() ([]netip.Addr, error)                        // of the interfaces
	resolve   func(ctx context.Context, name string) ([]netip.Addr, error)
}

func thisHost() host {
	return host{
		readFile: readFile, target: filepath.EvalSymlinks, writable: writable, store: store, addresses: addresses,
		resolve: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
	}
}

// longestFile bounds what is read of a file. No list of servers is as long.
const longestFile = 1 << 20

var errTooLong = errors.New("is longer than 1 MiB")

// readFile reads a file, or a pipe that somebody writes into: it does not wait for whoever may open one later.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, longestFile+1))
	if err == nil && len(b) > longestFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errTooLong}
	}
	return b, err
}

// lookupTimeout bounds all look-ups of names together: a server must also start while there is no name service.
const lookupTimeout = 5 * time.Second

// identify finds this server's own line: by the file myid or, without one, by the addresses of this host. It also tells
// whether the id is stored in the file.
func (l *loader) identify(c *Config, lines []serverLine, alone bool) (own serverLine, stored bool, err error) {
	path := idFile(c)
	id, err := l.readID(path, c)
	switch {
	case errors.Is(err, fs.ErrNotExist) && alone:
		return lines[0], true, nil
	case errors.Is(err, fs.ErrNotExist) && l.givenID != "":
		own, err := l.findGiven(lines)
		return own, false, err
	case errors.Is(err, fs.ErrNotExist):
		own, err := l.findByAddress(path, lines)
		return own, false, err
	case err != nil:
		return own, true, err
	}
	i := slices.IndexFunc(lines, func(s serverLine) bool { return s.member.ID == id })
	if i < 0 {
		reason := fmt.Sprintf("this is server %d, and %s has no server.%d", id, l.listFile(), id)
		if l.list.version > 0 {
			reason += ": a reconfiguration has removed it, and could add it again when its directories are empty"
		} else {
			reason += "; write the host's own number into the file, or add the line"
		}
		return own, true, &Error{Source: path, Reason: reason}
	}
	if alone {
		return lines[i], true, nil
	}
	return lines[i], true, l.contradict(path, lines[i], lines)
}

func idFile(c *Config) string { return filepath.Join(c.DataDir, "myid") }

// readID reads a file myid: a decimal number alone.
func (l *loader) readID(path string, c *Config) (ensemble.ID, error) {
	text, err := l.host.readFile(path)
	if err != nil {
		return 0, fmt.Errorf("config: %w", err)
	}
	most := mostID(c)
	id, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || id < 1 || id > most {
		return 0, &Error{Source: path, Reason: fmt.Sprintf("%.20q is not a number from 1 to %d", text, most)}
	}
	return ensemble.ID(id), nil
}

// mostID returns the largest id: 255 marks the owner of a node with a time to live, where there may be such.
func mostID(c *Config) int {
	if c.ExtendedTypesEnabled {
		return 254
	}
	return 255
}

// storeID writes the id that was found by address into the file, so that from then on it stays with the data.
func (l *loader) storeID(c *Config, own serverLine) error {
	path := idFile(c)
	if most := mostID(c); int(own.member.ID) > most {
		return &Error{Source: path, Reason: fmt.Sprintf("this is server %d, and extendedTypesEnabled needs ids from 1 to %d", own.member.ID, most)}
	}
	how := "has an address of this host"
	if l.givenID != "" {
		how = "is the server of " + imageID
	}
	if l.host.store == nil {
		l.warn(own.origin, how+": the server will write its id into "+path)
		return nil
	}
	if err := l.host.store(path, fmt.Appendln(nil, own.member.ID), c.DatadirAutocreate); err != nil {
		return fmt.Errorf("config: write %s: %w", path, err)
	}
	l.warn(own.origin, how+": its id is now in "+path)
	return nil
}

// findGiven returns the server whose id the environment says.
func (l *loader) findGiven(lines []serverLine) (serverLine, error) {
	i := slices.IndexFunc(lines, func(s serverLine) bool { return strconv.Itoa(int(s.member.ID)) == l.givenID })
	if i < 0 {
		return serverLine{}, &Error{fromEnvironment, imageID, "there is no server." + l.givenID}
	}
	return lines[i], nil
}

// findByAddress returns the one server that has an address of this host.
func (l *loader) findByAddress(path string, lines []serverLine) (serverLine, error) {
	here, unknown, err := l.onThisHost(lines)
	switch {
	case err != nil:
		return serverLine{}, err
	case len(here) == 1:
		return here[0], nil
	case len(here) > 1:
		return serverLine{}, &Error{Source: path, Reason: "is not there, and several servers have an address of this host: " + join(here) +
			"; write this one's id into the file"}
	}
	reason := "is not there, and no server line has an address of this host"
	if len(unknown) > 0 {
		reason += "; not found: " + strings.Join(unknown, ", ")
	}
	reason += "; write this server's number into the file, or put the server lines right"
	return serverLine{}, &Error{Source: path, Reason: reason}
}

// contradict compares the file with the addresses: data that was copied to another server's host must not vote there
// under the old id. Addresses that say nothing, or are several servers', decide nothing.
func (l *loader) contradict(path string, own serverLine, lines []serverLine) error {
	isOwn := func(s serverLine) bool { return s.member.ID == own.member.ID }
	if slices.ContainsFunc(own.member.Quorum, func(a ensemble.Addr) bool { return isWildcard(a.Host) }) {
		return nil
	}
	here, _, err := l.onThisHost([]serverLine{own}) // mostly enough, and then the others' names are not looked up
	if err != nil || len(here) > 0 {
		return err
	}
	here, _, err = l.onThisHost(slices.DeleteFunc(slices.Clone(lines), isOwn))
	if err != nil || len(here) != 1 {
		return err
	}
	return &Error{Source: path, Reason: fmt.Sprintf("this is server %d, %v, but the host has the address of %v; no two servers may have one number: "+
		"write %d into the file, with data of that server or none, or put the server lines right", own.member.ID, own, here[0], here[0].member.ID)}
}

// onThisHost returns the servers of which some quorum address is this host's, and the names that were not found.
func (l *loader) onThisHost(lines []serverLine) (here []serverLine, unknown []string, err error) {
	own, err := l.host.addresses()
	if err != nil {
		return nil, nil, fmt.Errorf("config: read the addresses of this host: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found := make([][]netip.Addr, len(lines))
	var wait sync.WaitGroup
	for i, s := range lines {
		wait.Go(func() {
			for _, a := range s.member.Quorum {
				found[i] = append(found[i], l.lookUp(ctx, a.Host)...)
			}
		})
	}
	wait.Wait()
	for i, s := range lines {
		switch {
		case len(found[i]) == 0:
			unknown = append(unknown, s.member.Quorum[0].Host)
		case slices.ContainsFunc(found[i], func(a netip.Addr) bool { return a.IsLoopback() || slices.Contains(own, a) }):
			here = append(here, s)
		}
	}
	return here, unknown, nil
}

// lookUp returns the addresses of a name or a literal address; none if there is no such name.
func (l *loader) lookUp(ctx context.Context, name string) []netip.Addr {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{plain(a)}
	}
	found, err := l.host.resolve(ctx, name)
	if err != nil {
		return nil
	}
	for i, a := range found {
		found[i] = plain(a)
	}
	return found
}

// plain returns an address in the form in which equal ones are equal.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// sameHost tells whether two hosts are one by name or by address.
func (l *loader) sameHost(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	of := l.lookUp(ctx, b)
	return slices.ContainsFunc(l.lookUp(ctx, a), func(x netip.Addr) bool { return slices.Contains(of, x) })
}

// isWildcard tells whether a host stands for all addresses.
func isWildcard(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.IsUnspecified()
}

func join(lines []serverLine) string {
	texts := make([]string, len(lines))
	for i, s := range lines {
		texts[i] = s.String()
	}
	return strings.Join(texts, ", ")
}

// addresses returns the addresses of this host's interfaces.
func addresses() ([]netip.Addr, error) {
	interfaces, err := sockaddr.GetAllInterfaces()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, i := range interfaces {
		if ip := sockaddr.ToIPAddr(i.SockAddr); ip != nil {
			if a, ok := netip.AddrFromSlice(*(*ip).NetIP()); ok {
				out = append(out, plain(a))
			}
		}
	}
	return out, nil
}

// store writes a file durably: after a crash it is there whole, or not at all.
func store(path string, content []byte, mkdir bool) error {
	dir := filepath.Dir(path)
	if mkdir {
		if err := makeDir(dir); err != nil {
			return err
		}
	}
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// makeDir makes a directory and those above it, durably.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
