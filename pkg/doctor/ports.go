package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/overview"
)

const dialTimeout = 3 * time.Second

// ports: those that the servers need of each other cannot be reached from this host. Only the leader need have its quorum
// port open.
func (x *examination) ports(ctx context.Context) {
	if x.Config == nil || x.Config.Members == nil {
		return
	}
	var wg sync.WaitGroup
	for i := range x.Config.Members.Members {
		m := &x.Config.Members.Members[i]
		if len(x.Config.Members.Members) == 1 {
			return // nobody needs them
		}
		wg.Go(func() { x.portsOf(ctx, m) })
	}
	wg.Wait()
}

func (x *examination) portsOf(ctx context.Context, m *ensemble.Member) {
	where := fmt.Sprintf("server %d", m.ID)
	wanted := map[string][]ensemble.Addr{"election": m.Election}
	if int64(m.ID) == x.ensemble.Leader {
		wanted["quorum"] = m.Quorum
	}
	for what, addrs := range wanted {
		for _, a := range addrs {
			err := dial(ctx, a.String())
			if err == nil || errors.Is(err, syscall.ECONNREFUSED) && x.down(int64(m.ID)) {
				continue
			}
			x.find(Finding{"ports", Error, where, fmt.Sprintf("its %s port %v cannot be reached from here: %s", what, a, reason(err)), remedyOf(err)})
		}
	}
}

// down tells whether a server does not answer, which has been said.
func (x *examination) down(id int64) bool {
	return slices.ContainsFunc(x.ensemble.Servers, func(s overview.Server) bool { return s.ID == id && s.Role == overview.Down })
}

func dial(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// remedyOf tells what to do when a port cannot be reached.
func remedyOf(err error) string {
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return "make the name known to this host: DNS, or /etc/hosts"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start the server, or correct the port in its server line: nobody listens there"
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "timeout"):
		return "open the port in the firewall (the packages have profiles for ufw and firewalld), or correct the address in the server line"
	}
	return "correct the address in the server line, or the routes between the hosts"
}
