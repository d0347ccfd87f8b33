//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A foreign is what a ZooKeeper has that the playbook is to take over, as server 1 of three.
type foreign struct {
	zooCfg  string
	files   map[string]string // beside zoo.cfg
	vars    map[string]any    // of the inventory
	back    bool              // zabd gives the place back
	own     string            // where the link zoo.cfg.dynamic of zabd leads
	version string            // of the list that is taken over
	says    string            // why not
}

const (
	javaLines = "server.1=10.77.0.11:2888:3888:participant;0.0.0.0:2181\nserver.2=10.77.0.12:2888:3888:participant;0.0.0.0:2181\n" +
		"server.3=10.77.0.13:2888:3888:participant;0.0.0.0:2181" // as ZooKeeper writes them
	javaStatic = "server.1=10.77.0.11:2888:3888\nserver.2=10.77.0.12:2888:3888\nserver.3=10.77.0.13:2888:3888\n"
	javaList   = "dynamicConfigFile=DIR/zoo.cfg.dynamic.100000008\nreconfigEnabled=true\n"
	javaFile   = "zoo.cfg.dynamic.100000008"
)

// reconfigures is an inventory whose servers change their members by reconfig.
var reconfigures = map[string]any{"zabd_settings": map[string]any{"reconfigEnabled": true}}

var foreigns = map[string]foreign{
	"server lines in zoo.cfg": {zooCfg: "clientPort=2181\n" + javaStatic},
	"spaces and comments":     {zooCfg: "# mine\n  clientPort = 2181\n #server.4=x:1:2\n server.1 = 10.77.0.11:2888:3888\n" + strings.SplitN(javaStatic, "\n", 2)[1]},
	"the list of a reconfig":  {zooCfg: javaList, files: map[string]string{javaFile: javaLines}, vars: reconfigures, version: "100000008"},
	"a list of no reconfig":   {zooCfg: "standaloneEnabled=false\ndynamicConfigFile=DIR/zoo.dyn\n", files: map[string]string{"zoo.dyn": javaLines}},
	"reconfig is no longer enabled": {
		zooCfg: "dynamicConfigFile=DIR/" + javaFile + "\n", files: map[string]string{javaFile: javaLines}, version: "100000008",
	},
	"other servers in the list": {
		zooCfg: javaList, files: map[string]string{javaFile: javaLines + "\nserver.4=10.77.0.14:2888:3888:observer;2181"}, vars: reconfigures,
		says: "server.4=10.77.0.14:2888:3888:observer, by DIR/zoo.cfg.dynamic.100000008, and the inventory says server 1 of server.1=",
	},
	"another port in the list": {
		zooCfg: javaList, files: map[string]string{javaFile: strings.ReplaceAll(javaLines, "2181", "2190")}, vars: reconfigures,
		says: "client port is 2190, and zabd_client_port is 2181",
	},
	"another port in zoo.cfg": {zooCfg: "clientPort=2190\n" + javaStatic, says: "client port is 2190, and zabd_client_port is 2181"},
	"no port": {
		zooCfg: "secureClientPort=2281\n" + javaStatic, says: "ZooKeeper has no client port, or one for TLS alone",
	},
	"a list that is somewhere": {zooCfg: "dynamicConfigFile=conf/zoo.dyn\n", says: "dynamicConfigFile=conf/zoo.dyn is looked for in the directory"},
	"a list that is nowhere":   {zooCfg: "dynamicConfigFile=DIR/zoo.dyn\n", says: "file not found: DIR/zoo.dyn"},
	"a reconfig that has not ended": {
		zooCfg: javaList, files: map[string]string{javaFile: javaLines, "zoo.cfg.dynamic.next": javaLines + "\nversion=100000009"}, vars: reconfigures,
		says: "DIR/zoo.cfg.dynamic.next is on",
	},
	"groups":                    {zooCfg: "clientPort=2181\ngroup.1=1:2:3\n" + javaStatic, says: "zabd has not: group.1=1:2:3"},
	"reconfig in zoo.cfg alone": {zooCfg: javaList, files: map[string]string{javaFile: javaLines}, says: "has reconfigEnabled=true, and zabd_settings has reconfigEnabled: false"},
	"the way back":              {zooCfg: javaList, files: map[string]string{javaFile: javaLines}, vars: reconfigures, back: true, own: javaFile, version: "100000008"},
	"the way back, with an old list": {
		zooCfg: javaList, files: map[string]string{javaFile: javaLines}, vars: reconfigures, back: true, own: "zoo.cfg.dynamic.200000001",
		says: "let dynamicConfigFile in DIR/zoo.cfg name that",
	},
}

// TestMigrationReadsZooKeepersLists has the role read files of ZooKeeper on this host, without a server: what it takes over, and
// why it does not.
func TestMigrationReadsZooKeepersLists(t *testing.T) {
	t.Parallel()
	need(t, "ansible-playbook", ansibleTools)
	dir, hosts, groups, names := t.TempDir(), map[string]any{}, map[string]any{}, map[string]string{}
	for name, f := range foreigns {
		id := fmt.Sprintf("c%d", len(names))
		names[id], hosts[id] = name, map[string]any{}
		groups["of_"+id] = map[string]any{"hosts": f.ensemble(t, id, filepath.Join(dir, id))}
	}
	groups["read"] = map[string]any{"hosts": hosts}
	inventory, err := json.Marshal(map[string]any{"all": map[string]any{"children": groups}})
	if err != nil {
		t.Fatal(err)
	}
	const play = "- hosts: read\n  gather_facts: false\n  tasks:\n    - include_role: {name: zabd, tasks_from: zookeeper}\n" +
		"    - debug: {msg: 'taken over: {{ zabd_their_version }}.'}\n"
	for file, text := range map[string]string{"inventory.json": string(inventory), "play.yml": play} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "ansible-playbook", "-i", filepath.Join(dir, "inventory.json"), filepath.Join(dir, "play.yml"))
	cmd.Dir = "../../ansible"
	cmd.Env = append(os.Environ(), "ANSIBLE_NOCOLOR=1", "ANSIBLE_PIPELINING=1", "ANSIBLE_LOCAL_TEMP="+filepath.Join(dir, "tmp"))
	out, _ := cmd.CombinedOutput() // some fail, as they shall
	said := map[string]string{}
	for _, m := range regexp.MustCompile(`(?ms)^(?:ok|fatal): \[(c\d+)\][^\n]*=> (\{.*?\n?\})$`).FindAllStringSubmatch(string(out), -1) {
		said[m[1]] = m[2]
	}
	for id, name := range names {
		f := foreigns[name]
		want := strings.ReplaceAll(f.says, "DIR", filepath.Join(dir, id))
		if want == "" {
			want = "taken over: " + f.version + "."
		}
		if !strings.Contains(said[id], want) {
			t.Errorf("%s: %s, want %s", name, said[id], want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// ensemble writes the files of server 1, and returns what the inventory says of all three.
func (f *foreign) ensemble(t *testing.T, id, dir string) map[string]any {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "zabd"), 0o755); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"myid": "1\n", "zoo.cfg": "tickTime=2000\ndataDir=DIR\n" + f.zooCfg}
	for file, text := range f.files {
		all[file] = text
	}
	for file, text := range all {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f.own != "" {
		list := filepath.Join(dir, "zabd", f.own)
		if err := os.WriteFile(list, []byte(javaLines), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(f.own, filepath.Join(dir, "zabd/zoo.cfg.dynamic")); err != nil {
			t.Fatal(err)
		}
	}
	hosts := map[string]any{}
	for n := 1; n <= 3; n++ {
		vars := map[string]any{
			"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "zabd_group": "of_" + id, "zabd_id": n, "zabd_address": addressOf(n),
			"zabd_zookeeper_config": dir + "/zoo.cfg", "zabd_zookeeper_data_dir": dir, "zabd_data_dir": dir + "/zabd",
			"zabd_direction": map[bool]string{false: "from", true: "to"}[f.back],
		}
		for key, value := range f.vars {
			vars[key] = value
		}
		name := id
		if n > 1 {
			name = fmt.Sprintf("%s_%d", id, n)
		}
		hosts[name] = vars
	}
	return hosts
}
