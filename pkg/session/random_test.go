package session

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestRecordedPasswords computes the password of every session that ZooKeeper 3.8.0 and 3.9.5 opened in the
// transcripts.
func TestRecordedPasswords(t *testing.T) {
	files, err := filepath.Glob("../../testdata/golden*/client/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	seen := 0
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			var l struct {
				Dec struct{ Op, SessionID, Passwd string }
			}
			if json.Unmarshal(lines.Bytes(), &l) != nil || l.Dec.Op != "connectResponse" {
				continue
			}
			id, _ := strconv.ParseUint(l.Dec.SessionID, 0, 64)
			if id == 0 {
				continue
			}
			seen++
			pw, err := hex.DecodeString(l.Dec.Passwd)
			if err != nil || !PasswordOK(int64(id), pw) {
				t.Errorf("%s: session %#x has password %x, recorded %s", filepath.Base(name), id, Password(int64(id)), l.Dec.Passwd)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	if seen < 100 {
		t.Fatalf("only %d sessions in %d transcripts", seen, len(files))
	}
}

// check holds the invariants of a table against its contents.
func (t *Table) check() error {
	seated := 0
	for due, i := range t.buckets {
		for prev := none; i != none; prev, i = i, t.seats[i].next {
			s := t.seats[i]
			if s.due != due || s.prev != prev || t.index[s.id] != i {
				return fmt.Errorf("seat %d of bucket %v is %+v behind %d", i, due, s, prev)
			}
			seated++
		}
	}
	free := 0
	for i := t.free; i != none; i = t.seats[i].next {
		free++
	}
	if seated != len(t.index) || seated+free != len(t.seats) {
		return fmt.Errorf("%d seats hold %d sessions of %d, and %d are free", len(t.seats), seated, len(t.index), free)
	}
	return nil
}

// TestTableAgainstModel compares the table with a map from sessions to when they are due.
func TestTableAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { againstModel(t, seed) }) {
			t.Logf("replay: go test ./pkg/session -run 'TestTableAgainstModel/%d$'", seed)
		}
	}
}

func againstModel(t *testing.T, seed uint64) {
	const tick = 2 * time.Second
	r := rand.New(rand.NewPCG(seed, 3))
	table, due, heard := NewTable(tick), map[int64]time.Duration{}, map[int64]time.Duration{}
	bucket := func(at time.Duration) time.Duration { return at - at%tick + tick }
	now := time.Duration(0)
	for range 2000 {
		id, timeout := r.Int64N(40), time.Duration(r.IntN(20_000))*time.Millisecond
		switch r.IntN(5) {
		case 0, 1:
			table.Touch(id, timeout, now)
			due[id] = bucket(now + timeout)
		case 2:
			table.Remove(id)
			delete(due, id)
		case 3:
			heard[id] = now
		case 4:
			now += time.Duration(r.IntN(4000)) * time.Millisecond
			var want []int64
			for id, at := range due {
				last, ok := heard[id]
				if at > now {
					continue
				} else if again := bucket(last + 5*time.Second); ok && again > now {
					due[id] = again
				} else {
					want = append(want, id)
					delete(due, id)
				}
			}
			slices.Sort(want)
			got := table.Expire(now, func(id int64) (time.Duration, time.Duration, bool) {
				last, ok := heard[id]
				return last, 5 * time.Second, ok
			})
			if !slices.Equal(got, want) {
				t.Fatalf("at %v %v expire, want %v", now, got, want)
			}
		}
		if err := table.check(); err != nil {
			t.Fatal(err)
		}
		first, any := table.Next()
		for _, at := range due {
			if !any || at < first {
				t.Fatalf("next is %v, %v, but one is due at %v", first, any, at)
			}
		}
		if table.Len() != len(due) || any != (len(due) > 0) {
			t.Fatalf("%d sessions, want %d", table.Len(), len(due))
		}
	}
}

// TestManySessionsMoveWithoutAllocation touches 100,000 sessions through one tick after the other.
func TestManySessionsMoveWithoutAllocation(t *testing.T) {
	const sessions = 100_000
	table, now := NewTable(time.Second), time.Duration(0)
	round := func() {
		for id := range int64(sessions) {
			table.Touch(id, 30*time.Second, now)
		}
		now += time.Second
	}
	round()
	if n := testing.AllocsPerRun(5, round); n > 2 { // the map of buckets may grow
		t.Fatalf("a round of %d touches allocates %v times", sessions, n)
	}
	heard := func(int64) (time.Duration, time.Duration, bool) { return now, 30 * time.Second, true }
	table.Expire(now+time.Hour, func(int64) (time.Duration, time.Duration, bool) { return now + time.Hour, time.Minute, true })
	if n := testing.AllocsPerRun(1, func() { now += 2 * time.Hour; table.Expire(now, heard) }); n > 2 {
		t.Fatalf("moving %d sessions that were heard of allocates %v times", sessions, n)
	}
	if table.Len() != sessions {
		t.Fatalf("%d sessions are left", table.Len())
	}
}

func BenchmarkTouch(b *testing.B) {
	const sessions = 100_000
	table, now := NewTable(time.Second), time.Duration(0)
	i := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		if i++; i == sessions {
			i, now = 0, now+time.Second
		}
		table.Touch(i, 30*time.Second, now)
	}
}

func BenchmarkExpire(b *testing.B) {
	const sessions = 100_000
	table, now := NewTable(time.Second), time.Duration(0)
	for id := range int64(sessions) {
		table.Touch(id, 30*time.Second, now)
	}
	heard := func(int64) (time.Duration, time.Duration, bool) { return now, 30 * time.Second, true }
	b.ReportAllocs()
	for b.Loop() { // each finds all sessions due, and heard of
		now += time.Minute
		table.Expire(now, heard)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sessions, "ns/session")
}
