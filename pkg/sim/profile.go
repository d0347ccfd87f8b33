package sim

import (
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/zab"
)

// A profile is what kind of world a seed makes. Each leaves some faults out and has others often, for what only a few
// of them bring about would otherwise drown.
type profile struct {
	voters, observers, clients int
	changes                    bool          // of the members
	spares                     int           // servers that do not belong to the ensemble at first
	length                     time.Duration // until faults stop

	tick, initLimit, syncLimit time.Duration
	minNote, maxNote           time.Duration
	sessionTimeout             time.Duration

	latency time.Duration // of the network, about twice the usual
	disk    time.Duration // of a write, at most, on a good day
	turn    time.Duration // until a loop takes its next turn, at most
	apply   time.Duration // likewise, the apply loop
	think   time.Duration // between a client's requests
	retry   time.Duration // until a client tries the next server, at most
	down    time.Duration // until a server starts again, at most
	paths   int

	snapCount, commitLog int
	logFile              int64
	sizeFactor           float64
	noLogSync, twoDirs   bool
	forceSnapshot        bool
	javaLike             bool // some servers know no extension

	every   time.Duration // between faults
	weights [faultKinds]int
}

func (w *World) drawProfile() profile {
	r := w.rng
	p := profile{
		voters: []int{3, 3, 3, 4, 5, 5, 7}[r.IntN(7)], clients: 2 + r.IntN(3),
		length: w.between(3*time.Second, 6*time.Second),
		tick:   100 * time.Millisecond, initLimit: time.Second, syncLimit: 400 * time.Millisecond,
		minNote: 200 * time.Millisecond, maxNote: 1600 * time.Millisecond,
		sessionTimeout: w.between(800*time.Millisecond, 3*time.Second),
		latency:        w.between(200*time.Microsecond, 6*time.Millisecond),
		disk:           w.between(200*time.Microsecond, 8*time.Millisecond),
		turn:           w.between(10*time.Microsecond, 2*time.Millisecond),
		apply:          w.between(10*time.Microsecond, 3*time.Millisecond),
		think:          w.between(20*time.Millisecond, 120*time.Millisecond),
		retry:          w.between(20*time.Millisecond, 100*time.Millisecond),
		down:           w.between(50*time.Millisecond, time.Second),
		paths:          2 + r.IntN(5),
		snapCount:      8 + r.IntN(60), commitLog: 1 + r.IntN(40), logFile: 4096 << r.IntN(3),
		sizeFactor: []float64{0, 0, 0.33, -1}[r.IntN(4)],
		noLogSync:  r.IntN(10) == 0, forceSnapshot: r.IntN(20) == 0, twoDirs: r.IntN(3) == 0, javaLike: r.IntN(3) == 0,
		every: w.between(80*time.Millisecond, 700*time.Millisecond),
	}
	if p.voters < 7 && r.IntN(3) == 0 {
		p.observers = 1 + r.IntN(min(2, 7-p.voters))
	}
	for k := range p.weights {
		if r.IntN(3) > 0 {
			p.weights[k] = 1 + r.IntN(5)
		}
	}
	if p.changes = r.IntN(3) == 0; p.changes {
		p.spares = r.IntN(min(3, 8-p.voters-p.observers))
		p.weights[faultMembers] = 6 + r.IntN(10)
		p.weights[faultWipe] = 0 // of two voters, or of those about to vote, neither may lose its data
	} else {
		p.weights[faultMembers] = 0
	}
	return p
}

// extensions returns what a server offers to others.
func (p *profile) extensions(w *World, id ensemble.ID) uint64 {
	if p.javaLike && w.chance(2) {
		return 0
	}
	return zab.AllExtensions
}
