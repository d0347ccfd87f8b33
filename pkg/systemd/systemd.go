// Package systemd is a process's talk with its service manager: readiness and status, the watchdog, sockets that are
// open already, and the journal. It speaks for the process, not for one server in it: only the program calls it.
package systemd

import (
	"fmt"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("systemd: notify: %w", err)
	}
	return nil
}

// Ready tells that the server serves.
func Ready(status string) error { return notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// Status tells what the server is doing.
func Status(status string) error { return notify("STATUS=" + status) }

// Extend asks for so much more time, from now on, until Ready.
func Extend(d time.Duration) error {
	return notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

// Reloading tells that the settings are being read anew; Ready ends it.
func Reloading() error {
	return notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// MemoryMax returns how many bytes of memory the unit may have; false if there is no such bound.
func MemoryMax() (int64, bool) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	return memoryMax(string(text), os.ReadFile)
}

// memoryMax finds the tightest bound among the groups that a process is in, by its /proc/self/cgroup.
func memoryMax(groups string, read func(path string) ([]byte, error)) (most int64, bounded bool) {
	for line := range strings.Lines(groups) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for ; ok && group != "/" && group != "."; group = path.Dir(group) {
			text, err := read(path.Join("/sys/fs/cgroup", group, "memory.max"))
			if err != nil {
				continue
			}
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (!bounded || n < most) {
				most, bounded = n, true
			}
		}
	}
	return most, bounded
}

// Stopping tells that the server is about to end.
func Stopping() error { return notify(daemon.SdNotifyStopping + "\nSTATUS=stopping") }

// ClientSockets is the FileDescriptorName of the sockets that clients connect to.
const ClientSockets = "client"

// Listeners returns the stream sockets that the service manager has opened under a name, none if there is none. A socket
// of any other name is an error: its clients would never be answered.
func Listeners(name string) ([]net.Listener, error) {
	all, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("systemd: sockets: %w", err)
	}
	for other, ls := range all {
		if other != name {
			return nil, fmt.Errorf("systemd: the socket unit of %v has FileDescriptorName=%s, and zabd knows only %s", ls[0].Addr(), other, name)
		}
	}
	return all[name], nil
}

// Watchdog feeds the service manager's watchdog until quit is closed, twice as often as it wants to be, as long as
// alive says that the server makes progress within that time. Without a watchdog it returns at once.
func Watchdog(quit <-chan struct{}, alive func(within time.Duration) bool) error {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("systemd: watchdog: %w", err)
	}
	if within == 0 {
		return nil
	}
	t := time.NewTicker(within / 2)
	defer t.Stop()
	for {
		if alive(within / 2) {
			if err := notify(daemon.SdNotifyWatchdog); err != nil {
				return err
			}
		}
		select {
		case <-t.C:
		case <-quit:
			return nil
		}
	}
}
