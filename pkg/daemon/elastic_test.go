package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/auth"
	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/wire"
)

// elastic is an ensemble whose members change. Each server has a zoo.cfg of its own, which stays as it is: with those who
// are there from the beginning, and with itself.
type elastic struct {
	*hosts
	first   []ensemble.ID
	lines   map[ensemble.ID]string       // server.N=...
	clients map[ensemble.ID]net.Listener // until the server takes them
	said    lockedBuffer                 // the log of all
}

// newElastic has servers that are there from the beginning, and others that may join. Members of either may be observers.
func newElastic(t *testing.T, first, later int, observers ...ensemble.ID) *elastic {
	t.Helper()
	h := newHosts(t, first+later, 0)
	e := &elastic{hosts: h, lines: map[ensemble.ID]string{}, clients: map[ensemble.ID]net.Listener{}}
	for id := ensemble.ID(1); int(id) <= first+later; id++ {
		if int(id) <= first {
			e.first = append(e.first, id)
		}
		e.clients[id] = listen(t, "127.0.0.1:0")
		role := ensemble.Participant
		if slices.Contains(observers, id) {
			role = ensemble.Observer
		}
		e.lines[id] = e.line(id, role)
	}
	t.Cleanup(func() {
		for _, l := range e.clients {
			_ = l.Close()
		}
	})
	return e
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// line is a server's line with a role.
func (e *elastic) line(id ensemble.ID, role ensemble.Role) string {
	m, _ := e.members.Member(id)
	client := 0
	if l, ok := e.clients[id]; ok {
		client = portOf(l)
	} else {
		client = e.running[id].current.Load().ClientPort
	}
	return fmt.Sprintf("server.%d=%v:%d:%v;127.0.0.1:%d", id, m.Quorum[0], m.Election[0].Port, role, client)
}

// zooCfg is a server's file, which is written once.
func (e *elastic) zooCfg(id ensemble.ID) string {
	e.t.Helper()
	file := e.dirs[id] + "/zoo.cfg"
	if _, err := os.Stat(file); err == nil {
		return file
	}
	text := "dataDir=" + e.dirs[id] + "\nreconfigEnabled=true\npreAllocSize=64\ntickTime=200\ninitLimit=100\nsyncLimit=50\nminSessionTimeout=1000\n" +
		"maxSessionTimeout=60000\n4lw.commands.whitelist=*\nDigestAuthenticationProvider.superDigest=" + auth.Digest(0, "super:pw") + "\n" + e.hosts.lines
	list := slices.Clone(e.first)
	if !slices.Contains(list, id) {
		list = append(list, id)
	}
	for _, other := range list {
		text += e.lines[other] + "\n"
	}
	for name, content := range map[string]string{"zoo.cfg": text, "myid": fmt.Sprint(id)} {
		if err := os.WriteFile(filepath.Join(e.dirs[id], name), []byte(content), 0o600); err != nil {
			e.t.Fatal(err)
		}
	}
	return file
}

// start starts servers. The ports of one that has run before are opened by itself.
func (e *elastic) start(ids ...ensemble.ID) {
	e.t.Helper()
	for _, id := range ids {
		cfg, _, err := config.Load(e.zooCfg(id), nil, nil)
		if err != nil {
			e.t.Fatal(err)
		}
		o := quiet()
		o.Log = slog.New(slog.NewTextHandler(&e.said, nil))
		if ports, ok := e.ports[id]; ok {
			o.Quorum, o.Election, o.Listeners = ports[:1], ports[1:], []net.Listener{e.clients[id]}
			delete(e.ports, id)
			delete(e.clients, id)
		}
		s, err := Start(e.t.Context(), cfg, o)
		if err != nil {
			e.t.Fatalf("server %d: %v", id, err)
		}
		e.running[id] = s
	}
}

// super connects to a server as one who may do everything.
func (e *elastic) super(id ensemble.ID) *wire.Conn {
	e.t.Helper()
	c := e.connect(id, wire.Options{Timeout: time.Minute})
	if err := c.Auth(e.t.Context(), "digest", "super:pw"); err != nil {
		e.t.Fatal(err)
	}
	return c
}

// wanted is what a client asks for; "" is null.
type wanted struct{ joining, leaving, members string }

func (w wanted) request(version int64) *proto.ReconfigRequest {
	text := func(s string) proto.OptString { return proto.OptString{Text: s, Null: s == ""} }
	return &proto.ReconfigRequest{Joining: text(w.joining), Leaving: text(w.leaving), NewMembers: text(w.members), ConfigID: version}
}

// reconfig asks for a change of the members and returns the list that answers, its lines without the version.
func reconfig(ctx context.Context, c *wire.Conn, w wanted) (lines []string, stat proto.Stat, err error) {
	var r proto.DataReply
	if _, err := c.Call(ctx, proto.OpReconfig, w.request(-1), &r); err != nil {
		return nil, stat, err
	}
	lines = strings.Split(string(r.Data), "\n")
	if want := fmt.Sprintf("version=%x", int64(r.Stat.Mzxid)); lines[len(lines)-1] != want {
		return nil, stat, fmt.Errorf("the list ends with %q, want %q", lines[len(lines)-1], want)
	}
	return lines[:len(lines)-1], r.Stat, nil
}

// change is a reconfig that must succeed, by a client of a server, after which a list counts everywhere that some servers have.
func (e *elastic) change(by ensemble.ID, w wanted, want []string, servers ...ensemble.ID) {
	e.t.Helper()
	got, stat, err := reconfig(e.t.Context(), e.super(by), w)
	if err != nil || !slices.Equal(got, want) {
		e.t.Fatalf("reconfig %+v = %q, %v, want %q", w, got, err, want)
	}
	text := strings.Join(want, "\n") + fmt.Sprintf("\nversion=%x", int64(stat.Mzxid))
	for _, id := range servers {
		e.awaitList(id, text)
	}
}

// awaitList waits until a server serves, goes by a list of members, and shows it in its node and its file.
func (e *elastic) awaitList(id ensemble.ID, text string) {
	e.t.Helper()
	s := e.running[id]
	for s.members().Text() != text || !s.peer.Serving() {
		select {
		case <-s.changed:
		case err := <-s.Failed():
			e.t.Fatalf("server %d: %v", id, err)
		}
	}
	c := e.connect(id, wire.Options{})
	if err := c.Sync(e.t.Context(), "/"); err != nil {
		e.t.Fatalf("server %d: %v", id, err)
	}
	if data, st, err := c.Get(e.t.Context(), tree.ConfigPath, false); err != nil || string(data) != text || st.Version != -1 {
		e.t.Errorf("server %d shows %q, %+v, %v, want %q", id, data, st, err, text)
	}
	for guard := hangGuard(); ; { // its disk may be behind
		cfg, _, err := config.Load(e.zooCfg(id), nil, nil)
		if err == nil && cfg.Members.Text() == text && cfg.Next == nil {
			return
		}
		if time.Now().After(guard) {
			e.t.Fatalf("server %d would start again with %v, next %v, %v, want %q", id, cfg.Members, cfg.Next, err, text)
		}
	}
}

// list returns the lines of servers.
func (e *elastic) list(ids ...ensemble.ID) (lines []string) {
	for _, id := range ids {
		lines = append(lines, e.lines[id])
	}
	return lines
}
