package prep

import (
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

const (
	one   = "server.1=h:11:21:participant;31"
	two   = "server.2=h:12:22:participant;32"
	three = "server.3=h:13:23:participant;33"
	four  = "server.4=h:14:24:participant;34"
)

// asked is what a client may send with a reconfig; "" stands for null.
type asked struct {
	joining, leaving, members string
	version                   int64
}

func (a asked) body() []byte {
	text := func(s string) proto.OptString { return proto.OptString{Text: s, Null: s == ""} }
	r := proto.ReconfigRequest{Joining: text(a.joining), Leaving: text(a.leaving), NewMembers: text(a.members), ConfigID: a.version}
	return r.AppendTo(nil)
}

// changing is what an ensemble of three knows of itself.
func changing(t *testing.T) *txn.Reconfig {
	t.Helper()
	c, err := ensemble.ParseConfig(one + "\n" + two + "\n" + three + "\nversion=7")
	if err != nil {
		t.Fatal(err)
	}
	return &txn.Reconfig{Active: c, InSync: []ensemble.ID{1, 2, 3, 4}}
}

func (b *bench) reconfig(a asked, e *txn.Reconfig) txn.Txn {
	b.last++
	r := &proto.Request{Session: session, Xid: 1, Op: proto.OpReconfig, Body: a.body(), IDs: b.ids}
	entry := b.prep.PrepareSlot(txn.Slot{Zxid: b.last, Request: r, Reconfig: e}, 1000)
	b.inFlight = append(b.inFlight, entry)
	var x txn.Txn
	if err := x.Decode(entry.Bytes); err != nil {
		b.tb.Fatal(err)
	}
	return x
}

// TestReconfigOrderOfChecks: which of several faults a client is told.
func TestReconfigOrderOfChecks(t *testing.T) {
	const id = 7
	bogus, minority := asked{joining: "bogus", version: id}, []ensemble.ID{1}
	for _, c := range []struct {
		name   string
		asked  asked
		change func(*Options, *bench, *txn.Reconfig)
		want   proto.Code
	}{
		{"disabled, and the session is gone", bogus, func(o *Options, b *bench, e *txn.Reconfig) {
			o.Reconfig.Enabled, b.prep.sessions[session] = false, sessionChange{}
		}, proto.ReconfigDisabled},
		{"the session is closing, and one is pending", bogus, func(_ *Options, b *bench, e *txn.Reconfig) {
			b.prep.sessionEnds(b.last+1, session)
			e.Pending = true
		}, proto.SessionExpired},
		{"one is pending, and the version is another", asked{joining: "bogus", version: 6}, func(_ *Options, _ *bench, e *txn.Reconfig) { e.Pending = true }, proto.ReconfigInProgress},
		{"another version, and no line", asked{joining: "bogus", version: 6}, nil, proto.BadVersion},
		{"version 0 is another", asked{leaving: "1"}, nil, proto.BadVersion},
		{"no line, and too few are in sync", bogus, func(_ *Options, _ *bench, e *txn.Reconfig) { e.InSync = minority }, proto.BadArguments},
		{"no client port", asked{joining: "server.4=h:14:24", version: id}, nil, proto.BadArguments},
		{"leaving is no number", asked{leaving: "1,x", version: id}, nil, proto.MarshallingError},
		{"an address twice", asked{joining: "server.4=h:11:24;1", version: id}, nil, proto.BadArguments},
		{"members that are none", asked{members: "server.1", version: id}, nil, proto.BadArguments},
		{"one voter is left", asked{leaving: "2,3", version: id}, func(_ *Options, _ *bench, e *txn.Reconfig) { e.InSync = minority }, proto.BadArguments},
		{"none is left", asked{leaving: "1,2,3", version: id}, func(o *Options, _ *bench, _ *txn.Reconfig) { o.Reconfig.Standalone = false }, proto.BadArguments},
		{"an id that no server has here", asked{joining: "server.256=h:14:24;1", version: id}, nil, proto.BadArguments},
		{"an id that marks TTL nodes", asked{joining: "server.255=h:14:24;1", version: id}, nil, proto.BadArguments},
		{"one port for both", asked{joining: "server.4=h:14:14;1", version: id}, nil, proto.BadArguments},
		{"several networks", asked{joining: "server.4=h:14:24|i:14:24;1", version: id}, nil, proto.BadArguments},
		{"too few in sync, and not authorised", asked{members: one + "," + two + "," + three, version: id}, func(_ *Options, b *bench, e *txn.Reconfig) { e.InSync, b.ids = minority, nil }, proto.NewConfigNoQuorum},
		{"not authorised", asked{leaving: "3", version: id}, func(_ *Options, b *bench, _ *txn.Reconfig) { b.ids = nil }, proto.NoAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Ensemble: true, Reconfig: Reconfig{Enabled: true, Standalone: true}}
			b, e := newBench(t), changing(t)
			b.ids = []proto.ID{{Scheme: "super"}}
			b.prep.opt = o
			if c.change != nil {
				c.change(&b.prep.opt, b, e)
			}
			pending := e.Pending
			if got := code(b.reconfig(c.asked, e)); got != c.want {
				t.Errorf("%+v = %v, want %v", c.asked, got, c.want)
			}
			if e.Pending != pending {
				t.Error("it counts as one that is under way")
			}
		})
	}
	b := newBench(t)
	b.prep.opt.Reconfig.Enabled = true
	if got := code(b.reconfig(bogus, nil)); got != proto.Unimplemented {
		t.Errorf("of a server that serves alone: %v", got)
	}
	b.last++
	x := b.submit(proto.OpReconfig, []byte{0, 0, 0, 9})
	if got := code(x); got != proto.MarshallingError {
		t.Errorf("a record that is none: %v", got)
	}
}

// TestReconfigChangesTheMembers: what the entry says, and what the node of the members is behind it.
func TestReconfigChangesTheMembers(t *testing.T) {
	for _, c := range []struct {
		name   string
		asked  asked
		inSync []ensemble.ID
		want   []string
	}{
		{"a server joins", asked{joining: four, version: -1}, []ensemble.ID{1, 2, 3}, []string{one, two, three, four}},
		{"a server leaves", asked{leaving: "3", version: 7}, []ensemble.ID{1, 2}, []string{one, two}},
		{"one that is unknown leaves", asked{leaving: "9", version: 7}, []ensemble.ID{1, 2}, []string{one, two, three}},
		{"one leaves and joins", asked{joining: "server.3=h:53:63:observer;33", leaving: "3", version: 7}, []ensemble.ID{1, 2}, []string{one, two, "server.3=h:53:63:observer;33"}},
		{"all of them, and not who joins", asked{joining: four, members: three + "," + one, version: 7}, []ensemble.ID{3, 1}, []string{one, three}},
		{"all of them, in lines", asked{members: three + "\n" + one, version: 7}, []ensemble.ID{3, 1}, []string{one, three}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, e := newBench(t), changing(t)
			b.prep.opt.Reconfig, b.ids, e.InSync = Reconfig{Enabled: true, Standalone: true}, []proto.ID{{Scheme: "super"}}, c.inSync
			x := b.reconfig(c.asked, e)
			want := strings.ReplaceAll(strings.Join(c.want, "\n"), ";", ";0.0.0.0:") + "\nversion=2"
			if x.Header.Type != proto.OpReconfig || x.Path != tree.ConfigPath || string(x.Data) != want || x.Version != -1 || !x.HasDigest {
				t.Fatalf("%v, %s %q version %d, digest %v, want %q", x.Header.Type, x.Path, x.Data, x.Version, x.HasDigest, want)
			}
			if !e.Pending {
				t.Error("it does not count as one that is under way")
			}
			if got := code(b.reconfig(c.asked, e)); got != proto.ReconfigInProgress {
				t.Errorf("behind it: %v", got)
			}
			b.settle() // which compares the digests
			var r tree.Result
			b.tree.Apply(&x, &r)
			if string(r.Data) != want || r.Stat.Version != -1 || r.Stat.Mzxid != 2 || len(r.Changes) != 1 || r.Changes[0].Type != proto.EventDataChanged {
				t.Errorf("the tree answers %q %+v %v", r.Data, r.Stat, r.Changes)
			}
		})
	}
}
