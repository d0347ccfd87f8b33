package sim

import (
	"errors"

	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/vfs"
	"github.com/zabd/zabd/pkg/zab"
)

// A job is what the log worker does in one go, in order: it appends entries, or changes the disk in another way.
type job struct {
	entries []txn.Entry
	store   zab.Store
}

func (p *process) addJob(j job) {
	p.jobs = append(p.jobs, j)
	p.work()
}

// addStore hands a change of the disk to the worker, which answers it.
func (p *process) addStore(s zab.Store) {
	switch s := s.(type) {
	case zab.Truncate:
		p.w.history.truncating(p, s.To)
	case zab.Install:
		p.w.history.installing(p, s)
	case zab.AppendBehind:
		p.w.history.appended(p, s.Entries)
	}
	p.addJob(job{store: s})
}

// work begins the next job: it takes all entries that wait, for they are synced once.
func (p *process) work() {
	if p.working || len(p.jobs) == 0 {
		return
	}
	p.working = true
	j := p.jobs[0]
	p.jobs = p.jobs[1:]
	for j.store == nil && len(p.jobs) > 0 && p.jobs[0].store == nil {
		j.entries = append(j.entries, p.jobs[0].entries...)
		p.jobs = p.jobs[1:]
	}
	d := p.w.between(p.w.profile.disk/4, p.w.profile.disk)
	if p.h.slow > 0 {
		d += p.w.upTo(p.h.slow)
	}
	p.after(max(d, p.h.disksAt-p.w.now), func() {
		p.working = false
		if p.survives(p.do(j)) {
			p.work()
		}
	})
}

// survives tells whether the disk has done what was asked. When it crashes everything does.
func (p *process) survives(err error) bool {
	switch {
	case errors.Is(err, vfs.ErrCrashed):
		p.w.Stats.CrashesOfDisk++
		p.h.crash(p.w.chance(2))
	case err != nil:
		p.w.fail("%v: %v", p, err)
	}
	return !p.dead && p.w.err == nil
}

func (p *process) do(j job) error {
	switch s := j.store.(type) {
	case nil:
		return p.write(j.entries)
	case zab.AppendBehind:
		if err := p.write(s.Entries); err != nil {
			return err
		}
		p.post(zab.Stored{})
	case zab.SaveEpochs:
		if err := p.dir.SaveEpochs(s.Accepted, s.Current); err != nil {
			return err
		}
		p.post(zab.Stored{})
	case zab.Truncate:
		return p.truncate(s)
	case zab.Install:
		return p.install(s)
	case zab.SaveNext, zab.Activate:
		p.h.carryMembers(s)
		p.post(zab.Stored{})
	}
	return nil
}

// write makes entries durable.
func (p *process) write(es []txn.Entry) error {
	last := es[len(es)-1].Zxid
	p.h.written = max(p.h.written, last)
	if err := p.dir.Append(es); err != nil {
		return err
	}
	if err := p.dir.Sync(); err != nil {
		return err
	}
	p.h.durable = last
	p.w.mix(0xd15c, uint64(p.h.id), uint64(last))
	p.post(zab.Synced{Zxid: last})
	if p.dir.SnapshotDue() && p.service.open {
		p.startSnapshot()
	}
	return nil
}

// truncate cuts the log, and rebuilds the tree if that is asked for.
func (p *process) truncate(s zab.Truncate) error {
	p.h.durable = min(p.h.durable, s.To)
	last, base, err := p.dir.Truncate(s.To)
	if err != nil {
		return err
	}
	in := zab.Stored{Last: last, NoBase: !base}
	if base && s.Rebuild {
		rec, err := p.dir.Reload()
		if err != nil {
			return err
		}
		in.Tree = rec.Tree
		p.w.Stats.Rebuilt++
	}
	p.w.Stats.Truncations++
	if !base {
		p.w.Stats.NoBase++
	}
	p.post(in)
	return nil
}

// install applies entries to a received tree, and puts it in the place of all that is on the disk.
func (p *process) install(s zab.Install) error {
	t := s.Tree.(*tree.Tree)
	var x txn.Txn
	var res tree.Result
	for _, e := range s.Entries {
		if err := x.Decode(e.Bytes); err != nil {
			return err
		}
		t.Apply(&x, &res)
	}
	t.Advance(s.Zxid)
	p.h.installing = s.Zxid
	if err := p.dir.Restore(t); err != nil {
		return err
	}
	if !p.w.history.has(s.Zxid) {
		p.w.Stats.TailsInstalled++
	}
	p.h.durable, p.h.written, p.h.installing = s.Zxid, s.Zxid, 0
	p.post(zab.Stored{})
	return nil
}
