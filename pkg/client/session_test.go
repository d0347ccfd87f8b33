package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// states returns what a channel of session events has told so far, but StateConnecting, which may be over when it begins.
func states(events <-chan SessionEvent) (out []State) {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return out
			}
			if e.State != StateConnecting {
				out = append(out, e.State)
			}
		default:
			return out
		}
	}
}

// TestServerGoesAwayInMidCall: the session is taken to the next server, the read is asked again there, what was not sent is
// sent, and the change that has no answer may have happened.
func TestServerGoesAwayInMidCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked proto.ConnectRequest
		var second []request
		hold := make(chan struct{})
		f := &fakes{t: t, scripts: []func(*peer){
			func(p *peer) {
				p.welcome(7)
				r, _ := p.next()
				p.reply(r, 5, proto.OK, &proto.DataReply{})
				p.next()
				p.next()
				<-hold
			},
			func(p *peer) { asked = p.welcome(7); second = p.serve() },
		}}
		c, ctx := f.client("a,b", Options{}), t.Context()
		events := c.Events()
		if _, _, err := c.Get(ctx, "/first"); err != nil {
			t.Fatal(err)
		}
		set, get := c.Async().Set("/set", nil, 1), c.Async().Get("/get")
		synctest.Wait()
		close(hold)
		synctest.Wait()
		_, err := set.Wait(ctx)
		var u *UncertainError
		if !errors.As(err, &u) || u.Path != "/set" || !errors.Is(err, ErrConnectionLoss) || !Uncertain(err) {
			t.Errorf("the change: %v", err)
		}
		if n, err := get.Wait(ctx); err != nil || string(n.Data) != "data" {
			t.Errorf("the read: %q, %v", n.Data, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if asked.SessionID != 7 || asked.LastZxidSeen != 5 {
			t.Errorf("the second server is asked for session %d after %v", asked.SessionID, asked.LastZxidSeen)
		}
		if len(second) != 2 || second[0].Op != proto.OpGetData || second[1].Op != proto.OpCloseSession {
			t.Errorf("the second server has got %v", second)
		}
		if f.dials[0] == f.dials[1] {
			t.Errorf("dialled %v", f.dials)
		}
		want := []State{StateConnected, StateDisconnected, StateConnected, StateClosed}
		if got := states(events); !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
	})
}

// TestOrderAcrossConnections: calls that were made before there was a connection are sent in the order in which they were
// made, and before those that come later.
func TestOrderAcrossConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []request
		f := &fakes{t: t, scripts: []func(*peer){nil, nil, func(p *peer) { p.welcome(7); got = p.serve() }}}
		c := f.client("a", Options{})
		for i := range 20 {
			c.Async().Set(fmt.Sprintf("/%02d", i), nil, -1)
		}
		if _, err := c.Set(t.Context(), "/last", nil, -1); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		synctest.Wait()
		var paths []string
		for _, r := range got[:len(got)-1] {
			d := jute.NewDecoder(r.body)
			paths = append(paths, strings.Clone(d.String()))
		}
		if !slices.IsSorted(paths) || len(paths) != 21 {
			t.Errorf("sent %v", paths)
		}
	})
}

func TestSilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings := 0
		f := &fakes{t: t, scripts: []func(*peer){
			func(p *peer) { p.welcome(7); pings = p.mute() },
			func(p *peer) { p.welcome(7); p.serve() },
		}}
		c := f.client("a,b", Options{})
		defer c.Close()
		events := c.Events()
		began := time.Now()
		for e := range events {
			if e.State == StateDisconnected {
				if !errors.Is(e.Err, errSilent) || !errors.Is(e.Err, ErrConnectionLoss) {
					t.Errorf("disconnected: %v", e.Err)
				}
				break
			}
		}
		synctest.Wait()
		if d := time.Since(began); d != 4*time.Second || pings == 0 {
			t.Errorf("left after %v and %d pings, want two thirds of the session's 6s", d, pings)
		}
		if e := <-events; e.State != StateConnected {
			t.Errorf("then %v", e)
		}
	})
}

// TestIdleSessionIsKept: an hour without a call and with a server that answers pings.
func TestIdleSessionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{t: t, scripts: []func(*peer){func(p *peer) { p.welcome(7); p.serve() }}}
		c := f.client("a", Options{})
		defer c.Close()
		<-time.After(time.Hour) // of the bubble's time
		synctest.Wait()
		if len(f.dials) != 1 || c.State() != StateConnected {
			t.Errorf("%v after dialling %v", c.State(), f.dials)
		}
	})
}

// TestBackOff: all servers at once, then a pause that doubles and is never the same. A call does not wait for longer than
// the session timeout.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{t: t}
		c := f.client("a,b,c", Options{RetryMin: time.Second, RetryMax: 4 * time.Second, Timeout: 20 * time.Second})
		defer c.Close()
		began := time.Now()
		_, _, err := c.Get(t.Context(), "/n")
		var not *NotConnectedError
		if !errors.As(err, &not) || !errors.Is(err, errUnreachable) || !errors.Is(err, ErrConnectionLoss) || Uncertain(err) {
			t.Errorf("Get = %v", err)
		}
		if d := time.Since(began); d != 20*time.Second {
			t.Errorf("it took %v", d)
		}
		synctest.Wait()
		if n := len(f.dials); n < 3*6 || n > 3*11 {
			t.Errorf("%d attempts in 20s: want rounds after 1, 2, 4, 4 ... seconds, or half of that", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Connected(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &not) {
			t.Errorf("Connected = %v", err)
		}
	})
}

func TestCallsThatAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{t: t, scripts: []func(*peer){nil, func(p *peer) {
			p.welcome(7)
			p.mute()
		}}}
		c := f.client("a", Options{RetryMin: 10 * time.Second})
		defer c.Close()
		soon := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		if _, err := c.Set(soon(), "/unsent", nil, -1); !errors.Is(err, context.DeadlineExceeded) || Uncertain(err) || !errors.Is(err, errUnreachable) {
			t.Errorf("a change that was never sent: %v", err)
		}
		if err := c.Connected(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Set(soon(), "/sent", nil, -1); !errors.Is(err, context.DeadlineExceeded) || !Uncertain(err) {
			t.Errorf("a change that was sent: %v", err)
		}
		if _, _, err := c.Get(soon(), "/read"); !errors.Is(err, context.DeadlineExceeded) || Uncertain(err) {
			t.Errorf("a read: %v", err)
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Set(done, "/n", nil, -1); !errors.Is(err, context.Canceled) || Uncertain(err) {
			t.Errorf("a context that had ended: %v", err)
		}
	})
}

func refuse(p *peer) {
	p.answer(proto.ConnectResponse{Password: make([]byte, 16), HasReadOnly: true})
}

func TestSessionExpires(t *testing.T) {
	for _, one := range []bool{false, true} {
		t.Run(fmt.Sprintf("OneSession=%v", one), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { expire(t, one) })
		})
	}
}

func expire(t *testing.T, one bool) {
	var asked proto.ConnectRequest
	leave := make(chan struct{})
	f := &fakes{t: t, scripts: []func(*peer){
		func(p *peer) {
			p.welcome(7)
			r, _ := p.next()
			p.reply(r, 5, proto.OK, &proto.DataReply{})
			r, _ = p.next()
			p.reply(r, 5, proto.OK, &jute4{})
			<-leave
		},
		nil, refuse,
		func(p *peer) { asked = p.welcome(8); p.serve() },
	}}
	c, ctx := f.client("a", Options{OneSession: one}), t.Context()
	events := c.Events()
	_, _, fired, err := c.GetW(ctx, "/w")
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.AddWatch(ctx, "/p", Recursive)
	if err != nil {
		t.Fatal(err)
	}
	over := c.SessionOver()
	close(leave)
	synctest.Wait()
	if _, err := c.Set(ctx, "/n", nil, -1); !errors.Is(err, ErrSessionExpired) || Uncertain(err) {
		t.Errorf("a call that waited: %v", err)
	}
	<-over
	if e := <-fired; e.Type != EventEnded || !errors.Is(e.Err, ErrSessionExpired) {
		t.Errorf("the one-shot watch: %+v", e)
	}
	if e, open := <-w.Events(); open || !errors.Is(w.Err(), ErrSessionExpired) {
		t.Errorf("the persistent watch: %+v, %v", e, w.Err())
	}
	_, err = c.Set(ctx, "/n", nil, -1)
	synctest.Wait()
	want := []State{StateConnected, StateDisconnected, StateExpired, StateConnected, StateClosed}
	if one {
		if !errors.Is(err, ErrSessionExpired) {
			t.Errorf("a call after the expiry: %v", err)
		}
		want = slices.Delete(want, 3, 4)
	} else if err != nil || asked.SessionID != 0 || c.SessionID() != 8 {
		t.Errorf("a call in the new session %d: %v", c.SessionID(), err)
	}
	_ = c.Close()
	if got := states(events); !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
}

// jute4 is the answer to addWatch.
type jute4 struct{}

func (jute4) AppendTo(dst []byte) []byte { return jute.AppendInt(dst, 0) }

func TestCredentialsAreGivenToEachServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var second []request
		f := &fakes{t: t, scripts: []func(*peer){
			func(p *peer) {
				p.welcome(7)
				for range 2 {
					r, _ := p.next()
					p.reply(r, 0, proto.OK, nil)
				}
			},
			func(p *peer) { p.welcome(7); second = p.serve() },
		}}
		c := f.client("a", Options{Auth: []Auth{{"digest", []byte("u:p")}}})
		if err := c.AddAuth(t.Context(), "digest", []byte("v:q")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Get(t.Context(), "/n"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		synctest.Wait()
		if len(second) != 4 || !strings.Contains(string(second[0].body), "u:p") || !strings.Contains(string(second[1].body), "v:q") {
			t.Errorf("the second server has got %v", second)
		}
	})
}

func TestCredentialThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{t: t, scripts: []func(*peer){func(p *peer) {
			p.welcome(7)
			r, _ := p.next()
			p.reply(r, 0, proto.AuthFailed, nil)
		}}}
		c := f.client("a", Options{Auth: []Auth{{"nosuch", nil}}})
		if err := c.Connected(t.Context()); !errors.Is(err, ErrAuthFailed) || !strings.Contains(err.Error(), "nosuch") {
			t.Errorf("Connected = %v", err)
		}
		if _, _, err := c.Get(t.Context(), "/"); !errors.Is(err, ErrAuthFailed) {
			t.Errorf("Get = %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatFollowsARefusedCredential goes by another connection: the server is about to end this one, and nobody could tell whether a
// write that came meanwhile was done.
func TestWhatFollowsARefusedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late int
		f := &fakes{t: t, scripts: []func(*peer){
			func(p *peer) {
				p.welcome(7)
				r, _ := p.next()
				p.reply(r, 0, proto.AuthFailed, nil)
				late = p.mute()
			},
			func(p *peer) { p.welcome(7); p.serve() },
		}}
		c := f.client("a", Options{})
		if err := c.AddAuth(t.Context(), "nosuch", nil); !errors.Is(err, ErrAuthFailed) {
			t.Errorf("AddAuth = %v", err)
		}
		if err := c.Delete(t.Context(), "/n", -1); err != nil {
			t.Errorf("Delete = %v", err)
		}
		err := c.Close()
		synctest.Wait()
		if err != nil || late != 0 {
			t.Errorf("Close = %v; %d requests came behind the credential", err, late)
		}
	})
}

// TestReadOnlyServerIsLeft for one that has a quorum; the session that it gave is worth nothing there.
func TestReadOnlyServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, last proto.ConnectRequest
		isro := func(answer string) func(*peer) {
			return func(p *peer) {
				word := make([]byte, 4)
				if _, err := p.nc.Read(word); err != nil || string(word) != "isro" {
					t.Errorf("asked %q, %v", word, err)
				}
				_, _ = p.nc.Write([]byte(answer))
			}
		}
		f := &fakes{t: t, scripts: []func(*peer){
			func(p *peer) {
				first = p.answer(proto.ConnectResponse{Timeout: 6000, SessionID: 7, Password: make([]byte, 16), ReadOnly: true, HasReadOnly: true})
				p.serve()
			},
			isro("ro"), isro("rw"),
			func(p *peer) { last = p.welcome(8); p.serve() },
		}}
		c := f.client("a,b", Options{ReadOnly: true})
		if err := c.Connected(t.Context()); err != nil || c.State() != StateReadOnly {
			t.Fatalf("%v, %v", c.State(), err)
		}
		for e := range c.Events() {
			if e.State == StateConnected {
				break
			}
		}
		_ = c.Close()
		synctest.Wait()
		if !first.ReadOnly || last.SessionID != 0 || f.dials[3] == f.dials[0] {
			t.Errorf("asked %+v, then %+v; dialled %v", first, last, f.dials)
		}
	})
}

// TestReadThatLosesEveryConnection is given up in the end.
func TestReadThatLosesEveryConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{t: t}
		for range 20 {
			f.scripts = append(f.scripts, func(p *peer) { p.welcome(7); p.next() })
		}
		c := f.client("a,b", Options{})
		_, _, err := c.Get(t.Context(), "/poison")
		var loss *LossError
		if !errors.As(err, &loss) || !errors.Is(err, ErrConnectionLoss) || Uncertain(err) {
			t.Errorf("Get = %v", err)
		}
		_ = c.Close()
		synctest.Wait()
		if n := len(f.dials); n < maxLost+1 || n > maxLost+2 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestCloseWhileConnecting does not wait for a server that does not answer.
func TestCloseWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakes{t: t, scripts: []func(*peer){func(p *peer) { p.mute() }}}
		c := f.client("a", Options{})
		get := c.Async().Get("/")
		synctest.Wait()
		began := time.Now()
		if err := c.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("Close = %v after %v", err, time.Since(began))
		}
		if _, err := get.Wait(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("the call that waited: %v", err)
		}
	})
}
