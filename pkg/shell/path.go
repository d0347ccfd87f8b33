package shell

import (
	"fmt"

	"github.com/zabd/zabd/pkg/proto"
)

// checkPath says what is wrong with a path in the words of ZooKeeper's client.
func checkPath(path string) error {
	switch {
	case proto.ValidatePath(path):
		return nil
	case path == "":
		return fail("Path length must be > 0")
	case path[0] != '/':
		return fail("Path must start with / character")
	case path[len(path)-1] == '/':
		return fail("Path must not end with / character")
	}
	return fail("Invalid path string %q caused by %s", path, pathFault([]rune(path)))
}

// pathFault names the first bad character of a path, by its place.
func pathFault(c []rune) string {
	ends := func(i int) bool { return i+1 == len(c) || c[i+1] == '/' }
	for i := 1; i < len(c); i++ {
		switch {
		case c[i] == 0:
			return fmt.Sprintf("null character not allowed @%d", i)
		case c[i] == '/' && c[i-1] == '/':
			return fmt.Sprintf("empty node name specified @%d", i)
		case c[i] == '.' && ends(i) && (c[i-1] == '/' || c[i-1] == '.' && c[i-2] == '/'):
			return fmt.Sprintf("relative paths not allowed @%d", i)
		case c[i] < 0x20, c[i] >= 0x7F && c[i] <= 0x9F, c[i] >= 0xD800 && c[i] <= 0xF8FF, c[i] >= 0xFFF0:
			return fmt.Sprintf("invalid character @%d", i)
		}
	}
	return "its encoding"
}

// join returns the path of a child.
func join(parent, name string) string {
	if parent == "/" {
		return "/" + name
	}
	return parent + "/" + name
}
