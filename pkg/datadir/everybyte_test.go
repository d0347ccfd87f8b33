package datadir

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// imageDir is where an image's files lie.
const imageDir = "/data/version-2"

// An image is what a directory holds, by name.
type image map[string][]byte

// disk returns a disk with these files.
func (im image) disk(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem(1)
	if err := m.MkdirAll(imageDir); err != nil {
		t.Fatal(err)
	}
	for name, b := range im {
		f, err := m.Create(filepath.Join(imageDir, name))
		if err == nil {
			_, err = f.Write(b)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// take makes an image of the files that a server has closed. Of what is prepared behind a log's entries it leaves little.
func take(t *testing.T, files vfs.FS, dir string) image {
	t.Helper()
	im := image{}
	names, err := files.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := files.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if _, is := txnlog.ParseName(name); is {
			b = b[:min(len(b), len(bytes.TrimRight(b, "\x00"))+40)]
		}
		if name != lockName {
			im[name] = b
		}
	}
	return im
}

// everything tells all of a tree, sessions and ACLs too, which its digest leaves out.
func everything(tr *tree.Tree) string {
	var b strings.Builder
	fmt.Fprintln(&b, tr.LastZxid(), tr.Digest(), tr.NodeCount(), tr.EphemeralCount(), tr.DataSize())
	sessions := map[int64]int32{}
	tr.Sessions(func(id int64, timeout int32) { sessions[id] = timeout })
	fmt.Fprintln(&b, sessions)
	var walk func(path string)
	walk = func(path string) {
		r, _ := tr.Find(cmp.Or(path, "/"))
		fmt.Fprintln(&b, path, tr.Persisted(r), tr.Data(r), tr.Data(r) == nil, tr.ACL(r))
		var names []string
		tr.Children(r, func(name string) bool {
			names = append(names, name)
			return true
		})
		slices.Sort(names)
		for _, name := range names {
			walk(path + "/" + name)
		}
	}
	walk("")
	return b.String()
}

// record is where an entry stands in a log.
type record struct {
	at   int
	zxid proto.Zxid
}

// truth is what an image that is whole makes: the tree behind each zxid, and where the entries are.
type truth struct {
	states map[proto.Zxid]string
	last   proto.Zxid
	logs   map[string][]record
	ends   map[string]int // of the entries of a log
}

// truthOf reads an image by itself, from its oldest snapshot on.
func truthOf(t *testing.T, im image) *truth {
	t.Helper()
	w := &truth{states: map[proto.Zxid]string{}, logs: map[string][]record{}, ends: map[string]int{}}
	m, tr := im.disk(t), tree.Empty()
	var snaps, logs []found
	for name := range im {
		if z, how, ok := snapshot.ParseName(name); ok {
			snaps = append(snaps, found{z, name, how})
		}
		if z, ok := txnlog.ParseName(name); ok {
			logs = append(logs, found{zxid: z, path: name})
		}
	}
	order := func(a, b found) int { return cmp.Compare(a.zxid, b.zxid) }
	slices.SortFunc(logs, order)
	first := slices.MinFunc(snaps, order)
	if _, err := snapshot.ReadFile(m, filepath.Join(imageDir, first.path), first.how, tr, first.zxid); err != nil {
		t.Fatal(err)
	}
	w.last = first.zxid
	w.states[w.last] = everything(tr)
	for _, l := range logs {
		w.follow(t, m, l.path, tr)
	}
	return w
}

func (w *truth) follow(t *testing.T, m *vfs.Mem, name string, tr *tree.Tree) {
	t.Helper()
	r, err := txnlog.Open(m, filepath.Join(imageDir, name), txnlog.DefaultMaxRecord)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var x txn.Txn
	var res tree.Result
	for {
		at := int(r.Offset())
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			w.ends[name] = at
			return
		}
		if err == nil {
			err = x.Decode(e.Bytes)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.logs[name] = append(w.logs[name], record{at, e.Zxid})
		if above(e.Zxid, w.last) {
			tr.Apply(&x, &res)
			w.last = e.Zxid
			w.states[w.last] = everything(tr)
		}
	}
}

// spoilings are the ways in which one byte goes wrong, or all from there on.
var spoilings = []struct {
	how   string
	spoil func(b []byte, at int) []byte
}{
	{"with a bit flipped", func(b []byte, at int) []byte { b[at] ^= 1; return b }},
	{"with all bits flipped", func(b []byte, at int) []byte { b[at] ^= 0xff; return b }},
	{"zeroed", func(b []byte, at int) []byte { b[at] = 0; return b }},
	{cutThere, func(b []byte, at int) []byte { return b[:at] }},
}

const cutThere = "cut there"

// start opens an image. What loads is loaded again from what the first start has made of the files.
func (im image) start(t *testing.T, o Options) (*Recovered, error) {
	t.Helper()
	m := im.disk(t)
	load := func() (*Recovered, error) {
		d, err := Open(m, o)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.Load()
	}
	rec, err := load()
	if err != nil {
		return nil, err
	}
	again, err := load()
	if err != nil || again.Last != rec.Last || everything(again.Tree) != everything(rec.Tree) {
		t.Errorf("a second start finds another tree: %v", err)
	}
	return rec, nil
}

// cut tells whether a start may go on with the entries before the damage: where the file is simply shorter, or what is
// lost may have been the last batch, which was promised to nobody.
func (w *truth) cut(name string, at int, how string, batch int, rec *Recovered) bool {
	records, bad := w.logs[name], w.ends[name]
	last := records[0].zxid - 1 // of the file before
	for i, r := range records {
		if i+1 == len(records) && at < w.ends[name] || i+1 < len(records) && at < records[i+1].at {
			bad = r.at
			break
		}
		last = r.zxid
	}
	if newest := records[len(records)-1].at; how != cutThere && newest > bad+batch {
		return false
	}
	return rec.Last == last && everything(rec.Tree) == w.states[last]
}

// A ruin is a file of an image that is spoiled.
type ruin struct {
	what string
	im   image
	o    Options
	name string
	step int    // 1 = every byte
	want string // what becomes of it: "exact", "refused", or "cut" at the damage
}

// run spoils each byte in each way. What a start makes of it is the exact tree, or a refusal that names the file and the
// offset, or the entries before the damage if they are a log's that may be cut.
func (c *ruin) run(t *testing.T) {
	w, whole := truthOf(t, c.im), c.im[c.name]
	if rec, err := c.im.start(t, c.o); err != nil || everything(rec.Tree) != w.states[w.last] {
		t.Fatalf("as it is: %v", err)
	}
	found := map[string]int{}
	for at := 0; at < len(whole); at += c.step * stride {
		for _, s := range spoilings {
			bad := maps.Clone(c.im)
			bad[c.name] = s.spoil(bytes.Clone(whole), at)
			rec, err := bad.start(t, c.o)
			var damage *DamageError
			switch {
			case err == nil && rec.Last == w.last && everything(rec.Tree) == w.states[w.last]:
				found["exact"]++
			case err == nil && strings.Contains(c.want, "cut") && w.cut(c.name, at, s.how, c.o.MaxBatch, rec):
				found["cut"]++
			case err == nil:
				t.Errorf("byte %d of %d %s: a wrong tree at %v: %q", at, len(whole), s.how, rec.Last, rec.Warnings)
			case errors.As(err, &damage) && strings.Contains(err.Error(), c.name) && (strings.Contains(err.Error(), " at offset ") || strings.HasSuffix(c.name, "Epoch")):
				found["refused"]++
			default:
				t.Errorf("byte %d of %d %s: %v", at, len(whole), s.how, err)
			}
			if t.Failed() {
				return // the rest is alike
			}
		}
	}
	if got := strings.Join(slices.Sorted(maps.Keys(found)), " "); got != c.want && stride == 1 {
		t.Errorf("it ends in %v, want all of %s and nothing else", found, c.want)
	}
	t.Logf("%s of %d bytes: %v", c.name, len(whole), found)
}

// everyKind are txns of all kinds from a zxid on, prepared on a tree that is at the one before.
func everyKind(t *tree.Tree, first proto.Zxid) (es []txn.Entry) {
	const session = 0x100000000000007
	z := first
	dir := fmt.Sprintf("/d%x", int64(first))
	var res tree.Result
	add := func(typ proto.Op, fill func(x *txn.Txn)) {
		x := txn.Txn{Header: txn.Header{Session: session, Cxid: int32(z.Counter()), Zxid: z, Time: 1700000000000, Type: typ}}
		fill(&x)
		t.Apply(&x, &res)
		if typ != proto.OpError {
			x.Digest, x.HasDigest = txn.Digest{Version: txn.DigestVersion, Tree: t.Digest()}, true
		}
		es = append(es, x.Entry())
		z++
	}
	node := func(path string, c int32) func(x *txn.Txn) {
		return func(x *txn.Txn) {
			x.Path, x.Data, x.ACL, x.ParentCVersion = path, []byte(path), proto.WorldAll(), c
		}
	}
	add(proto.OpCreateSession, func(x *txn.Txn) { x.Timeout = 4000 })
	add(proto.OpCreate, node(dir, -1))
	add(proto.OpCreate, func(x *txn.Txn) { node(dir+"/e", 1)(x); x.Ephemeral = true })
	add(proto.OpCreateContainer, node(dir+"/c", 2))
	add(proto.OpCreateTTL, func(x *txn.Txn) { node(dir+"/t", 3)(x); x.TTL = 60000 })
	add(proto.OpError, func(x *txn.Txn) { x.Err = proto.NoNode })
	add(proto.OpSetACL, func(x *txn.Txn) {
		x.Path, x.Version = dir+"/c", 1
		x.ACL = []proto.ACL{{Perms: proto.PermRead, ID: proto.ID{Scheme: "digest", ID: "u:p"}}}
	})
	add(proto.OpMulti, func(x *txn.Txn) {
		x.Subs = []txn.Body{
			{Type: proto.OpCreate, Path: dir + "/m", ACL: proto.WorldAll(), ParentCVersion: 4},
			{Type: proto.OpSetData, Path: dir + "/m", Data: []byte("m"), Version: 1},
			{Type: proto.OpDelete, Path: dir + "/t"},
			{Type: proto.OpCheck, Path: dir},
		}
	})
	add(proto.OpSetData, func(x *txn.Txn) { x.Path, x.Data, x.Version = dir+"/m", []byte("new"), 2 })
	add(proto.OpDeleteContainer, func(x *txn.Txn) { x.Path = dir + "/c" })
	add(proto.OpDelete, func(x *txn.Txn) { x.Path = dir + "/m" })
	add(proto.OpCloseSession, func(x *txn.Txn) { x.Paths, x.HasPaths = []string{dir + "/e"}, true })
	return es
}

// written is what a server leaves that has written these entries, each group in a file of its own, and a snapshot
// behind the first group.
func written(t *testing.T, o Options, groups ...proto.Zxid) image {
	t.Helper()
	m := vfs.NewMem(1)
	d, rec := openLoad(t, m, o)
	for i, first := range groups {
		if err := d.Append(everyKind(rec.Tree, first)); err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		d.log.Roll()
		if i == 0 {
			if err := writeSnapshot(d, rec.Tree); err != nil {
				t.Fatal(err)
			}
		}
		if !o.Sole {
			if err := d.SaveEpochs(first.Epoch(), first.Epoch()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return take(t, m, imageDir)
}

func (im image) without(names ...string) image {
	im = maps.Clone(im)
	for _, name := range names {
		if im[name] == nil {
			panic("no " + name + " in " + fmt.Sprint(slices.Sorted(maps.Keys(im))))
		}
		delete(im, name)
	}
	return im
}

// recorded is what ZooKeeper has left.
func recorded(t *testing.T, name string) image {
	t.Helper()
	return take(t, vfs.Disk(), filepath.Join(golden("golden39", "storage", name, "data"), "version-2"))
}

// compressed is what a server leaves that compresses its snapshots, and has only the newest of them.
func compressed(t *testing.T, o Options, how snapshot.Compression) image {
	t.Helper()
	o.Compression = how
	return written(t, o, 1, 13).without("snapshot.0"+how.Suffix(), "log.1")
}

// TestEveryByte spoils each byte of small files. Adler-32 finds any one byte that is wrong; what this is about is all that
// no checksum covers: lengths, marks, names, the forms of an end, what compression adds, and where files are joined.
func TestEveryByte(t *testing.T) {
	manyTrees(t)
	o := memOptions()
	o.MaxBatch = 200
	member := o
	member.Sole = false
	alone, joined := written(t, o, 1, 13, 25), written(t, member, 0xb00000001, 0xc00000001, 0xd00000001)
	alone["log.19"] = append(bytes.TrimRight(alone["log.19"], "\x00"), alone["log.19"][16:60]...) // torn
	torn := recorded(t, "killed-torn-tail")
	for _, c := range []ruin{
		{"an earlier log", alone.without("snapshot.c"), o, "log.1", 1, "exact refused"},
		{"an earlier log, whose entries the snapshot has", alone, o, "log.1", 3, "exact refused"},
		{"the newest log", alone, o, "log.19", 1, "cut exact refused"},
		{"an earlier log of another epoch", joined.without("snapshot.b0000000c"), member, "log.c00000001", 1, "exact refused"},
		{"the accepted epoch", joined, member, acceptedName, 1, "refused"},
		{"the current epoch", joined, member, currentName, 1, "exact refused"},
		{"the only snapshot", compressed(t, o, snapshot.Plain), o, "snapshot.c", 1, "exact refused"},
		{"the only snapshot, by gzip", compressed(t, o, snapshot.Gzip), o, "snapshot.c.gz", 1, "exact refused"},
		{"the only snapshot, by snappy", compressed(t, o, snapshot.Snappy), o, "snapshot.c.snappy", 1, "exact refused"},
		{"a snapshot that an older one stands in for", alone, o, "snapshot.c", 3, "exact"},
		{"ZooKeeper's torn log", torn, o, "log.1", 1, "cut exact refused"},
		{"ZooKeeper's snapshot", recorded(t, "all-types-restart").without("snapshot.0", "log.1"), member, "snapshot.37", 11, "exact refused"},
		{"ZooKeeper's snapshot by gzip", recorded(t, "snap-gz").without("snapshot.0", "log.1"), member, "snapshot.37.gz", 3, "exact refused"},
		{"ZooKeeper's snapshot by snappy", recorded(t, "snap-snappy").without("snapshot.0", "log.1"), member, "snapshot.37.snappy", 5, "exact refused"},
	} {
		t.Run(c.what, c.run)
	}
}
