package election

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

// A heard is one notification of a capture, or, without a body, the moment from which a link carries them.
type heard struct {
	at       time.Duration
	from, to ensemble.ID
	body     []byte
}

// A capture is what was said on the election ports, in the order in which it was seen.
type capture struct {
	events []heard
	text   string // the membership
	hellos int
	open   *heard // a link that was open before
}

// load reads a capture. Only number 6 has a link that was open before it begins; server 2 had opened it.
func load(t *testing.T, path string) capture {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var c capture
	var ports []int
	type conn struct{ initiator, acceptor ensemble.ID }
	conns := make(map[string]*conn)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var l struct {
			T                  float64
			Conn, Ev, Dir, Hex string
			ToPort             int
			ElectionPorts      []int
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		at := time.Duration(l.T * float64(time.Second))
		switch {
		case l.ElectionPorts != nil:
			ports = l.ElectionPorts
		case l.Conn == "" || l.Conn[0] != 'E':
		case l.ToPort != 0:
			acceptor := ensemble.ID(slices.Index(ports, l.ToPort) + 1)
			conns[l.Conn] = &conn{acceptor: acceptor}
			if l.Ev == "already-open" {
				conns[l.Conn].initiator = 2
				c.open = &heard{from: 2, to: acceptor}
			}
		case l.Hex != "":
			b, k := unhex(t, l.Hex), conns[l.Conn]
			if k.initiator == 0 {
				h, n, err := DecodeHello(b)
				if err != nil || n != len(b) {
					t.Fatalf("%s: handshake %s: %d, %v", path, l.Hex, n, err)
				}
				if !bytes.Equal(h.AppendTo(nil), b) {
					t.Errorf("%s: handshake %s is written as %x", path, l.Hex, h.AppendTo(nil))
				}
				k.initiator = h.ID
				c.hellos++
				if h.ID > k.acceptor { // the others are closed, and dialled back
					c.events = append(c.events, heard{at: at, from: h.ID, to: k.acceptor})
				}
				continue
			}
			from, to := k.initiator, k.acceptor
			if l.Dir == "a>i" {
				from, to = to, from
			}
			n, err := DecodeNotification(b[4:])
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			c.events = append(c.events, heard{at, from, to, b[4:]})
			c.text = n.Config
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

// captures are those that hold what this election must do. What the servers had behind them is said where it matters to
// what they say: began is the vote, as leader:zxid/epoch, of the election that the servers had decided which do not
// start in the capture; asked, that they had since answered somebody.
var captures = []struct {
	name    string
	started []ensemble.ID
	began   map[string]string
	asked   ensemble.ID
}{
	{name: "01-start-election", started: []ensemble.ID{1, 2, 3}},
	{name: "04-follower-diff", started: []ensemble.ID{1}, began: both("3:0/0")},
	{name: "05-follower-snap", started: []ensemble.ID{1}, began: both("3:0/0"), asked: 1},
	{name: "06-leader-death", started: []ensemble.ID{3}, began: both("3:0/0")},
	{name: "07-forked-tail-snap", started: []ensemble.ID{3}, began: both("2:4294967302/1")},
	{name: "08-observer", started: []ensemble.ID{1, 2, 3, 4}},
	{name: "10-staggered-start", started: []ensemble.ID{1, 2, 3}},
	{name: "11-follower-trunc", started: []ensemble.ID{3}, began: map[string]string{"golden": "2:4294967304/1", "golden39": "2:4294967302/1"}},
	{name: "12-txnlog-diff", started: []ensemble.ID{1}, began: both("3:0/0")},
	{name: "13-multi-address", started: []ensemble.ID{1, 2, 3}},
}

var versions = []string{"golden", "golden39"}

func both(began string) map[string]string {
	return map[string]string{"golden": began, "golden39": began}
}

// TestGoldenMessages: every handshake and notification that was recorded reads and is written as the same bytes.
func TestGoldenMessages(t *testing.T) {
	for _, dir := range versions {
		hellos, notes := 0, 0
		for i, pattern := range []string{"0[1-9]-*", "1[0-35]-*"} {
			names, err := filepath.Glob(filepath.Join("../../testdata", dir, "peer", pattern))
			if err != nil || len(names) != 9-4*i {
				t.Fatalf("%s: %d captures %s, %v", dir, len(names), pattern, err)
			}
			for _, name := range names {
				c := load(t, name)
				hellos += c.hellos
				for _, h := range c.events {
					if h.body == nil {
						continue
					}
					notes++
					n, err := DecodeNotification(h.body)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					members, err := ensemble.ParseConfig(n.Config)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					n.Config = members.Text()
					if got := n.AppendTo(nil); !bytes.Equal(got, h.body) {
						t.Errorf("%s: %s is written as %s", name, hex.EncodeToString(h.body), hex.EncodeToString(got))
					}
				}
			}
		}
		if hellos < 30 || notes < 90 {
			t.Errorf("%s: only %d handshakes and %d notifications", dir, hellos, notes)
		}
	}
}

// A replay is one server of a capture: an Election with the links of a shell. Its server starts, or looks again, when it
// is seen to propose itself; what it heard since then waits.
type replay struct {
	e       *Election
	now     time.Duration
	ef      Effects
	early   []heard
	links   map[ensemble.ID]bool
	last    map[ensemble.ID]Notification // of each link: repeated when it opens
	sent    map[ensemble.ID][][]byte     // repetitions left out
	epochAt time.Duration                // when the established epoch is known, after an election
	epoch   int64
}

// settlingTime is how long an elected leader takes to establish its epoch; in the captures nobody asks in between.
const settlingTime = 300 * time.Millisecond

func (r *replay) effects() {
	for _, b := range r.ef.Send {
		r.last[b.To] = b.Note
		if r.links[b.To] {
			r.write(b.To)
		}
	}
	if r.ef.Decided && r.e.Vote().PeerEpoch < r.epoch+1 {
		r.epochAt = r.now + settlingTime
	}
	r.ef.Reset()
}

func (r *replay) write(to ensemble.ID) {
	n, ok := r.last[to]
	if !ok {
		return
	}
	body := n.AppendTo(nil)
	if s := r.sent[to]; len(s) == 0 || !bytes.Equal(s[len(s)-1], body) {
		r.sent[to] = append(s, body)
	}
}

// wait lets the time pass up to a moment.
func (r *replay) wait(until time.Duration) {
	for {
		at, ok := r.e.Wake()
		if r.epochAt != 0 && (!ok || r.epochAt < at) && r.epochAt <= until {
			r.now, r.epochAt, r.epoch = r.epochAt, 0, r.epoch+1
			r.e.SetPeerEpoch(uint32(r.epoch))
			continue
		}
		if !ok || at > until {
			r.now = until
			return
		}
		r.now = at
		r.e.Tick(r.now, &r.ef)
		r.effects()
	}
}

func (r *replay) hear(h heard) {
	n, err := DecodeNotification(h.body)
	if err != nil {
		panic(err)
	}
	r.e.Heard(r.now, h.from, n, &r.ef)
	r.effects()
}

// begin brings a server to where the capture finds it: in an election that has been decided.
func (r *replay) begin(t *testing.T, began string, asked ensemble.ID) {
	v := note(t, "LOOKING "+began+" r1")
	look(r, v.Vote)
	for _, id := range r.e.Members.Voters() {
		r.hear(heard{from: id, body: v.AppendTo(nil)})
	}
	if r.e.State() == Looking {
		t.Fatalf("no election is decided by the votes %s", began)
	}
	r.epoch = v.PeerEpoch
	r.wait(r.now + settlingTime)
	if asked != 0 {
		question := note(t, fmt.Sprintf("LOOKING %d:0/0 r1", asked))
		r.hear(heard{from: asked, body: question.AppendTo(nil)})
	}
	r.now = 0
	clear(r.sent)
}

func look(r *replay, v Vote) {
	last, epoch := v.Zxid, v.PeerEpoch
	if epoch < 0 { // an observer's, which says nothing
		last, epoch = 0, 0
	}
	r.epoch = epoch
	r.e.Look(r.now, r.now, last, uint32(epoch), &r.ef)
	r.effects()
}

// isOwn tells whether a message shows that its sender has begun to look: it proposes itself, in a round that is new.
func (r *replay) isOwn(h heard) bool {
	n, err := DecodeNotification(h.body)
	return err == nil && n.State == Looking && (n.Leader == h.from || n.PeerEpoch < 0) && n.Round > r.e.Round()
}

func (r *replay) run(c capture) {
	self := r.e.Self
	if c.open != nil {
		r.links[c.open.from], r.links[c.open.to] = true, true
	}
	looks := slices.IndexFunc(c.events, func(h heard) bool { return h.from == self && r.isOwn(h) })
	for i, h := range c.events {
		if h.from != self && h.to != self {
			continue
		}
		r.wait(h.at)
		switch {
		case h.body == nil:
			peer := h.from + h.to - self
			r.links[peer] = true
			r.e.LinkUp(r.now, peer, &r.ef)
			r.write(peer)
		case i == looks:
			n, err := DecodeNotification(h.body)
			if err != nil {
				panic(err)
			}
			look(r, n.Vote)
			for _, waiting := range r.early {
				r.hear(waiting)
			}
		case h.from == self:
		case i < looks:
			r.early = append(r.early, h)
		default:
			r.hear(h)
		}
	}
}

// TestGoldenElections gives each server of a capture what it heard, and compares what it says on each link.
func TestGoldenElections(t *testing.T) {
	for _, dir := range versions {
		for _, k := range captures {
			c := load(t, filepath.Join("../../testdata", dir, "peer", k.name+".jsonl"))
			members, err := ensemble.ParseConfig(c.text)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members.Members {
				t.Run(fmt.Sprintf("%s/%s/%d", dir, k.name, m.ID), func(t *testing.T) {
					r := &replay{
						e: New(Options{Self: m.ID, Members: members}), links: make(map[ensemble.ID]bool),
						last: make(map[ensemble.ID]Notification), sent: make(map[ensemble.ID][][]byte),
					}
					if !slices.Contains(k.started, m.ID) {
						r.begin(t, k.began[dir], k.asked)
					}
					r.run(c)
					r.compare(t, c)
				})
			}
		}
	}
}

func (r *replay) compare(t *testing.T, c capture) {
	t.Helper()
	want := make(map[ensemble.ID][][]byte)
	for _, h := range c.events {
		if s := want[h.to]; h.from == r.e.Self && h.body != nil && (len(s) == 0 || !bytes.Equal(s[len(s)-1], h.body)) {
			want[h.to] = append(s, h.body)
		}
	}
	text := func(bodies [][]byte) (out []string) {
		for _, b := range bodies {
			n, _ := DecodeNotification(b)
			out = append(out, fmt.Sprintf("%v %d:%v/%d r%d", n.State, n.Leader, n.Zxid, n.PeerEpoch, n.Round))
		}
		return out
	}
	if len(want) == 0 {
		t.Error("the capture has nothing of this server")
	}
	for _, m := range r.e.Members.Members {
		if got, want := r.sent[m.ID], want[m.ID]; !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("to server %d: %q, want %q", m.ID, text(got), text(want))
		}
	}
}
