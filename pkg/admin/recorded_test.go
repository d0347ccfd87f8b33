package admin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

// recorded is the server of the recordings, in one of its roles.
type recorded struct {
	role string

	resets []string
}

const recordedVersion = "3.9.5-293c895a8d966a3ecb92872be4a1daf87d725da2, built on 2026-02-11 20:15 UTC"

func at(text string) time.Time {
	t, err := time.Parse(javaDate, text)
	if err != nil {
		panic(err)
	}
	return t
}

func (r *recorded) Status() Status {
	s := Status{Version: recordedVersion, Mode: r.role, Received: 1, Sent: 1, Connections: 3, Zxid: 5, Nodes: 8, Replies: [3]int64{-1, -1, -1}}
	switch r.role {
	case "not-serving":
		return Status{Version: recordedVersion, NotServing: true}
	case "standalone":
		return s
	}
	s.Zxid, s.Nodes, s.Connections = 0x100000002, 6, 1
	s.PeerState = map[string]string{"leader": "leading", "follower": "following", "observer": "observing"}[r.role] + " - broadcast"
	if r.role == "leader" {
		s.Proposals = &[3]int{-1, -1, -1}
	}
	if r.role == "follower" {
		s.Connections = 2
	}
	return s
}

const first, second = 0x1000056dcef0000, 0x1000056dcef0001

func (r *recorded) Conns() []Conn {
	asks := Conn{Asks: true, Remote: "127.0.0.1:58202", LastOp: "NA", Expires: at("Sun Nov 22 11:35:55 UTC 2026")}
	switch r.role {
	case "standalone":
		return []Conn{
			{
				Remote: "127.0.0.1:58182", Received: 4, Sent: 4, Session: second, LastOp: "GETC", Established: time.UnixMilli(1795347337892),
				Timeout: 40 * time.Second, LastCxid: 3, LastZxid: 5, LastResponse: 5692860, Last: time.Millisecond,
				Avg: time.Millisecond, Max: time.Millisecond, Expires: at("Sun Nov 22 11:36:25 UTC 2026"),
			},
			{
				Remote: "127.0.0.1:58174", Received: 5, Sent: 5, Session: first, LastOp: "ADDW", Established: time.UnixMilli(1795347337863),
				Timeout: 30 * time.Second, LastCxid: 4, LastZxid: 5, LastResponse: 5692861, Avg: 5 * time.Millisecond,
				Max: 19 * time.Millisecond, Expires: at("Sun Nov 22 11:36:15 UTC 2026"),
			},
			asks,
		}
	case "follower":
		return []Conn{asks, {
			Remote: "127.0.0.1:37892", Received: 2, Sent: 2, Session: first, LastOp: "CREA", Timeout: 30 * time.Second,
			Established: time.UnixMilli(1795347343636), LastCxid: 1, LastZxid: 0x100000002, LastResponse: 5698665,
			Last: 16 * time.Millisecond, Avg: 37 * time.Millisecond, Max: 58 * time.Millisecond, Expires: at("Sun Nov 22 11:36:15 UTC 2026"),
		}}
	}
	return []Conn{asks}
}

func (r *recorded) Settings() []Setting {
	out := []Setting{
		{"clientPort", "17900"},
		{"secureClientPort", "-1"},
		{"dataDir", "/d"},
		{"dataDirSize", "66030"},
		{"dataLogDir", "/d"},
		{"dataLogSize", "66030"},
		{"tickTime", "2000"},
		{"maxClientCnxns", "60"},
		{"minSessionTimeout", "4000"},
		{"maxSessionTimeout", "40000"},
		{"clientPortListenBacklog", "-1"},
		{"serverId", "0"},
	}
	if r.role == "standalone" {
		return out
	}
	return append(out,
		Setting{"initLimit", "10"}, Setting{"syncLimit", "5"}, Setting{"electionAlg", "3"}, Setting{"electionPort", "17930"},
		Setting{"quorumPort", "17920"}, Setting{"peerType", "0"},
		Setting{MemberLines, strings.Repeat("server.1=127.0.0.1:17920:17930:participant\n", 3) +
			"server.4=127.0.0.1:17923:17933:observer\nversion=0"})
}

func (r *recorded) Environment() (out []Setting) {
	for _, line := range strings.Split(strings.TrimSpace(golden("4lw-standalone/envi.txt")), "\n")[1:] {
		key, value, _ := strings.Cut(line, "=")
		out = append(out, Setting{key, value})
	}
	return out
}

func (r *recorded) Metrics() []metrics.Value {
	reg := metrics.NewRegistry()
	reg.Gauge("znode_count", func() float64 { return 8 })
	reg.FloatGauge("avg_latency", func() float64 { return 11.0 / 3 })
	return reg.Values()
}

func (r *recorded) Sessions() (s Sessions) {
	switch r.role {
	case "standalone":
		s.Due = []SessionsDue{
			{at("Sun Nov 22 11:36:09 UTC 2026"), 5724 * time.Second, []int64{first}},
			{at("Sun Nov 22 11:36:19 UTC 2026"), 5734 * time.Second, []int64{second}},
		}
		s.Ephemerals = []Owner{{first, []string{"/a/e"}}, {second, []string{"/b-eph"}}}
		return s
	case "leader":
		s.Due = []SessionsDue{{at("Sun Nov 22 11:36:15 UTC 2026"), 5730 * time.Second, []int64{first}}}
	}
	s.Timeouts = []Timeout{{first, 30 * time.Second}}
	s.Ephemerals = []Owner{{first, []string{"/x"}}}
	return s
}

func (r *recorded) Watches() []Watch {
	if r.role != "standalone" {
		return nil
	}
	return []Watch{{"/none", second}, {"/a", first}}
}

func (r *recorded) DirSizes() (data, log int64) { return 66030, 66030 }
func (r *recorded) Digests() []Digest           { return nil }
func (r *recorded) ResetStats()                 { r.resets = append(r.resets, "stats") }
func (r *recorded) ResetConns()                 { r.resets = append(r.resets, "conns") }

func golden(name string) string {
	text, err := os.ReadFile(filepath.Join("../../testdata/golden39/admin", name))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// words returns what answers the words of a server in that role.
func wordsOf(t *testing.T, role string, whitelist ...string) (*Words, *recorded) {
	t.Helper()
	r := &recorded{role: role}
	return &Words{Source: r, Whitelist: whitelist, Trace: NewTraceMask()}, r
}

var roles = []string{"standalone", "leader", "follower", "observer", "not-serving"}

func (r *recorded) Ensemble() (m Membership) {
	if r.role == "standalone" || r.role == "not-serving" {
		return m
	}
	m.Leader, m.Self = 3, map[string]int64{"leader": 3, "follower": 1, "observer": 4}[r.role]
	for i, id := range []int64{1, 2, 3, 4} {
		x := Member{ID: id, Observer: id == 4, Quorum: []string{fmt.Sprintf("127.0.0.1:%d", 17920+i)}, Election: []string{fmt.Sprintf("127.0.0.1:%d", 17930+i)}}
		if id == m.Self {
			x.Client = fmt.Sprintf("0.0.0.0:%d", 17910+i)
		}
		m.Members = append(m.Members, x)
	}
	return m
}

func (r *recorded) Learners() []Learner {
	if r.role != "leader" {
		return nil
	}
	return []Learner{{ID: 1, Remote: "127.0.0.1:60950"}, {ID: 4, Observer: true, Remote: "127.0.0.1:60954", Established: 1795347343250}}
}

func (r *recorded) ConfigText() (string, bool)        { return "tickTime=2000\n", r.role == "standalone" }
func (r *recorded) LastSnapshot() (uint64, time.Time) { return 0, time.Unix(1795347337, 0) }
func (r *recorded) ResetLearners()                    { r.resets = append(r.resets, "learners") }
func (r *recorded) Shed(percentage int) int           { return percentage / 10 }
func (r *recorded) Live() error                       { return nil }

func (r *recorded) Ready() error {
	if r.role == "not-serving" {
		return errors.New("looking")
	}
	return nil
}

// Authorize knows one operator, and one who may only read.
func (r *recorded) Authorize(scheme, credential, _ string) error {
	switch {
	case scheme != "digest":
		return ErrNotAuthenticated
	case credential != "root:pw":
		return ErrNotAuthorized
	}
	return nil
}

func (r *recorded) Restore(body io.Reader) (uint64, error) {
	b, err := io.ReadAll(body)
	if err != nil || string(b) != golden("streamed-snapshot.bin") {
		return 0, errors.New("no snapshot")
	}
	return 4, nil
}

func (r *recorded) Snapshot() (*Snapshot, error) {
	body := golden("streamed-snapshot.bin")
	return &Snapshot{Zxid: 4, Size: int64(len(body)), ReadCloser: io.NopCloser(strings.NewReader(body))}, nil
}
