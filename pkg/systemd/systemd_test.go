package systemd

import (
	"bytes"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// manager is a service manager's socket; said returns the next thing that it was told.
func manager(t *testing.T) (said func() string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	return func() string {
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestTellsTheManager(t *testing.T) {
	said := manager(t)
	for _, c := range []struct {
		tell func() error
		want string
	}{
		{func() error { return Ready("standalone, zxid 0x5") }, "READY=1\nSTATUS=standalone, zxid 0x5"},
		{func() error { return Status("busy") }, "STATUS=busy"},
		{func() error { return Extend(time.Minute) }, "EXTEND_TIMEOUT_USEC=60000000"},
		{Stopping, "STOPPING=1\nSTATUS=stopping"},
	} {
		if err := c.tell(); err != nil {
			t.Fatal(err)
		}
		if got := said(); got != c.want {
			t.Errorf("told %q, want %q", got, c.want)
		}
	}
}

func TestWatchdogIsFedOnlyByProgress(t *testing.T) {
	said := manager(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	quit, done := make(chan struct{}), make(chan error)
	asked := 0
	go func() {
		done <- Watchdog(quit, func(time.Duration) bool {
			if asked++; asked == 3 {
				close(quit)
			}
			return asked == 2
		})
	}()
	if got := said(); got != "WATCHDOG=1" {
		t.Errorf("told %q", got)
	}
	if err := <-done; err != nil || asked < 3 {
		t.Fatalf("Watchdog = %v after %d questions, of which the second alone was answered by progress", err, asked)
	}
}

func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("LISTEN_FDS", "")
	l, err := Listeners(ClientSockets)
	if Ready("x") != nil || Watchdog(nil, nil) != nil || err != nil || len(l) != 0 {
		t.Fatalf("a process without a service manager: %v, %v", l, err)
	}
}

// TestJournalFields: attributes are fields and in the text, the standing is fields alone, and an event is a message id.
func TestJournalFields(t *testing.T) {
	var message string
	var fields map[string]string
	var prio journal.Priority
	standing := new(Standing)
	h := &journalHandler{level: slog.LevelInfo, standing: standing, send: func(m string, p journal.Priority, f map[string]string) error {
		message, prio, fields = m, p, f
		return nil
	}}
	log := slog.New(h).With("path", "/d")
	log.Info("before")
	standing.Set(slog.String("role", "leader"), slog.Int("epoch", 5))
	log.Warn("slow disk", "zxid", "0x5", "sync-time", 2*time.Second, EventKey, SlowDisk)
	want := map[string]string{
		"ZABD_PATH": "/d", "ZABD_ROLE": "leader", "ZABD_EPOCH": "5", "ZABD_ZXID": "0x5", "ZABD_SYNC_TIME": "2s",
		"ZABD_EVENT": "slow-disk", "MESSAGE_ID": messageIDs[SlowDisk],
	}
	if message != "slow disk path=/d zxid=0x5 sync-time=2s" || prio != journal.PriWarning || !maps.Equal(fields, want) {
		t.Fatalf("journal got %q, %v, %v", message, prio, fields)
	}
}

// TestCatalogue: each event has an entry, and each entry is of an event.
func TestCatalogue(t *testing.T) {
	text, err := os.ReadFile("../../packaging/systemd/zabd.catalog")
	if err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`(?m)^-- ([0-9a-f]{32})\nSubject: (.+)\nDefined-By: zabd\n`).FindAllStringSubmatch(string(text), -1)
	for event, id := range messageIDs {
		if !slices.ContainsFunc(entries, func(e []string) bool { return e[1] == id }) {
			t.Errorf("the catalogue has no entry for %s, %s", event, id)
		}
	}
	if len(entries) != len(messageIDs) {
		t.Errorf("the catalogue has %d entries for %d events", len(entries), len(messageIDs))
	}
}

func TestFormats(t *testing.T) {
	var out bytes.Buffer
	for format, want := range map[string]string{"text": "msg=hello", "json": `"msg":"hello"`} {
		h, err := Handler(format, slog.LevelInfo, new(Standing), &out)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		slog.New(h).Info("hello")
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q", format, out.String())
		}
	}
	if _, err := Handler("xml", slog.LevelInfo, new(Standing), &out); err == nil {
		t.Error("format xml is accepted")
	}
}

// TestMemoryMax: the tightest bound on the way up counts.
func TestMemoryMax(t *testing.T) {
	files := map[string]string{
		"/sys/fs/cgroup/system.slice/zabd.service/memory.max": "max\n",
		"/sys/fs/cgroup/system.slice/memory.max":              "4294967296\n",
		"/sys/fs/cgroup/a/b/memory.max":                       "1048576\n",
		"/sys/fs/cgroup/a/memory.max":                         "2097152\n",
	}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, os.ErrNotExist
	}
	for groups, want := range map[string]int64{
		"0::/system.slice/zabd.service\n": 4 << 30, "1:cpu:/x\n0::/a/b\n": 1 << 20, "0::/\n": 0, "0::/elsewhere\n": 0, "": 0,
	} {
		if got, ok := memoryMax(groups, read); got != want || ok != (want > 0) {
			t.Errorf("%q: %d, %v", groups, got, ok)
		}
	}
}

// TestRecordHasAnIdentifierOfItsOwn, so that it can be read, and kept, apart from the log.
func TestRecordHasAnIdentifierOfItsOwn(t *testing.T) {
	var line string
	var got map[string]string
	r := NewRecord("zabd-audit")
	r.send = func(message string, _ journal.Priority, fields map[string]string) error {
		line, got = message, fields
		return nil
	}
	if err := r.Write("operation=create", map[string]string{"znode_type": "persistent"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"SYSLOG_IDENTIFIER": "zabd-audit", "ZABD_AUDIT_ZNODE_TYPE": "persistent"}
	if line != "operation=create" || !maps.Equal(got, want) {
		t.Errorf("%q with %v, want %v", line, got, want)
	}
}
