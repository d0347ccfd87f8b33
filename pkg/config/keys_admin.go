package config

const (
	adminServer = "the HTTP server of administration"
	metricsPort = "a port for metrics"
	noJVM       = "there is no Java virtual machine"
)

var adminKeys = []key{
	{
		name: "4lw.commands.whitelist", takes: list(func(c *Config) *[]string { return &c.FourLetterWhitelist }), def: "srvr", live: true,
		effect: "Which four-letter words are answered; `*` = all.", test: "pkg/daemon.TestMembersTellWhatTheyAre",
	},
	laterHTTP("admin.enableServer", "false"), laterHTTP("admin.serverAddress", "0.0.0.0"), laterHTTP("admin.serverPort", "8080"),
	laterHTTP("admin.idleTimeout", "30000"), laterHTTP("admin.commandURL", "/commands"),
	{name: "admin.httpVersion", def: "11", idle: "a choice between Java's libraries"},
	laterHTTP("admin.portUnification", "false"), laterHTTP("admin.forceHttps", "false"), laterHTTP("admin.needClientAuth", "false"),
	laterHTTP("admin.rateLimiterIntervalInMS", "300000"), laterHTTP("admin.snapshot.enabled", "true"), laterHTTP("admin.restore.enabled", "true"),
	laterMetrics("metricsProvider.className", "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"),
	laterMetrics("metricsProvider.httpHost", "0.0.0.0"), laterMetrics("metricsProvider.httpPort", "7000"),
	laterMetrics("metricsProvider.httpsPort", "-1"),
	{name: "metricsProvider.exportJvmInfo", def: "true", idle: noJVM},
	{name: "metricsProvider.workerShutdownTimeoutMs", def: "1000", idle: "a setting of a Java class"},
	{name: "metricsProvider.numWorkerThreads", def: "1", idle: "a setting of a Java class, deprecated there"},
	{name: "metricsProvider.maxQueueSize", def: "1000000", idle: "a setting of a Java class, deprecated there"},
	laterMetrics("metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds", "60"),
	laterMetrics("metricsProvider.ssl.keyStore.location", ""), laterMetrics("metricsProvider.ssl.keyStore.password", ""),
	laterMetrics("metricsProvider.ssl.keyStore.type", ""), laterMetrics("metricsProvider.ssl.trustStore.location", ""),
	laterMetrics("metricsProvider.ssl.trustStore.password", ""), laterMetrics("metricsProvider.ssl.trustStore.type", ""),
	laterMetrics("metricsProvider.ssl.need.client.auth", ""), laterMetrics("metricsProvider.ssl.want.client.auth", ""),
	laterMetrics("metricsProvider.ssl.enabledProtocols", ""), laterMetrics("metricsProvider.ssl.ciphersuites", ""),
	{name: "metricsProvider.httpVersion", idle: "a choice between Java's libraries"},
	{
		name: "audit.enable", takes: later("an audit log", "false"), def: "false",
		effect: "There is no audit log in this release.", test: "pkg/config.TestKeysOfLaterReleases",
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
		name: name, takes: later(adminServer, def), def: def,
		effect: "A detail of an HTTP server that is not in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	}
}

func laterMetrics(name, def string) key {
	return key{
		name: name, takes: later(metricsPort, def), def: def,
		effect: "A detail of a port that is not in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	}
}
