package offline

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// An ACL is one element of an access control list.
type ACL struct {
	Perms  string `json:"perms"` // of c, d, r, w and a
	Scheme string `json:"scheme"`
	ID     string `json:"id"`
}

func aclOf(list []proto.ACL) []ACL {
	var out []ACL
	for _, a := range list {
		perms := ""
		for _, p := range []struct {
			bit  proto.Perm
			name string
		}{{proto.PermCreate, "c"}, {proto.PermDelete, "d"}, {proto.PermRead, "r"}, {proto.PermWrite, "w"}, {proto.PermAdmin, "a"}} {
			if a.Perms&p.bit != 0 {
				perms += p.name
			}
		}
		out = append(out, ACL{perms, a.ID.Scheme, a.ID.ID})
	}
	return out
}

// An Op is what a txn, or one operation of a multi, does.
type Op struct {
	Type           string   `json:"type"`
	Path           string   `json:"path,omitempty"`
	Data           []byte   `json:"data,omitempty"` // in base64
	ACL            []ACL    `json:"acl,omitempty"`
	Ephemeral      bool     `json:"ephemeral,omitempty"`
	Version        *int32   `json:"version,omitempty"`         // of the node from here on
	ParentCVersion *int32   `json:"parent_cversion,omitempty"` // likewise
	TTL            int64    `json:"ttl_ms,omitempty"`
	Timeout        int32    `json:"timeout_ms,omitempty"`
	Error          int32    `json:"error,omitempty"` // ZooKeeper's code
	Paths          []string `json:"paths,omitempty"` // ephemerals that go with a session
	Ops            []Op     `json:"ops,omitempty"`
}

func opOf(typ proto.Op, b *txn.Body) Op {
	o := Op{
		Type: typ.String(), Path: b.Path, Data: b.Data, ACL: aclOf(b.ACL), Ephemeral: b.Ephemeral, TTL: b.TTL, Timeout: b.Timeout,
		Error: int32(b.Err), Paths: b.Paths,
	}
	switch typ {
	case proto.OpSetData, proto.OpReconfig, proto.OpCheck, proto.OpSetACL:
		o.Version = &b.Version
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		o.ParentCVersion = &b.ParentCVersion
	}
	for i := range b.Subs {
		o.Ops = append(o.Ops, opOf(b.Subs[i].Type, &b.Subs[i]))
	}
	return o
}

// String tells in a few words what the operation does, besides its type.
func (o *Op) String() string {
	var s []string
	add := func(format string, values ...any) { s = append(s, fmt.Sprintf(format, values...)) }
	if o.Path != "" {
		s = append(s, o.Path)
	}
	if o.Data != nil {
		add("%d bytes", len(o.Data))
	}
	if o.Ephemeral {
		s = append(s, "ephemeral")
	}
	if o.TTL != 0 {
		add("ttl %d ms", o.TTL)
	}
	if o.Version != nil {
		add("version %d", *o.Version)
	}
	if o.Timeout != 0 {
		add("timeout %d ms", o.Timeout)
	}
	if o.Error != 0 {
		add("%v", proto.Code(o.Error))
	}
	if len(o.Paths) > 0 {
		s = append(s, "removes "+strings.Join(o.Paths, " "))
	}
	for i := range o.Ops {
		s = append(s, "["+strings.TrimSpace(o.Ops[i].Type+" "+o.Ops[i].String())+"]")
	}
	return strings.Join(s, " ")
}

// An Entry is one txn of a log.
type Entry struct {
	Offset  int64     `json:"offset"` // of its record in the file
	Zxid    string    `json:"zxid"`
	Time    time.Time `json:"time"`    // by the leader's clock
	Session string    `json:"session"` // 0x0: a server's own
	Cxid    int32     `json:"cxid"`
	Op
	Digest  string `json:"digest,omitempty"`  // of the tree behind it
	Problem string `json:"problem,omitempty"` // why no server can apply it
}

// entryOf tells what a payload says. It is good for as long as the payload is.
func entryOf(at int64, payload []byte) *Entry {
	var x txn.Txn
	err := x.Decode(payload)
	e := &Entry{
		Offset: at, Zxid: x.Zxid.String(), Time: time.UnixMilli(x.Time).UTC(), Session: fmt.Sprintf("0x%x", uint64(x.Session)),
		Cxid: x.Cxid, Op: Op{Type: x.Header.Type.String()},
	}
	if err != nil {
		e.Problem = err.Error()
		return e
	}
	e.Op = opOf(x.Header.Type, &x.Body)
	if x.HasDigest {
		e.Digest = fmt.Sprintf("%d", x.Digest.Tree)
	}
	return e
}

// EachEntry calls f with the entries of a log file, each good for that call, up to its end or an error of f. Damage is a *txnlog.CorruptError, behind
// the entries before it.
func EachEntry(path string, f func(*Entry) error) error {
	r, err := txnlog.Open(vfs.Disk(), path, txnlog.DefaultMaxRecord)
	if err != nil {
		return err
	}
	defer r.Close()
	var last proto.Zxid
	for {
		at := r.Offset()
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			_, err := howEnded(r, path, last, true)
			return err
		}
		if err != nil {
			return err
		}
		last = e.Zxid
		if err := f(entryOf(at, e.Bytes)); err != nil {
			return err
		}
	}
}

// howEnded tells what is wrong at the end of a log that has been read: nothing, what a crash explains, or damage. It is
// stricter than a start, which cuts off entries that follow in what can have been the last batch: nobody knows whether
// those are of a crash, or whether the disk has spoilt what was acknowledged.
func howEnded(r *txnlog.Reader, path string, last proto.Zxid, newest bool) (torn string, err error) {
	end, reason := r.End()
	if end == txnlog.EndClean {
		return "", nil
	}
	ok, err := r.Torn(0, last)
	switch {
	case err != nil:
		return "", err
	case !ok:
		reason += ", and entries follow"
	case newest || end != txnlog.EndDamaged:
		return fmt.Sprintf("torn at offset %d (%s): a start cuts it there", r.Offset(), reason), nil
	default:
		reason += ", and another log follows"
	}
	return "", &txnlog.CorruptError{Path: path, Offset: r.Offset(), Reason: reason}
}

// A LogReport is what is found in a log file.
type LogReport struct {
	File    string   `json:"file"`
	Entries int      `json:"entries"`
	First   string   `json:"first,omitempty"`
	Last    string   `json:"last,omitempty"`
	Bytes   int64    `json:"bytes"` // up to the end of the last entry
	Damage  string   `json:"damage,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what a start survives
}

// Logs returns the log files that the arguments name: files, or directories.
func Logs(args []string) ([]string, error) { return find(args, txnlog.ParseName) }

// VerifyLogs reads log files, in the order that they are in, from end to end: checksums, forms, and the order of the zxids.
// The error is the first damage; the reports are complete all the same.
func VerifyLogs(files []string) (reports []LogReport, damage error) {
	var before proto.Zxid
	for i, file := range files {
		r, last, err := verifyLog(file, before, i == len(files)-1)
		if err != nil {
			r.Damage = err.Error()
			if damage == nil {
				damage = err
			}
		}
		if last != 0 {
			before = last
		}
		reports = append(reports, r)
	}
	return reports, damage
}

// verifyLog reads one file, the newest or not, which comes behind another that ends at before; 0 = none does.
func verifyLog(path string, before proto.Zxid, newest bool) (rep LogReport, last proto.Zxid, err error) {
	rep.File = path
	r, err := txnlog.Open(vfs.Disk(), path, txnlog.DefaultMaxRecord)
	if err != nil {
		return rep, 0, err
	}
	defer r.Close()
	var x txn.Txn
	for {
		at := r.Offset()
		e, err := r.Next()
		if err == nil {
			if uerr := x.Decode(e.Bytes); uerr != nil {
				return rep, last, &txnlog.CorruptError{Path: path, Offset: at, Reason: uerr.Error()}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			torn, err := howEnded(r, path, last, newest)
			if torn != "" {
				rep.Notes = append(rep.Notes, torn)
			}
			return rep, last, err
		case err != nil:
			return rep, last, err
		case rep.Entries == 0:
			rep.First = e.Zxid.String()
			if before != 0 && !txnlog.Follows(before, e.Zxid) {
				// As after a snapshot from a leader: a start from a newer snapshot does not mind.
				rep.Notes = append(rep.Notes, fmt.Sprintf("does not go on behind %v", before))
			}
		case !txnlog.Follows(last, e.Zxid):
			return rep, last, &txnlog.CorruptError{Path: path, Offset: at, Reason: fmt.Sprintf("%v stands behind %v", e.Zxid, last)}
		}
		last = e.Zxid
		rep.Entries++
		rep.Last, rep.Bytes = last.String(), r.Offset()
	}
}
