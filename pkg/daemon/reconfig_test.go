package daemon

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/wire"
	"github.com/zabd/zabd/pkg/zab"
)

// TestReconfigAddsAndRemovesServers: a fourth server joins, the leader is removed, and everybody starts again; with
// reconfigEnabled=true in every zoo.cfg.
func TestReconfigAddsAndRemovesServers(t *testing.T) {
	e, ctx := newElastic(t, 3, 1), t.Context()
	e.start(1, 2, 3)
	leader := e.awaitLeader(1, 2, 3)
	follower := leader%3 + 1
	events := make(chan proto.WatcherEvent, 10)
	watcher := e.connect(follower, wire.Options{Timeout: time.Minute, Event: func(ev proto.WatcherEvent, _ proto.Zxid) { events <- ev }})
	if _, st, err := watcher.Get(ctx, tree.ConfigPath, true); err != nil || st.Mzxid != 1<<32 {
		t.Fatalf("at first: %+v, %v", st, err)
	}
	e.start(4)
	e.await(4, zab.Following) // it is served, and does not count
	e.stop(4)
	e.start(4) // nor does it forget that it is to be added
	e.await(4, zab.Following)
	if got := ask(t, e.running[leader], "mntr"); !strings.Contains(got, "zk_synced_non_voting_followers\t1\n") || !strings.Contains(got, "zk_quorum_size\t3\n") {
		t.Errorf("mntr of the leader: %s", got)
	}
	e.change(follower, wanted{joining: e.lines[4]}, e.list(1, 2, 3, 4), 1, 2, 3, 4)
	if ev := <-events; ev.Path != tree.ConfigPath || ev.Type != proto.EventDataChanged {
		t.Errorf("the watch says %+v", ev)
	}
	for id := ensemble.ID(1); id <= 4; id++ {
		if got := ask(t, e.running[id], "mntr"); !strings.Contains(got, "zk_quorum_size\t4\n") {
			t.Errorf("mntr of server %d: %s", id, got)
		}
		if got := ask(t, e.running[id], "conf"); !strings.Contains(got, e.lines[4]) {
			t.Errorf("conf of server %d: %s", id, got)
		}
	}
	if got := len(e.running[4].Ensemble().Members); got != 4 {
		t.Errorf("the admin commands know of %d members", got)
	}
	rest := []ensemble.ID{}
	for id := ensemble.ID(1); id <= 4; id++ {
		if id != leader {
			rest = append(rest, id)
		}
	}
	e.change(4, wanted{leaving: fmt.Sprint(leader)}, e.list(rest...), rest...)
	if next := e.awaitLeader(rest...); next == leader {
		t.Errorf("server %d still leads", leader)
	}
	if _, err := e.connect(leader, wire.Options{}).Create(ctx, "/by-one-that-was-removed", nil, 0); err != nil {
		t.Errorf("who was removed serves as long as it runs: %v", err)
	}
	for id := ensemble.ID(1); id <= 4; id++ {
		e.stop(id)
	}
	var setting *config.Error
	if _, _, err := config.Load(e.zooCfg(leader), nil, nil); !errors.As(err, &setting) || !strings.Contains(err.Error(), "a reconfiguration has removed it") {
		t.Errorf("who was removed starts again: %v", err)
	}
	e.start(rest...)
	e.awaitLeader(rest...)
	c := e.connect(rest[0], wire.Options{})
	if err := c.Sync(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	if data, _, err := c.Get(ctx, tree.ConfigPath, false); err != nil || !strings.HasPrefix(string(data), strings.Join(e.list(rest...), "\n")+"\nversion=1") {
		t.Errorf("after the start: %q, %v", data, err)
	}
	if _, err := c.Exists(ctx, "/by-one-that-was-removed", false); err != nil {
		t.Error(err)
	}
}

// TestReconfigChangesRoles: a follower observes, and votes again, and so does the leader.
func TestReconfigChangesRoles(t *testing.T) {
	e := newElastic(t, 4, 0, 4)
	e.start(1, 2, 3, 4)
	leader := e.awaitLeader(1, 2, 3)
	e.await(4, zab.Observing)
	follower := leader%3 + 1
	all := []ensemble.ID{1, 2, 3, 4}
	become := func(by, id ensemble.ID, role ensemble.Role) {
		t.Helper()
		e.lines[id] = e.line(id, role)
		e.change(by, wanted{joining: e.lines[id]}, e.list(all...), all...)
	}
	become(leader, follower, ensemble.Observer)
	e.await(follower, zab.Observing)
	become(follower, 4, ensemble.Participant)
	e.await(4, zab.Following)
	become(4, follower, ensemble.Participant)
	e.await(follower, zab.Following)
	become(follower, leader, ensemble.Observer)
	e.await(leader, zab.Observing)
	for _, id := range all {
		if _, err := e.connect(id, wire.Options{}).Create(t.Context(), fmt.Sprintf("/by-%d", id), nil, 0); err != nil {
			t.Errorf("server %d: %v", id, err)
		}
	}
}

// TestReconfigMovesPorts: one server after the other gets other ports, for the servers and for the clients. Who is connected
// stays.
func TestReconfigMovesPorts(t *testing.T) {
	e, ctx := newElastic(t, 3, 0), t.Context()
	e.start(1, 2, 3)
	leader := e.awaitLeader(1, 2, 3)
	for i := range ensemble.ID(3) { // the leader last
		id := (leader+i)%3 + 1
		old := e.running[id].ClientAddr()
		c := e.connect(id, wire.Options{Timeout: time.Minute})
		var open [3]net.Listener
		for i := range open {
			open[i] = listen(t, "127.0.0.1:0")
		}
		closeAll(open[:])
		e.lines[id] = fmt.Sprintf("server.%d=127.0.0.1:%d:%d:participant;127.0.0.1:%d", id, portOf(open[0]), portOf(open[1]), portOf(open[2]))
		e.change(id%3+1, wanted{joining: e.lines[id]}, e.list(1, 2, 3), id%3+1)
		for e.running[id].ClientAddr() != open[2].Addr().String() {
			select {
			case <-e.running[id].changed:
			case err := <-e.running[id].Failed():
				t.Fatal(err)
			}
		}
		e.awaitList(id, e.running[id].members().Text())
		if read, _, err := config.Load(e.zooCfg(id), nil, nil); err != nil {
			t.Error(err)
		} else if _, fixed := config.Reload(*e.running[id].current.Load(), read); len(fixed) > 0 {
			t.Errorf("a reload would find that %v count only after a restart", fixed)
		}
		e.awaitLeader(1, 2, 3)
		if id != leader { // whose clients lose it for a moment
			if err := c.Ping(ctx); err != nil {
				t.Errorf("who was connected to server %d: %v", id, err)
			}
		}
		if nc, err := net.Dial("tcp", old); err == nil {
			_ = nc.Close()
			t.Errorf("server %d still takes clients at %s", id, old)
		}
		if _, err := e.connect(id, wire.Options{}).Create(ctx, fmt.Sprintf("/by-%d", id), nil, 0); err != nil {
			t.Errorf("server %d at its new ports: %v", id, err)
		}
		e.stop(id) // nobody has a link to the old ports any more
		e.start(id)
		e.awaitLeader(1, 2, 3)
	}
	if got := strings.Count(e.said.String(), "zabd.socket still has the client port of the start"); got != 3 { // each was moved once, and had it open already
		t.Errorf("it is said %d times that zabd.socket has to follow", got)
	}
	if got := ask(t, e.running[1], "conf"); !strings.Contains(got, "clientPort="+e.lines[1][strings.LastIndex(e.lines[1], ":")+1:]+"\n") {
		t.Errorf("conf: %s", got)
	}
}

// TestReconfigReachesWhoWasAway: a server that was stopped meanwhile goes by the new list as soon as it is back, and one that
// was added before it was ever started.
func TestReconfigReachesWhoWasAway(t *testing.T) {
	e := newElastic(t, 3, 1, 4)
	e.start(1, 2, 3)
	leader := e.awaitLeader(1, 2, 3)
	away, other := leader%3+1, (leader+1)%3+1
	e.stop(away)
	e.change(other, wanted{joining: e.lines[4]}, e.list(1, 2, 3, 4), leader, other)
	text := e.running[leader].members().Text()
	e.start(4)
	e.awaitList(4, text)
	e.start(away)
	e.awaitList(away, text)
	for _, id := range []ensemble.ID{1, 2, 3, 4} {
		e.stop(id)
	}
	e.start(4, away, other)
	e.awaitLeader(away, other)
	e.awaitList(4, text)
	e.awaitList(away, text)
}

// TestReconfigIsRefused by the codes of ZooKeeper, and changes nothing.
func TestReconfigIsRefused(t *testing.T) {
	e, ctx := newElastic(t, 3, 2), t.Context()
	e.start(1, 2, 3)
	leader := e.awaitLeader(1, 2, 3)
	c := e.super(leader%3 + 1)
	for _, r := range []struct {
		name string
		conn *wire.Conn
		wanted
		version int64
		want    proto.Code
	}{
		{"another version", c, wanted{leaving: "1"}, 7, proto.BadVersion},
		{"no line", c, wanted{joining: "bogus"}, -1, proto.BadArguments},
		{"a quorum that is not there", c, wanted{members: strings.Join(e.list(1, 4, 5), ",")}, -1, proto.NewConfigNoQuorum},
		{"one voter alone", c, wanted{leaving: "1,2"}, -1, proto.BadArguments},
		{"by a client that may not", e.connect(leader, wire.Options{}), wanted{leaving: "1"}, 1 << 32, proto.NoAuth},
	} {
		if _, err := r.conn.Call(ctx, proto.OpReconfig, r.request(r.version), &proto.DataReply{}); !errors.Is(err, r.want) {
			t.Errorf("%s: %v, want %v", r.name, err, r.want)
		}
	}
	// Two at once: those that come in one piece are prepared together.
	raw, err := net.Dial("tcp", e.running[leader].ClientAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if codes := twoReconfigs(t, raw, wanted{leaving: "9"}.request(-1)); codes != ([2]proto.Code{proto.OK, proto.ReconfigInProgress}) {
		t.Errorf("two at once: %v", codes)
	}
	h := newHosts(t, 1, 0) // the settings of most servers
	h.start(1)
	h.await(1, zab.Leading)
	if _, _, err := reconfig(ctx, h.connect(1, wire.Options{}), wanted{leaving: "1"}); !errors.Is(err, proto.ReconfigDisabled) {
		t.Errorf("without reconfigEnabled: %v", err)
	}
	alone := startWith(t, "reconfigEnabled=true")
	if _, _, err := reconfig(ctx, dial(t, alone, wire.Options{}), wanted{leaving: "1"}); !errors.Is(err, proto.Unimplemented) {
		t.Errorf("of a server that serves alone: %v", err)
	}
}

// twoReconfigs sends two requests in one piece and returns their codes.
func twoReconfigs(t *testing.T, c net.Conn, r *proto.ReconfigRequest) (codes [2]proto.Code) {
	t.Helper()
	_ = c.SetDeadline(hangGuard())
	frame := func(b []byte) []byte { return append([]byte{0, 0, byte(len(b) >> 8), byte(len(b))}, b...) }
	hello := proto.ConnectRequest{Timeout: 60000, Password: make([]byte, 16)}
	header := func(xid int32, op proto.Op, body []byte) []byte {
		h := proto.RequestHeader{Xid: xid, Op: op}
		return frame(append(h.AppendTo(nil), body...))
	}
	login := proto.AuthRequest{Scheme: "digest", Auth: []byte("super:pw")}
	pc := &playedConn{Conn: c}
	for _, b := range [][]byte{frame(hello.AppendTo(nil)), header(proto.XidAuth, proto.OpAuth, login.AppendTo(nil))} {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := readReply(pc); err != nil {
			t.Fatal(err)
		}
	}
	body := r.AppendTo(nil)
	if _, err := c.Write(append(header(1, proto.OpReconfig, body), header(2, proto.OpReconfig, body)...)); err != nil {
		t.Fatal(err)
	}
	for i := range codes {
		b, err := readReply(pc)
		if err != nil {
			t.Fatal(err)
		}
		d := jute.NewDecoder(b)
		var h proto.ReplyHeader
		if err := h.Decode(&d); err != nil {
			t.Fatal(err)
		}
		codes[i] = h.Err
	}
	return codes
}

// TestGoldenReconfig plays what ZooKeeper 3.9.5 said to a client of the leader, of an ensemble like the recorded one. Ports of
// the kernel have as many digits as the recorded ones, so that the lists are the same byte for byte.
func TestGoldenReconfig(t *testing.T) {
	e := newElastic(t, 3, 0)
	var ports []string
	for id := ensemble.ID(1); id <= 3; id++ {
		m, _ := e.members.Member(id)
		for what, port := range []int{portOf(e.clients[id]), m.Quorum[0].Port, m.Election[0].Port} {
			ports = append(ports, strconv.Itoa(17400+10*what+int(id)-1), strconv.Itoa(port))
		}
	}
	e.start(2, 3) // not 1 and 2 first: they would be a quorum, and 2 lead
	e.await(3, zab.Leading)
	e.start(1)
	e.await(1, zab.Following)
	e.await(2, zab.Following)
	p := &player{
		t: t, addr: e.running[3].ClientAddr(), conns: map[string]*playedConn{}, sessions: map[int64]int64{}, passwords: map[int64][]byte{},
		zxids: map[int64]int64{}, resync: true, rewrite: strings.NewReplacer(ports...),
	}
	p.play("10-reconfig.jsonl")
	if p.shift != 0 {
		t.Errorf("the zxids are those recorded and %d", p.shift)
	}
	t.Logf("%d frames played", p.played)
}

// TestClientPortMoves to another address of the same port, and not to one that somebody else has.
func TestClientPortMoves(t *testing.T) {
	s := startWith(t, "")
	c := dial(t, s, wire.Options{Timeout: time.Minute})
	port := portOf(s.clientListeners()[0])
	to := *s.current.Load()
	to.ClientPort, to.ClientPortAddress = port, ""
	if err := s.moveClientPort(&to); err != nil {
		t.Fatal(err)
	}
	other, err := wire.Dial(t.Context(), fmt.Sprintf("127.0.0.2:%d", port), wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	busy := listen(t, "127.0.0.1:0")
	defer busy.Close()
	to.ClientPort, to.ClientPortAddress = portOf(busy), "127.0.0.1"
	var bind *BindError
	if err := s.moveClientPort(&to); !errors.As(err, &bind) {
		t.Errorf("to a port that is taken: %v", err)
	}
	to.ClientPort, to.ClientPortAddress = port, "192.0.2.1"
	if err := s.moveClientPort(&to); !errors.As(err, &bind) {
		t.Errorf("to an address that is another host's: %v", err)
	}
	dial(t, s, wire.Options{})
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("who was there all the time: %v", err)
	}
}
