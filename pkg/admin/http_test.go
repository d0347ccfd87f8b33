package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

func httpOf(role string) (*HTTP, *recorded) {
	r := &recorded{role: role}
	return &HTTP{
		Source: r, Registry: metrics.NewRegistry(), Trace: NewTraceMask(), Aliases: NewAliases(), Stats: &Stats{},
		CommandURL: "/commands", SnapshotEnabled: true, SnapshotEvery: time.Hour, RestoreEnabled: true, RestoreEvery: time.Hour,
	}, r
}

func get(h http.Handler, method, path, authorization, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// keysOf returns the paths of all members of a JSON text, in their order, and checks how it is printed. What is below a
// map of sessions or paths is left out.
func keysOf(t *testing.T, text string) (keys []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		m := regexp.MustCompile(`^( *)"([^"]*)" : (.*)$`).FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		key := m[1] + m[2]
		if regexp.MustCompile(`^\s*(\d+|/.*)$`).MatchString(key) {
			key = m[1] + "N"
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestCommandsHaveTheShapesOfZooKeeper compares, for every role, the members of every answer and their order.
func TestCommandsHaveTheShapesOfZooKeeper(t *testing.T) {
	for _, role := range roles {
		h, _ := httpOf(role)
		local := h.Handler(true)
		files, err := filepath.Glob("../../testdata/golden39/admin/admin-" + role + "/*.json")
		if err != nil || len(files) < 25 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			want := golden("admin-" + role + "/" + name + ".json")
			w := get(local, "GET", "/commands/"+name, "", "")
			if role == "not-serving" && name == "monitor" { // a defect
				want = fmt.Sprintf("{\n  \"command\" : \"monitor\",\n  \"error\" : \"%s\"\n}", notServing)
			}
			compare(t, role, name, w.Body.String(), want)
		}
	}
}

// otherwise are the commands whose members are of this server and not of Java's, or that other tests have.
var otherwise = strings.Fields("monitor system_properties restore snapshot")

// exact are those that are compared by their text as well, but for ids and Java's order within a hash.
var exact = strings.Fields(`dump hash is_read_only leader nosuch ruok set_trace_mask stat_reset connection_stat_reset
	observer_connection_stat_reset voting_view watch_summary watches watches_by_path zabstate`)

func compare(t *testing.T, role, name, got, want string) {
	t.Helper()
	if slices.Contains(otherwise, name) && (role != "not-serving" || name == "system_properties") {
		return
	}
	a, b := keysOf(t, got), keysOf(t, want)
	if strings.Contains(name, "stats") { // in an order of Java's own, which differs between its servers
		slices.Sort(a)
		slices.Sort(b)
	}
	if role != "standalone" && (name == "connections" || name == "stats") { // who is connected differs
		a, b = slices.Compact(a), slices.Compact(b)
		inner := func(key string) bool { return strings.HasPrefix(key, "    ") }
		a, b = slices.DeleteFunc(a, inner), slices.DeleteFunc(b, inner)
	}
	if !slices.Equal(a, b) {
		t.Errorf("%s of a server that is %s has\n%q, want\n%q", name, role, a, b)
	}
	normal := func(s string) []string {
		lines := strings.Split(regexp.MustCompile(`\d{17}`).ReplaceAllString(strings.ReplaceAll(s, ",", ""), "N"), "\n")
		slices.Sort(lines)
		return lines
	}
	if slices.Contains(exact, name) && !slices.Equal(normal(got), normal(want)) {
		t.Errorf("%s of a server that is %s =\n%s\nwant\n%s", name, role, got, want)
	}
}

func TestIndexAndOddPaths(t *testing.T) {
	h, _ := httpOf("standalone")
	tcp := h.Handler(false)
	links := get(tcp, "GET", "/commands", "", "").Body.String()
	want := strings.Replace(golden("admin-standalone/index.html"), `<a href="/commands/snapshot">`,
		"<a href=\"/commands/shed_connections\">shed_connections</a>\n<br/>\n<a href=\"/commands/snapshot\">", 1)
	if links != want {
		t.Errorf("the index is\n%s\nwant\n%s", links, want)
	}
	for path, status := range map[string]int{"/": 404, "/commands/": 404, "/commands/a/b": 404, "/commands/nosuch": 200, "/commands/stat?x=1": 200, "/commands/MNTR": 200} {
		if got := get(tcp, "GET", path, "", "").Code; got != status {
			t.Errorf("%s = %d, want %d", path, got, status)
		}
	}
	if w := get(tcp, "POST", "/commands/ruok", "", ""); w.Code != 405 || w.Header().Get("Allow") != "GET" {
		t.Errorf("POST of ruok = %d", w.Code)
	}
}

// TestGuardedCommandsAnswerAsZooKeeper replays what was said about snapshots and restores.
func TestGuardedCommandsAnswerAsZooKeeper(t *testing.T) {
	f, err := os.Open("../../testdata/golden39/admin/snapshot-restore.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, _ := httpOf("standalone")
	tcp := h.Handler(false)
	replayed := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l struct {
			Note, Method, Path, Body string
			RequestHeaders, Headers  map[string]string
			Status                   int
			Server                   string
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			continue
		}
		if l.Server == "snapacl" || l.Server == "snapnolast" {
			break
		}
		if l.Path == "" || l.Status == 500 && (l.Method == "GET" || !strings.Contains(l.Path, "restore")) {
			continue // a defect of Java's
		}
		if l.Note == "a second later" || l.Note == "streaming=false" {
			h.snapshotAt = time.Time{}
		}
		w := get(tcp, l.Method, l.Path, l.RequestHeaders["Authorization"], "")
		body := strings.Replace(w.Body.String(), `"no snapshot"`, "null", 1) // ZooKeeper says no more
		if strings.HasSuffix(l.Body, " bytes") {
			body = fmt.Sprintf("%d bytes", len(body))
		}
		if w.Code != l.Status || body != l.Body || w.Header().Get("last_zxid") != l.Headers["last_zxid"] ||
			w.Header().Get("snapshot_size") != l.Headers["snapshot_size"] || w.Header().Get("Content-Type") != l.Headers["content-type"] {
			t.Errorf("%s: %d %v %q, want %d %q", l.Note, w.Code, w.Header(), body, l.Status, l.Body)
		}
		replayed++
	}
	if replayed < 14 || h.Stats.SnapshotLimited.Load() != 2 || h.Stats.RestoreLimited.Load() < 2 || h.Stats.RestoreErrors.Load() != 1 {
		t.Errorf("%d lines replayed, %d snapshots came too soon", replayed, h.Stats.SnapshotLimited.Load())
	}
}

func TestNothingChangesOverTCPWithoutAuthentication(t *testing.T) {
	h, r := httpOf("standalone")
	tcp, local := h.Handler(false), h.Handler(true)
	for i := range commands {
		x := &commands[i]
		if !x.changes {
			continue
		}
		for authorization, want := range map[string]int{"": 401, "digest a b": 401, "nope x": 401, "digest": 401, "digest guest:pw": 403} {
			if w := get(tcp, x.method(), "/commands/"+x.name+"?traceMask=1", authorization, `{"percentage":50}`); w.Code != want {
				t.Errorf("%s with %q = %d, want %d", x.name, authorization, w.Code, want)
			}
		}
	}
	if len(r.resets) > 0 || h.Trace.Load() != usualMask {
		t.Errorf("changed all the same: %v, %d", r.resets, h.Trace.Load())
	}
	for _, on := range []http.Handler{tcp, local} {
		w := get(on, "POST", "/commands/shed", map[bool]string{true: "digest root:pw"}[true], `{"percentage":50}`)
		if want := "{\n  \"connections_shed\" : 5,\n  \"percentage_requested\" : 50,\n  \"command\" : \"shed_connections\",\n  \"error\" : null\n}"; w.Body.String() != want {
			t.Errorf("shed = %d %s", w.Code, w.Body)
		}
	}
	if w := get(local, "GET", "/commands/stmk?traceMask=256", "", ""); h.Trace.Load() != 256 || !strings.Contains(w.Body.String(), `"tracemask" : 256`) {
		t.Errorf("by the control socket: %d %s", w.Code, w.Body)
	}
	backup, want := golden("streamed-snapshot.bin"), "{\n  \"last_zxid\" : 4,\n  \"command\" : \"restore\",\n  \"error\" : null\n}"
	for range 2 { // no rate is limited here
		if w := get(local, "POST", "/commands/restore", "", backup); w.Code != 200 || w.Body.String() != want {
			t.Errorf("restore = %d %s", w.Code, w.Body)
		}
	}
	h.SnapshotEnabled = false
	if w := get(local, "GET", "/commands/snapshot", "", ""); w.Code != 503 {
		t.Errorf("a snapshot while that is off = %d", w.Code)
	}
	h.RestoreEnabled = false
	if w := get(local, "POST", "/commands/rest", "", backup); w.Code != 503 {
		t.Errorf("a restore while that is off = %d", w.Code)
	}
}

func TestShedRefusesNonsense(t *testing.T) {
	h, _ := httpOf("standalone")
	for body, want := range map[string]string{
		"": "Request body is required", "{}": "Missing required parameter: percentage", `{"percentage":101}`: "Percentage must be between 0 and 100",
		`{"percentage":1.5}`: "Percentage must be", `{"percentage":}`: "Invalid JSON", `{"percentage":"x"}`: "Invalid JSON",
		strings.Repeat(" ", longestBody+1): "Invalid JSON or failed to read",
	} {
		if w := get(h.Handler(true), "POST", "/commands/shed", "", body); w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("shed %.30q = %d %s", body, w.Code, w.Body)
		}
	}
}

func TestSessionIdsOnlyOnTheControlSocket(t *testing.T) {
	h, _ := httpOf("standalone")
	for _, name := range []string{"connections", "dump", "watches", "watches_by_path"} {
		for local, want := range map[bool]bool{true: true, false: false} {
			body := get(h.Handler(local), "GET", "/commands/"+name, "", "").Body.String()
			if got := strings.Contains(body, "7205796711176601"); got != want {
				t.Errorf("%s, control socket %v, tells ids: %v", name, local, got)
			}
		}
	}
	for local, want := range map[bool]string{true: `"tickTime=2000\n"`, false: "null"} {
		if body := get(h.Handler(local), "GET", "/commands/icfg", "", "").Body.String(); !strings.Contains(body, `"initial_configuration" : `+want) {
			t.Errorf("initial_configuration, control socket %v = %s", local, body)
		}
	}
}

func TestProbes(t *testing.T) {
	for role, want := range map[string]int{"leader": 200, "not-serving": 503} {
		h, _ := httpOf(role)
		if got := get(h.Handler(false), "GET", "/readyz", "", "").Code; got != want {
			t.Errorf("/readyz of a server that is %s = %d", role, got)
		}
		if got := get(h.Handler(false), "GET", "/livez", "", "").Code; got != 200 {
			t.Errorf("/livez = %d", got)
		}
	}
}

// TestTextIsReadByJSON: what we print is what it says.
func TestTextIsReadByJSON(t *testing.T) {
	o := object{{"a\"\n", "<ä&\x01>"}, {"b", array{1, object{}, array{}, nil, true}}, {"c", object{{"d", number("1.5")}}}}
	var got, want any
	if err := json.Unmarshal(o.text(), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"a\"\n":"<ä&\u0001>","b":[1,{},[],null,true],"c":{"d":1.5}}`), &want); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || !bytes.Contains(o.text(), []byte("<ä&")) {
		t.Errorf("%s", o.text())
	}
}
