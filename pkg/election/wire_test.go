package election

import (
	"bytes"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	fields28 = "00000001 0000000000000003 0000000700000009 0000000000000002"
	epoch    = "0000000000000005"
)

func TestNotificationForms(t *testing.T) {
	v := Vote{Leader: 3, Zxid: 0x700000009, Round: 2, PeerEpoch: 5}
	old := v
	old.PeerEpoch = 7
	for _, c := range []struct {
		name, body string
		want       Notification
	}{
		{"28 bytes take the epoch from the zxid", fields28, Notification{State: Following, Vote: old}},
		{"40 bytes end in a number that nobody looks at", fields28 + epoch + "00000009", Notification{State: Following, Vote: v}},
		{"version 1 has no membership", fields28 + epoch + "00000001 ffffffff", Notification{State: Following, Vote: v, Version: 1}},
		{"nor does it need room for one", fields28 + epoch + "00000001 ff", Notification{State: Following, Vote: v, Version: 1}},
		{"version 2", fields28 + epoch + "00000002 00000002 6162", Notification{State: Following, Vote: v, Version: 2, Config: "ab"}},
		{"an empty membership", fields28 + epoch + "00000002 00000000", Notification{State: Following, Vote: v, Version: 2}},
		{"a later version", fields28 + epoch + "00000003 00000001 61 ff", Notification{State: Following, Vote: v, Version: 3, Config: "a"}},
	} {
		if n, err := DecodeNotification(unhex(t, c.body)); err != nil || n != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, n, err, c.want)
		}
	}
	n := Notification{State: Following, Vote: v, Version: 0, Config: "ab"}
	if got, want := n.AppendTo([]byte{9}), unhex(t, "09"+fields28+epoch+"00000002 00000002 6162"); !bytes.Equal(got, want) {
		t.Errorf("AppendTo = %x, want %x", got, want)
	}
}

func TestBadNotificationsAreDropped(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", "0 bytes"},
		{"shorter than 28", fields28[:len(fields28)-2], "ends inside a field"},
		{"between the forms", fields28 + epoch, "ends inside a field"},
		{"no length of the membership", fields28 + epoch + "00000002 0000", "ends inside a field"},
		{"a membership longer than the message", fields28 + epoch + "00000002 00000003 6162", "ends inside a field"},
		{"a membership of negative length", fields28 + epoch + "00000002 ffffffff", "negative"},
		{"of another negative length", fields28 + epoch + "00000002 fffffffe", "unreasonable length"},
		{"an unknown state", "00000004" + fields28[8:], "state 4 is unknown"},
		{"a negative state", "ffffffff" + fields28[8:], "state -1 is unknown"},
	} {
		if n, err := DecodeNotification(unhex(t, c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want %q", c.name, n, err, c.want)
		}
	}
}

func TestHandshakes(t *testing.T) {
	a, b := ensemble.Addr{Host: "10.0.0.1", Port: 3888}, ensemble.Addr{Host: "::1", Port: 3889}
	for _, c := range []struct {
		name, bytes string
		want        Hello
	}{
		{"legacy", "0000000000000003", Hello{ID: 3}},
		{
			"one address", "ffffffffffff0000 0000000000000003 0000000d" + hex.EncodeToString([]byte("10.0.0.1:3888")),
			Hello{HelloAddress, 3, []ensemble.Addr{a}},
		},
		{
			"several addresses", "ffffffffffff0001 0000000000000003 00000018" + hex.EncodeToString([]byte("10.0.0.1:3888|[::1]:3889")),
			Hello{HelloAddresses, 3, []ensemble.Addr{a, b}},
		},
		{
			"an observer without an id", "ffffffffffff0000 7fffffffffffffff 0000000d" + hex.EncodeToString([]byte("10.0.0.1:3888")),
			Hello{HelloAddress, Anonymous, []ensemble.Addr{a}},
		},
	} {
		whole := unhex(t, c.bytes)
		if got := c.want.AppendTo(nil); !bytes.Equal(got, whole) {
			t.Errorf("%s: AppendTo = %x, want %x", c.name, got, whole)
		}
		for n := range whole {
			if h, used, err := DecodeHello(whole[:n]); used != 0 || err != nil {
				t.Errorf("%s: the first %d bytes are %+v, %d, %v", c.name, n, h, used, err)
			}
		}
		if h, n, err := DecodeHello(append(whole, 0, 0)); err != nil || n != len(whole) || !reflect.DeepEqual(h, c.want) {
			t.Errorf("%s: %+v, %d, %v, want %+v", c.name, h, n, err, c.want)
		}
	}
}

func TestHandshakeBounds(t *testing.T) {
	with := func(version int64, text string) []byte {
		return jute.AppendBuffer(jute.AppendLong(jute.AppendLong(nil, version), 3), []byte(text))
	}
	long := strings.Repeat("h", maxHelloAddress-5) + ":3888"
	if h, n, err := DecodeHello(with(HelloAddress, long)); err != nil || n != 20+maxHelloAddress || len(h.Addrs) != 1 {
		t.Errorf("%d bytes of address: %d, %v", maxHelloAddress, n, err)
	}
	if h, _, err := DecodeHello(with(HelloAddresses, "0.0.0.0:1|h:1|[::]:1|[0:0::0]:1")); err != nil || len(h.Addrs) != 1 || h.Addrs[0].Host != "h" {
		t.Errorf("wildcards: %+v, %v", h, err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"a version of nobody", with(-1, "h:1"), "version -1 is unknown"},
		{"the smallest number", with(math.MinInt64, "h:1"), "is unknown"},
		{"no address", with(HelloAddress, ""), "of 0 bytes"},
		{"a negative length", unhex(t, "ffffffffffff0000 0000000000000003 ffffffff"), "of -1 bytes"},
		{"an address too long", with(HelloAddress, "h"+long)[:20], "of 2049 bytes"},
		{"no port", with(HelloAddress, "h"), "server 3"},
		{"an IPv6 address without brackets", with(HelloAddress, "::1:3888"), "server 3"},
		{"an empty part", with(HelloAddresses, "h:1|"), "server 3"},
		{"no text", with(HelloAddress, "\xff:1"), "is no text"},
	} {
		if h, n, err := DecodeHello(c.b); err == nil || n != 0 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %d, %v, want %q", c.name, h, n, err, c.want)
		}
	}
}

func FuzzDecodeNotification(f *testing.F) {
	for _, s := range []string{fields28, fields28 + epoch + "00000009", fields28 + epoch + "00000002 00000002 6162"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := DecodeNotification(body)
		if err != nil {
			return
		}
		again, err := DecodeNotification(n.AppendTo(nil))
		n.Version = version
		if err != nil || again != n {
			t.Errorf("%+v becomes %+v, %v", n, again, err)
		}
	})
}

func FuzzDecodeHello(f *testing.F) {
	for _, h := range []Hello{
		{ID: 3},
		{HelloAddress, 3, []ensemble.Addr{{Host: "h", Port: 1}}},
		{HelloAddresses, 3, []ensemble.Addr{{Host: "h", Port: 1}, {Host: "::1", Port: 2}}},
	} {
		f.Add(h.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := DecodeHello(b)
		if n > len(b) || err != nil && n != 0 {
			t.Fatalf("%d of %d bytes, %v", n, len(b), err)
		}
		if n == 0 || h.Version != HelloLegacy && len(h.Addrs) == 0 {
			return
		}
		again, _, err := DecodeHello(h.AppendTo(nil))
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("%+v becomes %+v, %v", h, again, err)
		}
	})
}
