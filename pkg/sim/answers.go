package sim

import (
	"fmt"
	"slices"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
)

// An armed watch is one that a client has left, and that has not told it anything yet.
type armed struct {
	path   string
	child  bool
	absent bool // it waits for the node to be made
	at     int  // the time of the state that the client has seen
}

// answered takes the reply to the oldest request, and compares it with the history.
func (c *client) answered(h proto.ReplyHeader, d *jute.Decoder) {
	w := c.w
	if len(c.sent) == 0 || c.sent[0].xid != h.Xid {
		w.fail("%v gets a reply to %d, and has asked for %v", c, h.Xid, c.sent)
		return
	}
	r := c.sent[0]
	c.sent = c.sent[1:]
	if w.tracing() {
		w.tracef("%v gets %v at %v: %v", c, r, h.Zxid, h.Err)
	}
	w.mix(uint64(c.n), uint64(h.Xid), uint64(h.Zxid), uint64(h.Err))
	if h.Zxid < c.seen {
		w.fail("%v has seen %v, and %v is answered at %v", c, c.seen, r, h.Zxid)
		return
	}
	if !w.history.has(h.Zxid) {
		w.fail("%v: %v is answered at %v, which was not committed", c, r, h.Zxid)
		return
	}
	c.seen = h.Zxid
	i := w.history.index(h.Zxid)
	c.checkWatches(r, i)
	switch {
	case r.op == proto.OpCloseSession:
		c.answeredWrite(r, h, d)
		c.reset()
		c.disconnect()
	case r.op.IsWrite():
		c.answeredWrite(r, h, d)
	case r.op == proto.OpSync:
		c.answeredSync(r, i)
	case r.op == proto.OpSetWatches:
		c.rearmed(r, i)
	case r.op != proto.OpPing:
		c.answeredRead(r, h, d, i)
	}
}

// answeredWrite finds the txn of a write: it was committed once, behind all that was committed when it was asked for.
func (c *client) answeredWrite(r *request, h proto.ReplyHeader, d *jute.Decoder) {
	w := c.w
	w.Stats.Writes++
	i, found := w.model.asked[requestID{c.session, r.xid}]
	switch {
	case !found || w.history.committed[i-1].Zxid != h.Zxid:
		w.fail("%v: %v is answered at %v, and its txn was committed as entry %d (%v)", c, r, h.Zxid, i, found)
		return
	case i <= r.tip:
		w.fail("%v: %v takes effect as entry %d, and %d were committed before", c, r, i, r.tip)
		return
	}
	var x txn.Txn
	if err := x.Decode(w.history.committed[i-1].Bytes); err != nil {
		w.fail("%v", err)
		return
	}
	if h.Err != proto.OK {
		if x.Header.Type != proto.OpError || x.Err != h.Err {
			w.fail("%v: %v is answered by %v, and its txn is %v", c, r, h.Err, x.Header.Type)
		}
		if h.Err == proto.SessionExpired {
			w.checkRefused(c)
			c.reset()
			c.disconnect()
		}
		return
	}
	if err := c.checkWrite(r, &x, i, d); err != nil {
		w.fail("%v: %v at %v: %v", c, r, h.Zxid, err)
	}
}

// checkWrite compares a write, its txn, and its reply.
func (c *client) checkWrite(r *request, x *txn.Txn, i int, d *jute.Decoder) error {
	v := c.w.model.at(x.Path, i)
	switch r.op {
	case proto.OpCreate, proto.OpCreate2:
		path := d.String()
		want := r.path
		if r.flags == proto.FlagSequential {
			want = x.Path
			if len(x.Path) != len(r.path)+10 || x.Path[:len(r.path)] != r.path {
				return fmt.Errorf("a sequential name %s", x.Path)
			}
		}
		if path != want || string(x.Data) != r.data || x.Ephemeral != (r.flags == proto.FlagEphemeral) {
			return fmt.Errorf("it has made %s with %q", path, x.Data)
		}
		if r.op == proto.OpCreate2 {
			return checkStat(d, &v)
		}
	case proto.OpSetData:
		if string(x.Data) != r.data || x.Path != r.path {
			return fmt.Errorf("it has set %s to %q", x.Path, x.Data)
		}
		return checkStat(d, &v)
	case proto.OpDelete:
		if x.Path != r.path || v.exists {
			return fmt.Errorf("it has removed %s", x.Path)
		}
	case proto.OpMulti:
		return c.checkMulti(r, x, d)
	case proto.OpReconfig:
		if text := string(d.Buffer()); text != string(x.Data) {
			return fmt.Errorf("the members %q", text)
		}
	}
	return d.Err()
}

func (c *client) checkMulti(r *request, x *txn.Txn, d *jute.Decoder) error {
	var reply proto.MultiReply
	if err := reply.Decode(d); err != nil {
		return err
	}
	if len(reply.Results) != len(r.ops) || len(x.Subs) != len(r.ops) {
		return fmt.Errorf("%d results, %d txns", len(reply.Results), len(x.Subs))
	}
	for k := range r.ops {
		failed := x.Subs[k].Type == proto.OpError
		if failed && reply.Results[k].Err != x.Subs[k].Err {
			return fmt.Errorf("operation %d has the result %v, and its txn %v", k, reply.Results[k].Err, x.Subs[k].Err)
		}
		if !failed && x.Subs[k].Path != r.ops[k].Path {
			return fmt.Errorf("operation %d is on %s", k, x.Subs[k].Path)
		}
	}
	return nil
}

// checkStat compares a Stat with the model.
func checkStat(d *jute.Decoder, v *version) error {
	var st proto.Stat
	if err := st.Decode(d); err != nil {
		return err
	}
	if !v.exists || st.Version != v.version || st.Czxid != v.czxid || st.Mzxid != v.mzxid || st.Pzxid != v.pzxid ||
		st.EphemeralOwner != v.owner || int(st.NumChildren) != len(v.children) || st.Cversion != v.cversion ||
		int(st.DataLength) != len(v.data) {
		return fmt.Errorf("the Stat %+v of %+v", st, *v)
	}
	return nil
}

// answeredSync notes what a sync has promised. A server that does not know yet that another leads speaks for its own
// epoch: what the other has committed meanwhile it need not know.
func (c *client) answeredSync(r *request, i int) {
	w := c.w
	w.Stats.Syncs++
	want := r.tip
	for e := c.seen.Epoch() + 1; e <= w.history.highest; e++ {
		if ep := w.history.epochs[e]; ep != nil {
			want = min(want, ep.before)
		}
	}
	if i < want {
		w.fail("%v: a sync, sent when %d entries were committed, is answered at entry %d", c, want, i)
	}
}

// answeredRead compares a reply with what the model has at its zxid.
func (c *client) answeredRead(r *request, h proto.ReplyHeader, d *jute.Decoder, i int) {
	w := c.w
	w.Stats.Reads++
	v := w.model.at(r.path, i)
	if (h.Err == proto.OK) != v.exists || h.Err != proto.OK && h.Err != proto.NoNode {
		w.fail("%v: %v at %v says %v, and the node is there: %v", c, r, h.Zxid, h.Err, v.exists)
		return
	}
	var err error
	if v.exists {
		switch r.op {
		case proto.OpGetData:
			if data := string(d.Buffer()); data != v.data {
				err = fmt.Errorf("data %q, want %q", data, v.data)
			}
		case proto.OpGetChildren2:
			names := proto.DecodeStrings(d, nil)
			slices.Sort(names)
			if !slices.Equal(names, v.children) {
				err = fmt.Errorf("children %v, want %v", names, v.children)
			}
		}
		if err == nil && r.path != "/" { // what the root had before there was any history
			err = checkStat(d, &v)
		}
	}
	if err != nil {
		w.fail("%v: %v at %v: %v", c, r, h.Zxid, err)
		return
	}
	if r.watch && (v.exists || r.op == proto.OpExists) {
		c.arm(&armed{path: r.path, child: r.op == proto.OpGetChildren2, absent: !v.exists, at: i})
	}
}

// arm notes a watch; one that is there already stays as it is.
func (c *client) arm(a *armed) {
	for _, b := range c.watches {
		if b.path == a.path && b.child == a.child {
			b.at, b.absent = a.at, a.absent
			return
		}
	}
	c.w.Stats.Watches++
	c.watches = append(c.watches, a)
}

// checkWatches fails if a reply shows a change that a watch should have told of before. (A reply to setWatches is
// looked at by rearmed.)
func (c *client) checkWatches(r *request, i int) {
	if r.op == proto.OpSetWatches || c.rearming() {
		return
	}
	for _, a := range c.watches {
		if at := c.w.model.firstChange(a.path, a.child, a.at); at != 0 && at <= i {
			c.w.fail("%v: %v is answered at entry %d, and the watch of %s (child %v, since %d) has not told of %d",
				c, r, i, a.path, a.child, a.at, at)
			return
		}
	}
}

// rearming tells whether the watches were asked for on a new connection, and there is no answer yet.
func (c *client) rearming() bool {
	return slices.ContainsFunc(c.sent, func(r *request) bool { return r.op == proto.OpSetWatches })
}

// rearm asks for the watches again on a new connection.
func (c *client) rearm() {
	if len(c.watches) > 0 {
		c.send(&request{op: proto.OpSetWatches, watches: slices.Clone(c.watches), since: c.seen})
	}
}

// rearmed takes the answer: the watches that are left stand for the present state.
func (c *client) rearmed(r *request, i int) {
	for _, a := range c.watches {
		if a.absent {
			if c.w.model.at(a.path, i).exists {
				c.w.fail("%v waits for %s, which is there at %d, and is not told", c, a.path, i)
				return
			}
		} else if at := c.w.model.firstChange(a.path, a.child, a.at); at != 0 && at <= i {
			c.w.fail("%v watches %s (child %v, since %d) again at %d, and is not told of %d", c, a.path, a.child, a.at, i, at)
			return
		}
		a.at = i
	}
}

// notified takes an event: it is the first change since a watch was left.
func (c *client) notified(z proto.Zxid, d *jute.Decoder) {
	w := c.w
	var e proto.WatcherEvent
	if err := e.Decode(d); err != nil {
		w.fail("%v: %v", c, err)
		return
	}
	if w.tracing() {
		w.tracef("%v is told %v of %s at %v", c, e.Type, e.Path, z)
	}
	w.mix(0xee, uint64(c.n), uint64(e.Type), uint64(z))
	found := false
	c.watches = slices.DeleteFunc(c.watches, func(a *armed) bool {
		if a.path != e.Path || !a.concerns(e.Type) {
			return false
		}
		found = true
		if z >= 0 {
			i := w.history.index(z)
			if at := w.model.firstChange(a.path, a.child, a.at); !w.history.has(z) || at != i {
				w.fail("%v: the watch of %s (child %v, since %d) tells of %v (entry %d), and %d was the first change",
					c, a.path, a.child, a.at, z, i, at)
			}
		} else if w.model.firstChange(a.path, a.child, a.at) == 0 {
			w.fail("%v: the watch of %s (child %v, since %d) tells of a change, and there is none", c, a.path, a.child, a.at)
		}
		return true
	})
	if !found && !(z < 0 && e.Type == proto.EventDeleted && c.asksAgain(e.Path)) {
		w.fail("%v is told %v of %s at %v, and does not watch it", c, e.Type, e.Path, z)
	}
}

// asksAgain tells whether a request for the watches of a path is under way: of two that a removal uses up each is told.
func (c *client) asksAgain(path string) bool {
	for _, r := range c.sent {
		if slices.ContainsFunc(r.watches, func(a *armed) bool { return a.path == path }) {
			return true
		}
	}
	return false
}

// concerns tells whether an event uses up the watch.
func (a *armed) concerns(t proto.EventType) bool {
	switch t {
	case proto.EventChildrenChanged:
		return a.child
	case proto.EventDeleted:
		return true
	}
	return !a.child
}

// checkRefused: only a session that has ended is refused, or one whose end is on its way.
func (w *World) checkRefused(c *client) {
	if c.began && !w.history.closing[c.session] {
		w.fail("%v: session %x is refused by %v, and its end was not proposed", c, c.session, c.host)
	}
	w.Stats.Refused++
}

// checkNewSession: a session that is acknowledged was committed, and is nobody else's.
func (w *World) checkNewSession(c *client, id int64) {
	if s := w.model.sessions[id]; s == nil {
		w.fail("%v gets session %x, which was not committed", c, id)
	}
	for _, o := range w.clients {
		if o != c && o.session == id {
			w.fail("%v gets session %x, which %v has", c, id, o)
		}
	}
}
