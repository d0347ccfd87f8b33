package client

import (
	"context"
	"io"
	"time"

	"github.com/zabd/zabd/pkg/wire"
)

// seekQuorum asks the other servers, while the present one has no quorum, for one that has, and sends its address.
func (c *Client) seekQuorum(conn *wire.Conn) <-chan string {
	if !conn.ReadOnly {
		return nil
	}
	const first, longest = 200 * time.Millisecond, time.Minute
	found := make(chan string, 1)
	present := c.Server()
	go func() {
		pause := time.NewTimer(first)
		defer pause.Stop()
		for wait := first; ; wait = min(2*wait, longest) {
			select {
			case <-pause.C:
			case <-conn.Done():
				return
			}
			for _, server := range c.servers {
				if server != present && c.hasQuorum(server) {
					found <- server
					return
				}
			}
			pause.Reset(wait)
		}
	}()
	return found
}

// hasQuorum asks a server by the four-letter word isro.
func (c *Client) hasQuorum(server string) bool {
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	nc, err := c.o.Dial(ctx, "tcp", server)
	if err != nil {
		return false
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	if _, err := io.WriteString(nc, "isro"); err != nil {
		return false
	}
	answer := make([]byte, 2)
	_, err = io.ReadFull(nc, answer)
	return err == nil && string(answer) == "rw"
}
