package proto

import "strings"

// ValidatePath tells whether a path can name a node: absolute, without empty, "." or ".." elements, without a trailing
// slash, and without the characters that ZooKeeper forbids. The path must be valid UTF-8, as decoded strings are.
func ValidatePath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	if len(path) == 1 {
		return true
	}
	if path[len(path)-1] == '/' {
		return false
	}
	start := 1 // of the current element
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			switch path[start:i] {
			case "", ".", "..":
				return false
			}
			start = i + 1
			continue
		}
		if c := path[i]; c < 0x20 || c == 0x7F {
			return false
		} else if c >= 0x80 {
			return validElements(path, start, i)
		}
	}
	return true
}

// validElements is the rest of ValidatePath for a path with characters outside ASCII: element starts at start, and all
// before i has been seen.
func validElements(path string, start, i int) bool {
	for _, r := range path[i:] {
		if r < 0x20 || r >= 0x7F && r <= 0x9F || r >= 0xD800 && r <= 0xF8FF || r >= 0xFFF0 {
			return false
		}
	}
	for _, name := range strings.Split(path[start:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}
