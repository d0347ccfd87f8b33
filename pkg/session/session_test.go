package session

import (
	"encoding/hex"
	"math"
	"slices"
	"testing"
	"time"
)

// TestPassword has ids and passwords that ZooKeeper 3.9.5 gave.
func TestPassword(t *testing.T) {
	const id = 0x1000055c513000c
	want, _ := hex.DecodeString("14244c3310569fd1a48e8669458fa8d3")
	if got := Password(id); !slices.Equal(got[:], want) {
		t.Fatalf("Password(%#x) = %x, want %x", id, got, want)
	}
	if !PasswordOK(id, want) || PasswordOK(id, want[:15]) || PasswordOK(id+1, want) || PasswordOK(id, nil) {
		t.Fatal("PasswordOK accepts what it should not, or the reverse")
	}
}

func TestIDs(t *testing.T) {
	ids := NewIDs(1, 1234567*time.Millisecond)
	none := func(int64) bool { return false }
	first := ids.Next(none)
	if want := int64(1)<<56 | 1234567<<24>>8; first != want {
		t.Fatalf("first id %#x, want %#x", first, want)
	}
	if second := ids.Next(none); second != first+1 {
		t.Fatalf("second id %#x, want %#x", second, first+1)
	}
	if id := ids.Next(func(id int64) bool { return id < first+5 }); id != first+5 {
		t.Fatalf("id %#x, want the first that does not live, %#x", id, first+5)
	}
	if id := (&IDs{next: math.MinInt64}).Next(none); id == math.MinInt64 {
		t.Fatal("a session has the owner of containers for its id")
	}
}

func TestExpiry(t *testing.T) {
	const tick = 2 * time.Second
	silent := func(int64) (time.Duration, time.Duration, bool) { return 0, 0, false }
	table := NewTable(tick)
	table.Touch(7, 4*time.Second, time.Second) // due at the first tick behind 5 s
	table.Touch(5, 4*time.Second, 0)           // behind 4 s: at 6 s as well
	table.Touch(9, 10*time.Second, 0)
	if got := table.Expire(6*time.Second-1, silent); len(got) != 0 {
		t.Fatalf("before its tick %v expires", got)
	}
	if got := table.Expire(6*time.Second, silent); !slices.Equal(got, []int64{5, 7}) {
		t.Fatalf("at its tick %v expires, want 5 and 7", got)
	}
	if table.Has(7) || !table.Has(9) || table.Len() != 1 {
		t.Fatal("what has expired is still there, or more than that is gone")
	}
	table.Touch(9, time.Second, 0)
	table.Remove(9)
	if got := table.Expire(time.Hour, silent); len(got) != 0 {
		t.Fatalf("a removed session expires: %v", got)
	}
}

// TestLazyTouch expires nobody who was heard of since, by the timeout that was agreed to last.
func TestLazyTouch(t *testing.T) {
	table := NewTable(time.Second)
	table.Touch(1, 4*time.Second, 0)
	table.Touch(2, 4*time.Second, 0)
	heard := func(id int64) (time.Duration, time.Duration, bool) { return 3 * time.Second, 10 * time.Second, id == 1 }
	if got := table.Expire(5*time.Second, heard); !slices.Equal(got, []int64{2}) {
		t.Fatalf("expired %v, want 2 alone", got)
	}
	if got := table.Expire(13*time.Second, heard); len(got) != 0 {
		t.Fatalf("expired %v within the new timeout", got)
	}
	if got := table.Expire(14*time.Second, heard); !slices.Equal(got, []int64{1}) {
		t.Fatalf("expired %v, want 1", got)
	}
}

func TestTouchAllocatesNothing(t *testing.T) {
	table := NewTable(time.Second)
	for id := range int64(100) {
		table.Touch(id, time.Minute, 0)
	}
	if n := testing.AllocsPerRun(100, func() { table.Touch(5, time.Minute, 0) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
