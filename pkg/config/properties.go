package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// property is one key with its value and the line that it begins on.
type property struct {
	key, value string
	line       int
	foreign    bool // has characters that are not ASCII, and no escapes for them
}

// A lineError says what is wrong in a line.
type lineError struct {
	line   int
	reason string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.reason) }

// byteOrderMark is what some editors begin a file with.
const byteOrderMark = "\ufeff"

// parseProperties reads a Java properties file: keys end at '=', ':' or blank, lines go on behind a backslash, # and !
// begin comments, and escapes are those of java.util.Properties.load. The last of equal keys counts. Its text is UTF-8. An
// error is a *lineError.
func parseProperties(text string) ([]property, error) {
	var out []property
	lines := splitLines(strings.TrimPrefix(text, byteOrderMark))
	for i := 0; i < len(lines); i++ {
		first := i
		s := strings.TrimLeft(lines[i], " \t\f")
		if s == "" || s[0] == '#' || s[0] == '!' {
			continue
		}
		for continues(s) {
			s = s[:len(s)-1]
			if i++; i == len(lines) {
				break
			}
			s += strings.TrimLeft(lines[i], " \t\f")
		}
		p, reason := parseLine(s)
		if reason != "" {
			return nil, &lineError{first + 1, reason}
		}
		p.line = first + 1
		out = append(out, p)
	}
	return out, nil
}

// parseLine reads a line with all that goes on behind it, or says what is wrong with it.
func parseLine(s string) (p property, reason string) {
	if !utf8.ValidString(s) {
		return p, "it is not in UTF-8"
	}
	p.foreign = strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
	key, value := cutKey(s)
	var err error
	if p.key, err = unescape(key); err == nil {
		p.value, err = unescape(value)
	}
	switch {
	case err != nil:
		return p, err.Error()
	case strings.ContainsRune(p.key+p.value, 0):
		return p, "it has a character of value 0"
	}
	return p, ""
}

func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
}

// continues tells whether a line ends in an odd number of backslashes.
func continues(s string) bool {
	n := len(s) - len(strings.TrimRight(s, `\`))
	return n%2 == 1
}

// cutKey separates a line's key from its value.
func cutKey(s string) (key, value string) {
	end := 0
	for end < len(s) && !strings.ContainsRune("=: \t\f", rune(s[end])) {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(s))
	rest := strings.TrimLeft(s[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return s[:end], rest
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			r, n, err := escaped(s[i-1:])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += n - 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// escaped reads the character that s begins with as \uXXXX, or as two of them that are its halves in UTF-16, and how long
// that is.
func escaped(s string) (r rune, length int, err error) {
	const one = len(`\uXXXX`)
	if len(s) < one {
		return 0, 0, fmt.Errorf("escape %q is cut short", s)
	}
	n, err := strconv.ParseUint(s[2:one], 16, 16)
	if err != nil {
		return 0, 0, fmt.Errorf("escape %q is no character", s[:one])
	}
	if r = rune(n); !utf16.IsSurrogate(r) {
		return r, one, nil
	}
	if len(s) >= 2*one && s[one:one+2] == `\u` {
		if low, err := strconv.ParseUint(s[one+2:2*one], 16, 16); err == nil {
			if r = utf16.DecodeRune(r, rune(low)); r != utf8.RuneError {
				return r, 2 * one, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("escape %q is half a character", s[:one])
}
