package daemon

import (
	"errors"
	"io"
	"time"

	"github.com/zabd/zabd/pkg/admin"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
)

// Restore implements admin.Operator. What cannot be read changes nothing. Otherwise the tree is on the disk, in the place of
// all else, before anybody sees it: a crash leaves the old one or the new one, and a restart undoes nothing.
func (s *Server) Restore(r io.Reader) (zxid uint64, err error) {
	switch {
	case s.cfg.Members != nil:
		return 0, errors.Join(admin.ErrNotHere, errors.New("a member of an ensemble has the tree of its leader: stop all servers and put the snapshot into their dataDir"))
	case !s.cfg.SerializeLastZxid:
		return 0, errors.New("serializeLastProcessedZxid.enabled=false")
	}
	begun := time.Now()
	t := tree.Empty()
	t.Types = treeTypes(&s.cfg)
	tr, err := snapshot.Read(r, t, 0)
	if err != nil {
		return 0, err
	}
	at := standsAt(t, &tr)
	if tr.HasDigest && tr.DigestZxid == at && tr.DigestVersion == 2 && tr.Digest != t.Digest() && s.cfg.DigestEnabled {
		s.log.Warn("the digest of a snapshot that is restored is another than its tree's", "zxid", at)
	}
	orphans := t.RemoveOrphans()
	nodes := t.NodeCount()
	now, err := s.peer.Replace(t, at)
	if err != nil {
		return 0, err
	}
	s.stats.Restore.Observe(time.Since(begun).Milliseconds())
	s.log.Warn("restored from a snapshot", "of", at, "zxid", now, "znodes", nodes, "orphans", orphans, "took", time.Since(begun))
	return uint64(at), nil
}

// standsAt returns the zxid that a snapshot without a name is of: what its end says, or the newest of its nodes'.
func standsAt(t *tree.Tree, tr *snapshot.Trailer) (z proto.Zxid) {
	switch {
	case tr.HasLast:
		return tr.Last
	case tr.HasDigest:
		return tr.DigestZxid
	}
	walk := t.NewWalk()
	defer walk.Close()
	for more := true; more; {
		more = walk.Next(1000, func(_ string, _ []byte, _ int64, st *proto.StatPersisted) { z = max(z, st.Mzxid, st.Pzxid) })
	}
	return z
}
