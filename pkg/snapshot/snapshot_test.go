package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/vfs"
)

// encode writes a tree as a snapshot.
func encode(t testing.TB, tr *tree.Tree, withDigest bool) []byte {
	t.Helper()
	w := tr.NewWalk()
	defer w.Close()
	var out bytes.Buffer
	s := NewWriter(&out, w.Sessions, w.ACLs)
	for more := true; more; {
		more = w.Next(3, s.Node)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Finish(w.Zxid, w.Digest, withDigest); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// describe tells all that a tree holds.
func describe(tr *tree.Tree) string {
	var b strings.Builder
	fmt.Fprintln(&b, tr.LastZxid(), tr.Digest(), tr.NodeCount(), tr.EphemeralCount(), tr.DataSize())
	tr.Sessions(func(id int64, timeout int32) { fmt.Fprintf(&b, "%x %d\n", id, timeout) })
	var walk func(path string)
	walk = func(path string) {
		r, _ := tr.Find(path)
		fmt.Fprintf(&b, "%q %+v %q null %v %v\n", path, tr.Persisted(r), tr.Data(r), tr.Data(r) == nil, tr.ACL(r))
		tr.Children(r, func(name string) bool {
			walk(path + "/" + name)
			return true
		})
	}
	walk("")
	return sorted(b.String())
}

func sorted(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines { // few lines, and children come in any order
		for j := i; j > 0 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return strings.Join(lines, "\n")
}

func TestGoldenSnapshotsAreReadAndWrittenAgain(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", "golden*", "storage", "*", "data*", "version-2", "snapshot.*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recorded snapshots: %v", err)
	}
	forms := map[string]int{}
	for _, path := range paths {
		z, how, ok := ParseName(filepath.Base(path))
		if !ok {
			t.Fatalf("ParseName(%s) fails", path)
		}
		if ok, err := Plausible(vfs.Disk(), path, how); !ok || err != nil {
			t.Errorf("Plausible(%s) = %v, %v", path, ok, err)
		}
		tr := tree.Empty()
		trailer, err := ReadFile(vfs.Disk(), path, how, tr, late)
		if err != nil {
			t.Errorf("ReadFile(%s) = %v", path, err)
			continue
		}
		forms[fmt.Sprintf("digest %v, last %v", trailer.HasDigest, trailer.HasLast)]++
		if trailer.HasLast && trailer.Last < z || trailer.DigestZxid > 0 && trailer.DigestZxid < z {
			t.Errorf("%s: trailer %+v", path, trailer)
		}
		want := describe(tr)
		for _, withDigest := range []bool{true, false} {
			again := tree.Empty()
			if _, err := Read(bytes.NewReader(encode(t, tr, withDigest)), again, late); err != nil {
				t.Fatalf("%s, written again: %v", path, err)
			}
			if got := describe(again); got != want {
				t.Fatalf("%s, written again:\n%s\nwant:\n%s", path, got, want)
			}
		}
	}
	if len(forms) != 4 {
		t.Errorf("the recorded snapshots end in %d forms, want 4: %v", len(forms), forms)
	}
}

// TestGoldenSnapshotOfANewTree compares bytes where there is one order only.
func TestGoldenSnapshotOfANewTree(t *testing.T) {
	path := filepath.Join("..", "..", "testdata", "golden39", "storage", "all-types-log-only", "data", "version-2", "snapshot.0")
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := encode(t, tree.New(), true)
	// All is equal up to the digest: ZooKeeper, which does not look at it when the zxid is 0, writes 0.
	end := len(want) - sealSize - lastZxidSize - sealSize - 8
	if len(got) != len(want) || !bytes.Equal(got[:end], want[:end]) {
		t.Errorf("a new tree is written as\n%x, ZooKeeper 3.9.5 writes\n%x", got, want)
	}
}

// TestTrap19_EndsOfAllLengthsLoad gives a snapshot each of the four ends that ZooKeeper may write.
func TestTrap19_EndsOfAllLengthsLoad(t *testing.T) {
	plain := encode(t, tree.New(), false)
	body := plain[:len(plain)-sealSize]
	seal := func(b []byte) []byte {
		b = binary.BigEndian.AppendUint64(b, uint64(adler32.Checksum(b)))
		return append(b, 0, 0, 0, 1, '/')
	}
	digest := func(b []byte) []byte {
		b = binary.BigEndian.AppendUint64(b, 5)
		b = binary.BigEndian.AppendUint32(b, 2)
		return binary.BigEndian.AppendUint64(b, 12345)
	}
	last := func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, 6) }
	for _, c := range []struct {
		name string
		end  []byte
		want Trailer
		size int
	}{
		{"3.8 without digests", seal(bytes.Clone(body)), Trailer{}, 13},
		{"3.9 without digests", seal(last(seal(bytes.Clone(body)))), Trailer{HasLast: true, Last: 6}, 34},
		{"3.8", seal(digest(seal(bytes.Clone(body)))), Trailer{HasDigest: true, DigestZxid: 5, DigestVersion: 2, Digest: 12345}, 46},
		{
			"3.9", seal(last(seal(digest(seal(bytes.Clone(body)))))),
			Trailer{HasDigest: true, DigestZxid: 5, DigestVersion: 2, Digest: 12345, HasLast: true, Last: 6},
			67,
		},
	} {
		if got := len(c.end) - len(body); got != c.size {
			t.Errorf("%s: the end takes %d bytes, want %d", c.name, got, c.size)
		}
		tr := tree.Empty()
		got, err := Read(bytes.NewReader(c.end), tr, 3)
		if err != nil || got != c.want || tr.LastZxid() != 3 {
			t.Errorf("%s: Read() = %+v, %v at %v, want %+v at 0x3", c.name, got, err, tr.LastZxid(), c.want)
		}
		for i := len(body); i < len(c.end); i++ { // every byte of the end counts
			bad := bytes.Clone(c.end)
			bad[i] ^= 0x10
			if tr, err := Read(bytes.NewReader(bad), tree.Empty(), 3); err == nil && tr == c.want {
				t.Errorf("%s: byte %d of the end was changed, and it loads as before", c.name, i-len(body))
			}
		}
	}
}

func TestDamagedSnapshots(t *testing.T) {
	whole := encode(t, tree.New(), true)
	digest := len(whole) - sealSize - lastZxidSize // these two are whole in another form
	plain := digest - sealSize - digestSize
	for n := range whole {
		var bad *CorruptError
		if _, err := Read(bytes.NewReader(whole[:n]), tree.Empty(), 0); !errors.As(err, &bad) && n != digest && n != plain {
			t.Errorf("the first %d bytes: Read() = %v, want a CorruptError", n, err)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 1
		if _, err := Read(bytes.NewReader(changed), tree.Empty(), 0); !errors.As(err, &bad) && (n < 8 || n >= headerSize) {
			t.Errorf("byte %d changed: Read() = %v, want a CorruptError", n, err)
		}
	}
	if _, err := Read(bytes.NewReader(append(whole, 0)), tree.Empty(), 0); err == nil {
		t.Error("a byte behind the end is accepted")
	}
}

func TestFileErrorsNameTheFile(t *testing.T) {
	m := vfs.NewMem(1)
	for name, image := range map[string][]byte{
		"snapshot.1":        []byte("ZKSN but nothing else, up to the end \x00\x00\x00\x01/"),
		"snapshot.2.gz":     {0x1f, 0x8b, 1, 2, 3},
		"snapshot.3.snappy": append(append(bytes.Clone(snappyMagic), make([]byte, 8)...), 0x7f, 0xff, 0xff, 0xff, 1, 2),
		"snapshot.4.snappy": append(append(bytes.Clone(snappyMagic), make([]byte, 8)...), 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0xf, 0),
	} {
		f, err := m.Create("/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(image); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		z, how, _ := ParseName(name)
		if ok, err := Plausible(m, "/"+name, how); !ok || err != nil {
			t.Errorf("Plausible(%s) = %v, %v: this test wants more", name, ok, err)
		}
		var bad *CorruptError
		if _, err := ReadFile(m, "/"+name, how, tree.Empty(), z); !errors.As(err, &bad) || bad.Path != "/"+name {
			t.Errorf("ReadFile(%s) = %v, want a CorruptError with the path", name, err)
		}
	}
	f, _ := m.Create("/snapshot.5")
	_ = f.Close()
	if ok, err := Plausible(m, "/snapshot.5", Plain); ok || err != nil {
		t.Errorf("Plausible(empty) = %v, %v, want false", ok, err)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name string
		z    proto.Zxid
		how  Compression
		ok   bool
	}{
		{"snapshot.0", 0, Plain, true},
		{"snapshot.10000000a", 0x10000000a, Plain, true},
		{"snapshot.37.gz", 0x37, Gzip, true},
		{"snapshot.37.SNAPPY", 0x37, Snappy, true},
		{"snapshot.37.tmp", 0x37, Plain, true},
		{"snapshot.xyz", 0, Plain, false},
		{"log.37", 0, Plain, false},
		{"tmp-snapshot.37", 0, Plain, false},
	} {
		if z, how, ok := ParseName(c.name); z != c.z || how != c.how || ok != c.ok {
			t.Errorf("ParseName(%q) = %v, %v, %v, want %v, %v, %v", c.name, z, how, ok, c.z, c.how, c.ok)
		}
	}
}

// FuzzRead reads whatever a file may hold. What loads is written and loads again as the same tree.
func FuzzRead(f *testing.F) {
	f.Add(encode(f, tree.New(), true))
	f.Add(encode(f, tree.New(), false))
	f.Add([]byte("ZKSN\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff"))
	f.Add([]byte("ZKSN\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, image []byte) {
		s := newSource(bytes.NewReader(image))
		tr := tree.Empty()
		_, err := read(s, tr, 0)
		if cap(s.buf) > firstBuffer+4*len(image) {
			t.Errorf("%d bytes of memory for a file of %d", cap(s.buf), len(image))
		}
		if err != nil {
			return
		}
		again := tree.Empty()
		if _, err := Read(bytes.NewReader(encode(t, tr, true)), again, 0); err != nil {
			t.Fatal(err)
		}
		if got, want := describe(again), describe(tr); got != want {
			t.Errorf("written again:\n%s\nwant:\n%s", got, want)
		}
	})
}

// FuzzSnappy decompresses whatever a file may hold.
func FuzzSnappy(f *testing.F) {
	f.Add(append(append(bytes.Clone(snappyMagic), make([]byte, 8)...), 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0xf, 0))
	f.Fuzz(func(t *testing.T, image []byte) {
		s := &snappyReader{r: bytes.NewReader(image)}
		buf := make([]byte, 1000)
		for {
			if _, err := s.Read(buf); err != nil {
				break
			}
			if len(s.decoded) > snappyRatio*len(image) {
				t.Fatalf("%d bytes from %d", len(s.decoded), len(image))
			}
		}
	})
}

// loaded returns a tree of 100,000 nodes.
func loaded(b *testing.B) *tree.Tree {
	b.Helper()
	tr := tree.Empty()
	data := make([]byte, 100)
	if err := tr.LoadNode("", []byte{}, -1, &proto.StatPersisted{}); err != nil {
		b.Fatal(err)
	}
	for i := range 100_000 {
		st := proto.StatPersisted{Mzxid: proto.Zxid(i), Pzxid: proto.Zxid(i)}
		if err := tr.LoadNode(fmt.Sprintf("/node-%08d", i), data, -1, &st); err != nil {
			b.Fatal(err)
		}
	}
	if err := tr.FinishLoad(1); err != nil {
		b.Fatal(err)
	}
	return tr
}

func BenchmarkRead(b *testing.B) {
	image := encode(b, loaded(b), true)
	b.SetBytes(int64(len(image)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(bytes.NewReader(image), tree.Empty(), 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	tr := loaded(b)
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(encode(b, tr, true))))
	}
}
