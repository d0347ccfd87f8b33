package shell

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletion is about what is certain, and what is listed; | is the cursor.
func TestCompletion(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	var out bytes.Buffer
	s := New(Options{Server: addr, Out: &out, Err: &out, WaitForConnection: true, Quiet: true})
	if err := s.Connect(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, path := range []string{"/app", "/app/é1", "/app/è2", "/many"} {
		s.Line(t.Context(), "create "+path)
	}
	for i := range mostShown + 2 {
		s.Line(t.Context(), fmt.Sprintf("create /many/%03d", i))
	}
	for _, c := range []struct{ line, want, listed string }{
		{"cre|", "create |", ""},
		{"get|", "get|", "get  getAcl  getAllChildrenNumber  getEphemerals\n"},
		{"getAc|", "getAcl |", ""},
		{"x|", "x|", ""},
		{"get /a|", "get /app|", ""},
		{"get /a| -s", "get /app| -s", ""},
		{"get /app/|", "get /app/|", "/app/è2  /app/é1\n"}, // the names share half a letter
		{"get /none/|", "get /none/|", ""},
		{"set /app x -|", "set /app x -|", "-b  -s  -v\n"},
		{"ls app|", "ls app|", ""},
		{"ls /many/0|", "ls /many/0|", "/many/000  /many/001  "},
		{"ls /many/|", "ls /many/|", "/many/000  /many/001  "},
	} {
		out.Reset()
		at := strings.IndexByte(c.line, '|')
		line := c.line[:at] + c.line[at+1:]
		got := c.line
		if n, at, ok := s.Complete(t.Context(), line, at); ok {
			got = n[:at] + "|" + n[at:]
		}
		if listed := out.String(); got != c.want || !strings.HasPrefix(listed, c.listed) || (listed == "") != (c.listed == "") {
			t.Errorf("%s becomes %s and lists %q, want %s and %q", c.line, got, listed, c.want, c.listed)
		}
	}
	if !strings.HasSuffix(out.String(), "/many/099  and 2 more\n") {
		t.Errorf("of many words are listed %q", out.String())
	}
}

func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a", "history")
	h := LoadHistory(file)
	for _, line := range []string{"ls /", "ls /", "", "addauth digest alice:secret", "get /a"} {
		h.Add(line)
	}
	if h.Len() != 3 || h.At(0) != "get /a" || h.At(1) != "addauth digest alice:secret" {
		t.Errorf("the shell recalls %q", h.lines)
	}
	if h = LoadHistory(file); h.Len() != 2 || h.At(0) != "get /a" || h.At(1) != "ls /" {
		t.Errorf("the next shell recalls %q", h.lines)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	for i := range 3 * keptLines {
		h.Add(fmt.Sprintf("get /%d", i))
	}
	LoadHistory(file)
	if text, err := os.ReadFile(file); err != nil || bytes.Count(text, []byte("\n")) > 2*keptLines {
		t.Errorf("the file has grown to %d lines, %v", bytes.Count(text, []byte("\n")), err)
	}
	if h = LoadHistory("/proc/no/such/file"); h.Len() != 0 {
		t.Errorf("from nowhere: %q", h.lines)
	}
	h.Add("ls /") // a convenience: nothing is said
}
