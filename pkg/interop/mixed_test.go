//go:build interop

package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// TestMixedEnsemble lets ensembles of both kinds of server live through what happens to ensembles, while clients write
// through every member. Server 2 leads at first. Server 1, and an observer if there is one, is always of the other kind
// than that leader, so that each kind brings the other up to date in each way; server 3 then leads server 2.
func TestMixedEnsemble(t *testing.T) {
	for _, mix := range []struct {
		kinds     string
		snapCount int // 300: a long absence ends with a snapshot; 100000: with txns from the log
	}{
		{"java zabd zabd", 300},
		{"java zabd java java:observer", 100000},
		{"zabd java zabd", 100000},
		{"zabd java java zabd:observer", 300},
	} {
		t.Run(mix.kinds, func(t *testing.T) {
			t.Parallel()
			e := assemble(t, mix.kinds, mix.snapCount)
			var c *crowd
			for _, chapter := range []struct {
				name string
				play func()
			}{
				{"start", e.begin},
				{"sessions move", e.sessionsMove},
				{"sessions expire", e.sessionExpires},
				{"guests come", func() { c = gather(e) }},
				{"a few txns missed", func() { c.missesLittle() }},
				{"a disk lost", func() { c.losesItsDisk() }},
				{"many txns missed", func() { c.missesMuch() }},
				{"the leader writes alone", func() { c.leaderWritesAlone() }},
				{"the leader dies", func() { c.leaderDies() }},
				{"guests leave", func() { c.leave() }},
			} {
				began := time.Now()
				chapter.play()
				t.Logf("%s: %v", chapter.name, time.Since(began).Round(time.Millisecond))
			}
		})
	}
}

// pupils are server 1 and the observer.
func (e *ensemble) pupils() []*member { return append([]*member{e.members[0]}, e.members[3:]...) }

// missesLittle takes the pupils away for a few txns: they get a DIFF.
func (c *crowd) missesLittle() {
	c.e.t.Helper()
	c.work()
	c.busy()
	c.rest() // so that it stays a few
	c.e.kill(c.e.pupils()...)
	c.e.furnish(c.e.leader(), map[string]string{"/few": "txns"})
	c.e.synchronised("diff_count", func() { c.e.start(c.e.pupils()...) })
	c.agree()
}

// losesItsDisk empties the pupils' data under load: they get a SNAP.
func (c *crowd) losesItsDisk() {
	c.e.t.Helper()
	c.work()
	c.e.kill(c.e.pupils()...)
	for _, m := range c.e.pupils() {
		if err := os.RemoveAll(filepath.Join(m.data, "version-2")); err != nil {
			c.e.t.Fatal(err)
		}
	}
	c.busy()
	c.e.synchronised("snap_count", func() { c.e.start(c.e.pupils()...) })
	c.busy()
	c.agree()
}

// missesMuch takes the pupils away for more txns than a leader remembers: they get them from its log, or a SNAP.
func (c *crowd) missesMuch() {
	const more = 600 // than commitLogCount, which is 500
	c.e.t.Helper()
	c.work()
	c.e.kill(c.e.pupils()...)
	leader := c.e.leader()
	until := leader.zxid() + more
	c.e.await(fmt.Sprintf("%d more txns", more), func() bool { return leader.zxid() > until })
	c.e.start(c.e.pupils()...)
	c.busy()
	c.agree()
}

// synchronised fails unless the leader brings each pupil up to date in the way that the metric counts. It may take more
// than one: a learner of Java's 3.8.0 begins again when it is told, between NEWLEADER and UPTODATE, to commit what it was
// told before.
func (e *ensemble) synchronised(metric string, rejoin func()) {
	e.t.Helper()
	leader := e.leader()
	before := leader.metric(metric)
	rejoin()
	if after := leader.metric(metric); before < 0 || after < before+len(e.pupils()) {
		e.fatalf("%s of leader %d went from %d to %d, want at least %d more", metric, leader.id, before, after, len(e.pupils()))
	}
}

// leaderWritesAlone leaves the leader with requests that no follower sees. The others go on without it; when it comes
// back it gets a TRUNC.
func (c *crowd) leaderWritesAlone() {
	c.e.t.Helper()
	e := c.e
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	old := e.leader()
	var others []*member
	for _, m := range e.members {
		if m != old && !m.observer {
			others = append(others, m)
		}
	}
	// A session that expired would be a txn of the new epoch, and the old leader then get a SNAP.
	conn, err := wire.Dial(ctx, old.addr, wire.Options{Timeout: longSession})
	if err != nil {
		e.fatalf("%v", err)
	}
	defer conn.Close()
	for _, m := range others {
		e.freeze(m)
	}
	const forked = "written by the leader alone"
	for i := range 5 {
		conn.Go(proto.OpCreate, create("/forked"+strconv.Itoa(i), forked, 0).body, nil)
	}
	e.await("the leader has logged what it cannot commit", func() bool { return old.logged("/forked4") })
	// The frozen ones have not read the proposals, and never will.
	e.kill(append(others, old)...)
	e.start(others...)
	leader := e.leader()
	snaps := leader.metric("snap_count")
	e.start(old)
	if n := leader.metric("snap_count"); n != snaps {
		e.fatalf("server %d got a SNAP, not a TRUNC: snap_count %d, was %d", old.id, n, snaps)
	}
	if old.logged("/forked0") {
		e.fatalf("the log of server %d still holds what it wrote alone", old.id)
	}
	again, err := wire.Dial(ctx, old.addr, wire.Options{SessionID: conn.SessionID, Password: conn.Password})
	if err != nil {
		e.fatalf("attach to server %d: %v", old.id, err)
	}
	defer again.Close()
	if _, err := again.Exists(ctx, "/forked0", false); !errors.Is(err, proto.NoNode) {
		e.fatalf("exists /forked0 on server %d: %v, want %v", old.id, err, proto.NoNode)
	}
	if err := again.CloseSession(ctx); err != nil {
		e.fatalf("%v", err)
	}
	c.agree()
}

// freeze stops a member without ending it. The harness no longer asks it anything.
func (e *ensemble) freeze(m *member) {
	e.t.Helper()
	m.serving.Store(false)
	m.up = false
	pid := m.proc.cmd.Process.Pid
	if err := syscall.Kill(-pid, syscall.SIGSTOP); err != nil {
		e.t.Fatal(err)
	}
	e.await(fmt.Sprintf("every thread of server %d stands still", m.id), func() bool {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, task := range tasks {
			b, readErr := os.ReadFile(task)
			err = errors.Join(err, readErr)
			if _, state, _ := bytes.Cut(b, []byte(") ")); !bytes.HasPrefix(state, []byte("T")) {
				return false
			}
		}
		return err == nil && len(tasks) > 0
	})
}

// logged is whether the text is in the member's log.
func (m *member) logged(text string) bool {
	logs, err := filepath.Glob(filepath.Join(m.data, "version-2", "log.*"))
	if err != nil {
		return false
	}
	for _, name := range logs {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}

// leaderDies kills the leader under load, and brings it back under load.
func (c *crowd) leaderDies() {
	c.e.t.Helper()
	c.work()
	c.busy()
	old := c.e.leader()
	c.e.kill(old)
	c.busy()
	c.e.start(old)
	c.busy()
}

// sessionsMove takes a session from member to member. Wherever it is, its ephemeral is its own; what the server before
// still sends for it is refused.
func (e *ensemble) sessionsMove() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	const mine = "/moving"
	here, err := wire.Dial(ctx, e.members[0].addr, wire.Options{})
	if err != nil {
		e.fatalf("%v", err)
	}
	if _, err := here.Create(ctx, mine, nil, proto.FlagEphemeral); err != nil {
		e.fatalf("create %s: %v", mine, err)
	}
	attach := wire.Options{SessionID: here.SessionID, Password: here.Password}
	moves := append(e.members[1:], e.members...)
	for i, m := range moves {
		// A member that lags behind what the session has seen does not take it.
		stat, err := here.Exists(ctx, mine, false)
		if err != nil {
			e.fatalf("%v", err)
		}
		attach.LastZxid = max(stat.Czxid, stat.Mzxid)
		var there *wire.Conn
		e.await(fmt.Sprintf("server %d takes the session", m.id), func() bool {
			there, err = wire.Dial(ctx, m.addr, attach)
			return err == nil
		})
		stat, err = there.Set(ctx, mine, []byte(strconv.Itoa(i)), int32(i))
		if err != nil || there.SessionID != here.SessionID || stat.EphemeralOwner != here.SessionID {
			e.fatalf("set on server %d: %+v, %v, want session and owner %#x", m.id, stat, err, here.SessionID)
		}
		if _, err := here.Set(ctx, mine, []byte("late"), -1); err == nil {
			e.fatalf("the session has moved to server %d, and the server before still writes for it", m.id)
		}
		here.Close()
		here = there
	}
	e.refuses(attach.SessionID, make([]byte, proto.PasswordSize), e.members[0])
	data, _, err := here.Get(ctx, mine, false)
	if err != nil || string(data) != strconv.Itoa(len(moves)-1) {
		e.fatalf("get %s: %q, %v", mine, data, err)
	}
	if err := here.CloseSession(ctx); err != nil {
		e.fatalf("%v", err)
	}
	here.Close()
	for _, m := range e.members {
		if n, there := e.tree(m)[mine]; there {
			e.fatalf("server %d holds %s of a closed session: %+v", m.id, mine, n)
		}
		e.refuses(attach.SessionID, attach.Password, m)
	}
}

func (e *ensemble) refuses(session int64, password []byte, m *member) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	_, err := wire.Dial(ctx, m.addr, wire.Options{SessionID: session, Password: password})
	if !errors.Is(err, wire.ErrRefused) {
		e.fatalf("server %d takes session %#x with a wrong password, or although it was closed: %v", m.id, session, err)
	}
}

// sessionExpires leaves sessions on every member without a word. Their ephemerals go from all members.
func (e *ensemble) sessionExpires() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	var owned []string
	for _, m := range e.members {
		conn, err := wire.Dial(ctx, m.addr, wire.Options{Timeout: time.Second})
		if err != nil {
			e.fatalf("%v", err)
		}
		path, err := conn.Create(ctx, fmt.Sprintf("/left%d", m.id), nil, proto.FlagEphemeral)
		if err != nil {
			e.fatalf("%v", err)
		}
		conn.Close()
		owned = append(owned, path)
	}
	for _, m := range e.members {
		conn, err := wire.Dial(ctx, m.addr, wire.Options{})
		if err != nil {
			e.fatalf("%v", err)
		}
		defer conn.Close()
		for _, path := range owned {
			e.await(fmt.Sprintf("%s goes from server %d with its session", path, m.id), func() bool {
				_, err := conn.Exists(ctx, path, false)
				return errors.Is(err, proto.NoNode)
			})
		}
		if err := conn.CloseSession(ctx); err != nil {
			e.fatalf("%v", err)
		}
	}
}
