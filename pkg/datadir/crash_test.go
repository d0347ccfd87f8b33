package datadir

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

var crashSeed = flag.Uint64("datadir.seed", 0, "run the crash tests with this seed only")

// world is a server's life on one disk, over all its crashes: what it has appended, what it was told is durable, and
// the digest of the tree behind each entry.
type world struct {
	rng     *rand.Rand
	disk    *vfs.Mem
	entries []txn.Entry
	digests []uint64
	acked   int
	beside  bool // files are prepared on a goroutine
	lazy    bool
	life    int // grows with each start, and is in the data of every entry: what was lost must not come back
}

const (
	worldDir     = "/srv/zabd"
	worldEntries = 70
)

func newWorld(seed uint64) *world {
	return &world{
		rng: rand.New(rand.NewPCG(seed, 1)), disk: vfs.NewMem(seed), digests: []uint64{tree.New().Digest()},
		lazy: seed%2 == 0,
	}
}

func (w *world) options() Options {
	return Options{
		DataDir: worldDir, PreAllocSize: 4096, MaxBatch: 1200, SnapCount: 14, ForceSync: true, Digest: true, Sole: true,
		Rand: w.rng.IntN, Inline: !w.beside, CommitLog: 9, Lazy: w.lazy,
	}
}

// next makes the entry behind all that were appended.
func (w *world) next(t *tree.Tree) txn.Entry {
	n := len(w.entries) + 1
	x := txn.Txn{Header: txn.Header{Session: 7, Cxid: int32(n), Zxid: proto.Zxid(n), Time: int64(n)}}
	data := make([]byte, w.rng.IntN(200))
	if w.rng.IntN(12) == 0 {
		data = make([]byte, 1000+w.rng.IntN(3000)) // longer than a batch
	}
	for i := range data {
		data[i] = byte(w.life)
	}
	switch {
	case n == 1:
		x.Header.Type, x.Timeout = proto.OpCreateSession, 4000
	case n%5 == 0:
		x.Header.Type, x.Path, x.Data, x.Version = proto.OpSetData, fmt.Sprintf("/n%d", n-3), data, 1
	default:
		x.Header.Type, x.Path, x.Data, x.ACL, x.ParentCVersion = proto.OpCreate, fmt.Sprintf("/n%d", n), data, proto.WorldAll(), int32(n)
		x.Ephemeral = n%7 == 0
	}
	var res tree.Result
	t.Apply(&x, &res)
	x.Digest, x.HasDigest = txn.Digest{Version: txn.DigestVersion, Tree: t.Digest()}, true
	w.digests = append(w.digests, t.Digest())
	return x.Entry()
}

// live runs the server until all is written or the disk fails, which is the error.
func (w *world) live() error {
	for {
		done, err := w.start()
		if done || err != nil {
			return err
		}
	}
}

func (w *world) start() (done bool, err error) {
	w.life++
	d, err := Open(w.disk, w.options())
	if err != nil {
		return false, err
	}
	defer func() {
		if cerr := d.Close(); err == nil {
			err = cerr
		}
	}()
	rec, err := d.Load()
	if err != nil {
		return false, err
	}
	if err := w.check(rec); err != nil {
		return false, err
	}
	for batches := 0; len(w.entries) < worldEntries; batches++ {
		if batches == 9 {
			return false, nil // stop and start again
		}
		if err := w.batch(d, rec.Tree); err != nil {
			return false, err
		}
	}
	return true, nil
}

// check compares what was recovered with what there must be, and forgets what was lost.
func (w *world) check(rec *Recovered) error {
	n := int(rec.Last)
	switch {
	case n < w.acked:
		return fmt.Errorf("%w: recovered %d entries of %d acknowledged", errWrong, n, w.acked)
	case n > len(w.entries):
		return fmt.Errorf("%w: recovered %d entries of %d", errWrong, n, len(w.entries))
	case rec.Tree.Digest() != w.digests[n] || rec.Tree.LastZxid() != rec.Last:
		return fmt.Errorf("%w: the tree at %d is not what it was", errWrong, n)
	case rec.DigestMismatches > 0:
		return fmt.Errorf("%w: %q", errWrong, rec.Warnings)
	}
	for i, e := range rec.Recent {
		if at := n - len(rec.Recent) + i; e.Zxid != proto.Zxid(at+1) || string(e.Bytes) != string(w.entries[at].Bytes) {
			return fmt.Errorf("%w: recent entry %d is not what was appended", errWrong, at)
		}
	}
	w.entries, w.digests = w.entries[:n], w.digests[:n+1]
	w.acked = n // whoever has read it relies on it
	return nil
}

var errWrong = errors.New("wrong")

func (w *world) batch(d *Dir, t *tree.Tree) error {
	var es []txn.Entry
	for range 1 + w.rng.IntN(4) {
		es = append(es, w.next(t))
		w.entries = append(w.entries, es[len(es)-1])
	}
	if err := d.Append(es); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	w.acked = len(w.entries)
	if !d.SnapshotDue() {
		return nil
	}
	if err := writeSnapshot(d, t); err != nil {
		return err
	}
	_, err := d.Purge(2)
	return err
}

func writeSnapshot(d *Dir, t *tree.Tree) error {
	f, err := d.CreateSnapshot(t.LastZxid())
	if err != nil {
		return err
	}
	if err := f.writeTree(t, true); err != nil {
		f.Abort()
		return err
	}
	return f.Commit()
}

func crashSeeds(n int) []uint64 {
	if *crashSeed != 0 {
		return []uint64{*crashSeed}
	}
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = uint64(i + 1)
	}
	return seeds
}

// manyTrees lets a test make trees by the thousand: each is half a megabyte, and collecting them took most of the time.
func manyTrees(t *testing.T) {
	old := debug.SetGCPercent(800)
	t.Cleanup(func() { debug.SetGCPercent(old) })
}

// TestCrashAtEveryOperation crashes a life at each of its operations in turn, and again while it recovers.
func TestCrashAtEveryOperation(t *testing.T) {
	manyTrees(t)
	for _, seed := range crashSeeds(2) {
		w := newWorld(seed)
		if err := w.live(); err != nil {
			t.Fatalf("without a crash: %v\nreplay: go test ./pkg/datadir -run %s -datadir.seed=%d", err, t.Name(), seed)
		}
		for op := 1; op <= w.disk.Ops(); op += stride {
			if err := crashOnce(newWorld(seed), op); err != nil {
				t.Fatalf("crash at operation %d: %v\nreplay: go test ./pkg/datadir -run %s -datadir.seed=%d", op, err, t.Name(), seed)
			}
		}
	}
}

func crashOnce(w *world, op int) error {
	w.disk.CrashAt(op)
	again := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(op)))
	for range 6 {
		err := w.live()
		if err == nil {
			return nil
		}
		if !errors.Is(err, vfs.ErrCrashed) {
			return err
		}
		w.disk = w.disk.Crash()
		w.disk.CrashAt(1 + again.IntN(25))
	}
	w.disk.CrashAt(0)
	w.disk = w.disk.Crash()
	return w.live()
}

// TestCrashBesideThePreparer does so with the goroutine that prepares files, in no order that a seed decides.
func TestCrashBesideThePreparer(t *testing.T) {
	for _, seed := range crashSeeds(3) {
		for op := 10; op < 400; op += 13 {
			w := newWorld(seed)
			w.beside = true
			if err := crashOnce(w, op); err != nil {
				t.Fatalf("crash at operation %d: %v\nreplay: go test ./pkg/datadir -run %s -datadir.seed=%d", op, err, t.Name(), seed)
			}
		}
	}
}

// TestFaultAtEveryOperation lets each operation fail once. The server stops with the error; started again it has lost
// nothing, and what it has then shown survives a crash.
func TestFaultAtEveryOperation(t *testing.T) {
	manyTrees(t)
	for _, seed := range crashSeeds(1) {
		w := newWorld(seed)
		if err := w.live(); err != nil {
			t.Fatal(err)
		}
		for op := 1; op <= w.disk.Ops(); op += stride {
			if err := failOnce(seed, op); err != nil {
				t.Fatalf("fault at operation %d: %v\nreplay: go test ./pkg/datadir -run %s -datadir.seed=%d", op, err, t.Name(), seed)
			}
		}
	}
}

var errFault = errors.New("input/output error")

func failOnce(seed uint64, op int) error {
	w := newWorld(seed)
	w.disk.SetFault(func(o vfs.Op) error {
		if o.N == op {
			return errFault
		}
		return nil
	})
	err := w.live()
	if err == nil {
		return nil // the server could do without
	}
	if !errors.Is(err, errFault) {
		return err
	}
	var disk *DiskError
	if !errors.As(err, &disk) || disk.Path == "" {
		return fmt.Errorf("the error names no file: %w", err)
	}
	w.disk.CrashAt(w.disk.Ops() + 1 + int(seed)%60)
	for err = w.live(); err != nil; err = w.live() {
		if !errors.Is(err, vfs.ErrCrashed) {
			return fmt.Errorf("after the repair: %w", err)
		}
		w.disk = w.disk.Crash()
	}
	return nil
}
