package server

import (
	"net"
	"testing"
	"time"
)

// TestGoldenUndecodableWrites plays what three servers of ZooKeeper 3.8.0 said to clients whose writes could not be
// decoded, byte for byte: each takes a zxid, and the ensemble goes on. (3.9.5 stalls, see testdata/exceptions.)
//
// What a client says is sent when its next answer is due: so late can it have come, where the recorded servers took
// first what was sent last.
func TestGoldenUndecodableWrites(t *testing.T) {
	lines := transcript(t, "golden/client/16-undecodable-ensemble.jsonl")
	e := newEnsemble(t, timesOf(lines), [3]time.Duration{
		0x606d77 * time.Millisecond, 0x606d7b * time.Millisecond, 0x606d8a * time.Millisecond,
	})
	addrs := map[string]string{"L": e.members[2].addr, "F": e.members[0].addr, "F2": e.members[1].addr}
	conns, said := map[string]net.Conn{}, map[string][]line{}
	send := func(l line) {
		if err := play(l, conns, func() (net.Conn, error) { return net.Dial("tcp", addrs[l.Conn]) }); err != nil {
			t.Fatalf("line %d: %v", l.number, err)
		}
	}
	for _, l := range lines {
		if l.Dir == "c>s" {
			said[l.Conn] = append(said[l.Conn], l)
			continue
		}
		if l.Dir == "s>c" && len(said[l.Conn]) > 0 {
			e.settle() // a read shows what others have written
			for _, s := range said[l.Conn] {
				send(s)
			}
			said[l.Conn] = nil
		}
		send(l)
	}
	for name, c := range conns {
		_ = c.Close()
		if n := len(said[name]); n > 0 {
			t.Errorf("%d requests of %s are not played", n, name)
		}
	}
}
