package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr/template"
	"github.com/spf13/viper"
)

// delimiter is what no key contains: viper would take a dot for nesting.
const delimiter = "\x00"

const (
	fromEnvironment = "environment"
	fromFlags       = "command line"
	envPrefix       = "ZABD_"
)

// longestLimit bounds the limits in ticks: ZooKeeper counts their milliseconds in 32 bits.
const longestLimit = math.MaxInt32 * time.Millisecond

const (
	noPlainPort    = "this release has no TLS, and without a clientPort there would be one in the clear"
	noPlainMetrics = "this release has no TLS, and without a metricsProvider.httpPort they would be served in the clear"
)

// origin is where a key's value comes from, and the key as it is written there.
type origin struct{ source, key string }

// loader gathers the settings of one server.
type loader struct {
	host     host
	file     string // zoo.cfg; "" = none
	values   *viper.Viper
	from     map[string]origin // of each key of values
	givenID  string            // for a server without a file myid; "" = none
	list     memberList        // of the servers, that counts
	warnings []string
}

// Load reads the file, if one is named, and lays over it the environment's ZABD_ variables and the flags, both by the
// names of the keys: dots become underscores in the environment. What the environment says to ZooKeeper's scripts lies
// below the file. Warnings name what has no effect. A member of an
// ensemble that has no file myid is found by this host's addresses, and its id is then written into that file.
func Load(file string, env []string, flags map[string]string) (cfg Config, warnings []string, err error) {
	return load(thisHost(), file, env, flags)
}

// Check is Load for those who only want to know: it writes no file myid.
func Check(file string, env []string, flags map[string]string) (cfg Config, warnings []string, err error) {
	h := thisHost()
	h.store = nil
	return load(h, file, env, flags)
}

func load(h host, file string, env []string, flags map[string]string) (Config, []string, error) {
	l, err := gather(h, file, env, flags)
	if err != nil {
		return Config{}, nil, err
	}
	cfg := Default()
	for _, step := range []func(*Config) error{l.setAll, l.check, l.locate, l.join} {
		if err := step(&cfg); err != nil {
			return Config{}, nil, err
		}
	}
	return cfg, l.warnings, nil
}

// gather lays the sources over each other.
func gather(h host, file string, env []string, flags map[string]string) (*loader, error) {
	l := &loader{host: h, file: file, values: viper.NewWithOptions(viper.KeyDelimiter(delimiter)), from: make(map[string]origin)}
	if err := l.mergeScripts(env); err != nil {
		return nil, err
	}
	if err := l.mergeFile(); err != nil {
		return nil, err
	}
	l.mergeEnvironment(env)
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		l.merge(key, flags[key], fromFlags)
	}
	return l, nil
}

func (l *loader) mergeFile() error {
	if l.file == "" {
		return nil
	}
	props, err := l.properties(l.file)
	if err != nil {
		return err
	}
	values := make(map[string]any)
	for _, p := range props {
		key, here := canonical(p.key), origin{at(l.file, p), p.key}
		if key == "" {
			l.warn(here, "a line without a key is ignored")
			continue
		}
		if p.foreign {
			l.warn(here, "is not in ASCII; it is read as UTF-8, and ZooKeeper reads ISO 8859-1")
		}
		if before, twice := l.from[key]; twice && values[key] != p.value {
			l.warn(here, "counts, and not "+before.key+" at "+before.source)
		}
		values[key], l.from[key] = p.value, here
	}
	if err := l.values.MergeConfigMap(values); err != nil {
		return &Error{Source: l.file, Reason: err.Error()}
	}
	return nil
}

// properties reads a properties file.
func (l *loader) properties(file string) ([]property, error) {
	text, err := l.host.readFile(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	props, err := parseProperties(string(text))
	var bad *lineError
	if errors.As(err, &bad) {
		return nil, &Error{Source: fmt.Sprintf("%s:%d", file, bad.line), Reason: bad.reason}
	}
	return props, err
}

func at(file string, p property) string { return fmt.Sprintf("%s:%d", file, p.line) }

func (l *loader) mergeEnvironment(env []string) {
	for _, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if key, ok := keyOfVariable(name); ok {
			l.merge(key, value, fromEnvironment)
		} else {
			l.warn(origin{fromEnvironment, name}, "is no setting")
		}
	}
}

func (l *loader) merge(key, value, source string) {
	l.values.Set(canonical(key), value)
	l.from[canonical(key)] = origin{source, key}
}

// setAll takes the values, but for the server lines and those that are wrong: it returns what is wrong with the first of these.
func (l *loader) setAll(c *Config) (wrong error) {
	for _, key := range slices.Sorted(slices.Values(l.values.AllKeys())) {
		if isServerLine(key) {
			continue
		}
		warning, err := c.set(key, l.values.GetString(key))
		switch {
		case err != nil && wrong == nil:
			wrong = l.bad(key, err.Error())
		case warning != "":
			l.warn(l.from[key], warning)
		}
	}
	return wrong
}

// check derives what was not set, and says what is wrong with settings taken together.
func (l *loader) check(c *Config) error {
	c.complete()
	switch {
	case c.DataDir == "":
		return l.bad("dataDir", "is not set")
	case l.isSet("secureClientPort") && !l.isSet("clientPort"):
		return l.bad("secureClientPort", noPlainPort)
	case c.PrometheusEnabled() && l.asks("metricsProvider.httpsPort") && !l.isSet("metricsProvider.httpPort"):
		return l.bad("metricsProvider.httpsPort", noPlainMetrics)
	case c.EnforceAuth && len(c.EnforceAuthSchemes) == 0:
		return l.bad("enforce.auth.enabled", "needs enforce.auth.schemes")
	case c.MinSessionTimeout > c.MaxSessionTimeout:
		return l.bad("minSessionTimeout", "is larger than maxSessionTimeout")
	case c.MinNotificationInterval > c.MaxNotificationInterval:
		return l.bad("fastleader.minNotificationInterval", "is larger than fastleader.maxNotificationInterval")
	}
	for _, limit := range []struct {
		key   string
		ticks int
	}{{"initLimit", c.InitLimit}, {"syncLimit", c.SyncLimit}, {"connectToLearnerMasterLimit", c.ConnectToLearnerMasterLimit}} {
		if time.Duration(limit.ticks) > longestLimit/c.TickTime {
			return l.bad(limit.key, fmt.Sprintf("%d ticks of %v are longer than 24 days", limit.ticks, c.TickTime))
		}
	}
	if known := c.Auth(); c.EnforceAuth {
		for _, scheme := range c.EnforceAuthSchemes {
			if !known.Knows(scheme) {
				return l.bad("enforce.auth.schemes", fmt.Sprintf("there is no scheme %q here by which a client could authenticate", scheme))
			}
		}
	}
	return nil
}

// locate has clientPortAddress without a template.
func (l *loader) locate(c *Config) error {
	addr, err := expand(c.ClientPortAddress)
	if err != nil {
		return l.bad("clientPortAddress", err.Error())
	}
	c.ClientPortAddress = addr
	return nil
}

// expand replaces an address template by what this host answers to it.
func expand(value string) (string, error) {
	if !strings.Contains(value, "{{") {
		return value, nil // without a template nobody asks for this host's addresses
	}
	out, err := template.Parse(value)
	if err != nil {
		return "", err
	}
	if out == "" {
		return "", fmt.Errorf("no address of this host answers to %s", value)
	}
	return out, nil
}

// isSet tells whether a key has a value from any source.
func (l *loader) isSet(key string) bool {
	_, ok := l.from[canonical(key)]
	return ok
}

// asks tells whether a key of a port has a value that opens it.
func (l *loader) asks(key string) bool {
	return l.isSet(key) && !slices.Contains([]string{"", "-1"}, strings.TrimSpace(l.values.GetString(canonical(key))))
}

// bad returns the error that a key's value makes; a key that is not set is the file's.
func (l *loader) bad(key, reason string) error {
	o := l.originOf(key)
	return &Error{o.source, o.key, reason}
}

func (l *loader) originOf(key string) origin {
	if o, ok := l.from[canonical(key)]; ok {
		return o
	}
	return origin{l.file, key}
}

func (l *loader) warn(o origin, text string) {
	l.warnings = append(l.warnings, fmt.Sprintf("config: %s: %s", o.source, strings.TrimSpace(o.key+" "+text)))
}
