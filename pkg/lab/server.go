package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Server is one member. It keeps its id, ports and data when it is started again.
type Server struct {
	ID       int
	Addr     string // of its client port
	Observer bool

	dir  string
	argv []string

	mu   sync.Mutex // the process is started and watched by different goroutines
	proc *process   // nil before the first start
}

// process is one life of a server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; may be read when done is closed
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// An EndedError is a server's end that nobody asked for.
type EndedError struct {
	ID  int
	Err error
	Log string // the end of what it said
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("lab: server %d ended: %v\n%s", e.ID, e.Err, e.Log)
}

func (e *EndedError) Unwrap() error { return e.Err }

// Start runs the server. What it says is appended to the file log in its directory.
func (s *Server) Start() error {
	log, err := os.OpenFile(s.Log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	// A group of its own, so that Ctrl-C is for us alone; and none outlives a lab that is itself killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("lab: start server %d: %w", s.ID, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	return nil
}

// Data is the name of the directory with the server's data.
func (s *Server) Data() string { return filepath.Join(s.dir, "data") }

// Config is the name of the server's zoo.cfg.
func (s *Server) Config() string { return filepath.Join(s.dir, "zoo.cfg") }

// Log is the name of the file with what the server says.
func (s *Server) Log() string { return filepath.Join(s.dir, "log") }

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Running tells whether the process is there.
func (s *Server) Running() bool { return s.process().running() }

// pid is that of the running process, 0 if there is none.
func (s *Server) pid() int {
	p := s.process()
	if !p.running() {
		return 0
	}
	return p.cmd.Process.Pid
}

// Kill ends the server as kill -9 does, and returns when it is gone.
func (s *Server) Kill() {
	if p := s.process(); p != nil {
		_ = p.cmd.Process.Kill() // fails if it is gone already
		<-p.done
	}
}

// terminate asks the server to end.
func (s *Server) terminate() {
	if p := s.process(); p != nil {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it is gone already
	}
}

// Stop asks the server to end, and kills it when it does not.
func (s *Server) Stop() {
	s.terminate()
	p := s.process()
	if p == nil {
		return
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		s.Kill()
	}
}

// Await waits until the server's status is as wanted. It does not wait for a server that has ended.
func (s *Server) Await(ctx context.Context, is func(Status) bool) error {
	return await(ctx, func() error {
		if p := s.process(); !p.running() {
			return s.ended(p)
		}
		st := s.Status()
		if is(st) {
			return nil
		}
		return fmt.Errorf("lab: wait for server %d at %s: it is %s, zxid 0x%x", s.ID, s.Addr, st.Role, st.Zxid)
	})
}

func (s *Server) ended(p *process) error {
	log, err := os.ReadFile(s.Log())
	if err != nil {
		log = []byte(err.Error())
	}
	e := &EndedError{ID: s.ID, Err: os.ErrProcessDone, Log: tail(log)}
	if p != nil && p.err != nil {
		e.Err = p.err
	}
	return e
}

// CPU returns the processor time that the running process has used.
func (s *Server) CPU() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid()))
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
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick
}

// Resident returns the running process's resident memory in bytes.
func (s *Server) Resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b, []byte("VmRSS:"))
	f := bytes.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(f[0]), 10, 64)
	return kib << 10
}
