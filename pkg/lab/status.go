package lab

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Role is what a server does in its ensemble: what srvr calls its mode, or one of ours.
type Role string

// The roles.
const (
	Down       Role = "down"     // the process is not there
	Starting   Role = "starting" // it is, and its port is not open
	Looking    Role = "looking"  // it answers, and serves nobody
	Leader     Role = "leader"
	Follower   Role = "follower"
	Observer   Role = "observer"
	Standalone Role = "standalone"
)

// Status is what a server says of itself.
type Status struct {
	PID         int
	Role        Role
	Epoch       uint32 // that it has accepted a leader for
	Zxid        uint64
	Avg, Max    float64 // latency in ms, as far as the server tells
	Connections int
}

// Serves tells whether clients are served.
func (s Status) Serves() bool {
	return s.Role == Leader || s.Role == Follower || s.Role == Observer || s.Role == Standalone
}

// Status asks the server.
func (s *Server) Status() Status {
	pid := s.pid()
	if pid == 0 {
		return Status{Role: Down}
	}
	st := Status{Role: Starting}
	if text, err := word(s.Addr, "srvr"); err == nil {
		st = parse(text)
	}
	st.PID, st.Epoch = pid, s.epoch(st)
	return st
}

// epoch is what the server keeps on disk, since a zxid tells only the epoch of the last transaction. A single server
// keeps none.
func (s *Server) epoch(st Status) uint32 {
	text, err := os.ReadFile(filepath.Join(s.Data(), "version-2", "currentEpoch"))
	if err != nil {
		return uint32(st.Zxid >> 32)
	}
	epoch, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(epoch)
}

// word asks for a four-letter word.
func word(addr, word string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", fmt.Errorf("lab: dial: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	if _, err := io.WriteString(c, word); err != nil {
		return "", fmt.Errorf("lab: ask %s: %w", word, err)
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return "", fmt.Errorf("lab: ask %s: %w", word, err)
	}
	return string(text), nil
}

// parse reads the answer to srvr. A server that serves nobody says so in words, without a mode; numbers that are not
// there are 0.
func parse(text string) Status {
	st := Status{Role: Looking}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), ": ")
		if !found {
			continue
		}
		switch name {
		case "Mode":
			st.Role = Role(value)
		case "Zxid":
			st.Zxid, _ = strconv.ParseUint(value, 0, 64)
		case "Connections":
			st.Connections, _ = strconv.Atoi(value)
		case "Latency min/avg/max":
			if f := strings.Split(value, "/"); len(f) == 3 {
				st.Avg, _ = strconv.ParseFloat(f[1], 64)
				st.Max, _ = strconv.ParseFloat(f[2], 64)
			}
		}
	}
	return st
}
