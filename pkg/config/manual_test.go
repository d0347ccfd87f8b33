package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/config.md")

const manual = "../../docs/config.md"

// TestTheManualIsMadeOfTheTable: docs/config.md says what the table says. Write it with go generate.
func TestTheManualIsMadeOfTheTable(t *testing.T) {
	want := writeManual()
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manual)
	if err != nil || string(got) != want {
		t.Fatalf("%s is stale (%v): go generate ./pkg/config", manual, err)
	}
}

func writeManual() string {
	var b strings.Builder
	b.WriteString(manualHead)
	for _, a := range areas {
		fmt.Fprintf(&b, "\n## %s\n\n| key | values | default | effect | shown by |\n| --- | --- | --- | --- | --- |\n", a.title)
		for _, k := range a.keys {
			names := k.name
			if len(k.also) > 0 {
				names += "<br>also: " + strings.Join(k.also, ", ")
			}
			effect := k.effect
			if k.live {
				effect += " (R)"
			}
			if k.idle != "" {
				effect = "None: " + k.idle + "."
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", names, k.values, k.def, effect, strings.TrimPrefix(k.test, "pkg/"))
		}
	}
	return b.String()
}

const manualHead = `# Settings

This file is made of the table in pkg/config by ` + "`go generate ./pkg/config`" + `: every key of zoo.cfg, what it may be, what it does,
and the test that shows it. A key may begin with zookeeper., as ZooKeeper's properties do, and may be written in upper
or lower case. What is unknown, or has no effect, is said in the log; what is wrong refuses the start with file, line
and reason. (R): a reload (` + "`systemctl reload zabd`" + `) changes it in a server that runs.
`

// TestEffectsAreShown: each row names a test that exists and sets the key, or says why the key changes nothing.
func TestEffectsAreShown(t *testing.T) {
	tests := make(map[string]string) // of each, the text of its file
	for _, a := range areas {
		for _, k := range a.keys {
			switch {
			case (k.test == "") == (k.idle == ""):
				t.Errorf("%s: wants either a test or a reason for having no effect", k.name)
			case k.test != "" && k.effect == "":
				t.Errorf("%s: the effect is not told", k.name)
			case k.idle != "" && !mayBeIdle(k.name):
				t.Errorf("%s: must have an effect", k.name)
			case k.test != "" && !sets(source(t, tests, k.test), &k):
				t.Errorf("%s: %s is not there, or its file does not set the key", k.name, k.test)
			}
		}
	}
}

// idleKeys are those of which it is known that nothing could come of them here, whatever their values.
var idleKeys = regexp.MustCompile(`^(serverCnxnFactory|nio\..*|netty\..*|commitProcessor\..*|jmx.*|jvm\..*` + // Java's threads and machine
	`|.*[cC]lass|authProvider\.X|watchManagerName|watcherClean.*|maxInProcessingDeadWatchers|bitHashCacheSize` + // its classes and their settings
	`|.*httpVersion|ssl\.sslProvider|metricsProvider\.(exportJvmInfo|workerShutdownTimeoutMs|numWorkerThreads|maxQueueSize)` +
	// what we do without, for the reason that the row gives
	`|learner\.(asyncSending|closeSocketAsync)|leader\.(closeSocketAsync|ackLoggingFrequency)|quorum\.cnxn\.threads\.size` +
	`|follower\.skipLearnerRequestToNextProcessor|forward_learner_requests_to_commit_processor_disabled` +
	`|request_throttler\.shutdownTimeout|intBufferStartingSizeBytes|max(GetChildren)?ResponseCacheSize)$`)

func mayBeIdle(name string) bool { return idleKeys.MatchString(name) }

// source returns the text of the file that has a test; "" if there is none.
func source(t *testing.T, cache map[string]string, test string) string {
	t.Helper()
	if text, known := cache[test]; known {
		return text
	}
	cache[test] = ""
	dot := strings.LastIndexByte(test, '.')
	files, err := filepath.Glob(filepath.Join("../..", test[:dot], "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == test[dot+1:] {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				cache[test] = string(text)
			}
		}
	}
	return cache[test]
}

// sets tells whether a test's text sets a key by one of its names: name=, or "name" as an argument.
func sets(text string, k *key) bool {
	for _, name := range append([]string{k.name}, k.also...) {
		name = regexp.QuoteMeta(strings.TrimSuffix(strings.TrimSuffix(name, ".N"), ".X"))
		if name != regexp.QuoteMeta(k.name) && strings.HasSuffix(k.name, ".N") || strings.HasSuffix(k.name, ".X") {
			name += `\.\w+`
		}
		if regexp.MustCompile(`(?m)(^|[^\w.]|\\n)(zookeeper\.)?` + name + `("|\s*=)`).MatchString(text) {
			return true
		}
	}
	return false
}

// TestWrongValuesAreNamed: what cannot be a key's value refuses the start with file, line and key, whatever the key.
func TestWrongValuesAreNamed(t *testing.T) {
	free := regexp.MustCompile(`text|words|director|file|address|hash|user|line|path|host|server|name`)
	checked := 0
	for _, a := range areas {
		for _, k := range a.keys {
			if k.set == nil || k.same == nil || free.MatchString(k.values) {
				continue
			}
			checked++
			for _, value := range []string{"?", "", "9x"} {
				_, _, err := Load(write(t, "dataDir=/d\n"+k.name+"="+value), nil, nil)
				if value == "" && err == nil { // nothing is one of the values
					continue
				}
				if err == nil || !strings.Contains(err.Error(), "zoo.cfg:2: "+k.name+": ") {
					t.Errorf("%s=%s (%s): %v", k.name, value, k.values, err)
				}
			}
		}
	}
	if checked < 80 {
		t.Errorf("only %d keys take something that can be wrong", checked)
	}
}

// TestDefaultsAreTrue: what the table says of a default is what counts when nothing is set.
func TestDefaultsAreTrue(t *testing.T) {
	for _, a := range areas {
		for _, k := range a.keys {
			if k.same == nil || strings.HasPrefix(k.def, "(") {
				continue
			}
			c := Default()
			if _, err := c.set(k.name, k.def); err != nil || !reflect.DeepEqual(c, Default()) {
				t.Errorf("%s: %q is not the default (%v)", k.name, k.def, err)
			}
		}
	}
}

// TestRowsAreFoundByEachName: no spelling is another row's, and each can be set in the environment.
func TestRowsAreFoundByEachName(t *testing.T) {
	names := make(map[string]bool)
	for _, a := range areas {
		for _, k := range a.keys {
			for _, name := range append([]string{k.name}, k.also...) {
				if names[strings.ToLower(name)] {
					t.Errorf("%s stands for two rows", name)
				}
				names[strings.ToLower(name)] = true
				if c, row := find("zookeeper." + name); row == nil || row.name != k.name || c != strings.ToLower(k.name) {
					t.Errorf("%s: found %q, %v", name, c, row)
				}
				if strings.HasSuffix(name, ".N") || strings.HasSuffix(name, ".X") {
					continue
				}
				variable := envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
				if key, ok := keyOfVariable(variable); !ok || canonical(key) != strings.ToLower(k.name) {
					t.Errorf("%s sets %q", variable, key)
				}
			}
		}
	}
}
