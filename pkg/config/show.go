package config

import (
	"maps"
	"slices"
	"strings"
)

// A Setting is the value of a key, and where it comes from.
type Setting struct {
	Key    string `json:"key"` // in ZooKeeper's spelling
	Value  string `json:"value"`
	Source string `json:"source"` // file:line, environment, command line or default
}

// fromDefault is the source of what nobody has set.
const fromDefault = "default"

// secret is what stands in the place of a value that gives access.
const secret = "(secret)"

// Show returns the settings that are made, in the order of their keys, without asking whether they are right; with all,
// also those that could be. What gives access is not told.
func Show(file string, env []string, flags map[string]string, all bool) ([]Setting, error) {
	l, err := gather(thisHost(), file, env, flags)
	if err != nil {
		return nil, err
	}
	out := make(map[string]Setting)
	if all {
		for name, row := range rows {
			if name == strings.ToLower(row.name) && row.idle == "" && !strings.HasSuffix(name, ".n") && !strings.HasSuffix(name, ".x") {
				out[name] = Setting{row.name, row.def, fromDefault}
			}
		}
	}
	for key, o := range l.from {
		s := Setting{o.key, l.values.GetString(key), o.source}
		if _, row := find(key); row != nil && strings.ToLower(row.name) == key {
			s.Key = row.name
		}
		out[key] = s
	}
	settings := make([]Setting, 0, len(out))
	for _, key := range slices.Sorted(maps.Keys(out)) {
		s := out[key]
		if isSecret(key) && s.Value != "" {
			s.Value = secret
		}
		settings = append(settings, s)
	}
	return settings, nil
}

// isSecret tells whether the value of a key must not be shown.
func isSecret(canonical string) bool {
	return strings.HasSuffix(canonical, "password") || strings.Contains(canonical, "superdigest") || canonical == "ensembleauthname"
}
