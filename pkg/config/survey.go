package config

import (
	"net"
	"slices"
	"strconv"

	"github.com/zabd/zabd/pkg/ensemble"
)

// Survey reads the settings for those who ask the servers rather than be one of them: it does not matter which of them this
// host is, and MyID is 0 if it is none, or may not be told. ClientPort is 0 where only this host's line would say it. Members has
// a single server as well, if there is a line for it. No file is written. Beside an error, which is the first mistake, there is
// what can be read all the same.
func Survey(file string, env []string) (Config, error) {
	cfg, h := Default(), thisHost()
	h.store = nil
	l, err := gather(h, file, env, nil)
	if err != nil {
		return cfg, err
	}
	for _, step := range []func(*Config) error{l.setAll, l.check, l.locate, l.survey} {
		if wrong := step(&cfg); err == nil {
			err = wrong
		}
	}
	return cfg, err
}

// survey takes the members, and the client port of this host's line.
func (l *loader) survey(c *Config) error {
	if c.DataDir == "" {
		return nil // there would be no myid
	}
	lines, err := l.serverLines(c)
	if err != nil || len(lines) == 0 {
		return err
	}
	members := make([]ensemble.Member, len(lines))
	for i, s := range lines {
		members[i] = s.member
	}
	if c.Members, err = ensemble.NewConfig(members...); err != nil {
		return &Error{Source: l.listFile(), Reason: err.Error()}
	}
	own, _, err := l.identify(c, lines, len(lines) == 1)
	if err == nil {
		c.MyID = own.member.ID
		return l.takeClientAddress(c, own)
	}
	if !l.isSet("clientPort") && !slices.ContainsFunc(members, func(m ensemble.Member) bool { return m.Client == nil }) {
		c.ClientPort = 0
	}
	return nil
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
