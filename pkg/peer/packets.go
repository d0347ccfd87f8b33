package peer

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/zab"
)

const (
	packetChunk = 64 << 10 // of input at a time; packets keep their chunk
	leastRead   = 4 << 10  // with less room than this a new chunk is begun
	mostIDs     = 1 << 10  // of a client, in one packet
)

// packetReader cuts the packets of the quorum port out of a stream. They have no length in front, so that it looks into
// each to find its end. Their bytes belong to whoever gets them: a chunk of input is never used again.
type packetReader struct {
	r     io.Reader
	most  int // bytes of a packet
	chunk []byte
	off   int  // chunk[off:] has come and is not cut yet
	need  int  // bytes that the packet at off takes at least
	own   bool // no packet has any of chunk
}

// next returns the next packet that has come whole; false if more input is needed.
func (r *packetReader) next() (p zab.Packet, size int, ok bool, err error) {
	rest := r.chunk[r.off:]
	size, err = packetSize(rest, r.most)
	if err != nil {
		return p, 0, false, err
	}
	if r.need = size; size > len(rest) {
		return p, 0, false, nil
	}
	d := jute.NewDecoder(rest[:size:size])
	if err := p.Decode(&d); err != nil {
		return p, 0, false, fmt.Errorf("%v: %w", p.Type, err)
	}
	r.off += size
	r.own = false
	return p, size, true, nil
}

// fill waits for more input. The room that it makes grows with what has come, and not with what a packet claims.
func (r *packetReader) fill() error {
	rest, room := len(r.chunk)-r.off, cap(r.chunk)-len(r.chunk)
	if room == 0 || room < leastRead && (rest == 0 || r.need > cap(r.chunk)-r.off) {
		fresh := make([]byte, rest, max(packetChunk, min(r.need, 2*rest+packetChunk)))
		copy(fresh, r.chunk[r.off:])
		r.chunk, r.off, r.own = fresh, 0, true
	}
	n, err := r.r.Read(r.chunk[len(r.chunk):cap(r.chunk)])
	r.chunk = r.chunk[:len(r.chunk)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Read gives the bytes behind the last packet to whoever knows what they are.
func (r *packetReader) Read(p []byte) (int, error) {
	if r.off == len(r.chunk) {
		if r.own {
			r.chunk, r.off = r.chunk[:0], 0
		}
		r.need = 0
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.chunk[r.off:])
	r.off += n
	return n, nil
}

// packetSize returns how long the packet is that begins with b, or, if b does not hold enough to tell, a number of bytes
// larger than len(b) that it has at least.
func packetSize(b []byte, most int) (int, error) {
	const head = 4 + 8 + 4
	if len(b) >= 4 {
		if t := zab.PacketType(binary.BigEndian.Uint32(b)); t < zab.TypeRequest || t > zab.TypeInformAndActivate {
			return 0, fmt.Errorf("%v is unknown", t)
		}
	}
	size := head
	// field adds the length that stands at the end of what is measured so far; false if it has not come.
	field := func(least int32) (bool, error) {
		if len(b) < size {
			return false, nil
		}
		n := int32(binary.BigEndian.Uint32(b[size-4:]))
		if n < least || int64(size)+int64(n) > int64(most) {
			return false, fmt.Errorf("a field of %d bytes at offset %d", n, size)
		}
		size += max(int(n), 0)
		return true, nil
	}
	if ok, err := field(-1); !ok {
		return size, err
	}
	if size += 4; len(b) < size {
		return size, nil
	}
	ids := int32(binary.BigEndian.Uint32(b[size-4:]))
	if ids < -1 || ids > mostIDs {
		return 0, fmt.Errorf("%d ids at offset %d", ids, size)
	}
	for range 2 * max(ids, 0) {
		size += 4
		if ok, err := field(0); !ok {
			return size, err
		}
	}
	return size, nil
}
