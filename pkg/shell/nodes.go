package shell

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

const (
	deleteBatch = 1000      // nodes that deleteall deletes in one txn
	longestTTL  = 1<<40 - 1 // milliseconds
	syncTimeout = 30 * time.Second
)

// nodeCommands read and write nodes.
func nodeCommands() []*Command {
	stat := Option{"s", "stat", "", "Print znode stats additionally"}
	watch := Option{"w", "watch", "", "Watch for changes on the znode"}
	version := Option{"v", "version", "N", "the version that the node must have"}
	batch := []Option{{"b", "batch", "N", "how many nodes go in one transaction"}}
	return []*Command{
		{
			Name: "create", Usage: "[-s] [-e] [-c] [-t ttl] path [data] [acl]", Short: "Create a node", least: 2, run: create,
			Options: []Option{
				{"e", "ephemeral", "", "it goes with the session"}, {"s", "sequential", "", "its name gets a number"}, {"c", "container", "", "it goes when it has had children and has none"}, {"t", "ttl", "MS", "it goes when it has not changed for so many milliseconds"},
			},
		},
		{
			Name: "delete", Usage: "[-v version] path", Short: "Delete a node that has no children", least: 2, run: remove,
			Options: []Option{version}, watchWord: deprecated("delete path [version]", "delete [-v version] path"),
		},
		{Name: "deleteall", Usage: "path [-b batch size]", Short: "Delete a node and all below it", least: 2, run: removeAll, Options: batch},
		{Name: "rmr", Usage: "path [-b batch size]", Short: "Delete a node and all below it", least: 2, run: removeAll, Options: batch, Instead: "deleteall"},
		{
			Name: "get", Usage: "[-s] [-w] [-b] [-x] path", Short: "Print a node's data", least: 2, detailed: true, run: get,
			Options:   []Option{{"b", "base64", "", "Output data in base64 format"}, stat, watch, {"x", "hex", "", "Output data in hexdump format"}},
			watchWord: deprecated("get path [watch]", "get [-s] [-w] path"),
		},
		{
			Name: "set", Usage: "path data [-s] [-v version] [-b]", Short: "Set a node's data", least: 3, detailed: true, run: set,
			Options: []Option{{"b", "base64", "", "Supply data in base64 format"}, stat, {"v", "version", "N", "Set with an expected version"}},
		},
		{
			Name: "stat", Usage: "[-w] path", Short: "Print what is known of a node", least: 2, run: stats,
			Options: []Option{{"w", "watch", "", "leave a watch"}}, watchWord: deprecated("stat path [watch]", "stat [-w] path"),
		},
		{
			Name: "ls", Usage: "[-s] [-w] [-R] path", Short: "List a node's children", least: 1, run: list,
			Options:   []Option{{"?", "", "", "help"}, {"R", "recursive", "", "recurse"}, {"s", "stat", "", "stat"}, {"w", "watch", "", "watch"}},
			watchWord: deprecated("ls path [watch]", "ls [-w] path"),
		},
		{
			Name: "ls2", Usage: "[-w] path", Short: "List a node's children, and what is known of the node", least: 2, run: list,
			Options: []Option{{"w", "watch", "", "leave a watch"}}, watchWord: deprecated("ls2 path [watch]", "ls [-s] [-w] path"), Instead: "ls -s",
		},
		{Name: "sync", Usage: "path", Short: "Have the server catch up with its leader", least: 2, run: syncPath},
		{Name: "getEphemerals", Usage: "path", Short: "List the session's ephemeral nodes, all or those below a path", least: 1, run: ephemerals},
		{Name: "getAllChildrenNumber", Usage: "path", Short: "Count the nodes below a node", least: 2, run: countBelow},
	}
}

// mode returns what kind of node create was asked for.
func mode(c Call) (m client.Mode, ttl time.Duration, err error) {
	e, s, container := c.Has("e"), c.Has("s"), c.Has("c")
	if container && (e || s) {
		return 0, 0, fail("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	}
	millis, err := c.number("t", 64, 0, "-t argument must be a long value")
	switch t := c.Has("t"); {
	case err != nil:
		return 0, 0, err
	case t && e:
		return 0, 0, fail("TTLs cannot be used with Ephemeral znodes")
	case t && container:
		return 0, 0, fail("TTLs cannot be used with Container znodes")
	case t && (millis <= 0 || millis > longestTTL):
		return 0, 0, fail("ttl must be positive and cannot be larger than: %d", int64(longestTTL))
	}
	switch {
	case e && s:
		m = client.ModeEphemeralSequential
	case e:
		m = client.ModeEphemeral
	case s:
		m = client.ModePersistentSequential
	case container:
		m = client.ModeContainer
	default:
		m = client.ModePersistent
	}
	return m, time.Duration(millis) * time.Millisecond, nil
}

func create(ctx context.Context, s *Shell, c Call) error {
	m, ttl, err := mode(c)
	if err != nil {
		return err
	}
	path, data, acl := c.Args[0], []byte(nil), proto.WorldAll()
	if len(c.Args) > 1 {
		data = []byte(c.Args[1])
	}
	if len(c.Args) > 2 {
		acl = parseACL(c.Args[2], s.complain)
	}
	checked := path
	if c.Has("s") {
		checked += "1" // a number follows
	}
	if err := checkPath(checked); err != nil {
		return err
	}
	if len(acl) == 0 {
		s.complain("%s", keeperError(proto.InvalidACL, ""))
		return fail("%snull", sentences[proto.InvalidACL])
	}
	var made string
	if ttl != 0 {
		made, _, err = s.zk.CreateTTL(ctx, path, data, m, ttl, acl...)
	} else {
		made, _, err = s.zk.Create(ctx, path, data, m, acl...)
	}
	switch {
	case errors.Is(err, proto.InvalidACL):
		s.complain("%s", keeperError(proto.InvalidACL, path))
	case errors.Is(err, proto.EphemeralOnLocalSession):
		s.complain("Unable to create ephemeral node on a local session")
	case err == nil:
		s.note("Created %s", made)
	}
	return explain(err, path)
}

func remove(ctx context.Context, s *Shell, c Call) error {
	version, err := c.version()
	if err == nil {
		err = checkPath(c.Args[0])
	}
	if err != nil {
		return err
	}
	return explain(s.zk.Delete(ctx, c.Args[0], version), c.Args[0])
}

// removeAll lists the subtree and deletes it from the leaves up, a batch a txn.
func removeAll(ctx context.Context, s *Shell, c Call) error {
	batch, err := c.number("b", 32, deleteBatch, "-b argument must be an int value")
	if err == nil {
		err = checkPath(c.Args[0])
	}
	if err != nil {
		return err
	}
	tree := []string{c.Args[0]}
	for i := 0; i < len(tree); i++ {
		names, _, err := s.zk.Children(ctx, tree[i])
		if err != nil {
			return explain(err, tree[i])
		}
		for _, name := range names {
			tree = append(tree, join(tree[i], name))
		}
	}
	slices.Reverse(tree)
	if batch <= 0 {
		for _, path := range tree {
			if err := s.zk.Delete(ctx, path, -1); err != nil {
				return explain(err, path)
			}
		}
		return nil
	}
	for part := range slices.Chunk(tree, int(batch)) {
		txn := s.zk.Txn()
		for _, path := range part {
			txn.Delete(path, -1)
		}
		if _, err := txn.Commit(ctx); err != nil {
			return fail("Failed to delete some node(s) in the subtree!")
		}
	}
	return nil
}

func get(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	if err := checkPath(path); err != nil {
		return err
	}
	data, stat, err := s.zk.get(ctx, path, c.Has("w"))
	if err != nil {
		return explain(err, path)
	}
	shown := text(data)
	if data == nil {
		data = []byte(shown)
	}
	if c.Has("b") {
		shown = base64.StdEncoding.EncodeToString(data)
	}
	if c.Has("x") {
		shown = hexDump(data)
	}
	s.say("%s", shown)
	s.sayStat(c, &stat)
	return nil
}

func set(ctx context.Context, s *Shell, c Call) error {
	path, data := c.Args[0], []byte(c.Args[1])
	if c.Has("b") {
		var err error
		if data, err = base64.StdEncoding.DecodeString(c.Args[1]); err != nil {
			return fail("The data is not base64: %v", err)
		}
	}
	version, err := c.version()
	if err == nil {
		err = checkPath(path)
	}
	if err != nil {
		return err
	}
	stat, err := s.zk.Set(ctx, path, data, version)
	if err != nil {
		return explain(err, path)
	}
	s.sayStat(c, &stat)
	return nil
}

func stats(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	if err := checkPath(path); err != nil {
		return err
	}
	stat, ok, err := s.zk.exists(ctx, path, c.Has("w"))
	if err == nil && !ok {
		err = proto.NoNode
	}
	if err != nil {
		return explain(err, path)
	}
	s.sayStatOf(&stat)
	return nil
}

func list(ctx context.Context, s *Shell, c Call) error {
	if c.Has("?") {
		s.say("usage: ls [options] path\n%s", c.optionLines())
	}
	if len(c.Args) == 0 {
		return usageError(c.help())
	}
	path := c.Args[0]
	if err := checkPath(path); err != nil {
		return err
	}
	if c.Has("R") {
		return s.visit(ctx, path, c.Has("w"), func(path string) error {
			s.say("%s", path)
			return nil
		})
	}
	names, stat, err := s.zk.children(ctx, path, c.Has("w"))
	if err != nil {
		return explain(err, path)
	}
	slices.Sort(names)
	s.say("[%s]", strings.Join(names, ", "))
	if c.Has("s") || c.Instead != "" {
		s.sayStatOf(&stat)
	}
	return nil
}

// visit calls f with a node and then with all below it: first a node's children, then theirs. A node that goes meanwhile is
// passed over.
func (s *Shell) visit(ctx context.Context, path string, watch bool, f func(path string) error) error {
	if _, _, err := s.zk.get(ctx, path, watch); err != nil {
		return explain(err, path)
	}
	if err := f(path); err != nil {
		return err
	}
	return s.visitBelow(ctx, path, watch, f)
}

func (s *Shell) visitBelow(ctx context.Context, path string, watch bool, f func(path string) error) error {
	names, _, err := s.zk.children(ctx, path, watch)
	if errors.Is(err, proto.NoNode) {
		return nil
	}
	if err != nil {
		return explain(err, path)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := f(join(path, name)); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := s.visitBelow(ctx, join(path, name), watch, f); err != nil {
			return err
		}
	}
	return nil
}

func syncPath(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	if err := checkPath(path); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	err := s.zk.Sync(ctx, path)
	if code, known := codeOf(err); known && !errors.Is(err, context.DeadlineExceeded) {
		s.say("Sync has failed. rc=%d", code)
		return errSaid
	}
	if err != nil {
		return explain(err, path)
	}
	s.say("Sync is OK")
	return nil
}

func ephemerals(ctx context.Context, s *Shell, c Call) error {
	prefix := "/"
	if len(c.Args) > 0 {
		prefix = c.Args[0]
	}
	if err := checkPath(prefix); err != nil {
		return err
	}
	paths, err := s.zk.Ephemerals(ctx, prefix)
	if err != nil {
		return explain(err, prefix)
	}
	s.say("[%s]", strings.Join(paths, ", "))
	return nil
}

func countBelow(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	if err := checkPath(path); err != nil {
		return err
	}
	n, err := s.zk.AllChildrenNumber(ctx, path)
	if err != nil {
		return explain(err, path)
	}
	s.say("%d", n)
	return nil
}

// sayStat prints the stat if the call asks for it.
func (s *Shell) sayStat(c Call, stat *proto.Stat) {
	if c.Has("s") {
		s.sayStatOf(stat)
	}
}

func (s *Shell) sayStatOf(stat *proto.Stat) {
	var b strings.Builder
	printStat(&b, stat)
	s.say("%s", strings.TrimSuffix(b.String(), "\n"))
}
