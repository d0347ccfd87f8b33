package tree

import "math/bits"

// A blob names bytes in a heap: nothing, or class, place and length in one word, so that a node holds no pointer.
//
//	bits 58-63 class | bits 24-57 place within the class | bits 0-23 length
//
// Class 0 is the null and the empty string, told apart by the length field. The last class holds what is too large for
// slabs; its length is that of the slice.
type blob uint64

const (
	nullBlob  blob = 0
	emptyBlob blob = 1

	placeBits  = 34
	lengthBits = 24

	smallest   = 8        // bytes of class 1
	perDouble  = 4        // classes from one power of two to the next
	maxSlabbed = 64 << 10 // larger ones stand alone
	slabBytes  = 128 << 10
	largeClass = 63
)

func makeBlob(class, place, length int) blob {
	return blob(uint64(class)<<(placeBits+lengthBits) | uint64(place)<<lengthBits | uint64(length))
}

func (b blob) class() int  { return int(b >> (placeBits + lengthBits)) }
func (b blob) place() int  { return int(b >> lengthBits & (1<<placeBits - 1)) }
func (b blob) length() int { return int(b & (1<<lengthBits - 1)) }

// A heap keeps byte strings in slabs of equal cells, so that the collector finds a few large objects without pointers
// instead of one for each node. Freed cells are used again.
type heap struct {
	classes [largeClass]cells
	large   [][]byte
	free    []int // places in large
	bytes   int64 // held by slabs and large ones
}

type cells struct {
	size    int
	perSlab int
	slabs   [][]byte
	used    int   // cells ever handed out
	free    []int // of those, given back
}

// classOf returns the class for n bytes and the size of its cells. Sizes grow by a quarter of a power of two.
func classOf(n int) (class, size int) {
	if n <= smallest {
		return 1, smallest
	}
	e := bits.Len(uint(n-1)) - 1 // 2^e < n <= 2^(e+1)
	step := max(1<<e/perDouble, smallest)
	k := (n - 1<<e + step - 1) / step
	return 2 + (e-3)*perDouble + k - 1, 1<<e + k*step
}

// put stores a copy of b; nil is null.
func (h *heap) put(b []byte) blob {
	switch n := len(b); {
	case b == nil:
		return nullBlob
	case n == 0:
		return emptyBlob
	case n > maxSlabbed:
		return h.putLarge(b)
	default:
		class, size := classOf(n)
		c := &h.classes[class]
		place := c.take(h, size)
		copy(c.at(place), b)
		return makeBlob(class, place, n)
	}
}

func (h *heap) putLarge(b []byte) blob {
	own := append(make([]byte, 0, len(b)), b...)
	h.bytes += int64(len(own))
	if n := len(h.free); n > 0 {
		place := h.free[n-1]
		h.free = h.free[:n-1]
		h.large[place] = own
		return makeBlob(largeClass, place, 0)
	}
	h.large = append(h.large, own)
	return makeBlob(largeClass, len(h.large)-1, 0)
}

func (c *cells) take(h *heap, size int) int {
	if n := len(c.free); n > 0 {
		place := c.free[n-1]
		c.free = c.free[:n-1]
		return place
	}
	if c.size == 0 {
		c.size, c.perSlab = size, max(slabBytes/size, 1)
	}
	if c.used == len(c.slabs)*c.perSlab {
		c.slabs = append(c.slabs, make([]byte, c.perSlab*size))
		h.bytes += int64(c.perSlab * size)
	}
	c.used++
	return c.used - 1
}

func (c *cells) at(place int) []byte {
	off := place % c.perSlab * c.size
	return c.slabs[place/c.perSlab][off : off+c.size]
}

// get returns the bytes of b, which stay as they are until b is dropped.
func (h *heap) get(b blob) []byte {
	switch b.class() {
	case 0:
		if b == nullBlob {
			return nil
		}
		return []byte{}
	case largeClass:
		return h.large[b.place()]
	}
	n := b.length()
	return h.classes[b.class()].at(b.place())[:n:n]
}

// drop gives the space of b back.
func (h *heap) drop(b blob) {
	switch b.class() {
	case 0:
	case largeClass:
		h.bytes -= int64(len(h.large[b.place()]))
		h.large[b.place()] = nil
		h.free = append(h.free, b.place())
	default:
		c := &h.classes[b.class()]
		c.free = append(c.free, b.place())
	}
}

// replace puts b where old was, in its very cell if that fits.
func (h *heap) replace(old blob, b []byte) blob {
	if n := len(b); n > 0 && n <= maxSlabbed && old.class() != 0 && old.class() != largeClass {
		if class, _ := classOf(n); class == old.class() {
			copy(h.classes[class].at(old.place()), b)
			return makeBlob(class, old.place(), n)
		}
	}
	h.drop(old)
	return h.put(b)
}
