//go:build interop

package interop

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/zabd/zabd/pkg/client"
)

// assembleLocal makes an ensemble of Java servers that keep sessions to themselves, and have read-only mode.
func assembleLocal(t *testing.T, lines string) *ensemble {
	t.Helper()
	e := assemble(t, "java java java", 1000)
	for _, m := range e.members {
		m.kind = readOnlyJava{}
		f, err := os.OpenFile(m.cfg, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := f.WriteString("localSessionsEnabled=true\n" + lines)
		if err2 := f.Close(); err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
	}
	return e
}

// readOnlyJava answers reads without a quorum. ZooKeeper takes that from the command line only.
type readOnlyJava struct{ javaKind }

func (k readOnlyJava) command(t testing.TB, cfg string) []string {
	argv := k.javaKind.command(t, cfg)
	return slices.Insert(argv, 1, "-Dreadonlymode.enabled=true")
}

// TestOurClientReadsWithoutAQuorum, and goes over to a server that has one.
func TestOurClientReadsWithoutAQuorum(t *testing.T) {
	t.Parallel()
	e, ctx := assembleLocal(t, ""), t.Context()
	e.begin()
	if _, _, err := ourClient(t, e.addrs(), client.Options{}).Create(ctx, "/n", []byte("x"), client.ModePersistent); err != nil {
		t.Fatal(err)
	}
	e.kill(e.members[1:]...)
	c := ourClient(t, e.addrs(), client.Options{ReadOnly: true})
	if data, _, err := c.Get(ctx, "/n"); err != nil || string(data) != "x" || c.State() != client.StateReadOnly {
		t.Errorf("%v: %q, %v", c.State(), data, err)
	}
	if _, err := c.Set(ctx, "/n", nil, -1); !errors.Is(err, client.ErrNotReadOnly) {
		t.Errorf("a change: %v", err)
	}
	_, _, changed, err := c.GetW(ctx, "/n")
	if err != nil {
		t.Fatal(err)
	}
	e.start(e.members[1])
	for event := range c.Events() {
		if event.State == client.StateConnected {
			break
		}
	}
	if _, err := c.Set(ctx, "/n", nil, -1); err != nil {
		t.Errorf("a change with a quorum: %v", err)
	}
	if event := <-changed; event.Type != client.EventDataChanged {
		t.Errorf("the watch that moved along: %+v", event)
	}
}

// TestOurClientWithLocalSessions: a session that one server keeps to itself ends with that server, and the client goes on in a
// new one. Once it has made an ephemeral node it belongs to the ensemble, and goes on elsewhere.
func TestOurClientWithLocalSessions(t *testing.T) {
	t.Parallel()
	e := assembleLocal(t, "localSessionsUpgradingEnabled=true\n")
	e.begin()
	ctx, follower := t.Context(), e.members[0]
	redirect := &detour{first: follower.addr}
	local := ourClient(t, e.addrs(), client.Options{Dial: redirect.dial})
	upgraded := ourClient(t, e.addrs(), client.Options{Dial: redirect.dial})
	if _, _, err := upgraded.Create(ctx, "/mine", nil, client.ModeEphemeral); err != nil {
		t.Fatal(err)
	}
	was := [2]int64{local.SessionID(), upgraded.SessionID()}
	over := [2]<-chan struct{}{local.SessionOver(), upgraded.SessionOver()}
	redirect.end()
	e.kill(follower)
	<-over[0]
	if _, _, err := local.Get(ctx, "/mine"); err != nil || local.SessionID() == was[0] {
		t.Errorf("the local session %#x is now %#x, %v", was[0], local.SessionID(), err)
	}
	st, ok, err := upgraded.Exists(ctx, "/mine")
	if err != nil || !ok || st.EphemeralOwner != was[1] || upgraded.SessionID() != was[1] {
		t.Errorf("the upgraded session %#x is now %#x: %+v, %v, %v", was[1], upgraded.SessionID(), st, ok, err)
	}
	select {
	case <-over[1]:
		t.Error("the upgraded session is over")
	default:
	}
}

// detour has all connections go to one server, until it ends.
type detour struct {
	first string
	over  atomic.Bool
}

func (d *detour) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if !d.over.Load() {
		addr = d.first
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

func (d *detour) end() { d.over.Store(true) }
