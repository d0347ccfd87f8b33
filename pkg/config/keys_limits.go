package config

import (
	"math"
	"time"
)

var limitKeys = []key{
	{
		name: "maxClientCnxns", takes: number(func(c *Config) *int { return &c.MaxClientCnxns }, 0, math.MaxInt32), def: "60", live: true,
		effect: "How many connections one address may have; 0 = any number.", test: "pkg/daemon.TestLimitsOfConnections",
	},
	{
		name: "maxCnxns", takes: number(func(c *Config) *int { return &c.MaxCnxns }, 0, math.MaxInt32), def: "0", live: true,
		effect: "How many connections there may be in all; 0 = any number.", test: "pkg/daemon.TestLimitsOfConnections",
	},
	{
		name: "nio.sessionlessCnxnTimeout", takes: millis(func(c *Config) *time.Duration { return &c.SessionlessTimeout }, 1), def: "10000", live: true,
		effect: "How long a connection may do without a session.", test: "pkg/daemon.TestNoHandshake",
	},
	{
		name: "jute.maxbuffer", takes: number(func(c *Config) *int { return &c.JuteMaxBuffer }, 1024, math.MaxInt32>>2).or("bytes, at least 1024"), def: "1048575",
		effect: "The largest request; a longer one ends its connection.", test: "pkg/daemon.TestLargestRequest",
	},
	{
		name: "jute.maxbuffer.extrasize", takes: number(func(c *Config) *int { return &c.JuteExtraSize }, -1, math.MaxInt32>>2).or("bytes"), def: "(jute.maxbuffer)",
		effect: "By how much a txn may be longer than the largest request, for what servers add to it; a longer one is refused. -1 = the default.",
		test:   "pkg/daemon.TestLargestRequest",
	},
	{
		name: "notificationBytes", takes: number(func(c *Config) *int { return &c.NotificationBytes }, 1<<10, math.MaxInt32).or("bytes, at least 1024"), def: "67108864",
		effect: "How much in notifications may wait for one client before its connection ends.", test: "pkg/daemon.TestNotificationBytes",
	},
	{
		name: "globalOutstandingLimit", takes: number(func(c *Config) *int { return &c.GlobalOutstandingLimit }, 1, math.MaxInt32), def: "1000", live: true,
		effect: "How many requests may wait before clients that have some are read no further.", test: "pkg/daemon.TestBackPressure",
	},
	{
		name: "request_throttle_max_requests", also: []string{"requestThrottleLimit"},
		takes: number(func(c *Config) *int { return &c.Throttle.MaxRequests }, 0, math.MaxInt32), def: "0", live: true,
		effect: "How many writes may be under way; further ones wait, in their order. 0 = any number.", test: "pkg/daemon.TestRequestThrottle",
	},
	{
		name: "request_throttle_stall_time", also: []string{"requestThrottleStallTime"},
		takes: millis(func(c *Config) *time.Duration { return &c.Throttle.Stall }, 1), def: "100", live: true,
		effect: "After how long, at the latest, it is looked again whether a request that waits has become stale.", test: "pkg/daemon.TestRequestThrottle",
	},
	{
		name: "request_throttle_drop_stale", also: []string{"requestThrottleDropStale"},
		takes: yesNo(func(c *Config) *bool { return &c.Throttle.DropStale }), def: "true", live: true,
		effect: "Drops stale requests, with the connections they came by, rather than carry them out.", test: "pkg/daemon.TestRequestThrottle",
	},
	{
		name: "request_stale_latency_check", also: []string{"requestStaleLatencyCheck"},
		takes: yesNo(func(c *Config) *bool { return &c.Throttle.StaleByLatency }), def: "false", live: true,
		effect: "A request that has waited for longer than its session's timeout is stale.", test: "pkg/daemon.TestRequestThrottle",
	},
	{
		name: "request_stale_connection_check", also: []string{"requestStaleConnectionCheck"},
		takes: yesNo(func(c *Config) *bool { return &c.Throttle.StaleByConnection }), def: "true", live: true,
		effect: "A request whose connection is gone is stale.", test: "pkg/daemon.TestRequestThrottle",
	},
	{
		name: "request_throttler.shutdownTimeout", def: "10000",
		idle: "requests wait at their connections, not in a queue: a stop carries out what has been handed on and breaks off the rest",
	},
	{
		name: "throttled_op_wait_time", also: []string{"throttledOpWaitTime"},
		takes: millis(func(c *Config) *time.Duration { return &c.Throttle.OpWait }, 0), def: "0", live: true,
		effect: "A request that has waited longer is answered by THROTTLEDOP (-127) and not carried out; 0 = never.", test: "pkg/daemon.TestThrottledOps",
	},
	{
		name: "largeRequestThreshold", takes: number(func(c *Config) *int { return &c.LargeRequestThreshold }, -1, math.MaxInt32).or("bytes"), def: "-1", live: true,
		effect: "A request that is longer counts as large; -1 = none does.", test: "pkg/daemon.TestLargeRequests",
	},
	{
		name: "largeRequestMaxBytes", takes: number(func(c *Config) *int { return &c.LargeRequestMaxBytes }, 1, math.MaxInt32).or("bytes, at least 1"), def: "104857600", live: true,
		effect: "How many bytes of large requests may be under way; one beyond that ends its connection.", test: "pkg/daemon.TestLargeRequests",
	},
	{
		name: "connection_throttle_tokens", also: []string{"connectionMaxTokens"},
		takes: number(func(c *Config) *int { return &c.Connections.Tokens }, 0, math.MaxInt32), def: "0", live: true,
		effect: "Sessions may be opened as long as there are tokens, and so many can be saved up; 0 turns this off.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_fill_time", also: []string{"connectionTokenFillTime"},
		takes: millis(func(c *Config) *time.Duration { return &c.Connections.FillTime }, 1), def: "1", live: true,
		effect: "How often tokens are added.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_fill_count", also: []string{"connectionTokenFillCount"},
		takes: number(func(c *Config) *int { return &c.Connections.FillCount }, 0, math.MaxInt32), def: "1", live: true,
		effect: "How many are added each time.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_freeze_time", also: []string{"connectionFreezeTime"},
		takes: millis(func(c *Config) *time.Duration { return &c.Connections.FreezeTime }, -1), def: "-1", live: true,
		effect: "How often, at most, the probability changes with which connections are turned away before all tokens are gone; -1 = there is none.",
		test:   "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_drop_increase", also: []string{"connectionDropIncrease"},
		takes: fraction(func(c *Config) *float64 { return &c.Connections.DropIncrease }, 0, 1), def: "0.02", live: true,
		effect: "By how much it grows when no token is left.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_drop_decrease", also: []string{"connectionDropDecrease"},
		takes: fraction(func(c *Config) *float64 { return &c.Connections.DropDecrease }, 0, 1), def: "0.002", live: true,
		effect: "By how much it falls when enough are there.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_decrease_ratio", also: []string{"connectionDecreaseRatio"},
		takes: fraction(func(c *Config) *float64 { return &c.Connections.DecreaseRatio }, 0, 1), def: "0", live: true,
		effect: "Enough are there when at most this share of them is missing.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_weight_enabled", takes: yesNo(func(c *Config) *bool { return &c.Connections.Weighted }), def: "false", live: true,
		effect: "Has sessions take more tokens than one.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_global_session_weight", takes: number(func(c *Config) *int { return &c.Connections.GlobalWeight }, 1, math.MaxInt32), def: "3", live: true,
		effect: "How many a new session takes.", test: "pkg/daemon.TestConnectionThrottle",
	},
	{
		name: "connection_throttle_local_session_weight", takes: later("sessions that only one server knows", "1"), def: "1",
		effect: "All sessions are the ensemble's in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "connection_throttle_renew_session_weight", takes: number(func(c *Config) *int { return &c.Connections.RenewWeight }, 1, math.MaxInt32), def: "2", live: true,
		effect: "How many a session takes whose client comes back.", test: "pkg/daemon.TestConnectionThrottle",
	},
}
