package pipeline

import (
	"testing"
	"testing/synctest"

	"github.com/zabd/zabd/pkg/proto"
)

// TestWriterDoesNotWaitForTheCrowd: who writes to a node with many watchers is answered though none of their sockets
// takes anything yet, and so is the next; each watcher is told once, before the answer that shows him the change.
func TestWriterDoesNotWaitForTheCrowd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		writer := r.open()
		watchers := make([]*user, 3*crowd+fewWatchers/2)
		free := make(chan struct{})
		for i := range watchers {
			watchers[i] = r.open()
			watchers[i].say(frame(1, proto.OpGetData, get("/zookeeper", true)))
			watchers[i].expect(t, "a watcher", "1 ")
			if i < 3*crowd {
				watchers[i].conn.during = func() { <-free }
			}
		}
		writer.say(frame(1, proto.OpSetData, set("/zookeeper")), frame(2, proto.OpSetData, set("/zookeeper")))
		r.commit(1)
		synctest.Wait()
		writer.expect(t, "the writer, while sockets are slow", "1 ")
		r.commit(1)
		synctest.Wait()
		writer.expect(t, "the writer, once more", "2 ")
		close(free)
		synctest.Wait()
		for _, w := range watchers {
			w.say(frame(2, proto.OpGetData, get("/zookeeper", true)))
			w.expect(t, "a watcher", "event/zookeeper 2 ")
		}
	})
}

// TestFanSendsToWhoIsToldAgain: what a client is told while the crowd is being sent to reaches it as well, in order.
func TestFanSendsToWhoIsToldAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.serve()
		writer := r.open()
		watchers := make([]*user, 2*crowd)
		free := make(chan struct{})
		for i := range watchers {
			watchers[i] = r.open()
			watchers[i].say(frame(1, proto.OpAddWatch, addWatch("/", proto.ModeRecursive)))
			watchers[i].expect(t, "a watcher", "1 ")
			watchers[i].conn.during = func() { <-free }
		}
		paths := []string{"/a", "/b", "/c"}
		for i, path := range paths {
			writer.say(frame(int32(i), proto.OpCreate, create(path, 0)))
			r.commit(1)
			synctest.Wait()
		}
		close(free)
		synctest.Wait()
		for _, w := range watchers {
			w.expect(t, "a watcher of everything", "event/a event/b event/c ")
		}
		if f := &r.p.apply.fan; len(f.waiting)+f.taken+f.senders != 0 {
			t.Fatalf("%d wait, %d taken, %d senders when all is sent", len(f.waiting), f.taken, f.senders)
		}
	})
}
