package config

import (
	"net"
	"strconv"

	"github.com/zabd/zabd/pkg/ensemble"
)

// Survey reads the settings for those who ask the servers rather than be one of them: it does not matter which of them this
// host is, and MyID is 0 if it is none. Members has a single server as well, if there is a line for it. No file is written.
func Survey(file string, env []string) (Config, error) {
	h := thisHost()
	h.store = nil
	l, err := gather(h, file, env, nil)
	if err != nil {
		return Config{}, err
	}
	cfg := Default()
	for _, step := range []func(*Config) error{l.setAll, l.check} {
		if err := step(&cfg); err != nil {
			return Config{}, err
		}
	}
	lines, err := l.serverLines(&cfg)
	if err != nil || len(lines) == 0 {
		return cfg, err
	}
	members := make([]ensemble.Member, len(lines))
	for i, s := range lines {
		members[i] = s.member
	}
	if cfg.Members, err = ensemble.NewConfig(members...); err != nil {
		return Config{}, &Error{Source: l.listFile(), Reason: err.Error()}
	}
	if own, _, err := l.identify(&cfg, lines, len(lines) == 1); err == nil {
		cfg.MyID = own.member.ID
		err = l.takeClientAddress(&cfg, own)
		return cfg, err
	}
	return cfg, nil
}

// ClientAddress returns where clients find a member: as its line says, or else where its quorum port is, at clientPort.
// Of the server that the settings are for, clientPortAddress counts.
func (c *Config) ClientAddress(m *ensemble.Member) string {
	host, port := m.Quorum[0].Host, c.ClientPort
	switch {
	case m.Client != nil:
		port = m.Client.Port
		if !isWildcard(m.Client.Host) {
			host = m.Client.Host
		}
	case m.ID == c.MyID && !isWildcard(c.ClientPortAddress):
		host = c.ClientPortAddress
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
