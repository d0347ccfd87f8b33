package sim

import "time"

// A fault is a kind of what goes wrong.
type fault int

const (
	faultCrash     fault = iota // a process, or its machine
	faultCrashLead              // that of the leader
	faultAtEffect               // between two effects of one step
	faultAtDisk                 // in the middle of a change of the disk
	faultInSync                 // of a server that synchronises
	faultAll                    // all machines lose power
	faultPartition              // silent, both ways
	faultOneWay                 // silent, one way
	faultCutLeader              // the leader from all others
	faultReset                  // connections are reset
	faultSlowNet                //
	faultSlowDisk               //
	faultHungDisk               //
	faultPause                  // SIGSTOP
	faultClock                  // the wall clock jumps
	faultWipe                   // a server loses its data
	faultMove                   // clients go elsewhere
	faultSnapshot               // not a fault: an operator wants one, or old ones removed
	faultMembers                // likewise: other members are asked for
	faultKinds                  // how many there are
)

// planFaults puts the faults of the world on its agenda.
func (w *World) planFaults() {
	at := w.between(300*time.Millisecond, time.Second)
	for at < w.profile.length {
		w.after(at, w.anyFault)
		at += w.upTo(2 * w.profile.every)
	}
}

// anyFault lets something go wrong.
func (w *World) anyFault() {
	total := 0
	for _, n := range w.profile.weights {
		total += n
	}
	if total == 0 || w.calm {
		return
	}
	k := w.rng.IntN(total)
	for f, n := range w.profile.weights {
		if k -= n; k < 0 {
			w.strike(fault(f))
			return
		}
	}
}

func (w *World) strike(f fault) {
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	leader := w.leader()
	if leader != nil && w.chance(3) {
		h = leader.h
	}
	if w.tracing() {
		w.tracef("fault %d at %v", f, h)
	}
	w.mix(0xfa, uint64(f), uint64(h.id))
	switch f {
	case faultCrash:
		h.crash(w.chance(2))
	case faultCrashLead:
		if leader != nil {
			leader.h.crash(w.chance(2))
		}
	case faultAtEffect:
		if h.p != nil {
			h.p.crashIn = 1 + w.rng.IntN(20)
		}
	case faultAtDisk:
		h.disk.CrashAt(h.disk.Ops() + 1 + w.rng.IntN(12))
	case faultInSync:
		w.crashInSync(20)
	case faultAll:
		for _, h := range w.hosts {
			w.after(w.upTo(2*time.Millisecond), func() { h.crash(true) })
		}
	case faultPartition, faultOneWay, faultCutLeader:
		w.partition(f, h)
	case faultReset:
		for _, c := range w.net.conns {
			if c[0].place == h.place || c[1].place == h.place {
				if (c[0].open || c[1].open) && w.chance(2) {
					c[0].reset()
				}
			}
		}
	case faultSlowNet:
		w.net.slow = w.upTo(30 * time.Millisecond)
		w.after(w.upTo(500*time.Millisecond), func() { w.net.slow = 0 })
	case faultSlowDisk:
		w.slowDown(h, w.upTo(60*time.Millisecond), w.upTo(800*time.Millisecond))
	case faultHungDisk:
		h.disksAt = w.now + w.upTo(1500*time.Millisecond)
	case faultPause:
		w.pause(h)
	case faultClock:
		h.wall += w.between(-time.Minute, time.Minute)
		w.Stats.ClockJumps++
	case faultWipe:
		w.wipe(h)
	case faultMove:
		for _, c := range w.clients {
			if w.chance(2) {
				c.disconnect()
			}
		}
	case faultSnapshot:
		w.housekeeping(h)
	case faultMembers:
		w.changeMembers()
	}
}

// leader returns a process that leads and serves: of several the one of the latest epoch.
func (w *World) leader() *process {
	var found *process
	for _, h := range w.hosts {
		if p := h.p; p != nil && p.leads > 0 && p.serves && p.node.Leader() == h.id {
			if found == nil || p.node.Epoch() > found.node.Epoch() {
				found = p
			}
		}
	}
	return found
}

// crashInSync waits for a server that is about to be brought to its leader's history, and crashes it.
func (w *World) crashInSync(tries int) {
	for k := range w.hosts {
		h := w.hosts[len(w.hosts)-1-k] // the larger ids lead more often
		if h.p != nil && h.p.synchronising() && w.chance(2) {
			h.p.crashIn = 1 + w.rng.IntN(8)
			if w.chance(2) {
				h.disk.CrashAt(h.disk.Ops() + 1 + w.rng.IntN(15))
			}
			return
		}
	}
	if tries > 0 && !w.calm {
		w.after(w.upTo(10*time.Millisecond), func() { w.crashInSync(tries - 1) })
	}
}

// partition blocks ways between hosts, and frees them later. Clients reach everyone.
func (w *World) partition(f fault, h *host) {
	n := len(w.hosts)
	side := make([]bool, n)
	if f == faultCutLeader || w.chance(2) {
		if l := w.leader(); f == faultCutLeader && l != nil {
			h = l.h
		}
		side[h.place] = true
	} else {
		for i := range side {
			side[i] = w.chance(2)
		}
	}
	there, back := true, f != faultOneWay
	if f == faultOneWay && w.chance(2) {
		there, back = false, true
	}
	for i := range n {
		for j := range n {
			if side[i] && !side[j] {
				w.net.block(i, j, there || w.net.blocked[i][j])
				w.net.block(j, i, back || w.net.blocked[j][i])
			}
		}
	}
	w.Stats.Partitions++
	if f == faultOneWay {
		w.Stats.OneWay++
	}
	w.after(w.between(50*time.Millisecond, 1500*time.Millisecond), func() {
		for i := range n {
			for j := range n {
				if side[i] != side[j] {
					w.net.block(i, j, false)
				}
			}
		}
	})
}

// pause stops a process, and lets it go on later.
func (w *World) pause(h *host) {
	p := h.p
	if p == nil || p.stopped {
		return
	}
	p.stop()
	d := w.upTo(w.profile.syncLimit)
	if w.chance(2) {
		d += w.upTo(time.Second)
	}
	w.after(d, p.cont)
}

// wipe takes a voter's data away, if all others have theirs: more the protocol does not promise to survive.
func (w *World) wipe(h *host) {
	if w.chance(2) { // and whoever is left has a hard time
		d := w.upTo(400 * time.Millisecond)
		for _, o := range w.hosts {
			if o != h {
				w.slowDown(o, d, time.Second)
			}
		}
	}
	w.after(w.upTo(200*time.Millisecond), func() {
		for _, o := range w.hosts {
			if o.voter() && (o.p == nil || o.p.node.Logged() < 0 || !o.p.serves) {
				return
			}
		}
		if h.p != nil && !w.calm {
			w.Stats.Crashes++
			h.kill(w.chance(2))
			h.wipe()
			w.slowDown(h, w.upTo(200*time.Millisecond), time.Second)
			if w.chance(3) { // it comes back to an ensemble without a leader
				w.after(w.upTo(100*time.Millisecond), func() { w.strike(faultCrashLead) })
				w.after(w.upTo(time.Second), func() { w.crashInSync(20) })
			}
			w.after(w.between(20*time.Millisecond, w.profile.down), h.boot)
		}
	})
}

// slowDown makes a disk slow for a time.
func (w *World) slowDown(h *host, by, d time.Duration) {
	h.slow = by
	w.after(d, func() { h.slow = 0 })
}

// housekeeping writes a snapshot, or removes old ones.
func (w *World) housekeeping(h *host) {
	p := h.p
	if p == nil {
		return
	}
	if w.chance(2) {
		p.startSnapshot()
		return
	}
	w.Stats.Purges++
	_, err := p.dir.Purge(1 + w.rng.IntN(3))
	p.survives(err)
}

// calmDown ends all faults: every server runs, and all can talk.
func (w *World) calmDown() {
	w.calm, w.calmAt = true, w.now
	w.tracef("faults stop")
	w.net.heal()
	w.net.slow = 0
	for _, h := range w.hosts {
		h.slow, h.disksAt = 0, 0
		h.disk.CrashAt(0)
		if h.p != nil {
			h.p.crashIn = 0
			h.p.cont()
		}
	}
	w.after(time.Second, func() {
		w.quiet = true
		w.settle()
	})
}
