package config

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

const (
	leastCommitLog = 500  // ZooKeeper puts its own value in place of a smaller one, and so do we
	snapshotShare  = 0.33 // likewise, of one that is more than the whole

	noHierarchy  = "groups and weights of voters come with a later release: here every voter counts the same"
	noQuorumSASL = "this release does not make servers prove who they are"
)

var ensembleKeys = []key{
	{
		name: "server.N", takes: takes{values: "`host:quorumPort:electionPort[:role][;clientPort]`"},
		effect: "One server of the ensemble, N from 1 to 255; see operations.md.", test: "pkg/daemon.TestOneServer",
	},
	{
		name: "group.N", takes: checked("refused", func(string) error { return errors.New(noHierarchy) }),
		effect: "Refuses the start: in this release every voter counts the same.", test: "pkg/config.TestRefusals",
	},
	{
		name: "weight.N", takes: checked("refused", func(string) error { return errors.New(noHierarchy) }), def: "(1)",
		effect: "Refuses the start: in this release every voter counts the same.", test: "pkg/config.TestRefusals",
	},
	{
		name: "initLimit", takes: number(func(c *Config) *int { return &c.InitLimit }, 1, math.MaxInt32).or("ticks; needed by an ensemble"), def: "(none)",
		effect: "How long a server may take to connect to the leader and synchronise.", test: "pkg/daemon.TestWhoSaysNothingIsHungUpOn",
	},
	{
		name: "syncLimit", takes: number(func(c *Config) *int { return &c.SyncLimit }, 1, math.MaxInt32).or("ticks; needed by an ensemble"), def: "(none)",
		effect: "How long leader and follower may hear nothing of each other.", test: "pkg/daemon.TestSilenceEndsAnEnsemble",
	},
	{
		name: "connectToLearnerMasterLimit", takes: number(func(c *Config) *int { return &c.ConnectToLearnerMasterLimit }, 0, math.MaxInt32).or("ticks"), def: "(initLimit)",
		effect: "How long a server tries to reach the leader.", test: "pkg/daemon.TestALeaderThatCannotBeReached",
	},
	{
		name: "electionAlg", takes: checked("3", electionAlg), def: "3",
		effect: "Any other value refuses the start: fast leader election is what is left of ZooKeeper's algorithms.", test: "pkg/config.TestRefusals",
	},
	{
		name: "peerType", takes: checked("participant, observer", peerType), def: "participant",
		effect: "Only compared with the server lines, which count.", test: "pkg/config.TestWarnings",
	},
	{
		name: "quorumListenOnAllIPs", takes: yesNo(func(c *Config) *bool { return &c.QuorumListenOnAllIPs }), def: "false",
		effect: "Opens the quorum and the election port on every address of the host.", test: "pkg/daemon.TestPortsAndAddresses",
	},
	{
		name: "standaloneEnabled", takes: yesNo(func(c *Config) *bool { return &c.StandaloneEnabled }), def: "true",
		effect: "One voter serves alone; `false` makes it an ensemble of one, which others can join later.", test: "pkg/daemon.TestOneServer",
	},
	{
		name: "reconfigEnabled", takes: yesNo(func(c *Config) *bool { return &c.ReconfigEnabled }), def: "false",
		effect: "Clients may change the members; see operations.md. `false` refuses that by RECONFIGDISABLED.", test: "pkg/daemon.TestReconfigAddsAndRemovesServers",
	},
	{
		name: "leaderServes", takes: yesNo(func(c *Config) *bool { return &c.LeaderServes }), def: "yes",
		effect: "`no` lets no client in while a server leads an ensemble, so that it has only that to do.", test: "pkg/daemon.TestLeaderWithoutClients",
	},
	{
		name: "cnxTimeout", takes: millis(func(c *Config) *time.Duration { return &c.CnxTimeout }, 1), def: "5000",
		effect: "How long opening an election link may take.", test: "pkg/daemon.TestLinksOfElectionsAreGivenUp",
	},
	{
		name: "quorumCnxnTimeoutMs", takes: millis(func(c *Config) *time.Duration { return &c.QuorumCnxnTimeout }, -1), def: "(syncLimit)",
		effect: "How long a server that connects to the election port may take to say who it is; -1 = the default.", test: "pkg/daemon.TestWhoSaysNothingIsHungUpOn",
	},
	{
		name: "quorum.cnxn.threads.size", def: "20",
		idle: "links need no pool of threads: each is accepted at once, within a bound on all of them together",
	},
	{
		name: "electionPortBindRetry", takes: number(func(c *Config) *int { return &c.ElectionPortBindRetry }, 0, math.MaxInt32), def: "3",
		effect: "How often the ports to the other servers are tried before the server gives up; 0 = for ever.", test: "pkg/daemon.TestPortsOfTheEnsembleAreTriedAgain",
	},
	{
		name: "tcpKeepAlive", takes: yesNo(func(c *Config) *bool { return &c.TCPKeepAlive }), def: "false",
		effect: "Whether the system looks after servers that say nothing.", test: "pkg/daemon.TestKeepAliveBetweenServers",
	},
	{
		name: "fastleader.minNotificationInterval", takes: millis(func(c *Config) *time.Duration { return &c.MinNotificationInterval }, 1), def: "200",
		effect: "After how long a vote is repeated for the first time.", test: "pkg/daemon.TestVotesAreRepeatedAsTheSettingsSay",
	},
	{
		name: "fastleader.maxNotificationInterval", takes: millis(func(c *Config) *time.Duration { return &c.MaxNotificationInterval }, 1), def: "60000",
		effect: "The longest time between two repetitions, which come at growing intervals.", test: "pkg/daemon.TestVotesAreRepeatedAsTheSettingsSay",
	},
	{
		name: "leader.maxTimeToWaitForEpoch", also: []string{"maxTimeToWaitForEpoch"},
		takes: millis(func(c *Config) *time.Duration { return &c.MaxTimeToWaitForEpoch }, -1), def: "-1",
		effect: "How long a new leader waits for a quorum to agree on its epoch; -1 = initLimit.", test: "pkg/daemon.TestALeaderWithoutAQuorumGivesUp",
	},
	{
		name: "leaderConnectDelayDuringRetryMs", takes: millis(func(c *Config) *time.Duration { return &c.LeaderConnectDelay }, 0), def: "0",
		effect: "The pause between two attempts of a server to reach its leader; 0 = a few milliseconds.", test: "pkg/daemon.TestALeaderThatRefusesIsTriedAgain",
	},
	{name: "learner.asyncSending", def: "0", idle: "each link has its own writer, which the protocol never waits for"},
	{name: "learner.closeSocketAsync", def: "0", idle: "nothing waits for a link to close"},
	{name: "leader.closeSocketAsync", def: "0", idle: "nothing waits for a link to close"},
	{
		name: "leader.maxConcurrentSnapSyncs", also: []string{"maxConcurrentSnapSyncs"},
		takes: number(func(c *Config) *int { return &c.MaxConcurrentSnapSyncs }, 1, math.MaxInt32), def: "10",
		effect: "How many servers are brought up to date by a whole tree at one time.", test: "pkg/daemon.TestObserversAreTurnedAwayFromACrowd",
	},
	{
		name: "leader.maxConcurrentDiffSyncs", also: []string{"maxConcurrentDiffSyncs"},
		takes: number(func(c *Config) *int { return &c.MaxConcurrentDiffSyncs }, 1, math.MaxInt32), def: "100",
		effect: "How many are by what they lack.", test: "pkg/daemon.TestObserversAreTurnedAwayFromACrowd",
	},
	{name: "leader.ackLoggingFrequency", def: "1000", idle: "acknowledgements are not logged one by one: the metrics count them"},
	{
		name: "forceSnapshotSync", takes: yesNo(func(c *Config) *bool { return &c.ForceSnapshotSync }), def: "false",
		effect: "Always brings servers up to date by the whole tree.", test: "pkg/daemon.TestWaysToSynchronise",
	},
	{
		name: "snapshotSizeFactor", takes: share(func(c *Config) *float64 { return &c.SnapshotSizeFactor }, snapshotShare), def: "0.33",
		effect: "A server is brought up to date by the log on disk if that is at most this share of the snapshot.", test: "pkg/daemon.TestWaysToSynchronise",
	},
	{
		name: "commitLogCount", takes: atLeast(func(c *Config) *int { return &c.CommitLogCount }, leastCommitLog), def: "500",
		effect: "How many committed txns are kept in memory to bring servers up to date.", test: "pkg/daemon.TestWaysToSynchronise",
	},
	{
		name: "observer.syncEnabled", also: []string{"syncEnabled"}, takes: yesNo(func(c *Config) *bool { return &c.ObserverSyncEnabled }), def: "true",
		effect: "`false` spares observers the log: they write snapshots only, and a leader tells them the rest after a restart; not with reconfigEnabled, by which one may come to vote.", test: "pkg/daemon.TestObserverWithoutALog",
	},
	{
		name: "observer.reconnectDelayMs", takes: millis(func(c *Config) *time.Duration { return &c.ObserverReconnectDelay }, 0), def: "0",
		effect: "How long an observer that has lost its leader waits before it connects to one.", test: "pkg/daemon.TestObserverWaits",
	},
	{
		name: "observer.election.DelayMs", takes: millis(func(c *Config) *time.Duration { return &c.ObserverElectionDelay }, 0), def: "0",
		effect: "The same, added to it: ZooKeeper waits before it asks who leads, and zabd before it connects.", test: "pkg/daemon.TestObserverWaits",
	},
	{
		name: "observerMaster.sizeLimit", takes: later("followers that observers learn from", "33554432"), def: "33554432",
		effect: "Observers learn from the leader in this release.", test: "pkg/config.TestKeysOfLaterReleases",
	},
	{
		name: "follower.skipLearnerRequestToNextProcessor", also: []string{"skipLearnerRequestToNextProcessor"}, def: "false",
		idle: "a follower keeps no copy of what observers ask for",
	},
	{
		name: "forward_learner_requests_to_commit_processor_disabled", def: "false",
		idle: "a leader keeps no copy of what learners ask for",
	},
	{
		name: "multiAddress.enabled", takes: yesNo(func(c *Config) *bool { return &c.MultiAddressEnabled }), def: "false",
		effect: "Lets one server have several addresses, `host:port:port` each, with a pipe between; on all servers alike.", test: "pkg/daemon.TestSeveralAddresses",
	},
	{
		name: "multiAddress.reachabilityCheckEnabled", takes: yesNo(func(c *Config) *bool { return &c.MultiAddressReachabilityCheckEnabled }), def: "true",
		effect: "All addresses of a server are dialled at once, and the first that answers counts; `false` dials them one after another.", test: "pkg/daemon.TestSeveralAddresses",
	},
	{
		name: "multiAddress.reachabilityCheckTimeoutMs", takes: millis(func(c *Config) *time.Duration { return &c.MultiAddressReachabilityCheckTimeout }, 1), def: "1000",
		effect: "How long one of several addresses may take to answer where they are dialled one after another.", test: "pkg/daemon.TestSeveralAddresses",
	},
	{
		name: "oraclePath", takes: checked("refused", oraclePath),
		effect: "Refuses the start: no oracle decides for a quorum in this release.", test: "pkg/config.TestRefusals",
	},
	{
		name: "follower.nodelay", takes: yesNo(func(c *Config) *bool { return &c.FollowerNodelay }), def: "true",
		effect: "Whether what a follower sends to the leader leaves at once, in small packets.", test: "pkg/daemon.TestSmallPacketsBetweenServers",
	},
	{
		name: "leader.nodelay", takes: yesNo(func(c *Config) *bool { return &c.LeaderNodelay }), def: "true",
		effect: "Whether what the leader sends leaves at once, in small packets.", test: "pkg/daemon.TestSmallPacketsBetweenServers",
	},
}

// peerType has no field: the server line says it too, and counts. See join.
func peerType(v string) error {
	if !strings.EqualFold(v, ensemble.Participant.String()) && !strings.EqualFold(v, ensemble.Observer.String()) {
		return fmt.Errorf("%q is neither participant nor observer", v)
	}
	return nil
}

func electionAlg(v string) error {
	if v != "3" {
		return fmt.Errorf("%q: only 3 is left of ZooKeeper's election algorithms", v)
	}
	return nil
}

// oraclePath would let one of two voters go on alone, and its peers count on that.
func oraclePath(v string) error {
	if v != "" {
		return errors.New("no oracle decides for a quorum in this release")
	}
	return nil
}
