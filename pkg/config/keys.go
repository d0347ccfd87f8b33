package config

import (
	"errors"
	"slices"
	"strings"
)

// A key is one row of the table of settings. docs/config.md is made of the rows: `go generate ./pkg/config`.
//
// To add one: write the row into the file of its area, name the test that shows its effect, and set the key by its name
// in that test's file. A row without an effect says why in idle, and has no test.
type key struct {
	// name is ZooKeeper's spelling in zoo.cfg. Where it ends in .N or .X, any ending makes a key of the row.
	name  string
	also  []string // further spellings: those that its guide has and its server does not know, and the reverse
	takes          // what the value may be, and where it goes
	// def is the default as zoo.cfg would say it; in parentheses, in words. "" = nothing.
	def    string
	effect string // in one sentence
	test   string // "pkg/dir.TestName"
	idle   string // why the value changes nothing
	live   bool   // a reload changes it in a server that runs
}

// An area is what docs/config.md has under one heading.
type area struct {
	title string
	keys  []key
}

// areas is the table.
var areas = []area{
	{"Ports, directories and sessions", basicKeys},
	{"The ensemble", ensembleKeys},
	{"Logs, snapshots and data", dataKeys},
	{"Limits", limitKeys},
	{"Requests and caches", requestKeys},
	{"Authentication", authKeys},
	{"TLS", tlsKeys},
	{"Administration", adminKeys},
}

//go:generate go test -run TestTheManualIsMadeOfTheTable -update .

// rows finds a row by each of its spellings, in lower case.
var rows = func() map[string]*key {
	out := make(map[string]*key)
	for _, a := range areas {
		for i := range a.keys {
			for _, name := range append([]string{a.keys[i].name}, a.keys[i].also...) {
				out[strings.ToLower(name)] = &a.keys[i]
			}
		}
	}
	return out
}()

const (
	serverPrefix    = "server."    // begins the keys of the server lines, which join reads
	zookeeperPrefix = "zookeeper." // begins ZooKeeper's system properties, whose names zoo.cfg takes as well
)

// find returns the row of a key, whatever it is called, and the one spelling of the key, in lower case, so that a later
// source goes over an earlier one however it is written. The row is nil if there is none.
func find(name string) (canonical string, row *key) {
	name = strings.ToLower(name)
	for _, n := range []string{name, strings.TrimPrefix(name, zookeeperPrefix)} {
		if row := rows[n]; row != nil {
			return strings.ToLower(row.name), row
		}
	}
	name = strings.TrimPrefix(name, zookeeperPrefix)
	if dot := strings.IndexByte(name, '.'); dot >= 0 {
		for _, any := range []string{".n", ".x"} {
			if row := rows[name[:dot]+any]; row != nil {
				return name, row
			}
		}
	}
	return name, nil
}

func canonical(name string) string {
	c, _ := find(name)
	return c
}

// isServerLine tells whether a key is that of a server line; a few others begin alike.
func isServerLine(canonical string) bool {
	return strings.HasPrefix(canonical, serverPrefix) && rows[canonical] == nil
}

func isHierarchy(canonical string) bool {
	return strings.HasPrefix(canonical, "group.") || strings.HasPrefix(canonical, "weight.")
}

// set takes the value of a key. What has no effect gives a warning; what would change the meaning of the ensemble, or
// leave it less protected, is refused.
func (c *Config) set(name, text string) (warning string, err error) {
	_, row := find(name)
	if row == nil {
		return "is unknown, and ignored", nil
	}
	if row.idle != "" {
		return "has no effect: " + row.idle, nil
	}
	err = row.set(c, strings.TrimSpace(text))
	var n notice
	if errors.As(err, &n) {
		return string(n), nil
	}
	return "", err
}

// Reload compares the settings of a running server with those that have been read anew. It returns what counts from now
// on, and names the keys that have changed and count only after a restart.
func Reload(running, read Config) (next Config, fixed []string) {
	next = running
	for _, a := range areas {
		for i := range a.keys {
			switch k := &a.keys[i]; {
			case k.same == nil || k.same(&running, &read):
			case k.live:
				k.copy(&next, &read)
			default:
				fixed = append(fixed, k.name)
			}
		}
	}
	if running.MyID != read.MyID || (running.Members == nil) != (read.Members == nil) ||
		running.Members != nil && running.Members.Text() != read.Members.Text() {
		fixed = append(fixed, "server.N")
	}
	slices.Sort(fixed)
	return next, fixed
}

// keyOfVariable returns the key that an environment variable ZABD_... sets: dots are underscores there.
func keyOfVariable(name string) (string, bool) {
	name = strings.ToLower(strings.TrimPrefix(name, envPrefix))
	for _, family := range []string{serverPrefix, "group.", "weight.", "authprovider.", "superuser."} {
		if rest, ok := strings.CutPrefix(name, strings.ReplaceAll(family, ".", "_")); ok {
			return family + rest, true
		}
	}
	for spelling, row := range rows {
		if strings.NewReplacer(".", "_", "-", "_").Replace(spelling) == name {
			return row.name, true
		}
	}
	return "", false
}
