package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/vfs"
)

// A host is a machine of the ensemble: what outlives its server's process.
type host struct {
	w     *World
	id    ensemble.ID
	place int // in the network, and in World.hosts

	on         bool // has power
	disk       *vfs.Mem
	wiped      bool          // its data was lost: it may not begin anew by itself
	wall       time.Duration // what its clock shows at the world's beginning
	disksAt    time.Duration // nothing reaches the disk before
	slow       time.Duration // more time for each write
	active     *ensemble.Config
	next       *ensemble.Config // both in its configuration files, which outlive its data
	extensions uint64
	p          *process // nil while none runs
	starts     int

	// What the checkers know of the disk.
	tip     proto.Zxid // the end of its log
	durable proto.Zxid // what it has reported to be durable
	written proto.Zxid // the newest entry that was handed to the disk
	lost    proto.Zxid // what a disk that is gone had durably; 0 when its leader knows
	lostAt  time.Duration
	// While a received tree takes the place of what is on the disk, either may be found there.
	installing proto.Zxid
}

func newHost(w *World, id ensemble.ID) *host {
	h := &host{w: w, id: id, place: len(w.hosts), on: true, disk: vfs.NewMem(w.rng.Uint64())}
	h.wall = 400000*time.Hour + w.between(-time.Second, time.Second)
	h.extensions = w.profile.extensions(w, id)
	h.active = w.startsWith(id)
	return h
}

func (h *host) String() string { return fmt.Sprintf("host %d", h.id) }

// wallMillis is the clock that txns carry.
func (h *host) wallMillis() int64 { return int64((h.wall + h.w.now) / time.Millisecond) }

func (h *host) voter() bool { return h.w.history.members.IsVoter(h.id) }

// boot starts the server. A machine that was off answers again to what it no longer knows.
func (h *host) boot() {
	w := h.w
	if h.p != nil || w.err != nil {
		return
	}
	h.on = true
	w.net.kick(func(e *end) bool { return e.peer.place == h.place })
	h.starts++
	p, err := h.start()
	switch {
	case errors.Is(err, vfs.ErrCrashed):
		w.Stats.CrashesAtStart++
		w.tracef("%v crashes while it starts", h)
		h.lose()
		w.after(w.between(10*time.Millisecond, w.profile.down), h.boot)
	case err != nil:
		w.fail("%v does not start: %v", h, err)
	default:
		h.p = p
		p.begin()
	}
}

// options are how the server uses its disk.
func (h *host) options() datadir.Options {
	o := datadir.Options{
		DataDir: "/data", PreAllocSize: h.w.profile.logFile, SnapCount: h.w.profile.snapCount, CommitLog: h.w.profile.commitLog,
		SnapshotSizeFactor: h.w.profile.sizeFactor, ForceSync: true, Digest: true, NeedInitialize: h.wiped, Inline: true, Rand: h.w.rng.IntN,
	}
	if h.w.profile.twoDirs {
		o.LogDir = "/log"
	}
	return o
}

// kill ends the process at once. With power off nobody hears of it; else the kernel says so to everyone.
func (h *host) kill(powerOff bool) {
	w := h.w
	if h.p == nil {
		return
	}
	if w.tracing() {
		w.tracef("%v dies (power off: %v)", h.p, powerOff)
	}
	h.w.mix(0xdead, uint64(h.id))
	p := h.p
	w.Stats.collect(p)
	h.p, p.dead = nil, true
	if powerOff {
		h.on = false
	}
	for _, e := range p.ends {
		e.abandon(!powerOff)
	}
	h.lose()
}

// lose leaves of the disk what was durable, and any part of the rest.
func (h *host) lose() { h.disk = h.disk.Crash() }

// crash kills the process and starts it again later.
func (h *host) crash(powerOff bool) {
	if h.p == nil {
		return
	}
	h.w.Stats.Crashes++
	if h.p.synchronising() {
		h.w.Stats.CrashesInSync++
	}
	h.kill(powerOff)
	h.w.after(h.w.between(20*time.Millisecond, h.w.profile.down), h.boot)
}

// wipe empties the disk of a server that has crashed.
func (h *host) wipe() {
	h.disk = vfs.NewMem(h.w.rng.Uint64())
	h.lost, h.lostAt = h.durable, h.w.now
	h.wiped, h.tip, h.durable, h.written = true, 0, 0, 0
	h.w.Stats.Wiped++
}
