package config

import (
	"math"
	"time"
)

const (
	adminHTTPS   = "TLS for the commands"
	metricsHTTPS = "TLS for the metrics"
	noJVM        = "there is no Java virtual machine"
)

var adminKeys = []key{
	{
		name: "logLevel", takes: oneOf(func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error"), def: "info", live: true,
		effect: "What is less important is not logged. The key is ours: ZooKeeper's logging is set up elsewhere.", test: "pkg/daemon.TestReload",
	},
	{
		name: "4lw.commands.whitelist", takes: list(func(c *Config) *[]string { return &c.FourLetterWhitelist }), def: "srvr", live: true,
		effect: "Which four-letter words are answered; `*` = all.", test: "pkg/daemon.TestReload",
	},
	{
		name: "controlSocket", takes: text(func(c *Config) *string { return &c.ControlSocket }), def: "",
		effect: "A unix socket that serves all commands, /metrics, /livez and /readyz to whoever may open it (mode 0660).", test: "pkg/daemon.TestAdminPorts",
	},
	{
		name: "admin.enableServer", takes: yesNo(func(c *Config) *bool { return &c.AdminEnabled }), def: "false",
		effect: "The commands over HTTP; what changes something asks for authentication.", test: "pkg/daemon.TestAdminPorts",
	},
	{
		name: "admin.serverAddress", takes: text(func(c *Config) *string { return &c.AdminAddress }), def: "127.0.0.1",
		effect: "The address that they are served on.", test: "pkg/daemon.TestAddressesOfPorts",
	},
	{
		name: "admin.serverPort", takes: number(func(c *Config) *int { return &c.AdminPort }, 0, math.MaxUint16), def: "8080",
		effect: "The port of that; 0 = any that is free.", test: "pkg/daemon.TestAddressesOfPorts",
	},
	{
		name: "admin.idleTimeout", takes: millis(func(c *Config) *time.Duration { return &c.AdminIdleTimeout }, 1), def: "30000",
		effect: "For how long a connection may ask nothing.", test: "pkg/daemon.TestHostileAskers",
	},
	{
		name: "admin.commandURL", takes: text(func(c *Config) *string { return &c.AdminCommandURL }), def: "/commands",
		effect: "Below which the commands are.", test: "pkg/daemon.TestAdminPorts",
	},
	{
		name: "admin.rateLimiterIntervalInMS", takes: millis(func(c *Config) *time.Duration { return &c.AdminRateLimit }, 0), def: "300000",
		effect: "So many milliseconds must lie between two restores over TCP, and so many microseconds between two snapshots, as in ZooKeeper.", test: "pkg/daemon.TestSnapshotsOnDemand",
	},
	{
		name: "admin.snapshot.enabled", takes: yesNo(func(c *Config) *bool { return &c.AdminSnapshotEnabled }), def: "true",
		effect: "The command snapshot.", test: "pkg/daemon.TestSnapshotsOnDemand",
	},
	{name: "admin.httpVersion", def: "11", idle: "a choice between Java's libraries"},
	laterHTTP("admin.portUnification", "false"),
	{
		name: "admin.forceHttps", takes: refused("this release has no HTTPS: the commands would be served in the clear"), def: "false",
		effect: "`true` refuses the start: the commands would be served in the clear.", test: "pkg/config.TestRefusals",
	},
	laterHTTP("admin.needClientAuth", "false"),
	{
		name: "admin.restore.enabled", takes: yesNo(func(c *Config) *bool { return &c.AdminRestoreEnabled }), def: "true",
		effect: "The command restore, of a server alone.", test: "pkg/daemon.TestRestoreAsTheSettingsSay",
	},
	{
		name: "metricsProvider.className", takes: text(func(c *Config) *string { return &c.MetricsClass }), def: usualMetricsClass,
		effect: "With org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider there is a port with /metrics.", test: "pkg/daemon.TestAdminPorts",
	},
	{
		name: "metricsProvider.httpHost", takes: text(func(c *Config) *string { return &c.MetricsHost }), def: "127.0.0.1",
		effect: "The address of that.", test: "pkg/daemon.TestAddressesOfPorts",
	},
	{
		name: "metricsProvider.httpPort", takes: number(func(c *Config) *int { return &c.MetricsPort }, 0, math.MaxUint16), def: "7000",
		effect: "The port of that; 0 = any that is free.", test: "pkg/daemon.TestAddressesOfPorts",
	},
	{
		name: "metricsProvider.httpsPort", takes: later(metricsHTTPS, "-1"), def: "-1",
		effect: "Not opened in this release; alone, without a metricsProvider.httpPort, it refuses the start rather than serve in the clear.",
		test:   "pkg/config.TestNoPlainPortInPlaceOfASecureOne",
	},
	{name: "metricsProvider.exportJvmInfo", def: "true", idle: noJVM},
	{name: "metricsProvider.workerShutdownTimeoutMs", def: "1000", idle: "a setting of a Java class"},
	{name: "metricsProvider.numWorkerThreads", def: "1", idle: "a setting of a Java class, deprecated there"},
	{name: "metricsProvider.maxQueueSize", def: "1000000", idle: "a setting of a Java class, deprecated there"},
	{
		name: "metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds", takes: durations("s", time.Second, func(c *Config) *time.Duration { return &c.MetricsTurn }, 1), def: "60",
		effect: "The percentiles on /metrics are of so many seconds, up to twice as many; those of mntr are of all.", test: "pkg/daemon.TestPercentilesAreOfLate",
	},
	laterMetrics("metricsProvider.ssl.keyStore.location", ""), laterMetrics("metricsProvider.ssl.keyStore.password", ""),
	laterMetrics("metricsProvider.ssl.keyStore.type", ""), laterMetrics("metricsProvider.ssl.trustStore.location", ""),
	laterMetrics("metricsProvider.ssl.trustStore.password", ""), laterMetrics("metricsProvider.ssl.trustStore.type", ""),
	laterMetrics("metricsProvider.ssl.need.client.auth", ""), laterMetrics("metricsProvider.ssl.want.client.auth", ""),
	laterMetrics("metricsProvider.ssl.enabledProtocols", ""), laterMetrics("metricsProvider.ssl.ciphersuites", ""),
	{name: "metricsProvider.httpVersion", idle: "a choice between Java's libraries"},
	{
		name: "audit.enable", takes: yesNo(func(c *Config) *bool { return &c.AuditEnabled }), def: "false",
		effect: "A record of who has changed what, in ZooKeeper's words, in the journal as zabd-audit.", test: "pkg/daemon.TestAuditLog",
	},
	{
		name: "audit.file", takes: text(func(c *Config) *string { return &c.AuditFile }), def: "",
		effect: "The file that it is kept in, and not the journal.", test: "pkg/daemon.TestAuditLog",
	},
	{name: "audit.impl.class", def: "Slf4jAuditLogger", idle: "a Java class"},
	{name: "jvm.pause.monitor", def: "false", idle: noJVM},
	{name: "jvm.pause.sleep.time.ms", def: "500", idle: noJVM},
	{name: "jvm.pause.warn-threshold.ms", def: "10000", idle: noJVM},
	{name: "jvm.pause.info-threshold.ms", def: "1000", idle: noJVM},
	{
		name: "messageTracker.Enabled", takes: later("a record of what servers have said last", "false"), def: "false",
		effect: "What servers say is not recorded in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "messageTracker.BufferSize", takes: later("a record of what servers have said last", "10"), def: "10",
		effect: "What servers say is not recorded in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{name: "jmx.log4j.disable", idle: noJVM},
}

func laterHTTP(name, def string) key {
	return key{
		name: name, takes: later(adminHTTPS, def), def: def,
		effect: "The commands are served in the clear in this release, where they are.", test: "pkg/config.TestKeysOfLaterReleases",
	}
}

func laterMetrics(name, def string) key {
	return key{
		name: name, takes: later(metricsHTTPS, def), def: def,
		effect: "The metrics are served in the clear in this release, where they are.", test: "pkg/config.TestKeysOfLaterReleases",
	}
}
