package election

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
)

// The versions of a Hello.
const (
	HelloLegacy    int64 = 0      // an id and nothing else
	HelloAddress   int64 = -65536 // with one address
	HelloAddresses int64 = -65535 // with an address for each network
)

// Anonymous is the id of an observer that has none.
const Anonymous = ensemble.ID(math.MaxInt64)

// maxHelloAddress bounds the text of the addresses.
const maxHelloAddress = 2048

// A Hello is what the server that has connected says first; it gets no answer.
//
//	legacy:  id (8)
//	others:  version (8) | id (8) | length (4) | host:port, joined by | (length)
//
// Addrs are the election addresses at which the sender can be called back. Without any, the configured ones hold.
type Hello struct {
	Version int64
	ID      ensemble.ID
	Addrs   []ensemble.Addr
}

// AppendTo appends the whole handshake. Send it in one piece: ZooKeeper reads the addresses with one call.
func (h *Hello) AppendTo(dst []byte) []byte {
	if h.Version == HelloLegacy {
		return jute.AppendLong(dst, int64(h.ID))
	}
	texts := make([]string, len(h.Addrs))
	for i, a := range h.Addrs {
		texts[i] = a.String()
	}
	dst = jute.AppendLong(dst, h.Version)
	dst = jute.AppendLong(dst, int64(h.ID))
	text := strings.Join(texts, "|")
	return append(jute.AppendInt(dst, int32(len(text))), text...)
}

// DecodeHello reads a handshake at the start of b and returns how many bytes it takes; 0 and no error if b does not hold
// all of it. Wildcard addresses are left out.
func DecodeHello(b []byte) (h Hello, n int, err error) {
	const head = 8 + 8 + 4
	if len(b) < 8 {
		return Hello{}, 0, nil
	}
	first := int64(binary.BigEndian.Uint64(b))
	if first >= 0 {
		return Hello{Version: HelloLegacy, ID: ensemble.ID(first)}, 8, nil
	}
	if first != HelloAddress && first != HelloAddresses {
		return Hello{}, 0, fmt.Errorf("election: decode handshake: version %d is unknown", first)
	}
	if len(b) < head {
		return Hello{}, 0, nil
	}
	h = Hello{Version: first, ID: ensemble.ID(binary.BigEndian.Uint64(b[8:]))}
	length := int32(binary.BigEndian.Uint32(b[16:]))
	if length < 1 || length > maxHelloAddress {
		return Hello{}, 0, fmt.Errorf("election: decode handshake of server %d: an address of %d bytes", h.ID, length)
	}
	if n = head + int(length); len(b) < n {
		return Hello{}, 0, nil
	}
	text := string(b[head:n])
	if !utf8.ValidString(text) {
		return Hello{}, 0, fmt.Errorf("election: decode handshake of server %d: address %q is no text", h.ID, text)
	}
	for part := range strings.SplitSeq(text, "|") {
		a, err := ensemble.ParseAddr(part)
		if err != nil {
			return Hello{}, 0, fmt.Errorf("election: decode handshake of server %d: %w", h.ID, err)
		}
		if ip, err := netip.ParseAddr(a.Host); err != nil || !ip.IsUnspecified() {
			h.Addrs = append(h.Addrs, a)
		}
	}
	return h, n, nil
}
