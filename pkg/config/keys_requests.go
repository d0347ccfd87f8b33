package config

const (
	noSelectors   = "each connection has its own goroutine, and no pool of selectors and workers"
	noCommitPool  = "commits are applied by one goroutine, and reads by those of their connections"
	noNetty       = "there is one kind of client port"
	pathStats     = "statistics by path"
	cleanedAtOnce = "watches of a closed connection are removed at once"
)

var requestKeys = []key{
	{
		name: "enforceQuota", takes: yesNo(func(c *Config) *bool { return &c.EnforceQuota }), def: "false",
		effect: "Refuses writes beyond a hard limit of a quota, and says in the log which go beyond a soft one.", test: "pkg/daemon.TestQuotas",
	},
	{
		name: "skipACL", takes: risky("yes", func(c *Config) *bool { return &c.SkipACL }), def: "no",
		effect: "`yes` permits everything to everybody.", test: "pkg/daemon.TestSkipACL",
	},
	{
		name: "enableEagerACLCheck", takes: yesNo(func(c *Config) *bool { return &c.EagerACLCheck }), def: "false",
		effect: "In an ensemble, refuses a write that an ACL forbids where the client is connected, without a txn.", test: "pkg/daemon.TestEagerACLCheck",
	},
	{
		name: "readonlymode.enabled", takes: later("servers that answer reads without a quorum", "false"), def: "false",
		effect: "A server without a quorum answers nothing in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "maxResponseCacheSize", def: "400",
		idle: "a reply is encoded from the tree into the connection's output, which costs less than to look it up in a cache",
	},
	{
		name: "maxGetChildrenResponseCacheSize", def: "400",
		idle: "a reply is encoded from the tree into the connection's output, which costs less than to look it up in a cache",
	},
	{name: "watchManagerName", def: "WatchManager", idle: "a Java class: there is one table of watches"},
	{name: "watcherCleanThreadsNum", def: "2", idle: cleanedAtOnce},
	{name: "watcherCleanThreshold", def: "1000", idle: cleanedAtOnce},
	{name: "watcherCleanIntervalInSeconds", def: "600", idle: cleanedAtOnce},
	{name: "maxInProcessingDeadWatchers", def: "-1", idle: cleanedAtOnce},
	{name: "bitHashCacheSize", def: "10", idle: "a setting of a Java class: there is one table of watches"},
	{name: "intBufferStartingSizeBytes", def: "1024", idle: "an entry is encoded once, into a buffer of its size"},
	{name: "serverCnxnFactory", def: "NIOServerCnxnFactory", idle: noNetty},
	{name: "nio.numSelectorThreads", def: "(by cores)", idle: noSelectors},
	{name: "nio.numWorkerThreads", def: "(by cores)", idle: noSelectors},
	{name: "nio.directBufferBytes", def: "65536", idle: noSelectors},
	{name: "nio.shutdownTimeout", def: "5000", idle: noSelectors},
	{name: "commitProcessor.numWorkerThreads", def: "(by cores)", idle: noCommitPool},
	{name: "commitProcessor.maxReadBatchSize", def: "-1", idle: noCommitPool},
	{name: "commitProcessor.maxCommitBatchSize", def: "1", idle: noCommitPool},
	{name: "commitProcessor.shutdownTimeout", def: "5000", idle: noCommitPool},
	{name: "netty.advancedFlowControl.enabled", also: []string{"advancedFlowControlEnabled"}, def: "false", idle: noNetty},
	{name: "netty.server.outstandingHandshake.limit", also: []string{"outstandingHandshake.limit"}, def: "-1", idle: noNetty},
	{name: "netty.server.earlyDropSecureConnectionHandshakes", def: "false", idle: noNetty},
	{
		name: "pathStats.enabled", takes: later(pathStats, "false"), def: "false",
		effect: "Nothing is counted by path in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	laterStats("pathStats.slotCapacity", "60"), laterStats("pathStats.slotDuration", "15"), laterStats("pathStats.maxDepth", "6"),
	laterStats("pathStats.sampleRate", "0.1"), laterStats("pathStats.initialDelay", "5"), laterStats("pathStats.delay", "5"),
	laterStats("pathStats.topPathMax", "20"),
}

func laterStats(name, def string) key {
	return key{
		name: name, takes: later(pathStats, def), def: def,
		effect: "Nothing is counted by path in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	}
}
