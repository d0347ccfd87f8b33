package daemon

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
	"github.com/zabd/zabd/pkg/snapshot"
	"github.com/zabd/zabd/pkg/tree"
	"github.com/zabd/zabd/pkg/txn"
)

// nearlyOverflown writes a snapshot with the node /over, below which nearly 2^31 nodes have been made.
func nearlyOverflown(t *testing.T, dir string) {
	t.Helper()
	writeSnapshot(t, dir, []string{"/over"}, func(path string, st *proto.StatPersisted) {
		if path == "/over" {
			st.Cversion = math.MaxInt32 - 2
		}
	})
}

// writeSnapshot writes a snapshot with empty nodes at zxid 2, as change leaves them.
func writeSnapshot(t *testing.T, dir string, paths []string, change func(path string, st *proto.StatPersisted)) {
	t.Helper()
	var r tree.Result
	tr := tree.New()
	for i, path := range paths {
		tr.Apply(&txn.Txn{
			Header: txn.Header{Zxid: 2, Type: proto.OpCreate},
			Body:   txn.Body{Path: path, Data: []byte{}, ACL: proto.WorldAll(), ParentCVersion: int32(i) + 1},
		}, &r)
	}
	if err := os.MkdirAll(filepath.Join(dir, "version-2"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "version-2", snapshot.FileName(2)))
	if err != nil {
		t.Fatal(err)
	}
	walk := tr.NewWalk()
	w := snapshot.NewWriter(f, nil, walk.ACLs)
	walk.Next(100, func(path string, data []byte, acl int64, st *proto.StatPersisted) {
		change(path, st)
		w.Node(path, data, acl, st)
	})
	if err := errors.Join(w.Flush(), w.Finish(2, 0, false), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func passwordOf(id int64) []byte {
	pw := session.Password(id)
	return pw[:]
}

func (p *player) expectWelcome(c *playedConn, want []byte) error {
	if len(want) < 40 {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("answer %q (%v), want %q", got, err, want)
		}
		return nil
	}
	got, err := readReply(c)
	if err != nil {
		return fmt.Errorf("no answer to the handshake: %w", err)
	}
	var w, g proto.ConnectResponse
	wd, gd := jute.NewDecoder(want[4:]), jute.NewDecoder(got)
	if err := w.Decode(&wd); err != nil {
		return err
	}
	if err := g.Decode(&gd); err != nil {
		return err
	}
	if w.Timeout != g.Timeout || w.ReadOnly != g.ReadOnly || w.HasReadOnly != g.HasReadOnly || (w.SessionID == 0) != (g.SessionID == 0) {
		return fmt.Errorf("handshake %+v, want %+v", g, w)
	}
	if w.SessionID == 0 {
		return nil
	}
	if !bytes.Equal(w.Password, passwordOf(w.SessionID)) || !bytes.Equal(g.Password, passwordOf(g.SessionID)) {
		return fmt.Errorf("passwords %x of %x and %x of %x are not what their sessions' ids give", w.Password, w.SessionID, g.Password, g.SessionID)
	}
	c.session = w.SessionID
	p.sessions[w.SessionID], p.passwords[w.SessionID] = g.SessionID, bytes.Clone(g.Password)
	if p.played > 2 {
		p.resync = true // the recorded server may have expired sessions meanwhile
	}
	return nil
}

// sameZxid compares zxids as steps. What was not played, and an undecodable write, which takes a zxid of its own here,
// begin a new count.
func (p *player) sameZxid(op proto.Op, want, got int64, code proto.Code) error {
	if want <= 0 {
		if want != got {
			return fmt.Errorf("zxid %d, want %d", got, want)
		}
		return nil
	}
	undecodable := p.freshZxid && code == proto.MarshallingError && op.IsWrite()
	if p.resync || undecodable {
		p.resync, p.shift = undecodable, got-want
	}
	p.zxids[want] = got
	if got != want+p.shift {
		shift := p.shift
		p.shift = got - want
		return fmt.Errorf("zxid %#x, want %#x (shifted by %d)", got, want, shift)
	}
	return nil
}

// sameRecord compares what follows the header of a reply to op.
func sameRecord(op proto.Op, want, got []byte) error {
	w, err := normal(op, want)
	if err != nil {
		return fmt.Errorf("recorded %v %x: %w", op, want, err)
	}
	g, err := normal(op, got)
	if err != nil {
		return fmt.Errorf("answered %v %x: %w", op, got, err)
	}
	if w != g {
		return fmt.Errorf("%v answered\n%s, want\n%s", op, g, w)
	}
	return nil
}

// normal prints a record without what a second run cannot have in common: zxids, times, session ids, the order of
// children and of ids.
func normal(op proto.Op, b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	d := jute.NewDecoder(b)
	switch op {
	case proto.OpNotification:
		var e proto.WatcherEvent
		err := e.Decode(&d)
		return fmt.Sprintf("%+v", e), err
	case proto.OpCreate:
		var r proto.PathReply
		err := r.Decode(&d)
		return r.Path, err
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		var r proto.CreateReply
		err := r.Decode(&d)
		return r.Path + statText(r.Stat), err
	case proto.OpExists, proto.OpSetData, proto.OpSetACL:
		var r proto.Stat
		err := r.Decode(&d)
		return statText(r), err
	case proto.OpGetData, proto.OpReconfig:
		var r proto.DataReply
		err := r.Decode(&d)
		return fmt.Sprintf("%x %v %s", r.Data, r.Data == nil, statText(r.Stat)), err
	case proto.OpGetACL:
		var r proto.ACLReply
		err := r.Decode(&d)
		return fmt.Sprintf("%+v %s", r.ACL, statText(r.Stat)), err
	case proto.OpGetChildren, proto.OpGetEphemerals:
		var r proto.ChildrenReply
		err := r.Decode(&d)
		slices.Sort(r.Names)
		return fmt.Sprint(r.Names), err
	case proto.OpGetChildren2:
		var r proto.Children2Reply
		err := r.Decode(&d)
		slices.Sort(r.Names)
		return fmt.Sprint(r.Names, statText(r.Stat)), err
	case proto.OpWhoAmI:
		var r proto.IDsReply
		err := r.Decode(&d)
		slices.SortFunc(r.IDs, func(a, b proto.ID) int { return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.ID, b.ID)) })
		return fmt.Sprint(r.IDs), err
	case proto.OpMulti, proto.OpMultiRead:
		return normalMulti(&d)
	}
	return fmt.Sprintf("%x", b), nil
}

func normalMulti(d *jute.Decoder) (string, error) {
	var r proto.MultiReply
	err := r.Decode(d)
	out := ""
	for _, m := range r.Results {
		slices.Sort(m.Names)
		out += fmt.Sprintf("%v %v %s %x %v %v %s\n", m.Type, m.Err, m.Path, m.Data, m.Data == nil, m.Names, statText(m.Stat))
	}
	return out, err
}

// statText has a Stat's counts, and of its zxids whether they are the same.
func statText(s proto.Stat) string {
	return fmt.Sprintf("{v%d c%d a%d len %d kids %d ephemeral %v made=modified %v, modified=children %v, made=children %v}",
		s.Version, s.Cversion, s.Aversion, s.DataLength, s.NumChildren, s.EphemeralOwner != 0,
		s.Czxid == s.Mzxid, s.Mzxid == s.Pzxid, s.Czxid == s.Pzxid)
}
