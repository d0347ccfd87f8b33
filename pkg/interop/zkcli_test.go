//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
)

const zkCliScript = "/usr/share/zookeeper/bin/zkCli.sh"

// zkCli is ZooKeeper's Java shell, driven through its standard input.
type zkCli struct {
	*process
	asked int
}

func startZKCli(t *testing.T, s *server, timeoutMillis int) *zkCli {
	t.Helper()
	needTool(t, zkCliScript, javaInstall)
	p := startProcess(t, []string{zkCliScript, "-server", s.addr, "-timeout", strconv.Itoa(timeoutMillis)},
		"CLIENT_JVMFLAGS="+strings.Join(jvm, " "))
	p.expect(t, regexp.MustCompile(`state:SyncConnected type:None`))
	return &zkCli{process: p}
}

// do types a command and returns all that the shell prints for it. A read of a node that does not exist, behind the
// command, marks the end: the shell runs one command after the other and prints the name. Events come from another
// thread of the shell, before or after the answer; those that the command causes are waited for.
func (z *zkCli) do(t *testing.T, command string, events ...*regexp.Regexp) string {
	t.Helper()
	z.asked++
	mark := fmt.Sprintf("/end-of-answer-%d", z.asked)
	z.send(t, command)
	z.send(t, "stat "+mark)
	return z.expect(t, append(events, regexp.MustCompile(`Node does not exist: `+mark+"\n"))...)
}

// says fails unless the answer to the command matches every one of the patterns.
func (z *zkCli) says(t *testing.T, command string, patterns ...string) string {
	t.Helper()
	got := z.do(t, command)
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(got) {
			t.Fatalf("%.100s\ngot:\n%.2000s\nwant a match of %q", command, got, p)
		}
	}
	return got
}

// fires is says with nothing to say but the event that the command causes.
func (z *zkCli) fires(t *testing.T, command, typ, path string) {
	t.Helper()
	z.do(t, command, regexp.MustCompile(`WatchedEvent state:SyncConnected type:`+typ+` path:`+path+"\n"))
}

// quit ends the shell, and with it its session. The shell's exit code is that of its last command, here a read of a
// node that does not exist, so it says nothing; nor does the shell always live to print that its session is closed.
func (z *zkCli) quit(t *testing.T) {
	t.Helper()
	z.send(t, "quit")
	var exit *exec.ExitError
	if out, err := z.wait(t); err != nil && !errors.As(err, &exit) {
		t.Fatalf("quit: %v\n%s", err, out)
	}
}

func TestZKCli(t *testing.T) {
	t.Parallel()
	s := serve(t, underTest)
	view := s.connect(t)
	// The three commands of the README's first minutes come first, on an empty server.
	z := startZKCli(t, s, 10000)
	t.Run("first commands", func(t *testing.T) {
		z.says(t, `create -s -e /x ""`, `Created /x0000000000\n`)
		z.says(t, "stat /x0000000000", `ephemeralOwner = 0x[1-9a-f]`, `dataLength = 0\n`)
		z.says(t, "stat /x", `Node does not exist: /x\n`)
		z.says(t, "ls /", `(?m)^\[x0000000000, zookeeper\]|\[zookeeper, x0000000000\]$`)
	})
	t.Run("modes", func(t *testing.T) { zkCliModes(t, z) })
	t.Run("stat", func(t *testing.T) { zkCliStat(t, z) })
	t.Run("watches", func(t *testing.T) { zkCliWatches(t, z) })
	t.Run("persistent watches", func(t *testing.T) { zkCliPersistent(t, z) })
	t.Run("kinds and quotas", func(t *testing.T) { zkCliKinds(t, z) })
	t.Run("deleteall", func(t *testing.T) { zkCliDeleteAll(t, z) })
	t.Run("size", func(t *testing.T) { zkCliSize(t, s, z, view) })
	other := startZKCli(t, s, 10000)
	t.Run("acl", func(t *testing.T) { zkCliACL(t, z, other) })
	other.quit(t)
	t.Run("quit", func(t *testing.T) {
		makeRoot(t, view, "/quit")
		z.says(t, "create -e /quit/mine", `Created /quit/mine\n`)
		z.quit(t)
		if ok, _, err := view.Exists("/quit/mine"); ok || err != nil {
			t.Fatalf("ephemeral after quit: exists = %v, %v", ok, err)
		}
	})
	t.Run("killed", func(t *testing.T) {
		makeRoot(t, view, "/hold")
		z := startZKCli(t, s, 2000)
		z.says(t, "create -e /hold/held", `Created /hold/held\n`)
		_, _, events, err := view.ExistsW("/hold/held")
		if err != nil {
			t.Fatal(err)
		}
		z.kill()
		if err := goZKFired("kill -9 of the shell", events, zk.EventNodeDeleted, "/hold/held"); err != nil {
			t.Fatal(err)
		}
	})
}

func zkCliModes(t *testing.T, z *zkCli) {
	z.says(t, "create /m", `Created /m\n`)
	z.says(t, "create /m/p data", `Created /m/p\n`)
	z.says(t, "create -e /m/e data", `Created /m/e\n`)
	z.says(t, "create -s /m/ps- data", `Created /m/ps-0000000002\n`)
	z.says(t, "create -s -e /m/es- data", `Created /m/es-0000000003\n`)
	z.says(t, "stat /m/p", `ephemeralOwner = 0x0\n`)
	z.says(t, "stat /m/e", `ephemeralOwner = 0x[1-9a-f]`)
	z.says(t, "stat /m/ps-0000000002", `ephemeralOwner = 0x0\n`)
	z.says(t, "stat /m/es-0000000003", `ephemeralOwner = 0x[1-9a-f]`)
	z.says(t, "create /m/p", `Node already exists: /m/p\n`)
	z.says(t, "create /m/none/x", `Node does not exist: /m/none/x\n`)
	z.says(t, "create /m/e/x", `Ephemerals cannot have children: /m/e/x\n`)
	z.says(t, "delete /m", `Node not empty: /m\n`)
	z.says(t, "delete -v 4 /m/p", `version No is not valid : /m/p\n`)
	z.says(t, "set -v 4 /m/p other", `version No is not valid : /m/p\n`)
	z.says(t, "delete /m/ps-0000000002")
	z.says(t, "create -s /m/ps- again", `Created /m/ps-0000000004\n`) // numbering goes on after a delete
	z.says(t, "ls -R /m", `(?m)^/m\n`, `(?m)^/m/e\n`, `(?m)^/m/es-0000000003\n`, `(?m)^/m/p\n`, `(?m)^/m/ps-0000000004\n`)
	z.says(t, "sync /m", `Sync is OK`)
}

func zkCliStat(t *testing.T, z *zkCli) {
	z.says(t, "create /s one", `Created /s\n`)
	first := z.says(t, "stat /s", `(?m)^ctime = \w{3} \w{3} \d\d .* 20\d\d$`, `(?m)^cversion = 0$`, `(?m)^dataVersion = 0$`,
		`(?m)^aclVersion = 0$`, `(?m)^ephemeralOwner = 0x0$`, `(?m)^dataLength = 3$`, `(?m)^numChildren = 0$`)
	czxid := zxidOf(t, first, "cZxid")
	for _, field := range []string{"mZxid", "pZxid"} {
		if got := zxidOf(t, first, field); got != czxid {
			t.Fatalf("%s of a new node = %#x, want its cZxid %#x", field, got, czxid)
		}
	}
	z.says(t, "set /s three", `(?s).*`)
	z.says(t, "create /s/c", `Created /s/c\n`)
	child := zxidOf(t, z.says(t, "stat /s/c"), "cZxid")
	got := z.says(t, "get -s /s", `(?m)^three$`, `(?m)^cversion = 1$`, `(?m)^dataVersion = 1$`, `(?m)^dataLength = 5$`,
		`(?m)^numChildren = 1$`)
	if c, m, p := zxidOf(t, got, "cZxid"), zxidOf(t, got, "mZxid"), zxidOf(t, got, "pZxid"); c != czxid || m <= c || m >= p || p != child {
		t.Fatalf("cZxid, mZxid, pZxid after set and a child = %#x, %#x, %#x, want %#x, one between, %#x", c, m, p, czxid, child)
	}
}

func zxidOf(t *testing.T, stat, field string) int64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + field + ` = 0x([0-9a-f]+)$`).FindStringSubmatch(stat)
	if m == nil {
		t.Fatalf("no %s in:\n%s", field, stat)
	}
	z, err := strconv.ParseInt(m[1], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func zkCliWatches(t *testing.T, z *zkCli) {
	z.says(t, "create /w 0")
	z.says(t, "get -w /w", `(?m)^0$`)
	z.fires(t, "set /w 1", "NodeDataChanged", "/w")
	z.says(t, "set /w 2")
	z.says(t, "stat -w /late", `Node does not exist: /late\n`)
	z.fires(t, "create /late", "NodeCreated", "/late")
	z.says(t, "set /late 1")
	z.says(t, "stat -w /late", `numChildren = 0\n`)
	z.fires(t, "delete /late", "NodeDeleted", "/late")
	z.says(t, "ls -w /w", `(?m)^\[\]$`)
	z.fires(t, "create /w/c", "NodeChildrenChanged", "/w")
	z.says(t, "create /w/d")
	z.says(t, "ls -w /w", `(?m)^\[c, d\]|\[d, c\]$`)
	z.fires(t, "delete /w/c", "NodeChildrenChanged", "/w")
	z.says(t, "ls -w /w/d", `(?m)^\[\]$`)
	z.fires(t, "delete /w/d", "NodeDeleted", "/w/d")
	// The shell prints events in the order in which they come, so all are there by now.
	if n := strings.Count(z.tail(), "state:SyncConnected type:Node"); n != 6 {
		t.Fatalf("%d events, want one for each of 6 watches:\n%s", n, z.tail())
	}
}

func zkCliPersistent(t *testing.T, z *zkCli) {
	before := strings.Count(z.tail(), "state:SyncConnected type:Node")
	z.says(t, "create /pw")
	z.says(t, "addWatch -m PERSISTENT /pw")
	for range 2 {
		z.fires(t, "set /pw x", "NodeDataChanged", "/pw")
	}
	z.fires(t, "create /pw/c", "NodeChildrenChanged", "/pw")
	z.says(t, "set /pw/c x") // a grandchild's matter
	z.says(t, "addWatch -m PERSISTENT_RECURSIVE /pr")
	z.fires(t, "create /pr", "NodeCreated", "/pr")
	z.fires(t, "create /pr/c", "NodeCreated", "/pr/c")
	z.fires(t, "create /pr/c/d", "NodeCreated", "/pr/c/d")
	z.fires(t, "set /pr/c/d x", "NodeDataChanged", "/pr/c/d")
	z.fires(t, "delete /pr/c/d", "NodeDeleted", "/pr/c/d")
	z.says(t, "removewatches /pw")
	z.says(t, "removewatches /pr")
	z.says(t, "removewatches /pr", `No such watcher for /pr`)
	z.says(t, "set /pw y")
	z.says(t, "delete /pr/c")
	if n := strings.Count(z.tail(), "state:SyncConnected type:Node"); n != before+8 {
		t.Fatalf("%d events, want 8:\n%s", n-before, z.tail())
	}
	z.says(t, "create -e /pw/mine")
	z.says(t, "getEphemerals /pw", `\[/pw/mine\]`)
	z.says(t, "getAllChildrenNumber /pw", `(?m)^2$`)
	z.says(t, "whoami", `(?m)^ip: `)
}

func zkCliDeleteAll(t *testing.T, z *zkCli) {
	for _, path := range []string{"/d", "/d/a", "/d/a/b", "/d/a/b/c", "/d/e"} {
		z.says(t, "create "+path, `Created `+path+`\n`)
	}
	z.says(t, "create -e /d/e/f", `Created /d/e/f\n`)
	z.says(t, "deleteall /d")
	z.says(t, "stat /d", `Node does not exist: /d\n`)
	z.says(t, "create /d", `Created /d\n`)
	z.says(t, "create -s /d/n-", `Created /d/n-0000000000\n`) // a new parent counts from 0 again
}

// zkCliSize sets data so that the request's frame is jute.maxbuffer long, and then one byte longer.
func zkCliSize(t *testing.T, s *server, z *zkCli, view *zk.Conn) {
	path := "/" + strings.Repeat("n", 100)
	data := strings.Repeat("d", 0xfffff-20-len(path))
	z.says(t, "create "+path, `Created /n+\n`)
	z.says(t, "set "+path+" "+data)
	if got, _, err := view.Get(path); err != nil || string(got) != data {
		t.Fatalf("get of 1 MB = %d bytes, %v, want %d", len(got), err, len(data))
	}
	z.send(t, "set "+path+" "+data+"d")
	z.expect(t, regexp.MustCompile(`ConnectionLoss for /n+`))
	z.expect(t, regexp.MustCompile(`state:SyncConnected type:None`))
	z.says(t, "stat "+path, `dataVersion = 1\n`)
	if !s.serves() {
		t.Fatal("no answer to a new connection after the frame beyond jute.maxbuffer")
	}
	if _, _, err := view.Get("/"); err != nil {
		t.Fatalf("another client after the frame beyond jute.maxbuffer: %v", err)
	}
}

func zkCliACL(t *testing.T, z, other *zkCli) {
	const denied = `Insufficient permission : /a\n`
	z.says(t, "create /a x auth::cdrwa", `Acl is not valid : /a\n`)
	z.says(t, "addauth digest alice:secret")
	z.says(t, "create /a x auth::cdrwa", `Created /a\n`)
	z.says(t, "getAcl /a", `'digest,'alice:[A-Za-z0-9+/]{27}=\n: cdrwa\n`)
	z.says(t, "get /a", `(?m)^x$`)
	other.says(t, "get /a", denied)
	other.says(t, "set /a y", denied)
	other.says(t, "ls /a", denied)
	other.says(t, "setAcl /a world:anyone:cdrwa", denied)
	other.says(t, "create /a/c", `Insufficient permission : /a/c\n`)
	other.says(t, "addauth digest alice:wrong")
	other.says(t, "get /a", denied)
	other.says(t, "addauth digest alice:secret")
	other.says(t, "get /a", `(?m)^x$`)
	other.says(t, "setAcl /a world:anyone:r")
	other.says(t, "getAcl -s /a", `'world,'anyone\n: r\n`, `aclVersion = 1\n`)
	z.says(t, "set /a y", denied)
	z.says(t, "get /a", `(?m)^x$`)
}

func TestZKCliServerCrash(t *testing.T) {
	t.Parallel()
	s := serve(t, underTest)
	z := startZKCli(t, s, 20000)
	z.says(t, "create /kept data", `Created /kept\n`)
	z.says(t, "create -e /mine data", `Created /mine\n`)
	owner := regexp.MustCompile(`ephemeralOwner = (0x[0-9a-f]+)\n`)
	before := owner.FindStringSubmatch(z.says(t, "stat /mine", owner.String()))[1]
	z.says(t, "get -w /kept", `(?m)^data$`)
	z.says(t, "addWatch -m PERSISTENT_RECURSIVE /kept")
	s.crash(t)
	z.expect(t, regexp.MustCompile(`state:Disconnected type:None`))
	z.expect(t, regexp.MustCompile(`state:SyncConnected type:None`))
	after := owner.FindStringSubmatch(z.says(t, "stat /mine", owner.String()))[1]
	if before != after {
		t.Fatalf("owner of the ephemeral after a crash of the server = %s, want %s", after, before)
	}
	z.says(t, "create -e /mine2", `Created /mine2\n`)
	if got := owner.FindStringSubmatch(z.says(t, "stat /mine2", owner.String()))[1]; got != before {
		t.Fatalf("the session after the crash is %s, want %s", got, before)
	}
	z.fires(t, "set /kept other", "NodeDataChanged", "/kept")
	z.fires(t, "create /kept/c", "NodeCreated", "/kept/c")
	z.fires(t, "set /kept again", "NodeDataChanged", "/kept")
	z.quit(t)
	names, _, err := s.connect(t).Children("/")
	if err != nil || len(names) != 2 {
		t.Fatalf("children of / after quit = %q, %v, want kept and zookeeper", names, err)
	}
}
