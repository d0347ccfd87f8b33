package datadir

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// A member is the life of a server in an ensemble on one disk, over all its crashes: entries, epochs, snapshots, and
// the cuts and the trees that leaders impose.
type member struct {
	rng    *rand.Rand
	disk   *vfs.Mem
	dir    string
	logDir string // another in half of the lives
	steps  int
	serial int // grows with each entry and is in its data: what was cut off must not come back

	// points are the states that the files can make: the first is a snapshot's, each other that behind one more entry.
	points []point
	acked  int      // the points up to here are durable
	other  []point  // while a cut or a tree from a leader takes its place: these instead, all of them
	epochs [2]int64 // accepted and current, durable
	wanted [2]int64 // being written

	d      *Dir
	tree   *tree.Tree
	cursor *txnlog.Cursor
	read   int // points that the cursor has given
}

type point struct {
	zxid   proto.Zxid
	digest uint64
	bytes  []byte
}

const memberSteps = 26

func newMember(seed uint64) *member {
	m := &member{
		rng: rand.New(rand.NewPCG(seed, 2)), disk: vfs.NewMem(seed), dir: "/srv/zabd", logDir: "/srv/zabd",
		points: []point{{digest: tree.New().Digest()}},
	}
	if seed%2 == 0 {
		m.logDir = "/srv/log"
	}
	return m
}

func (m *member) live() error {
	for m.steps < memberSteps {
		if err := m.start(); err != nil {
			return err
		}
	}
	return nil
}

// start runs the server until it is stopped, or the disk fails.
func (m *member) start() (err error) {
	m.d, err = Open(m.disk, Options{
		DataDir: m.dir, LogDir: m.logDir, PreAllocSize: 4096, MaxBatch: 700, ForceSync: true, Digest: true, Inline: true, CommitLog: 5,
	})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := m.d.Close(); err == nil {
			err = cerr
		}
	}()
	rec, err := m.d.Load()
	if err != nil {
		return err
	}
	if err := m.recover(rec); err != nil {
		return err
	}
	m.tree = rec.Tree
	if err := m.follow(); err != nil {
		return err
	}
	for n := 4 + m.rng.IntN(12); n > 0; n-- {
		m.steps++
		if err := m.step(); err != nil {
			return err
		}
		if err := m.readOn(); err != nil {
			return err
		}
	}
	return nil
}

// recover compares what a start has found with what there must be, and forgets what was lost.
func (m *member) recover(rec *Recovered) error {
	n := m.acked
	for n < len(m.points) && !m.points[n].is(rec) {
		n++
	}
	if n == len(m.points) {
		if len(m.other) == 0 || !m.other[len(m.other)-1].is(rec) {
			return fmt.Errorf("%w: found %v, which is none of %v from %d on, nor the last of %v", errWrong, rec.Last, m.points, m.acked, m.other)
		}
		n, m.points = len(m.other)-1, m.other
	}
	m.points, m.acked, m.other = m.points[:n+1], n, nil
	for i, e := range rec.Recent {
		p := m.points[n+1-len(rec.Recent)+i]
		if p.zxid != e.Zxid || string(p.bytes) != string(e.Bytes) {
			return fmt.Errorf("%w: recent entry %v is not what was appended as %v", errWrong, e.Zxid, p.zxid)
		}
	}
	got := [2]int64{int64(rec.AcceptedEpoch), int64(rec.CurrentEpoch)}
	for i := range got {
		logged := int64(rec.Last.Epoch())
		if e := got[i]; e != max(m.epochs[i], logged) && e != max(m.wanted[i], logged) || got[1] > got[0] {
			return fmt.Errorf("%w: epochs %v at %v, were %v and should become %v", errWrong, got, rec.Last, m.epochs, m.wanted)
		}
	}
	m.epochs, m.wanted = got, got
	return nil
}

func (p point) is(rec *Recovered) bool {
	return p.zxid == rec.Last && p.zxid == rec.Tree.LastZxid() && p.digest == rec.Tree.Digest()
}

func (p point) String() string { return p.zxid.String() }

func (m *member) last() proto.Zxid { return m.points[len(m.points)-1].zxid }

func (m *member) step() error {
	switch n := m.rng.IntN(12); {
	case n < 6:
		return m.append()
	case n < 7:
		return m.newEpoch()
	case n < 9:
		return m.truncate()
	case n < 10:
		return m.restore()
	}
	if err := writeSnapshot(m.d, m.tree); err != nil {
		return err
	}
	_, err := m.d.Purge(1 + m.rng.IntN(3))
	return err
}

// make makes the entry with the zxid and applies it.
func (m *member) make(t *tree.Tree, z proto.Zxid) point {
	m.serial++
	x := txn.Txn{Header: txn.Header{Session: 7, Cxid: int32(m.serial), Zxid: z, Type: proto.OpCreate}}
	x.Path, x.ACL, x.ParentCVersion = fmt.Sprintf("/n%d", m.serial), proto.WorldAll(), int32(m.serial)
	x.Data = make([]byte, m.rng.IntN(1000))
	var res tree.Result
	t.Apply(&x, &res)
	x.Digest, x.HasDigest = txn.Digest{Version: txn.DigestVersion, Tree: t.Digest()}, true
	return point{z, t.Digest(), x.Entry().Bytes}
}

func (m *member) append() error {
	var es []txn.Entry
	for range 1 + m.rng.IntN(4) {
		p := m.make(m.tree, m.last()+1)
		m.points = append(m.points, p)
		es = append(es, txn.Entry{Zxid: p.zxid, Bytes: p.bytes})
	}
	if err := errors.Join(m.d.Append(es), m.d.Sync()); err != nil {
		return err
	}
	m.acked = len(m.points) - 1
	return nil
}

func (m *member) saveEpochs(accepted, current int64) error {
	m.wanted = [2]int64{accepted, current}
	err := m.d.SaveEpochs(uint32(accepted), uint32(current))
	if err == nil {
		m.epochs = m.wanted
	}
	return err
}

// newEpoch logs the first entry of a new epoch: as a learner does, before the epoch is its current one, or as a leader.
func (m *member) newEpoch() error {
	e := m.epochs[0] + 1 + int64(m.rng.IntN(2))
	current := m.epochs[1]
	if m.rng.IntN(2) == 0 {
		current = e
	}
	if err := m.saveEpochs(e, current); err != nil {
		return err
	}
	p := m.make(m.tree, proto.MakeZxid(uint32(e), 1))
	m.points = append(m.points, p)
	if err := errors.Join(m.d.Append([]txn.Entry{{Zxid: p.zxid, Bytes: p.bytes}}), m.d.Sync()); err != nil {
		return err
	}
	m.acked = len(m.points) - 1
	return m.saveEpochs(e, e)
}

func (m *member) truncate() error {
	if m.rng.IntN(6) == 0 { // to what is not there
		if last, base, err := m.d.Truncate(m.last() + 3); base || err != nil {
			return fmt.Errorf("%w: a cut at %v, which is not there: %v, %v, %w", errWrong, m.last()+3, last, base, err)
		}
		return nil
	}
	n := m.rng.IntN(len(m.points))
	z := m.points[n].zxid
	if n+1 < len(m.points) && m.points[n+1].zxid.Epoch() > z.Epoch() && m.rng.IntN(2) == 0 {
		z = proto.MakeZxid(m.points[n+1].zxid.Epoch(), 0)
	}
	oldest, err := m.oldestSnapshot()
	if err != nil {
		return err
	}
	m.other = m.points[: n+1 : n+1]
	last, base, err := m.d.Truncate(z)
	switch {
	case err != nil:
		return err
	case base != (oldest <= z):
		return fmt.Errorf("%w: Truncate(%v) has a base: %v, and the oldest snapshot is at %v", errWrong, z, base, oldest)
	case !base:
		m.other = nil
		return nil
	case last != m.points[n].zxid:
		return fmt.Errorf("%w: Truncate(%v) = %v, want %v", errWrong, z, last, m.points[n].zxid)
	}
	m.points, m.acked, m.other = m.other, n, nil
	rec, err := m.d.Reload()
	if err != nil {
		return err
	}
	if !m.points[n].is(rec) {
		return fmt.Errorf("%w: behind the cut at %v the tree is another", errWrong, z)
	}
	m.tree = rec.Tree
	return m.recut()
}

func (m *member) oldestSnapshot() (oldest proto.Zxid, err error) {
	oldest = 1<<63 - 1
	names, err := m.disk.ReadDir(filepath.Join(m.dir, versionDir))
	for _, name := range names {
		if z, _, ok := snapshot.ParseName(name); ok {
			oldest = min(oldest, z)
		}
	}
	return oldest, err
}

// restore takes a tree from a leader, of this epoch or the next; it may be at a lower zxid.
func (m *member) restore() error {
	z := proto.MakeZxid(m.last().Epoch()+uint32(m.rng.IntN(2)), uint32(m.rng.IntN(30)))
	if err := m.saveEpochs(max(m.epochs[0], int64(z.Epoch())), m.epochs[1]); err != nil {
		return err
	}
	t := tree.New()
	var p point
	for range 1 + m.rng.IntN(5) {
		p = m.make(t, z)
	}
	m.other = []point{{zxid: z, digest: p.digest}}
	if err := m.d.Restore(t); err != nil {
		return err
	}
	m.points, m.acked, m.other, m.tree = m.other, 0, nil, t
	return m.recut()
}

// follow opens a cursor behind all there is.
func (m *member) follow() (err error) {
	m.read = len(m.points)
	m.cursor, err = m.d.ReadFrom(m.last())
	return err
}

// recut makes sure that the cursor has noticed the cut.
func (m *member) recut() error {
	if e, err := m.cursor.Next(1<<63 - 1); !errors.Is(err, txnlog.ErrCut) {
		return fmt.Errorf("%w: a cursor goes on over a cut: %v, %w", errWrong, e.Zxid, err)
	}
	return m.follow()
}

// readOn reads with the cursor what was appended.
func (m *member) readOn() error {
	for {
		e, err := m.cursor.Next(1<<63 - 1)
		if errors.Is(err, io.EOF) && m.read == len(m.points) {
			return nil
		}
		if errors.Is(err, vfs.ErrCrashed) || errors.Is(err, errFault) {
			return err
		}
		if err != nil || m.read == len(m.points) || string(e.Bytes) != string(m.points[m.read].bytes) {
			return fmt.Errorf("%w: the cursor gives %v, %w, of %d entries it has given %d", errWrong, e.Zxid, err, len(m.points), m.read)
		}
		m.read++
	}
}

func (m *member) crashOnce(op int) error {
	m.disk.CrashAt(op)
	again := rand.New(rand.NewPCG(m.rng.Uint64(), uint64(op)))
	for range 5 {
		err := m.live()
		if err == nil {
			return nil
		}
		if !errors.Is(err, vfs.ErrCrashed) {
			return err
		}
		m.disk = m.disk.Crash()
		m.disk.CrashAt(1 + again.IntN(30))
	}
	m.disk.CrashAt(0)
	m.disk = m.disk.Crash()
	return m.live()
}

// TestMemberCrashesAtEveryOperation crashes a life at each of its operations in turn, and again while it recovers.
func TestMemberCrashesAtEveryOperation(t *testing.T) {
	manyTrees(t)
	for _, seed := range crashSeeds(2) {
		m := newMember(seed)
		if err := m.live(); err != nil {
			t.Fatalf("without a crash: %v\nreplay: go test ./pkg/datadir -run %s -datadir.seed=%d", err, t.Name(), seed)
		}
		for op := 1; op <= m.disk.Ops(); op += stride {
			if err := newMember(seed).crashOnce(op); err != nil {
				t.Fatalf("crash at operation %d: %v\nreplay: go test ./pkg/datadir -run %s -datadir.seed=%d", op, err, t.Name(), seed)
			}
		}
	}
}

// TestMemberFailsAtEveryOperation lets each operation fail once. The server stops, and started again it has lost nothing.
func TestMemberFailsAtEveryOperation(t *testing.T) {
	manyTrees(t)
	for _, seed := range crashSeeds(1) {
		m := newMember(seed)
		if err := m.live(); err != nil {
			t.Fatal(err)
		}
		for op := 1; op <= m.disk.Ops(); op += stride {
			m := newMember(seed)
			m.disk.SetFault(func(o vfs.Op) error {
				if o.N == op {
					return errFault
				}
				return nil
			})
			err := m.live()
			if errors.Is(err, errFault) {
				m.disk = m.disk.Crash()
				err = m.live()
			}
			if err != nil {
				t.Fatalf("fault at operation %d: %v\nreplay: go test ./pkg/datadir -run %s -datadir.seed=%d", op, err, t.Name(), seed)
			}
		}
	}
}
