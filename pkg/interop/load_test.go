//go:build interop

package interop

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// TestCrashUnderLoad kills the server while clients write, again and again: no write that was acknowledged is lost,
// and none that was not comes twice.
func TestCrashUnderLoad(t *testing.T) {
	t.Parallel()
	const rounds, writers, window, enough = 3, 4, 32, 300
	s := serve(t, underTest)
	var known []int64
	newest := map[string]int{} // the last value of each node that was acknowledged
	for round := range rounds {
		var wg sync.WaitGroup
		acked := make([]int, writers)
		busy := make(chan struct{}, writers)
		for w := range writers {
			path := fmt.Sprintf("/r%dw%d", round, w)
			p := dialProbe(t, s, new([]int64))
			p.handshake(proto.ConnectRequest{Timeout: 20000, HasReadOnly: true})
			p.call(proto.OpCreate, create(path, "0", 0).body)
			wg.Go(func() { acked[w] = writeUntilClosed(p, path, window, func() { busy <- struct{}{} }, enough) })
		}
		for range writers {
			<-busy
		}
		s.proc.kill()
		wg.Wait()
		s.start(t)
		for w := range writers {
			newest[fmt.Sprintf("/r%dw%d", round, w)] = acked[w]
		}
		p := dialProbe(t, s, &known)
		p.withZxid = false
		p.handshake(proto.ConnectRequest{Timeout: 20000, HasReadOnly: true})
		for path, least := range newest {
			var value, version int
			answer := p.call(proto.OpGetData, &proto.ReadRequest{Path: path})
			if _, err := fmt.Sscanf(answer, `err 0 "%d" {c  m  p  version %d`, &value, &version); err != nil {
				t.Fatalf("round %d: get %s = %s (%v)", round, path, answer, err)
			}
			if least < enough || value < least || value > least+window || version != value {
				t.Fatalf("round %d: %s has value %d at version %d, want %d (at least %d) to %d", round, path, value, version, least, enough, least+window)
			}
		}
		p.call(proto.OpCloseSession, nil)
	}
}

// writeUntilClosed keeps a window of sets on their way and returns the value of the last that was acknowledged. It
// tells when there have been enough of them.
func writeUntilClosed(p *probe, path string, window int, tell func(), enough int) (acked int) {
	told := sync.OnceFunc(tell)
	defer told() // the values show what went wrong
	for sent := 0; ; {
		for len(p.sent) < window {
			sent++
			r := set(path, fmt.Sprint(sent), int32(sent-1))
			p.submit(r.op, r.body)
		}
		if !strings.HasPrefix(p.answer(), "err 0 ") {
			return acked
		}
		acked++
		if acked == enough {
			told()
		}
	}
}
