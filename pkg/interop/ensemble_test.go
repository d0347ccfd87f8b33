//go:build interop

package interop

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var logDir = flag.String("interop.logs", "", "directory that takes the whole output of the members of an ensemble whose test failed")

// longSession is the longest session timeout that the members grant.
const longSession = 40 * time.Second

// member is one server of an ensemble. It keeps its id, its ports and its data when it is started again, be it as
// another kind of server.
type member struct {
	*server
	id       int
	observer bool
	data     string // its dataDir

	up      bool        // launched and not killed since
	serving atomic.Bool // up, and has been seen to serve
	past    []*process  // all of its lives
}

// ensemble is servers under test with one list of servers.
type ensemble struct {
	t       *testing.T
	members []*member
	failed  chan error // the first error of what runs beside the test
}

// assemble makes an ensemble of the kinds, such as "zabd java zabd java:observer", and starts none of it. The ids are
// 1, 2 and so on.
func assemble(t *testing.T, kinds string, snapCount int) *ensemble {
	t.Helper()
	e := &ensemble{t: t, failed: make(chan error, 1)}
	ip := address(t)
	fields := strings.Fields(kinds)
	ports := freePorts(t, ip, 3*len(fields))
	var common strings.Builder
	fmt.Fprintf(&common, "tickTime=500\ninitLimit=20\nsyncLimit=10\nmaxSessionTimeout=%d\nmaxClientCnxns=0\nsnapCount=%d\npreAllocSize=64\n"+
		"4lw.commands.whitelist=*\nadmin.enableServer=false\n", longSession.Milliseconds(), snapCount)
	for i, field := range fields {
		name, role, _ := strings.Cut(field, ":")
		m := &member{server: &server{kind: kindNamed(t, name)}, id: i + 1, observer: role == "observer", data: t.TempDir()}
		m.addr = net.JoinHostPort(ip, ports[3*i])
		m.cfg = filepath.Join(t.TempDir(), "zoo.cfg")
		e.members = append(e.members, m)
		fmt.Fprintf(&common, "server.%d=%s:%s:%s", m.id, ip, ports[3*i+1], ports[3*i+2])
		if m.observer {
			common.WriteString(":observer")
		}
		common.WriteString("\n")
	}
	for i, m := range e.members {
		own := fmt.Sprintf("%sdataDir=%s\nclientPort=%s\nclientPortAddress=%s\n", &common, m.data, ports[3*i], ip)
		if m.observer {
			own += "peerType=observer\n"
		}
		writeFile(t, m.cfg, own)
		writeFile(t, filepath.Join(m.data, "myid"), strconv.Itoa(m.id))
	}
	t.Cleanup(e.keepLogs)
	return e
}

// kindNamed makes "zabd" what the suite runs against.
func kindNamed(t *testing.T, name string) kind {
	t.Helper()
	switch name {
	case "java":
		return javaKind{}
	case "zabd":
		return underTest
	}
	t.Fatalf("no kind of server is called %q", name)
	return nil
}

// address is a loopback address that no other test uses, so that none is given the port of a member that is down.
func address(t *testing.T) string {
	t.Helper()
	h := fnv.New32a()
	h.Write([]byte(t.TempDir()))
	n := h.Sum32()
	return fmt.Sprintf("127.%d.%d.%d", 1+n>>24%254, n>>16&255, 1+n&0xffff%254)
}

func freePorts(t *testing.T, ip string, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", ip+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // when all are known, so that they differ
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// addrs is what a client is given to know all members.
func (e *ensemble) addrs() string {
	var all []string
	for _, m := range e.members {
		all = append(all, m.addr)
	}
	return strings.Join(all, ",")
}

// begin starts servers 1 and 2, of which 2 becomes the leader, and then the others.
func (e *ensemble) begin() {
	e.t.Helper()
	e.start(e.members[:2]...)
	if leader := e.leader(); leader.id != 2 {
		e.fatalf("server %d leads, want the higher id of the first two", leader.id)
	}
	e.start(e.members[2:]...)
}

// start launches members and returns when each of them serves in a role of its own.
func (e *ensemble) start(members ...*member) {
	e.t.Helper()
	for _, m := range members {
		m.launch(e.t)
		m.up = true
		m.past = append(m.past, m.proc)
	}
	for _, m := range members {
		e.await(fmt.Sprintf("server %d (%s) serves", m.id, m.kind.name()), func() bool {
			mode := m.mode()
			if mode == "" || (mode == "observer") != m.observer || mode == "standalone" {
				return false
			}
			return m.serves()
		})
		m.serving.Store(true)
	}
}

// kill is kill -9.
func (e *ensemble) kill(members ...*member) {
	for _, m := range members {
		m.serving.Store(false)
		m.up = false
		m.proc.kill()
	}
}

// stop asks a member to end, as an operator does.
func (e *ensemble) stop(m *member) {
	e.t.Helper()
	m.serving.Store(false)
	m.up = false
	if err := syscall.Kill(m.proc.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		e.t.Fatal(err)
	}
	if _, err := m.proc.wait(e.t); err != nil && err.Error() == "still running" {
		e.fatalf("server %d (%s) does not end on SIGTERM", m.id, m.kind.name())
	}
}

// mode is what srvr says, "" while the member does not serve.
func (m *member) mode() string {
	text, err := m.word("srvr")
	if err != nil {
		return ""
	}
	return field(text, "Mode: ")
}

// field is the rest of the line that begins with the name.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// metric is a number of mntr, -1 when there is no such line.
func (m *member) metric(name string) int {
	text, err := m.word("mntr")
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(field(text, "zk_"+name+"\t"))
	if err != nil {
		return -1
	}
	return n
}

// zxid is the last one that the member has applied.
func (m *member) zxid() uint64 {
	text, err := m.word("srvr")
	if err != nil {
		return 0
	}
	z, err := strconv.ParseUint(field(text, "Zxid: "), 0, 64)
	if err != nil {
		return 0
	}
	return z
}

// leader waits until one leads.
func (e *ensemble) leader() *member {
	e.t.Helper()
	var leader *member
	e.await("one leads", func() bool {
		for _, m := range e.members {
			if m.up && m.mode() == "leader" {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// settle waits until all that are up serve under one leader.
func (e *ensemble) settle() {
	e.t.Helper()
	e.await("the members settle", func() bool {
		leaders := 0
		for _, m := range e.members {
			if !m.up {
				continue
			}
			switch m.mode() {
			case "":
				return false
			case "leader":
				leaders++
			}
		}
		return leaders == 1
	})
}

// await looks until it is so. It fails the test when that takes too long, when a member ends unasked, and when
// something beside the test has failed.
func (e *ensemble) await(what string, so func() bool) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			e.fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
		e.check()
	}
}

// check fails the test when something beside it has failed or a member ended unasked.
func (e *ensemble) check() {
	e.t.Helper()
	select {
	case err := <-e.failed:
		e.fatalf("%v", err)
	default:
	}
	for _, m := range e.members {
		if !m.up {
			continue
		}
		select {
		case <-m.proc.done:
			e.fatalf("server %d (%s) ended: %v", m.id, m.kind.name(), m.proc.err)
		default:
		}
	}
}

// report hands an error of what runs beside the test to the test.
func (e *ensemble) report(err error) {
	select {
	case e.failed <- err:
	default:
	}
}

// fatalf ends the test with what the members said last.
func (e *ensemble) fatalf(format string, args ...any) {
	e.t.Helper()
	for _, m := range e.members {
		if m.proc != nil {
			e.t.Logf("server %d (%s, %s, mode %q):\n%s", m.id, m.kind.name(), m.addr, m.mode(), m.proc.tail())
		}
	}
	e.t.Fatalf(format, args...)
}

// keepLogs writes what all lives of the members said.
func (e *ensemble) keepLogs() {
	if *logDir == "" || !e.t.Failed() {
		return
	}
	for _, m := range e.members {
		for life, p := range m.past {
			name := fmt.Sprintf("%s-server%d-life%d.log", strings.ReplaceAll(e.t.Name(), "/", "-"), m.id, life)
			p.mu.Lock()
			err := os.WriteFile(filepath.Join(*logDir, name), p.out, 0o600)
			p.mu.Unlock()
			if err != nil {
				e.t.Log(err)
			}
		}
	}
}
