package recipe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/zabd/zabd/pkg/client"
)

// A Format is how a number is written in a node.
type Format int

const (
	// Decimal is text, as people and kazoo's Counter write it.
	Decimal Format = iota
	// Binary64 is 8 bytes, big-endian, as Curator's DistributedAtomicLong has them.
	Binary64
	// Binary32 is 4 bytes, big-endian, as Curator's SharedCount has them.
	Binary32
)

// A NumberError says that a node holds no number of the format, or that the number does not fit it.
type NumberError struct {
	Path string
	Data []byte // nil = the sum is too large
}

// Error returns the sentence.
func (e *NumberError) Error() string {
	if e.Data == nil {
		return fmt.Sprintf("recipe: the number in %s would no longer fit its format", e.Path)
	}
	return fmt.Sprintf("recipe: %s holds %.40q, which is no number of this format; delete the node, or use the right Format", e.Path, e.Data)
}

func (f Format) parse(b []byte) (int64, bool) {
	switch {
	case len(b) == 0:
		return 0, true
	case f == Binary64 && len(b) == 8:
		return int64(binary.BigEndian.Uint64(b)), true
	case f == Binary32 && len(b) == 4:
		return int64(int32(binary.BigEndian.Uint32(b))), true
	case f == Decimal:
		n, err := strconv.ParseInt(string(b), 10, 64)
		return n, err == nil
	}
	return 0, false
}

func (f Format) append(n int64) (b []byte, ok bool) {
	switch f {
	case Binary64:
		return binary.BigEndian.AppendUint64(nil, uint64(n)), true
	case Binary32:
		return binary.BigEndian.AppendUint32(nil, uint32(n)), n == int64(int32(n))
	}
	return strconv.AppendInt(nil, n, 10), true
}

// A Counter is a number in a node. It is 0 where there is no node, or no data.
type Counter struct {
	dir
	format Format
}

// NewCounter returns the counter at path. Nothing is asked of the server.
func NewCounter(c *client.Client, path string, f Format, o Options) *Counter {
	return &Counter{dir{c, path, o.ACL, client.ModePersistent}, f}
}

// Get returns the number.
func (n *Counter) Get(ctx context.Context) (int64, error) {
	data, _, err := n.getSelf(ctx)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return 0, err
	}
	v, ok := n.format.parse(data)
	if !ok {
		return 0, &NumberError{n.path, data}
	}
	return v, nil
}

// Add adds to the number and returns the sum. An error that says so leaves open whether it was counted.
func (n *Counter) Add(ctx context.Context, delta int64) (sum int64, err error) {
	err = n.change(ctx, func(old int64) (int64, bool) {
		sum = old + delta
		return sum, (sum > old) == (delta > 0)
	})
	return sum, err
}

// Set replaces the number.
func (n *Counter) Set(ctx context.Context, v int64) error {
	data, ok := n.format.append(v)
	if !ok {
		return &NumberError{Path: n.path}
	}
	return n.made(ctx, func() error {
		return n.again(ctx, func() error {
			_, err := n.c.Set(ctx, n.path, data, -1)
			return err
		})
	})
}

// change replaces the number by what f makes of it; f is called anew when another was quicker.
func (n *Counter) change(ctx context.Context, f func(old int64) (int64, bool)) error {
	return n.update(ctx, func(old []byte) ([]byte, error) {
		v, ok := n.format.parse(old)
		if !ok {
			return nil, &NumberError{n.path, old}
		}
		if v, ok = f(v); !ok {
			return nil, &NumberError{Path: n.path}
		}
		data, ok := n.format.append(v)
		if !ok {
			return nil, &NumberError{Path: n.path}
		}
		return data, nil
	})
}
