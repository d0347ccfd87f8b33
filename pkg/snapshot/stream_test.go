package snapshot

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

const (
	testLimit = 1 << 20
	late      = 1 << 62 // what ZooKeeper writes holds nodes that are newer than its zxid
)

// stream writes a tree as a leader sends it.
func stream(t testing.TB, tr *tree.Tree) []byte {
	t.Helper()
	w := tr.NewWalk()
	defer w.Close()
	var out bytes.Buffer
	s := NewStream(&out, w.Sessions, w.ACLs)
	for more := true; more; {
		more = w.Next(3, s.Node)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.FinishStream(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// recorded is a stream that ZooKeeper has sent, with the zxid of the packet before it and the bytes behind it.
type recorded struct {
	file   string
	zxid   proto.Zxid
	stream []byte
	behind []byte
}

// recordedStreams returns the streams in the captures of one version.
func recordedStreams(t *testing.T, set string) []recorded {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", set, "peer", "*.jsonl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures in %s: %v", set, err)
	}
	var out []recorded
	for _, path := range paths {
		out = append(out, streamsOf(t, path)...)
	}
	return out
}

func streamsOf(t *testing.T, path string) []recorded {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []recorded
	last := map[string]proto.Zxid{} // by connection: the zxid of the packet before
	open := map[string]int{}        // by connection: the stream whose following bytes are wanted
	for line := range bytes.Lines(b) {
		var item struct {
			Conn, Dir, Hex string
			Dec            struct{ Kind, Zxid string }
		}
		if json.Unmarshal(line, &item) != nil || item.Hex == "" {
			continue // not bytes, or bytes that are no packet
		}
		image, err := hex.DecodeString(item.Hex)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		from := item.Conn + item.Dir
		switch i, wanted := open[from]; {
		case item.Dec.Kind == "snapshot-stream":
			out = append(out, recorded{file: filepath.Base(path), zxid: last[from], stream: image})
			open[from] = len(out) - 1
		case item.Dec.Kind == "snapshot-signature":
			out[i].stream = append(out[i].stream, image...)
		case wanted:
			out[i].behind = image
			delete(open, from)
		default:
			z, _ := strconv.ParseUint(item.Dec.Zxid, 0, 64)
			last[from] = proto.Zxid(z)
		}
	}
	return out
}

// TestGoldenStreams reads every recorded stream and writes it again: as long, since only the order of the nodes may be
// another, and the same tree.
func TestGoldenStreams(t *testing.T) {
	for _, set := range []string{"golden", "golden39"} {
		seen := map[string]bool{}
		for _, rec := range recordedStreams(t, set) {
			seen[rec.file[:2]] = true
			r := bufio.NewReader(bytes.NewReader(append(rec.stream, rec.behind...)))
			tr := tree.Empty()
			if err := ReadStream(r, tr, rec.zxid, testLimit); err != nil {
				t.Errorf("%s %s: ReadStream() = %v", set, rec.file, err)
				continue
			}
			if left, _ := io.ReadAll(r); !bytes.Equal(left, rec.behind) {
				t.Errorf("%s %s: %x is left behind the stream, want %x", set, rec.file, left, rec.behind)
			}
			if tr.LastZxid() != rec.zxid || rec.zxid.Epoch() == 0 {
				t.Errorf("%s %s: the tree stands at %v, the packet said %v", set, rec.file, tr.LastZxid(), rec.zxid)
			}
			image := stream(t, tr)
			if len(image) != len(rec.stream) {
				t.Errorf("%s %s: written again in %d bytes, was %d", set, rec.file, len(image), len(rec.stream))
			}
			again := tree.Empty()
			if err := ReadStream(bytes.NewReader(image), again, rec.zxid, testLimit); err != nil {
				t.Fatal(err)
			}
			if got, want := describe(again), describe(tr); got != want {
				t.Errorf("%s %s, written again:\n%s\nwant:\n%s", set, rec.file, got, want)
			}
		}
		for _, n := range []string{"05", "07", "08", "10"} {
			if !seen[n] {
				t.Errorf("no stream was found in capture %s of %s", n, set)
			}
		}
	}
}

func TestStreamsThatEndOrAreDamaged(t *testing.T) {
	whole := stream(t, tree.New())
	for n := range whole {
		err := ReadStream(bytes.NewReader(whole[:n]), tree.Empty(), 1, testLimit)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d bytes: ReadStream() = %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
	reset := errors.New("connection reset")
	r := io.MultiReader(bytes.NewReader(whole[:50]), iotest.ErrReader(reset))
	if err := ReadStream(r, tree.Empty(), 1, testLimit); !errors.Is(err, reset) {
		t.Errorf("on a broken connection: ReadStream() = %v, want %v", err, reset)
	}
	unsigned := bytes.Clone(whole)
	unsigned[len(unsigned)-1]++
	var bad *CorruptError
	if err := ReadStream(bytes.NewReader(unsigned), tree.Empty(), 1, testLimit); !errors.As(err, &bad) {
		t.Errorf("with another signature: ReadStream() = %v, want a CorruptError", err)
	}
}

func TestStreamWithAnOverlongNode(t *testing.T) {
	tr := tree.Empty()
	if err := errors.Join(
		tr.LoadNode("", nil, -1, &proto.StatPersisted{}),
		tr.LoadNode("/long", make([]byte, 1000), -1, &proto.StatPersisted{}),
		tr.FinishLoad(7),
	); err != nil {
		t.Fatal(err)
	}
	image := stream(t, tr)
	if err := ReadStream(bytes.NewReader(image), tree.Empty(), 7, 1000); err != nil {
		t.Errorf("a node of 1000 bytes and a limit of 1000: ReadStream() = %v", err)
	}
	var bad *CorruptError
	if err := ReadStream(bytes.NewReader(image), tree.Empty(), 7, 999); !errors.As(err, &bad) || !errors.Is(err, errLength) {
		t.Errorf("a node of 1000 bytes and a limit of 999: ReadStream() = %v, want a CorruptError", err)
	}
}

// counting knows how many bytes were asked for and how many it gave.
type counting struct {
	r     io.Reader
	given int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.given += n
	return n, err
}

// FuzzReadStream reads whatever a peer may send: without a panic, without more memory than has come, and nothing behind
// the end. What is read is written and read again as the same tree.
func FuzzReadStream(f *testing.F) {
	whole := stream(f, tree.New())
	f.Add(whole)
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add([]byte("\x7f\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x00\x7f\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, image []byte) {
		const limit = 500
		tr := tree.Empty()
		r := &counting{r: bytes.NewReader(image)}
		if err := ReadStream(r, tr, late, limit); err != nil {
			return
		}
		used := image[:r.given]
		if !bytes.HasSuffix(used, []byte(signature)) {
			t.Errorf("%x was read behind the stream", used)
		}
		s := newSource(bytes.NewReader(image))
		s.exact, s.limit = true, limit
		if err := readBody(s, tree.Empty()); err != nil || cap(s.buf) > firstBuffer+4*len(image) {
			t.Errorf("%d bytes of memory for a stream of %d: %v", cap(s.buf), len(image), err)
		}
		again := tree.Empty()
		if err := ReadStream(bytes.NewReader(stream(t, tr)), again, late, limit); err != nil {
			t.Fatal(err)
		}
		if got, want := describe(again), describe(tr); got != want {
			t.Errorf("written again:\n%s\nwant:\n%s", got, want)
		}
	})
}

func BenchmarkReadStream(b *testing.B) {
	image := stream(b, loaded(b))
	b.SetBytes(int64(len(image)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ReadStream(bufio.NewReader(bytes.NewReader(image)), tree.Empty(), 1, testLimit); err != nil {
			b.Fatal(err)
		}
	}
}
