package offline

import (
	"strings"
	"unicode/utf8"
)

// javaText decodes UTF-8 as Java does: where it is malformed, one replacement character stands for as many bytes as could
// have begun a character (Go puts one for each byte).
func javaText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = begun(b)
		}
		s.WriteRune(r)
		b = b[n:]
	}
	return s.String()
}

// begun returns the length of the longest prefix of a malformed sequence that some character begins with, at least 1.
func begun(b []byte) int {
	size, low, high := 0, byte(0x80), byte(0xbf) // of the character, and what its second byte may be
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		size = 2
	case c >= 0xe0 && c <= 0xef:
		size = 3
	case c >= 0xf0 && c <= 0xf4:
		size = 4
	}
	switch b[0] {
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	n := 1
	for n < size-1 && n < len(b) && b[n] >= low && b[n] <= high {
		n++
		low, high = 0x80, 0xbf
	}
	return n
}

// quoteJSON escapes text for the inside of a JSON string as Jackson does.
func quoteJSON(text string) string {
	const hex = "0123456789ABCDEF"
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`}
	var s strings.Builder
	for _, r := range text {
		switch {
		case short[r] != "":
			s.WriteString(short[r])
		case r < 0x20:
			s.WriteString(`\u00` + string(hex[r>>4]) + string(hex[r&15]))
		default:
			s.WriteRune(r)
		}
	}
	return s.String()
}
