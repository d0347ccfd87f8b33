package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestLinesAreThoseOfZooKeeper(t *testing.T) {
	for want, e := range map[string]Event{
		"session=0x19344730001\tuser=alice,10.0.0.7\tip=10.0.0.7\toperation=create\tznode=/a\tznode_type=persistent\tresult=success": {
			Session: 0x19344730001, User: "alice,10.0.0.7", IP: "10.0.0.7", Operation: Create, Znode: "/a", ZnodeType: "persistent",
		},
		"session=0xff\tuser=u\tip=i\toperation=setAcl\tznode=/a\tacl=world:anyone:cdrwa\tresult=failure": {
			Session: 0xff, User: "u", IP: "i", Operation: SetACL, Znode: "/a", ACL: "world:anyone:cdrwa", Result: Failure,
		},
		"user=zabd\toperation=serverStop\tresult=invoked":          {User: "zabd", Operation: ServerStop, Result: Invoked},
		"operation=delete\tznode=/aresult=success\tresult=failure": {Operation: Delete, Znode: "/a\t\r\nresult=success", Result: Failure},
	} {
		if got := string(e.AppendTo(nil)); got != want {
			t.Errorf("%+v is told as\n%q, want\n%q", e, got, want)
		}
	}
}

// TestFileGoesOnWhenItIsRotated loses nothing and needs no word.
func TestFileGoesOnWhenItIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.now = func() time.Time { return time.Unix(0, 0) }
	l := New(f, slog.New(slog.DiscardHandler))
	write := func(znode string) {
		n := l.Stats.Written.Load()
		l.Push(Event{Operation: Create, Znode: znode})
		for l.Stats.Written.Load() == n {
			runtime.Gosched()
		}
	}
	write("/a")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("/b")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Push(Event{Operation: Delete}) // too late
	for file, znode := range map[string]string{path + ".1": "/a", path: "/b"} {
		text, err := os.ReadFile(file)
		want := "1970-01-01 00:00:00,000 operation=create\tznode=" + znode + "\tresult=success\n"
		if err != nil || string(text) != want {
			t.Errorf("%s = %q, %v, want %q", filepath.Base(file), text, err, want)
		}
	}
}

// slow is a sink that takes nothing until it may.
type slow struct {
	may   chan struct{}
	lines []string
	err   error
}

func (s *slow) Write(events []Event) error {
	<-s.may
	for i := range events {
		s.lines = append(s.lines, string(events[i].AppendTo(nil)))
	}
	return s.err
}

func (s *slow) Close() error { return nil }

// TestFullQueueIsSaid: who pushes does not wait, and what is lost is counted, and told in its place.
func TestFullQueueIsSaid(t *testing.T) {
	sink := &slow{may: make(chan struct{})}
	l := New(sink, slog.New(slog.DiscardHandler))
	big := Event{Operation: Create, Znode: strings.Repeat("x", mostBytes/4)}
	for range 12 {
		l.Push(big)
	}
	close(sink.may)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	lost := l.Stats.Lost.Load()
	if lost < 4 || lost+l.Stats.Written.Load() != 13 {
		t.Fatalf("%d lost, %d written", lost, l.Stats.Written.Load())
	}
	if want := fmt.Sprintf("operation=auditEventsLost\tznode=%d\tresult=failure", lost); sink.lines[len(sink.lines)-1] != want {
		t.Errorf("the record ends with %.80q, want %q", sink.lines[len(sink.lines)-1], want)
	}
}

func TestFailingSinkIsCounted(t *testing.T) {
	sink := &slow{may: make(chan struct{}), err: errors.New("no space")}
	close(sink.may)
	l := New(sink, slog.New(slog.DiscardHandler))
	l.Push(Event{Operation: Create})
	if err := l.Close(); err != nil || l.Stats.Lost.Load() != 1 {
		t.Errorf("%d lost, %v", l.Stats.Lost.Load(), err)
	}
}

func TestNoLogCostsNothing(t *testing.T) {
	var l *Log
	if n := testing.AllocsPerRun(100, func() { l.Push(Event{Operation: Create}) }); n != 0 || l.Close() != nil {
		t.Errorf("%v allocations", n)
	}
}
