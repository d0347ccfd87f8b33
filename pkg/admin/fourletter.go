// Package admin is what operators and their tools ask of a server: the four-letter words on the client port. What it
// tells comes from a Source, and the bytes are ZooKeeper's.
package admin

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

// A Source is the server that is asked.
type Source interface {
	Status() Status
	Conns() []Conn
	Settings() []Setting
	Metrics() ([]metrics.Value, error)
}

// Status is what srvr and stat tell.
type Status struct {
	Version        string
	Mode           string // standalone
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

// words are the four-letter words that ZooKeeper knows. Others are the length of a frame.
var words = strings.Fields("conf cons crst dirs dump envi gtmk hash isro mntr ruok srst srvr stat stmk wchc wchp wchs")

// FourLetter answers a word. It is not one if known is false. srvr cannot be taken off the whitelist.
func FourLetter(word string, whitelist []string, src Source) (reply []byte, known bool) {
	if !slices.Contains(words, word) {
		return nil, false
	}
	if word != "srvr" && !slices.Contains(whitelist, word) && !slices.Contains(whitelist, "*") {
		return []byte(word + " is not executed because it is not in the whitelist.\n"), true
	}
	switch word {
	case "ruok":
		return []byte("imok"), true
	case "isro":
		return []byte("rw"), true
	case "srvr":
		return srvr(src.Status()), true
	case "stat":
		return stat(src.Status(), src.Conns()), true
	case "conf":
		return conf(src.Settings()), true
	case "mntr":
		return mntr(src), true
	}
	return []byte(word + " is not executed: this release does not serve it.\n"), true
}

func srvr(s Status) []byte { return append(versionLine(s), counts(s)...) }

func versionLine(s Status) []byte { return fmt.Appendf(nil, "Zookeeper version: %s\n", s.Version) }

func counts(s Status) []byte {
	b := fmt.Appendf(nil, "Latency min/avg/max: %d/%s/%d\n",
		s.MinLatency.Milliseconds(), decimal(s.AvgLatency), s.MaxLatency.Milliseconds())
	return fmt.Appendf(b, "Received: %d\nSent: %d\nConnections: %d\nOutstanding: %d\nZxid: 0x%x\nMode: %s\nNode count: %d\n",
		s.Received, s.Sent, s.Connections, s.Outstanding, s.Zxid, s.Mode, s.Nodes)
}

// decimal prints milliseconds as Java prints a double rounded to four places.
func decimal(d time.Duration) string {
	text := strings.TrimRight(strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 4, 64), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

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
		b = fmt.Appendf(b, "%s=%s\n", s.Key, s.Value)
	}
	return b
}

func mntr(src Source) []byte {
	s := src.Status()
	b := fmt.Appendf(nil, "zk_version\t%s\nzk_server_state\t%s\n", s.Version, s.Mode)
	values, err := src.Metrics()
	if err != nil {
		return append(b, err.Error()...)
	}
	for _, v := range values {
		b = fmt.Appendf(b, "zk_%s\t%s\n", v.Name, v.Text)
	}
	return b
}
