package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Peer is a server process that is measured.
type Peer struct {
	Name string
	Addr string
	cmd  *exec.Cmd
}

// javaClasses is where Debian's package zookeeper has its classes.
const javaClasses = "/etc/zookeeper/conf:/usr/share/java/*"

// HasJava tells whether ZooKeeper is installed.
func HasJava() bool {
	_, err := os.Stat("/usr/share/java/zookeeper.jar")
	return err == nil
}

// StartZabd runs a zabd program on a free port of 127.0.0.1, with its data in dir.
func StartZabd(ctx context.Context, program, dir string) (*Peer, error) {
	return start(ctx, "zabd", dir, func(cfg string) *exec.Cmd { return exec.CommandContext(ctx, program, "--config", cfg) })
}

// StartJava runs ZooKeeper likewise.
func StartJava(ctx context.Context, dir string) (*Peer, error) {
	return start(ctx, "java", dir, func(cfg string) *exec.Cmd {
		return exec.CommandContext(ctx, "java", "-Xmx2g", "-Dzookeeper.admin.enableServer=false", "-cp", javaClasses,
			"org.apache.zookeeper.server.ZooKeeperServerMain", cfg)
	})
}

func start(ctx context.Context, name, dir string, command func(cfg string) *exec.Cmd) (*Peer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("load: free port: %w", err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cfg := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n4lw.commands.whitelist=*\n", filepath.Join(dir, "data"), port)
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	p := &Peer{Name: name, Addr: addr, cmd: command(cfg)}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("load: start %s: %w", name, err)
	}
	return p, p.wait(ctx)
}

// wait waits until the server serves: srvr tells its mode then.
func (p *Peer) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		if c, err := net.Dial("tcp", p.Addr); err == nil {
			_, _ = c.Write([]byte("srvr"))
			b, _ := io.ReadAll(c)
			_ = c.Close()
			if strings.Contains(string(b), "Mode: ") {
				return nil
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("load: %s does not answer at %s: %w", p.Name, p.Addr, ctx.Err())
		}
	}
}

// Stop kills the server.
func (p *Peer) Stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// CPU returns the processor time that the server has used.
func (p *Peer) CPU() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick
}

// Resident returns the server's resident memory in bytes.
func (p *Peer) Resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(f[0], 10, 64)
	return kib << 10
}
