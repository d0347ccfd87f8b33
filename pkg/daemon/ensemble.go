package daemon

import (
	"context"
	"net"

	"github.com/zabd/zabd/pkg/admin"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/peer"
	"github.com/zabd/zabd/pkg/zab"
)

// standaloneID is the id of a server that serves alone.
const standaloneID ensemble.ID = 1

func (s *Server) id() ensemble.ID {
	if s.cfg.Members == nil {
		return standaloneID
	}
	return s.cfg.MyID
}

// observes tells whether this server has no vote, and will have none.
func (s *Server) observes() bool {
	if s.cfg.Members == nil || s.cfg.ReconfigEnabled {
		return false
	}
	self, _ := s.cfg.Members.Member(s.cfg.MyID)
	return self.Role == ensemble.Observer
}

// flush says when the log is synced; a flushDelay comes first.
func (s *Server) flush() peer.Flush {
	if s.observes() && s.cfg.FlushDelay == 0 {
		return peer.Lazy
	}
	return peer.Flush{Delay: s.cfg.FlushDelay, Idle: s.cfg.MaxWriteQueuePollTime, Txns: s.cfg.MaxBatchSize}
}

// node returns the state machine of this server, as its disk has left it.
func (s *Server) node(rec *datadir.Recovered) *zab.Node {
	start := s.startOf(rec)
	if s.cfg.Members == nil {
		return zab.NewStandalone(start)
	}
	return zab.New(start)
}

// startOf is what the disk and the settings say to the state machine.
func (s *Server) startOf(rec *datadir.Recovered) zab.Start {
	cfg := &s.cfg
	return zab.Start{
		Self: s.id(), Members: cfg.Members, Next: cfg.Next, Reconfig: cfg.ReconfigEnabled, Clients: s.pipeline, Last: rec.Last, AcceptedEpoch: rec.AcceptedEpoch,
		CurrentEpoch: rec.CurrentEpoch, Recent: rec.Recent, CommitLogCap: cfg.CommitLogCount, Tick: cfg.TickTime,
		InitLimit: cfg.InitTimeout(), SyncLimit: cfg.SyncTimeout(),
		MinNotification: cfg.MinNotificationInterval, MaxNotification: cfg.MaxNotificationInterval,
		Extensions: zab.AllExtensions, ForceSnapshot: cfg.ForceSnapshotSync, NoLogSync: cfg.SnapshotSizeFactor < 0,
		MaxSnaps: cfg.MaxConcurrentSnapSyncs, MaxDiffs: cfg.MaxConcurrentDiffSyncs,
		EpochLimit: max(cfg.MaxTimeToWaitForEpoch, 0), Redial: cfg.LeaderConnectDelay,
		ObserverPause: cfg.ObserverElectionDelay + cfg.ObserverReconnectDelay,
	}
}

// network opens the ports to the other servers; nil for a server that serves alone. They are opened as late as
// possible: who is called and does not answer keeps the others waiting.
func (s *Server) network(ctx context.Context, o *Options) (*peer.Network, error) {
	cfg := &s.cfg
	if cfg.Members == nil {
		return nil, nil
	}
	self, _ := cfg.Members.Member(cfg.MyID)
	dial := o.Dial
	if dial == nil {
		dialer := net.Dialer{}
		if !cfg.TCPKeepAlive {
			dialer.KeepAlive = -1
		}
		dial = dialer.DialContext
	}
	n := &peer.Network{
		Self: cfg.MyID, Members: cfg.Members, Next: cfg.Next, Quorum: o.Quorum, Election: o.Election, Dial: dial,
		Trees:     trees{s, maxEntry(cfg)},
		MaxPacket: maxPacket(cfg), FirstPacket: cfg.InitTimeout(), HelloTimeout: cfg.QuorumCnxnTimeout,
		ConnectTimeout: cfg.ConnectTimeout(), CnxTimeout: cfg.CnxTimeout, MultiAddress: cfg.MultiAddressEnabled,
		FollowerDelay: !cfg.FollowerNodelay, LeaderDelay: !cfg.LeaderNodelay,
	}
	if !cfg.MultiAddressReachabilityCheckEnabled {
		n.InTurn = cfg.MultiAddressReachabilityCheckTimeout
	}
	ports := peer.Ports{AllIPs: cfg.QuorumListenOnAllIPs, Retries: cfg.ElectionPortBindRetry, KeepAlive: cfg.TCPKeepAlive, Log: s.log}
	n.Listen = func(ctx context.Context, addrs []ensemble.Addr) ([]net.Listener, error) {
		ls, err := ports.Open(ctx, addrs)
		if err != nil {
			return nil, &BindError{"a port to the other servers", err}
		}
		return ls, nil
	}
	for _, port := range []struct {
		name  string
		open  *[]net.Listener
		addrs []ensemble.Addr
	}{{"quorum port", &n.Quorum, self.Quorum}, {"election port", &n.Election, self.Election}} {
		if len(*port.open) > 0 {
			continue
		}
		ls, err := ports.Open(ctx, port.addrs)
		if err != nil {
			closeAll(n.Quorum)
			return nil, &BindError{port.name, err}
		}
		*port.open = ls
	}
	return n, nil
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		_ = l.Close()
	}
}

// states are what ZooKeeper calls the state of a member that serves.
var states = map[zab.Role]string{
	zab.Leading: "leading - broadcast", zab.Following: "following - broadcast", zab.Observing: "observing - broadcast",
}

// describe tells what this server is in its ensemble.
func (s *Server) describe(out *admin.Status) {
	st, _ := s.peer.Status()
	out.Mode, out.PeerState, out.NotServing = st.Role.String(), states[st.Role], !st.Serving
	if st.Role == zab.Leading {
		out.Proposals = &st.Sizes
	}
}
