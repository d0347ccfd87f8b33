package zab

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/session"
)

// An item is one thing that was seen on a quorum port.
type item struct {
	line     int
	at       time.Duration
	kind     itemKind
	conn     string
	learner  ensemble.ID // who has dialled; 0 if the connection says nothing
	leader   ensemble.ID
	byLeader bool // who says it, or closes the connection

	packet  Packet
	raw     []byte
	stream  []byte          // behind a SNAP
	touches []session.Touch // of a leader's PING: what the answer to it tells
}

type itemKind int

const (
	itemThere itemKind = iota // a connection that was open before
	itemOpen
	itemSaid
	itemClosed
)

// A capture is what was said on the quorum ports of an ensemble, in the order in which it was seen.
type capture struct {
	name  string
	text  string // the membership
	first string // as it is before any change, with ports for clients
	items []item
}

// alreadyOpen names who had dialled the connections that were open when a capture began. Where a server opens a session
// in it, the session's id says so; the other is the one that is left, or that has not come anew.
var alreadyOpen = map[string]map[string]ensemble.ID{
	"golden39/02-forwarded-writes": {"Q1": 1, "Q2": 2}, "golden/02-forwarded-writes": {"Q1": 1, "Q2": 2},
	"golden39/03-session-move": {"Q1": 2, "Q2": 1}, "golden/03-session-move": {"Q1": 1, "Q2": 2},
	"golden39/04-follower-diff": {"Q1": 2}, "golden/04-follower-diff": {"Q1": 1, "Q2": 2},
	"golden39/05-follower-snap": {"Q1": 2, "Q2": 1}, "golden/05-follower-snap": {"Q1": 2, "Q2": 1},
	"golden39/06-leader-death": {"Q1": 2, "Q2": 1}, "golden/06-leader-death": {"Q1": 2, "Q2": 1},
	"golden39/07-forked-tail-snap": {"Q1": 1}, "golden/07-forked-tail-snap": {"Q1": 1},
	"golden39/11-follower-trunc": {"Q1": 1}, "golden/11-follower-trunc": {"Q1": 1},
	"golden39/12-txnlog-diff": {"Q1": 2}, "golden/12-txnlog-diff": {"Q1": 2},
	"golden/15-reconfig-remove-leader": {"Q1": 1, "Q2": 2}, "golden39/15-reconfig-remove-leader": {"Q1": 1, "Q2": 2},
	"golden/14-local-session-upgrade": {"Q1": 1, "Q2": 2}, "golden/17-undecodable-write": {"Q1": 1, "Q2": 2},
}

// capturedLine is a line of the file; on is the connection that it belongs to.
type capturedLine struct {
	T                          float64
	Conn, Ev, Dir, Hex         string
	ToPort                     int
	ElectionPorts, QuorumPorts []int
	Dec                        struct{ Kind string }
}

// readCapture reads a capture. Every packet must decode, and be written as the same bytes.
func readCapture(t *testing.T, set, name string) *capture {
	t.Helper()
	f, err := os.Open(filepath.Join("../../testdata", set, "peer", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &capture{name: set + "/" + name}
	conns := map[string]*captured{}
	var ports []int
	var text strings.Builder
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for n := 1; lines.Scan(); n++ {
		var l capturedLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s:%d: %v", c.name, n, err)
		}
		switch {
		case l.QuorumPorts != nil:
			ports = l.QuorumPorts
			for i, p := range ports { // all say so where it is said
				line := fmt.Sprintf("server.%d=127.0.0.1:%d:%d:participant", i+1, p, l.ElectionPorts[i])
				text.WriteString(line + "\n")
				c.first += fmt.Sprintf("%s;127.0.0.1:%d\n", line, p-10)
			}
		case l.Conn != "" && l.Conn[0] == 'Q':
			if conns[l.Conn] == nil {
				leader := ensemble.ID(slices.Index(ports, l.ToPort) + 1)
				conns[l.Conn] = &captured{learner: alreadyOpen[c.name][l.Conn], leader: leader}
			}
			c.add(t, n, &l, conns[l.Conn])
		case l.Conn != "" && l.Hex != "" && c.text == "":
			b, _ := hex.DecodeString(l.Hex)
			if n, err := election.DecodeNotification(b[min(4, len(b)):]); err == nil {
				c.text = n.Config
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	c.text = cmp.Or(c.text, text.String()+"version=0")
	for i := range c.items {
		k := conns[c.items[i].conn]
		c.items[i].learner, c.items[i].leader = k.learner, k.leader
	}
	c.items = slices.DeleteFunc(c.items, func(it item) bool { return conns[it.conn].refused })
	return c
}

// captured is one connection of a capture.
type captured struct {
	learner, leader ensemble.ID
	refused         bool
	pings           []int // the leader's, by index among the items, that have no answer yet
}

// add takes one line of a connection.
func (c *capture) add(t *testing.T, n int, l *capturedLine, on *captured) {
	it := item{line: n, at: time.Duration(l.T * float64(time.Second)), conn: l.Conn, byLeader: l.Dir == "a>i"}
	switch {
	case l.Ev == "already-open":
		it.kind = itemThere
	case l.Ev == "connect":
		it.kind = itemOpen
	case l.Ev != "":
		it.kind = itemClosed
		if last := &c.items[len(c.items)-1]; last.kind == itemOpen && last.conn == l.Conn && l.Ev == "RST" {
			on.refused = true
		}
	default:
		it.kind = itemSaid
		b, err := hex.DecodeString(l.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if l.Dec.Kind != "" { // a tree, and its signature
			for i := len(c.items) - 1; ; i-- {
				if snap := &c.items[i]; snap.conn == l.Conn && snap.byLeader {
					snap.stream = append(snap.stream, b...)
					return
				}
			}
		}
		it.raw = b
		d := jute.NewDecoder(b)
		if err := it.packet.Decode(&d); err != nil || d.Len() != 0 {
			t.Fatalf("%s:%d: %v, %d bytes are left", c.name, n, err, d.Len())
		}
		if got := it.packet.AppendTo(nil); !bytes.Equal(got, b) {
			t.Errorf("%s:%d: %x is written as %x", c.name, n, b, got)
		}
	}
	c.items = append(c.items, it)
	if it.kind == itemSaid {
		on.note(t, c)
	}
}

// note learns from the last item what others need: who has dialled, what the membership is, and what a PING brings.
func (k *captured) note(t *testing.T, c *capture) {
	i := len(c.items) - 1
	switch p := &c.items[i].packet; {
	case p.Type == TypeFollowerInfo || p.Type == TypeObserverInfo:
		info, err := decodeLearnerInfo(p.Data)
		if err != nil {
			t.Fatalf("%s:%d: %v", c.name, c.items[i].line, err)
		}
		k.learner = info.id
	case p.Type == TypeNewLeader:
		c.text = string(p.Data)
	case p.Type == TypePing && c.items[i].byLeader:
		k.pings = append(k.pings, i)
	case p.Type == TypePing && len(k.pings) > 0:
		eachTouch(p.Data, func(s session.Touch) { c.items[k.pings[0]].touches = append(c.items[k.pings[0]].touches, s) })
		k.pings = k.pings[1:]
	}
}
