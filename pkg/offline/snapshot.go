package offline

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/vfs"
)

// A Snapshot is one that was read and is whole.
type Snapshot struct {
	File    string
	Zxid    proto.Zxid // by its name; of a file whose name tells none, by its end, or the newest of any node
	Tree    *tree.Tree
	Trailer snapshot.Trailer
}

// ReadSnapshot reads a snapshot of any name. One whose name ends in .gz or .snappy is compressed. Damage is a
// *snapshot.CorruptError.
func ReadSnapshot(path string) (*Snapshot, error) {
	name := filepath.Base(path)
	zxid, how, ok := snapshot.ParseName(name)
	if !ok {
		_, how, _ = snapshot.ParseName(snapshot.FileName(0) + "." + name)
	}
	s := &Snapshot{File: path, Tree: tree.Empty()}
	var err error
	if s.Trailer, err = snapshot.ReadFile(vfs.Disk(), path, how, s.Tree, zxid); err != nil {
		return nil, err
	}
	switch {
	case ok:
		s.Zxid = zxid
	case s.Trailer.HasLast:
		s.Zxid = s.Trailer.Last
	default:
		s.Zxid = s.newest()
	}
	return s, nil
}

// newest returns the highest zxid of any node.
func (s *Snapshot) newest() (z proto.Zxid) {
	_ = s.walk("", func(_ string, r tree.Ref, _ int) error {
		st := s.Tree.Persisted(r)
		z = max(z, st.Mzxid, st.Pzxid)
		return nil
	})
	return z
}

// walk calls f with a node and all below it, parents first and siblings by their names, and how deep each lies. The root's
// path is "".
func (s *Snapshot) walk(path string, f func(path string, r tree.Ref, depth int) error) error {
	r, ok := s.Tree.Find(path)
	if !ok {
		return refusal{fmt.Errorf("offline: %s has no node %s", s.File, path)}
	}
	return s.below(strings.TrimSuffix(path, "/"), r, 0, f)
}

func (s *Snapshot) below(path string, r tree.Ref, depth int, f func(path string, r tree.Ref, depth int) error) error {
	if err := f(path, r, depth); err != nil {
		return err
	}
	for _, name := range s.children(r) {
		child, _ := s.Tree.Find(path + "/" + name)
		if err := s.below(path+"/"+name, child, depth+1, f); err != nil {
			return err
		}
	}
	return nil
}

// children returns a node's children in order.
func (s *Snapshot) children(r tree.Ref) []string {
	names := make([]string, 0, s.Tree.NumChildren(r))
	s.Tree.Children(r, func(name string) bool {
		names = append(names, strings.Clone(name))
		return true
	})
	slices.Sort(names)
	return names
}

// A Session is a live session in a snapshot.
type Session struct {
	ID         string `json:"id"`
	Timeout    int32  `json:"timeout_ms"`
	Ephemerals int    `json:"ephemerals"`
}

// Sessions returns the sessions, in the order of their ids.
func (s *Snapshot) Sessions() []Session {
	list := []Session{}
	s.Tree.Sessions(func(id int64, timeout int32) {
		list = append(list, Session{fmt.Sprintf("0x%x", uint64(id)), timeout, len(s.Tree.Ephemerals(id))})
	})
	return list
}

// A Node is a node in a snapshot.
type Node struct {
	Path     string    `json:"path"`
	Kind     string    `json:"kind"`            // persistent, ephemeral, container or ttl
	Owner    string    `json:"owner,omitempty"` // the session of an ephemeral
	TTL      int64     `json:"ttl_ms,omitempty"`
	Bytes    int       `json:"bytes"`
	Data     []byte    `json:"data,omitempty"` // in base64, if asked for
	ACL      []ACL     `json:"acl"`
	Czxid    string    `json:"czxid"`
	Mzxid    string    `json:"mzxid"`
	Pzxid    string    `json:"pzxid"`
	Ctime    time.Time `json:"ctime"`
	Mtime    time.Time `json:"mtime"`
	Version  int32     `json:"version"`
	Cversion int32     `json:"cversion"` // as clients see it
	Aversion int32     `json:"aversion"`
	Children int       `json:"children"`
}

func (s *Snapshot) node(path string, r tree.Ref, withData bool) *Node {
	st, owner, data := s.Tree.Stat(r), s.Tree.Persisted(r).EphemeralOwner, s.Tree.Data(r)
	if path == "" {
		path = "/"
	}
	n := &Node{
		Path: path, Kind: "persistent", Bytes: len(data), ACL: aclOf(s.Tree.ACL(r)),
		Czxid: st.Czxid.String(), Mzxid: st.Mzxid.String(), Pzxid: st.Pzxid.String(),
		Ctime: time.UnixMilli(st.Ctime).UTC(), Mtime: time.UnixMilli(st.Mtime).UTC(),
		Version: st.Version, Cversion: st.Cversion, Aversion: st.Aversion, Children: s.Tree.NumChildren(r),
	}
	if withData {
		n.Data = data
	}
	switch {
	case s.Tree.IsEphemeral(r):
		n.Kind, n.Owner = "ephemeral", fmt.Sprintf("0x%x", uint64(owner))
	case owner == math.MinInt64:
		n.Kind = "container"
	case owner != 0:
		n.Kind, n.TTL = "ttl", owner&0xff_ffff_ffff
	}
	return n
}

// EachNode calls f with a node and all below it, parents first and siblings by their names.
func (s *Snapshot) EachNode(path string, withData bool, f func(*Node) error) error {
	return s.walk(path, func(path string, r tree.Ref, _ int) error { return f(s.node(path, r, withData)) })
}

// A SnapshotReport is what is found in a snapshot.
type SnapshotReport struct {
	File     string `json:"file"`
	Zxid     string `json:"zxid,omitempty"`
	Nodes    int    `json:"nodes"`
	Bytes    int64  `json:"bytes"` // of paths and data
	Sessions int    `json:"sessions"`
	// Digest is ok, or none: it has no digest, or one of a later tree, as those have that ZooKeeper writes while the tree
	// changes; or differs. ZooKeeper in a locale that is not UTF-8 writes such for names that are not ASCII.
	Digest string `json:"digest,omitempty"`
	Damage string `json:"damage,omitempty"`
}

// Snapshots returns the snapshots that the arguments name: files, or directories.
func Snapshots(args []string) ([]string, error) { return find(args, snapshotZxid) }

// VerifySnapshots reads snapshots from end to end. The error is the first damage; the reports are complete all the same.
func VerifySnapshots(files []string) (reports []SnapshotReport, damage error) {
	for _, file := range files {
		s, err := ReadSnapshot(file)
		if err != nil {
			reports = append(reports, SnapshotReport{File: file, Damage: err.Error()})
			if damage == nil {
				damage = err
			}
			continue
		}
		rep := SnapshotReport{
			File: file, Zxid: s.Zxid.String(), Nodes: s.Tree.NodeCount(), Bytes: s.Tree.DataSize(), Sessions: s.Tree.SessionCount(), Digest: "none",
		}
		if tr := s.Trailer; tr.HasDigest && tr.DigestVersion == 2 && tr.DigestZxid == s.Zxid {
			rep.Digest = "ok"
			if tr.Digest != s.Tree.Digest() {
				rep.Digest = "differs"
			}
		}
		reports = append(reports, rep)
	}
	return reports, damage
}

// A Subtree is what lies below a node, with the node itself.
type Subtree struct {
	Path  string `json:"path"`
	Depth int    `json:"depth"` // below where the summary begins
	Nodes int    `json:"nodes"`
	Bytes int64  `json:"bytes"` // of data
}

// Summary returns what lies below a node and below each node down to depth, 0 = all that have children, parents first.
func (s *Snapshot) Summary(path string, depth int) ([]Subtree, error) {
	var list []Subtree
	var open []int // of the list: the ancestors of the node that is visited
	err := s.walk(path, func(path string, r tree.Ref, at int) error {
		open = open[:min(len(open), at)]
		if shown := s.Tree.NumChildren(r) > 0 && (depth == 0 || at <= depth); at == 0 || shown {
			if path == "" {
				path = "/"
			}
			open = append(open, len(list))
			list = append(list, Subtree{Path: path, Depth: at})
		}
		for _, i := range open {
			list[i].Nodes++
			list[i].Bytes += int64(len(s.Tree.Data(r)))
		}
		return nil
	})
	return list, err
}
