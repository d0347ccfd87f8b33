package shell

import (
	"regexp"
	"strings"
)

// word is a word of a line: in quotes, or up to the next blank. A quote within a word is a letter like any other.
var (
	word   = regexp.MustCompile(`\s*([^"']\S*|"[^"]*"|'[^']*')\s*`)
	quoted = regexp.MustCompile(`^(".*"|'.*')$`)
)

// Words splits a line as zkCli does. A quote that is not closed is passed over.
func Words(line string) []string {
	var words []string
	if strings.TrimSpace(line) == "" {
		return nil
	}
	for _, m := range word.FindAllStringSubmatch(line, -1) {
		w := m[1]
		if len(w) > 1 && quoted.MatchString(w) {
			w = w[1 : len(w)-1]
		}
		words = append(words, w)
	}
	return words
}
