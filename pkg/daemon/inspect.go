package daemon

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/admin"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/server"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/zab"
)

// lastOps are what ZooKeeper calls the last request of a connection.
var lastOps = map[proto.Op]string{
	proto.OpCreate: "CREA", proto.OpCreate2: "CREA", proto.OpCreateContainer: "CREA", proto.OpCreateTTL: "CREA",
	proto.OpDelete: "DELE", proto.OpDeleteContainer: "DELE", proto.OpSetData: "SETD", proto.OpSetACL: "SETA",
	proto.OpMulti: "MULT", proto.OpMultiRead: "MLTR", proto.OpReconfig: "RECO", proto.OpSync: "SYNC", proto.OpCheck: "CHEC",
	proto.OpExists: "EXIS", proto.OpGetData: "GETD", proto.OpGetACL: "GETA", proto.OpGetChildren: "GETC",
	proto.OpGetChildren2: "GETC", proto.OpGetAllChildrenNumber: "GETACN", proto.OpGetEphemerals: "GETE",
	proto.OpSetWatches: "SETW", proto.OpSetWatches2: "STW2", proto.OpAddWatch: "ADDW", proto.OpCheckWatches: "CHKW",
	proto.OpRemoveWatches: "REMW", proto.OpWhoAmI: "HOMI", proto.OpPing: "PING", proto.OpCloseSession: "CLOS",
	proto.OpCreateSession: "SESS",
}

// connStep is to what the instants are rounded up at which connections end if they are silent.
const connStep = 10 * time.Second

// Conns implements admin.Source.
func (s *Server) Conns() []admin.Conn {
	var out []admin.Conn
	for _, c := range s.clients.Conns() {
		out = append(out, s.conn(&c))
	}
	return out
}

func (s *Server) conn(c *server.ConnInfo) admin.Conn {
	n := &c.Counts
	out := admin.Conn{
		Remote: c.Remote, Asks: c.Asks, Queued: c.Queued, Received: n.Received, Sent: n.Sent, Session: c.Session,
		LastOp: "NA", Established: c.Since, Timeout: c.Timeout, LastCxid: int64(n.LastCxid), LastZxid: int64(n.LastZxid),
		LastResponse: n.LastResponse.Milliseconds(), Last: n.Latency, Min: n.Least, Max: n.Most,
		Expires: c.Since.Add(s.cfg.SessionlessTimeout),
	}
	if n.Answered > 0 {
		out.LastOp, out.Avg = cmp.Or(lastOps[n.LastOp], "SESS"), n.Sum/time.Duration(n.Answered)
	}
	if c.Session != 0 {
		out.Expires = s.wall(c.Heard + c.Timeout)
	}
	out.Expires = out.Expires.Truncate(connStep).Add(connStep)
	return out
}

// wall returns the wall clock's time of an instant of the server's own.
func (s *Server) wall(at time.Duration) time.Time { return time.Now().Add(at - s.clock()) }

// Sessions implements admin.Source.
func (s *Server) Sessions() (out admin.Sessions) {
	s.pipeline.View(func(t *tree.Tree) {
		t.Sessions(func(id int64, millis int32) {
			out.Timeouts = append(out.Timeouts, admin.Timeout{ID: id, Timeout: time.Duration(millis) * time.Millisecond})
			if paths := t.Ephemerals(id); len(paths) > 0 {
				out.Ephemerals = append(out.Ephemerals, admin.Owner{ID: id, Paths: paths})
			}
		})
	})
	due := make(chan map[time.Duration][]int64, 1)
	if !s.peer.Inspect(func(n *zab.Node) { due <- n.SessionsDue() }) {
		return out
	}
	for at, ids := range <-due {
		out.Due = append(out.Due, admin.SessionsDue{At: s.wall(at), Clock: at, IDs: ids})
	}
	slices.SortFunc(out.Due, func(x, y admin.SessionsDue) int { return cmp.Compare(x.Clock, y.Clock) })
	return out
}

// Watches implements admin.Source.
func (s *Server) Watches() (out []admin.Watch) {
	for _, w := range s.pipeline.Watched() {
		out = append(out, admin.Watch{Path: w.Path, Session: w.Session})
	}
	return out
}

// Digests implements admin.Source.
func (s *Server) Digests() (out []admin.Digest) {
	for _, d := range s.pipeline.Digests() {
		out = append(out, admin.Digest{Zxid: uint64(d.Zxid), Version: txn.DigestVersion, Digest: d.Digest})
	}
	return out
}

// ResetStats implements admin.Source.
func (s *Server) ResetStats() {
	s.pipeline.Stats.Reset()
	s.registry.Reset()
	s.peer.ResetSizes()
}

// ResetConns implements admin.Source.
func (s *Server) ResetConns() { s.clients.ResetConns() }

// dataDirs returns where the snapshots and the logs are.
func (s *Server) dataDirs() (data, log string) {
	return filepath.Join(s.cfg.DataDir, "version-2"), filepath.Join(s.cfg.DataLogDir, "version-2")
}

// DirSizes implements admin.Source.
func (s *Server) DirSizes() (data, log int64) {
	d, l := s.dataDirs()
	data = dirSize(d)
	if l == d {
		return data, data
	}
	return data, dirSize(l)
}

// dirSize adds up the sizes of the files in a directory.
func dirSize(dir string) (sum int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// Environment implements admin.Source. Java's names are kept; what they stand for here is Go's.
func (s *Server) Environment() []admin.Setting {
	host, _ := os.Hostname()
	program, _ := os.Executable()
	dir, _ := os.Getwd()
	who, home := "", ""
	if u, err := user.Current(); err == nil {
		who, home = u.Username, u.HomeDir
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	mib := func(n uint64) string { return fmt.Sprintf("%dMB", n>>20) }
	return []admin.Setting{
		{Key: "zookeeper.version", Value: s.versionText()},
		{Key: "host.name", Value: host},
		{Key: "java.version", Value: runtime.Version()},
		{Key: "java.vendor", Value: "Go"},
		{Key: "java.home", Value: filepath.Dir(program)},
		{Key: "java.class.path", Value: program},
		{Key: "java.library.path", Value: ""},
		{Key: "java.io.tmpdir", Value: os.TempDir()},
		{Key: "java.compiler", Value: runtime.Compiler},
		{Key: "os.name", Value: "Linux"},
		{Key: "os.arch", Value: runtime.GOARCH},
		{Key: "os.version", Value: kernel()},
		{Key: "user.name", Value: who},
		{Key: "user.home", Value: home},
		{Key: "user.dir", Value: dir},
		{Key: "os.memory.free", Value: mib(m.HeapIdle - m.HeapReleased)},
		{Key: "os.memory.max", Value: mib(memoryLimit())},
		{Key: "os.memory.total", Value: mib(m.Sys)},
	}
}

// kernel returns the release of the system's kernel.
func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// memoryLimit returns how many bytes Go's runtime may take: its limit, or all there is.
func memoryLimit() uint64 {
	limit := uint64(debug.SetMemoryLimit(-1))
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		limit = min(limit, uint64(info.Totalram)*uint64(info.Unit))
	}
	return limit
}
