package proto_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// line is one line of a recorded transcript.
type line struct {
	Conn, Ev, Dir, Hex string
}

// record is what every request and reply is.
type record interface {
	AppendTo(dst []byte) []byte
	Decode(d *jute.Decoder) error
}

// watches2 is the record of setWatches2.
type watches2 struct{ proto.SetWatchesRequest }

func (w *watches2) AppendTo(dst []byte) []byte   { return w.AppendTo2(dst) }
func (w *watches2) Decode(d *jute.Decoder) error { return w.Decode2(d) }

// none is a request or reply without a record.
type none struct{}

func (none) AppendTo(dst []byte) []byte { return dst }
func (none) Decode(*jute.Decoder) error { return nil }

func requestRecord(op proto.Op) record {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		return new(proto.CreateRequest)
	case proto.OpCreateTTL:
		return new(proto.CreateTTLRequest)
	case proto.OpDelete, proto.OpCheck:
		return new(proto.VersionRequest)
	case proto.OpExists, proto.OpGetData, proto.OpGetChildren, proto.OpGetChildren2:
		return new(proto.ReadRequest)
	case proto.OpSetData:
		return new(proto.SetDataRequest)
	case proto.OpGetACL, proto.OpGetAllChildrenNumber, proto.OpDeleteContainer:
		return new(proto.PathRequest)
	case proto.OpSetACL:
		return new(proto.SetACLRequest)
	case proto.OpSync, proto.OpGetEphemerals:
		return new(proto.OptString)
	case proto.OpMulti, proto.OpMultiRead:
		return new(proto.MultiRequest)
	case proto.OpReconfig:
		return new(proto.ReconfigRequest)
	case proto.OpCheckWatches, proto.OpRemoveWatches, proto.OpAddWatch:
		return new(proto.WatchModeRequest)
	case proto.OpAuth:
		return new(proto.AuthRequest)
	case proto.OpSasl:
		return new(proto.TokenRecord)
	case proto.OpSetWatches:
		return new(proto.SetWatchesRequest)
	case proto.OpSetWatches2:
		return new(watches2)
	}
	return none{}
}

func replyRecord(op proto.Op) record {
	switch op {
	case proto.OpCreate:
		return new(proto.PathReply)
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return new(proto.CreateReply)
	case proto.OpExists, proto.OpSetData, proto.OpSetACL:
		return new(proto.Stat)
	case proto.OpGetData, proto.OpReconfig:
		return new(proto.DataReply)
	case proto.OpGetACL:
		return new(proto.ACLReply)
	case proto.OpGetChildren, proto.OpGetEphemerals:
		return new(proto.ChildrenReply)
	case proto.OpGetChildren2:
		return new(proto.Children2Reply)
	case proto.OpSync:
		return new(proto.OptString)
	case proto.OpMulti, proto.OpMultiRead:
		return new(proto.MultiReply)
	case proto.OpGetAllChildrenNumber, proto.OpAddWatch:
		return new(proto.CountReply)
	case proto.OpSasl:
		return new(proto.TokenRecord)
	case proto.OpWhoAmI:
		return new(proto.IDsReply)
	}
	return none{}
}

// exceptions reads what testdata/exceptions says of one kind of golden data, and prints it.
func exceptions(t *testing.T, kind string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../testdata/exceptions")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, l := range strings.Split(string(text), "\n") {
		if f := strings.Fields(l); len(f) > 2 && f[0] == kind {
			out[f[1]] = true
			t.Logf("exception: %s", l)
		}
	}
	return out
}

// transcripts calls f with the lines of every recorded transcript.
func transcripts(t *testing.T, f func(t *testing.T, lines []line)) {
	files, err := filepath.Glob("../../testdata/golden*/client/*.jsonl")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(file)))+"/"+filepath.Base(file), func(t *testing.T) {
			r, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var lines []line
			s := bufio.NewScanner(r)
			s.Buffer(nil, 8<<20)
			for s.Scan() {
				var l line
				if err := json.Unmarshal(s.Bytes(), &l); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, l)
			}
			f(t, lines)
		})
	}
}

// asked is a request whose reply is awaited.
type asked struct {
	xid  int32
	op   proto.Op
	line int
	bad  error // it did not decode: the reply must be an error, or none
}

// conversation decodes one connection's frames.
type conversation struct {
	began   bool
	welcome bool
	hasFlag bool
	waiting []asked
}

// TestGoldenFrames decodes every recorded frame and encodes it again to the same bytes. A request may be malformed only
// where the server answered it with an error or not at all.
func TestGoldenFrames(t *testing.T) {
	frames, exceptions := 0, exceptions(t, "frame")
	transcripts(t, func(t *testing.T, lines []line) {
		convs := map[string]*conversation{}
		for i, l := range lines {
			if l.Ev == "open" {
				convs[l.Conn] = &conversation{}
			}
			c := convs[l.Conn]
			if l.Hex == "" || c == nil {
				continue
			}
			b, err := hex.DecodeString(l.Hex)
			if err != nil {
				t.Fatal(err)
			}
			frames++
			where := fmt.Sprintf("%s:%d", filepath.Base(t.Name()), i+1)
			if err := c.frame(l.Dir, b, i+1); err != nil && !exceptions[where] {
				t.Errorf("line %d: %v", i+1, err)
			}
		}
		for name, c := range convs {
			for _, a := range c.waiting {
				if a.bad != nil {
					t.Logf("%s line %d: %v was malformed (%v) and not answered", name, a.line, a.op, a.bad)
				}
			}
		}
	})
	t.Logf("%d frames", frames)
}

func (c *conversation) frame(dir string, b []byte, at int) error {
	if dir == "c>s" && !c.began {
		c.began = true
		var r proto.ConnectRequest
		if len(b) < 48 {
			return nil // a four-letter word, a length without a frame, or a frame cut short: refused by the recorded server
		}
		err := roundTrip(b, &r)
		c.hasFlag = r.HasReadOnly
		return err
	}
	if dir == "s>c" && !c.welcome {
		c.welcome = true
		if len(b) < 41 || len(b) == 4+16 {
			return nil // a four-letter word's text, or the header of a server that is read-only
		}
		return roundTrip(b, new(proto.ConnectResponse))
	}
	if dir == "c>s" {
		return c.request(b, at)
	}
	return c.reply(b)
}

func (c *conversation) request(b []byte, at int) error {
	if len(b) < 12 {
		return nil // no header
	}
	d := jute.NewDecoder(b[4:])
	var h proto.RequestHeader
	if err := h.Decode(&d); err != nil {
		return err
	}
	a := asked{xid: h.Xid, op: h.Op, line: at}
	if h.Op == proto.OpPing {
		a.xid = proto.XidPing
	}
	defer func() { c.waiting = append(c.waiting, a) }()
	r := requestRecord(h.Op)
	if a.bad = r.Decode(&d); a.bad == nil {
		again := r.AppendTo(h.AppendTo(nil))
		if rest := d.Rest(); !bytes.Equal(append(again, rest...), b[4:]) {
			return fmt.Errorf("%v %+v encodes to\n%x, was\n%x", h.Op, r, again, b[4:])
		}
	}
	return nil
}

func (c *conversation) reply(b []byte) error {
	d := jute.NewDecoder(b[4:])
	var h proto.ReplyHeader
	if err := h.Decode(&d); err != nil {
		return err
	}
	var r record = none{}
	if h.Xid == proto.XidNotification {
		r = new(proto.WatcherEvent)
	} else {
		i := 0
		for i < len(c.waiting) && c.waiting[i].xid != h.Xid {
			i++
		}
		if i == len(c.waiting) {
			return fmt.Errorf("reply to xid %d, which was not sent", h.Xid)
		}
		a := c.waiting[i]
		c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
		if a.bad != nil && h.Err == proto.OK {
			return fmt.Errorf("line %d: %v did not decode (%v) and was answered with OK", a.line, a.op, a.bad)
		}
		if h.Err == proto.OK || d.Len() > 0 {
			r = replyRecord(a.op)
		}
	}
	if err := r.Decode(&d); err != nil {
		return err
	}
	if again := r.AppendTo(h.AppendTo(nil)); !bytes.Equal(again, b[4:]) {
		return fmt.Errorf("%T %+v encodes to\n%x, was\n%x", r, r, again, b[4:])
	}
	return nil
}

func roundTrip(b []byte, r record) error {
	d := jute.NewDecoder(b[4:])
	if err := r.Decode(&d); err != nil {
		return err
	}
	if again := r.AppendTo(nil); !bytes.Equal(again, b[4:]) {
		return fmt.Errorf("%T %+v encodes to\n%x, was\n%x", r, r, again, b[4:])
	}
	return nil
}
