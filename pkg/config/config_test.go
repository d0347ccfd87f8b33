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
		{"a", "1", 3, false},
		{"b", "2", 4, false},
		{"c", "3", 5, false},
		{"long", "xyz", 6, false},
		{"e=q", "A\tB", 9, false},
		{`f\`, "1", 10, false},
		{"empty", "", 11, false},
		{"last", "1", 13, false},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("parseProperties = %v, %v\nwant %v", got, err, want)
	}
}

func TestLoad(t *testing.T) {
	file := write(t, "tickTime=2000\ndataDir=/var/lib/zabd\nclientPort=2182\nzookeeper.forceSync=no\nsnapCount=500\npreAllocSize=1024\n4lw.commands.whitelist=srvr, mntr\n")
	cfg, warnings, err := Load(file, []string{"ZABD_CLIENTPORT=2183", "HOME=/root", "ZABD_AUTOPURGE_PURGEINTERVAL=2"}, map[string]string{"dataDir": "/srv"})
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	want := Default()
	want.TickTime, want.MinSessionTimeout, want.MaxSessionTimeout = 2*time.Second, 4*time.Second, 40*time.Second
	want.DataDir, want.DataLogDir, want.ClientPort, want.ForceSync = "/srv", "/srv", 2183, false
	want.SnapCount, want.PreAllocSize, want.FourLetterWhitelist = 500, 1<<20, []string{"srvr", "mntr"}
	want.AutopurgePurgeInterval, want.JuteExtraSize = 2*time.Hour, want.JuteMaxBuffer
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
		{"a broken escape", "dataDir=\\u00x", "zoo.cfg:1: escape", "cut short"},
		{"a broken template", "dataDir=/d\nclientPortAddress={{ Nonsense }}", ":2", "Nonsense"},
		{"a key of which only one value is left", "dataDir=/d\nelectionAlg=1", ":2: electionAlg", "only 3"},
		{"a peer type that is none", "dataDir=/d\npeerType=king", ":2: peerType", "neither participant nor observer"},
		{"no limit of ticks", "dataDir=/d\nsyncLimit=0", ":2: syncLimit", "between 1"},
		{"a limit of months", "dataDir=/d\ntickTime=2000\ninitLimit=2000000", ":3: initLimit", "longer than 24 days"},
		{"a share that is no number", "dataDir=/d\nsnapshotSizeFactor=NaN", ":2: snapshotSizeFactor", "not a number"},
		{"first interval above the last", "dataDir=/d\nfastleader.minNotificationInterval=70000", ":2: fastleader", "larger"},
		{"TLS between servers", "dataDir=/d\nsslQuorum=true", ":2: sslQuorum", "does not encrypt"},
		{"SASL between servers", "dataDir=/d\nquorum.auth.enableSasl=true", ":2: quorum.auth.enableSasl", "prove who they are"},
		{"SASL of learners", "dataDir=/d\nquorum.auth.learnerRequireSasl=true", ":2: quorum.auth.learnerRequireSasl", "prove"},
		{"SASL of the leader", "dataDir=/d\nquorum.auth.serverRequireSasl=true", ":2: quorum.auth.serverRequireSasl", "prove"},
		{"neither yes nor no to TLS", "dataDir=/d\nsslQuorum=maybe", ":2: sslQuorum", "neither"},
		{"a digest that is none", "dataDir=/d\nDigestAuthenticationProvider.digestAlg=RipeMD160", ":2: Digest", "is none of SHA1"},
		{"SASL of clients", "dataDir=/d\nsessionRequireClientSASLAuth=true", ":2: sessionRequireClientSASLAuth", "has no SASL"},
		{"clients that authenticate, by nothing", "dataDir=/d\nenforce.auth.enabled=true", ":2: enforce.auth.enabled", "needs enforce.auth.schemes"},
		{"clients that authenticate by SASL", "dataDir=/d\nenforce.auth.enabled=true\nenforce.auth.schemes=digest, sasl", ":3: enforce.auth.schemes", `no scheme "sasl"`},
		{"clients that authenticate by what everybody is", "dataDir=/d\nenforce.auth.schemes=world\nenforce.auth.enabled=true", ":2: enforce.auth.schemes", `no scheme "world"`},
		{"clients that authenticate by what is off", "dataDir=/d\nDigestAuthenticationProvider.enabled=no\nenforce.auth.enabled=true\nenforce.auth.schemes=digest", ":4: enforce.auth.schemes", `no scheme "digest"`},
		{"commands by HTTPS only", "dataDir=/d\nadmin.forceHttps=true", ":2: admin.forceHttps", "in the clear"},
		{"an oracle", "dataDir=/d\noraclePath=/o", ":2: oraclePath", "no oracle"},
		{"groups of voters", "dataDir=/d\ngroup.1=1:2:3", ":2: group.1", "later release"},
		{"weights of voters", "dataDir=/d\nweight.1=2", ":2: weight.1", "later release"},
		{"an ensemble without a voter", "dataDir=/d\nstandaloneEnabled=false", ":2: standaloneEnabled", "no server line"},
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
	for _, c := range []struct{ name, text, want string }{
		{"no effect", "serverCnxnFactory=x", "zoo.cfg:2: serverCnxnFactory has no effect: there is one kind of client port"},
		{"unknown", "foo=1", "zoo.cfg:2: foo is unknown, and ignored"},
		{"set twice", "snapCount=5\n\nzookeeper.snapCount=6", "zoo.cfg:4: zookeeper.snapCount counts, and not snapCount at "},
		{"another word for yes", "skipACL=true", "zoo.cfg:2: skipACL true has no effect: only the word yes has"},
		{"another word for no", "forceSync=false", "zoo.cfg:2: forceSync false has no effect: only the word no has"},
		{"too small a commit log", "commitLogCount=100", "zoo.cfg:2: commitLogCount 100 is less than 500, which counts"},
		{"more than the whole snapshot", "snapshotSizeFactor=1.5", "zoo.cfg:2: snapshotSizeFactor 1.5 is more than 1: 0.33 counts"},
		{"an observer alone", "peerType=observer", "zoo.cfg:2: peerType observer does not count"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, warnings, err := Load(write(t, "dataDir=/d\n"+c.text), nil, nil)
			if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], c.want) {
				t.Fatalf("warnings = %q, %v, want %q", warnings, err, c.want)
			}
			if cfg.SkipACL || !cfg.ForceSync || cfg.CommitLogCount != 500 || cfg.SnapshotSizeFactor != 0.33 {
				t.Errorf("commitLogCount %d, snapshotSizeFactor %v", cfg.CommitLogCount, cfg.SnapshotSizeFactor)
			}
		})
	}
	_, warnings, err := Load(write(t, "dataDir=/d"), []string{"ZABD_BAR=1"}, nil)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "environment: ZABD_BAR is no setting") {
		t.Fatalf("warnings = %q, %v", warnings, err)
	}
}

// TestSourcesBySpelling: a key has several names, and the later source counts whichever it uses.
func TestSourcesBySpelling(t *testing.T) {
	file := write(t, "dataDir=/d\nzookeeper.forceSync=no\nobserver.syncEnabled=false\nzookeeper.leader.maxConcurrentSnapSyncs=3")
	cfg, warnings, err := Load(file, []string{"ZABD_FORCESYNC=yes"}, map[string]string{"syncEnabled": "true", "maxConcurrentSnapSyncs": "4"})
	if err != nil || len(warnings) > 0 || !cfg.ForceSync || !cfg.ObserverSyncEnabled || cfg.MaxConcurrentSnapSyncs != 4 {
		t.Fatalf("Load = %+v, %q, %v", cfg, warnings, err)
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
