//go:build interop

package interop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience turns a hang into a failure that shows the output so far. No test's outcome depends on its length.
const patience = 60 * time.Second

// process is a program under test with its mingled output. It is killed, with its children, when the test ends.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{} // closed once the program has ended and err is set
	err   error

	mu      sync.Mutex
	out     []byte
	seen    int           // what expect has consumed of out
	changed chan struct{} // closed and replaced at every write
}

func startProcess(t testing.TB, argv []string, env ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p, p
	// A group of its own, so that a shell script dies together with the JVM that it started; and none outlives a test
	// binary that is itself killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %q: %v", argv, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the program and its children as kill -9 does and returns when they are gone.
func (p *process) kill() {
	select {
	case <-p.done: // its number may belong to somebody else by now
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// Write takes the program's output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b...)
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

// send types one line.
func (p *process) send(t testing.TB, line string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatalf("write %.80q to %s: %v\n%s", line, p.cmd.Path, err, p.tail())
	}
}

// expect waits until the output not yet consumed matches all patterns, in any order, and returns and consumes it to
// the end of the last match.
func (p *process) expect(t testing.TB, patterns ...*regexp.Regexp) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		text, changed, ok := p.consume(patterns)
		if ok {
			return text
		}
		select {
		case <-changed:
		case <-p.done:
			if p.grewSince(changed) {
				continue
			}
			t.Fatalf("%s ended (%v) before its output matched %q:\n%s", p.cmd.Path, p.err, patterns, p.tail())
		case <-ctx.Done():
			t.Fatalf("the output of %s does not match %q:\n%s", p.cmd.Path, patterns, p.tail())
		}
	}
}

// consume returns a channel that is closed when there is more output than it has seen.
func (p *process) consume(patterns []*regexp.Regexp) (text string, changed chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh, end := p.out[p.seen:], 0
	for _, re := range patterns {
		m := re.FindIndex(fresh)
		if m == nil {
			return "", p.changed, false
		}
		end = max(end, m[1])
	}
	p.seen += end
	return string(fresh[:end]), nil, true
}

func (p *process) grewSince(changed chan struct{}) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed != changed
}

// wait returns the program's whole output once it has ended, and how it ended.
func (p *process) wait(t testing.TB) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		return p.tail(), errors.New("still running")
	}
	return p.tail(), p.err
}

// tail is the end of the output, enough for a failure's report.
func (p *process) tail() string {
	const most = 4 << 10
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.out
	if len(b) > most {
		b = append([]byte("...\n"), b[len(b)-most:]...)
	}
	return string(bytes.TrimSpace(b))
}

// needTool fails the test when a file of a package is missing, with the command that installs it.
func needTool(t testing.TB, path, install string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v\ninstall it with: %s", err, install)
	}
}
