package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// key is one setting: its name in zoo.cfg and what its value does.
type key struct {
	name string
	set  func(c *Config, value string) error
}

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
	{"commitLogCount", number(func(c *Config) *int { return &c.CommitLogCount }, 1, math.MaxInt32)},
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
}

// without lists keys of ZooKeeper that a single server may carry and that change nothing here.
var without = []string{
	"initlimit", "synclimit", "standaloneenabled", "reconfigenabled", "admin.enableserver", "admin.serverport",
	"admin.serveraddress", "admin.idletimeout", "admin.commandurl", "electionalg", "peertype", "syncenabled",
	"clientportlistenbacklog", "metricsprovider.classname", "metricsprovider.httpport",
	"metricsprovider.exportjvminfo", "servercnxnfactory", "maxbatchsize", "flushdelay", "leaderserves",
	"cnxtimeout", "quorumlistenonallips", "localsessionsenabled", "localsessionsupgradingenabled",
}

// set takes one value. A key without effect gives a warning; what would change the meaning of the ensemble is refused.
func (c *Config) set(name, value, source string) (warning string, err error) {
	bare := strings.TrimPrefix(strings.ToLower(name), "zookeeper.")
	for _, k := range keys {
		if strings.ToLower(k.name) == bare {
			if err := k.set(c, strings.TrimSpace(value)); err != nil {
				return "", &Error{source, k.name, err.Error()}
			}
			return "", nil
		}
	}
	if strings.HasPrefix(bare, "server.") || bare == "dynamicconfigfile" {
		return "", &Error{source, name, "this release serves alone: take the servers out, or keep to one"}
	}
	for _, k := range without {
		if k == bare {
			return fmt.Sprintf("config: %s: %s has no effect here", source, name), nil
		}
	}
	return fmt.Sprintf("config: %s: unknown key %s is ignored", source, name), nil
}

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
