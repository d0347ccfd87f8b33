package shell

import (
	"context"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// configNode holds the ensemble's members, outside any chroot.
const configNode = "/zookeeper/config"

// ensembleCommands are about the ensemble's members.
func ensembleCommands() []*Command {
	return []*Command{
		{
			Name: "config", Usage: "[-c] [-w] [-s]", Short: "Print the ensemble's members", least: 1, run: getConfig,
			Options: []Option{{"c", "connect", "", "as a list of servers for clients"}, {"s", "stat", "", "print the node's stat"}, {"w", "watch", "", "leave a watch"}},
		},
		{
			Name: "reconfig", Short: "Change the ensemble's members", least: 1, run: reconfig,
			Usage: "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | " +
				"[-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
			Options: []Option{
				{"s", "stat", "", "print the node's stat"},
				{"v", "version", "HEX", "the version that the configuration must have"},
				{"file", "file", "FILE", "with the lines of all members to be"},
				{"members", "members", "LIST", "all members to be, server.N=host:port1:port2;port3,..."},
				{"add", "add", "LIST", "members that come, server.N=host:port1:port2;port3,..."},
				{"remove", "remove", "IDS", "members that go, N,..."},
			},
		},
	}
}

func getConfig(ctx context.Context, s *Shell, c Call) error {
	data, stat, err := s.zk.config(ctx, c.Has("w"))
	if err != nil {
		return explain(err, configNode)
	}
	shown := text(data)
	if c.Has("c") {
		shown = connectString(shown)
	}
	s.say("%s", shown)
	s.sayStat(c, &stat)
	return nil
}

// connectString is the version of a configuration and the addresses at which its servers serve clients.
func connectString(config string) string {
	version := ""
	var servers []string
	for line := range strings.Lines(config) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "version" {
			version = value
		}
		if !strings.HasPrefix(key, "server.") {
			continue
		}
		_, addr, ok := strings.Cut(value, ";")
		if _, err := strconv.Atoi(addr); ok && err == nil {
			addr = net.JoinHostPort("0.0.0.0", addr)
		}
		servers = append(servers, addr)
	}
	return version + " " + strings.Join(servers, ",")
}

// change is a change of the ensemble's members. What is "" stays as it is.
type change struct {
	joining, leaving, members string
	from                      int64 // version of the configuration that is changed; -1 for whichever there is
}

// change reads what reconfig is asked for.
func (c Call) change() (ch change, err error) {
	whole, part := c.Has("file") || c.Has("members"), c.Has("add") || c.Has("remove")
	if !whole && !part {
		return ch, usageError(c.help())
	}
	ch.from = -1
	if text, ok := c.values["v"]; ok {
		if ch.from, err = strconv.ParseInt(text, 16, 64); err != nil {
			return ch, usageError("-v must be followed by a long (configuration version)")
		}
	}
	switch {
	case whole && part:
		return ch, usageError("Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is not allowed)")
	case c.Has("file") && c.Has("members"):
		return ch, usageError("Can't use -file and -members together (conflicting non-incremental modes)")
	}
	ch.joining, ch.leaving = strings.ToLower(c.values["add"]), strings.ToLower(c.values["remove"])
	ch.members = strings.ToLower(c.values["members"])
	if file, ok := c.values["file"]; ok {
		ch.members, err = membersOf(file)
	}
	return ch, err
}

var memberLine = regexp.MustCompile(`^(server|group|weight)\.\d+\s*=`)

// membersOf reads the members from a file of dynamic configuration.
func membersOf(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fail("Error processing %v", err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); memberLine.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "", fail("Error processing %s: no line server.N=host:port1:port2;port3", file)
	}
	return strings.Join(lines, "\n"), nil
}

func reconfig(ctx context.Context, s *Shell, c Call) error {
	ch, err := c.change()
	if err != nil {
		return err
	}
	config, stat, err := s.zk.Reconfig(ctx, ch.joining, ch.leaving, ch.members, ch.from)
	if err != nil {
		return explain(err, "")
	}
	s.say("Committed new configuration:\n%s", text(config))
	s.sayStat(c, &stat)
	return nil
}
