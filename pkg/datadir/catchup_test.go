package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// TestBesideTheLogWriter plans, reads, purges and writes snapshots while the log writer appends and cuts.
func TestBesideTheLogWriter(t *testing.T) {
	o := memberOptions()
	o.Inline = false
	d, _ := openLoad(t, vfs.NewMem(1), o)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	beside := func(do func() error) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(); err != nil && !errors.Is(err, txnlog.ErrGone) && !errors.Is(err, txnlog.ErrCut) {
					t.Error(err)
					return
				}
			}
		})
	}
	beside(func() error {
		_, err := d.PlanFor(e1 + 5)
		return err
	})
	beside(func() error {
		c, err := d.ReadFrom(0)
		if err != nil {
			return err
		}
		defer c.Close()
		for last := proto.Zxid(0); ; {
			e, err := c.Next(e3)
			if err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			if !txnlog.Follows(last, e.Zxid) {
				return fmt.Errorf("%v comes behind %v", e.Zxid, last)
			}
			last = e.Zxid
		}
	})
	beside(func() error {
		_, err := d.Purge(3)
		return errors.Join(writeSnapshot(d, tree.New()), err)
	})
	z := e1
	for range 60 {
		appendSync(t, d, z+1, z+2, z+3, z+4)
		if last, base, err := d.Truncate(z + 3); last != z+3 || !base || err != nil {
			t.Errorf("Truncate(%v) = %v, %v, %v", z+3, last, base, err)
		}
		z += 3
	}
	close(stop)
	wg.Wait()
}

func TestReadFrom(t *testing.T) {
	disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2, e1 + 3}, []proto.Zxid{e1 + 4, e2 + 1})
	putSnapshot(t, disk, e1+2, e1+2)
	d, _ := openLoad(t, disk, memberOptions())
	appendSync(t, d, e2+2, e2+3)
	if _, err := d.ReadFrom(e1 + 1); !errors.Is(err, txnlog.ErrGone) {
		t.Errorf("behind what was not replayed: ReadFrom() = %v, want ErrGone", err)
	}
	c, err := d.ReadFrom(e1 + 2)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, z := range []proto.Zxid{e1 + 3, e1 + 4, e2 + 1, e2 + 2} {
		if e, err := c.Next(e2 + 2); err != nil || e.Zxid != z || !bytes.Equal(e.Bytes, setData(z).Bytes) {
			t.Errorf("Next() = %v, %v, want %v", e.Zxid, err, z)
		}
	}
	if _, err := c.Next(e2 + 2); !errors.Is(err, io.EOF) {
		t.Errorf("beyond the bound: Next() = %v, want io.EOF", err)
	}
	if err := d.Restore(at(e3 + 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(e3); !errors.Is(err, txnlog.ErrCut) {
		t.Errorf("after Restore(): Next() = %v, want ErrCut", err)
	}
}

// TestTrap7_CatchUpFromTheLog asks by ZooKeeper's rule: padding counts, the oldest file does not, and it must begin at
// or before the learner's zxid.
func TestTrap7_CatchUpFromTheLog(t *testing.T) {
	disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2, e1 + 3}, []proto.Zxid{e1 + 4, e1 + 5}, []proto.Zxid{e2 + 1, e2 + 2})
	padded, err := disk.Edit(memberDir + "log.100000004")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(padded.Truncate(2000), padded.Sync(), padded.Close()); err != nil {
		t.Fatal(err)
	}
	size := func(name string) float64 {
		st, err := disk.Stat(memberDir + name)
		if err != nil {
			t.Fatal(err)
		}
		return float64(st.Size)
	}
	both := (2000 + size("log.200000001")) / size("snapshot.0") // as a factor
	last := size("log.200000001") / size("snapshot.0")
	if last >= javaFactor || both < 1 {
		t.Fatalf("the files are of sizes that this test cannot use: %v %v", both, last)
	}
	for _, c := range []struct {
		name         string
		p            proto.Zxid
		factor       float64
		serves       bool
		below, above proto.Zxid
	}{
		{"any size", e1 + 1, 0, true, e1 + 1, e1 + 2},
		{"never", e1 + 1, -1, false, e1 + 1, e1 + 2},
		{"before the oldest file", e1, 0, false, 0, e1 + 1},
		{"an empty learner", 0, 0, false, 0, e1 + 1},
		{"padding makes it too much", e1 + 3, 1, false, e1 + 3, e1 + 4},
		{"at the first entry of a file, the one before counts as the oldest", e1 + 4, 1, false, e1 + 4, e1 + 5},
		{"the oldest file does not count", e1 + 5, last + 0.01, true, e1 + 5, e2 + 1},
		{"a little too much", e1 + 5, last - 0.01, false, e1 + 5, e2 + 1},
		{"a factor above 1 is the default", e1 + 5, both + 1, true, e1 + 5, e2 + 1},
		{"and that is not any size", e1 + 3, both + 1, false, e1 + 3, e1 + 4},
		{"missing within its epoch", e1 + 7, 0, true, e1 + 5, e2 + 1},
		{"at the beginning of an epoch", e2, 0, true, e1 + 5, e2 + 1},
		{"at the end", e2 + 2, 0, true, e2 + 2, 0},
		{"beyond the end", e3 + 9, 0, true, e2 + 2, 0},
	} {
		o := memberOptions()
		o.SnapshotSizeFactor = c.factor
		d, _ := openLoad(t, disk, o)
		if got, err := d.PlanFor(c.p); err != nil || got != (LogPlan{c.serves, c.below, c.above}) {
			t.Errorf("%s: PlanFor(%v) = %+v, %v, want %v %v %v", c.name, c.p, got, err, c.serves, c.below, c.above)
		}
		_ = d.Close()
	}
}

func TestTrap7_LogFromBeforeTheSnapshotIsNotOffered(t *testing.T) {
	disk := memberDisk(t, []proto.Zxid{e1 + 1, e1 + 2, e1 + 3}, []proto.Zxid{e2 + 1})
	putSnapshot(t, disk, e2, e2) // from a leader, which may not have had 0x100000003
	d, _ := openLoad(t, disk, memberOptions())
	for p, serves := range map[proto.Zxid]bool{e1 + 2: false, e1 + 3: false, e2: true, e2 + 1: true} {
		if got, err := d.PlanFor(p); err != nil || got.Serves != serves {
			t.Errorf("PlanFor(%v) = %+v, %v, want %v", p, got, err, serves)
		}
	}
}
