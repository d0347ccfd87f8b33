// Package config turns zoo.cfg, the environment and flags into one checked struct. The file is read by our own reader,
// for it is a Java properties file; viper merges the three sources.
package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr/template"
	"github.com/spf13/viper"
)

// Config is a server's settings. Durations and byte sizes carry their unit in the type or are bytes.
type Config struct {
	DataDir, DataLogDir string // DataLogDir is DataDir unless set

	ClientPort        int
	ClientPortAddress string // all addresses if empty
	MaxClientCnxns    int    // connections from one address; 0 = no limit
	MaxCnxns          int    // connections in all; 0 = no limit

	TickTime                             time.Duration
	MinSessionTimeout, MaxSessionTimeout time.Duration // 2 and 20 ticks unless set
	SessionlessTimeout                   time.Duration // until a connection must have a session

	GlobalOutstandingLimit int
	JuteMaxBuffer          int // bytes of a request
	NotificationBytes      int // of notifications that may wait for one connection

	PreAllocSize   int64 // bytes
	SnapCount      int
	SnapSizeLimit  int64 // bytes; negative = no limit
	CommitLogCount int
	ForceSync      bool

	AutopurgeSnapRetainCount int
	AutopurgePurgeInterval   time.Duration // 0 = never

	SnapshotTrustEmpty bool
	DBAutocreate       bool
	DatadirAutocreate  bool

	FourLetterWhitelist  []string // "*" = all
	DigestEnabled        bool
	SuperDigest          string
	SkipACL              bool
	ExtendedTypesEnabled bool
}

// Default returns the settings of a server of which nothing is said.
func Default() Config {
	return Config{
		ClientPort: 2181, MaxClientCnxns: 60, TickTime: 3 * time.Second,
		SessionlessTimeout: 10 * time.Second, GlobalOutstandingLimit: 1000,
		JuteMaxBuffer: 0xfffff, NotificationBytes: 64 << 20,
		PreAllocSize: 64 << 20, SnapCount: 100_000, SnapSizeLimit: 4 << 30, CommitLogCount: 500, ForceSync: true,
		AutopurgeSnapRetainCount: 3, DBAutocreate: true, DatadirAutocreate: true,
		FourLetterWhitelist: []string{"srvr"}, DigestEnabled: true,
	}
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

// delimiter is what no key contains: viper would take a dot for nesting.
const delimiter = "\x00"

const (
	fromEnvironment = "environment"
	fromFlags       = "command line"
	envPrefix       = "ZABD_"
)

// Load reads the file, if one is named, and lays over it the environment's ZABD_ variables and the flags, both by the
// names of the keys: dots become underscores in the environment. Warnings name what has no effect.
func Load(file string, env []string, flags map[string]string) (cfg Config, warnings []string, err error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	from := make(map[string]string) // where each key's value comes from
	if file != "" {
		if err := mergeFile(v, from, file); err != nil {
			return Config{}, nil, err
		}
	}
	merge := func(key, value, source string) {
		v.Set(key, value)
		from[strings.ToLower(key)] = source
	}
	for _, e := range env {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, envPrefix) {
			if key, ok := keyOfVariable(name); ok {
				merge(key, value, fromEnvironment)
			} else {
				warnings = append(warnings, fmt.Sprintf("config: %s: no setting %s", fromEnvironment, name))
			}
		}
	}
	for key, value := range flags {
		merge(key, value, fromFlags)
	}
	cfg = Default()
	keys := v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		w, err := cfg.set(key, v.GetString(key), from[key])
		if err != nil {
			return Config{}, nil, err
		}
		if w != "" {
			warnings = append(warnings, w)
		}
	}
	cfg.complete()
	return cfg, warnings, cfg.check(from, file)
}

func mergeFile(v *viper.Viper, from map[string]string, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	props, err := parseProperties(string(text))
	if err != nil {
		return &Error{Source: file, Reason: err.Error()}
	}
	values := make(map[string]any)
	for _, p := range props {
		key := strings.ToLower(p.key)
		values[key] = p.value
		from[key] = fmt.Sprintf("%s:%d", file, p.line)
	}
	if err := v.MergeConfigMap(values); err != nil {
		return &Error{Source: file, Reason: err.Error()}
	}
	return nil
}

// keyOfVariable returns the key that an environment variable sets.
func keyOfVariable(name string) (string, bool) {
	name = strings.ToLower(strings.TrimPrefix(name, envPrefix))
	for _, k := range keys {
		if strings.ToLower(strings.ReplaceAll(k.name, ".", "_")) == name {
			return k.name, true
		}
	}
	return "", false
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
}

// check says what is wrong with settings taken together.
func (c *Config) check(from map[string]string, file string) error {
	bad := func(key, reason string) error {
		source := from[strings.ToLower(key)]
		if source == "" {
			source = file
		}
		return &Error{source, key, reason}
	}
	switch {
	case c.DataDir == "":
		return bad("dataDir", "is not set")
	case c.MinSessionTimeout > c.MaxSessionTimeout:
		return bad("minSessionTimeout", "is larger than maxSessionTimeout")
	}
	if !strings.Contains(c.ClientPortAddress, "{{") {
		return nil // without a template nobody asks for this host's addresses
	}
	addr, err := template.Parse(c.ClientPortAddress)
	if err != nil {
		return bad("clientPortAddress", err.Error())
	}
	if addr == "" {
		return bad("clientPortAddress", "no address of this host answers to "+c.ClientPortAddress)
	}
	c.ClientPortAddress = addr
	return nil
}

// Complete returns the settings with everything derived, for those that were not loaded.
func (c Config) Complete() Config {
	c.complete()
	return c
}
