package shell

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// watchCommands leave watches and take them away.
func watchCommands() []*Command {
	return []*Command{
		{
			Name: "addWatch", Short: "Leave a watch that stays when it has fired", Session: true, least: 2, most: 2, run: addWatch,
			Usage:   "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
			Options: []Option{{"m", "mode", "MODE", "what it tells of"}},
		},
		{
			Name: "removewatches", Usage: "path [-c|-d|-a] [-l]", Short: "Take watches away", Session: true, least: 2, run: removeWatches,
			Options: []Option{
				{"c", "children", "", "child watcher type"},
				{"d", "data", "", "data watcher type"},
				{"p", "persistent", "", "persistent watcher type"},
				{"r", "recursive", "", "persistent recursive watcher type"},
				{"a", "any", "", "any watcher type"},
				{"l", "local", "", "remove locally when there is no server connection"},
			},
		},
		{Name: "printwatches", Usage: "on|off", Short: "Print events, or say whether they are printed", Session: true, verbatim: true, local: true, run: printWatches},
	}
}

func addWatch(ctx context.Context, s *Shell, c Call) error {
	m := client.Recursive
	switch strings.ToUpper(cmp.Or(c.values["m"], "PERSISTENT_RECURSIVE")) {
	case "PERSISTENT":
		m = client.Persistent
	case "PERSISTENT_RECURSIVE":
	default:
		return usageError(c.help())
	}
	path := c.Args[0]
	if err := checkPath(path); err != nil {
		return err
	}
	return explain(s.zk.addWatch(ctx, path, m), path)
}

// watcherTypes are the options that say which watches removewatches is about; the first that is given counts.
var watcherTypes = []struct {
	option string
	types  proto.WatcherType
}{
	{"c", proto.WatcherChildren}, {"d", proto.WatcherData}, {"p", proto.WatcherPersistent}, {"r", proto.WatcherRecursive},
}

func removeWatches(ctx context.Context, s *Shell, c Call) error {
	path, kind := c.Args[0], proto.WatcherAny
	for _, t := range watcherTypes {
		if c.Has(t.option) {
			kind = t.types
			break
		}
	}
	if err := checkPath(path); err != nil {
		return err
	}
	return explain(s.zk.removeWatches(ctx, path, kind, c.Has("l")), path)
}

func printWatches(_ context.Context, s *Shell, c Call) error {
	s.news.Lock()
	if len(c.Args) > 0 {
		s.news.silent = c.Args[0] != "on"
	}
	silent := s.news.silent
	s.news.Unlock()
	if len(c.Args) == 0 {
		s.say("printwatches is %s", map[bool]string{false: "on", true: "off"}[silent])
	}
	return nil
}

// An event is what a watch, or the session, tells.
type event struct {
	state, kind, path string
	zxid              proto.Zxid
}

func (e event) String() string {
	return fmt.Sprintf("WatchedEvent state:%s type:%s path:%s zxid: %d", e.state, e.kind, e.path, int64(e.zxid))
}

// kindNames are ZooKeeper's names of what happens to nodes.
var kindNames = map[client.EventType]string{
	client.EventCreated: "NodeCreated", client.EventDeleted: "NodeDeleted", client.EventDataChanged: "NodeDataChanged",
	client.EventChildrenChanged: "NodeChildrenChanged",
}

// stateNames are ZooKeeper's names of what happens to a session.
var stateNames = map[client.State]string{
	client.StateConnected: "SyncConnected", client.StateReadOnly: "ConnectedReadOnly", client.StateDisconnected: "Disconnected",
	client.StateExpired: "Expired", client.StateAuthFailed: "AuthFailed", client.StateClosed: "Closed",
}

// promptStates are ZooKeeper's names of how a client stands.
var promptStates = map[client.State]string{
	client.StateConnecting: "CONNECTING", client.StateConnected: "CONNECTED", client.StateReadOnly: "CONNECTEDREADONLY",
	client.StateDisconnected: "CONNECTING", client.StateExpired: "CLOSED", client.StateAuthFailed: "AUTH_FAILED", client.StateClosed: "CLOSED",
}
