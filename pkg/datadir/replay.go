package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// replay applies the log behind a snapshot.
type replay struct {
	d    *Dir
	rec  *Recovered
	base base
	last proto.Zxid // applied, or that of the snapshot

	txn     txn.Txn
	result  tree.Result
	recent  recent
	compare bool // digests count: the tree has been exact since the snapshot's digest was taken

	agreed bool   // the tree was what the last digest says, whether it counts or not
	joint  *joint // in front of the next entry; nil if there is none
	doubt  *joint // at which the next digest tells whether entries are missing

	again  string   // the last file that has entries once more
	empty  []string // files without any entry, at the end of the log
	newest string   // the last file with entries
	lastAt int64    // where its last entry begins, and where it ends
	endAt  int64
}

// startDigests compares the tree with the digest of its snapshot. If that was taken later than the snapshot was begun,
// the comparison must wait until the log has come so far; the tree is between two states until then.
func (p *replay) startDigests() {
	tr := &p.base.trailer
	if p.wantsDigests() && tr.DigestZxid == p.base.zxid {
		p.check(tr.DigestZxid, tr.Digest, "the snapshot")
		p.compare = true
	}
	p.agreed = p.base.zxid == 0 || p.compare && p.rec.DigestMismatches == 0
}

func (p *replay) wantsDigests() bool {
	tr := &p.base.trailer
	return p.d.o.Digest && tr.HasDigest && tr.DigestVersion == txn.DigestVersion && tr.DigestZxid > 0
}

func (p *replay) check(z proto.Zxid, want uint64, of string) {
	got := p.rec.Tree.Digest()
	if got == want {
		return
	}
	if p.rec.DigestMismatches == 0 {
		p.rec.warn("the digest of the tree at %v is %d, that of %s %d", z, got, of, want)
	}
	p.rec.DigestMismatches++
}

// run reads the files that can hold entries behind the snapshot.
func (p *replay) run(logs []found) error {
	logs, err := p.stripEmpty(logs)
	if err != nil {
		return err
	}
	logs = concerned(logs, p.base.zxid)
	for i := range logs {
		if err := p.file(logs[i].path, i == len(logs)-1); err != nil {
			return err
		}
	}
	return nil
}

// stripEmpty leaves out the files at the end that hold nothing: their writer died before anything was durable.
func (p *replay) stripEmpty(logs []found) ([]found, error) {
	for len(logs) > 0 {
		path := logs[len(logs)-1].path
		r, err := txnlog.Open(p.d.fs, path, p.d.o.MaxRecord)
		if err != nil {
			return nil, damage(path, err)
		}
		_, err = r.Next()
		end, _ := r.End()
		_ = r.Close()
		switch {
		case err == nil || errors.Is(err, io.EOF) && end != txnlog.EndClean:
			return logs, nil
		case !errors.Is(err, io.EOF):
			return nil, damage(path, err)
		}
		p.empty = append(p.empty, path)
		logs = logs[:len(logs)-1]
	}
	return logs, nil
}

// damage wraps what is wrong with a file, and leaves what is wrong with the disk.
func damage(path string, err error) error {
	var disk *DiskError
	if errors.As(err, &disk) {
		return err
	}
	return &DamageError{path, err}
}

func (p *replay) file(path string, newest bool) error {
	r, err := txnlog.Open(p.d.fs, path, p.d.o.MaxRecord)
	if err != nil {
		return damage(path, err)
	}
	defer r.Close()
	if r.Size() == 0 {
		return &DamageError{path, &txnlog.CorruptError{Path: path, Reason: "it is empty, and others follow it"}}
	}
	seen := p.last // the newest in the file or before it, replayed or not
	for {
		at := r.Offset()
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return p.end(r, path, newest, seen)
		}
		if err != nil {
			return damage(path, err)
		}
		seen = e.Zxid
		p.lastAt = at
		if !above(e.Zxid, p.base.zxid) || p.repeated(path, at, e) {
			continue
		}
		if err := p.follows(path, at, e.Zxid); err != nil {
			return err
		}
		if err := p.entry(e); err != nil {
			return &DamageError{path, &txnlog.CorruptError{Path: path, Offset: at, Reason: err.Error()}}
		}
		if err := p.settleDoubt(); err != nil {
			return err
		}
	}
}

// repeated tells whether an entry stands in the log once more: a server of ZooKeeper that has lost its
// leader while it was brought up logs what it is sent by the next one, though it has it. Only the very same entry is that;
// anything else is another history.
func (p *replay) repeated(path string, at int64, e txn.Entry) bool {
	if above(e.Zxid, p.last) || !p.recent.has(e) {
		return false
	}
	if p.again != path {
		p.again = path
		p.rec.warn("%s has %v again at offset %d, and perhaps more behind it: what was applied is passed over", path, e.Zxid, at)
	}
	return true
}

// follows checks that no entry is missing in front of one that stands at an offset.
func (p *replay) follows(path string, at int64, z proto.Zxid) error {
	if txnlog.Follows(p.last, z) {
		return p.cross(z)
	}
	reason := fmt.Sprintf("entries are missing between %v and %v", p.last, z)
	switch {
	case above(p.last, z):
		reason = fmt.Sprintf("%v stands behind %v", z, p.last)
	case p.joint != nil:
		reason += fmt.Sprintf(" (%v)", p.joint)
	}
	return &DamageError{path, &txnlog.CorruptError{Path: path, Offset: at, Reason: reason}}
}

func (p *replay) entry(e txn.Entry) error {
	if err := p.txn.Decode(e.Bytes); err != nil {
		return err
	}
	p.rec.Tree.Apply(&p.txn, &p.result)
	p.last = e.Zxid
	p.rec.Replayed++
	p.digests()
	if p.txn.Header.Type == proto.OpCheck {
		// ZooKeeper before 3.9.3 logs a check that stands alone and then cannot read its own log. It changes nothing;
		// a learner gets what 3.9.5 makes of it.
		refused := txn.Txn{Header: p.txn.Header}
		refused.Header.Type, refused.Err = proto.OpError, proto.Unimplemented
		e = refused.Entry()
	}
	p.recent.add(e, p.d.o.CommitLog)
	return nil
}

func (p *replay) digests() {
	tr, t := &p.base.trailer, &p.txn
	switch {
	case p.compare && t.HasDigest && t.Digest.Version == txn.DigestVersion:
		p.check(t.Zxid, t.Digest.Tree, "its txn")
	case !p.compare && p.wantsDigests() && t.Zxid == tr.DigestZxid:
		p.check(t.Zxid, tr.Digest, "the snapshot")
		p.compare = true
	}
}

// end decides about the place where a file's entries end.
func (p *replay) end(r *txnlog.Reader, path string, newest bool, seen proto.Zxid) error {
	end, reason := r.End()
	bad := &DamageError{path, &txnlog.CorruptError{Path: path, Offset: r.Offset(), Reason: reason}}
	if r.Entries() > 0 {
		p.newest, p.endAt = path, r.Offset()
	}
	torn := true
	if end != txnlog.EndClean {
		var err error
		if torn, err = r.Torn(p.d.o.MaxBatch, seen); err != nil {
			return err
		}
	}
	switch {
	case !newest && end == txnlog.EndDamaged, newest && !torn:
		return bad
	case !newest: // if anything is missing, the next entry tells
		p.joint = &joint{path, r.Offset(), reason, torn}
		return nil
	case end != txnlog.EndClean:
		p.rec.warn("%s is torn at offset %d (%s); it is cut there", path, r.Offset(), reason)
	}
	if r.Entries() == 0 {
		p.empty = append(p.empty, path)
	}
	return nil
}

// repair makes the files what was found in them, durably.
func (p *replay) repair() error {
	files := p.d.fs
	for _, path := range p.empty {
		p.rec.warn("%s holds no entry and is removed", path)
		if err := files.Remove(path); err != nil {
			return &DiskError{Op: "remove", Path: path, Err: err}
		}
	}
	for _, path := range p.base.ahead {
		// Once the log goes on with other entries, this snapshot would seem complete.
		aside := filepath.Join(filepath.Dir(path), asidePrefix+filepath.Base(path))
		if err := files.Rename(path, aside); err != nil {
			return &DiskError{Op: "rename", Path: path, Err: err}
		}
	}
	if err := errors.Join(p.d.syncDir(p.d.snapDir), p.d.syncDir(p.d.logDir)); err != nil {
		return err
	}
	if p.newest == "" {
		return nil
	}
	f, err := files.Edit(p.newest)
	if err != nil {
		return &DiskError{Op: "open", Path: p.newest, Err: err}
	}
	if err = errors.Join(p.settle(f), f.Close()); err != nil {
		return &DiskError{Op: "repair", Path: p.newest, Err: err}
	}
	return nil
}

// settle cuts a file behind its last entry, and makes the last batch durable. It may have been read from the cache of a
// system whose disk refused it when the server before this one synced, so it is written again: another sync alone would
// prove nothing. New entries go to a new file.
func (p *replay) settle(f vfs.File) error {
	from := max(min(p.lastAt, p.endAt-int64(p.d.o.MaxBatch)), 0)
	b := make([]byte, p.endAt-from)
	if n, err := f.ReadAt(b, from); n < len(b) {
		return err
	}
	if _, err := f.WriteAt(b, from); err != nil {
		return err
	}
	if err := f.Truncate(p.endAt); err != nil {
		return err
	}
	return f.Sync()
}

// recent keeps the newest entries, in buffers that it uses again.
type recent struct {
	ring []txn.Entry
	next int
}

func (r *recent) add(e txn.Entry, limit int) {
	if len(r.ring) < limit {
		r.ring = append(r.ring, txn.Entry{Zxid: e.Zxid, Bytes: append([]byte(nil), e.Bytes...)})
		return
	}
	slot := &r.ring[r.next]
	slot.Zxid, slot.Bytes = e.Zxid, append(slot.Bytes[:0], e.Bytes...)
	r.next = (r.next + 1) % len(r.ring)
}

// has tells whether an entry is one of those that are kept.
func (r *recent) has(e txn.Entry) bool {
	return slices.ContainsFunc(r.ring, func(k txn.Entry) bool { return k.Zxid == e.Zxid && bytes.Equal(k.Bytes, e.Bytes) })
}

// take returns the entries in order.
func (r *recent) take() []txn.Entry {
	return append(r.ring[r.next:len(r.ring):len(r.ring)], r.ring[:r.next]...)
}
