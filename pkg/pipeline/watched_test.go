package pipeline

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/zabd/zabd/pkg/proto"
)

func addWatch(path string, mode proto.WatchMode) []byte {
	return (&proto.WatchModeRequest{Path: path, Mode: int32(mode)}).AppendTo(nil)
}

// TestWatchedListsTheDataOnce: by path and session, whatever the kinds, and without watches of children.
func TestWatchedListsTheDataOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		a, b := r.open(), r.open()
		a.say(frame(1, proto.OpExists, get("/x", true)), frame(2, proto.OpAddWatch, addWatch("/x", proto.ModeRecursive)),
			frame(3, proto.OpAddWatch, addWatch("/x", proto.ModePersistent)), frame(4, proto.OpGetChildren, get("/zookeeper", true)))
		b.say(frame(1, proto.OpAddWatch, addWatch("/", proto.ModeRecursive)), frame(2, proto.OpGetData, get("/zookeeper", true)),
			frame(3, proto.OpAddWatch, addWatch("/x", proto.ModeRecursive)))
		want := []Watched{
			{"/", b.SessionID()}, {"/x", a.SessionID()}, {"/x", b.SessionID()}, {"/zookeeper", b.SessionID()},
		}
		if got := r.p.Watched(); !slices.Equal(got, want) {
			t.Fatalf("Watched = %v, want %v", got, want)
		}
		a.Detach()
		b.Detach()
		if got := r.p.Watched(); len(got) != 0 {
			t.Fatalf("Watched = %v when nobody is left", got)
		}
	})
}

// TestPersistentWatchBehindOwnWrites: a watch asked for behind a write is not told of it, is told of all that come, and
// each time before the reply.
func TestPersistentWatchBehindOwnWrites(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		u := r.open()
		u.say(frame(1, proto.OpCreate, create("/a", 0)), frame(2, proto.OpAddWatch, addWatch("/", proto.ModeRecursive)),
			frame(3, proto.OpSetData, set("/a")), frame(4, proto.OpSetData, set("/a")), frame(5, proto.OpCreate, create("/a/b", 0)))
		r.commit(-1)
		synctest.Wait()
		u.expect(t, "a recursive watch", "1 2 event/a 3 event/a 4 event/a/b 5 ")
		u.say(frame(6, proto.OpRemoveWatches, addWatch("/", proto.WatchMode(proto.WatcherRecursive))), frame(7, proto.OpSetData, set("/a")))
		r.commit(-1)
		synctest.Wait()
		u.expect(t, "no watch", "6 7 ")
	})
}
