// Package lab runs an ensemble of server processes on loopback: zabd's, or ZooKeeper's to compare with. It owns their
// ports, directories and processes, and tells what each of them does, which it asks them as an operator does: by srvr.
// The load that they are under is the business of whoever runs the lab.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// host is where the servers listen. Connections to 127.0.0.0/8 leave from 127.0.0.1, so that on 127.0.0.2 nobody is
// given the port of a server that is down.
const host = "127.0.0.2"

// A Kind is a server program.
type Kind struct {
	Name string
	Argv []string // serves, in the foreground, the configuration file that is appended
}

// Zabd is a zabd program.
func Zabd(program string) (Kind, error) {
	program, err := filepath.Abs(program) // a server runs in its own directory
	if err != nil {
		return Kind{}, fmt.Errorf("lab: %w", err)
	}
	if _, err := os.Stat(program); err != nil {
		return Kind{}, fmt.Errorf("lab: find zabd (make build): %w", err)
	}
	return Kind{"zabd", []string{program, "--config"}}, nil
}

// javaClasses is where Debian's package zookeeper has its classes; its own logging there writes no file.
const javaClasses = "/etc/zookeeper/conf:/usr/share/java/*"

// Java is ZooKeeper as Debian packs it.
func Java(options ...string) (Kind, error) {
	if _, err := os.Stat("/usr/share/java/zookeeper.jar"); err != nil {
		return Kind{}, fmt.Errorf("lab: find ZooKeeper (apt-get install zookeeper default-jdk-headless): %w", err)
	}
	argv := append([]string{"java"}, options...)
	return Kind{"java", append(argv, "-cp", javaClasses, "org.apache.zookeeper.server.quorum.QuorumPeerMain")}, nil
}

// An Ensemble is servers with one zoo.cfg.
type Ensemble struct {
	Name    string
	Servers []*Server // server n is at n-1
}

// New makes ready servers 1 to n below dir, of which some are observers, and starts none. A single one is standalone.
func New(dir string, k Kind, n int, observers ...int) (*Ensemble, error) {
	e := &Ensemble{Name: k.Name}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	ports, err := freePorts(3 * n)
	if err != nil {
		return nil, err
	}
	cfg := "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=./data\nmaxClientCnxns=0\n" +
		"4lw.commands.whitelist=*\nadmin.enableServer=false\n"
	if n == 1 {
		cfg += fmt.Sprintf("clientPort=%d\nclientPortAddress=%s\n", ports[0], host)
	}
	for i := range n {
		id, p := i+1, ports[3*i:]
		s := &Server{ID: id, Addr: fmt.Sprintf("%s:%d", host, p[0]), Observer: slices.Contains(observers, id)}
		s.dir, s.argv = filepath.Join(dir, fmt.Sprintf("%s-%d", k.Name, id)), append(slices.Clone(k.Argv), "zoo.cfg")
		e.Servers = append(e.Servers, s)
		if n == 1 {
			continue
		}
		role := "participant"
		if s.Observer {
			role = "observer"
		}
		cfg += fmt.Sprintf("server.%d=%s:%d:%d:%s;%s\n", id, host, p[1], p[2], role, s.Addr)
	}
	for _, s := range e.Servers {
		if err := s.write(cfg, n > 1); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// write lays out a server's directory. Paths in zoo.cfg are relative to it, so that all servers have the same file.
func (s *Server) write(cfg string, member bool) error {
	data := s.Data()
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "zoo.cfg"), []byte(cfg), 0o600); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	if !member {
		return nil
	}
	if err := os.WriteFile(filepath.Join(data, "myid"), fmt.Appendln(nil, s.ID), 0o600); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			return nil, fmt.Errorf("lab: find a free port: %w", err)
		}
		defer l.Close() // when all are known, so that they differ
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// Start starts the servers with the ids, in that order, all if there are none. Each is waited for before the next: until
// it serves, or, while too few voters run for a quorum, until it looks for a leader.
func (e *Ensemble) Start(ctx context.Context, ids ...int) error {
	if len(ids) == 0 {
		for _, s := range e.Servers {
			ids = append(ids, s.ID)
		}
	}
	for _, id := range ids {
		s := e.Servers[id-1]
		if err := s.Start(); err != nil {
			return err
		}
		quorum := e.quorumRuns()
		if err := s.Await(ctx, func(st Status) bool { return st.Serves() || !quorum && st.Role == Looking }); err != nil {
			return err
		}
	}
	return nil
}

func (e *Ensemble) quorumRuns() bool {
	voters, running := 0, 0
	for _, s := range e.Servers {
		if s.Observer {
			continue
		}
		voters++
		if s.Running() {
			running++
		}
	}
	return running > voters/2
}

// Leader waits until one of the servers leads, or is standalone.
func (e *Ensemble) Leader(ctx context.Context) (*Server, error) {
	var leader *Server
	err := await(ctx, func() error {
		for _, s := range e.Servers {
			if st := s.Status(); st.Role == Leader || st.Role == Standalone {
				leader = s
				return nil
			}
		}
		return errors.New("lab: no server leads")
	})
	return leader, err
}

// InSync waits until all servers that run serve, and have what the leader has now.
func (e *Ensemble) InSync(ctx context.Context) error {
	leader, err := e.Leader(ctx)
	if err != nil {
		return err
	}
	zxid := leader.Status().Zxid
	if zxid&0xffffffff == 0 {
		zxid = 0 // the epoch has no transaction yet, and followers tell the last one before it
	}
	for _, s := range e.Servers {
		if !s.Running() {
			continue
		}
		if err := s.Await(ctx, func(st Status) bool { return st.Serves() && st.Zxid >= zxid }); err != nil {
			return err
		}
	}
	return nil
}

// Addrs returns where clients find the servers with the ids, of all if there are none.
func (e *Ensemble) Addrs(ids ...int) []string {
	var out []string
	for _, s := range e.Servers {
		if len(ids) == 0 || slices.Contains(ids, s.ID) {
			out = append(out, s.Addr)
		}
	}
	return out
}

// CPU returns the processor time that all servers have used since each was started last.
func (e *Ensemble) CPU() time.Duration {
	var sum time.Duration
	for _, s := range e.Servers {
		sum += s.CPU()
	}
	return sum
}

// Resident returns the resident memory of all servers, in bytes.
func (e *Ensemble) Resident() int64 {
	var sum int64
	for _, s := range e.Servers {
		sum += s.Resident()
	}
	return sum
}

// Kill ends all servers as kill -9 does.
func (e *Ensemble) Kill() {
	for _, s := range e.Servers {
		s.Kill()
	}
}

// Stop ends all servers as an operator does, all at the same time.
func (e *Ensemble) Stop() {
	for _, s := range e.Servers {
		s.terminate()
	}
	for _, s := range e.Servers {
		s.Stop()
	}
}

// patience is how long a server that is asked to end may take.
const patience = 10 * time.Second

// await calls until there is no error, or, when ctx ends, returns the last one.
func await(ctx context.Context, try func() error) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		var fatal *EndedError
		if errors.As(err, &fatal) {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// tail returns the end of a text, enough to say what has happened.
func tail(text []byte) string {
	const most = 2 << 10
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return strings.TrimSpace(string(text))
}
