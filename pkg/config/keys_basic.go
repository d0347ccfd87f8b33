package config

import (
	"math"
	"time"
)

var basicKeys = []key{
	{
		name: "clientPort", takes: number(func(c *Config) *int { return &c.ClientPort }, 0, math.MaxUint16), def: "2181",
		effect: "The port that clients connect to; 0 has the system choose one. It is not opened where the service manager hands one over.",
		test:   "pkg/daemon.TestAddressesOfPorts",
	},
	{
		name: "clientPortAddress", takes: text(func(c *Config) *string { return &c.ClientPortAddress }).or("name, address or template"), def: "(all addresses)",
		effect: "The address at which clients are served; `{{ GetPrivateIP }}` and other templates of go-sockaddr stand for addresses of the host.",
		test:   "pkg/daemon.TestAddressesOfPorts",
	},
	{
		name: "secureClientPort", takes: later("TLS for clients", ""),
		effect: "Not opened in this release; alone, without a clientPort, it refuses the start rather than serve in the clear.",
		test:   "pkg/config.TestNoPlainPortInPlaceOfASecureOne",
	},
	{
		name: "secureClientPortAddress", takes: later("TLS for clients", ""),
		effect: "No such port is opened in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "clientPortListenBacklog", takes: number(func(c *Config) *int { return &c.ClientPortListenBacklog }, -1, math.MaxInt32), def: "-1",
		effect: "How many connections the system holds that have not been accepted yet; -1 leaves that to the system.",
		test:   "pkg/daemon.TestSocketOptions",
	},
	{
		name: "clientTcpKeepAlive", takes: yesNo(func(c *Config) *bool { return &c.ClientTCPKeepAlive }), def: "false",
		effect: "Whether the system looks after clients that say nothing.", test: "pkg/daemon.TestSocketOptions",
	},
	{
		name: "dataDir", takes: text(func(c *Config) *string { return &c.DataDir }).or("directory; needed"),
		effect: "Has myid, snapshots, epochs and, unless dataLogDir is set, the logs.", test: "pkg/daemon.TestDirectories",
	},
	{
		name: "dataLogDir", takes: text(func(c *Config) *string { return &c.DataLogDir }).or("directory"), def: "(dataDir)",
		effect: "Has the logs.", test: "pkg/daemon.TestDirectories",
	},
	{
		name: "tickTime", takes: millis(func(c *Config) *time.Duration { return &c.TickTime }, 1), def: "3000",
		effect: "The unit of session timeouts and of initLimit, syncLimit and connectToLearnerMasterLimit.",
		test:   "pkg/daemon.TestSessionTimeouts",
	},
	{
		name: "minSessionTimeout", takes: millis(func(c *Config) *time.Duration { return &c.MinSessionTimeout }, -1), def: "(2 ticks)",
		effect: "The shortest timeout that a session gets, whatever its client asks for; -1 = the default.",
		test:   "pkg/daemon.TestSessionTimeouts",
	},
	{
		name: "maxSessionTimeout", takes: millis(func(c *Config) *time.Duration { return &c.MaxSessionTimeout }, -1), def: "(20 ticks)",
		effect: "The longest one; -1 = the default.", test: "pkg/daemon.TestSessionTimeouts",
	},
	{
		name: "dynamicConfigFile", takes: text(func(c *Config) *string { return &c.DynamicConfigFile }).or("file"),
		effect: "Has the server lines, which zoo.cfg then may not have; the end of its name is its version.",
		test:   "pkg/daemon.TestOneServer",
	},
	{
		name: "localSessionsEnabled", takes: later("sessions that only one server knows", "false"), def: "false",
		effect: "All sessions are the ensemble's in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "localSessionsUpgradingEnabled", takes: later("sessions that only one server knows", "false"), def: "false",
		effect: "All sessions are the ensemble's in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "observerMasterPort", takes: later("followers that observers learn from", ""),
		effect: "Observers learn from the leader in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
}
