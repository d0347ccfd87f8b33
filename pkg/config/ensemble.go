package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/ensemble"
)

// A serverLine is one server.N line.
type serverLine struct {
	origin
	member ensemble.Member
}

func (s serverLine) String() string { return s.key + " at " + s.source }

func (s serverLine) bad(format string, args ...any) error {
	return &Error{s.source, s.key, fmt.Sprintf(format, args...)}
}

// join makes the server lines into the ensemble that this server is a member of. A file myid is written last, when
// nothing is wrong.
func (l *loader) join(c *Config) error {
	lines, err := l.serverLines(c)
	if err != nil {
		return err
	}
	alone, err := l.servesAlone(c, lines)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		l.compareRole(ensemble.Participant)
		return l.comparePorts(c, nil)
	}
	own, stored, err := l.identify(c, lines, alone)
	if err != nil {
		return err
	}
	l.compareRole(own.member.Role)
	if err := l.takeClientAddress(c, own); err != nil {
		return err
	}
	if alone {
		return l.comparePorts(c, nil)
	}
	if err := l.comparePorts(c, &own); err != nil {
		return err
	}
	members := make([]ensemble.Member, len(lines))
	for i, s := range lines {
		members[i] = s.member
	}
	if c.Members, err = ensemble.NewConfig(members...); err != nil {
		return &Error{Source: l.listFile(), Reason: err.Error()}
	}
	c.Members.Version, c.MyID = l.list.version, own.member.ID
	if err := l.prepareReconfig(c); err != nil {
		return err
	}
	if stored {
		return nil
	}
	return l.storeID(c, own)
}

// listFile returns the file that the server lines stand in.
func (l *loader) listFile() string { return l.list.file }

// serverLines returns the servers by ascending id: those of the list that counts.
func (l *loader) serverLines(c *Config) ([]serverLine, error) {
	var err error
	if l.list, err = l.givenList(c); err != nil {
		return nil, err
	}
	return l.list.lines, l.preferActive(c)
}

// inOrder returns the lines of a list by ascending id, unless two of them cannot stand beside each other.
func inOrder(lines []serverLine) ([]serverLine, error) {
	slices.SortStableFunc(lines, func(a, b serverLine) int { return int(a.member.ID - b.member.ID) })
	return lines, compareLines(lines)
}

// parseServerLine reads one line. The N is the first byte of the ids of a server's sessions, hence its range.
func parseServerLine(c *Config, o origin, value string) (serverLine, error) {
	s := serverLine{origin: o}
	number := strings.TrimPrefix(canonical(o.key), serverPrefix)
	id, err := strconv.ParseUint(number, 10, 8)
	if err != nil || id == 0 {
		return s, s.bad("%q is not a number from 1 to 255", number)
	}
	if value, err = expand(value); err != nil {
		return s, s.bad("%v", err)
	}
	if s.member, err = ensemble.ParseMember(ensemble.ID(id), value); err != nil {
		return s, s.bad("%v", err)
	}
	if len(s.member.Quorum) > 1 && !c.MultiAddressEnabled {
		return s, s.bad("several addresses need multiAddress.enabled=true, on every server")
	}
	for i, a := range s.member.Quorum {
		if a == s.member.Election[i] {
			return s, s.bad("%d is the port for the quorum and for elections", a.Port)
		}
	}
	return s, nil
}

// compareLines says which servers cannot stand beside each other.
func compareLines(lines []serverLine) error {
	owner := make(map[ensemble.Addr]serverLine)
	for i, s := range lines {
		if i > 0 && lines[i-1].member.ID == s.member.ID {
			return s.bad("is the same server as %v", lines[i-1])
		}
		for _, a := range slices.Concat(s.member.Quorum, s.member.Election) {
			if other, taken := owner[a]; taken {
				return s.bad("%v is also the address of %v", a, other)
			}
			owner[a] = s
		}
	}
	return nil
}

// servesAlone decides by ZooKeeper's rules whether these servers are an ensemble, and what to say of it.
func (l *loader) servesAlone(c *Config, lines []serverLine) (bool, error) {
	var observers []serverLine
	for _, s := range lines {
		if s.member.Role == ensemble.Observer {
			observers = append(observers, s)
		}
	}
	voters := len(lines) - len(observers)
	switch {
	case voters == 0 && !c.StandaloneEnabled:
		return false, l.bad("standaloneEnabled", "is false, and no server line is a participant's")
	case voters == 0 && len(observers) > 0:
		return false, observers[0].bad("observes, and there is no participant")
	case voters == 0:
		return true, nil
	case voters == 1 && c.StandaloneEnabled && len(observers) > 0:
		return false, observers[0].bad("observes a single participant, which needs standaloneEnabled=false")
	case voters == 1 && c.StandaloneEnabled:
		l.warn(lines[0].origin, "is the only server: it serves alone")
		return true, nil
	}
	switch file := l.listFile(); {
	case voters <= 2:
		l.warn(origin{file, fmt.Sprintf("%d voters", voters)}, "survive no failure")
	case voters%2 == 0:
		l.warn(origin{file, fmt.Sprintf("%d voters", voters)}, fmt.Sprintf("survive no more failures than %d", voters-1))
	}
	return false, l.needLimits(c)
}

func (l *loader) needLimits(c *Config) error {
	const reason = "is not set, and an ensemble needs it"
	switch {
	case c.InitLimit == 0:
		return l.bad("initLimit", reason)
	case c.SyncLimit == 0:
		return l.bad("syncLimit", reason)
	}
	return nil
}

// compareRole says that the server lines count, and not peerType.
func (l *loader) compareRole(role ensemble.Role) {
	const key = "peerType"
	if value := l.values.GetString(canonical(key)); l.isSet(key) && !strings.EqualFold(value, role.String()) {
		l.warn(l.from[canonical(key)], fmt.Sprintf("%s does not count: by the server lines this is a %v", value, role))
	}
}

// takeClientAddress takes the client port from the server's own line. What is set elsewhere may not contradict it.
func (l *loader) takeClientAddress(c *Config, own serverLine) error {
	if own.member.SecureClient != nil && own.member.Client == nil && !l.isSet("clientPort") {
		return own.bad("%s", noPlainPort)
	}
	if own.member.SecureClient != nil {
		l.warn(own.origin, "has a secure client port, which this release does not open")
	}
	a := own.member.Client
	if a == nil {
		return nil
	}
	if l.list.version > 0 { // a reconfiguration may have moved the port, and does not change zoo.cfg
		if l.isSet("clientPort") && c.ClientPort != a.Port {
			l.warn(l.originOf("clientPort"), fmt.Sprintf("%d does not count: the port of %v does, %d", c.ClientPort, own, a.Port))
		}
		c.SetClientAddress(a)
		c.portAt = own.origin
		return nil
	}
	if l.isSet("clientPort") && c.ClientPort != a.Port {
		return l.bad("clientPort", fmt.Sprintf("%d is not the port of %v, %d", c.ClientPort, own, a.Port))
	}
	if !isWildcard(c.ClientPortAddress) && !l.sameHost(c.ClientPortAddress, a.Host) {
		return l.bad("clientPortAddress", fmt.Sprintf("%s is not the client address of %v, %s", c.ClientPortAddress, own, a.Host))
	}
	c.SetClientAddress(a)
	if !l.isSet("clientPort") {
		c.portAt = own.origin
	}
	return nil
}

// SetClientAddress makes the client address of a server line that of the settings.
func (c *Config) SetClientAddress(a *ensemble.Addr) {
	c.ClientPort, c.ClientPortAddress = a.Port, a.Host
	if isWildcard(a.Host) {
		c.ClientPortAddress = "" // by IPv4 and IPv6
	}
}
