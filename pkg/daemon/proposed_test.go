package daemon

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
)

// proposedAt is the entry by which five servers were to become the members, in place of the first three.
var proposedAt = proto.MakeZxid(1, 2)

// A crash is what it has left of a change of members, and who starts after it. What is on no disk has not been promised, and what
// is in a log may have been.
type crash struct {
	saved  []ensemble.ID // have the five as the next members
	logged []ensemble.ID // have the entry in the log
	other  []ensemble.ID // have another entry in its place
	tree   []ensemble.ID // have got a tree that is as new, and no log: it does not tell which entries have made it
	active []ensemble.ID // have the five as the members, too, and had no time to forget the next ones
	first  []ensemble.ID // start, and serve if a quorum of those who count is among them
	serve  bool
	then   ensemble.ID // starts next, and all serve
	want   int         // members that count in the end
}

var crashes = map[string]crash{
	"before the entry was logged":         {saved: ids(1, 2), first: ids(1, 2), serve: true, then: 3, want: 3},
	"before another history took over":    {saved: ids(1, 2), other: ids(1, 2), first: ids(1, 2), serve: true, then: 3, want: 3},
	"when two had logged it":              {saved: ids(1, 2), logged: ids(1, 2), first: ids(1, 2), then: 4, want: 5},
	"when one had logged it":              {saved: ids(1, 2), logged: ids(2), first: ids(1, 2), then: 3, want: 5},
	"of one that had logged it, for long": {saved: ids(1), logged: ids(1), first: ids(2, 3), serve: true, then: 1, want: 3},
	"when a leader had sent its tree":     {saved: ids(1, 2), logged: ids(1, 2), tree: ids(1, 2), first: ids(1, 2), then: 4, want: 5},
	"when it was committed":               {saved: ids(1, 2), logged: ids(1, 2), active: ids(1), first: ids(1, 2), then: 4, want: 5},
	"when all had committed it":           {saved: ids(1, 2), logged: ids(1, 2), active: ids(1, 2), first: ids(1, 2), then: 4, want: 5},
}

func ids(all ...ensemble.ID) []ensemble.ID { return all }

// TestMembersThatWereProposedBeforeACrash: the next members count if their entry is in the log, together with those that did
// before, and are forgotten if it is not, or a quorum has gone on without it.
func TestMembersThatWereProposedBeforeACrash(t *testing.T) {
	for name, c := range crashes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { c.play(t) })
		})
	}
}

func (c *crash) play(t *testing.T) {
	g, zooCfgs, running := newStage(t), map[ensemble.ID]string{}, map[ensemble.ID]*Server{}
	start := func(id ensemble.ID) {
		file, disk := c.leave(g, id)
		zooCfgs[id], running[id] = file, g.startFrom(id, file, disk)
	}
	serve := func(want bool) {
		t.Helper()
		<-time.After(time.Minute)
		synctest.Wait()
		for id, s := range running {
			if s.peer.Serving() != want {
				t.Fatalf("%d servers have started; server %d serves: %v", len(running), id, !want)
			}
		}
	}
	for _, id := range c.first {
		start(id)
	}
	serve(c.serve)
	start(c.then)
	serve(true)
	list := firstOfFive(t, c.want)
	if list.Version = int64(proposedAt); c.want == 3 {
		list.Version = 2 << 32 // the first list gets its version with the epoch
	}
	for id, s := range running {
		cfg, _, err := config.Load(zooCfgs[id], nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.members().Text(); got != list.Text() || cfg.Members.Text() != got || cfg.Next != nil {
			t.Errorf("server %d goes by %q, and would start again by %q, next %v; want %q", id, got, cfg.Members.Text(), cfg.Next, list.Text())
		}
		if _, err := os.Stat(zooCfgs[id] + ".dynamic.next"); err == nil && !slices.Contains(c.active, id) { // where its version tells that it does not count
			t.Errorf("server %d keeps what was proposed", id)
		}
	}
}

// firstOfFive is a membership.
func firstOfFive(t *testing.T, n int) *ensemble.Config {
	t.Helper()
	c, err := ensemble.ParseConfig(linesOf(n))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func linesOf(n int) string {
	var text strings.Builder
	for id := 1; id <= n; id++ {
		fmt.Fprintf(&text, "server.%d=240.0.0.%d:2888:3888\n", id, id)
	}
	return text.String()
}

// leave writes the files of a server as the crash has left them.
func (c *crash) leave(g *stage, id ensemble.ID) (zooCfg string, disk vfs.FS) {
	g.t.Helper()
	zooCfg, disk = g.zooCfg(id, "reconfigEnabled=true\n"+linesOf(max(3, int(id)))), vfs.NewMem(1)
	next := firstOfFive(g.t, 5).WithVersion(int64(proposedAt))
	cfg, _, err := config.Load(zooCfg, nil, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if slices.Contains(c.active, id) {
		err = cfg.Files.Activate(next)
	}
	if slices.Contains(c.saved, id) {
		err = errors.Join(err, cfg.Files.SaveNext(next))
	}
	if err != nil {
		g.t.Fatal(err)
	}
	if id > 3 {
		return zooCfg, disk // it has never run
	}
	log := []txn.Entry{entry(proposedAt-1, txn.Body{Path: "/", Version: 1})}
	if slices.Contains(c.other, id) {
		log = append(log, entry(proposedAt, txn.Body{Path: "/", Version: 2}))
	}
	if slices.Contains(c.logged, id) {
		log = append(log, entry(proposedAt, txn.Body{Path: "/zookeeper/config", Data: []byte(next.Text()), Version: -1}))
	}
	d, _ := open(g.t, disk, cfg.DataDir)
	if err := errors.Join(d.SaveEpochs(1, 1), d.Append(log), d.Sync(), d.Close()); err != nil {
		g.t.Fatal(err)
	}
	if slices.Contains(c.tree, id) {
		d, got := open(g.t, disk, cfg.DataDir)
		if err := errors.Join(d.Restore(got.Tree), d.Close()); err != nil {
			g.t.Fatal(err)
		}
	}
	return zooCfg, disk
}

// open takes the directory of a server that does not run.
func open(t *testing.T, disk vfs.FS, dir string) (*datadir.Dir, *datadir.Recovered) {
	t.Helper()
	d, err := datadir.Open(disk, datadir.Options{DataDir: dir, Inline: true, PreAllocSize: 1 << 16, ForceSync: true})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d, rec
}

// entry is a txn that changes a node, or the members.
func entry(z proto.Zxid, b txn.Body) txn.Entry {
	x := txn.Txn{Header: txn.Header{Zxid: z, Type: proto.OpSetData}, Body: b}
	if b.Version < 0 {
		x.Header.Type = proto.OpReconfig
	}
	return x.Entry()
}
