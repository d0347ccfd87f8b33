package overview

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Target is a server to ask.
type Target struct {
	ID       int64  // 0 = not known
	Address  string // of its client port; "" = only Control is asked
	Observer bool
	Control  *Control // of the server of this host; nil = it is asked at its client port
	// SrvrOnly leaves out mntr, for those who know that it is refused.
	SrvrOnly bool
}

// The roles that no server says of itself.
const (
	Down    = "down"    // it does not answer
	Looking = "looking" // it answers, and serves nobody
)

// A Zxid is that of a server's last transaction.
type Zxid uint64

// Epoch is the leader's that has proposed the transaction.
func (z Zxid) Epoch() uint32 { return uint32(z >> 32) }

func (z Zxid) counter() int64 { return int64(z & 0xffffffff) }

func (z Zxid) String() string { return fmt.Sprintf("0x%x", uint64(z)) }

// MarshalText implements encoding.TextMarshaler.
func (z Zxid) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// A Server is what one tells of itself. What it does not tell is nil.
type Server struct {
	ID       int64  `json:"id,omitempty"`
	Address  string `json:"address,omitempty"`
	Observer bool   `json:"-"`
	Role     string `json:"role"` // leader, follower, observer, standalone, read-only, Looking or Down
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason,omitempty"`  // why it is not
	Missing  string `json:"missing,omitempty"` // what it does not tell, and why
	Version  string `json:"version,omitempty"`

	Epoch uint32 `json:"epoch"`
	Zxid  Zxid   `json:"zxid"`
	Lag   *int64 `json:"lag"` // transactions behind the leader, of the leader's epoch

	Znodes      int64    `json:"znodes"`
	Connections int64    `json:"connections"`
	Outstanding int64    `json:"outstanding"`
	Received    int64    `json:"packets_received"`
	Sent        int64    `json:"packets_sent"`
	LatencyMin  float64  `json:"latency_min_ms"`
	LatencyAvg  float64  `json:"latency_avg_ms"`
	LatencyMax  float64  `json:"latency_max_ms"`
	Sessions    *float64 `json:"sessions"` // of the whole ensemble
	Watches     *float64 `json:"watches"`
	SyncAvg     *float64 `json:"fsync_avg_ms"` // of the log
	SyncMax     *float64 `json:"fsync_max_ms"`

	// Metrics are all that were told, by ZooKeeper's names.
	Metrics map[string]float64 `json:"-"`
}

// ask asks one server. It always returns one: that it does not answer is an answer.
func ask(ctx context.Context, t *Target) (s Server, leader int64) {
	var err error
	if t.Control != nil {
		s, leader, err = t.Control.server(ctx)
	}
	if t.Address != "" && (t.Control == nil || err != nil) { // ZooKeeper has no control socket
		byPort, failed := byWords(ctx, t)
		if t.Control == nil || failed == nil {
			s, err = byPort, failed
		}
	}
	s.ID, s.Observer = t.ID, t.Observer
	if t.Address != "" {
		s.Address = t.Address
	}
	if err != nil {
		s.Role, s.Ready, s.Reason = Down, false, err.Error()
	}
	return s, leader
}

// server asks the control socket, which tells everything.
func (c *Control) server(ctx context.Context) (s Server, leader int64, err error) {
	if s.Reason, err = c.Ready(ctx); err != nil {
		return s, 0, err
	}
	if s.Reason != "" {
		s.Role = Looking
		return s, 0, nil
	}
	var of struct {
		Version string `json:"version"`
		Nodes   int64  `json:"node_count"`
		Stats   struct {
			Mode        string  `json:"server_state"`
			Zxid        int64   `json:"last_processed_zxid"`
			Outstanding int64   `json:"outstanding_requests"`
			Connections int64   `json:"num_alive_client_connections"`
			Received    int64   `json:"packets_received"`
			Sent        int64   `json:"packets_sent"`
			Min         float64 `json:"min_latency"`
			Avg         float64 `json:"avg_latency"`
			Max         float64 `json:"max_latency"`
		} `json:"server_stats"`
	}
	var leads struct {
		ID int64 `json:"leader_id"` // none of a server alone
	}
	all := map[string]any{}
	if err := errors.Join(c.Command(ctx, "server_stats", &of), c.Command(ctx, "leader", &leads), c.Command(ctx, "monitor", &all)); err != nil {
		return s, 0, err
	}
	st := &of.Stats
	if st.Mode == "" {
		s.Role, s.Reason = Looking, "clients are not served"
		return s, 0, nil
	}
	s.Role, s.Ready, s.Version, s.Zxid, s.Znodes = st.Mode, true, of.Version, Zxid(st.Zxid), of.Nodes
	s.Connections, s.Outstanding, s.Received, s.Sent = st.Connections, st.Outstanding, st.Received, st.Sent
	s.LatencyMin, s.LatencyAvg, s.LatencyMax = st.Min, st.Avg, st.Max
	s.Metrics = make(map[string]float64, len(all))
	for name, v := range all {
		if n, ok := v.(float64); ok {
			s.Metrics[name] = n
		}
	}
	s.takeMetrics()
	return s, leads.ID, nil
}

// byWords asks at the client port, where only srvr is sure to be answered.
func byWords(ctx context.Context, t *Target) (Server, error) {
	text, err := Word(ctx, t.Address, "srvr")
	if err != nil {
		return Server{}, err
	}
	s := parseSrvr(text)
	if !s.Ready {
		return s, nil
	}
	if t.SrvrOnly {
		s.Missing = missing
		return s, nil
	}
	text, err = Word(ctx, t.Address, "mntr")
	if err != nil || Refused(text) {
		s.Missing = missing
		return s, nil
	}
	s.Metrics = parseMntr(text)
	s.takeMetrics()
	return s, nil
}

// missing is what is not known where only srvr is answered.
const missing = "sessions, watches and disk sync times are not told: mntr is not in 4lw.commands.whitelist"

// takeMetrics takes those that an overview has.
func (s *Server) takeMetrics() {
	take := func(name string) *float64 {
		if v, told := s.Metrics[name]; told {
			return &v
		}
		return nil
	}
	s.Sessions, s.Watches = take("global_sessions"), take("watch_count")
	s.SyncAvg, s.SyncMax = take("avg_fsynctime"), take("max_fsynctime")
}

// parseSrvr reads the answer to srvr. A server that serves nobody says so in words, without a mode.
func parseSrvr(text string) Server {
	s := Server{Role: Looking}
	whole := func(v string) int64 { n, _ := strconv.ParseInt(v, 10, 64); return n }
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Zookeeper version":
			s.Version = value
		case "Latency min/avg/max":
			_, _ = fmt.Sscanf(strings.ReplaceAll(value, "/", " "), "%g %g %g", &s.LatencyMin, &s.LatencyAvg, &s.LatencyMax)
		case "Received":
			s.Received = whole(value)
		case "Sent":
			s.Sent = whole(value)
		case "Connections":
			s.Connections = whole(value)
		case "Outstanding":
			s.Outstanding = whole(value)
		case "Zxid":
			z, _ := strconv.ParseUint(value, 0, 64)
			s.Zxid = Zxid(z)
		case "Mode":
			s.Role, s.Ready = value, value != "read-only"
		case "Node count":
			s.Znodes = whole(value)
		}
	}
	switch {
	case s.Role == "read-only":
		s.Reason = "it is cut off from its quorum, and serves readers only"
	case !s.Ready:
		s.Reason = strings.TrimSpace(text)
	}
	return s
}

// parseMntr reads the numbers in the answer to mntr, by their names without zk_.
func parseMntr(text string) map[string]float64 {
	all := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			all[strings.TrimPrefix(name, "zk_")] = n
		}
	}
	return all
}
