package shell

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Start is what zkCli.sh is called with.
type Start struct {
	Server            string
	Timeout           time.Duration
	ReadOnly          bool
	WaitForConnection bool
	Command           []string // to be run in the place of a shell; empty for a shell
	Help              bool
}

// ParseStart reads zkCli.sh's words: flags with one dash, and then a command, if there is one.
func ParseStart(args []string) (s Start, err error) {
	s = Start{Server: DefaultServer, Timeout: DefaultTimeout}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag := args[0]
		args = args[1:]
		switch flag {
		case "-r":
			s.ReadOnly = true
			continue
		case "-waitforconnection":
			s.WaitForConnection = true
			continue
		case "-h", "-help", "--help":
			s.Help = true
			return s, nil
		case "-server", "-timeout", "-client-configuration":
		default:
			return s, usageError(fmt.Sprintf("Error: no such option: %s", flag))
		}
		if len(args) == 0 {
			return s, usageError("Error: no argument found for option " + flag)
		}
		if err := s.take(flag, args[0]); err != nil {
			return s, err
		}
		args = args[1:]
	}
	s.Command = args
	return s, nil
}

func (s *Start) take(flag, value string) error {
	switch flag {
	case "-server":
		s.Server = cmp.Or(value, DefaultServer)
	case "-timeout":
		millis, err := strconv.ParseUint(value, 10, 31)
		if err != nil || millis == 0 {
			return usageError(fmt.Sprintf("Error: -timeout %s: want milliseconds", value))
		}
		s.Timeout = time.Duration(millis) * time.Millisecond
	case "-client-configuration":
		return checkClientConfiguration(value)
	}
	return nil
}

// checkClientConfiguration reads a file with settings of ZooKeeper's Java client. None of them has an effect here; those that would
// have the connection protected are refused.
func checkClientConfiguration(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fail("Error: -client-configuration: %v", err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.TrimSpace(key) == "zookeeper.client.secure" && strings.EqualFold(strings.TrimSpace(value), "true") {
			return fail("Error: %s:%d: zookeeper.client.secure: connections with TLS are not there yet", file, n)
		}
	}
	return nil
}
