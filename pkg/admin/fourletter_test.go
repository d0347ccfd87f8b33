package admin

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func ask(t *testing.T, w *Words, word string) string {
	t.Helper()
	reply, known := w.Answer(word, nil)
	if !known {
		t.Fatalf("%s is not known", word)
	}
	return string(reply)
}

// TestAnswersAreThoseOfZooKeeper, byte for byte, of the same server in the same state.
func TestAnswersAreThoseOfZooKeeper(t *testing.T) {
	w, _ := wordsOf(t, "standalone", "*")
	for _, word := range []string{"srvr", "ruok", "isro", "dirs", "dump", "hash", "gtmk", "cons", "wchc", "wchp", "wchs", "envi", "crst", "srst"} {
		want := golden("4lw-standalone/" + word + ".txt")
		if word == "dump" { // another connection asks; Java's order within a hash is not ours
			want = strings.Replace(want, "58226", "58202", 1)
			want = strings.Replace(want, "0x1000056dcef0001:\n\t/b-eph\n0x1000056dcef0000:\n\t/a/e\n",
				"0x1000056dcef0000:\n\t/a/e\n0x1000056dcef0001:\n\t/b-eph\n", 1)
		}
		if got := ask(t, w, word); inOrder(word, got) != inOrder(word, want) {
			t.Errorf("%s =\n%s\nwant\n%s", word, got, want)
		}
	}
}

// inOrder sorts what ZooKeeper tells in the order of a hash.
func inOrder(word, text string) string {
	switch word {
	case "cons":
		lines := strings.Split(text, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	case "wchc", "wchp":
		blocks := regexp.MustCompile(`(?m)^\S+\n(?:\t.*\n)+`).FindAllString(text, -1)
		slices.Sort(blocks)
		return strings.Join(blocks, "")
	}
	return text
}

// TestShapes compares what differs by role: which lines there are, and how they look.
func TestShapes(t *testing.T) {
	value := regexp.MustCompile(`=[^,)\n]*|/[\w@/.:-]+|0x[0-9a-f]+|-?\d+(\.\d+)?|\w{3} \w{3} N N:N:N UTC N`)
	shape := func(word, text string) string {
		if word == "mntr" { // what is measured differs, how it is told does not
			text = strings.Join(strings.SplitAfterN(text, "\n", 4)[:3], "")
		}
		lines := strings.Split(value.ReplaceAllString(value.ReplaceAllString(text, "N"), "N"), "\n")
		return strings.Join(lines, "\n")
	}
	for _, role := range roles {
		w, _ := wordsOf(t, role, "*")
		for _, x := range words {
			if x.name == "gtmk" || x.name == "stmk" { // others had set it before
				continue
			}
			got, want := shape(x.name, ask(t, w, x.name)), shape(x.name, golden("4lw-"+role+"/"+x.name+".txt"))
			if role == "standalone" && x.name == "mntr" {
				got, want = got[:strings.LastIndex(strings.TrimSpace(got), "\n")], want[:strings.LastIndex(strings.TrimSpace(want), "\n")]
			}
			if x.name == "stat" || x.name == "cons" || x.name == "wchc" || x.name == "wchp" {
				got, want = inOrder("cons", got), inOrder("cons", want)
			}
			if got != want {
				t.Errorf("%s of a server that is %s:\n%s\nwant\n%s", x.name, role, got, want)
			}
		}
	}
}

func TestWhitelist(t *testing.T) {
	w, _ := wordsOf(t, "standalone", "srvr")
	for _, word := range []string{"conf", "mntr", "stat", "ruok"} {
		if got, want := ask(t, w, word), golden("4lw-default-whitelist/"+word+".txt"); got != want {
			t.Errorf("%s off the whitelist = %q, want %q", word, got, want)
		}
	}
	w.Whitelist = nil
	if got := ask(t, w, "srvr"); !strings.HasPrefix(got, "Zookeeper version") {
		t.Errorf("srvr = %q", got)
	}
}

func TestTraceMask(t *testing.T) {
	w, _ := wordsOf(t, "standalone", "*")
	if got, _ := w.Answer("stmk", []byte{1, 2, 3}); len(got) != 0 {
		t.Errorf("stmk without a mask = %q", got)
	}
	got, _ := w.Answer("stmk", binary.BigEndian.AppendUint64(nil, 256))
	if want := golden("4lw-standalone/stmk-with-arg.txt"); string(got) != want || ask(t, w, "gtmk") != want {
		t.Errorf("stmk 256 = %q, then gtmk = %q", got, ask(t, w, "gtmk"))
	}
}

func TestResets(t *testing.T) {
	w, r := wordsOf(t, "standalone", "*")
	ask(t, w, "crst")
	ask(t, w, "srst")
	if got := fmt.Sprint(r.resets); got != "[conns stats]" {
		t.Errorf("reset: %s", got)
	}
}

// TestSessionIdsStayHidden where nobody has shown who he is, and still tell the same sessions from one another.
func TestSessionIdsStayHidden(t *testing.T) {
	w, _ := wordsOf(t, "standalone", "*")
	w.Aliases = NewAliases()
	for _, word := range []string{"cons", "dump", "wchc", "wchp"} {
		got := ask(t, w, word)
		if strings.Contains(got, "0x1000056dcef000") {
			t.Errorf("%s tells a session's id:\n%s", word, got)
		}
		if alias := fmt.Sprintf("0x%x", w.Aliases.Of(first)); !strings.Contains(got, alias) || !strings.HasPrefix(alias, "0x1") {
			t.Errorf("%s does not name the session %s:\n%s", word, alias, got)
		}
	}
}

func TestUnknownWordIsALength(t *testing.T) {
	w, _ := wordsOf(t, "standalone", "*")
	if reply, known := w.Answer("xxxx", nil); known {
		t.Fatalf("xxxx = %q", reply)
	}
}

func TestLatencyHasDecimals(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.0", 3666667 * time.Nanosecond: "3.6667", 1500 * time.Microsecond: "1.5"} {
		if got := decimal(d); got != want {
			t.Errorf("decimal(%v) = %s, want %s", d, got, want)
		}
	}
}
