// Package ensemble says who belongs to an ensemble, by which addresses, and which sets of its voters are a quorum. It
// owns the text of a membership, in zoo.cfg and between servers. Looking up names, and which address of several
// answers, is left to those who dial.
package ensemble

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An ID is a server's number, the N of server.N, from 1 to 255. ZooKeeper also lets members have 0 or a larger one.
type ID int64

// A Role says whether a member votes.
type Role int

// The roles.
const (
	Participant Role = iota
	Observer
)

func (r Role) String() string {
	if r == Observer {
		return "observer"
	}
	return "participant"
}

// An Addr is a host, by name or number, and a port. It is a text, not an endpoint: the name is looked up at each dial.
type Addr struct {
	Host string
	Port int
}

// String returns host:port, with an IPv6 host in brackets.
func (a Addr) String() string { return a.host() + ":" + strconv.Itoa(a.Port) }

func (a Addr) host() string {
	if strings.Contains(a.Host, ":") {
		return "[" + a.Host + "]"
	}
	return a.Host
}

// A Member is one server of the ensemble. Quorum and Election have one address each per network that the server is
// on, in the order of their hosts. Client and SecureClient come from the dynamic form of the line only, and are nil
// otherwise.
type Member struct {
	ID                   ID
	Quorum, Election     []Addr
	Role                 Role
	Client, SecureClient *Addr
}

// String returns what stands behind "server.N=".
func (m Member) String() string {
	var b strings.Builder
	for i, q := range m.Quorum {
		if i > 0 {
			b.WriteByte('|')
		}
		fmt.Fprintf(&b, "%v:%d", q, m.Election[i].Port)
	}
	b.WriteString(":" + m.Role.String())
	if m.Client != nil || m.SecureClient != nil {
		b.WriteByte(';')
	}
	if m.Client != nil {
		b.WriteString(m.Client.String())
	}
	if m.SecureClient != nil {
		b.WriteString(";" + m.SecureClient.String())
	}
	return b.String()
}

// A Config is a membership. It does not change once it is made, so everyone may hold the same one; whoever makes one
// sets its Version before handing it on.
type Config struct {
	Version int64
	Members []Member // by ascending id

	voters []ID
}

// NewConfig returns the membership of version 0 that consists of members: at least one voter, no id twice, and no
// quorum or election address twice.
func NewConfig(members ...Member) (*Config, error) {
	c := &Config{Members: slices.Clone(members)}
	slices.SortStableFunc(c.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	owner := make(map[Addr]ID)
	for i, m := range c.Members {
		if i > 0 && c.Members[i-1].ID == m.ID {
			return nil, fmt.Errorf("ensemble: server.%d stands there twice", m.ID)
		}
		for _, a := range slices.Concat(m.Quorum, m.Election) {
			if other, taken := owner[a]; taken {
				return nil, fmt.Errorf("ensemble: server.%d and server.%d have the same address %v", other, m.ID, a)
			}
			owner[a] = m.ID
		}
		if m.Role == Participant {
			c.voters = append(c.voters, m.ID)
		}
	}
	if len(c.voters) == 0 {
		return nil, fmt.Errorf("ensemble: none of %d servers is a participant", len(members))
	}
	return c, nil
}

// Member returns the member with that id.
func (c *Config) Member(id ID) (Member, bool) {
	i, ok := slices.BinarySearchFunc(c.Members, id, func(m Member, id ID) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return Member{}, false
	}
	return c.Members[i], true
}

// Voters returns the ids of the voters, ascending. The slice is the config's own.
func (c *Config) Voters() []ID { return c.voters }

// Slot returns a voter's place among the voters.
func (c *Config) Slot(id ID) (int, bool) { return slices.BinarySearch(c.voters, id) }

// IsVoter tells whether the id is a voter's.
func (c *Config) IsVoter(id ID) bool {
	_, ok := c.Slot(id)
	return ok
}

// Quorum returns the rule by which the voters' slots make a quorum.
func (c *Config) Quorum() Quorum { return NewMajority(len(c.voters)) }

// Holds tells whether the voters for which f is true are a quorum.
func (c *Config) Holds(f func(ID) bool) bool {
	n := 0
	for _, id := range c.voters {
		if f(id) {
			n++
		}
	}
	return 2*n > len(c.voters)
}

// WithVersion returns the same membership with another version.
func (c *Config) WithVersion(version int64) *Config {
	d := *c
	d.Version = version
	return &d
}

// SameMembers tells whether both have the same members, with the same roles and addresses, whatever their versions.
func (c *Config) SameMembers(o *Config) bool { return c.lines() == o.lines() }

// Text returns the membership as servers send it and keep it in /zookeeper/config: a line for each member, then the
// version in hexadecimal, without a newline at the end.
func (c *Config) Text() string { return c.lines() + "version=" + strconv.FormatInt(c.Version, 16) }

func (c *Config) lines() string {
	var b strings.Builder
	for _, m := range c.Members {
		fmt.Fprintf(&b, "server.%d=%v\n", m.ID, m)
	}
	return b.String()
}
