package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/peer"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"

	"github.com/zabd/zabd/pkg/config"
)

// member reads a zoo.cfg with these lines, of the first of three servers, and tells its quorum and election port.
func member(t *testing.T, lines string) (cfg config.Config, ports [2]int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "myid"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "dataDir=" + dir + "\ninitLimit=100\nsyncLimit=50\n"
	var open []net.Listener // all at one time, so that no port is given twice
	for id := 1; id <= 3; id++ {
		q, e := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
		p := [2]int{q.Addr().(*net.TCPAddr).Port, e.Addr().(*net.TCPAddr).Port}
		open = append(open, q, e)
		if id == 1 {
			ports = p
		}
		text += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", id, p[0], p[1])
	}
	closeAll(open)
	return settings(t, text+lines), ports
}

// TestSettingsOfAMember: what a setting says arrives where it counts. What comes of it there is shown in packages zab and
// peer.
func TestSettingsOfAMember(t *testing.T) {
	const sec, ms = time.Second, time.Millisecond
	type outcome struct {
		init, sync, minNote, maxNote, epoch, redial, pause time.Duration // zab.Start
		snaps, diffs                                       int
		first, hello, connect, cnx, inTurn                 time.Duration // peer.Network
		followerDelay, leaderDelay                         bool
	}
	usual := outcome{
		init: 300 * sec, sync: 150 * sec, minNote: 200 * ms, maxNote: 60 * sec, snaps: 10, diffs: 100,
		first: 300 * sec, hello: 150 * sec, connect: 300 * sec, cnx: 5 * sec,
	}
	open := []net.Listener{listen(t, "127.0.0.1:0")}
	defer closeAll(open)
	for lines, change := range map[string]func(*outcome){
		"":            func(*outcome) {},
		"initLimit=2": func(o *outcome) { o.init, o.first, o.connect = 6*sec, 6*sec, 6*sec },
		"syncLimit=2": func(o *outcome) { o.sync, o.hello = 6*sec, 6*sec },
		"connectToLearnerMasterLimit=1\nquorumCnxnTimeoutMs=7\ncnxTimeout=8":                     func(o *outcome) { o.connect, o.hello, o.cnx = 3*sec, 7*ms, 8*ms },
		"fastleader.minNotificationInterval=5\nfastleader.maxNotificationInterval=6":             func(o *outcome) { o.minNote, o.maxNote = 5*ms, 6*ms },
		"leader.maxTimeToWaitForEpoch=5\nleaderConnectDelayDuringRetryMs=6":                      func(o *outcome) { o.epoch, o.redial = 5*ms, 6*ms },
		"observer.election.DelayMs=5\nobserver.reconnectDelayMs=6":                               func(o *outcome) { o.pause = 11 * ms },
		"leader.maxConcurrentSnapSyncs=3\nleader.maxConcurrentDiffSyncs=4":                       func(o *outcome) { o.snaps, o.diffs = 3, 4 },
		"multiAddress.reachabilityCheckEnabled=false\nmultiAddress.reachabilityCheckTimeoutMs=9": func(o *outcome) { o.inTurn = 9 * ms },
		"follower.nodelay=false": func(o *outcome) { o.followerDelay = true },
		"leader.nodelay=false":   func(o *outcome) { o.leaderDelay = true },
	} {
		cfg, _ := member(t, lines)
		s := &Server{cfg: cfg, log: quiet().Log}
		z := s.startOf(&datadir.Recovered{})
		n, err := s.network(t.Context(), &Options{Quorum: open, Election: open})
		if err != nil {
			t.Fatal(err)
		}
		got := outcome{
			z.InitLimit, z.SyncLimit, z.MinNotification, z.MaxNotification, z.EpochLimit, z.Redial, z.ObserverPause, z.MaxSnaps, z.MaxDiffs,
			n.FirstPacket, n.HelloTimeout, n.ConnectTimeout, n.CnxTimeout, n.InTurn, n.FollowerDelay, n.LeaderDelay,
		}
		want := usual
		change(&want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n%+v, want\n%+v", lines, got, want)
		}
	}
}

// TestKeepAliveBetweenServers asks the kernel.
func TestKeepAliveBetweenServers(t *testing.T) {
	for lines, want := range map[string]bool{"tcpKeepAlive=false": false, "tcpKeepAlive=true": true} {
		cfg, ports := member(t, lines)
		s := &Server{cfg: cfg, log: quiet().Log}
		n, err := s.network(t.Context(), &Options{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := n.Dial(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
		if err != nil {
			t.Fatal(err)
		}
		in, err := n.Quorum[0].Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []net.Conn{in, out} {
			if got := hasTimer(t, c.LocalAddr(), c.RemoteAddr()); got != want {
				t.Errorf("%s: %v has keep-alive %v", lines, c.LocalAddr(), got)
			}
		}
		for _, c := range []interface{ Close() error }{in, out, n.Quorum[0], n.Election[0]} {
			_ = c.Close()
		}
	}
}

// TestWaysToSynchronise: by which way a server comes back that has missed more than 500 txns.
func TestWaysToSynchronise(t *testing.T) {
	for _, c := range []struct {
		lines string
		way   func(zab.Stats) int
	}{
		{"commitLogCount=2000", func(s zab.Stats) int { return s.Diffs - s.DiffFromLog }},
		{"commitLogCount=500\nsnapshotSizeFactor=0", func(s zab.Stats) int { return s.DiffFromLog }},
		{"snapshotSizeFactor=-1", func(s zab.Stats) int { return s.Snaps }},
		{"commitLogCount=2000\nforceSnapshotSync=true", func(s zab.Stats) int { return s.Snaps }},
	} {
		t.Run(c.lines, func(t *testing.T) {
			h := newHosts(t, 3, 0)
			h.lines = c.lines
			h.start(1, 2, 3)
			leader := h.awaitLeader(1, 2, 3)
			away := leader%3 + 1
			conn := h.connect(leader, wire.Options{Timeout: time.Minute})
			if _, err := conn.Create(t.Context(), "/n", nil, 0); err != nil {
				t.Fatal(err)
			}
			h.stop(away)
			var last *wire.Call
			for range 600 {
				last = conn.Go(proto.OpSetData, &proto.SetDataRequest{Path: "/n", Version: -1}, nil)
			}
			if _, err := conn.Wait(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			before, _ := h.running[leader].peer.Status()
			h.start(away)
			h.await(away, zab.Following)
			after, _ := h.running[leader].peer.Status()
			if c.way(after.Stats) != c.way(before.Stats)+1 {
				t.Errorf("%+v, before %+v", after.Stats, before.Stats)
			}
		})
	}
}

// TestObserverWaits: an observer whose leader has gone is not there again before the time.
func TestObserverWaits(t *testing.T) {
	h := newHosts(t, 3, 1)
	h.lines = "observer.election.DelayMs=100\nobserver.reconnectDelayMs=200"
	h.start(1, 2, 3, 4)
	leader := h.awaitLeader(1, 2, 3)
	h.await(4, zab.Observing)
	var rest []ensemble.ID
	for id := ensemble.ID(1); id <= 3; id++ {
		if id != leader {
			rest = append(rest, id)
		}
	}
	begun := time.Now()
	h.stop(leader)
	h.awaitLeader(rest...)
	observer := h.running[4]
	for st := (peer.Status{}); !st.Serving || st.Epoch < 2; st, _ = observer.peer.Status() {
		select {
		case <-observer.changed:
		case err := <-observer.Failed():
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("it serves again after %v", took)
	}
}

// TestObserverWithoutALog: it writes snapshots only, and after a restart the leader tells it the rest.
func TestObserverWithoutALog(t *testing.T) {
	for lines, logs := range map[string]bool{"observer.syncEnabled=true": true, "observer.syncEnabled=false": false} {
		h := newHosts(t, 3, 1)
		h.lines = lines + "\nsnapCount=20"
		h.start(1, 2, 3, 4)
		leader := h.awaitLeader(1, 2, 3)
		h.await(4, zab.Observing)
		write := func() {
			c := h.connect(leader, wire.Options{Timeout: time.Minute})
			if _, err := c.Create(t.Context(), "/n", nil, 0); err != nil && !errors.Is(err, proto.NodeExists) {
				t.Fatal(err)
			}
			for range 100 {
				if _, err := c.Set(t.Context(), "/n", nil, -1); err != nil {
					t.Fatal(err)
				}
			}
		}
		read := func(want int32) {
			t.Helper()
			c := h.connect(4, wire.Options{})
			if err := c.Sync(t.Context(), "/"); err != nil {
				t.Fatal(err)
			}
			if _, st, err := c.Get(t.Context(), "/n", false); err != nil || st.Version != want {
				t.Errorf("%s: version %d, %v, want %d", lines, st.Version, err, want)
			}
		}
		write()
		read(100)
		h.stop(4)
		if got := files(t, h.dirs[4], "log.*"); len(got) > 0 != logs {
			t.Errorf("%s: logs %v", lines, got)
		}
		if got := files(t, h.dirs[4], "snapshot.*"); len(got) < 2 {
			t.Errorf("%s: snapshots %v", lines, got)
		}
		write()
		h.start(4)
		h.await(4, zab.Observing)
		read(200)
	}
}

func TestLeaderWithoutClients(t *testing.T) {
	h := newHosts(t, 3, 0)
	h.lines = "leaderServes=no"
	h.start(1, 2, 3)
	leader := h.awaitLeader(1, 2, 3)
	if c, err := wire.Dial(t.Context(), h.running[leader].ClientAddr(), wire.Options{}); err == nil {
		c.Close()
		t.Error("the leader serves a client")
	}
	c := h.connect(leader%3+1, wire.Options{})
	if _, err := c.Create(t.Context(), "/n", nil, 0); err != nil {
		t.Errorf("a follower's client: %v", err)
	}
}
