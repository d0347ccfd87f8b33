//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// goZKMain is go-zookeeper/zk's client program: ADDRESS SCENARIO ROOT, as the clients in testdata.
func goZKMain(args []string) int {
	scenario := goZKScenarios[args[1]]
	if scenario == nil {
		fmt.Println("no scenario", args[1])
		return 2
	}
	if err := scenario(args[0], args[2]); err != nil {
		fmt.Println(args[1]+":", err)
		return 1
	}
	fmt.Println("ok")
	return 0
}

var goZKScenarios = map[string]func(addr, root string) error{
	"modes": goZKModes, "sequence": goZKSequence, "stat": goZKStat, "watches": goZKWatches, "multi": goZKMulti,
	"acl": goZKACL, "size": goZKSize, "hold": goZKHold, "survive": goZKSurvive,
}

var world = zk.WorldACL(zk.PermAll)

// goZK is a connection with the session's events. The library drops events that nobody takes, so they are taken here.
type goZK struct {
	*zk.Conn
	sessions chan struct{} // a value for every time that the session is attached
}

// dialGoZK takes one address or several with commas between.
func dialGoZK(addr string, timeout time.Duration) (*goZK, error) {
	c, events, err := zk.Connect(strings.Split(addr, ","), timeout, zk.WithLogInfo(false), zk.WithLogger(quiet{}))
	if err != nil {
		return nil, err
	}
	g := &goZK{Conn: c, sessions: make(chan struct{}, 16)}
	go func() {
		for e := range events {
			if e.State == zk.StateHasSession {
				g.sessions <- struct{}{}
			}
		}
	}()
	return g, g.attached()
}

func (g *goZK) attached() error {
	select {
	case <-g.sessions:
		return nil
	case <-time.After(patience):
		return errors.New("no session")
	}
}

// getOnceMoved reads a node after a server was killed. The one that the client has found may have lost its leader, and hang
// up as well.
func (g *goZK) getOnceMoved(path string) ([]byte, *zk.Stat, error) {
	for {
		if err := g.attached(); err != nil {
			return nil, nil, err
		}
		if data, stat, err := g.Get(path); !errors.Is(err, zk.ErrConnectionClosed) {
			return data, stat, err
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// want is nil when a call answered as it should.
func want(call string, got, expected any) error {
	if err, ok := got.(error); ok {
		if target, ok := expected.(error); ok && errors.Is(err, target) {
			return nil
		}
	} else if fmt.Sprint(got) == fmt.Sprint(expected) {
		return nil
	}
	return fmt.Errorf("%s = %v, want %v", call, got, expected)
}

func goZKModes(addr, root string) error {
	c, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, n := range []struct {
		name, want string
		mode       int32
	}{
		{"p", "p", 0},
		{"e", "e", zk.FlagEphemeral},
		{"ps-", "ps-0000000002", zk.FlagSequence},
		{"es-", "es-0000000003", zk.FlagEphemeral | zk.FlagSequence},
		// Other clients repeat the four with create2, which this library has not.
		{"p2", "p2", 0},
		{"e2", "e2", zk.FlagEphemeral},
		{"ps2-", "ps2-0000000006", zk.FlagSequence},
		{"es2-", "es2-0000000007", zk.FlagEphemeral | zk.FlagSequence},
	} {
		got, err := c.Create(root+"/"+n.name, []byte(n.name), n.mode, world)
		if err != nil || got != root+"/"+n.want {
			return fmt.Errorf("create %s = %q, %w", n.name, got, err)
		}
		var owner int64
		if n.mode&zk.FlagEphemeral != 0 {
			owner = c.SessionID()
		}
		data, stat, err := c.Get(got)
		if err != nil || string(data) != n.name || stat.EphemeralOwner != owner {
			return fmt.Errorf("get %s = %q, %+v, %w, want owner %#x", got, data, stat, err, owner)
		}
	}
	_, exists := c.Create(root+"/p", nil, 0, world)
	_, noParent := c.Create(root+"/none/x", nil, 0, world)
	_, belowEphemeral := c.Create(root+"/e/x", nil, 0, world)
	_, version := c.Set(root+"/p", nil, 7)
	return errors.Join(
		want("create again", exists, zk.ErrNodeExists),
		want("create without parent", noParent, zk.ErrNoNode),
		want("create below an ephemeral", belowEphemeral, zk.ErrNoChildrenForEphemerals),
		want("set another version", version, zk.ErrBadVersion),
		want("delete another version", c.Delete(root+"/p", 7), zk.ErrBadVersion),
		want("delete a parent", c.Delete(root, -1), zk.ErrNotEmpty),
		want("delete nothing", c.Delete(root+"/none", -1), zk.ErrNoNode),
	)
}

func goZKSequence(addr, root string) error {
	c, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range 4 {
		got, err := c.Create(root+"/n-", nil, zk.FlagSequence, world)
		if err := want("create", got, fmt.Sprintf("%s/n-%010d", root, i)); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		if err := c.Delete(got, -1); err != nil {
			return err
		}
	}
	return nil
}

func goZKStat(addr, root string) error {
	c, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_, e1 := c.Create(root+"/n", []byte("one"), 0, world)
	_, first, e2 := c.Exists(root + "/n")
	set, e3 := c.Set(root+"/n", []byte("three"), 0)
	_, e4 := c.Create(root+"/n/c", nil, 0, world)
	_, child, e5 := c.Exists(root + "/n/c")
	acl, e6 := c.SetACL(root+"/n", world, 0)
	_, parent, e7 := c.Exists(root)
	if err := errors.Join(e1, e2, e3, e4, e5, e6, e7); err != nil {
		return err
	}
	z := first.Czxid
	return errors.Join(
		want("new node", *first, zk.Stat{Czxid: z, Mzxid: z, Pzxid: z, Ctime: first.Ctime, Mtime: first.Ctime, DataLength: 3}),
		want("after set", *set, zk.Stat{
			Czxid: z, Mzxid: z + 1, Pzxid: z, Ctime: first.Ctime, Mtime: set.Mtime, Version: 1, DataLength: 5,
		}),
		want("child czxid", child.Czxid, z+2),
		want("after child and setACL", *acl, zk.Stat{
			Czxid: z, Mzxid: z + 1, Pzxid: z + 2, Ctime: first.Ctime, Mtime: set.Mtime, Version: 1, Cversion: 1, Aversion: 1,
			DataLength: 5, NumChildren: 1,
		}),
		want("parent pzxid", parent.Pzxid, z),
		want("parent numChildren", parent.NumChildren, 1),
	)
}

// goZKFired waits for one event.
func goZKFired(step string, events <-chan zk.Event, typ zk.EventType, path string) error {
	select {
	case e := <-events:
		if e.Type != typ || e.Path != path {
			return fmt.Errorf("%s: event %v %s, want %v %s", step, e.Type, e.Path, typ, path)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s: no event, want %v %s", step, typ, path)
	}
}

func goZKWatches(addr, root string) error {
	c, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	w, late := root+"/w", root+"/late"
	_, e1 := c.Create(w, nil, 0, world)
	_, _, data, e2 := c.GetW(w)
	_, e3 := c.Set(w, []byte("1"), -1)
	e4 := goZKFired("data watch", data, zk.EventNodeDataChanged, w)
	_, e5 := c.Set(w, []byte("2"), -1) // the watch is gone
	_, _, absent, e6 := c.ExistsW(late)
	_, e7 := c.Create(late, nil, 0, world)
	e8 := goZKFired("exists watch on nothing", absent, zk.EventNodeCreated, late)
	_, _, present, e9 := c.ExistsW(late)
	_, e10 := c.Set(late, nil, -1)
	e11 := goZKFired("exists watch on a node", present, zk.EventNodeDataChanged, late)
	_, _, gone, e12 := c.GetW(late)
	e13 := c.Delete(late, -1)
	e14 := goZKFired("data watch, delete", gone, zk.EventNodeDeleted, late)
	_, _, kids, e15 := c.ChildrenW(w)
	_, e16 := c.Create(w+"/c", nil, 0, world)
	e17 := goZKFired("children watch, create", kids, zk.EventNodeChildrenChanged, w)
	_, _, kids, e18 := c.ChildrenW(w)
	e19 := c.Delete(w+"/c", -1)
	e20 := goZKFired("children watch, delete", kids, zk.EventNodeChildrenChanged, w)
	_, _, kids, e21 := c.ChildrenW(w)
	e22 := c.Delete(w, -1)
	e23 := goZKFired("children watch, own delete", kids, zk.EventNodeDeleted, w)
	return errors.Join(e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13, e14, e15, e16, e17, e18, e19, e20, e21, e22, e23)
}

func goZKMulti(addr, root string) error {
	c, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	m := root + "/m"
	res, err := c.Multi(
		&zk.CreateRequest{Path: m, Data: []byte("a"), Acl: world},
		&zk.SetDataRequest{Path: m, Data: []byte("bb"), Version: 0},
		&zk.CheckVersionRequest{Path: m, Version: 1},
		&zk.CreateRequest{Path: m + "/s-", Acl: world, Flags: zk.FlagSequence},
		&zk.CreateRequest{Path: m + "/s-", Acl: world, Flags: zk.FlagSequence},
		&zk.DeleteRequest{Path: m + "/s-0000000000", Version: 0},
	)
	if err != nil {
		return fmt.Errorf("multi: %w", err)
	}
	names, stat, err := c.Children(m)
	if err != nil {
		return err
	}
	failed, failure := c.Multi(
		&zk.SetDataRequest{Path: m, Data: []byte("ccc"), Version: -1},
		&zk.CheckVersionRequest{Path: m, Version: 99},
		&zk.DeleteRequest{Path: root + "/none", Version: -1},
	)
	var codes []string
	for _, f := range failed {
		codes = append(codes, fmt.Sprint(f.Error))
	}
	data, _, err := c.Get(m)
	return errors.Join(err,
		want("results", fmt.Sprint(res[0].String, res[1].Stat.Version, res[3].String, res[4].String),
			fmt.Sprint(m, 1, m+"/s-0000000000", m+"/s-0000000001")),
		want("children", names, []string{"s-0000000001"}),
		want("cversion", stat.Cversion, 3),
		want("mzxid, the whole multi's", res[1].Stat.Mzxid == stat.Pzxid && stat.Czxid == stat.Pzxid, true),
		want("failing multi", failure, zk.ErrBadVersion),
		want("failing multi's results", codes, []string{"<nil>", zk.ErrBadVersion.Error(), "unknown error: -2"}),
		want("data after the failing multi", string(data), "bb"),
	)
}

func goZKACL(addr, root string) error {
	owner, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer owner.Close()
	other, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer other.Close()
	a := root + "/a"
	_, noID := owner.Create(a, nil, 0, zk.AuthACL(zk.PermAll))
	e1 := owner.AddAuth("digest", []byte("alice:secret"))
	_, e2 := owner.Create(a, []byte("x"), 0, zk.AuthACL(zk.PermAll))
	acl, _, e3 := owner.GetACL(a)
	_, _, get := other.Get(a)
	_, set := other.Set(a, nil, -1)
	_, create := other.Create(a+"/c", nil, 0, world)
	_, _, list := other.Children(a)
	_, admin := other.SetACL(a, world, -1)
	e4 := other.AddAuth("digest", []byte("alice:wrong"))
	_, _, wrong := other.Get(a)
	e5 := other.AddAuth("digest", []byte("alice:secret"))
	_, _, e6 := other.Get(a)
	_, e7 := other.SetACL(a, zk.WorldACL(zk.PermRead), 0)
	_, readOnly := owner.Set(a, nil, -1)
	_, _, e8 := owner.Get(a)
	return errors.Join(
		e1, e2, e3, e4, e5, e6, e7, e8,
		want("create with auth and no id", noID, zk.ErrInvalidACL),
		want("getACL", acl, zk.DigestACL(zk.PermAll, "alice", "secret")),
		want("get without an id", get, zk.ErrNoAuth),
		want("set without an id", set, zk.ErrNoAuth),
		want("create without an id", create, zk.ErrNoAuth),
		want("getChildren without an id", list, zk.ErrNoAuth),
		want("setACL without an id", admin, zk.ErrNoAuth),
		want("get with a wrong password", wrong, zk.ErrNoAuth),
		want("set of a node to read", readOnly, zk.ErrNoAuth),
	)
}

// goZKSize sets data so that the request's frame is jute.maxbuffer long, and then one byte longer.
func goZKSize(addr, root string) error {
	const maxBuffer = 0xfffff
	c, err := dialGoZK(addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	// So long a name makes the reply with the data, which carries a Stat, shorter than the request.
	path := root + "/" + strings.Repeat("n", 100)
	data := bytes.Repeat([]byte("d"), maxBuffer-20-len(path))
	_, e1 := c.Create(path, nil, 0, world)
	_, e2 := c.Set(path, data, -1)
	got, _, e3 := c.Get(path)
	if err := errors.Join(e1, e2, e3); err != nil {
		return err
	}
	_, tooLong := c.Set(path, append(data, 'd'), -1)
	id := c.SessionID()
	if err := c.attached(); err != nil { // the library comes back by itself
		return err
	}
	_, stat, err := c.Exists(path)
	if err != nil {
		return err
	}
	return errors.Join(
		want("get of 1 MB", bytes.Equal(got, data), true),
		want("set of 1 MB + 1 failed", tooLong != nil, true), // it tells a failed write by the socket's error
		want("version", stat.Version, 1),
		want("session", c.SessionID(), id),
	)
}

// goZKHold makes an ephemeral and waits to be killed.
func goZKHold(addr, root string) error {
	c, err := dialGoZK(addr, 2*time.Second)
	if err != nil {
		return err
	}
	if _, err := c.Create(root+"/held", nil, zk.FlagEphemeral, world); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// goZKSurvive lives through a crash of the server between "ready" and a line on its input.
func goZKSurvive(addr, root string) error {
	c, err := dialGoZK(addr, 20*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_, e1 := c.Create(root+"/mine", []byte("kept"), zk.FlagEphemeral, world)
	_, e2 := c.Create(root+"/watched", nil, 0, world)
	_, _, data, e3 := c.GetW(root + "/watched")
	_, _, kids, e4 := c.ChildrenW(root)
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		return err
	}
	id := c.SessionID()
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	got, stat, err := c.getOnceMoved(root + "/mine")
	if err != nil {
		return err
	}
	_, e5 := c.Set(root+"/watched", nil, 0)
	_, e6 := c.Create(root+"/new", nil, 0, world)
	names, _, e7 := c.Children(root)
	slices.Sort(names)
	return errors.Join(
		e5, e6, e7,
		want("data", string(got), "kept"),
		want("session", c.SessionID(), id),
		want("owner", stat.EphemeralOwner, id),
		want("children", names, []string{"mine", "new", "watched"}),
		goZKFired("data watch set again", data, zk.EventNodeDataChanged, root+"/watched"),
		goZKFired("children watch set again", kids, zk.EventNodeChildrenChanged, root),
	)
}
