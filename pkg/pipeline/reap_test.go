package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

func createTTL(path string, ttl int64) []byte {
	return jute.AppendLong(create(path, proto.FlagTTL), ttl)
}

// reaping gives a bubble's server a wall clock and lets it look for outlived nodes.
func reaping(t *testing.T, how Reaping, f func(t *testing.T, r *rig)) {
	bubble(t, func(t *testing.T, r *rig) {
		r.p.cfg.Reaping = how
		r.p.cfg.WallMillis = func() int64 { return time.Now().UnixMilli() }
		f(t, r)
	})
}

// asked takes what the server has asked for on its own.
func (r *rig) reaped(t *testing.T) string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var paths []string
	for _, q := range r.requests {
		var p proto.PathRequest
		d := jute.NewDecoder(q.Body)
		if q.Session != 0 || q.Xid != 0 || q.Op != proto.OpDeleteContainer || p.Decode(&d) != nil {
			t.Fatalf("asked for %+v", q)
		}
		paths = append(paths, p.Path)
	}
	return strings.Join(paths, " ")
}

// TestLeaderReaps: what has outlived its use goes, at the leader's looks, and its watchers are told.
func TestLeaderReaps(t *testing.T) {
	reaping(t, Reaping{Interval: time.Minute, PerMinute: 10_000}, func(t *testing.T, r *rig) {
		r.p.Lead()
		r.serve()
		u := r.open()
		u.say(
			frame(1, proto.OpCreateContainer, create("/c", proto.FlagContainer)),
			frame(2, proto.OpCreateContainer, create("/unused", proto.FlagContainer)),
			frame(3, proto.OpCreateTTL, createTTL("/t", 90_000)),
			frame(4, proto.OpCreate, create("/c/child", 0)),
			frame(5, proto.OpDelete, (&proto.VersionRequest{Path: "/c/child", Version: -1}).AppendTo(nil)),
		)
		r.commit(-1)
		synctest.Wait()
		u.say(frame(6, proto.OpExists, get("/c", true)), frame(7, proto.OpExists, get("/t", true)))
		u.expect(t, "made", "1 2 3 4 5 6 7 ")

		<-time.After(59 * time.Second) // of the bubble
		if got := r.reaped(t); got != "" {
			t.Fatalf("before the first look: %s", got)
		}
		<-time.After(2 * time.Second) // of the bubble
		if got := r.reaped(t); got != "/c" {
			t.Fatalf("at the first look: %s, want /c", got)
		}
		r.commit(-1)
		synctest.Wait()
		u.expect(t, "the container is gone", "event/c ")
		<-time.After(time.Minute) // of the bubble
		if got := r.reaped(t); got != "/t" {
			t.Fatalf("at the second look: %s, want /t", got)
		}
		u.say(frame(8, proto.OpSetData, set("/t"))) // too late: it stands behind
		r.commit(-1)
		synctest.Wait()
		u.expect(t, "the TTL node is gone", "event/t 8!-101 ")
		if made, gone := r.p.Stats.TTLMade.Load(), r.p.Stats.TTLGone.Load(); made != 1 || gone != 1 {
			t.Errorf("%d TTL nodes made, %d gone", made, gone)
		}
	})
}

// TestReapingIsRefused where somebody was faster: a child, or a new use of the path.
func TestReapingIsRefused(t *testing.T) {
	reaping(t, Reaping{Interval: time.Second, PerMinute: 10_000}, func(t *testing.T, r *rig) {
		r.p.Lead()
		r.serve()
		u := r.open()
		u.say(frame(1, proto.OpCreateTTL, createTTL("/t", 500)))
		r.commit(-1)
		synctest.Wait()
		u.say(frame(2, proto.OpCreate, create("/t/child", 0)))
		<-time.After(1100 * time.Millisecond) // of the bubble
		r.commit(-1)
		synctest.Wait()
		u.say(frame(3, proto.OpExists, get("/t", false)))
		u.expect(t, "in use again", "1 2 3 ")
	})
}

// TestOnlyTheLeaderReaps, and only while it leads.
func TestOnlyTheLeaderReaps(t *testing.T) {
	reaping(t, Reaping{Interval: time.Second, PerMinute: 10_000, NeverUsed: time.Second}, func(t *testing.T, r *rig) {
		r.p.Lead()
		r.serve()
		u := r.open()
		u.say(frame(1, proto.OpCreateContainer, create("/c", 0)))
		r.commit(-1)
		synctest.Wait()
		r.p.Unserve()
		r.serve()                 // as a follower
		<-time.After(time.Minute) // of the bubble
		if got := r.reaped(t); got != "" {
			t.Fatalf("a follower asks for the removal of %s", got)
		}
		r.p.Unserve()
		r.p.Lead()
		r.serve()
		<-time.After(3 * time.Second) // of the bubble
		if got := r.reaped(t); !strings.HasPrefix(got, "/c") {
			t.Fatalf("a leader again, it asks for the removal of %q", got)
		}
	})
}

// TestReapingPace removes no more than its share of a minute, one after the other.
func TestReapingPace(t *testing.T) {
	for _, c := range []struct {
		perMinute, inTenSeconds int
	}{{30, 5}, {60, 10}, {600, 100}, {45_000, 200}, {100_000, 200}} {
		reaping(t, Reaping{Interval: time.Minute, PerMinute: c.perMinute, NeverUsed: time.Millisecond}, func(t *testing.T, r *rig) {
			r.p.Lead()
			r.serve()
			u := r.open()
			for i := range int32(200) {
				u.say(frame(i+1, proto.OpCreateContainer, create(fmt.Sprintf("/c%d", i), 0)))
			}
			r.commit(-1)
			synctest.Wait()
			<-time.After(time.Minute - time.Millisecond) // of the bubble
			r.commit(-1)
			<-time.After(10 * time.Second) // of the bubble
			if got := len(strings.Fields(r.reaped(t))); got != c.inTenSeconds {
				t.Errorf("at %d a minute %d go in ten seconds, want %d", c.perMinute, got, c.inTenSeconds)
			}
			r.commitAtOnce()
			r.commit(-1)
			<-time.After(10 * time.Minute) // of the bubble
			r.p.View(func(tr *tree.Tree) {
				if n := tr.TransientCount(); n > 0 {
					t.Errorf("at %d a minute %d are left in the end", c.perMinute, n)
				}
			})
		})
	}
}
