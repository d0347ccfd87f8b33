package client

import (
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const defaultPort = "2181"

// parseServers reads "host:port,host:port/chroot"; a port may be left out.
func parseServers(s string) (servers []string, chroot string, err error) {
	list, path, found := strings.Cut(s, "/")
	if found && path != "" {
		chroot = "/" + path
		if err := checkPath(chroot); err != nil {
			return nil, "", err
		}
	}
	for _, one := range strings.Split(list, ",") {
		one = strings.TrimSpace(one)
		if one == "" {
			return nil, "", &AddressError{s, "has an empty name in it"}
		}
		host, port, err := net.SplitHostPort(one)
		if err != nil {
			host, port = strings.Trim(one, "[]"), defaultPort
			if strings.Contains(one, ":") && net.ParseIP(host) == nil {
				return nil, "", &AddressError{one, "is no host and port"}
			}
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "", &AddressError{one, "has no port between 1 and 65535"}
		}
		if host == "" {
			return nil, "", &AddressError{one, "has no host"}
		}
		servers = append(servers, net.JoinHostPort(host, port))
	}
	return servers, chroot, nil
}

// rota says which server to try next, and how long to wait before. All are tried at once, then there is a pause, which
// doubles from round to round. The order is of chance, so that the clients of a server that dies do not all go to the
// same one.
type rota struct {
	servers  []string
	at       int
	tried    int // since the last success
	min, max time.Duration
}

func newRota(servers []string, o *Options) *rota {
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	return &rota{servers: servers, min: o.RetryMin, max: o.RetryMax, at: -1}
}

// next returns a server and the pause before it, of which a random part up to half is left out.
func (r *rota) next() (server string, pause time.Duration) {
	if n := len(r.servers); r.tried > 0 && r.tried%n == 0 {
		round := min(r.tried/n-1, 30)
		pause = min(r.min<<round, r.max)
		if pause <= 0 {
			pause = r.max
		}
		pause -= time.Duration(rand.Int64N(int64(pause)/2 + 1))
	}
	r.tried++
	r.at = (r.at + 1) % len(r.servers)
	return r.servers[r.at], pause
}

// lasted begins anew after a connection that lasted so long: the next server comes at once, or, if every connection is
// lost soon, after the shortest pause.
func (r *rota) lasted(d time.Duration) {
	r.tried = 0
	if d < 10*r.min {
		r.tried = len(r.servers)
	}
}

// stay has the present server tried again.
func (r *rota) stay() { r.at-- }

// prefer has a server tried next, if it is one of ours.
func (r *rota) prefer(server string) {
	if i := slices.Index(r.servers, server); i >= 0 {
		r.at = i - 1
	}
}
