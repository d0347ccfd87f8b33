package peer

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

// TestAddressesInTurn: each address has its time, and the next one is tried then.
func TestAddressesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		n := Network{InTurn: time.Second, Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			asked = append(asked, address)
			if address == "good:1" {
				client, server := net.Pipe()
				_ = server.Close()
				return client, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		begun := time.Now()
		c, err := n.dial(t.Context(), []ensemble.Addr{{Host: "mute", Port: 1}, {Host: "good", Port: 1}, {Host: "third", Port: 1}})
		if err != nil || len(asked) != 2 || time.Since(begun) != time.Second {
			t.Fatalf("asked %v in %v: %v", asked, time.Since(begun), err)
		}
		_ = c.Close()
		if _, err := n.dial(t.Context(), []ensemble.Addr{{Host: "mute", Port: 1}, {Host: "mute", Port: 2}}); err == nil || time.Since(begun) != 3*time.Second {
			t.Errorf("nobody answers: %v after %v", err, time.Since(begun))
		}
	})
}

// nagle is a connection that keeps what it is told.
type nagle struct {
	net.Conn
	noDelay bool
}

func (c *nagle) SetNoDelay(on bool) error { c.noDelay = on; return nil }

func TestGather(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		c := nagle{noDelay: true} // as a connection begins
		gather(&c, wanted)
		if c.noDelay == wanted {
			t.Errorf("small packets wait: %v, want %v", !c.noDelay, wanted)
		}
	}
}
