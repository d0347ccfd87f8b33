// Package admin is what operators and their tools ask of a server: the four-letter words on the client port. What it
// tells comes from a Source, and the bytes are ZooKeeper's.
package admin

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

// A Source is the server that is asked.
type Source interface {
	Status() Status
	Conns() []Conn
	Settings() []Setting
	Metrics() []metrics.Value
}

// Status is what srvr and stat tell.
type Status struct {
	Version        string
	Mode           string  // standalone, leader, follower or observer
	PeerState      string  // of a member of an ensemble, as ZooKeeper says it: "leading - broadcast"
	NotServing     bool    // clients are turned away: there is no leader
	Proposals      *[3]int // a leader's: bytes of the last proposal, the smallest and the largest; -1 = none
	MinLatency     time.Duration
	MaxLatency     time.Duration
	AvgLatency     time.Duration
	Received, Sent int64
	Connections    int
	Outstanding    int64
	Zxid           uint64
	Nodes          int
}

// Conn is one connection.
type Conn struct {
	Remote string // address:port
	Queued int
}

// Setting is one line of conf.
type Setting struct{ Key, Value string }

// Membership is the key of the setting that has lines of its own, and comes last.
const Membership = "membership"

// words are the four-letter words that ZooKeeper knows. Others are the length of a frame.
var words = strings.Fields("conf cons crst dirs dump envi gtmk hash isro mntr ruok srst srvr stat stmk wchc wchp wchs")

// always are those that are answered, if at all, without a leader as well.
var always = strings.Fields("envi gtmk stmk")

// FourLetter answers a word. It is not one if known is false. srvr cannot be taken off the whitelist.
func FourLetter(word string, whitelist []string, src Source) (reply []byte, known bool) {
	if !slices.Contains(words, word) {
		return nil, false
	}
	if word != "srvr" && !slices.Contains(whitelist, word) && !slices.Contains(whitelist, "*") {
		return []byte(word + " is not executed because it is not in the whitelist.\n"), true
	}
	if word == "ruok" {
		return []byte("imok"), true
	}
	s := src.Status()
	if s.NotServing && !slices.Contains(always, word) {
		if word == "isro" {
			return []byte("null"), true
		}
		return []byte("This ZooKeeper instance is not currently serving requests\n"), true
	}
	switch word {
	case "isro":
		return []byte("rw"), true
	case "srvr":
		return srvr(s), true
	case "stat":
		return stat(s, src.Conns()), true
	case "conf":
		return conf(src.Settings()), true
	case "mntr":
		return mntr(s, src), true
	}
	return []byte(word + " is not executed: this release does not serve it.\n"), true
}

func srvr(s Status) []byte { return append(versionLine(s), counts(s)...) }

func versionLine(s Status) []byte { return fmt.Appendf(nil, "Zookeeper version: %s\n", s.Version) }

func counts(s Status) []byte {
	b := fmt.Appendf(nil, "Latency min/avg/max: %d/%s/%d\n",
		s.MinLatency.Milliseconds(), decimal(s.AvgLatency), s.MaxLatency.Milliseconds())
	b = fmt.Appendf(b, "Received: %d\nSent: %d\nConnections: %d\nOutstanding: %d\nZxid: 0x%x\nMode: %s\nNode count: %d\n",
		s.Received, s.Sent, s.Connections, s.Outstanding, s.Zxid, s.Mode, s.Nodes)
	if p := s.Proposals; p != nil {
		b = fmt.Appendf(b, "Proposal sizes last/min/max: %d/%d/%d\n", p[0], p[1], p[2])
	}
	return b
}

// decimal prints milliseconds.
func decimal(d time.Duration) string { return metrics.Decimal(float64(d) / float64(time.Millisecond)) }

func stat(s Status, conns []Conn) []byte {
	b := append(versionLine(s), "Clients:\n"...)
	slices.SortFunc(conns, func(x, y Conn) int { return strings.Compare(x.Remote, y.Remote) })
	for _, c := range conns {
		host, port, err := net.SplitHostPort(c.Remote)
		if err != nil {
			host, port = c.Remote, "0"
		}
		b = fmt.Appendf(b, " /%s:%s[1](queued=%d,recved=0,sent=0)\n", host, port, c.Queued)
	}
	return append(append(b, '\n'), counts(s)...)
}

func conf(settings []Setting) []byte {
	var b []byte
	for _, s := range settings {
		if s.Key == Membership {
			b = fmt.Appendf(b, "%s: \n%s", s.Key, s.Value)
			continue
		}
		b = fmt.Appendf(b, "%s=%s\n", s.Key, s.Value)
	}
	return b
}

func mntr(s Status, src Source) []byte {
	b := fmt.Appendf(nil, "zk_version\t%s\nzk_server_state\t%s\n", s.Version, s.Mode)
	if s.PeerState != "" {
		b = fmt.Appendf(b, "zk_peer_state\t%s\n", s.PeerState)
	}
	for _, v := range src.Metrics() {
		b = fmt.Appendf(b, "zk_%s\t%s\n", v.Name, v.Text)
	}
	return b
}
