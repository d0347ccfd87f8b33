// Package daemon builds a server out of all other packages, starts it and stops it in order. It is the only place that
// knows them all; nothing in it is protocol.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zabd/zabd/pkg/admin"
	"github.com/zabd/zabd/pkg/audit"
	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/metrics"
	"github.com/zabd/zabd/pkg/peer"
	"github.com/zabd/zabd/pkg/pipeline"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/server"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/systemd"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// Options is what a server gets from its surroundings and not from its configuration.
type Options struct {
	Log       *slog.Logger   // required
	Listeners []net.Listener // client ports that are open already; if none, the configured one is opened
	// Likewise the ports to the other servers of an ensemble.
	Quorum, Election []net.Listener
	Dial             peer.Dialer // to the others; by the host's network if nil
	FS               vfs.FS      // the real disk if nil
	Version          string
	ConfigText       string         // zoo.cfg, for those who operate the server; may be empty
	Level            *slog.LevelVar // of Log; a reload changes it; may be nil
	// Memory tells how many bytes are in use, and how many there may be, 0 = any; of this process if nil.
	Memory  func() (used, most uint64)
	Journal audit.Sink // for the audit log, if no file is named; nil if there is none
}

// A Server is one running zabd.
type Server struct {
	cfg        config.Config
	log        *slog.Logger
	version    string
	dir        *datadir.Dir
	pipeline   *pipeline.Pipeline
	peer       *peer.Peer
	clients    *server.Server
	ports      sync.Mutex // guards listeners
	listeners  []net.Listener
	handed     bool // the first of them were open already: the service manager holds them as well
	started    time.Time
	registry   *metrics.Registry
	audit      *audit.Log // nil = none is kept
	admin      adminPorts
	adminStats admin.Stats
	fs         vfs.FS
	configText string                        // zoo.cfg, as it was read; "" = not known
	words      atomic.Pointer[admin.Words]   // on the client port
	current    atomic.Pointer[config.Config] // the settings that count now; cfg are those of the start
	settings   sync.Mutex                    // held while current is changed
	level      *slog.LevelVar
	memory     func() (used, most uint64)
	stats      stats
	lastStatus peerCache

	snapshotting sync.Mutex     // held while a snapshot is written
	background   sync.WaitGroup // snapshots and purges
	loops        map[string]interface{ For() time.Duration }
	excesses     excesses
	expiries     expiries
	quit         chan struct{}
	purging      chan struct{} // one slot: the settings of the purge may have changed
	failed       chan error    // one slot: why the server cannot go on
	changed      chan struct{} // one slot: there is another status to tell
	moved        chan struct{} // one slot: the client port may be another one
	closing      sync.Once
}

// Start recovers the tree and serves. The error says what to put right: it wraps datadir's and vfs's kinds, a
// *BindError or a *config.Error; when ctx has ended meanwhile, it is its error.
func Start(ctx context.Context, cfg config.Config, o Options) (*Server, error) {
	s := &Server{
		cfg: cfg, log: o.Log, version: o.Version, started: time.Now(),
		registry: metrics.NewRegistry(), quit: make(chan struct{}), purging: make(chan struct{}, 1), failed: make(chan error, 1),
		changed: make(chan struct{}, 1), moved: make(chan struct{}, 1),
	}
	s.words.Store(&admin.Words{Source: s, Whitelist: cfg.FourLetterWhitelist, Aliases: admin.NewAliases(), Trace: admin.NewTraceMask()})
	s.current.Store(&cfg)
	s.level, s.memory = cmp.Or(o.Level, new(slog.LevelVar)), o.Memory
	if s.memory == nil {
		s.memory = memoryInUse
	}
	if o.FS == nil {
		o.FS = vfs.Disk()
	}
	s.fs, s.configText = o.FS, o.ConfigText
	if err := s.listen(o.Listeners); err != nil {
		return nil, err
	}
	if err := s.openAdmin(); err != nil {
		s.closeListeners()
		return nil, err
	}
	if err := s.openAudit(o.Journal); err != nil {
		s.closeListeners()
		return nil, err
	}
	if err := s.start(ctx, &o); err != nil {
		s.auditSelf(audit.ServerStart, audit.Failure)
		s.closeListeners()
		return nil, errors.Join(err, s.audit.Close())
	}
	return s, nil
}

// start does what comes behind the opening of the ports that others ask at.
func (s *Server) start(ctx context.Context, o *Options) error {
	door := server.HoldDoor(s.listeners)
	stop := context.AfterFunc(ctx, door.Shut)
	rec, err := s.recover(o.FS)
	stop()
	waiting := door.Open()
	if err == nil && ctx.Err() != nil { // nobody is let in by a server that is to end
		err = errors.Join(ctx.Err(), s.dir.Close())
	}
	if err != nil {
		closeConns(waiting)
		return err
	}
	s.assemblePipeline(rec)
	if err := s.assemblePeer(ctx, rec, o); err != nil {
		closeConns(waiting)
		return errors.Join(err, s.dir.Close())
	}
	s.register()
	s.serveAdmin()
	s.auditSelf(audit.ServerStart, audit.Success)
	for _, l := range s.listeners {
		s.clients.Serve(l)
	}
	s.clients.Take(waiting)
	s.goBackground(s.purgeLoop)
	s.goBackground(s.memoryLoop)
	s.goBackground(s.metricsLoop)
	s.goBackground(s.clientPortLoop)
	return nil
}

// BindError says that a port could not be opened.
type BindError struct {
	Port string // what it is for
	Err  error
}

func (e *BindError) Error() string {
	text := "daemon: " + e.Port + ": " + e.Err.Error()
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		text += "; ss -ltnp tells who has it"
	}
	return text
}

// Unwrap returns the cause.
func (e *BindError) Unwrap() error { return e.Err }

func (s *Server) listen(open []net.Listener) error {
	if len(open) > 0 {
		s.listeners, s.handed = open, true
		return nil
	}
	addr := net.JoinHostPort(s.cfg.ClientPortAddress, strconv.Itoa(s.cfg.ClientPort))
	l, err := listenClients(addr, s.cfg.ClientPortListenBacklog)
	if err != nil {
		return &BindError{"client port", err}
	}
	s.listeners = []net.Listener{l}
	return nil
}

func closeConns(all []net.Conn) {
	for _, c := range all {
		_ = c.Close()
	}
}

func (s *Server) closeListeners() {
	closeAll(s.clientListeners())
	s.admin.close()
}

func (s *Server) recover(fs vfs.FS) (*datadir.Recovered, error) {
	dir, err := datadir.Open(fs, datadir.Options{
		DataDir: s.cfg.DataDir, LogDir: s.cfg.DataLogDir,
		PreAllocSize: fileSize(&s.cfg), SnapCount: s.cfg.SnapCount, SnapSizeLimit: limitOf(s.cfg.SnapSizeLimit),
		Compression: compressions[s.cfg.SnapshotCompression], NoLastZxid: !s.cfg.SerializeLastZxid,
		NoLog: s.observes() && !s.cfg.ObserverSyncEnabled, Lazy: s.observes(),
		SlowSync: s.cfg.FsyncWarning, Clock: s.clock, Slow: func(dir string, took time.Duration) {
			s.log.Warn("a sync of the log in "+dir+" was slow, and every write waits for it", "took", took.Round(time.Millisecond), systemd.EventKey, systemd.SlowDisk)
		},
		MaxRecord: maxEntry(&s.cfg), CommitLog: s.cfg.CommitLogCount,
		ForceSync: s.cfg.ForceSync, Digest: s.cfg.DigestEnabled, Sole: s.cfg.Members == nil,
		SnapshotSizeFactor: s.cfg.SnapshotSizeFactor,
		TrustEmpty:         s.cfg.SnapshotTrustEmpty, NeedInitialize: !s.cfg.DBAutocreate,
		NeedDirectory: !s.cfg.DatadirAutocreate, Types: treeTypes(&s.cfg),
		Rand: rand.IntN, Warn: func(text string) { s.log.Warn(text) },
	})
	if err != nil {
		return nil, s.advise(err)
	}
	begun := time.Now()
	rec, err := dir.Load()
	if err != nil {
		return nil, errors.Join(s.advise(err), dir.Close())
	}
	s.stats.loaded(rec, time.Since(begun))
	for _, w := range rec.Warnings {
		s.log.Warn(w)
	}
	if rec.Last < 0 && s.cfg.Members == nil {
		err := &datadir.DamageError{Path: s.cfg.DataDir, Err: errEmptied}
		return nil, errors.Join(err, dir.Close())
	}
	s.log.Info("recovered", "zxid", rec.Last, "znodes", rec.Tree.NodeCount(), "took", time.Since(s.started))
	s.dir = dir
	return rec, nil
}

// advise adds to an error of files that are another user's what to do.
func (s *Server) advise(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	name := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	dirs := s.cfg.DataDir
	if s.cfg.DataLogDir != "" && s.cfg.DataLogDir != dirs {
		dirs += " " + s.cfg.DataLogDir
	}
	return fmt.Errorf("%w: if the files are this server's, chown -R %s %s", err, name, dirs)
}

// errEmptied says that a server has nothing of what it must have promised before.
var errEmptied = errors.New("there is no data, and db.autocreate=false forbids to begin anew")

// compressions are the values of snapshot.compression.method.
var compressions = map[string]snapshot.Compression{"gz": snapshot.Gzip, "snappy": snapshot.Snappy}

// limitOf returns a limit as package datadir wants it: negative if there is none.
func limitOf(size int64) int64 {
	if size <= 0 {
		return -1
	}
	return size
}

// fileSize returns how large a log file may get, all of which is prepared ahead.
func fileSize(cfg *config.Config) int64 {
	if limit := cfg.TxnLogSizeLimit; limit > 0 {
		return min(limit, cfg.PreAllocSize)
	}
	return cfg.PreAllocSize
}

// maxPacket bounds what a member may send at once: an entry, or a request with the ids of its client.
func maxPacket(cfg *config.Config) int { return maxEntry(cfg) + 64<<10 }

// maxEntry returns the longest payload that ZooKeeper reads back from a log: jute.maxbuffer and what servers may add.
func maxEntry(cfg *config.Config) int { return cfg.JuteMaxBuffer + cfg.JuteExtraSize }

func treeTypes(cfg *config.Config) tree.Types {
	return tree.Types{NoTTL: !cfg.ExtendedTypesEnabled, TTL353: cfg.Emulate353TTLNodes}
}

func (s *Server) clock() time.Duration { return time.Since(s.started) }

// assemblePipeline joins what serves clients around a recovered tree.
func (s *Server) assemblePipeline(rec *datadir.Recovered) {
	cfg := &s.cfg
	s.furnish(rec.Tree)
	s.pipeline = pipeline.New(pipeline.Config{
		Tree: rec.Tree,
		Prepper: prep.New(rec.Tree, prep.Options{
			Rules: cfg.Auth().Rules, Digest: cfg.DigestEnabled, NoPaths: !cfg.CloseSessionTxn, NoExtendedTypes: !cfg.ExtendedTypesEnabled,
			MaxEntry: maxEntry(cfg), Ensemble: cfg.Members != nil,
			Reconfig:     prep.Reconfig{Enabled: cfg.ReconfigEnabled, Standalone: cfg.StandaloneEnabled, SeveralNetworks: cfg.MultiAddressEnabled},
			EnforceQuota: cfg.EnforceQuota, Exceeded: s.exceeded,
		}),
		IDs:        session.NewIDs(int64(s.id()), time.Duration(time.Now().UnixNano())),
		Clock:      s.clock,
		WallMillis: func() int64 { return time.Now().UnixMilli() },
		Auth:       cfg.Auth(), EagerACL: cfg.EagerACLCheck && cfg.Members != nil,
		OnlyFollowersServe: !cfg.LeaderServes && cfg.Members != nil,
		Limits:             requestLimits(cfg), EventBytes: cfg.NotificationBytes,
		Audit: s.audit, AuditUser: serverUser(), Expired: s.expired, Furnish: s.furnish,
		Reaping: pipeline.Reaping{
			Interval: cfg.ContainerCheckInterval, PerMinute: cfg.ContainerMaxPerMinute, NeverUsed: cfg.ContainerMaxNeverUsed,
		},
	})
	s.clients = server.New(server.Config{
		Pipeline: s.pipeline, Log: s.log, MaxFrame: cfg.JuteMaxBuffer,
		MinTimeout: cfg.MinSessionTimeout, MaxTimeout: cfg.MaxSessionTimeout,
		Limits: clientLimits(cfg), KeepAlive: cfg.ClientTCPKeepAlive, Clock: s.clock, Chance: rand.Float64,
		FourLetter: s.fourLetter,
	})
}

// assemblePeer joins what replicates to that, and lets both run.
func (s *Server) assemblePeer(ctx context.Context, rec *datadir.Recovered, o *Options) error {
	network, err := s.network(ctx, o)
	if err != nil {
		return err
	}
	s.peer = peer.New(peer.Config{
		Node: s.node(rec), Log: store{s.dir, s.cfg.Files, s.furnish}, Service: s.pipeline, Clock: s.clock, MaxBatch: txnlog.DefaultBatch,
		Flush:   s.flush(),
		Durable: s.maybeSnapshot, Fatal: s.fail, Changed: s.tellChange, Members: s.takeMembers, Logger: s.log, Network: network,
	})
	s.loops = map[string]interface{ For() time.Duration }{"apply loop": s.pipeline.Busy()}
	for name, busy := range s.peer.Loops() {
		s.loops[name] = busy
	}
	s.pipeline.Connect(s.peer)
	go s.pipeline.Run()
	s.peer.Start()
	return nil
}

// fail ends the server: the first reason counts.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// tellChange says that there is another status to tell.
func (s *Server) tellChange() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// ClientAddr returns the address of the first client port.
func (s *Server) ClientAddr() string { return s.clientListeners()[0].Addr().String() }

// Alive tells whether every loop has got through its work, or has been at it for no longer than within.
func (s *Server) Alive(within time.Duration) bool {
	for name, busy := range s.loops {
		if d := busy.For(); d > within {
			said := []any{"loop", name, "busy", d}
			if name == peer.LogWriter {
				said = append(said, systemd.EventKey, systemd.SlowDisk)
			}
			s.log.Warn("a loop makes no progress", said...)
			return false
		}
	}
	return true
}

// Failed gives the error that makes it impossible to go on, if there ever is one.
func (s *Server) Failed() <-chan error { return s.failed }

// Close stops serving: no connection is accepted or kept, what has been proposed is made durable and applied, and the
// directories are released.
func (s *Server) Close(ctx context.Context) error {
	err := errors.New("daemon: closed already")
	s.closing.Do(func() { err = s.close(ctx) })
	return err
}

func (s *Server) close(ctx context.Context) error {
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		close(s.quit)
		s.clients.Retire()
		s.admin.close()
		s.pipeline.Stop()
		s.clients.Close()
		s.peer.Close()
		s.pipeline.Close()
		s.background.Wait()
		s.auditSelf(audit.ServerStop, audit.Invoked)
		err = errors.Join(s.dir.Close(), s.audit.Close())
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("daemon: stop: %w", ctx.Err())
	}
}

func (s *Server) goBackground(f func()) {
	s.background.Add(1)
	go func() {
		defer s.background.Done()
		f()
	}()
}

// maybeSnapshot starts a snapshot when enough has been logged since the last one; the log writer calls it after a sync.
// While one is being written no other is begun.
func (s *Server) maybeSnapshot() {
	if !s.dir.SnapshotDue() || !s.snapshotting.TryLock() {
		return
	}
	s.goBackground(func() {
		defer s.snapshotting.Unlock()
		if _, _, err := s.snapshot(); err != nil {
			s.fail(err)
		}
	})
}

// snapshot writes the tree to a file while it goes on changing. Its caller holds snapshotting.
func (s *Server) snapshot() (at proto.Zxid, path string, err error) {
	begun := time.Now()
	var file *datadir.SnapshotFile
	var nodes *snapshot.Writer
	var walk *tree.Walk
	err = s.pipeline.Walk(func(w *tree.Walk) (pipeline.NodeWriter, error) {
		f, err := s.dir.CreateSnapshot(w.Zxid)
		if err != nil {
			return nil, err
		}
		file, walk, nodes = f, w, snapshot.NewWriter(f, w.Sessions, w.ACLs)
		nodes.NoLastZxid = !s.cfg.SerializeLastZxid
		return nodes, nil
	}, func() error {
		if err := nodes.Finish(walk.Zxid, walk.Digest, s.cfg.DigestEnabled); err != nil {
			return err
		}
		return file.Commit()
	})
	if err != nil {
		if file != nil {
			file.Abort()
		}
		return 0, "", fmt.Errorf("daemon: snapshot: %w", err)
	}
	s.stats.Snapshot.Observe(time.Since(begun).Milliseconds())
	s.log.Info("snapshot written", "zxid", walk.Zxid, "path", file.Path(), "took", time.Since(begun))
	return walk.Zxid, file.Path(), nil
}
