package ctl

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/exit"
)

// patience turns a hang into a failure that shows the screen. No test's outcome depends on its length.
const patience = time.Minute

// A screen is a terminal with a program on it, as who sits before it has it.
type screen struct {
	t    *testing.T
	keys *os.File
	seen bytes.Buffer // since the last expect
	ends chan int     // the program's exit code
}

// shellOnTerminal runs zabctl shell on a terminal of its own.
func shellOnTerminal(t *testing.T, addr string, env ...string) *screen {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys := os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := keys.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 160}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = tty.Close(), keys.Close() })
	s := &screen{t: t, keys: keys, ends: make(chan int, 1)}
	go func() {
		s.ends <- Main([]string{"zabctl", "shell", "--server", addr}, Surroundings{Env: append(env, "TERM=xterm"), In: tty, Out: tty, Err: tty, Version: "1.2.3"})
	}()
	return s
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// expect reads until the text is there.
func (s *screen) expect(text string) {
	s.t.Helper()
	b := make([]byte, 4096)
	for !strings.Contains(s.seen.String(), text) {
		n, err := s.keys.Read(b)
		if err != nil {
			s.t.Fatalf("%v; the screen has %q, and not %q", err, s.seen.String(), text)
		}
		s.seen.Write(bytes.ReplaceAll(b[:n], []byte{'\r'}, nil))
	}
	rest := s.seen.String()
	s.seen.Reset()
	s.seen.WriteString(rest[strings.Index(rest, text)+len(text):])
}

// TestShellOnATerminal has commands, options and paths completed, a watch fire into a line that is being typed, and lines
// recalled, in the next shell as well.
func TestShellOnATerminal(t *testing.T) {
	addr, state := server(t), "XDG_STATE_HOME="+t.TempDir()
	prompt := func(n int) string { return fmt.Sprintf("[zk: %s(CONNECTED) %d]", addr, n) }
	s := shellOnTerminal(t, addr, state)
	s.expect(prompt(0))
	s.press("cre\t/app x\r")
	s.expect("create")
	s.expect("Created /app\n")
	s.press("create /app/one 1\r")
	s.expect("Created /app/one\n")
	s.press("create /app/two 2\r")
	s.expect("Created /app/two\n")
	s.press("get -w /a\t/\t\t")
	s.expect("/app/one  /app/two\n")
	s.press("o\t\r")
	s.expect("get -w /app/one")
	s.expect("\n1\n")
	s.expect(prompt(4))
	s.press("set /app/tw")
	s.expect("set /app/tw")
	if code, _, said := call(t, Surroundings{}, "zabctl", "set", "--server", addr, "/app/one", "uno"); code != exit.OK {
		t.Fatal(said)
	}
	s.expect("WatchedEvent state:SyncConnected type:NodeDataChanged path:/app/one")
	s.expect(prompt(4))
	s.expect("set /app/tw") // as far as it was typed
	s.press("\t dos -s\r")
	s.expect("dataVersion = 1\n")
	s.press("addauth digest alice:secret\r")
	s.expect(prompt(6))
	s.press("get /none\r")
	s.expect(red("Node does not exist: /none"))
	s.press("quit\r")
	s.expect("WatchedEvent state:Closed")
	if code := <-s.ends; code != exit.NotThere {
		t.Errorf("exit code %d, want that of the last command", code)
	}

	again := shellOnTerminal(t, addr, state, "NO_COLOR=1")
	again.expect(prompt(0))
	const up = "\x1b[A"
	again.press(up + up + up) // past quit and get; a password is not kept
	again.expect("set /app/two dos -s")
	again.press("\x15get /none\r\x04")
	again.expect("\nNode does not exist: /none\n")
	if code := <-again.ends; code != exit.NotThere {
		t.Errorf("exit code %d at the end of the input", code)
	}
}

func red(text string) string { return "\x1b[31m" + text + "\x1b[0m" }
