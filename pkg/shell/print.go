package shell

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zabd/zabd/pkg/proto"
)

const javaDate = "Mon Jan 02 15:04:05 MST 2006"

func date(millis int64) string { return time.UnixMilli(millis).Format(javaDate) }

// printStat prints a node's stat, a field a line.
func printStat(w io.Writer, s *proto.Stat) {
	_, _ = fmt.Fprintf(w, "cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\ncversion = %d\ndataVersion = %d\n"+
		"aclVersion = %d\nephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		uint64(s.Czxid), date(s.Ctime), uint64(s.Mzxid), date(s.Mtime), uint64(s.Pzxid), s.Cversion, s.Version,
		s.Aversion, uint64(s.EphemeralOwner), s.DataLength, s.NumChildren)
}

// text is a node's data as text; a node without data has the text null.
func text(data []byte) string {
	if data == nil {
		return "null"
	}
	return proto.Text(data)
}

const (
	dumpRule = "+--------+-------------------------------------------------+----------------+"
	dumpHead = "         +-------------------------------------------------+\n" +
		"         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n" + dumpRule
)

// hexDump shows data in rows of 16 bytes.
func hexDump(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(dumpHead)
	for at := 0; at < len(data); at += 16 {
		row := data[at:min(at+16, len(data))]
		letters := make([]byte, len(row))
		for i, c := range row {
			if letters[i] = c; c < 0x20 || c >= 0x7F {
				letters[i] = '.'
			}
		}
		fmt.Fprintf(&b, "\n|%08x|%-49s|%-16s|", at, fmt.Sprintf(" % x", row), letters)
	}
	return b.String() + "\n" + dumpRule
}

// permLetters are the letters of the permissions in the order in which zkCli prints them.
var permLetters = []struct {
	letter byte
	perm   proto.Perm
}{
	{'c', proto.PermCreate}, {'d', proto.PermDelete}, {'r', proto.PermRead}, {'w', proto.PermWrite}, {'a', proto.PermAdmin},
}

func permText(p proto.Perm) string {
	var out []byte
	for _, l := range permLetters {
		if p&l.perm != 0 {
			out = append(out, l.letter)
		}
	}
	return string(out)
}

// aclText is an entry on two lines, as zkCli prints it.
func aclText(a proto.ACL) string {
	return fmt.Sprintf("'%s,'%s\n: %s", a.ID.Scheme, a.ID.ID, permText(a.Perms))
}

// parseACL reads scheme:id:perms,... and says to complain what it does not understand and leaves out.
func parseACL(list string, complain func(format string, values ...any)) []proto.ACL {
	var acl []proto.ACL
	for a := range strings.SplitSeq(strings.TrimRight(list, ","), ",") {
		first, last := strings.IndexByte(a, ':'), strings.LastIndexByte(a, ':')
		if first == last {
			complain("%s does not have the form scheme:id:perm", a)
			continue
		}
		entry := proto.ACL{ID: proto.ID{Scheme: a[:first], ID: a[first+1 : last]}}
	letters:
		for _, c := range a[last+1:] {
			for _, l := range permLetters {
				if rune(l.letter) == c {
					entry.Perms |= l.perm
					continue letters
				}
			}
			complain("Unknown perm type: %c", c)
		}
		acl = append(acl, entry)
	}
	return acl
}
