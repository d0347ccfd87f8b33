package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func says(warnings []string, texts ...string) bool {
	for _, text := range texts {
		if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, text) }) {
			return false
		}
	}
	return len(warnings) == len(texts)
}

// TestImageVariables moves a container of ZooKeeper's image: its variables are the whole configuration.
func TestImageVariables(t *testing.T) {
	dir := t.TempDir()
	env := []string{
		"PATH=/bin", "ZOO_MY_ID=2", "ZOO_DATA_DIR=" + dir, "ZOO_TICK_TIME=1500", "ZOO_INIT_LIMIT=7", "ZOO_SYNC_LIMIT=3",
		"ZOO_MAX_CLIENT_CNXNS=9", "ZOO_4LW_COMMANDS_WHITELIST=srvr,ruok", "ZOO_CFG_EXTRA=snapCount=50 preAllocSize=1024",
		"ZOO_SERVERS=server.1=127.0.0.1:2888:3888;2181 server.2=127.0.0.1:2889:3889;2182 server.3=127.0.0.1:2890:3890;2183",
		"ZABD_INITLIMIT=8",
	}
	cfg, warnings, err := Load("", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != dir || cfg.TickTime != 1500*time.Millisecond || cfg.InitLimit != 8 || cfg.SyncLimit != 3 || cfg.MaxClientCnxns != 9 ||
		cfg.SnapCount != 50 || cfg.PreAllocSize != 1<<20 || cfg.MyID != 2 || cfg.ClientPort != 2182 || len(cfg.FourLetterWhitelist) != 2 {
		t.Errorf("Load = %+v", cfg)
	}
	if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "environment: ZOO_TICK_TIME sets tickTime") }) {
		t.Errorf("warnings %q", warnings)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "myid")); err != nil || string(text) != "2\n" {
		t.Errorf("myid is %q, %v", text, err)
	}
	if _, _, err := Load("", append(env, "ZOO_MY_ID=7"), map[string]string{"dataDir": t.TempDir()}); err == nil || !strings.Contains(err.Error(), "ZOO_MY_ID: there is no server.7") {
		t.Errorf("an id that nobody has: %v", err)
	}
	cfg, warnings, err = Load(write(t, "dataDir=/d"), []string{"ZOO_TICK_TIME=1500"}, nil)
	if err != nil || cfg.TickTime != Default().TickTime || !says(warnings, "ZOO_TICK_TIME has no effect beside a zoo.cfg") {
		t.Errorf("beside a file: %v, %q, %v", cfg.TickTime, warnings, err)
	}
}

// TestJavaFlags: properties that were given to the Java virtual machine count below zoo.cfg.
func TestJavaFlags(t *testing.T) {
	file := write(t, "dataDir=/d\nsnapCount=70")
	script := "# -Dzookeeper.forceSync=no\nexport JVMFLAGS=\"-Xmx1g -Dzookeeper.digest.enabled=false $JVMFLAGS\"\nOTHER=-Dzookeeper.skipACL=yes\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "java.env"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"SERVER_JVMFLAGS=-Dzookeeper.snapCount=60 -Djute.maxbuffer=4096 '-Dzookeeper.preAllocSize=128' -Djava.awt.headless=true",
		"ZOO_DATADIR_AUTOCREATE_DISABLE=1", "JMXPORT=99", "ZK_SERVER_HEAP=1000", "JAVA_HOME=/j",
	}
	cfg, warnings, err := Load(file, env, nil)
	if err != nil || cfg.SnapCount != 70 || cfg.JuteMaxBuffer != 4096 || cfg.PreAllocSize != 128<<10 || cfg.DatadirAutocreate || cfg.DigestEnabled || !cfg.ForceSync {
		t.Errorf("Load = %+v, %v", cfg, err)
	}
	if !says(
		warnings,
		"SERVER_JVMFLAGS sets snapCount", "zoo.cfg:2: snapCount counts, and not SERVER_JVMFLAGS at environment",
		"SERVER_JVMFLAGS sets jute.maxbuffer", "SERVER_JVMFLAGS sets preAllocSize",
		"SERVER_JVMFLAGS has -Djava.awt.headless=true, which is for Java",
		"ZOO_DATADIR_AUTOCREATE_DISABLE sets datadir.autocreate",
		"JMXPORT has no effect", "ZK_SERVER_HEAP has no effect",
		"java.env:2: JVMFLAGS has -Xmx1g", "java.env:2: JVMFLAGS sets digest.enabled",
	) {
		t.Errorf("warnings:\n%s", strings.Join(warnings, "\n"))
	}
	_, _, err = Load(file, []string{"SERVER_JVMFLAGS=-Dzookeeper.sslQuorum=true"}, nil)
	if err == nil || !strings.Contains(err.Error(), "environment: SERVER_JVMFLAGS: this release does not encrypt") {
		t.Errorf("a property that cannot be honoured: %v", err)
	}
}

// TestEnvironmentAndFlags: the environment goes over the file, and --set over both; any spelling will do.
func TestEnvironmentAndFlags(t *testing.T) {
	file := write(t, "dataDir=/d\nsnapCount=10\ntickTime=1000\nfips-mode=true")
	cfg, warnings, err := Load(file, []string{
		"ZABD_SNAPCOUNT=20", "ZABD_TICKTIME=2000", "ZABD_REQUESTTHROTTLELIMIT=5", "ZABD_FIPS_MODE=true",
	}, map[string]string{"snapCount": "30"})
	if err != nil || len(warnings) > 0 || cfg.SnapCount != 30 || cfg.TickTime != 2*time.Second || cfg.Throttle.MaxRequests != 5 {
		t.Errorf("Load = %+v, %q, %v", cfg, warnings, err)
	}
	_, _, err = Load(file, []string{"ZABD_SNAPCOUNT=x"}, nil)
	if err == nil || !strings.Contains(err.Error(), "environment: snapCount: \"x\" is not a number") {
		t.Errorf("a bad variable: %v", err)
	}
	_, _, err = Load(file, nil, map[string]string{"snapCount": "x"})
	if err == nil || !strings.Contains(err.Error(), "command line: snapCount: ") {
		t.Errorf("a bad flag: %v", err)
	}
}

func TestIntervals(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"0": 0, "2": 2 * time.Hour, "3h": 3 * time.Hour, "4m": 4 * time.Minute, "5s": 5 * time.Second, "600ms": 600 * time.Millisecond, "7d": 7 * 24 * time.Hour,
	} {
		cfg, _, err := Load(write(t, "dataDir=/d\nautopurge.purgeInterval="+value), nil, nil)
		if err != nil || cfg.AutopurgePurgeInterval != want {
			t.Errorf("%s: %v, %v", value, cfg.AutopurgePurgeInterval, err)
		}
	}
	for _, value := range []string{"x", "-1", "1w", "3000000h", "h", "9223372036854775807s"} {
		if _, _, err := Load(write(t, "dataDir=/d\nautopurge.purgeInterval="+value), nil, nil); err == nil {
			t.Errorf("%s is taken", value)
		}
	}
}
