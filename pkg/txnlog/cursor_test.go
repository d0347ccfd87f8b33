package txnlog

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/vfs"
)

const noBound = proto.Zxid(1<<63 - 1)

// collect reads what a cursor has at the moment.
func collect(t testing.TB, c *Cursor, through proto.Zxid) []proto.Zxid {
	t.Helper()
	var zs []proto.Zxid
	for {
		e, err := c.Next(through)
		if errors.Is(err, io.EOF) {
			return zs
		}
		if err != nil {
			t.Fatalf("Next() behind %d entries = %v", len(zs), err)
		}
		if want := entry(e.Zxid, 300); string(e.Bytes) != string(want.Bytes) {
			t.Fatalf("entry %v is not what was appended", e.Zxid)
		}
		zs = append(zs, e.Zxid)
	}
}

func contiguous(from, to proto.Zxid) []proto.Zxid {
	var zs []proto.Zxid
	for z := from; z <= to; z++ {
		zs = append(zs, z)
	}
	return zs
}

func TestCursorFollowsTheWriter(t *testing.T) {
	m := memDir(t, 1)
	w := NewWriter(m, Options{Dir: dir, FileSize: 4096, Inline: true})
	early := w.Cursor(0)
	if got := collect(t, early, noBound); got != nil {
		t.Errorf("before the first entry: %v", got)
	}
	for z := proto.Zxid(1); z <= 40; z++ { // in four files
		write(t, w, entry(z, 300))
	}
	for after := proto.Zxid(0); after <= 40; after++ {
		c := w.Cursor(after)
		if got, want := fmt.Sprint(collect(t, c, noBound)), fmt.Sprint(contiguous(after+1, 40)); got != want {
			t.Errorf("behind %v: %s, want %s", after, got, want)
		}
		_ = c.Close()
	}
	if got, want := fmt.Sprint(collect(t, early, 17)), fmt.Sprint(contiguous(1, 17)); got != want {
		t.Errorf("up to 17: %s, want %s", got, want)
	}
	if err := w.Append(entry(41, 300)); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(collect(t, early, noBound)), fmt.Sprint(contiguous(18, 40)); got != want {
		t.Errorf("with 41 appended and not synced: %s, want %s", got, want)
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(collect(t, early, noBound)); got != "[0x29]" {
		t.Errorf("with 41 synced: %s", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := NewWriter(m, Options{Dir: dir, FileSize: 4096, Inline: true, Last: 41})
	defer again.Close()
	late := again.Cursor(30)
	if got, want := fmt.Sprint(collect(t, late, noBound)), fmt.Sprint(contiguous(31, 41)); got != want {
		t.Errorf("after a restart: %s, want %s", got, want)
	}
	write(t, again, entry(0x100000001, 300), entry(0x100000002, 300))
	if got := fmt.Sprint(collect(t, late, noBound)); got != "[0x100000001 0x100000002]" {
		t.Errorf("of a new epoch: %s", got)
	}
}

// watched calls look in the middle of each sync of a file.
type watched struct {
	vfs.FS
	look func()
}

type watchedFile struct {
	vfs.File
	fs *watched
}

func (w *watched) Create(name string) (vfs.File, error) {
	f, err := w.FS.Create(name)
	return &watchedFile{f, w}, err
}

func (f *watchedFile) Sync() error {
	f.fs.look()
	return f.File.Sync()
}

// TestCursorSeesWhatIsDurable looks while entries are written and not synced yet: in a file that has just begun as well.
func TestCursorSeesWhatIsDurable(t *testing.T) {
	files := &watched{FS: memDir(t, 1), look: func() {}}
	w := NewWriter(files, Options{Dir: dir, FileSize: 4096, Inline: true})
	c := w.Cursor(0)
	acked, read := proto.Zxid(0), proto.Zxid(0)
	look := func() {
		for _, z := range collect(t, c, noBound) {
			if read = z; z > acked {
				t.Errorf("%v is given, and only %v is synced", z, acked)
			}
		}
		fresh := w.Cursor(0)
		defer fresh.Close()
		if zs := collect(t, fresh, noBound); len(zs) != int(acked) {
			t.Errorf("a new cursor gives %v, and %v is synced", zs, acked)
		}
	}
	for z := proto.Zxid(1); z <= 40; z++ {
		files.look = look
		write(t, w, entry(z, 300))
		files.look = func() {}
		acked = z
		look()
		if read != acked {
			t.Errorf("%v is synced, and the cursor stands at %v", acked, read)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCursorBesideTheWriter runs both, and the goroutine that prepares files and gives their rest back.
func TestCursorBesideTheWriter(t *testing.T) {
	for _, disk := range []string{"memory", "real"} {
		t.Run(disk, func(t *testing.T) {
			var files vfs.FS = memDir(t, 1)
			at := dir
			if disk == "real" {
				files, at = vfs.Disk(), t.TempDir()
			}
			w := NewWriter(files, Options{Dir: at, FileSize: 20 << 10, NoSync: disk == "real"})
			const n = 3000
			progress := make(chan struct{}, 1)
			var failed atomic.Pointer[error]
			done := make(chan struct{})
			go func() {
				defer close(done)
				c := w.Cursor(0)
				defer c.Close()
				for last := proto.Zxid(0); last < n; {
					e, err := c.Next(noBound)
					switch {
					case errors.Is(err, io.EOF):
						<-progress
					case err != nil:
						failed.Store(&err)
						return
					case e.Zxid != last+1:
						err = fmt.Errorf("%v comes behind %v", e.Zxid, last)
						failed.Store(&err)
						return
					default:
						last = e.Zxid
					}
				}
			}()
			for z := proto.Zxid(1); z <= n; z++ {
				write(t, w, entry(z, int(z)%500))
				select {
				case progress <- struct{}{}:
				default:
				}
			}
			<-done
			if err := failed.Load(); err != nil {
				t.Error(*err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCursorWhoseEntriesAreGone(t *testing.T) {
	m := memDir(t, 1)
	w := NewWriter(m, Options{Dir: dir, FileSize: 4096, Inline: true})
	for z := proto.Zxid(1); z <= 40; z++ {
		write(t, w, entry(z, 300))
	}
	c := w.Cursor(0)
	if _, err := c.Next(noBound); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"log.1", "log.c"} {
		if err := m.Remove(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
	for {
		e, err := c.Next(noBound)
		if errors.Is(err, ErrGone) && c.last == 11 {
			break
		}
		if err != nil || e.Zxid > 11 { // the open file can still be read
			t.Fatalf("Next() = %v, %v, want up to 11 and then ErrGone", e.Zxid, err)
		}
	}
	late := w.Cursor(5)
	if _, err := late.Next(noBound); !errors.Is(err, ErrGone) {
		t.Errorf("a cursor behind 5: Next() = %v, want ErrGone", err)
	}
	held := w.Cursor(30)
	if _, err := held.Next(30); !errors.Is(err, io.EOF) { // it has read 31
		t.Errorf("Next(30) = %v, want io.EOF", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Cursor{c, held, w.Cursor(35)} {
		if _, err := c.Next(noBound); !errors.Is(err, ErrCut) {
			t.Errorf("with the writer closed: Next() = %v, want ErrCut", err)
		}
	}
	if _, _, err := w.Around(35); !errors.Is(err, ErrCut) {
		t.Errorf("with the writer closed: Around() = %v, want ErrCut", err)
	}
	if err := w.Append(entry(41, 1)); err == nil {
		t.Error("a closed writer takes an entry")
	}
}

func TestAround(t *testing.T) {
	w := NewWriter(memDir(t, 1), Options{Dir: dir, FileSize: 4096, Inline: true})
	if below, above, err := w.Around(7); below != 0 || above != 0 || err != nil {
		t.Errorf("in an empty log: Around(7) = %v, %v, %v", below, above, err)
	}
	const e1, e3 = 0x100000000, 0x300000000
	write(t, w, entry(e1+4, 1), entry(e1+5, 1), entry(e1+6, 1))
	w.Roll()
	write(t, w, entry(e3+1, 1), entry(e3+2, 1))
	for _, c := range []struct{ z, below, above proto.Zxid }{
		{0, 0, e1 + 4},
		{e1, 0, e1 + 4},
		{e1 + 4, e1 + 4, e1 + 5},
		{e1 + 6, e1 + 6, e3 + 1},
		{e1 + 9, e1 + 6, e3 + 1},
		{0x200000000, e1 + 6, e3 + 1},
		{e3, e1 + 6, e3 + 1},
		{e3 + 1, e3 + 1, e3 + 2},
		{e3 + 2, e3 + 2, 0},
		{0x500000000, e3 + 2, 0},
	} {
		if below, above, err := w.Around(c.z); below != c.below || above != c.above || err != nil {
			t.Errorf("Around(%v) = %v, %v, %v, want %v, %v", c.z, below, above, err, c.below, c.above)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTrap20_RepeatedZxidIsReadOnce reads what ZooKeeper 3.9 has written for an undecodable write.
func TestTrap20_RepeatedZxidIsReadOnce(t *testing.T) {
	w := NewWriter(memDir(t, 1), Options{Dir: dir, FileSize: 4096, Inline: true})
	write(t, w, entry(1, 300), entry(2, 300), entry(2, 300), entry(3, 300))
	if got := fmt.Sprint(collect(t, w.Cursor(0), noBound)); got != "[0x1 0x2 0x3]" {
		t.Errorf("the cursor gives %s", got)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// metered counts what is read of files.
type metered struct {
	vfs.FS
	bytes int
}

type meteredFile struct {
	vfs.File
	fs *metered
}

func (m *metered) Open(name string) (vfs.File, error) {
	f, err := m.FS.Open(name)
	return &meteredFile{f, m}, err
}

func (f *meteredFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.bytes += len(p)
	return f.File.ReadAt(p, off)
}

// TestCursorNearTheEndReadsLittle: a learner that joins costs the same, however long the file has grown.
func TestCursorNearTheEndReadsLittle(t *testing.T) {
	files := &metered{FS: memDir(t, 1)}
	w := NewWriter(files, Options{Dir: dir, FileSize: 8 << 20, Inline: true})
	for z := proto.Zxid(1); z <= 70; z++ {
		write(t, w, entry(z, 100<<10))
	}
	c := w.Cursor(69)
	if e, err := c.Next(noBound); err != nil || e.Zxid != 70 {
		t.Fatalf("Next() = %v, %v", e.Zxid, err)
	}
	if most := 3 * readAhead; files.bytes > most {
		t.Errorf("%d bytes were read of 7 MB, want at most %d", files.bytes, most)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
