package zab

import (
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/prep"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// A past is what has gone before the first capture: a leader was elected, followers have joined it, and they have
// committed entries. Another server may be down, and returns in the capture.
type past struct {
	leader     ensemble.ID
	followers  []ensemble.ID
	returning  ensemble.ID // 0 if nobody is down
	elected    proto.Zxid  // the last zxid when the leader was elected
	end        proto.Zxid  // the last zxid when the capture begins
	kept, tail proto.Zxid  // on the disk of the third: what it shares with the others, and what it has alone
	// entries returns those up to end, and the tail. Without it they are of no content.
	entries func(*story) (shared, tail []txn.Entry)
}

// recall brings the servers to where the first capture finds them.
func (s *story) recall(p *past) {
	entries := p.entries
	if entries == nil {
		entries = anyEntries
	}
	shared, tail := entries(s)
	for _, r := range s.replicas {
		r.log, r.accepted, r.current = upTo(shared, p.elected), p.elected.Epoch(), p.elected.Epoch()
		if r.id == p.returning {
			r.log, r.accepted, r.current = append(upTo(shared, p.kept), tail...), p.kept.Epoch(), p.kept.Epoch()
		}
	}
	s.capture, s.conns = s.captures[0], map[string]LinkID{}
	for _, id := range p.followers {
		s.opened(&item{learner: id, leader: p.leader})
	}
	s.talk()
	leader := s.replicas[p.leader]
	for _, e := range shared[len(leader.log):] {
		h, err := txn.DecodeHeader(e.Bytes)
		if err != nil {
			s.t.Fatal(err)
		}
		at := leader
		if id := ensemble.ID(h.Session >> 56); slices.Contains(p.followers, id) {
			at = s.replicas[id]
		}
		at.step(Submit{[]*proto.Request{{Session: h.Session, Xid: h.Cxid, Op: h.Type}}})
		s.talk()
		leader.slots = nil
		leader.step(Propose{[]txn.Entry{e}})
		s.talk()
	}
}

func upTo(es []txn.Entry, z proto.Zxid) []txn.Entry {
	i := slices.IndexFunc(es, func(e txn.Entry) bool { return e.Zxid > z })
	if i < 0 {
		i = len(es)
	}
	return slices.Clone(es[:i])
}

// talk lets the servers hear each other, without being compared, until none has anything to do.
func (s *story) talk() {
	for busy := true; busy; {
		busy = false
		for _, id := range slices.Sorted(maps.Keys(s.replicas)) {
			r := s.replicas[id]
			for r.node != nil && (r.read() || r.write()) {
				busy = true
			}
			for _, link := range slices.Sorted(maps.Keys(r.sent)) {
				for _, p := range r.sent[link] {
					s.other(r, link).inbox = append(s.other(r, link).inbox, arrival{at: s.now, in: Received{Link: link, Packet: p}})
				}
				busy = true
				delete(r.sent, link)
			}
		}
	}
}

// other returns who is at the other end of a link.
func (s *story) other(r *replica, link LinkID) *replica {
	for _, o := range s.replicas {
		if o != r && o.open[link] {
			return o
		}
	}
	s.t.Fatalf("link %d of server %d has no other end", link, r.id)
	return nil
}

// each calls f with every zxid of the past: first those that are shared.
func (p *past) each(f func(z proto.Zxid, shared bool)) {
	for z := proto.MakeZxid(1, 1); z <= p.elected; z++ {
		f(z, true)
	}
	for z := proto.MakeZxid(p.elected.Epoch()+1, 1); z <= p.end; z++ {
		f(z, true)
	}
	for z := p.kept + 1; z <= p.tail; z++ {
		f(z, false)
	}
}

// noneEntry is an entry that changes nothing.
func noneEntry(z proto.Zxid) txn.Entry {
	x := txn.Txn{Header: txn.Header{Zxid: z, Type: proto.OpError}}
	return x.Entry()
}

// anyEntries has the zxids of the past, and nothing else that is true.
func anyEntries(s *story) (shared, tail []txn.Entry) {
	s.tale.before.each(func(z proto.Zxid, both bool) {
		if both {
			shared = append(shared, noneEntry(z))
		} else {
			tail = append(tail, noneEntry(z))
		}
	})
	return shared, tail
}

// fromTree makes the entries of the tree that is sent in the capture: it has nodes that were created and never changed,
// and sessions, of which that of the server with the higher id is the older one.
func fromTree(s *story) (shared, tail []txn.Entry) {
	type step struct {
		request proto.Request
		time    int64
	}
	steps := map[proto.Zxid]step{}
	var t *tree.Tree
	for _, it := range s.captures[0].items {
		if it.stream != nil {
			t = s.treeOf(it.stream, it.packet.Zxid)
		}
	}
	acl := proto.WorldAll()
	w := t.NewWalk()
	w.Next(1000, func(path string, data []byte, _ int64, st *proto.StatPersisted) {
		q := proto.CreateRequest{Path: path, Data: slices.Clone(data), ACL: acl}
		steps[st.Czxid] = step{proto.Request{Op: proto.OpCreate, Body: q.AppendTo(nil)}, st.Ctime}
	})
	sessions := slices.Clone(w.Sessions)
	w.Close()
	scratch := s.emptyTree()
	p := prep.New(scratch, prep.Options{Digest: true, Ensemble: true})
	var result tree.Result
	var owner int64
	s.tale.before.each(func(z proto.Zxid, both bool) {
		if !both {
			tail = append(tail, noneEntry(z))
			return
		}
		made, ok := steps[z]
		if !ok {
			last := sessions[len(sessions)-1]
			sessions = sessions[:len(sessions)-1]
			made.request = proto.Request{Op: proto.OpCreateSession, Body: []byte{0, 0, byte(last.Timeout >> 8), byte(last.Timeout)}}
			owner = last.ID
		}
		made.request.Session = owner
		e := p.Prepare(&made.request, z, made.time)
		var x txn.Txn
		if err := x.Decode(e.Bytes); err != nil || x.Header.Type == proto.OpError {
			s.t.Fatalf("%v is no entry that was made: %+v, %v", z, x, err)
		}
		scratch.Apply(&x, &result)
		shared = append(shared, e)
	})
	return shared, tail
}

// fromLog reads the log of the returning server, as it was before it came back.
func fromLog(s *story) (shared, tail []txn.Entry) {
	r, err := txnlog.Open(vfs.Disk(), filepath.Join("../../testdata", s.set, "storage/ensemble-trunc-before/data3/version-2/log.100000001"), 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return shared, tail
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Bytes = slices.Clone(e.Bytes); e.Zxid > s.tale.before.kept {
			tail = append(tail, e)
		} else {
			shared = append(shared, e)
		}
	}
}

// fromProposals takes the entries from the synchronisation in the capture. It lacks the first, which opened the session.
func fromProposals(s *story) (shared, _ []txn.Entry) {
	for _, it := range s.captures[0].items {
		if it.packet.Type == TypeProposal {
			shared = append(shared, txn.Entry{Zxid: it.packet.Zxid, Bytes: it.packet.Data})
		}
	}
	h, err := txn.DecodeHeader(shared[0].Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	x := txn.Txn{Header: txn.Header{Session: h.Session, Zxid: s.tale.before.kept, Type: proto.OpCreateSession}, Body: txn.Body{Timeout: 30000}}
	return append([]txn.Entry{x.Entry()}, shared...), nil
}
