package daemon

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/zabd/zabd/pkg/admin"
	"github.com/zabd/zabd/pkg/tree"
)

// zooKeeperVersion is the version whose behaviour and surfaces are served; tools parse it.
const zooKeeperVersion = "3.9.5"

// fourLetter answers a word on the client port, where nobody has shown who he is. It counts as a request.
func (s *Server) fourLetter(word string, rest []byte) ([]byte, bool) {
	s.pipeline.Stats.Received.Add(1)
	reply, known := s.words.Load().Answer(word, rest)
	if known {
		s.pipeline.Stats.Sent.Add(1)
	} else {
		s.pipeline.Stats.Received.Add(-1)
	}
	return reply, known
}

// Status implements admin.Source.
func (s *Server) Status() admin.Status {
	st := &s.pipeline.Stats
	out := admin.Status{
		Version:  fmt.Sprintf("%s-zabd-%s, built on %s", zooKeeperVersion, s.version, buildTime()),
		Received: st.Received.Load(), Sent: st.Sent.Load(),
		Connections: int(st.Connections.Load()), Outstanding: st.Outstanding.Load(), Uptime: s.clock(),
	}
	out.SlowSyncs = s.dir.SlowSyncs.Load()
	out.Replies[0], out.Replies[1], out.Replies[2] = st.Sizes.Load()
	out.MinLatency, out.AvgLatency, out.MaxLatency = st.Latency()
	s.describe(&out)
	s.pipeline.View(func(t *tree.Tree) { out.Zxid, out.Nodes = uint64(t.LastZxid()), znodeCount(t) })
	return out
}

// versionText is the version as ZooKeeper's tools parse it.
func (s *Server) versionText() string {
	return fmt.Sprintf("%s-zabd-%s, built on %s", zooKeeperVersion, s.version, buildTime())
}

// buildTime returns when the commit was made that the program was built from, as ZooKeeper's tools parse it.
func buildTime() string {
	at := time.Unix(0, 0)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, kv := range info.Settings {
			if kv.Key == "vcs.time" {
				if t, err := time.Parse(time.RFC3339, kv.Value); err == nil {
					at = t
				}
			}
		}
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}

// Settings implements admin.Source: the lines of conf, in ZooKeeper's order.
func (s *Server) Settings() []admin.Setting {
	millis := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	size := func(n int64) string { return strconv.FormatInt(n, 10) }
	data, log := s.dataDirs()
	dataSize, logSize := s.DirSizes()
	out := []admin.Setting{
		{Key: "clientPort", Value: strconv.Itoa(s.current.Load().ClientPort)},
		{Key: "secureClientPort", Value: "-1"},
		{Key: "dataDir", Value: data},
		{Key: "dataDirSize", Value: size(dataSize)},
		{Key: "dataLogDir", Value: log},
		{Key: "dataLogSize", Value: size(logSize)},
		{Key: "tickTime", Value: millis(s.cfg.TickTime)},
		{Key: "maxClientCnxns", Value: strconv.Itoa(s.current.Load().MaxClientCnxns)},
		{Key: "minSessionTimeout", Value: millis(s.cfg.MinSessionTimeout)},
		{Key: "maxSessionTimeout", Value: millis(s.cfg.MaxSessionTimeout)},
		{Key: "clientPortListenBacklog", Value: strconv.Itoa(s.cfg.ClientPortListenBacklog)},
		{Key: "serverId", Value: strconv.FormatInt(int64(s.cfg.MyID), 10)},
	}
	return append(out, s.ensembleSettings()...)
}

// ensembleSettings are the lines that a member of an ensemble adds.
func (s *Server) ensembleSettings() []admin.Setting {
	members := s.members()
	if members == nil {
		return nil
	}
	self, listed := members.Member(s.cfg.MyID)
	if !listed { // it was removed: these are the ports that it has
		self, _ = s.cfg.Members.Member(s.cfg.MyID)
	}
	return []admin.Setting{
		{Key: "initLimit", Value: strconv.Itoa(s.cfg.InitLimit)},
		{Key: "syncLimit", Value: strconv.Itoa(s.cfg.SyncLimit)},
		{Key: "electionAlg", Value: "3"},
		{Key: "electionPort", Value: strconv.Itoa(self.Election[0].Port)},
		{Key: "quorumPort", Value: strconv.Itoa(self.Quorum[0].Port)},
		{Key: "peerType", Value: strconv.Itoa(int(self.Role))},
		{Key: admin.MemberLines, Value: members.Text()},
	}
}
