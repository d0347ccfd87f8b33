package peer

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// scriptedLog writes down what is asked of it, and fails where it is told to.
type scriptedLog struct {
	Log
	did  []string
	fail string
}

func (l *scriptedLog) do(format string, args ...any) error {
	step := fmt.Sprintf(format, args...)
	l.did = append(l.did, step)
	if step == l.fail {
		return errors.New("the disk is gone")
	}
	return nil
}

func (l *scriptedLog) Append(es []txn.Entry) error {
	return l.do("append %d..%d", es[0].Zxid, es[len(es)-1].Zxid)
}
func (l *scriptedLog) Sync() error                  { return l.do("sync") }
func (l *scriptedLog) SaveEpochs(a, c uint32) error { return l.do("epochs %d %d", a, c) }

func (l *scriptedLog) SaveNext(c *ensemble.Config) error { return l.do("next %v", c != nil) }

func (l *scriptedLog) Activate(c *ensemble.Config) error          { return l.do("activate %d", c.Version) }
func (l *scriptedLog) Install(any, []txn.Entry, proto.Zxid) error { return l.do("install") }
func (l *scriptedLog) Truncate(to proto.Zxid, _ bool) (Left, error) {
	if to == 0 {
		_ = l.do("truncate")
		return Left{}, ErrNoBase
	}
	return Left{Last: to}, l.do("truncate")
}

func someEntries(zs ...proto.Zxid) (es []txn.Entry) {
	for _, z := range zs {
		es = append(es, txn.Entry{Zxid: z, Bytes: make([]byte, 100)})
	}
	return es
}

// runLog has a log writer do all that is queued.
func runLog(log *scriptedLog, maxBatch int, queue func(w *logWriter)) (done []completion, failed error) {
	c := completions{}
	c.wake = newWaker()
	w := newLogWriter(&Config{Log: log, MaxBatch: maxBatch}, &Stats{}, &c, c.wake.poke, func() {}, func(err error) { failed = err })
	queue(w)
	w.close()
	w.run()
	return c.take(), failed
}

func TestTheDiskChangesInOrder(t *testing.T) {
	log := &scriptedLog{}
	done, failed := runLog(log, 1000, func(w *logWriter) {
		w.add(someEntries(1, 2), []zab.Store{zab.SaveEpochs{Accepted: 3, Current: 2}})
		w.add(someEntries(3), nil)
		w.add(someEntries(4), []zab.Store{zab.Truncate{To: 2}, zab.Truncate{}, zab.Install{}, zab.AppendBehind{Entries: someEntries(9)}})
		w.add(someEntries(10), nil)
		w.add(someEntries(11), nil)
		w.add(someEntries(12), []zab.Store{zab.SaveNext{Config: &ensemble.Config{}}, zab.AppendBehind{Entries: someEntries(13)}})
		w.add(nil, []zab.Store{zab.Activate{Config: &ensemble.Config{Version: 13}}, zab.SaveNext{}})
	})
	want := []string{
		"append 1..2", "sync", "epochs 3 2", "append 3..4", "sync", "truncate", "truncate", "install", "append 9..9", "sync",
		"append 10..12", "sync", "next true", "append 13..13", "sync", "activate 13", "next false",
	}
	if !slices.Equal(log.did, want) || failed != nil {
		t.Errorf("did %q, %v, want %q", log.did, failed, want)
	}
	wantDone := []completion{
		{synced: 2},
		{in: zab.Stored{}},
		{synced: 4},
		{in: zab.Stored{Last: 2}},
		{in: zab.Stored{NoBase: true}},
		{in: zab.Stored{}},
		{synced: 9},
		{in: zab.Stored{}},
		{synced: 12},
		{in: zab.Stored{}},
		{synced: 13},
		{in: zab.Stored{}},
		{in: zab.Stored{}},
		{in: zab.Stored{}},
	}
	if !slices.Equal(done, wantDone) {
		t.Errorf("reported %+v, want %+v", done, wantDone)
	}
}

func TestBatchesAreBoundedAndReportedOnce(t *testing.T) {
	log := &scriptedLog{}
	done, _ := runLog(log, 300, func(w *logWriter) { w.add(someEntries(1, 2, 3, 4, 5), nil) })
	want := []string{"append 1..2", "sync", "append 3..4", "sync", "append 5..5", "sync"}
	if !slices.Equal(log.did, want) || !slices.Equal(done, []completion{{synced: 5}}) {
		t.Errorf("did %q, reported %+v", log.did, done)
	}
}

// TestALazyLogIsWokenOnce for all that comes until its sync, and at once for what changes the disk otherwise.
func TestALazyLogIsWokenOnce(t *testing.T) {
	w := newLogWriter(&Config{Flush: Lazy}, &Stats{}, nil, nil, nil, nil)
	woken := func(es []txn.Entry, stores ...zab.Store) bool {
		w.add(es, stores)
		select {
		case <-w.wake:
			return true
		default:
			return false
		}
	}
	if !woken(someEntries(1)) || woken(someEntries(2)) || !woken(nil, zab.SaveEpochs{}) {
		t.Error("woken by what does not matter, or not by what does")
	}
}

func TestNothingIsReportedBehindAFailure(t *testing.T) {
	for _, c := range []struct {
		fail string
		done int
	}{{"append 1..2", 0}, {"sync", 0}, {"epochs 3 2", 1}, {"truncate", 2}, {"install", 3}, {"next true", 4}, {"activate 7", 5}} {
		log := &scriptedLog{fail: c.fail}
		done, failed := runLog(log, 1000, func(w *logWriter) {
			w.add(someEntries(1, 2), []zab.Store{zab.SaveEpochs{Accepted: 3, Current: 2}, zab.Truncate{To: 1}, zab.Install{}, zab.SaveNext{Config: &ensemble.Config{}}, zab.Activate{Config: &ensemble.Config{Version: 7}}})
			w.add(someEntries(3), nil)
		})
		if failed == nil || len(done) != c.done || log.did[len(log.did)-1] != c.fail {
			t.Errorf("%s fails: %v, did %q, reported %+v", c.fail, failed, log.did, done)
		}
	}
}
