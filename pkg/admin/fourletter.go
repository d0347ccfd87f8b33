package admin

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

// Words answers the four-letter words.
type Words struct {
	Source    Source
	Whitelist []string // "*" = all; srvr cannot be taken off
	Aliases   *Aliases // for session ids; nil = they are told
	Trace     *TraceMask
}

// TraceMask is kept for those who set and read it: zabd logs the same whatever it is.
type TraceMask struct{ mask atomic.Int64 }

// usualMask is ZooKeeper's: client requests, sessions and warnings.
const usualMask = 306

// NewTraceMask returns the usual mask.
func NewTraceMask() *TraceMask {
	t := &TraceMask{}
	t.mask.Store(usualMask)
	return t
}

// Load returns the mask.
func (t *TraceMask) Load() int64 { return t.mask.Load() }

// Set sets the mask.
func (t *TraceMask) Set(mask int64) { t.mask.Store(mask) }

// notServing answers whatever needs a server that serves.
const notServing = "This ZooKeeper instance is not currently serving requests"

// word is how one of them is answered.
type word struct {
	name   string
	always bool // also where clients are not served
	answer func(w *Words, s *Status) []byte
}

// words are the four-letter words that ZooKeeper knows. Others are the length of a frame.
var words = []word{
	{"conf", false, func(w *Words, _ *Status) []byte { return conf(w.Source.Settings()) }},
	{"cons", false, func(w *Words, _ *Status) []byte { return w.cons() }},
	{"crst", false, func(w *Words, _ *Status) []byte { w.Source.ResetConns(); return []byte("Connection stats reset.\n") }},
	{"dirs", false, func(w *Words, _ *Status) []byte { return dirs(w.Source.DirSizes()) }},
	{"dump", false, func(w *Words, _ *Status) []byte { return w.dump() }},
	{"envi", true, func(w *Words, _ *Status) []byte {
		return append([]byte("Environment:\n"), conf(w.Source.Environment())...)
	}},
	{"gtmk", true, func(w *Words, _ *Status) []byte { return fmt.Append(nil, w.Trace.Load()) }},
	{"hash", false, func(w *Words, _ *Status) []byte { return hashes(w.Source.Digests()) }},
	{"isro", true, func(_ *Words, s *Status) []byte { return isro(s) }},
	{"mntr", false, func(w *Words, s *Status) []byte { return mntr(s, w.Source.Metrics()) }},
	{"ruok", true, func(*Words, *Status) []byte { return []byte("imok") }},
	{"srst", false, func(w *Words, _ *Status) []byte { w.Source.ResetStats(); return []byte("Server stats reset.\n") }},
	{"srvr", false, func(_ *Words, s *Status) []byte { return srvr(s) }},
	{"stat", false, func(w *Words, s *Status) []byte { return stat(s, w.Source.Conns()) }},
	{"stmk", true, nil},
	{"wchc", false, func(w *Words, _ *Status) []byte { return w.wchc() }},
	{"wchp", false, func(w *Words, _ *Status) []byte { return w.wchp() }},
	{"wchs", false, func(w *Words, _ *Status) []byte { return wchs(w.Source.Watches()) }},
}

// Answer answers a word, behind which rest was read. It is not one if known is false.
func (w *Words) Answer(name string, rest []byte) (reply []byte, known bool) {
	i := slices.IndexFunc(words, func(x word) bool { return x.name == name })
	if i < 0 {
		return nil, false
	}
	x := words[i]
	if name != "srvr" && !slices.Contains(w.Whitelist, name) && !slices.Contains(w.Whitelist, "*") {
		return []byte(name + " is not executed because it is not in the whitelist.\n"), true
	}
	if name == "stmk" {
		return w.stmk(rest), true
	}
	s := w.Source.Status()
	switch {
	case !s.NotServing || x.always:
		return x.answer(w, &s), true
	case name == "hash":
		return []byte(notServing), true // without an end of line, as in ZooKeeper
	}
	return []byte(notServing + "\n"), true
}

// stmk takes the eight bytes behind the word; without them there is no answer.
func (w *Words) stmk(rest []byte) []byte {
	if len(rest) < 8 {
		return nil
	}
	w.Trace.Set(int64(binary.BigEndian.Uint64(rest)))
	return fmt.Append(nil, w.Trace.Load())
}

func isro(s *Status) []byte {
	if s.NotServing {
		return []byte("null")
	}
	return []byte("rw")
}

func srvr(s *Status) []byte { return append(versionLine(s), counts(s)...) }

func versionLine(s *Status) []byte { return fmt.Appendf(nil, "Zookeeper version: %s\n", s.Version) }

func counts(s *Status) []byte {
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

// byRemote sorts connections by their addresses.
func byRemote(conns []Conn) []Conn {
	slices.SortFunc(conns, func(x, y Conn) int { return strings.Compare(x.Remote, y.Remote) })
	return conns
}

// appendConn appends how stat and cons begin the line of a connection. Who asks is not listened to any more.
func appendConn(b []byte, c *Conn) []byte {
	host, port, err := net.SplitHostPort(c.Remote)
	if err != nil {
		host, port = c.Remote, "0"
	}
	interest, received := 1, c.Received
	if c.Asks {
		interest, received = 0, 1
	}
	return fmt.Appendf(b, " /%s:%s[%d](queued=%d,recved=%d,sent=%d", host, port, interest, c.Queued, received, c.Sent)
}

func stat(s *Status, conns []Conn) []byte {
	b := append(versionLine(s), "Clients:\n"...)
	for _, c := range byRemote(conns) {
		b = append(appendConn(b, &c), ")\n"...)
	}
	return append(append(b, '\n'), counts(s)...)
}

func (w *Words) cons() (b []byte) {
	for _, c := range byRemote(w.Source.Conns()) {
		b = appendConn(b, &c)
		if c.Session != 0 {
			b = fmt.Appendf(b, ",sid=0x%x,lop=%s,est=%d,to=%d", uint64(w.Aliases.Of(c.Session)), c.LastOp,
				c.Established.UnixMilli(), c.Timeout.Milliseconds())
			if c.LastCxid >= 0 {
				b = fmt.Appendf(b, ",lcxid=0x%x", c.LastCxid)
			}
			b = fmt.Appendf(b, ",lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d", uint64(c.LastZxid), c.LastResponse,
				c.Last.Milliseconds(), c.Min.Milliseconds(), c.Avg.Milliseconds(), c.Max.Milliseconds())
		}
		b = append(b, ")\n"...)
	}
	return append(b, '\n')
}

func conf(settings []Setting) []byte {
	var b []byte
	for _, s := range settings {
		if s.Key == MemberLines {
			b = fmt.Appendf(b, "%s: \n%s", s.Key, s.Value)
			continue
		}
		b = fmt.Appendf(b, "%s=%s\n", s.Key, s.Value)
	}
	return b
}

func dirs(data, log int64) []byte {
	return fmt.Appendf(nil, "datadir_size: %d\nlogdir_size: %d\n", data, log)
}

func hashes(digests []Digest) (b []byte) {
	for _, d := range digests {
		b = fmt.Appendf(b, "%x: %d\n", d.Zxid, int64(d.Digest))
	}
	return b
}

func mntr(s *Status, values []metrics.Value) []byte {
	b := fmt.Appendf(nil, "zk_version\t%s\nzk_server_state\t%s\n", s.Version, s.Mode)
	if s.PeerState != "" {
		b = fmt.Appendf(b, "zk_peer_state\t%s\n", s.PeerState)
	}
	for _, v := range values {
		b = fmt.Appendf(b, "zk_%s\t%s\n", v.Name, v.Text)
	}
	return b
}

// javaDate is how Java prints a time.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

func (w *Words) dump() []byte {
	all := w.Source.Sessions()
	b := []byte("SessionTracker dump:\n")
	if all.Due == nil {
		b = fmt.Appendf(b, "Global Sessions(%d):\n", len(all.Timeouts))
		for _, s := range all.Timeouts {
			b = fmt.Appendf(b, "0x%x\t%dms\n", uint64(w.Aliases.Of(s.ID)), s.Timeout.Milliseconds())
		}
	} else {
		n := 0
		for _, d := range all.Due {
			n += len(d.IDs)
		}
		b = fmt.Appendf(b, "Session Sets (%d)/(%d):\n", len(all.Due), n)
		for _, d := range all.Due {
			b = fmt.Appendf(b, "%d expire at %s:\n", len(d.IDs), d.At.Format(javaDate))
			for _, id := range d.IDs {
				b = fmt.Appendf(b, "\t0x%x\n", uint64(w.Aliases.Of(id)))
			}
		}
	}
	b = fmt.Appendf(b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(all.Ephemerals))
	for _, o := range all.Ephemerals {
		b = fmt.Appendf(b, "0x%x:\n", uint64(w.Aliases.Of(o.ID)))
		for _, path := range o.Paths {
			b = fmt.Appendf(b, "\t%s\n", path)
		}
	}
	return w.dumpConns(b)
}

// dumpConns lists the connections by when they end if they are silent.
func (w *Words) dumpConns(b []byte) []byte {
	conns := w.Source.Conns()
	slices.SortFunc(conns, func(x, y Conn) int {
		if c := x.Expires.Compare(y.Expires); c != 0 {
			return c
		}
		return strings.Compare(x.Remote, y.Remote)
	})
	sets := slices.Collect(chunks(conns, func(x, y *Conn) bool { return x.Expires.Equal(y.Expires) }))
	b = fmt.Appendf(b, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(sets), len(conns))
	for _, set := range sets {
		b = fmt.Appendf(b, "%d expire at %s:\n", len(set), set[0].Expires.Format(javaDate))
		for _, c := range set {
			b = fmt.Appendf(b, "\tip: /%s sessionId: 0x%x\n", c.Remote, uint64(w.Aliases.Of(c.Session)))
		}
	}
	return b
}

// chunks gives the runs of a sorted slice whose members are alike.
func chunks[T any](all []T, alike func(x, y *T) bool) func(func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n := 1
			for n < len(all) && alike(&all[0], &all[n]) {
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// bySession and byPath sort watches, and cut them into runs.
func bySession(all []Watch) func(func([]Watch) bool) {
	slices.SortFunc(all, func(x, y Watch) int {
		if x.Session != y.Session {
			return cmp.Compare(x.Session, y.Session)
		}
		return strings.Compare(x.Path, y.Path)
	})
	return chunks(all, func(x, y *Watch) bool { return x.Session == y.Session })
}

func byPath(all []Watch) func(func([]Watch) bool) {
	slices.SortFunc(all, func(x, y Watch) int {
		if c := strings.Compare(x.Path, y.Path); c != 0 {
			return c
		}
		return cmp.Compare(x.Session, y.Session)
	})
	return chunks(all, func(x, y *Watch) bool { return x.Path == y.Path })
}

func (w *Words) wchc() (b []byte) {
	for of := range bySession(w.Source.Watches()) {
		b = fmt.Appendf(b, "0x%x\n", uint64(w.Aliases.Of(of[0].Session)))
		for _, x := range of {
			b = fmt.Appendf(b, "\t%s\n", x.Path)
		}
	}
	return append(b, '\n')
}

func (w *Words) wchp() (b []byte) {
	for on := range byPath(w.Source.Watches()) {
		b = fmt.Appendf(b, "%s\n", on[0].Path)
		for _, x := range on {
			b = fmt.Appendf(b, "\t0x%x\n", uint64(w.Aliases.Of(x.Session)))
		}
	}
	return append(b, '\n')
}

// summarize counts watches, and who and what they are of.
func summarize(all []Watch) (sessions, paths, watches int) {
	for range bySession(all) {
		sessions++
	}
	for range byPath(all) {
		paths++
	}
	return sessions, paths, len(all)
}

func wchs(all []Watch) []byte {
	sessions, paths, watches := summarize(all)
	return fmt.Appendf(nil, "%d connections watching %d paths\nTotal watches:%d\n", sessions, paths, watches)
}
