package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zabd/zabd/pkg/ensemble"
)

// listener is a port that the server opens.
type listener struct {
	origin
	ensemble.Addr
}

// comparePorts refuses settings that would have a server open one port twice. own is its server line; nil if it serves
// alone.
func (l *loader) comparePorts(c *Config, own *serverLine) error {
	open := []listener{{l.originOf("clientPort"), ensemble.Addr{Host: c.ClientPortAddress, Port: c.ClientPort}}}
	if own != nil {
		for _, a := range slices.Concat(own.member.Quorum, own.member.Election) {
			if c.QuorumListenOnAllIPs {
				a.Host = ""
			}
			open = append(open, listener{own.origin, a})
		}
	}
	if c.AdminEnabled {
		open = append(open, listener{l.originOf("admin.serverPort"), ensemble.Addr{Host: c.AdminAddress, Port: c.AdminPort}})
	}
	if c.PrometheusEnabled() {
		open = append(open, listener{l.originOf("metricsProvider.httpPort"), ensemble.Addr{Host: c.MetricsHost, Port: c.MetricsPort}})
	}
	for i, a := range open {
		for _, b := range open[:i] {
			sameHost := strings.EqualFold(a.Host, b.Host) || isWildcard(a.Host) || isWildcard(b.Host)
			if a.origin != b.origin && a.Port == b.Port && a.Port != 0 && sameHost {
				return &Error{a.source, a.key, fmt.Sprintf("%d is also the port of %s at %s", a.Port, b.key, b.source)}
			}
		}
	}
	return nil
}
