// Package audit keeps a record of who has changed what, in ZooKeeper's words: one line for each operation, its fields as
// key=value with tabs between them.
//
//	session=0x19344730001  user=alice,10.0.0.7  ip=10.0.0.7  operation=create  znode=/a  znode_type=persistent  result=success
//
// Whoever changes something only queues an Event; one goroutine writes the lines. A queue that is full loses events, which
// is counted, and said in the record itself.
package audit

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/zabd/zabd/pkg/metrics"
)

// The operations.
const (
	ServerStart     = "serverStart"
	ServerStop      = "serverStop"
	Create          = "create"
	Delete          = "delete"
	SetData         = "setData"
	SetACL          = "setAcl"
	Multi           = "multiOperation" // one that has failed
	Reconfig        = "reconfig"
	DeleteEphemeral = "ephemeralZNodeDeleteOnSessionClose"
	eventsLost      = "auditEventsLost" // not ZooKeeper's
)

// A Result is what became of an operation.
type Result uint8

// The results. What is invoked has no other result yet.
const (
	Success Result = iota
	Failure
	Invoked
)

func (r Result) String() string { return [...]string{"success", "failure", "invoked"}[r] }

// An Event is one line. What is empty is left out.
type Event struct {
	Session   int64
	User, IP  string
	Operation string
	Znode     string
	ZnodeType string
	ACL       string
	Result    Result
}

// AppendTo appends the line, without its end. No field can make another one: tabs and ends of lines are dropped.
func (e *Event) AppendTo(dst []byte) []byte {
	e.each(func(key, value string) {
		if len(dst) > 0 && dst[len(dst)-1] != '\n' {
			dst = append(dst, '\t')
		}
		dst = append(append(dst, key...), '=')
		for i := range len(value) {
			if c := value[i]; c != '\t' && c != '\n' && c != '\r' {
				dst = append(dst, c)
			}
		}
	})
	return dst
}

// each calls f with all fields that are not empty.
func (e *Event) each(f func(key, value string)) {
	session := ""
	if e.Session != 0 {
		session = "0x" + strconv.FormatUint(uint64(e.Session), 16)
	}
	for _, kv := range [...][2]string{
		{"session", session},
		{"user", e.User},
		{"ip", e.IP},
		{"operation", e.Operation},
		{"znode", e.Znode},
		{"znode_type", e.ZnodeType},
		{"acl", e.ACL},
		{"result", e.Result.String()},
	} {
		if kv[1] != "" {
			f(kv[0], kv[1])
		}
	}
}

// Fields returns the fields by their names.
func (e *Event) Fields() map[string]string {
	fields := make(map[string]string)
	e.each(func(key, value string) { fields[key] = value })
	return fields
}

// size is about how many bytes an event takes while it waits.
func (e *Event) size() int {
	const fixed = 128
	return fixed + len(e.User) + len(e.Znode) + len(e.ACL)
}

// A Sink takes the events in order, some at a time. An error loses those.
type Sink interface {
	Write(events []Event) error
	Close() error
}

// mostBytes bounds what may wait to be written.
const mostBytes = 16 << 20

// Stats counts events. The names are ours.
type Stats struct {
	Written metrics.Counter `metric:"audit_written_count"`
	Lost    metrics.Counter `metric:"audit_lost_count"`
}

// A Log is a record that is being kept.
type Log struct {
	Stats Stats
	sink  Sink
	say   *slog.Logger

	mu     sync.Mutex // guards what follows
	queue  []Event
	bytes  int
	lost   int64 // since the last line that says so
	closed bool

	wake chan struct{}
	done chan struct{}
}

// New keeps a record in sink, which the log owns from now on. say is told of what goes wrong.
func New(sink Sink, say *slog.Logger) *Log {
	l := &Log{sink: sink, say: say, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l
}

// Push queues an event. It never waits for the sink. A nil log takes nothing.
func (l *Log) Push(e Event) {
	if l == nil {
		return
	}
	l.mu.Lock()
	switch {
	case l.closed:
	case l.bytes+e.size() > mostBytes:
		l.lost++
		l.Stats.Lost.Add(1)
	default:
		l.queue = append(l.queue, e)
		l.bytes += e.size()
	}
	l.mu.Unlock()
	l.poke()
}

func (l *Log) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close writes what is queued and closes the sink.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.poke()
	<-l.done
	if err := l.sink.Close(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

func (l *Log) run() {
	defer close(l.done)
	var taken []Event
	for range l.wake {
		l.mu.Lock()
		l.queue, taken = taken[:0], l.queue
		l.bytes = 0
		lost, closed := l.lost, l.closed
		l.lost = 0
		l.mu.Unlock()
		if lost > 0 {
			l.say.Warn("the audit log is too slow: events are lost", "lost", lost)
			taken = append(taken, Event{Operation: eventsLost, Znode: strconv.FormatInt(lost, 10), Result: Failure})
		}
		l.write(taken)
		clear(taken)
		if closed {
			return
		}
	}
}

func (l *Log) write(events []Event) {
	if len(events) == 0 {
		return
	}
	if err := l.sink.Write(events); err != nil {
		l.Stats.Lost.Add(int64(len(events)))
		l.say.Error("the audit log cannot be written", "lost", len(events), "err", err)
		return
	}
	l.Stats.Written.Add(int64(len(events)))
}
