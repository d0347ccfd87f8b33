package ensemble

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ParseConfig reads a membership as Text writes it. Blank lines and lines that begin with # are skipped; without a
// version line the version is 0.
func ParseConfig(text string) (*Config, error) {
	var members []Member
	var version int64
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var err error
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		kind, number, _ := strings.Cut(key, ".")
		switch {
		case kind == "server":
			var m Member
			if m.ID, err = parseID(number); err == nil {
				m, err = parseMember(m.ID, value)
			}
			members = append(members, m)
		case key == "version":
			version, err = parseVersion(value)
		case kind == "group" || kind == "weight":
			err = errors.New("groups and weights of voters are more than this server understands")
		default:
			err = errors.New("neither server.N nor version")
		}
		if err != nil {
			return nil, fmt.Errorf("ensemble: parse line %d, %q: %w", i+1, line, err)
		}
	}
	c, err := NewConfig(members...)
	if err != nil {
		return nil, err
	}
	c.Version = version
	return c, nil
}

// ParseMember reads what stands behind "server.N=":
//
//	host:quorumPort:electionPort[:role] [| the same for a further network ...] [;[host:]clientPort[;[host:]securePort]]
//
// A role may stand behind any of the addresses, in any case of letters. An IPv6 host stands in brackets.
func ParseMember(id ID, value string) (Member, error) {
	m, err := parseMember(id, value)
	if err != nil {
		return Member{}, fmt.Errorf("ensemble: parse server.%d=%s: %w", id, value, err)
	}
	return m, nil
}

func parseMember(id ID, value string) (Member, error) {
	m := Member{ID: id}
	parts := strings.Split(value, ";")
	if len(parts) > 3 {
		return m, fmt.Errorf("%d semicolons, more than 2", len(parts)-1)
	}
	role := ""
	for _, text := range strings.Split(parts[0], "|") {
		host, rest, err := cutHost(text)
		if err != nil {
			return m, err
		}
		fields := strings.Split(rest, ":")
		if len(fields) == 3 {
			if role != "" && !strings.EqualFold(role, fields[2]) {
				return m, fmt.Errorf("roles %q and %q", role, fields[2])
			}
			role, fields = fields[2], fields[:2]
		}
		if len(fields) != 2 {
			return m, fmt.Errorf("%q is not host:quorumPort:electionPort[:role]", text)
		}
		quorum, err1 := parsePort(fields[0])
		election, err2 := parsePort(fields[1])
		if err := cmp.Or(err1, err2); err != nil {
			return m, err
		}
		m.Quorum = append(m.Quorum, Addr{host, quorum})
		m.Election = append(m.Election, Addr{host, election})
	}
	// ZooKeeper prints the addresses by host, and the text must be the same from every member.
	byHost := func(a, b Addr) int { return strings.Compare(a.Host, b.Host) }
	slices.SortStableFunc(m.Quorum, byHost)
	slices.SortStableFunc(m.Election, byHost)
	var err error
	if m.Role, err = parseRole(role); err != nil {
		return m, err
	}
	if len(parts) > 1 && (parts[1] != "" || len(parts) == 2) {
		if m.Client, err = parseClient(parts[1]); err != nil {
			return m, err
		}
	}
	if len(parts) > 2 {
		m.SecureClient, err = parseClient(parts[2])
	}
	return m, err
}

// ParseAddr reads host:port, an IPv6 host in brackets.
func ParseAddr(s string) (Addr, error) {
	host, rest, err := cutHost(s)
	if err != nil {
		return Addr{}, fmt.Errorf("ensemble: parse %q: %w", s, err)
	}
	port, err := parsePort(rest)
	if err != nil {
		return Addr{}, fmt.Errorf("ensemble: parse %q: %w", s, err)
	}
	return Addr{host, port}, nil
}

// parseClient reads [host:]port. Without a host it is every address of the server, which is written as 0.0.0.0.
func parseClient(s string) (*Addr, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, ":") {
		s = "0.0.0.0:" + s
	}
	a, err := ParseAddr(s)
	return &a, err
}

// cutHost takes the host off the front of s and returns what is behind the colon that follows it.
func cutHost(s string) (host, rest string, err error) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "[") {
		host, rest, ok := strings.Cut(s[1:], "]:")
		if ip, err := netip.ParseAddr(host); !ok || err != nil || !ip.Is6() {
			return "", "", fmt.Errorf("%q does not begin with an IPv6 address in brackets and a port", s)
		}
		return host, rest, nil
	}
	host, rest, ok := strings.Cut(s, ":")
	if !ok || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("[]|;=#", r) }) {
		return "", "", fmt.Errorf("%q does not begin with a host and a port", s)
	}
	return host, rest, nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", s)
	}
	return int(n), nil
}

func parseRole(s string) (Role, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "participant", "":
		return Participant, nil
	case "observer":
		return Observer, nil
	}
	return 0, fmt.Errorf("role %q is neither participant nor observer", s)
}

// parseID reads the N of server.N. The largest number is refused: on the wire it stands for an observer without an id.
func parseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 1<<63-1 {
		return 0, fmt.Errorf("id %q is not a number that a server may have", s)
	}
	return ID(n), nil
}

func parseVersion(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 16, 63)
	if err != nil {
		return 0, fmt.Errorf("version %q is not a hexadecimal number", s)
	}
	return int64(n), nil
}
