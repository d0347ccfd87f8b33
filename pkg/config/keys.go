package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

// key is one setting: its name in zoo.cfg and what its value does.
type key struct {
	name string
	set  func(c *Config, value string) error
}

// Where ZooKeeper puts its own value in place of one that is out of range, so do we, and say so.
const (
	leastCommitLog = 500
	snapshotShare  = 0.33
)

const noQuorumSASL = "this release does not make servers prove who they are"

// keys are the settings that have an effect. Where ZooKeeper takes a system property zookeeper.x, zoo.cfg takes x too,
// and so do we.
var keys = []key{
	{"dataDir", text(func(c *Config) *string { return &c.DataDir })},
	{"dataLogDir", text(func(c *Config) *string { return &c.DataLogDir })},
	{"clientPort", number(func(c *Config) *int { return &c.ClientPort }, 0, math.MaxUint16)},
	{"clientPortAddress", text(func(c *Config) *string { return &c.ClientPortAddress })},
	{"maxClientCnxns", number(func(c *Config) *int { return &c.MaxClientCnxns }, 0, math.MaxInt32)},
	{"maxCnxns", number(func(c *Config) *int { return &c.MaxCnxns }, 0, math.MaxInt32)},
	{"tickTime", millis(func(c *Config) *time.Duration { return &c.TickTime }, 1)},
	{"minSessionTimeout", millis(func(c *Config) *time.Duration { return &c.MinSessionTimeout }, -1)},
	{"maxSessionTimeout", millis(func(c *Config) *time.Duration { return &c.MaxSessionTimeout }, -1)},
	{"nio.sessionlessCnxnTimeout", millis(func(c *Config) *time.Duration { return &c.SessionlessTimeout }, 1)},
	{"globalOutstandingLimit", number(func(c *Config) *int { return &c.GlobalOutstandingLimit }, 1, math.MaxInt32)},
	{"jute.maxbuffer", number(func(c *Config) *int { return &c.JuteMaxBuffer }, 1024, math.MaxInt32)},
	{"notificationBytes", number(func(c *Config) *int { return &c.NotificationBytes }, 1<<10, math.MaxInt32)},
	{"preAllocSize", bytes(func(c *Config) *int64 { return &c.PreAllocSize }, 64)},
	{"snapCount", number(func(c *Config) *int { return &c.SnapCount }, 2, math.MaxInt32)},
	{"snapSizeLimitInKb", bytes(func(c *Config) *int64 { return &c.SnapSizeLimit }, math.MinInt64)},
	{"commitLogCount", atLeast(func(c *Config) *int { return &c.CommitLogCount }, leastCommitLog)},
	{"forceSync", yesNo(func(c *Config) *bool { return &c.ForceSync })},
	{"autopurge.snapRetainCount", number(func(c *Config) *int { return &c.AutopurgeSnapRetainCount }, 3, math.MaxInt32)},
	{"autopurge.purgeInterval", hours(func(c *Config) *time.Duration { return &c.AutopurgePurgeInterval })},
	{"snapshot.trust.empty", yesNo(func(c *Config) *bool { return &c.SnapshotTrustEmpty })},
	{"db.autocreate", yesNo(func(c *Config) *bool { return &c.DBAutocreate })},
	{"datadir.autocreate", yesNo(func(c *Config) *bool { return &c.DatadirAutocreate })},
	{"4lw.commands.whitelist", list(func(c *Config) *[]string { return &c.FourLetterWhitelist })},
	{"digest.enabled", yesNo(func(c *Config) *bool { return &c.DigestEnabled })},
	{"DigestAuthenticationProvider.superDigest", text(func(c *Config) *string { return &c.SuperDigest })},
	{"skipACL", yesNo(func(c *Config) *bool { return &c.SkipACL })},
	{"extendedTypesEnabled", yesNo(func(c *Config) *bool { return &c.ExtendedTypesEnabled })},

	{"standaloneEnabled", yesNo(func(c *Config) *bool { return &c.StandaloneEnabled })},
	{"dynamicConfigFile", text(func(c *Config) *string { return &c.DynamicConfigFile })},
	{"peerType", peerType},
	{"electionAlg", electionAlg},
	{"initLimit", number(func(c *Config) *int { return &c.InitLimit }, 1, math.MaxInt32)},
	{"syncLimit", number(func(c *Config) *int { return &c.SyncLimit }, 1, math.MaxInt32)},
	{"connectToLearnerMasterLimit", number(func(c *Config) *int { return &c.ConnectToLearnerMasterLimit }, 0, math.MaxInt32)},
	{"quorumListenOnAllIPs", yesNo(func(c *Config) *bool { return &c.QuorumListenOnAllIPs })},
	{"cnxTimeout", millis(func(c *Config) *time.Duration { return &c.CnxTimeout }, 1)},
	{"quorumCnxnTimeoutMs", millis(func(c *Config) *time.Duration { return &c.QuorumCnxnTimeout }, -1)},
	{"electionPortBindRetry", number(func(c *Config) *int { return &c.ElectionPortBindRetry }, 0, math.MaxInt32)},
	{"tcpKeepAlive", yesNo(func(c *Config) *bool { return &c.TCPKeepAlive })},
	{"fastleader.minNotificationInterval", millis(func(c *Config) *time.Duration { return &c.MinNotificationInterval }, 1)},
	{"fastleader.maxNotificationInterval", millis(func(c *Config) *time.Duration { return &c.MaxNotificationInterval }, 1)},
	{"multiAddress.enabled", yesNo(func(c *Config) *bool { return &c.MultiAddressEnabled })},
	{"multiAddress.reachabilityCheckEnabled", idle(yesNo(func(c *Config) *bool { return &c.MultiAddressReachabilityCheckEnabled }))},
	{"multiAddress.reachabilityCheckTimeoutMs", idle(millis(func(c *Config) *time.Duration { return &c.MultiAddressReachabilityCheckTimeout }, 1))},
	{"leaderConnectDelayDuringRetryMs", idle(millis(func(c *Config) *time.Duration { return &c.LeaderConnectDelay }, 0))},
	{"follower.nodelay", idle(yesNo(func(c *Config) *bool { return &c.FollowerNodelay }))},
	{"leader.nodelay", idle(yesNo(func(c *Config) *bool { return &c.LeaderNodelay }))},
	{"leader.maxTimeToWaitForEpoch", idle(millis(func(c *Config) *time.Duration { return &c.MaxTimeToWaitForEpoch }, -1))},
	{"leader.maxConcurrentSnapSyncs", number(func(c *Config) *int { return &c.MaxConcurrentSnapSyncs }, 1, math.MaxInt32)},
	{"leader.maxConcurrentDiffSyncs", number(func(c *Config) *int { return &c.MaxConcurrentDiffSyncs }, 1, math.MaxInt32)},
	{"snapshotSizeFactor", share(func(c *Config) *float64 { return &c.SnapshotSizeFactor }, snapshotShare)},
	{"forceSnapshotSync", yesNo(func(c *Config) *bool { return &c.ForceSnapshotSync })},
	{"observer.syncEnabled", idle(yesNo(func(c *Config) *bool { return &c.ObserverSyncEnabled }))},
	{"observer.election.DelayMs", idle(millis(func(c *Config) *time.Duration { return &c.ObserverElectionDelay }, 0))},
	{"observer.reconnectDelayMs", idle(millis(func(c *Config) *time.Duration { return &c.ObserverReconnectDelay }, 0))},

	{"leaderServes", noticed(false, "has no effect in this release: a leader serves clients")},
	{"reconfigEnabled", noticed(true, "has no effect in this release: the members change with zoo.cfg and a restart")},
	{"sslQuorum", refused("this release does not encrypt what servers say to each other")},
	{"quorum.auth.enableSasl", refused(noQuorumSASL)},
	{"quorum.auth.learnerRequireSasl", refused(noQuorumSASL)},
	{"quorum.auth.serverRequireSasl", refused(noQuorumSASL)},
	{"oraclePath", oraclePath},
}

// without lists keys of ZooKeeper that change nothing here.
var without = []string{
	"admin.enableserver", "admin.serverport", "admin.serveraddress", "admin.idletimeout", "admin.commandurl",
	"clientportlistenbacklog", "metricsprovider.classname", "metricsprovider.httpport",
	"metricsprovider.exportjvminfo", "servercnxnfactory", "maxbatchsize", "flushdelay",
	"localsessionsenabled", "localsessionsupgradingenabled", "quorum.cnxn.threads.size",
	"learner.asyncsending", "learner.closesocketasync", "leader.closesocketasync", "leader.ackloggingfrequency",
	"observermasterport", "observermaster.sizelimit", "follower.skiplearnerrequesttonextprocessor",
	"forward_learner_requests_to_commit_processor_disabled", "portunification", "sslquorumreloadcertfiles",
}

// otherNames are further names of keys: those of ZooKeeper's guide that its server does not know, and the reverse.
var otherNames = map[string]string{
	"syncenabled":            "observer.syncenabled",
	"maxtimetowaitforepoch":  "leader.maxtimetowaitforepoch",
	"maxconcurrentsnapsyncs": "leader.maxconcurrentsnapsyncs",
	"maxconcurrentdiffsyncs": "leader.maxconcurrentdiffsyncs",
}

// serverPrefix begins the keys of the server lines, which join reads.
const serverPrefix = "server."

// canonical returns the one spelling of a key, so that a later source goes over an earlier one however it is written.
func canonical(key string) string {
	key = strings.TrimPrefix(strings.ToLower(key), "zookeeper.")
	if name, ok := otherNames[key]; ok {
		return name
	}
	return key
}

// set takes the value of a key in its one spelling. What has no effect gives a warning; what would change the meaning of
// the ensemble is refused.
func (c *Config) set(canonical, value string) (warning string, err error) {
	for _, k := range keys {
		if strings.ToLower(k.name) != canonical {
			continue
		}
		err := k.set(c, strings.TrimSpace(value))
		var n notice
		if errors.As(err, &n) {
			return string(n), nil
		}
		return "", err
	}
	if isHierarchy(canonical) {
		return "", errors.New(noHierarchy)
	}
	if slices.Contains(without, canonical) {
		return "has no effect here", nil
	}
	return "is unknown, and ignored", nil
}

const noHierarchy = "groups and weights of voters come with a later release: here every voter counts the same"

func isHierarchy(canonical string) bool {
	return strings.HasPrefix(canonical, "group.") || strings.HasPrefix(canonical, "weight.")
}

// notice is a setter's way to say that a value is taken, but not as it stands.
type notice string

func (n notice) Error() string { return string(n) }

type setter = func(c *Config, value string) error

func text(field func(*Config) *string) setter {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

func number(field func(*Config) *int, least, most int) setter {
	return func(c *Config, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%q is not a number", v)
		}
		if n < least || n > most {
			return fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		*field(c) = n
		return nil
	}
}

func millis(field func(*Config) *time.Duration, least int) setter {
	return func(c *Config, v string) error {
		var n int
		if err := number(func(*Config) *int { return &n }, least, math.MaxInt32)(c, v); err != nil {
			return err
		}
		*field(c) = time.Duration(n) * time.Millisecond
		return nil
	}
}

func hours(field func(*Config) *time.Duration) setter {
	return func(c *Config, v string) error {
		var n int
		const century = 24 * 365 * 100
		if err := number(func(*Config) *int { return &n }, 0, century)(c, v); err != nil {
			return err
		}
		*field(c) = time.Duration(n) * time.Hour
		return nil
	}
}

// bytes reads a size in KiB.
func bytes(field func(*Config) *int64, least int64) setter {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number of KiB", v)
		}
		if n < least || n > math.MaxInt64>>10 {
			return fmt.Errorf("%d KiB is out of range", n)
		}
		*field(c) = n << 10
		return nil
	}
}

func yesNo(field func(*Config) *bool) setter {
	return func(c *Config, v string) error {
		switch strings.ToLower(v) {
		case "true", "yes":
			*field(c) = true
		case "false", "no":
			*field(c) = false
		default:
			return errors.New(strconv.Quote(v) + " is neither true (yes) nor false (no)")
		}
		return nil
	}
}

func list(field func(*Config) *[]string) setter {
	return func(c *Config, v string) error {
		*field(c) = nil
		for _, word := range strings.Split(v, ",") {
			if word = strings.TrimSpace(word); word != "" {
				*field(c) = append(*field(c), word)
			}
		}
		return nil
	}
}

// atLeast reads a number that ZooKeeper raises to the least.
func atLeast(field func(*Config) *int, least int) setter {
	return func(c *Config, v string) error {
		if err := number(field, math.MinInt32, math.MaxInt32)(c, v); err != nil {
			return err
		}
		if n := *field(c); n < least {
			*field(c) = least
			return notice(fmt.Sprintf("%d is less than %d, which counts", n, least))
		}
		return nil
	}
}

// share reads a part of the whole; more than the whole gives the usual part, as in ZooKeeper.
func share(field func(*Config) *float64, usual float64) setter {
	return func(c *Config, v string) error {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) {
			return fmt.Errorf("%q is not a number", v)
		}
		*field(c) = f
		if f > 1 {
			*field(c) = usual
			return notice(fmt.Sprintf("%v is more than 1: %v counts", f, usual))
		}
		return nil
	}
}

// asked reads a yes or no that has no field.
func asked(v string) (yes bool, err error) {
	err = yesNo(func(*Config) *bool { return &yes })(nil, v)
	return yes, err
}

// idle takes a value that is checked, and changes nothing yet.
func idle(set setter) setter {
	return func(c *Config, v string) error {
		if err := set(c, v); err != nil {
			return err
		}
		return notice("has no effect in this release")
	}
}

// noticed takes a yes or no, and says what becomes of the one that has no effect.
func noticed(value bool, text string) setter {
	return func(_ *Config, v string) error {
		yes, err := asked(v)
		if err == nil && yes == value {
			return notice(text)
		}
		return err
	}
}

// refused takes a no; a yes would be a promise that is not kept.
func refused(reason string) setter {
	return func(_ *Config, v string) error {
		yes, err := asked(v)
		if err == nil && yes {
			return errors.New(reason)
		}
		return err
	}
}

// peerType has no field: the server line says it too, and counts. See join.
func peerType(_ *Config, v string) error {
	if !strings.EqualFold(v, ensemble.Participant.String()) && !strings.EqualFold(v, ensemble.Observer.String()) {
		return fmt.Errorf("%q is neither participant nor observer", v)
	}
	return nil
}

func electionAlg(_ *Config, v string) error {
	if v != "3" {
		return fmt.Errorf("%q: only 3 is left of ZooKeeper's election algorithms", v)
	}
	return nil
}

// oraclePath would let one of two voters go on alone, and its peers count on that.
func oraclePath(_ *Config, v string) error {
	if v != "" {
		return errors.New("no oracle decides for a quorum in this release")
	}
	return nil
}
