package offline

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/txn"
	"github.com/zabd/zabd/pkg/txnlog"
	"github.com/zabd/zabd/pkg/vfs"
)

// javaShort is the time that TxnLogToolkit prints, and javaDate that of java.util.Date, both in the local zone.
const (
	javaShort = "1/2/06, 3:04:05 PM MST"
	javaDate  = "Mon Jan 02 15:04:05 MST 2006"
)

// javaTool is a call of ZooKeeper's TxnLogToolkit.
type javaTool struct {
	Host
	path            string
	recover, always bool // -r, -y
	verbose         bool
	answers         *bufio.Scanner
}

// dump prints all entries, and with -r writes a copy with right checksums.
func (x *javaTool) dump() int {
	if !x.exists() {
		return javaError
	}
	fixed := x.path + ".fixed"
	if !x.recover {
		_, err := x.entries(nil)
		return x.outcome(err)
	}
	l, err := lock(filepath.Dir(x.path))
	if err != nil {
		return x.outcome(err)
	}
	defer l.Close()
	f, err := os.OpenFile(fixed, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		x.warn("Recovery file %s already exists or not writable", fixed)
		return javaError
	}
	w := bufio.NewWriter(f)
	n, err := x.entries(w)
	if err = errors.Join(err, w.Flush(), f.Sync(), f.Close()); err != nil {
		_ = os.Remove(fixed) // half a log is worse than none
		return x.outcome(err)
	}
	x.say("Recovery file %s has been written with %d fixed CRC error(s)\n", fixed, n)
	return 0
}

func (x *javaTool) exists() bool {
	f, err := os.Open(x.path)
	if err != nil {
		x.warn("File doesn't exist or not readable: %s", x.path)
		return false
	}
	return f.Close() == nil
}

// javaSays is an error in the words of ZooKeeper's tools.
type javaSays string

func (s javaSays) Error() string { return string(s) }

// errAborted is the answer Abort to the question whether a record shall be kept.
const errAborted = javaSays("Recovery aborted.")

// outcome says what is wrong, if anything is, and returns the exit code.
func (x *javaTool) outcome(err error) int {
	if err != nil {
		x.warn("%v", err)
	}
	if err == nil || errors.Is(err, errAborted) {
		return 0
	}
	return javaError
}

// open opens the log and prints its header.
func (x *javaTool) open() (*txnlog.Reader, error) {
	r, err := txnlog.Open(vfs.Disk(), x.path, txnlog.DefaultMaxRecord)
	if err == nil {
		x.say("ZooKeeper Transactional Log File with dbid 0 txnlog format version 2\n")
	}
	return r, err
}

// entries prints the records; with recover it writes them, and returns how many have got a new checksum.
func (x *javaTool) entries(to io.Writer) (fixed int, err error) {
	r, err := x.open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if x.recover {
		if _, err := to.Write(txnlog.AppendHeader(nil)); err != nil {
			return 0, err
		}
	}
	for {
		rec, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return fixed, x.eof(r)
		}
		if err != nil {
			return fixed, err
		}
		fix, err := x.record(rec)
		if err != nil {
			return fixed, err
		}
		if fix {
			fixed++
			rec.Bytes = txnlog.AppendRecord(nil, txn.Entry{Bytes: rec.Payload})
		}
		if x.recover {
			if _, err := to.Write(rec.Bytes); err != nil {
				return fixed, err
			}
		}
	}
}

// record prints one record, and tells whether its checksum shall be put right.
func (x *javaTool) record(rec txnlog.Record) (fix bool, err error) {
	switch {
	case rec.Good:
	case !x.recover:
		x.print(rec.Payload, "CRC ERROR")
	case x.always:
		x.print(rec.Payload, "CRC FIXED")
		fix = true
	default:
		x.print(rec.Payload, "CRC ERROR")
		if fix, err = x.ask(); err != nil {
			return false, err
		}
	}
	if !x.recover || x.verbose {
		x.print(rec.Payload, "")
	}
	return fix, nil
}

func (x *javaTool) ask() (bool, error) {
	for {
		x.say("Would you like to fix it (Yes/No/Abort) ? ")
		if !x.answers.Scan() {
			return false, errAborted
		}
		switch answer := x.answers.Text(); strings.ToUpper(answer[:1]) {
		case "Y":
			return true, nil
		case "N":
			return false, nil
		case "A":
			return false, errAborted
		}
	}
}

// eof says how the records end.
func (x *javaTool) eof(r *txnlog.Reader) error {
	switch end, reason := r.End(); end {
	case txnlog.EndUnmarked:
		return javaSays("Last transaction was partial.")
	case txnlog.EndDamaged:
		return &txnlog.CorruptError{Path: x.path, Offset: r.Offset(), Reason: reason}
	}
	x.say("EOF reached after %d txns.\n", r.Entries())
	return nil
}

// chop writes a copy of the log up to and including a zxid.
func (x *javaTool) chop(zxid int64) int {
	if !x.exists() {
		return javaError
	}
	l, err := lock(filepath.Dir(x.path))
	if err != nil {
		return x.outcome(err)
	}
	defer l.Close()
	to := x.path + ".chopped" + strconv.FormatInt(zxid, 10)
	var out bytes.Buffer
	ok, err := x.chopTo(&out, proto.Zxid(zxid))
	if err == nil && !ok {
		err = javaSays("Failed to chop " + filepath.Base(x.path))
	}
	if err == nil {
		err = os.WriteFile(to, out.Bytes(), 0o640)
	}
	if err != nil {
		x.say("Got exception: %v\n", err)
	}
	return 0
}

func (x *javaTool) chopTo(out *bytes.Buffer, zxid proto.Zxid) (bool, error) {
	r, err := x.open()
	if err != nil {
		return false, err
	}
	defer r.Close()
	out.Write(txnlog.AppendHeader(nil))
	var last proto.Zxid
	for has := false; ; {
		at := r.Offset()
		rec, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return false, x.eof(r) // there is nothing to chop
		}
		if err != nil {
			return false, err
		}
		h, err := txn.DecodeHeader(rec.Payload)
		if err != nil || !rec.Good {
			return false, &txnlog.CorruptError{Path: x.path, Offset: at, Reason: "CRC doesn't match"}
		}
		has = has || h.Zxid == zxid
		x.gap(last, h.Zxid, r.Entries() > 1)
		last = h.Zxid
		if h.Zxid > zxid {
			if r.Entries() == 1 || !has {
				x.say("This log does not contain zxid %x\n", uint64(zxid))
				return false, nil
			}
			x.say("Chopping at %x new log has %d records\n", uint64(zxid), r.Entries()-1)
			return true, nil
		}
		out.Write(rec.Bytes)
	}
}

// gap says that entries are missing.
func (x *javaTool) gap(last, next proto.Zxid, follows bool) {
	switch {
	case !follows || next == last+1:
	case next.Epoch() == last.Epoch():
		x.say("There is intra-epoch gap between %x and %x\n", uint64(last), uint64(next))
	case next.Counter() != 1:
		x.say("There is inter-epoch gap between %x and %x\n", uint64(last), uint64(next))
	}
}

// print prints a txn.
func (x *javaTool) print(payload []byte, prefix string) {
	if prefix != "" {
		prefix += " - "
	}
	line := prefix + javaLine(payload)
	if !strings.HasSuffix(line, "\n") {
		line += "\n"
	}
	x.say("%s", line)
}

// javaLine is a txn as TxnLogToolkit prints it.
func javaLine(payload []byte) string {
	var t txn.Txn
	err := t.Decode(payload)
	h := &t.Header
	head := fmt.Sprintf("%s session 0x%x cxid 0x%x zxid 0x%x %s ", time.UnixMilli(h.Time).Format(javaShort), uint64(h.Session),
		uint64(int64(h.Cxid)), uint64(h.Zxid), javaOp(h.Type))
	if err != nil {
		return head + "(" + err.Error() + ")"
	}
	return head + javaBody(h.Type, &t.Body)
}

func javaOp(o proto.Op) string {
	if n, unknown := strings.CutPrefix(o.String(), "op "); unknown {
		return "unknown " + n
	}
	return o.String()
}

func javaBody(typ proto.Op, b *txn.Body) string {
	created := func(rest ...any) string {
		s := b.Path + "," + javaText(b.Data) + "," + javaACLs(b.ACL)
		for _, v := range rest {
			s += fmt.Sprintf(",%v", v)
		}
		return s
	}
	switch typ {
	case proto.OpCreate, proto.OpCreate2:
		return created(b.Ephemeral, b.ParentCVersion)
	case proto.OpCreateContainer:
		return created(b.ParentCVersion)
	case proto.OpCreateTTL:
		return created(b.ParentCVersion, b.TTL)
	case proto.OpSetData, proto.OpReconfig:
		return fmt.Sprintf("%s,%s,%d", b.Path, javaText(b.Data), b.Version)
	case proto.OpDelete, proto.OpDeleteContainer:
		return juteString(b.Path) + "\n"
	case proto.OpSetACL:
		var list []string
		for _, a := range b.ACL {
			list = append(list, "s{"+juteACL(a)+"}")
		}
		return fmt.Sprintf("%s,v{%s},%d\n", juteString(b.Path), strings.Join(list, ","), b.Version)
	case proto.OpCheck: // which ZooKeeper's tools do not print
		return fmt.Sprintf("%s,%d\n", juteString(b.Path), b.Version)
	case proto.OpCreateSession:
		return fmt.Sprintf("%d\n", b.Timeout)
	case proto.OpError:
		return fmt.Sprintf("%d\n", int32(b.Err))
	case proto.OpCloseSession:
		return javaClosed(b)
	case proto.OpMulti:
		return javaMulti(b)
	}
	return ""
}

func javaClosed(b *txn.Body) string {
	if !b.HasPaths {
		return ""
	}
	var list []string
	for _, p := range b.Paths {
		list = append(list, juteString(p))
	}
	return "v{" + strings.Join(list, ",") + "}\n"
}

// javaMulti prints the operations' encoded bodies as if they were text.
func javaMulti(b *txn.Body) string {
	var list []string
	for i := range b.Subs {
		s := txn.Txn{Header: txn.Header{Type: b.Subs[i].Type}, Body: b.Subs[i]}
		list = append(list, javaOp(b.Subs[i].Type)+":"+javaText(s.AppendTo(nil)[txn.HeaderSize:]))
	}
	return strings.Join(list, ";")
}

// juteACL and juteString are records as jute's toString prints them.
func juteACL(a proto.ACL) string {
	return fmt.Sprintf("%d,s{%s,%s}", int32(a.Perms), juteString(a.ID.Scheme), juteString(a.ID.ID))
}

var juteEscapes = strings.NewReplacer("\x00", "%00", "\n", "%0A", "\r", "%0D", ",", "%2C", "}", "%7D", "%", "%25")

func juteString(s string) string { return "'" + juteEscapes.Replace(s) }

// javaACLs prints a list of records, each of which ends its line.
func javaACLs(acls []proto.ACL) string {
	if acls == nil {
		return "null"
	}
	var list []string
	for _, a := range acls {
		list = append(list, juteACL(a)+"\n")
	}
	return "[" + strings.Join(list, ", ") + "]"
}
