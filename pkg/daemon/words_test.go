package daemon

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// sayWord sends a four-letter word to the client port and returns all that comes.
func sayWord(t *testing.T, s *Server, word string) string {
	t.Helper()
	c := raw(t, s)
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%s: %v", word, err)
	}
	return string(text)
}

// TestWordsTellWhatHappened asks a server about a client that has done a few things.
func TestWordsTellWhatHappened(t *testing.T) {
	cfg, ctx := testConfig(t.TempDir()), t.Context()
	cfg.FourLetterWhitelist = []string{"*"}
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	c := dial(t, s, wire.Options{})
	if _, err := c.Create(ctx, "/e", []byte("x"), proto.FlagEphemeral); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Children(ctx, "/", false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Get(ctx, "/e", true); err != nil {
		t.Fatal(err)
	}
	alias := fmt.Sprintf("0x%x", uint64(s.words.Load().Aliases.Of(c.SessionID)))
	for word, want := range map[string]string{
		"cons": `(?m)^ /127.0.0.1:\d+\[0\]\(queued=0,recved=1,sent=0\)$`,
		"stat": `(?m)^ /127.0.0.1:\d+\[1\]\(queued=0,recved=4,sent=4\)$`,
		"dump": `(?s)^SessionTracker dump:\nSession Sets \(1\)/\(1\):\n1 expire at .*\n\t` + alias + `\n` +
			`ephemeral nodes dump:\nSessions with Ephemerals \(1\):\n` + alias + `:\n\t/e\n` +
			`Connections dump:\nConnections Sets \(\d\)/\(\d\):\n.* sessionId: ` + alias + `\n`,
		"wchc": `^` + alias + `\n\t/e\n\n$`,
		"wchp": `^/e\n\t` + alias + `\n\n$`,
		"wchs": `^1 connections watching 1 paths\nTotal watches:1\n$`,
		"dirs": `^datadir_size: [1-9]\d+\nlogdir_size: [1-9]\d+\n$`,
		"envi": `^Environment:\nzookeeper.version=3\.9\.5-zabd-`,
		"mntr": `(?m)^zk_watch_count\t1$`,
	} {
		if got := sayWord(t, s, word); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s =\n%s\nwant %s", word, got, want)
		}
	}
	want := `recved=4,sent=4,sid=` + alias + `,lop=GETD,est=\d{13},to=\d+,lcxid=0x3,lzxid=0x2,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)`
	if got := sayWord(t, s, "cons"); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("cons =\n%s\nwant %s", got, want)
	}
	resetByWords(t, s)
}

func resetByWords(t *testing.T, s *Server) {
	t.Helper()
	for word, c := range map[string]struct{ says, then, want string }{
		"crst": {"Connection stats reset.\n", "cons", "recved=0,sent=0,sid="},
		"srst": {"Server stats reset.\n", "srvr", "\nReceived: 1\nSent: 1\n"},
	} {
		if got := sayWord(t, s, word); got != c.says {
			t.Errorf("%s = %q", word, got)
		}
		if got := sayWord(t, s, c.then); !strings.Contains(got, c.want) {
			t.Errorf("%s after %s =\n%s\nwant %s", c.then, word, got, c.want)
		}
	}
}

// TestHashTellsDigestsOfThePast, one for each 128th txn, in the same words on every server.
func TestHashTellsDigestsOfThePast(t *testing.T) {
	cfg, ctx := testConfig(t.TempDir()), t.Context()
	cfg.FourLetterWhitelist = []string{"hash"}
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	c := dial(t, s, wire.Options{})
	for range 260 {
		if _, err := c.Set(ctx, "/", nil, -1); err != nil {
			t.Fatal(err)
		}
	}
	if got := sayWord(t, s, "hash"); !regexp.MustCompile(`^80: -?\d+\n100: -?\d+\n$`).MatchString(got) {
		t.Errorf("hash = %q", got)
	}
}
