package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestProperties(t *testing.T) {
	got, err := parseProperties("# c\n! c\n a = 1\nb:2\nc 3\nlong = x\\\n   y\\\n\tz\ne\\=q=\\u0041\\tB\nf\\\\=1\nempty\n\r\nlast=1")
	want := []property{
		{"a", "1", 3},
		{"b", "2", 4},
		{"c", "3", 5},
		{"long", "xyz", 6},
		{"e=q", "A\tB", 9},
		{`f\`, "1", 10},
		{"empty", "", 11},
		{"last", "1", 13},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("parseProperties = %v, %v\nwant %v", got, err, want)
	}
}

func TestLoad(t *testing.T) {
	file := write(t, "tickTime=2000\ndataDir=/var/lib/zabd\nclientPort=2182\nzookeeper.forceSync=no\nsnapCount=5\nsnapCount=500\npreAllocSize=1024\n4lw.commands.whitelist=srvr, mntr\n")
	cfg, warnings, err := Load(file, []string{"ZABD_CLIENTPORT=2183", "HOME=/root", "ZABD_AUTOPURGE_PURGEINTERVAL=2"}, map[string]string{"dataDir": "/srv"})
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	want := Default()
	want.TickTime, want.MinSessionTimeout, want.MaxSessionTimeout = 2*time.Second, 4*time.Second, 40*time.Second
	want.DataDir, want.DataLogDir, want.ClientPort, want.ForceSync = "/srv", "/srv", 2183, false
	want.SnapCount, want.PreAllocSize, want.FourLetterWhitelist = 500, 1<<20, []string{"srvr", "mntr"}
	want.AutopurgePurgeInterval = 2 * time.Hour
	if !reflect.DeepEqual(cfg, want) {
		t.Fatalf("Load = %+v\nwant %+v", cfg, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, text, line, reason string }{
		{"not a number", "dataDir=/d\nclientPort=x", ":2", "not a number"},
		{"port too large", "dataDir=/d\n\nclientPort=70000", ":3", "between"},
		{"no data directory", "clientPort=1", "zoo.cfg", "dataDir: is not set"},
		{"neither yes nor no", "dataDir=/d\nforceSync=maybe", ":2", "neither"},
		{"minimum above maximum", "dataDir=/d\nminSessionTimeout=9\nmaxSessionTimeout=8", ":2", "larger"},
		{"a broken escape", "dataDir=\\u00x", "line 1", "escape"},
		{"a broken template", "dataDir=/d\nclientPortAddress={{ Nonsense }}", ":2", "Nonsense"},
		{"an ensemble", "dataDir=/d\nserver.1=a:2888:3888", ":2", "alone"},
		{"too few snapshots", "dataDir=/d\nautopurge.snapRetainCount=1", ":2", "between"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Load(write(t, c.text), nil, nil)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.line) || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("Load = %v, want an Error with %q and %q", err, c.line, c.reason)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := Load(write(t, "dataDir=/d\nsyncLimit=5\nfoo=1\n"), []string{"ZABD_BAR=1"}, nil)
	all := strings.Join(warnings, "\n")
	if err != nil || len(warnings) != 3 || !strings.Contains(all, "zoo.cfg:2: synclimit has no effect") ||
		!strings.Contains(all, "zoo.cfg:3: unknown key foo") || !strings.Contains(all, "ZABD_BAR") {
		t.Fatalf("warnings = %q, %v", warnings, err)
	}
}

func TestAddressTemplate(t *testing.T) {
	cfg, _, err := Load(write(t, `dataDir=/d
clientPortAddress={{ GetAllInterfaces | include "name" "lo" | include "type" "IPv4" | attr "address" }}`), nil, nil)
	if err != nil || cfg.ClientPortAddress != "127.0.0.1" {
		t.Fatalf("address = %q, %v", cfg.ClientPortAddress, err)
	}
}

func FuzzProperties(f *testing.F) {
	f.Add("a=1\\\n  b\n#c\nd:\\u0041")
	f.Fuzz(func(t *testing.T, text string) {
		props, err := parseProperties(text)
		for _, p := range props {
			if err == nil && (p.line < 1 || len(p.key)+len(p.value) > len(text)) {
				t.Fatalf("%+v out of %q", p, text)
			}
		}
	})
}
