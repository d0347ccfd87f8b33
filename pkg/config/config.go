// Package config turns zoo.cfg, the environment and flags into one checked struct, and says which server of its ensemble
// this host is. The file is read by our own reader, for it is a Java properties file; viper merges the three sources.
// What a server line may say is package ensemble's business.
package config

import (
	"crypto"
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/ensemble"
)

// Config is a server's settings. Durations and byte sizes carry their unit in the type or are bytes.
type Config struct {
	DataDir, DataLogDir string // DataLogDir is DataDir unless set

	ClientPort              int
	ClientPortAddress       string // all addresses if empty
	ClientPortListenBacklog int    // -1 = the system's
	ClientTCPKeepAlive      bool
	MaxClientCnxns          int // connections from one address; 0 = no limit
	MaxCnxns                int // connections in all; 0 = no limit

	TickTime                             time.Duration
	MinSessionTimeout, MaxSessionTimeout time.Duration // 2 and 20 ticks unless set
	SessionlessTimeout                   time.Duration // until a connection must have a session

	GlobalOutstandingLimit int
	JuteMaxBuffer          int // bytes of a request
	JuteExtraSize          int // bytes that servers may add to it; JuteMaxBuffer unless set
	NotificationBytes      int // of notifications that may wait for one connection
	LargeRequestThreshold  int // bytes; -1 = no request is large
	LargeRequestMaxBytes   int // of large requests at one time
	Throttle               Throttle
	Connections            ConnectionThrottle

	PreAllocSize    int64 // bytes
	SnapCount       int
	SnapSizeLimit   int64 // bytes; 0 or less = no limit
	TxnLogSizeLimit int64 // bytes; 0 or less = no limit
	CommitLogCount  int

	ForceSync             bool
	FsyncWarning          time.Duration // 0 = never
	FlushDelay            time.Duration
	MaxWriteQueuePollTime time.Duration // a third of FlushDelay unless set
	MaxBatchSize          int           // txns; 0 = any number
	SnapshotCompression   string        // gz, snappy or nothing
	SerializeLastZxid     bool
	CloseSessionTxn       bool // with the paths of its ephemerals

	AutopurgeSnapRetainCount int
	AutopurgePurgeInterval   time.Duration // 0 = never

	SnapshotTrustEmpty bool
	DBAutocreate       bool
	DatadirAutocreate  bool

	FourLetterWhitelist  []string // "*" = all
	LogLevel             string   // debug, info, warn or error
	DigestEnabled        bool
	SuperDigest          string
	DigestScheme         bool        // clients may authenticate by the scheme digest
	DigestHash           crypto.Hash // of that; 0 = SHA-1
	EnsembleNames        []string    // that clients may say by the scheme ensemble
	EnforceAuth          bool        // clients must authenticate
	EnforceAuthSchemes   []string    // by one of these
	EagerACLCheck        bool
	SkipACL              bool
	EnforceQuota         bool // hard limits of quotas refuse writes, and soft ones are said in the log
	ExtendedTypesEnabled bool
	Emulate353TTLNodes   bool // owners of TTL nodes are read as ZooKeeper 3.5.3 wrote them, too

	ContainerCheckInterval time.Duration // between two looks for containers and TTL nodes that can go
	ContainerMaxPerMinute  int           // of those
	ContainerMaxNeverUsed  time.Duration // until a container goes that never had a child; 0 = never

	Ensemble
	Admin
}

// Throttle bounds the writes under way and says which are not worth carrying out.
type Throttle struct {
	MaxRequests       int // 0 = no bound
	Stall             time.Duration
	DropStale         bool
	StaleByLatency    bool
	StaleByConnection bool
	OpWait            time.Duration // after which a request is answered by THROTTLEDOP; 0 = never
}

// ConnectionThrottle bounds the rate at which sessions are opened and resumed.
type ConnectionThrottle struct {
	Tokens                    int // 0 = no bound
	FillTime                  time.Duration
	FillCount                 int
	FreezeTime                time.Duration // negative = nothing is dropped by chance
	DropIncrease              float64
	DropDecrease              float64
	DecreaseRatio             float64
	Weighted                  bool
	GlobalWeight, RenewWeight int
}

// Ensemble is what a server's settings say of the others and of how it deals with them.
type Ensemble struct {
	Members *ensemble.Config // nil = the server serves alone
	MyID    ensemble.ID      // one of Members; 0 = the server serves alone
	portAt  origin           // the server line that says the client port; zero = a line does not, or only agrees

	ReconfigEnabled      bool             // clients may change Members
	Next                 *ensemble.Config // was proposed when the server ended, and may be active elsewhere; nil = none
	Files                MemberFiles      // keep Members and Next
	StandaloneEnabled    bool             // one voter serves alone, rather than as an ensemble of one
	DynamicConfigFile    string           // has the server lines if zoo.cfg names it
	QuorumListenOnAllIPs bool             // the quorum and election ports, on every address

	InitLimit, SyncLimit        int // ticks
	ConnectToLearnerMasterLimit int // ticks; InitLimit unless set

	CnxTimeout                                       time.Duration // to open an election link
	QuorumCnxnTimeout                                time.Duration // to read its handshake; SyncLimit unless set
	ElectionPortBindRetry                            int           // 0 = for ever
	TCPKeepAlive                                     bool
	MinNotificationInterval, MaxNotificationInterval time.Duration

	MultiAddressEnabled                  bool
	MultiAddressReachabilityCheckEnabled bool
	MultiAddressReachabilityCheckTimeout time.Duration

	LeaderConnectDelay     time.Duration // between attempts of a learner to reach its leader
	FollowerNodelay        bool
	LeaderNodelay          bool
	MaxTimeToWaitForEpoch  time.Duration // negative = InitLimit is the only bound
	SnapshotSizeFactor     float64       // a log is sent up to this share of the snapshot; negative = never
	ForceSnapshotSync      bool
	MaxConcurrentSnapSyncs int
	MaxConcurrentDiffSyncs int
	LeaderServes           bool // clients, too
	ObserverSyncEnabled    bool // observers write logs and snapshots
	ObserverElectionDelay  time.Duration
	ObserverReconnectDelay time.Duration
}

// Default returns the settings of a server of which nothing is said.
func Default() Config {
	return Config{
		ClientPort: 2181, MaxClientCnxns: 60, TickTime: 3 * time.Second,
		SessionlessTimeout: 10 * time.Second, GlobalOutstandingLimit: 1000,
		ClientPortListenBacklog: -1,
		JuteMaxBuffer:           0xfffff, JuteExtraSize: -1, NotificationBytes: 64 << 20,
		LargeRequestThreshold: -1, LargeRequestMaxBytes: 100 << 20,
		Throttle: Throttle{
			Stall: 100 * time.Millisecond, DropStale: true, StaleByConnection: true,
		},
		Connections: ConnectionThrottle{
			FillTime: time.Millisecond, FillCount: 1, FreezeTime: -time.Millisecond, DropIncrease: 0.02, DropDecrease: 0.002,
			GlobalWeight: 3, RenewWeight: 2,
		},
		PreAllocSize: 64 << 20, SnapCount: 100_000, SnapSizeLimit: 4 << 30, TxnLogSizeLimit: -1 << 10,
		CommitLogCount: leastCommitLog,
		ForceSync:      true, FsyncWarning: time.Second, MaxBatchSize: 1000, SerializeLastZxid: true, CloseSessionTxn: true,
		AutopurgeSnapRetainCount: 3, DBAutocreate: true, DatadirAutocreate: true,
		FourLetterWhitelist: []string{"srvr"}, LogLevel: "info", DigestEnabled: true, DigestScheme: true, DigestHash: crypto.SHA1,
		ContainerCheckInterval: time.Minute, ContainerMaxPerMinute: 10_000,
		Admin: defaultAdmin(),
		Ensemble: Ensemble{
			StandaloneEnabled: true, CnxTimeout: 5 * time.Second, ElectionPortBindRetry: 3,
			MinNotificationInterval: 200 * time.Millisecond, MaxNotificationInterval: time.Minute,
			MultiAddressReachabilityCheckEnabled: true, MultiAddressReachabilityCheckTimeout: time.Second,
			FollowerNodelay: true, LeaderNodelay: true,
			MaxTimeToWaitForEpoch: -time.Millisecond, SnapshotSizeFactor: snapshotShare,
			MaxConcurrentSnapSyncs: 10, MaxConcurrentDiffSyncs: 100,
			ObserverSyncEnabled: true, LeaderServes: true,
		},
	}
}

// InitTimeout returns how long a learner may take to connect to the leader and synchronise.
func (c *Config) InitTimeout() time.Duration { return c.ticks(c.InitLimit) }

// SyncTimeout returns how long a learner and its leader may hear nothing of each other.
func (c *Config) SyncTimeout() time.Duration { return c.ticks(c.SyncLimit) }

// ConnectTimeout returns how long a learner tries to reach its leader.
func (c *Config) ConnectTimeout() time.Duration { return c.ticks(c.ConnectToLearnerMasterLimit) }

func (c *Config) ticks(n int) time.Duration { return time.Duration(n) * c.TickTime }

// Complete returns the settings with everything derived, for those that were not loaded.
func (c Config) Complete() Config {
	c.complete()
	return c
}

// complete derives what was not set.
func (c *Config) complete() {
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	if c.MinSessionTimeout <= 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout <= 0 {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if c.JuteExtraSize < 0 {
		c.JuteExtraSize = c.JuteMaxBuffer
	}
	if c.MaxWriteQueuePollTime <= 0 {
		c.MaxWriteQueuePollTime = c.FlushDelay / 3
	}
	if c.ConnectToLearnerMasterLimit <= 0 {
		c.ConnectToLearnerMasterLimit = c.InitLimit
	}
	if c.QuorumCnxnTimeout <= 0 {
		c.QuorumCnxnTimeout = c.SyncTimeout()
	}
}

// Auth returns the settings that concern authentication.
func (c *Config) Auth() auth.Options {
	o := auth.Options{
		Rules: auth.Rules{SkipACL: c.SkipACL, NoDigest: !c.DigestScheme},
		Hash:  c.DigestHash, SuperDigest: c.SuperDigest, Ensembles: c.EnsembleNames,
	}
	if c.EnforceAuth {
		o.Required = c.EnforceAuthSchemes
	}
	return o
}

// BadClientPort returns the error that the client port makes, from the settings of the file zoo.cfg: it names the line of the
// members where that says the port.
func (c *Config) BadClientPort(zooCfg, reason string) *Error {
	if c.portAt == (origin{}) {
		return &Error{zooCfg, "clientPort", reason}
	}
	return &Error{c.portAt.source, c.portAt.key, reason}
}

// An Error says where a setting is wrong, and why.
type Error struct {
	Source string // the file and line, the environment or the command line
	Key    string
	Reason string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("config: %s: %s", e.Source, e.Reason)
	}
	return fmt.Sprintf("config: %s: %s: %s", e.Source, e.Key, e.Reason)
}
