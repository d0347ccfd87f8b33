package offline

import (
	"bufio"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/tree"
)

// javaComparer is SnapshotComparer: which nodes of two snapshots differ in how much is in and below them.
type javaComparer struct {
	*Host
	left, right        *javaTree
	bytes, nodes       int64 // a difference is shown above either
	debug, interactive bool
}

// A javaNode is a node, and what is in and below it.
type javaNode struct {
	path        string
	size, count int64 // bytes of data with the node's own; nodes below
	below       []*javaNode
}

// A javaTree has the nodes of a snapshot in layers, each in the order of the paths.
type javaTree struct {
	layers [][]*javaNode
	byPath map[string]*javaNode
}

func (h *Host) javaTreeOf(path string) (*javaTree, error) {
	begun := time.Now()
	s, err := ReadSnapshot(path)
	if err != nil {
		return nil, err
	}
	h.say("Deserialized snapshot in %s in %f seconds\n", filepath.Base(path), time.Since(begun).Seconds())
	begun = time.Now()
	t := &javaTree{byPath: map[string]*javaNode{}}
	var open []*javaNode // the ancestors of the node that is visited
	err = s.walk("", func(path string, r tree.Ref, depth int) error {
		n := &javaNode{path: path}
		t.byPath[path] = n
		if depth == len(t.layers) {
			t.layers = append(t.layers, nil)
		}
		t.layers[depth] = append(t.layers[depth], n)
		open = open[:depth]
		for _, up := range open {
			up.count++
		}
		if depth > 0 {
			open[depth-1].below = append(open[depth-1].below, n)
		}
		open = append(open, n)
		for _, up := range open {
			up.size += int64(len(s.Tree.Data(r)))
		}
		return nil
	})
	for _, layer := range t.layers {
		slices.SortFunc(layer, byPath)
	}
	h.say("Processed data tree in %f seconds\n", time.Since(begun).Seconds())
	return t, err
}

func byPath(a, b *javaNode) int { return strings.Compare(a.path, b.path) }

// layer returns the nodes at a depth.
func (t *javaTree) layer(depth int) []*javaNode {
	if depth < len(t.layers) {
		return t.layers[depth]
	}
	return nil
}

func (h *Host) javaCounts(t *javaTree) {
	h.say("Node count: %d\nTotal size: %d\nMax depth: %d\n", len(t.byPath), t.layers[0][0].size, len(t.layers))
	for i, layer := range t.layers {
		h.say("Count of nodes at depth %d: %d\n", i, len(layer))
	}
	h.say("\n")
}

func (c *javaComparer) run(left, right string) int {
	var err error
	c.say("Successfully parsed options!\n")
	if c.left, err = c.javaTreeOf(left); err == nil {
		c.right, err = c.javaTreeOf(right)
	}
	if err != nil {
		c.warn("%v", err)
		return javaError
	}
	c.javaCounts(c.left)
	c.javaCounts(c.right)
	depth := max(len(c.left.layers), len(c.right.layers))
	if c.interactive {
		if !c.ask(depth) {
			c.warn("No line found")
			return javaError
		}
	} else {
		c.threshold()
		for i := range depth {
			c.layerAt(i)
		}
	}
	c.say("All layers compared.\n")
	return 0
}

func (c *javaComparer) threshold() {
	c.say("Printing analysis for nodes difference larger than %d bytes or node count difference larger than %d.\n", c.bytes, c.nodes)
}

func (c *javaComparer) layerAt(depth int) {
	c.say("Analysis for depth %d\n", depth)
	c.compare(c.left.layer(depth), c.right.layer(depth))
}

// ask shows layers and subtrees as it is told, until the last layer was shown; false if nothing more is said before.
func (c *javaComparer) ask(layers int) bool {
	lines := bufio.NewScanner(c.In)
	for depth := 0; depth < layers; {
		c.say("Current depth is %d\n- Press enter to move to print current depth layer;\n- Type a number to jump to and print all nodes at a given depth;\n"+
			"- Enter an ABSOLUTE path to print the immediate subtree of a node. Path must start with '/'.\n", depth)
		if !lines.Scan() {
			return false
		}
		input := lines.Text()
		c.threshold()
		n, err := strconv.ParseInt(input, 10, 32)
		switch {
		case input == "":
			c.layerAt(depth)
			depth++
		case strings.HasPrefix(input, "/"):
			c.say("Analysis for node %s\n", input)
			c.subtree(input)
		case err != nil:
			c.say("Input %s is not valid. Depth must be in range [%d, %d]. Path must be an absolute path which starts with '/'.\n", input, 0, layers-1)
		case n < 0 || int(n) >= layers:
			c.say("Depth must be in range [%d, %d]\n", 0, layers-1)
			continue
		default:
			depth = int(n)
			c.layerAt(depth)
		}
		c.say("\n")
	}
	return true
}

func (c *javaComparer) subtree(path string) {
	l, r := c.left.byPath[path], c.right.byPath[path]
	if l == nil && r == nil {
		c.say("Path %s is neither found in left tree nor right tree.\n", path)
		return
	}
	var left, right []*javaNode
	if l != nil {
		left = l.below
	}
	if r != nil {
		right = r.below
	}
	c.compare(left, right)
}

// compare compares two lists that are in order.
func (c *javaComparer) compare(left, right []*javaNode) {
	for len(left)+len(right) > 0 {
		order := 0
		switch {
		case len(left) == 0:
			order = 1
		case len(right) == 0:
			order = -1
		default:
			order = byPath(left[0], right[0])
			if c.debug {
				c.say("Comparing %s to %s\n%s\n", left[0].path, right[0].path, [...]string{"left is less", "same", "right is less"}[order+1])
			}
		}
		switch order {
		case -1:
			c.only("left", left[0])
			left = left[1:]
		case 1:
			c.only("right", right[0])
			right = right[1:]
		default:
			c.both(left[0], right[0])
			left, right = left[1:], right[1:]
		}
	}
}

func (c *javaComparer) only(side string, n *javaNode) {
	switch {
	case n.size > c.bytes || n.count > c.nodes:
		c.say("Node %s found only in %s tree. Descendant size: %d. Descendant count: %d\n", n.path, side, n.size, n.count)
	case c.debug || c.interactive:
		c.say("Filtered %s node %s of size %d\n", side, n.path, n.size)
	}
}

func (c *javaComparer) both(l, r *javaNode) {
	size, count := r.size-l.size, r.count-l.count
	switch {
	case max(size, -size) > c.bytes || max(count, -count) > c.nodes:
		c.say("Node %s found in both trees. Delta: %d bytes, %d descendants\n", l.path, size, count)
	case c.debug || c.interactive:
		c.say("Filtered node %s of left size %d, right size %d\n", l.path, l.size, r.size)
	}
}
