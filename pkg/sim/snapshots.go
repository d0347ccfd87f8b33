package sim

import (
	"errors"
	"io"
	"time"

	"github.com/zabd/zabd/pkg/datadir"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/zab"
)

// walk gives a tree's nodes a few at a time, while the tree goes on changing.
func (p *process) walk(wk *tree.Walk, out *snapshot.Writer, done func()) {
	more := wk.Next(1+p.w.rng.IntN(8), out.Node)
	if err := out.Flush(); !p.survives(err) {
		return
	}
	if !more {
		wk.Close()
		done()
		return
	}
	p.after(p.w.upTo(2*time.Millisecond), func() { p.walk(wk, out, done) })
}

// startSnapshot writes a snapshot of the tree, unless one is being written.
func (p *process) startSnapshot() {
	if p.walking || !p.service.open {
		return
	}
	wk := p.tree.NewWalk()
	p.w.history.snapshot(p, wk.Zxid, wk.Digest)
	f, err := p.dir.CreateSnapshot(wk.Zxid)
	if !p.survives(err) {
		return
	}
	p.walking = true
	out := snapshot.NewWriter(f, wk.Sessions, wk.ACLs)
	p.walk(wk, out, func() {
		p.walking = false
		if p.survives(out.Finish(wk.Zxid, wk.Digest, true)) && p.survives(f.Commit()) {
			p.w.Stats.Snapshots++
		}
	})
}

// stream sends a learner the tree, or a part of the log.
func (p *process) stream(s zab.Stream) {
	l := p.links[s.Link]
	switch {
	case l == nil:
	case s.Snapshot:
		p.streamTree(l)
	default:
		p.after(p.w.upTo(p.w.profile.disk), func() { p.streamLog(l, s) })
	}
}

func (p *process) streamTree(l *link) {
	wk := p.tree.NewWalk()
	var b buffer
	out := snapshot.NewStream(&b, wk.Sessions, wk.ACLs)
	pk := zab.Packet{Type: zab.TypeSnap, Zxid: wk.Zxid}
	head := pk.AppendTo(nil)
	p.walk(wk, out, func() {
		if !p.survives(out.FinishStream()) || p.links[l.id] != l {
			return
		}
		p.w.Stats.TreesSent++
		for range p.w.rng.IntN(4) {
			l.e.send(portion, nil)
		}
		l.e.send(whole, append(head, b...))
		p.post(zab.Streamed{Link: l.id, Through: wk.Zxid})
	})
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// streamLog sends what the log's files have of a part.
func (p *process) streamLog(l *link, s zab.Stream) {
	if p.links[l.id] != l {
		return
	}
	through := s.After
	err := p.readLog(s.After, s.Through, func(e txn.Entry) {
		p.sendPacket(l.id, &zab.Packet{Type: zab.TypeProposal, Zxid: e.Zxid, Data: e.Bytes})
		p.sendPacket(l.id, &zab.Packet{Type: zab.TypeCommit, Zxid: e.Zxid})
		through = e.Zxid
	})
	if err != nil { // the files have gone meanwhile
		p.w.tracef("%v: %v", p, err)
		p.hangup(l.id)
		p.post(zab.Closed{Link: l.id})
		return
	}
	p.post(zab.Streamed{Link: l.id, Through: through})
}

// readLog calls f with the entries of a part of the log.
func (p *process) readLog(after, through proto.Zxid, f func(txn.Entry)) error {
	r, err := p.dir.ReadFrom(after)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, err := r.Next(through)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f(e)
	}
}

// find looks into the log's files for a learner's last zxid.
func (p *process) find(f zab.Find) {
	p.after(p.w.upTo(p.w.profile.disk), func() {
		plan, err := p.dir.PlanFor(f.Zxid)
		if errors.Is(err, txnlog.ErrGone) || errors.Is(err, txnlog.ErrCut) {
			plan, err = datadir.LogPlan{}, nil
		}
		if p.survives(err) {
			p.post(zab.LogFound{Link: f.Link, Usable: plan.Serves, Floor: plan.Below, Next: plan.Above})
		}
	})
}
