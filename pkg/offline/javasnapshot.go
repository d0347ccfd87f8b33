package offline

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
)

// firstInode numbers the nodes for ncdu, which reads what -json prints.
const firstInode = 1001

// javaFormat is SnapshotFormatter: the nodes of a snapshot, with their data or without, or as JSON for ncdu.
func (h *Host) javaFormat(path string, data, asJSON bool) int {
	if why := javaUnreadable(path); why != "" {
		h.warn("%s", why)
		return javaUsage
	}
	if data && asJSON {
		h.warn("Cannot specify both data dump (-d) and json mode (-json) in same call")
		return javaUsage
	}
	s, err := ReadSnapshot(path)
	if err != nil {
		h.warn("%v", err)
		return javaError
	}
	if asJSON {
		h.say(`[1,0,{"progname":"SnapshotFormatter.java","progver":"0.01","timestamp":%d}`, time.Now().UnixMilli())
		inode := firstInode
		root, _ := s.Tree.Find("")
		h.javaNcdu(s, "", "/", root, &inode)
		h.say("]")
		return 0
	}
	h.say("ZNode Details (count=%d):\n", s.Tree.NodeCount()+1) // the root counts twice, as in ZooKeeper
	var newest proto.Zxid
	if z, ok := snapshotZxid(filepath.Base(path)); ok {
		newest = z
	}
	_ = s.walk("", func(path string, r tree.Ref, _ int) error {
		st := s.Tree.Persisted(r)
		newest = max(newest, st.Mzxid, st.Pzxid)
		h.say("----\n%s\n%s", javaPath(path), javaStat(&st))
		if content := s.Tree.Data(r); data {
			h.say("  data = %s\n", base64.StdEncoding.EncodeToString(content))
		} else {
			h.say("  dataLength = %d\n", len(content))
		}
		return nil
	})
	h.say("----\nSession Details (sid, timeout, ephemeralCount):\n")
	s.Tree.Sessions(func(id int64, timeout int32) {
		h.say("%s, %d, %d\n", javaHex(id), timeout, len(s.Tree.Ephemerals(id)))
	})
	h.say("----\nLast zxid: 0x%x\n", uint64(newest))
	return 0
}

func javaPath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// javaHex is a long as %#016x prints it, where the 0x counts.
func javaHex(v int64) string { return fmt.Sprintf("0x%014x", uint64(v)) }

func javaStat(st *proto.StatPersisted) string {
	date := func(ms int64) string { return time.UnixMilli(ms).Format(javaDate) }
	return fmt.Sprintf("  cZxid = %s\n  ctime = %s\n  mZxid = %s\n  mtime = %s\n  pZxid = %s\n"+
		"  cversion = %d\n  dataVersion = %d\n  aclVersion = %d\n  ephemeralOwner = %s\n",
		javaHex(int64(st.Czxid)), date(st.Ctime), javaHex(int64(st.Mzxid)), date(st.Mtime), javaHex(int64(st.Pzxid)),
		st.Cversion, st.Version, st.Aversion, javaHex(st.EphemeralOwner))
}

// javaNcdu prints a node and all below it as arrays in arrays.
func (h *Host) javaNcdu(s *Snapshot, path, name string, r tree.Ref, inode *int) {
	n := len(s.Tree.Data(r))
	node := fmt.Sprintf(`{"name":"%s","asize":%d,"dsize":%d,"dev":0,"ino":%d}`, quoteJSON(name), n, n, *inode)
	*inode++
	children := s.children(r)
	if len(children) == 0 {
		h.say(",%s", node)
		return
	}
	h.say(",[%s", node)
	for _, c := range children {
		child, _ := s.Tree.Find(path + "/" + c)
		h.javaNcdu(s, path+"/"+c, c, child, inode)
	}
	h.say("]")
}

// javaUnreadable says why a file cannot be read.
func javaUnreadable(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		full = path
	}
	st, err := os.Stat(path)
	if err != nil {
		return "File '" + full + "' does not exist."
	}
	if st.IsDir() {
		return "'" + full + "' is a directory. it must be a file."
	}
	f, err := os.Open(path)
	if err != nil {
		return "Read permission is denied on the file '" + full + "'"
	}
	_ = f.Close()
	return ""
}

// javaSummary is SnapshotRecursiveSummary: how many nodes and bytes are below those that have children.
func (h *Host) javaSummary(path, from string, depth int) int {
	s, err := ReadSnapshot(path)
	if err != nil {
		h.warn("%v", err)
		return javaError
	}
	list, err := s.Summary(from, depth)
	if err != nil {
		h.warn("%v", err)
		return javaError
	}
	if depth < 0 || len(list) == 1 && list[0].Nodes == 1 {
		list = nil // a leaf has no summary
	}
	for _, sub := range list {
		tab := strings.Repeat("--", sub.Depth)
		h.say("%s %s\n%s   children: %d\n%s   data: %d\n", tab, sub.Path, tab, sub.Nodes-1, tab, sub.Bytes)
	}
	h.say("\n")
	return 0
}
