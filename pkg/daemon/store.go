package daemon

import (
	"fmt"
	"io"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/peer"
	"github.com/zabd/zabd/pkg/pipeline"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// store is the directories as package peer wants them.
type store struct {
	*datadir.Dir
	files   config.MemberFiles
	furnish func(*tree.Tree)
}

// Truncate implements peer.Log.
func (s store) Truncate(to proto.Zxid, rebuild bool) (peer.Left, error) {
	last, base, err := s.Dir.Truncate(to)
	if err != nil {
		return peer.Left{}, err
	}
	if !base {
		return peer.Left{}, peer.ErrNoBase
	}
	left := peer.Left{Last: last}
	if rebuild {
		rec, err := s.Reload()
		if err != nil {
			return peer.Left{}, err
		}
		s.furnish(rec.Tree)
		left.Tree = rec.Tree
	}
	return left, nil
}

// Install implements peer.Log. Nobody else has the tree yet.
func (s store) Install(received any, entries []txn.Entry, at proto.Zxid) error {
	t := received.(*tree.Tree)
	var decoded txn.Txn
	var result tree.Result
	for _, e := range entries {
		if err := decoded.Decode(e.Bytes); err != nil {
			return fmt.Errorf("daemon: install %v: %w", e.Zxid, err)
		}
		t.Apply(&decoded, &result)
	}
	t.Advance(at)
	return s.Restore(t)
}

// Find implements peer.Log.
func (s store) Find(last proto.Zxid) (peer.Found, error) {
	plan, err := s.PlanFor(last)
	return peer.Found{Usable: plan.Serves, Floor: plan.Below, Next: plan.Above}, err
}

// ReadFrom implements peer.Log.
func (s store) ReadFrom(after proto.Zxid) (peer.Entries, error) { return s.Dir.ReadFrom(after) }

// trees sends the server's tree to learners and takes those of a leader (peer.Trees).
type trees struct {
	s     *Server
	limit int // bytes of a path or data
}

// Send implements peer.Trees.
func (t trees) Send(w io.Writer, begin func(proto.Zxid) error) error {
	var nodes *snapshot.Writer
	return t.s.pipeline.Walk(func(walk *tree.Walk) (pipeline.NodeWriter, error) {
		nodes = snapshot.NewStream(w, walk.Sessions, walk.ACLs)
		return nodes, begin(walk.Zxid)
	}, func() error { return nodes.FinishStream() })
}

// Restore implements peer.Trees.
func (t trees) Restore(r io.Reader, at proto.Zxid) (any, error) {
	received := tree.Empty()
	received.Types = treeTypes(&t.s.cfg)
	if err := snapshot.ReadStream(r, received, at, t.limit); err != nil {
		return nil, err
	}
	t.s.furnish(received)
	return received, nil
}
