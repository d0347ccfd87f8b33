package config

import (
	"math"
	"time"
)

var dataKeys = []key{
	{
		name: "preAllocSize", takes: kib(func(c *Config) *int64 { return &c.PreAllocSize }, 64), def: "65536",
		effect: "How much of a log file is prepared ahead, and how large it gets.", test: "pkg/daemon.TestDirectories",
	},
	{
		name: "snapCount", takes: number(func(c *Config) *int { return &c.SnapCount }, 2, math.MaxInt32), def: "100000",
		effect: "A snapshot is written and a log begun after so many txns, or at random from half of them on, so that servers take turns.",
		test:   "pkg/daemon.TestSnapshotsAreTaken",
	},
	{
		name: "snapSizeLimitInKb", takes: kib(func(c *Config) *int64 { return &c.SnapSizeLimit }, math.MinInt64), def: "4194304",
		effect: "The same by the size of the log; 0 or less turns it off.", test: "pkg/daemon.TestSnapshotsAreTaken",
	},
	{
		name: "txnLogSizeLimitInKb", takes: kib(func(c *Config) *int64 { return &c.TxnLogSizeLimit }, math.MinInt64), def: "-1",
		effect: "A new log file is begun, without a snapshot, where the last one would get larger; 0 or less leaves that to preAllocSize.",
		test:   "pkg/daemon.TestLogFilesAreBounded",
	},
	{
		name: "autopurge.snapRetainCount", takes: number(func(c *Config) *int { return &c.AutopurgeSnapRetainCount }, 3, math.MaxInt32), def: "3", live: true,
		effect: "How many snapshots a purge keeps, with the logs behind them.", test: "pkg/daemon.TestPurge",
	},
	{
		name: "autopurge.purgeInterval", takes: interval(func(c *Config) *time.Duration { return &c.AutopurgePurgeInterval }), def: "0", live: true,
		effect: "How often older ones are removed; 0 = never.", test: "pkg/daemon.TestPurge",
	},
	{
		name: "fsync.warningthresholdms", takes: millis(func(c *Config) *time.Duration { return &c.FsyncWarning }, 0), def: "1000",
		effect: "A sync of the log that takes longer is said in the log.", test: "pkg/daemon.TestSlowSyncIsSaid",
	},
	{
		name: "forceSync", takes: risky("no", func(c *Config) *bool { return &c.ForceSync }), def: "yes",
		effect: "`no` acknowledges writes before they are on disk: they are lost with the power.", test: "pkg/daemon.TestForceSync",
	},
	{
		name: "flushDelay", takes: millis(func(c *Config) *time.Duration { return &c.FlushDelay }, 0), def: "0",
		effect: "How long the log gathers txns before it syncs them; 0 = as long as the last sync takes.", test: "pkg/daemon.TestFlush",
	},
	{
		name: "maxWriteQueuePollTime", takes: millis(func(c *Config) *time.Duration { return &c.MaxWriteQueuePollTime }, -1), def: "(a third of flushDelay)",
		effect: "With a flushDelay, the log syncs earlier when no txn has come for so long.", test: "pkg/daemon.TestFlush",
	},
	{
		name: "maxBatchSize", takes: number(func(c *Config) *int { return &c.MaxBatchSize }, 0, math.MaxInt32), def: "1000",
		effect: "How many txns one sync may make durable; 0 = any number.", test: "pkg/daemon.TestFlush",
	},
	{
		name: "snapshot.compression.method", takes: oneOf(func(c *Config) *string { return &c.SnapshotCompression }, "", "gz", "snappy").or("gz, snappy or nothing"),
		effect: "Compresses snapshots, as ZooKeeper reads them.", test: "pkg/daemon.TestCompressedSnapshots",
	},
	{
		name: "snapshot.trust.empty", takes: yesNo(func(c *Config) *bool { return &c.SnapshotTrustEmpty }), def: "false",
		effect: "Lets a server start that has logs and no snapshot.", test: "pkg/daemon.TestStartRules",
	},
	{
		name: "serializeLastProcessedZxid.enabled", takes: yesNo(func(c *Config) *bool { return &c.SerializeLastZxid }), def: "true",
		effect: "Writes the last zxid behind the digest of a snapshot, where ZooKeeper's restore command looks for it.", test: "pkg/daemon.TestEndsOfSnapshots",
	},
	{
		name: "digest.enabled", takes: yesNo(func(c *Config) *bool { return &c.DigestEnabled }), def: "true",
		effect: "Writes digests of the tree into logs and snapshots, and compares them.", test: "pkg/daemon.TestEndsOfSnapshots",
	},
	{
		name: "closeSessionTxn.enabled", takes: yesNo(func(c *Config) *bool { return &c.CloseSessionTxn }), def: "true",
		effect: "Lists a session's ephemerals in the txn that ends it.", test: "pkg/daemon.TestCloseSessionTxn",
	},
	{
		name: "datadir.autocreate", takes: yesNo(func(c *Config) *bool { return &c.DatadirAutocreate }), def: "true",
		effect: "Makes directories that are missing; `false` refuses the start.", test: "pkg/daemon.TestStartRules",
	},
	{
		name: "db.autocreate", takes: yesNo(func(c *Config) *bool { return &c.DBAutocreate }), def: "true",
		effect: "Lets a server without any data begin a tree; with `false` only the file `initialize` beside myid does, and counts once.",
		test:   "pkg/daemon.TestStartRules",
	},
	{
		name: "extendedTypesEnabled", takes: yesNo(func(c *Config) *bool { return &c.ExtendedTypesEnabled }), def: "false",
		effect: "Permits nodes with a time to live; then 255 is no id of a server.", test: "pkg/daemon.TestTTLNodesNeedExtendedTypes",
	},
	{
		name: "emulate353TTLNodes", takes: yesNo(func(c *Config) *bool { return &c.Emulate353TTLNodes }), def: "false",
		effect: "With extended types, reads TTL nodes as ZooKeeper 3.5.3 wrote them, too.", test: "pkg/daemon.TestTTLNodesOf353",
	},
	{
		name: "znode.container.checkIntervalMs", takes: millis(func(c *Config) *time.Duration { return &c.ContainerCheckInterval }, 1), def: "60000",
		effect: "How often the leader looks for containers and TTL nodes that have outlived their use, and removes them.",
		test:   "pkg/daemon.TestContainersAndTTLNodesGo",
	},
	{
		name: "znode.container.maxPerMinute", takes: number(func(c *Config) *int { return &c.ContainerMaxPerMinute }, 1, math.MaxInt32), def: "10000",
		effect: "How many of them are removed in a minute.", test: "pkg/daemon.TestNodesGoOneByOne",
	},
	{
		name: "znode.container.maxNeverUsedIntervalMs", takes: millis(func(c *Config) *time.Duration { return &c.ContainerMaxNeverUsed }, 0), def: "0",
		effect: "After how long a container goes that never had a child; 0 = never.", test: "pkg/daemon.TestContainersNeverUsedGo",
	},
}
