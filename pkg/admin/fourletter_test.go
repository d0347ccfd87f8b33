package admin

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

// recorded is the server of the recordings.
type recorded struct{}

func (recorded) Status() Status {
	return Status{
		Version: "3.9.5-293c895a8d966a3ecb92872be4a1daf87d725da2, built on 2026-02-11 20:15 UTC", Mode: "standalone",
		Received: 1, Sent: 1, Connections: 3, Zxid: 5, Nodes: 8,
	}
}

func (recorded) Conns() []Conn {
	return []Conn{{Remote: "127.0.0.1:58182"}, {Remote: "127.0.0.1:58174"}, {Remote: "127.0.0.1:58294"}}
}

func (recorded) Settings() []Setting {
	return []Setting{{"clientPort", "17900"}, {"secureClientPort", "-1"}}
}

func (recorded) Metrics() []metrics.Value {
	r := metrics.NewRegistry()
	r.Gauge("znode_count", func() float64 { return 8 })
	r.FloatGauge("avg_latency", func() float64 { return 11.0 / 3 })
	return r.Values()
}

func golden(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/golden39/admin", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ask(t *testing.T, word string, whitelist ...string) string {
	t.Helper()
	reply, known := FourLetter(word, whitelist, recorded{})
	if !known {
		t.Fatalf("%s is not known", word)
	}
	return string(reply)
}

func TestAnswersAreThoseOfZooKeeper(t *testing.T) {
	if got, want := ask(t, "srvr"), golden(t, "4lw-standalone/srvr.txt"); got != want {
		t.Errorf("srvr = %q, want %q", got, want)
	}
	for _, word := range []string{"ruok", "isro"} {
		if got, want := ask(t, word, "*"), golden(t, "4lw-standalone/"+word+".txt"); got != want {
			t.Errorf("%s = %q, want %q", word, got, want)
		}
	}
	for _, word := range []string{"conf", "mntr", "stat", "ruok"} {
		if got, want := ask(t, word, "srvr"), golden(t, "4lw-default-whitelist/"+word+".txt"); got != want {
			t.Errorf("%s off the whitelist = %q, want %q", word, got, want)
		}
	}
	volatile := regexp.MustCompile(`127.*|(Received|Sent): .*`)
	shape := func(s string) string { return volatile.ReplaceAllString(s, "x") }
	if got, want := shape(ask(t, "stat", "stat")), shape(golden(t, "4lw-standalone/stat.txt")); got != want {
		t.Errorf("stat = %q, want %q", got, want)
	}
	if got := ask(t, "conf", "*"); !strings.HasPrefix(golden(t, "4lw-standalone/conf.txt"), got) {
		t.Errorf("conf = %q", got)
	}
	wantMntr := golden(t, "4lw-standalone/mntr.txt")
	for _, line := range strings.Split(strings.TrimSpace(ask(t, "mntr", "*")), "\n") {
		if !strings.Contains(wantMntr, line+"\n") {
			t.Errorf("mntr says %q, which the recording does not", line)
		}
	}
}

func TestUnknownWordIsALength(t *testing.T) {
	if reply, known := FourLetter("xxxx", []string{"*"}, recorded{}); known {
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
