package config

import (
	"strings"
	"time"
)

// Admin is what a server's settings say of those who watch and operate it.
type Admin struct {
	ControlSocket string // "" = none

	AdminEnabled         bool // the commands are served over TCP
	AdminAddress         string
	AdminPort            int
	AdminIdleTimeout     time.Duration
	AdminCommandURL      string
	AdminSnapshotEnabled bool
	AdminRestoreEnabled  bool
	// AdminRateLimit is what admin.rateLimiterIntervalInMS says. Between two snapshots ZooKeeper counts it in microseconds,
	// and so do we: a backup that runs every minute must go on.
	AdminRateLimit time.Duration

	AuditEnabled bool
	AuditFile    string // "" = the journal

	MetricsClass string // of ZooKeeper; see PrometheusEnabled
	MetricsHost  string
	MetricsPort  int
	// MetricsTurn is how long the percentiles on /metrics look back, at least; at most twice as long.
	MetricsTurn time.Duration
}

func defaultAdmin() Admin {
	return Admin{
		AdminAddress: "127.0.0.1", AdminPort: 8080, AdminIdleTimeout: 30 * time.Second, AdminCommandURL: "/commands",
		AdminSnapshotEnabled: true, AdminRestoreEnabled: true, AdminRateLimit: 5 * time.Minute,
		MetricsClass: usualMetricsClass, MetricsHost: "127.0.0.1", MetricsPort: 7000, MetricsTurn: time.Minute,
	}
}

const usualMetricsClass = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"

// PrometheusEnabled tells whether metricsProvider.className names ZooKeeper's provider for Prometheus.
func (a *Admin) PrometheusEnabled() bool {
	return strings.HasSuffix(a.MetricsClass, "PrometheusMetricsProvider")
}
