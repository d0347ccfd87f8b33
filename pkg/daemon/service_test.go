package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/systemd"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"
)

// at is a socket at an address, without a socket.
type at struct {
	net.Listener
	addr net.TCPAddr
}

func (a at) Addr() net.Addr { return &a.addr }

func TestSocketsAgreeWithTheSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		port    int
		address string
		socket  string
		ok      bool
	}{
		"every address":           {2181, "", "[::]:2181", true},
		"every address, in words": {2181, "0.0.0.0", "[::]:2181", true},
		"one address":             {2181, "10.0.0.1", "10.0.0.1:2181", true},
		"a name":                  {2181, "localhost", "127.0.0.1:2181", true},
		"another port":            {2182, "", "[::]:2181", false},
		"more addresses":          {2181, "10.0.0.1", "[::]:2181", false},
		"fewer addresses":         {2181, "", "10.0.0.1:2181", false},
		"another address":         {2181, "10.0.0.1", "10.0.0.2:2181", false},
	} {
		addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.socket))
		cfg := config.Config{ClientPort: c.port, ClientPortAddress: c.address}
		err := compareSockets(&cfg, "/etc/zabd/zoo.cfg", []net.Listener{at{addr: *addr}})
		var wrong *config.Error
		switch {
		case c.ok && err != nil:
			t.Errorf("%s: %v", name, err)
		case !c.ok && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), "zabd.socket has opened "+c.socket) || !strings.Contains(err.Error(), "/etc/zabd/zoo.cfg: clientPort: the client port is "+c.address)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSocketsAgreeWithTheListOfMembers: where a line of the list says the client port, it is named, and not zoo.cfg.
func TestSocketsAgreeWithTheListOfMembers(t *testing.T) {
	t.Parallel()
	const line = "server.1=127.0.0.1:2888:3888;2190"
	for name, c := range map[string]struct{ zoo, list, says string }{
		"a line of zoo.cfg":                   {line, "", "/zoo.cfg:1: server.1: "},
		"a line that agrees with clientPort":  {"clientPort=2190\n" + line, "", "/zoo.cfg: clientPort: "},
		"the list that zoo.cfg names":         {"dynamicConfigFile=DIR/members", "members", "/members:2: server.1: "},
		"that of a reconfiguration":           {"dynamicConfigFile=DIR/members.5", "members.5", "/members.5:2: server.1: "},
		"a clientPort that counts no more":    {"clientPort=2181\ndynamicConfigFile=DIR/members.5", "members.5", "/members.5:2: server.1: "},
		"server lines that count no more":     {"server.1=127.0.0.1:2888:3888;2181", "zoo.cfg.dynamic.5", "/zoo.cfg.dynamic:2: server.1: "},
		"a reconfiguration left it unchanged": {"dynamicConfigFile=DIR/members.5\nclientPort=2190", "members.5", "/members.5:2: server.1: "},
	} {
		dir := t.TempDir()
		write := func(file, text string) {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("zoo.cfg", strings.ReplaceAll(c.zoo, "DIR", dir)+"\ndataDir="+dir+"\ninitLimit=5\nsyncLimit=2\nstandaloneEnabled=false\n")
		if c.list != "" {
			write(c.list, "# members\n"+line)
			_ = os.Symlink(c.list, filepath.Join(dir, "zoo.cfg.dynamic"))
		}
		cfg, _, err := config.Load(filepath.Join(dir, "zoo.cfg"), nil, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		err = compareSockets(&cfg, filepath.Join(dir, "zoo.cfg"), []net.Listener{at{addr: net.TCPAddr{Port: 2181}}})
		if want := "config: " + dir + c.says + "the client port is :2190 here, and zabd.socket has opened :2181: let ListenStream agree"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if exitCode(err) != exit.Config {
			t.Errorf("%s: exit code %d", name, exitCode(err))
		}
	}
}

func TestMemoryStaysBelowMemoryMax(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		env     []string
		granted int64 // 0 = all there is
		want    int64
	}{
		{"as the unit grants", []string{"HOME=/"}, 1 << 30, 1 << 30 / 20 * 19},
		{"as the administrator says", []string{"GOMEMLIMIT=2GiB"}, 1 << 30, 0},
		{"without a bound", nil, 0, 0},
	} {
		limit, ok := heapLimit(c.env, func() (int64, bool) { return c.granted, c.granted > 0 })
		if limit != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %d, %v, want %d", c.name, limit, ok, c.want)
		}
	}
}

// manager is the service manager's socket; told returns what it is told next.
func manager(t *testing.T) (told func() string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	return func() string {
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// TestReadingGetsTime: more time is asked for only if something was read since the last time.
func TestReadingGetsTime(t *testing.T) {
	told := manager(t)
	disk := vfs.NewMem(1)
	f, err := disk.Create("/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	files := &readFS{FS: disk}
	read, err := files.Open("/f")
	if err != nil {
		t.Fatal(err)
	}
	ticks, started, ended := make(chan time.Time), make(chan struct{}), make(chan error)
	go func() { ended <- files.extend(ticks, started) }()
	ticks <- time.Time{} // in vain
	if _, err := read.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ticks <- time.Time{}
	ticks <- time.Time{} // in vain
	if _, err := read.ReadAt(make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	ticks <- time.Time{}
	close(started)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := systemd.Ready("done"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"EXTEND_TIMEOUT_USEC=60000000", "EXTEND_TIMEOUT_USEC=60000000", "READY=1\nSTATUS=done"} {
		if got := told(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// TestEventsOfAnEnsemble: what the message catalogue explains is said once each time that it happens.
func TestEventsOfAnEnsemble(t *testing.T) {
	h := newHosts(t, 2, 0)
	out := &lockedBuffer{}
	x := service{log: slog.New(slog.NewTextHandler(out, nil)), standing: new(systemd.Standing)}
	h.start(1)
	x.look(h.running[1])
	h.start(2)
	h.await(1, zab.Following)
	x.look(h.running[1])
	x.look(h.running[1])
	h.stop(2)
	for h.running[1].peer.Serving() {
		<-h.running[1].changed
	}
	if got := x.look(h.running[1]); !strings.HasPrefix(got, "looking, ") {
		t.Errorf("status %q", got)
	}
	said := out.String()
	if strings.Count(said, "event=election") != 1 || strings.Count(said, "event=lost-quorum") != 1 ||
		strings.Index(said, "event=election") > strings.Index(said, "event=lost-quorum") {
		t.Errorf("the log says %s", said)
	}
}

// TestTheEndIsExplained in the log, with its event, and where systemctl status shows it.
func TestTheEndIsExplained(t *testing.T) {
	told := manager(t)
	for _, c := range []struct {
		err   error
		event string
	}{
		{&config.Error{Source: "/var/lib/zabd/myid", Reason: "is not there"}, "event=lost-identity"},
		{&datadir.DamageError{Path: "/d", Err: errEmptied}, "event=lost-identity"},
		{&datadir.DamageError{Path: "/d/log.1", Err: errors.New("bad checksum")}, "event=damage"},
		{&datadir.DiskError{Path: "/d/log.1", Err: errors.New("no space left on device")}, "event=failed-disk"},
		{&zab.LostHistoryError{}, "event=lost-history"},
		{&config.Error{Source: "zoo.cfg:3", Key: "tickTime", Reason: "is odd"}, "exit_code=78"},
	} {
		out := &lockedBuffer{}
		x := service{log: slog.New(slog.NewTextHandler(out, nil))}
		x.explain(c.err)
		if said := out.String(); !strings.Contains(said, c.event) || strings.Contains(said, "event=") != strings.HasPrefix(c.event, "event=") {
			t.Errorf("%v: %s", c.err, said)
		}
		if got := told(); got != "STATUS="+c.err.Error() {
			t.Errorf("%v: told %q", c.err, got)
		}
	}
}

// TestSessionsAreTraced: what has become of a session is found by its id.
func TestSessionsAreTraced(t *testing.T) {
	said := make(lines, 100)
	o := quiet()
	o.Log = slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := start(t, settings(t, "tickTime=50\nminSessionTimeout=100"), o)
	c := dial(t, s, wire.Options{Timeout: 100 * time.Millisecond})
	id := fmt.Sprintf("session=0x%x ", uint64(c.SessionID))
	c.Close()
	for _, want := range []string{`msg="session opened" `, `msg="the session has lost its connection, or is closed" `, `msg="session expired" `} {
		for !strings.Contains(strings.TrimSpace(<-said)+" ", want+id) {
		}
	}
}

// lines is a log that a test reads while it is written.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// deniedFS lets nobody into its directories.
type deniedFS struct{ vfs.FS }

func (deniedFS) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

// TestFilesOfAnotherUser: the server says whose they have to be, and for which directories.
func TestFilesOfAnotherUser(t *testing.T) {
	t.Parallel()
	o, cfg := quiet(), testConfig("/data")
	cfg.DataLogDir, o.FS = "/log", deniedFS{vfs.NewMem(1)}
	_, err := Start(t.Context(), cfg, o)
	if err == nil || exitCode(err) != exit.Foreign || !strings.Contains(err.Error(), "/version-2/") ||
		!regexp.MustCompile(`: permission denied: if the files are this server's, chown -R [a-z0-9_-]+ /data /log$`).MatchString(err.Error()) {
		t.Errorf("Start = %v, exit code %d", err, exitCode(err))
	}
}
