package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/exit"
)

const (
	startPatience = time.Second      // that a server lives for so long is a start, as in ZooKeeper's script
	stopPatience  = 30 * time.Second // how long a server may take to end
)

// background is a server that no service manager runs: its process id is in a file in its dataDir, or where ZOOPIDFILE says,
// and what it says goes to a file in ZOO_LOG_DIR, or there as well.
type background struct {
	script
	pidFile, out string
}

func (x script) background() (*background, error) {
	cfg, _, err := config.Check(x.config, x.Env, nil)
	if err != nil {
		return nil, err
	}
	b := &background{script: x, pidFile: cmp.Or(variable(x.Env, "ZOOPIDFILE"), filepath.Join(cfg.DataDir, "zookeeper_server.pid"))}
	host, _ := os.Hostname()
	b.out = filepath.Join(cmp.Or(variable(x.Env, "ZOO_LOG_DIR"), cfg.DataDir), fmt.Sprintf("zookeeper-%s-server-%s.out", variable(x.Env, "USER"), host))
	return b, nil
}

// running returns the server's process, 0 if it does not run. A number that the system has given to somebody else is not it.
func (b *background) running() (pid int, err error) {
	text, err := os.ReadFile(b.pidFile)
	if err != nil {
		return 0, err
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return 0, fmt.Errorf("%s: %w", b.pidFile, err)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), b.config) {
		return 0, nil
	}
	return pid, nil
}

func (b *background) start() int {
	pid, err := b.running()
	if pid != 0 {
		b.say("already running as process %d.\n", pid)
		return exit.NotThere
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.failed("START", err)
	}
	if err := os.MkdirAll(filepath.Dir(b.pidFile), 0o755); err != nil {
		return b.failed("START", err)
	}
	out, err := os.OpenFile(b.out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return b.failed("START", err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(b.program(), "--config", b.config)
	cmd.Env, cmd.Stdout, cmd.Stderr = b.Env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the terminal
	if err := cmd.Start(); err != nil {
		return b.failed("START", err)
	}
	if err := os.WriteFile(b.pidFile, []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
		_ = cmd.Process.Kill()
		return b.failed("START", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		_ = os.Remove(b.pidFile)
		return b.failed("START", fmt.Errorf("%s: %w; see %s", b.program(), err, b.out))
	case <-time.After(startPatience):
	}
	b.say("STARTED\n")
	return exit.OK
}

func (b *background) stop() int {
	pid, err := b.running()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b.say("no zookeeper to stop (could not find file %s)\n", b.pidFile)
		return exit.OK
	case err != nil:
		return b.failed("STOP", err)
	}
	if pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			return b.failed("STOP", err)
		}
		for until := time.Now().Add(stopPatience); ; {
			if now, _ := b.running(); now == 0 {
				break
			}
			if time.Now().After(until) {
				return b.failed("STOP", fmt.Errorf("process %d does not end", pid))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	_ = os.Remove(b.pidFile)
	b.say("STOPPED\n")
	return exit.OK
}

func (b *background) failed(what string, err error) int {
	b.say("FAILED TO %s\n", what)
	return b.fail(err)
}
