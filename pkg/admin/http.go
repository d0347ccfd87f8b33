package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/metrics"
)

// An Operator is the server as the commands need it: more than the words tell, and some change it.
type Operator interface {
	Source
	Ensemble() Membership
	Learners() []Learner                            // of a leader, in order of their ids
	ConfigText() (string, bool)                     // of a server alone, as its file says it
	LastSnapshot() (zxid uint64, written time.Time) // the newest
	ResetLearners()
	// Authorize tells whether the credential of a scheme may do everything with the root.
	Authorize(scheme, credential, remote string) error
	// Snapshot writes the tree to a file, which the caller closes.
	Snapshot() (*Snapshot, error)
	// Restore goes on with the tree of a snapshot that r gives, and returns the zxid that it is of. An error says that nothing
	// has changed; ErrNotHere is one.
	Restore(r io.Reader) (zxid uint64, err error)
	// Shed closes connections of clients, about so many of a hundred, and returns how many.
	Shed(percentage int) int
	// Ready is nil if clients are served: the server is in its quorum, and caught up.
	Ready() error
	// Live is nil if every loop makes progress.
	Live() error
}

// What Authorize may find.
var (
	ErrNotAuthenticated = errors.New("admin: not authenticated")
	ErrNotAuthorized    = errors.New("admin: not authorized")
)

// ErrNotHere says that a server cannot do what another could.
var ErrNotHere = errors.New("admin: not by this server")

// Snapshot is one that has just been written.
type Snapshot struct {
	Zxid uint64
	Size int64
	io.ReadCloser
}

// HTTP answers the commands. Stats counts what becomes of snapshots and restores; it belongs to the registry.
type HTTP struct {
	Source          Operator
	Registry        *metrics.Registry
	Trace           *TraceMask
	Aliases         *Aliases
	Stats           *Stats
	CommandURL      string        // "/commands"
	SnapshotEnabled bool          // admin.snapshot.enabled
	SnapshotEvery   time.Duration // the shortest time between two snapshots over TCP
	RestoreEnabled  bool          // admin.restore.enabled
	RestoreEvery    time.Duration // likewise between two restores
	Patience        time.Duration // for the next bytes of a snapshot that is being restored

	mu         sync.Mutex // guards what follows
	snapshotAt time.Time
	restoreAt  time.Time
}

// Stats counts by ZooKeeper's names.
type Stats struct {
	SnapshotErrors  metrics.Counter `metric:"snapshot_error_count"`
	SnapshotLimited metrics.Counter `metric:"snapshot_rate_limited_count"`
	RestoreErrors   metrics.Counter `metric:"restore_error_count"`
	RestoreLimited  metrics.Counter `metric:"restore_rate_limited_count"`
}

// Handler returns what answers on a port. local: it is the control socket, whose file's mode says who may ask; they may
// do everything, and are told session ids.
func (h *HTTP) Handler(local bool) http.Handler {
	mux := http.NewServeMux()
	url := "/" + strings.Trim(h.CommandURL, "/")
	mux.HandleFunc(url, h.index)
	mux.HandleFunc(strings.TrimSuffix(url, "/")+"/{name}", func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, local) })
	mux.Handle("/metrics", h.Registry.Handler())
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { probe(w, h.Source.Live()) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { probe(w, h.Source.Ready()) })
	return mux
}

func probe(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// index links to all commands.
func (h *HTTP) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	for i := range commands {
		_, _ = fmt.Fprintf(w, "<a href=\"%s\">%s</a>\n<br/>\n", path.Join(r.URL.Path, commands[i].name), commands[i].name)
	}
}

func (h *HTTP) serve(w http.ResponseWriter, r *http.Request, local bool) {
	name := strings.ToLower(r.PathValue("name"))
	c := &call{HTTP: h, r: r, w: w, status: http.StatusOK, command: findCommand(name), local: local, ids: h.Aliases}
	if local {
		c.ids = nil
	}
	if c.command != nil {
		name = c.command.name
	}
	c.execute(name)
	if c.stream != nil {
		if err := c.stream(); err != nil {
			h.Stats.SnapshotErrors.Add(1)
			panic(http.ErrAbortHandler) // whoever reads finds the body cut off
		}
		return
	}
	if c.answer.has("error") { // in front, as ZooKeeper has it there
		c.answer.put("command", name)
	} else {
		c.answer.put("command", name)
		c.answer.put("error", c.err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(c.status)
	_, _ = w.Write(c.answer.text())
}

// Patient ends a connection whose client takes nothing of its answer for too long.
func Patient(h http.Handler, within time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(patient{w, http.NewResponseController(w), within}, r)
	})
}

// patient is a connection that ends when its client takes nothing for too long, however long the whole answer takes.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
}

// Write implements io.Writer.
func (p patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.within)) // a recorder has none
	return p.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (p patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// execute runs the command if whoever asks may run it now.
func (c *call) execute(name string) {
	x := c.command
	switch {
	case x == nil:
		c.err = "Unknown command: " + name
	case x.serving && c.Source.Status().NotServing:
		c.err = notServing
	case c.r.Method != x.method() && (x.post || c.r.Method != http.MethodHead):
		c.w.Header().Set("Allow", x.method())
		c.fail(http.StatusMethodNotAllowed, "The method is "+x.method())
	case c.permitted():
		x.run(c)
	}
}

func (x *command) method() string {
	if x.post {
		return http.MethodPost
	}
	return http.MethodGet
}

// permitted tells whether the caller may run the command; if not, the answer says why.
func (c *call) permitted() bool {
	if c.local || !c.command.changes {
		return true
	}
	header := c.r.Header.Get("Authorization")
	if header == "" {
		c.fail(http.StatusUnauthorized, "Auth info is missing for the command")
		return false
	}
	err := ErrNotAuthenticated
	if words := strings.Fields(header); len(words) == 2 {
		err = c.Source.Authorize(words[0], words[1], c.r.RemoteAddr)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, ErrNotAuthorized):
		c.fail(http.StatusForbidden, "Not authorized")
	default:
		c.fail(http.StatusUnauthorized, "Not authenticated")
	}
	return false
}

// restore goes on with the tree that the body holds.
func (c *call) restore() {
	switch {
	case !c.RestoreEnabled:
		c.status = http.StatusServiceUnavailable
		return
	case !c.local && c.tooSoon(&c.restoreAt, c.RestoreEvery):
		c.Stats.RestoreLimited.Add(1)
		c.status = http.StatusTooManyRequests
		return
	}
	zxid, err := c.Source.Restore(awaited{c.r.Body, http.NewResponseController(c.w), c.Patience})
	switch {
	case errors.Is(err, ErrNotHere):
		c.fail(http.StatusServiceUnavailable, err.Error())
	case err != nil:
		c.Stats.RestoreErrors.Add(1)
		c.fail(http.StatusInternalServerError, err.Error())
	default:
		c.answer.put("last_zxid", zxid)
	}
}

// awaited is a body that ends when its client sends nothing for too long, however long the whole takes.
type awaited struct {
	io.Reader
	control *http.ResponseController
	within  time.Duration
}

// Read implements io.Reader.
func (a awaited) Read(p []byte) (int, error) {
	_ = a.control.SetReadDeadline(time.Now().Add(a.within)) // a recorder has none
	return a.Reader.Read(p)
}

func (c *call) snapshot() {
	switch {
	case !c.SnapshotEnabled:
		c.status = http.StatusServiceUnavailable
		return
	case !c.local && c.tooSoon(&c.snapshotAt, c.SnapshotEvery):
		c.Stats.SnapshotLimited.Add(1)
		c.status = http.StatusTooManyRequests
		return
	}
	s, err := c.Source.Snapshot()
	if err != nil {
		c.Stats.SnapshotErrors.Add(1)
		c.fail(http.StatusInternalServerError, err.Error())
		return
	}
	header := c.w.Header()
	header.Set("last_zxid", fmt.Sprintf("0x%x", s.Zxid))
	header.Set("snapshot_size", strconv.FormatInt(s.Size, 10))
	if c.r.URL.Query().Get("streaming") == "false" {
		_ = s.Close()
		return
	}
	c.stream = func() error {
		defer func() { _ = s.Close() }()
		header.Set("Content-Type", "application/octet-stream")
		header.Set("Content-Length", strconv.FormatInt(s.Size, 10))
		_, err := io.CopyN(c.w, s, s.Size)
		return err
	}
}

// tooSoon tells whether the last one was too short a time ago; else this one is the last.
func (h *HTTP) tooSoon(last *time.Time, every time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if !last.IsZero() && now.Sub(*last) < every {
		return true
	}
	*last = now
	return false
}

// longestBody bounds what is read of a request.
const longestBody = 64 << 10

func (c *call) shed() {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, longestBody))
	if len(body) == 0 && err == nil {
		c.fail(http.StatusBadRequest, "Request body is required")
		return
	}
	var asked struct {
		Percentage *float64 `json:"percentage"`
	}
	if err == nil {
		err = json.Unmarshal(body, &asked)
	}
	switch {
	case err != nil:
		c.fail(http.StatusBadRequest, "Invalid JSON or failed to read request body: "+err.Error())
	case asked.Percentage == nil:
		c.fail(http.StatusBadRequest, "Missing required parameter: percentage")
	case *asked.Percentage < 0 || *asked.Percentage > 100 || *asked.Percentage != math.Trunc(*asked.Percentage):
		c.fail(http.StatusBadRequest, "Percentage must be between 0 and 100")
	default:
		percentage := int(*asked.Percentage)
		c.answer = object{{"connections_shed", c.Source.Shed(percentage)}, {"percentage_requested", percentage}}
	}
}
