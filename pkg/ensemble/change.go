package ensemble

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrNoNumber is why a change of members is refused that names a server by something else than a number.
var ErrNoNumber = errors.New("a server's id is a number")

// Change returns the membership that this one becomes when servers leave and then others join: the incremental form of
// ZooKeeper's reconfig. Leaving are ids, and joining are lines "server.N=..." with a client port, each separated by commas.
// Who joins under the id of a member takes its place; who leaves and is none is passed over. The version is this one's.
func (c *Config) Change(joining, leaving string) (*Config, error) {
	members := slices.Clone(c.Members)
	without := func(id ID) {
		members = slices.DeleteFunc(members, func(m Member) bool { return m.ID == id })
	}
	for text := range fields(leaving) {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("ensemble: leaving server %q: %w", text, ErrNoNumber)
		}
		without(ID(id))
	}
	for text := range fields(joining) {
		key, value, _ := strings.Cut(text, "=")
		number, ok := strings.CutPrefix(strings.TrimSpace(key), "server.")
		id, err := parseID(number)
		switch {
		case ok && err != nil:
			return nil, fmt.Errorf("ensemble: joining server %q: %w", text, ErrNoNumber)
		case !ok:
			return nil, fmt.Errorf("ensemble: joining server %q does not begin with server.N=", text)
		}
		m, err := ParseMember(id, strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		if m.Client == nil {
			return nil, fmt.Errorf("ensemble: joining server %q has no client port", text)
		}
		without(id)
		members = append(members, m)
	}
	d, err := NewConfig(members...)
	if err != nil {
		return nil, err
	}
	d.Version = c.Version
	return d, nil
}

// ParseMembers reads a whole new membership: the lines of ParseConfig, separated by newlines or commas.
func ParseMembers(text string) (*Config, error) {
	return ParseConfig(strings.ReplaceAll(text, ",", "\n"))
}

// fields yields the parts of a list that is separated by commas, without blanks around them; empty parts are passed over.
func fields(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(list, ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}
