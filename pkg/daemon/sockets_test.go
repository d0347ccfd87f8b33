package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/wire"
)

// TestSocketOptions asks the kernel what it was told.
func TestSocketOptions(t *testing.T) {
	for _, c := range []struct {
		lines     string
		backlog   uint32 // 0 = the system's
		keepAlive bool
	}{
		{"clientPortListenBacklog=-1\nclientTcpKeepAlive=false", 0, false},
		{"clientPortListenBacklog=7\nclientTcpKeepAlive=true", 7, true},
	} {
		s := startWith(t, c.lines)
		raw, err := s.listeners[0].(*net.TCPListener).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var info *unix.TCPInfo
		if cerr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if got := info.Sacked; c.backlog != 0 && got != c.backlog || c.backlog == 0 && got < 100 { // of a listener: its backlog
			t.Errorf("%q: backlog %d", c.lines, got)
		}
		var client net.Conn
		dial(t, s, wire.Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var err error
			client, err = (&net.Dialer{}).DialContext(ctx, network, addr)
			return client, err
		}})
		if got := hasTimer(t, client.RemoteAddr(), client.LocalAddr()); got != c.keepAlive {
			t.Errorf("%q: keep-alive %v", c.lines, got)
		}
	}
}

// hasTimer tells whether the kernel has a keep-alive timer for the local end of a connection. Other programs may use its
// port as well, to elsewhere.
func hasTimer(t *testing.T, local, remote net.Addr) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		// sl local remote state queues timer:when ...
		if f := strings.Fields(line); len(f) > 5 && f[1] == inHex(local) && f[2] == inHex(remote) && f[3] == "01" {
			return strings.HasPrefix(f[5], "02:")
		}
	}
	t.Fatalf("no connection from %v to %v in\n%s", local, remote, text)
	return false
}

// inHex writes an address as the kernel does.
func inHex(a net.Addr) string {
	tcp := a.(*net.TCPAddr)
	ip := binary.NativeEndian.AppendUint32(nil, binary.BigEndian.Uint32(tcp.IP.To4()))
	return fmt.Sprintf("%X:%04X", ip, tcp.Port)
}

// heldSocket is a port that somebody else holds as well, as zabd.socket does; left tells that the server has left it.
type heldSocket struct {
	*net.TCPListener
	left func()
}

func (l *heldSocket) Close() error {
	err := l.TCPListener.Close()
	if l.left != nil {
		l.left()
	}
	return err
}

// hold opens a port; each call of the function returns another listener of it.
func hold(t *testing.T) func(left func()) net.Listener {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	t.Cleanup(func() { _ = l.Close() })
	return func(left func()) net.Listener {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		again, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		return &heldSocket{again.(*net.TCPListener), left}
	}
}

// TestWhoComesWhileAServerEnds is served by the next one: the first thing that the server lets go of is the port.
func TestWhoComesWhileAServerEnds(t *testing.T) {
	t.Parallel()
	port, cfg, o := hold(t), testConfig(t.TempDir()), quiet()
	cfg.ControlSocket = filepath.Join(t.TempDir(), "control")
	var late net.Conn
	o.Listeners = []net.Listener{port(func() {
		if late != nil {
			return // it was closed before
		}
		if c, err := net.Dial("unix", cfg.ControlSocket); err != nil {
			t.Errorf("something else was closed before the port: %v", err)
		} else {
			_ = c.Close()
		}
		var err error
		if late, err = net.Dial("tcp", o.Listeners[0].Addr().String()); err != nil {
			t.Error(err)
		}
	})}
	s, err := Start(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil || late == nil {
		t.Fatal(err)
	}
	defer late.Close()
	o.Listeners = []net.Listener{port(nil)}
	start(t, cfg, o)
	shake(t, late)
}

// TestWhoAsksWhileAServerEnds still gets a session; it is there when the next server has started.
func TestWhoAsksWhileAServerEnds(t *testing.T) {
	t.Parallel()
	port, cfg, o, disk := hold(t), testConfig("/data"), quiet(), vfs.NewMem(1)
	stored, ends := make(chan struct{}), make(chan struct{})
	o.FS, o.Listeners = disk, []net.Listener{port(sync.OnceFunc(func() { close(ends) }))}
	s := start(t, cfg, o)
	dial(t, s, wire.Options{})
	storing := sync.OnceFunc(func() { close(stored); <-ends })
	disk.SetFault(func(op vfs.Op) error {
		if op.Kind == "sync" && strings.HasPrefix(filepath.Base(op.Path), "log.") { // and not the next log, which is made ready behind
			storing()
		}
		return nil
	})
	asked := make(chan *wire.Conn)
	go func() {
		c, err := wire.Dial(t.Context(), s.ClientAddr(), wire.Options{})
		if err != nil {
			t.Error(err)
		}
		asked <- c
	}()
	<-stored
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := <-asked
	if c == nil {
		return
	}
	c.Close()
	o.Listeners = []net.Listener{port(nil)}
	again := start(t, cfg, o)
	if back := dial(t, again, wire.Options{SessionID: c.SessionID, Password: c.Password}); back.SessionID != c.SessionID {
		t.Errorf("session %x is %x now", c.SessionID, back.SessionID)
	}
}

// endFS ends something as soon as a file is opened.
type endFS struct {
	vfs.FS
	end func()
}

func (f endFS) Open(name string) (vfs.File, error) {
	f.end()
	return f.FS.Open(name)
}

// TestWhoComesWhileAStartIsGivenUp is served by the next server as well.
func TestWhoComesWhileAStartIsGivenUp(t *testing.T) {
	t.Parallel()
	port, cfg, o := hold(t), testConfig(t.TempDir()), quiet()
	s := start(t, cfg, o)
	if _, err := dial(t, s, wire.Options{}).Create(t.Context(), "/a", nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.FS, o.Listeners = endFS{vfs.Disk(), cancel}, []net.Listener{port(nil)}
	if _, err := Start(ctx, cfg, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	late, err := net.Dial("tcp", o.Listeners[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	o.FS, o.Listeners = nil, []net.Listener{port(nil)}
	again := start(t, cfg, o)
	shake(t, late)
	if _, err := dial(t, again, wire.Options{}).Exists(t.Context(), "/a", false); err != nil {
		t.Error(err)
	}
}

func TestPortsAndAddresses(t *testing.T) {
	busy := listen(t, "127.0.0.1:0")
	defer busy.Close()
	_, err := Start(t.Context(), settings(t, fmt.Sprintf("clientPort=%d", busy.Addr().(*net.TCPAddr).Port)), quiet())
	var bind *BindError
	if !errors.As(err, &bind) || bind.Port != "client port" || !strings.Contains(err.Error(), "ss -ltnp") {
		t.Errorf("a client port that another has: %v", err)
	}
	for lines, everywhere := range map[string]bool{"quorumListenOnAllIPs=false": false, "quorumListenOnAllIPs=true": true} {
		cfg, ports := member(t, lines)
		start(t, cfg, quiet())
		for _, port := range ports {
			nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.2:%d", port))
			if (err == nil) != everywhere {
				t.Errorf("%s: port %d at another address: %v", lines, port, err)
			}
			if err == nil {
				_ = nc.Close()
			}
		}
	}
}

// TestNotificationBytes: who does not take its notifications is hung up on.
func TestNotificationBytes(t *testing.T) {
	s := startWith(t, "notificationBytes=1024")
	nc := raw(t, s)
	shake(t, nc)
	watch := (&proto.WatchModeRequest{Path: "/", Mode: 1}).AppendTo(nil) // persistent, recursive
	if _, err := nc.Write(request(1, proto.OpAddWatch, watch)); err != nil {
		t.Fatal(err)
	}
	await(func() bool { return s.pipeline.Watches().Count() > 0 })
	c, long := dial(t, s, wire.Options{}), "/"+strings.Repeat("x", 10_000)
	if _, err := c.Create(t.Context(), long, nil, 0); err != nil {
		t.Fatal(err)
	}
	for rounds := 0; s.pipeline.Stats.EventOverflows.Load() == 0; rounds++ {
		if rounds == 40 { // 40 MB: more than the system's buffers hold, and less than may usually wait
			t.Fatal("it is not hung up on")
		}
		var last *wire.Call
		for range 100 {
			last = c.Go(proto.OpSetData, &proto.SetDataRequest{Path: long, Version: -1}, nil)
		}
		if _, err := c.Wait(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
}
