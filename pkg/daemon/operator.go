package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/zabd/zabd/pkg/admin"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/snapshot"
)

// Ensemble implements admin.Operator.
func (s *Server) Ensemble() (out admin.Membership) {
	members, settings := s.members(), s.current.Load()
	if members == nil {
		return out
	}
	st, _ := s.peer.Status()
	out.Self, out.Leader = int64(s.cfg.MyID), int64(st.Leader)
	for _, m := range members.Members {
		x := admin.Member{
			ID: int64(m.ID), Quorum: texts(m.Quorum), Election: texts(m.Election), Observer: m.Role == ensemble.Observer,
		}
		switch {
		case m.ID == s.cfg.MyID:
			x.Client = net.JoinHostPort(cmp.Or(settings.ClientPortAddress, "0.0.0.0"), strconv.Itoa(settings.ClientPort))
		case m.Client != nil:
			x.Client = m.Client.String()
		}
		out.Members = append(out.Members, x)
	}
	return out
}

func texts(all []ensemble.Addr) (out []string) {
	for _, a := range all {
		out = append(out, a.String())
	}
	return out
}

// Learners implements admin.Operator.
func (s *Server) Learners() (out []admin.Learner) {
	for _, l := range s.peer.Learners() {
		out = append(out, admin.Learner{
			ID: l.ID, Observer: l.Observer, Remote: l.Remote, Established: l.Since.UnixMilli(), Queued: l.Queued,
			QueuedBytes: l.QueuedBytes, Received: l.Received, Sent: l.Sent,
		})
	}
	slices.SortFunc(out, func(x, y admin.Learner) int { return cmp.Compare(x.ID, y.ID) })
	return out
}

// ResetLearners implements admin.Operator.
func (s *Server) ResetLearners() { s.peer.ResetLearners() }

// ConfigText implements admin.Operator. In an ensemble ZooKeeper does not tell.
func (s *Server) ConfigText() (string, bool) {
	return s.configText, s.configText != "" && s.cfg.Members == nil
}

// LastSnapshot implements admin.Operator: 0 at no time if there is none.
func (s *Server) LastSnapshot() (zxid uint64, written time.Time) {
	dir, _ := s.dataDirs()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, written
	}
	for _, e := range entries {
		z, _, ok := snapshot.ParseName(e.Name())
		info, err := e.Info()
		if ok && err == nil && uint64(z) >= zxid {
			zxid, written = uint64(z), info.ModTime()
		}
	}
	return zxid, written
}

// Authorize implements admin.Operator.
func (s *Server) Authorize(scheme, credential, remote string) error {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return admin.ErrNotAuthenticated
	}
	switch known, may := s.pipeline.MayDoAll(scheme, []byte(credential), host); {
	case !known:
		return admin.ErrNotAuthenticated
	case !may:
		return admin.ErrNotAuthorized
	}
	return nil
}

// errSnapshotUnderWay says that another snapshot is being written.
var errSnapshotUnderWay = errors.New("a snapshot is being written")

// Snapshot implements admin.Operator.
func (s *Server) Snapshot() (*admin.Snapshot, error) {
	if !s.cfg.SerializeLastZxid {
		return nil, errors.New("serializeLastProcessedZxid.enabled=false: a snapshot would not say which zxid it is of")
	}
	if !s.snapshotting.TryLock() {
		return nil, errSnapshotUnderWay
	}
	defer s.snapshotting.Unlock()
	at, path, err := s.snapshot()
	if err != nil {
		s.log.Warn("a snapshot that was asked for failed", "err", err)
		return nil, err
	}
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("daemon: snapshot %s: %w", filepath.Base(path), err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("daemon: snapshot %s: %w", filepath.Base(path), err), f.Close())
	}
	return &admin.Snapshot{Zxid: uint64(at), Size: size, ReadCloser: f}, nil
}

// Shed implements admin.Operator.
func (s *Server) Shed(percentage int) int {
	return s.clients.CloseSome(func() bool { return rand.IntN(100) < percentage })
}

// Ready implements admin.Operator. A server that serves has synchronised with its leader, or leads a quorum.
func (s *Server) Ready() error {
	if s.peer.Serving() {
		return nil
	}
	st, _ := s.peer.Status()
	return fmt.Errorf("clients are not served: %v", st)
}

// stuck is for how long a loop may be at one piece of work before the server counts as dead.
const stuck = 30 * time.Second

// Live implements admin.Operator.
func (s *Server) Live() error {
	if !s.Alive(stuck) {
		return errors.New("a loop makes no progress")
	}
	return nil
}
