package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What ZooKeeper's start scripts and its container image take from the environment stands below zoo.cfg, as it does
// there; the variables ZABD_... stand above it. Each that counts is said in the log, so that whoever moves finds where a
// setting comes from.

// imageVariables are those of ZooKeeper's container image, which writes a zoo.cfg of them where there is none.
var imageVariables = map[string]string{
	"ZOO_DATA_DIR": "dataDir", "ZOO_DATA_LOG_DIR": "dataLogDir", "ZOO_TICK_TIME": "tickTime", "ZOO_INIT_LIMIT": "initLimit",
	"ZOO_SYNC_LIMIT": "syncLimit", "ZOO_MAX_CLIENT_CNXNS": "maxClientCnxns", "ZOO_STANDALONE_ENABLED": "standaloneEnabled",
	"ZOO_ADMINSERVER_ENABLED": "admin.enableServer", "ZOO_AUTOPURGE_PURGEINTERVAL": "autopurge.purgeInterval",
	"ZOO_AUTOPURGE_SNAPRETAINCOUNT": "autopurge.snapRetainCount", "ZOO_4LW_COMMANDS_WHITELIST": "4lw.commands.whitelist",
	imageID: "myid", imageServers: "server.N", imageExtra: "further lines",
}

const (
	imageID      = "ZOO_MY_ID"
	imageServers = "ZOO_SERVERS"   // server lines, with blanks between
	imageExtra   = "ZOO_CFG_EXTRA" // any lines, with blanks between
	noDirectory  = "ZOO_DATADIR_AUTOCREATE_DISABLE"
)

// scriptVariables are read by ZooKeeper's scripts, and by nothing here. JAVA_HOME and CLASSPATH, which are everybody's,
// are passed over in silence.
var scriptVariables = strings.Fields(`ZOOCFGDIR ZOOCFG ZOO_LOG_DIR ZOO_LOG_FILE ZOOPIDFILE ZOO_NOEXEC
	CLIENT_JVMFLAGS ZK_SERVER_HEAP ZK_CLIENT_HEAP
	JMXDISABLE JMXLOCALONLY JMXPORT JMXAUTH JMXSSL JMXLOG4J JMXHOSTNAME`)

// javaVariables have flags of the Java virtual machine: of those, -Dname=value may be a setting.
var javaVariables = []string{"SERVER_JVMFLAGS", "JVMFLAGS"}

// mergeScripts takes what the environment says to ZooKeeper's scripts and image.
func (l *loader) mergeScripts(env []string) error {
	values := make(map[string]any)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		here := origin{fromEnvironment, name}
		switch {
		case slices.Contains(javaVariables, name):
			l.takeFlags(values, here, value)
		case name == noDirectory && value != "":
			l.takeBelow(values, here, "datadir.autocreate", "false")
		case slices.Contains(scriptVariables, name):
			l.warn(here, "has no effect: it is for ZooKeeper's scripts")
		case imageVariables[name] != "" && value != "":
			l.takeImage(values, here, value)
		}
	}
	if l.file != "" {
		for _, name := range []string{"zookeeper-env.sh", "java.env"} {
			if err := l.takeScript(values, filepath.Join(filepath.Dir(l.file), name)); err != nil {
				return err
			}
		}
	}
	if err := l.values.MergeConfigMap(values); err != nil {
		return &Error{Source: fromEnvironment, Reason: err.Error()}
	}
	return nil
}

// takeBelow takes a setting that zoo.cfg goes over.
func (l *loader) takeBelow(values map[string]any, from origin, key, value string) {
	values[canonical(key)] = value
	l.from[canonical(key)] = from
	l.warn(from, "sets "+key)
}

// takeImage takes a variable of the container image.
func (l *loader) takeImage(values map[string]any, from origin, value string) {
	if l.file != "" {
		l.warn(from, "has no effect beside a zoo.cfg, as in ZooKeeper's image")
		return
	}
	switch from.key {
	case imageID:
		l.givenID = value
	case imageServers, imageExtra:
		for _, line := range strings.Fields(value) {
			key, v, _ := strings.Cut(line, "=")
			l.takeBelow(values, origin{from.source, key}, key, v)
		}
	default:
		l.takeBelow(values, from, imageVariables[from.key], value)
	}
}

// takeFlags takes the flags that are settings, and says which others there are.
func (l *loader) takeFlags(values map[string]any, from origin, flags string) {
	for _, flag := range words(flags) {
		property, ok := strings.CutPrefix(flag, "-D")
		key, value, _ := strings.Cut(property, "=")
		_, row := find(key)
		short, ours := strings.CutPrefix(key, zookeeperPrefix)
		switch {
		case ok && (ours || row != nil):
			l.takeBelow(values, from, short, value)
		case flag != "":
			l.warn(from, fmt.Sprintf("has %.40s, which is for Java and has no effect", flag))
		}
	}
}

// assignment is a line of a shell script that sets flags.
var assignment = regexp.MustCompile(`^\s*(?:export\s+)?(\w+)=(.*)$`)

// takeScript takes the flags that a script beside zoo.cfg sets, which ZooKeeper's own would run. It is not run here.
func (l *loader) takeScript(values map[string]any, file string) error {
	text, err := l.host.readFile(file)
	if err != nil {
		return nil // mostly there is none, and what a shell may not read does not count there either
	}
	for i, line := range strings.Split(string(text), "\n") {
		if m := assignment.FindStringSubmatch(line); m != nil && slices.Contains(javaVariables, m[1]) {
			l.takeFlags(values, origin{fmt.Sprintf("%s:%d", file, i+1), m[1]}, strings.Join(words(m[2]), " "))
		}
	}
	return nil
}

// words splits a text at blanks as a shell does, with what stands in quotes in one piece. References to variables are
// left out: they are others' flags.
func words(text string) (out []string) {
	var word strings.Builder
	quote, begun := rune(0), false
	end := func() {
		if s := word.String(); begun && !strings.HasPrefix(s, "$") {
			out = append(out, s)
		}
		word.Reset()
		begun = false
	}
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\r'):
			end()
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	end()
	return out
}
