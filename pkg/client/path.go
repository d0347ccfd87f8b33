package client

import (
	"strings"

	"github.com/zabd/zabd/pkg/proto"
)

// configNode is outside any chroot.
const configNode = "/zookeeper/config"

// checkPath finds what is wrong with a path before a server does.
func checkPath(path string) error {
	if proto.ValidatePath(path) {
		return nil
	}
	reason := "holds a character that no path may hold"
	switch {
	case path == "":
		reason = "is empty: the root is /"
	case path[0] != '/':
		reason = "does not begin with a slash: want /" + path
	case strings.HasSuffix(path, "/"):
		reason = "ends with a slash: want " + orRoot(strings.TrimRight(path, "/"))
	case strings.Contains(path, "//"):
		reason = "has an empty name in it: want one slash between names"
	case strings.Contains(path+"/", "/./"), strings.Contains(path+"/", "/../"):
		reason = "has . or .. in it: paths are absolute"
	}
	return &PathError{path, reason}
}

func orRoot(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// toServer puts the chroot before a path.
func (c *Client) toServer(path string) string {
	switch {
	case c.chroot == "":
		return path
	case path == "/":
		return c.chroot
	}
	return c.chroot + path
}

// toClient takes the chroot off a server's path; one outside it (that of the configuration) stays as it is.
func (c *Client) toClient(path string) string {
	if c.chroot == "" {
		return path
	}
	rest, ok := strings.CutPrefix(path, c.chroot)
	switch {
	case ok && rest == "":
		return "/"
	case ok && rest[0] == '/':
		return rest
	}
	return path
}
