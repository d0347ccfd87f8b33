package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// readSize is how much is read from a socket at once, unless one frame needs more.
const readSize = 64 << 10

// frames cuts the input of a socket into frames. It holds a buffer only while there is input.
type frames struct {
	raw  syscall.RawConn
	buf  []byte            // from the pool or, for a large frame, of its own
	r, w int               // what lies between is read and not yet handed out
	pool *sync.Pool        // of *[readSize]byte
	may  func(n int) error // whether a frame of n bytes may be read on
}

// ErrLength says that a frame's length is negative or above the limit.
var ErrLength = errors.New("unreasonable frame length")

// drop gives the buffer back.
func (f *frames) drop() {
	if len(f.buf) == readSize {
		f.pool.Put((*[readSize]byte)(f.buf))
	}
	f.buf, f.r, f.w = nil, 0, 0
}

// get returns a buffer of at least n bytes.
func (f *frames) get(n int) []byte {
	if n > readSize {
		return make([]byte, n)
	}
	return f.pool.Get().(*[readSize]byte)[:]
}

// fill reads more input, waiting for it.
func (f *frames) fill() error {
	n, rerr := 0, error(nil)
	err := f.raw.Read(func(fd uintptr) bool {
		f.reserve()
		for {
			n, rerr = syscall.Read(int(fd), f.buf[f.w:])
			if rerr != syscall.EINTR {
				break
			}
		}
		if rerr == syscall.EAGAIN {
			if f.r == f.w {
				f.drop() // an idle connection holds no buffer
			}
			return false
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case rerr != nil:
		return os.NewSyscallError("read", rerr)
	case n <= 0:
		return io.EOF
	}
	f.w += n
	return nil
}

// reserve makes room behind what has been read: at least for the rest of the frame that has begun.
func (f *frames) reserve() {
	need := readSize
	if f.w-f.r >= 4 {
		need = max(need, 4+int(binary.BigEndian.Uint32(f.buf[f.r:])))
	}
	switch {
	case len(f.buf) >= need && f.r == f.w:
		f.r, f.w = 0, 0
	case len(f.buf) >= need:
		f.w, f.r = copy(f.buf, f.buf[f.r:f.w]), 0
	default:
		b := f.get(need)
		n := copy(b, f.buf[f.r:f.w])
		f.drop()
		f.buf, f.w = b, n
	}
}

// peek waits for n bytes and returns them without taking them.
func (f *frames) peek(n int) ([]byte, error) {
	for f.w-f.r < n {
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
	return f.buf[f.r : f.r+n], nil
}

// rest returns what has been read and not taken.
func (f *frames) rest() []byte { return f.buf[f.r:f.w] }

// next waits for a frame.
func (f *frames) next(limit int) ([]byte, error) {
	for {
		frame, ok, err := f.buffered(limit)
		if ok || err != nil {
			return frame, err
		}
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
}

// buffered returns the next frame if all of it has been read.
func (f *frames) buffered(limit int) (frame []byte, ok bool, err error) {
	if f.w-f.r < 4 {
		return nil, false, nil
	}
	n := int32(binary.BigEndian.Uint32(f.buf[f.r:]))
	if n < 0 || int(n) > limit {
		return nil, false, fmt.Errorf("server: frame of %d bytes: %w", n, ErrLength)
	}
	if f.w-f.r-4 < int(n) {
		return nil, false, f.may(int(n))
	}
	frame = f.buf[f.r+4 : f.r+4+int(n)]
	f.r += 4 + int(n)
	return frame, true, nil
}
