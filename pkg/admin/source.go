// Package admin is what operators and their tools ask of a server: the four-letter words on the client port, and the
// commands, metrics and probes by HTTP. What it tells comes from a Source, and the bytes are ZooKeeper's.
package admin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

// A Source is the server that is asked. Its answers are of now, and the caller's.
type Source interface {
	Status() Status
	Conns() []Conn
	Settings() []Setting    // conf, in its order
	Environment() []Setting // envi, likewise
	Metrics() []metrics.Value
	Sessions() Sessions
	Watches() []Watch // for data, as ZooKeeper counts them
	DirSizes() (data, log int64)
	Digests() []Digest // the oldest first

	ResetStats()
	ResetConns()
}

// Status is what srvr and stat tell.
type Status struct {
	Version        string
	Mode           string  // standalone, leader, follower or observer
	PeerState      string  // of a member of an ensemble, as ZooKeeper says it: "leading - broadcast"
	NotServing     bool    // clients are turned away: there is no leader
	Proposals      *[3]int // a leader's: bytes of the last proposal, the smallest and the largest; -1 = none
	Replies        [3]int64
	MinLatency     time.Duration
	MaxLatency     time.Duration
	AvgLatency     time.Duration
	Received, Sent int64
	Connections    int
	Outstanding    int64
	Zxid           uint64
	Nodes          int
	Uptime         time.Duration
	SlowSyncs      int64 // of the log, longer than fsync.warningthresholdms
}

// Conn is one connection.
type Conn struct {
	Remote         string // address:port
	Asks           bool   // a four-letter word, and nothing else
	Queued         int
	Received, Sent int64
	Session        int64 // 0 = none yet, and what follows is not set but for Expires
	LastOp         string
	Established    time.Time
	Timeout        time.Duration
	LastCxid       int64 // -1 = none
	LastZxid       int64
	LastResponse   int64 // milliseconds on the server's own clock
	Last, Min, Avg time.Duration
	Max            time.Duration
	Expires        time.Time
}

// Setting is one line of conf or envi.
type Setting struct{ Key, Value string }

// MemberLines is the key of the setting that has lines of its own, and comes last.
const MemberLines = "membership"

// Sessions are what dump tells.
type Sessions struct {
	Timeouts   []Timeout     // all sessions, in order of their ids
	Due        []SessionsDue // the leader's, by when they are due; nil where others track them
	Ephemerals []Owner       // sessions that own something, in order of their ids
}

// Timeout is a session and its timeout.
type Timeout struct {
	ID      int64
	Timeout time.Duration
}

// SessionsDue are the sessions that end together if they are silent.
type SessionsDue struct {
	At    time.Time
	Clock time.Duration // the same instant, on the server's own clock
	IDs   []int64
}

// Owner is a session with the paths of its ephemerals.
type Owner struct {
	ID    int64
	Paths []string
}

// Watch is one session's watch on one path.
type Watch struct {
	Path    string
	Session int64
}

// Digest is the tree's digest at a zxid.
type Digest struct {
	Zxid    uint64
	Version int
	Digest  uint64
}

// Aliases stand in for session ids, which give their passwords away, where whoever asks has not shown who he is. An
// alias keeps the first byte, the id of the server that made the session, and is the same for as long as the process
// lives.
type Aliases struct{ key [32]byte }

// NewAliases returns aliases that nobody can foretell.
func NewAliases() *Aliases {
	a := &Aliases{}
	_, _ = rand.Read(a.key[:]) // never fails
	return a
}

// Of returns the alias of a session; 0 stays 0. Without aliases the id itself.
func (a *Aliases) Of(id int64) int64 {
	if a == nil || id == 0 {
		return id
	}
	h := hmac.New(sha256.New, a.key[:])
	_ = binary.Write(h, binary.BigEndian, id)
	return id>>56<<56 | int64(binary.BigEndian.Uint64(h.Sum(nil))>>8)
}
