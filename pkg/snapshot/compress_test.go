package snapshot

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"testing"
)

// TestCompressors write what others read: gzip's own reader, and ours of snappy, which reads what ZooKeeper has written.
func TestCompressors(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, snappyBlock - 1, snappyBlock, 3*snappyBlock + 5} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(random.IntN(3))
		}
		for how, read := range map[Compression]func(io.Reader) (io.Reader, error){
			Plain:  func(r io.Reader) (io.Reader, error) { return r, nil },
			Gzip:   func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			Snappy: func(r io.Reader) (io.Reader, error) { return &snappyReader{r: r}, nil },
		} {
			var packed bytes.Buffer
			w := NewCompressor(&packed, how)
			for rest := want; len(rest) > 0; { // in pieces of any size
				n := min(1+random.IntN(50_000), len(rest))
				if _, err := w.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := read(&packed)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v: %d bytes come back as %d, %v", how, size, len(got), err)
			}
		}
	}
}
