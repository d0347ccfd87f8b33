package daemon

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// TestManyWatchesFireAtOnce: one client's 100,000 watches, all used up by one txn, are all told before the answer to what
// it asks next.
func TestManyWatchesFireAtOnce(t *testing.T) {
	const many, inOneMulti = 100_000, 1000
	s, ctx := startServer(t, func(c *config.Config) { c.MaxSessionTimeout = time.Hour }), t.Context()
	var told atomic.Int64
	watcher := dial(t, s, wire.Options{Timeout: time.Hour, Event: func(e proto.WatcherEvent, _ proto.Zxid) {
		if e.Type == proto.EventDeleted {
			told.Add(1)
		}
	}})
	owner := dial(t, s, wire.Options{Timeout: time.Hour})
	path := func(i int) string { return fmt.Sprintf("/e%d", i) }
	for i := 0; i < many; i += inOneMulti {
		var q proto.MultiRequest
		for j := range inOneMulti {
			q.Ops = append(q.Ops, proto.MultiOp{Type: proto.OpCreate, Path: path(i + j), ACL: proto.WorldAll(), Flags: proto.FlagEphemeral})
		}
		var r proto.MultiReply
		if _, err := owner.Call(ctx, proto.OpMulti, &q, &r); err != nil || r.Results[0].Err != proto.OK {
			t.Fatalf("%v, %v", r.Results[:1], err)
		}
	}
	var last *wire.Call
	for i := range many {
		last = watcher.Go(proto.OpExists, &proto.ReadRequest{Path: path(i), Watch: true}, nil)
	}
	if _, err := watcher.Wait(ctx, last); err != nil {
		t.Fatal(err)
	}
	if n := s.pipeline.Watches().Count(); n != many {
		t.Fatalf("%d watches, want %d", n, many)
	}
	if _, err := owner.Call(ctx, proto.OpCloseSession, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := watcher.Exists(ctx, path(0), false); !errors.Is(err, proto.NoNode) {
		t.Fatal(err)
	}
	if n := told.Load(); n != many {
		t.Fatalf("%d events are told before the answer that shows the change, want %d", n, many)
	}
	if n := s.pipeline.Watches().Count(); n != 0 {
		t.Fatalf("%d watches are left", n)
	}
}

// TestRecursiveWatchIsToldWhatItsOwnerMayRead: of each node below by that node's own list.
func TestRecursiveWatchIsToldWhatItsOwnerMayRead(t *testing.T) {
	s, ctx := startServer(t, nil), t.Context()
	var told []string // ends before a later answer does
	watcher := dial(t, s, wire.Options{Event: func(e proto.WatcherEvent, _ proto.Zxid) {
		told = append(told, fmt.Sprintf("%d%s", e.Type, e.Path))
	}})
	if err := watcher.AddWatch(ctx, "/a", proto.ModeRecursive); err != nil {
		t.Fatal(err)
	}
	writer := dial(t, s, wire.Options{})
	create := func(path string, perms proto.Perm) {
		acl := []proto.ACL{{Perms: perms, ID: proto.ID{Scheme: "world", ID: "anyone"}}}
		if _, err := writer.Call(ctx, proto.OpCreate, &proto.CreateRequest{Path: path, ACL: acl}, nil); err != nil {
			t.Fatalf("create %s: %v", path, err)
		}
	}
	create("/a", proto.PermAll&^proto.PermRead)
	create("/a/open", proto.PermAll)
	create("/a/shut", proto.PermAll&^proto.PermRead)
	create("/a/shut/open", proto.PermAll)
	if err := errors.Join(writer.Delete(ctx, "/a/open", -1), watcher.Ping(ctx)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1/a/open", "1/a/shut/open", "2/a/open"}; !slices.Equal(told, want) {
		t.Fatalf("told %v, want %v", told, want)
	}
	if err := watcher.RemoveWatches(ctx, "/a", proto.WatcherRecursive); err != nil {
		t.Fatal(err)
	}
	create("/a/late", proto.PermAll)
	if err := watcher.Ping(ctx); err != nil || len(told) != 3 {
		t.Fatalf("told %v after the watch was removed: %v", told, err)
	}
}
