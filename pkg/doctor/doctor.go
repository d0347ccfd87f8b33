// Package doctor looks for what is wrong with a server, its host and its ensemble, and says what to do about it. It asks as
// an operator would and changes nothing: for a moment it has sessions at every client port, one of which owns an ephemeral
// node whose ctime is the leader's clock, and a file without a name, whose syncs are timed.
package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/overview"
)

// A Subject is what is examined.
type Subject struct {
	File      string         // zoo.cfg
	Config    *config.Config // nil = ConfigErr says why
	ConfigErr error          // why the server of this host would not start with the file; nil = it would
	Targets   []overview.Target
	Own       int // which of Targets is on this host; -1 = none
	Host      Host
}

// Severity tells how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // something does not work, or data is at risk
	Warning Severity = "warning" // it will not, or it is slower than it should be
)

// A Finding is something that is wrong.
type Finding struct {
	Check    string   `json:"check"` // one of Checks
	Severity Severity `json:"severity"`
	Where    string   `json:"where"` // a server, a file or a directory
	Found    string   `json:"found"`
	Remedy   string   `json:"remedy"`
}

// A Report is what was found.
type Report struct {
	At       time.Time          `json:"at"`
	Findings []Finding          `json:"findings"` // errors first
	Skipped  []string           `json:"skipped"`  // what could not be examined, and why
	Ensemble *overview.Ensemble `json:"ensemble"`
}

// Checks are the names of what is examined, in the order of a report.
func Checks() []string {
	return []string{"config", "serving", "ports", "myid", "equal", "clock", "fsync", "disk", "limits", "version"}
}

// examination is one under way. Checks run beside each other.
type examination struct {
	*Subject
	ensemble *overview.Ensemble

	mu     sync.Mutex // guards what follows
	report Report
}

// Examine runs all checks. It takes some seconds where servers do not answer.
func Examine(ctx context.Context, s *Subject) *Report {
	x := &examination{Subject: s, ensemble: overview.Ask(ctx, s.Targets)}
	x.report = Report{At: s.Host.Now(), Ensemble: x.ensemble, Findings: []Finding{}, Skipped: []string{}}
	x.config()
	x.serving()
	x.versions()
	var wg sync.WaitGroup
	for _, check := range []func(context.Context){x.ports, x.members, x.clock, x.syncs, x.disk, x.limits} {
		wg.Go(func() { check(ctx) })
	}
	wg.Wait()
	order := Checks()
	slices.SortStableFunc(x.report.Findings, func(a, b Finding) int {
		if a.Severity != b.Severity {
			return strings.Compare(string(a.Severity), string(b.Severity))
		}
		if c := slices.Index(order, a.Check) - slices.Index(order, b.Check); c != 0 {
			return c
		}
		return strings.Compare(a.Where, b.Where)
	})
	slices.Sort(x.report.Skipped)
	return &x.report
}

func (x *examination) find(f Finding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.Findings = append(x.report.Findings, f)
}

func (x *examination) skip(why string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.report.Skipped = append(x.report.Skipped, why)
}

// config: the server would not start.
func (x *examination) config() {
	if x.ConfigErr == nil {
		return
	}
	x.find(Finding{
		"config", Error, x.File, strings.TrimPrefix(x.ConfigErr.Error(), "config: "),
		"mend it until `zabctl config check` says ok: the server would not start again with it",
	})
}

// serving: a server answers nobody, or serves nobody.
func (x *examination) serving() {
	for i := range x.ensemble.Servers {
		s := &x.ensemble.Servers[i]
		switch {
		case s.Role == overview.Down:
			x.find(Finding{
				"serving", Error, s.Name(), "does not answer: " + s.Reason,
				"on its host: `systemctl status zabd` and `journalctl -u zabd`; if it runs there, see to the network and the firewall",
			})
		case !s.Ready:
			x.find(Finding{
				"serving", Error, s.Name(), "does not serve: " + s.Reason,
				"more than half of the voters must run and reach each other's quorum and election ports; `zabctl status` tells who does not",
			})
		}
	}
}

// versions: they differ.
func (x *examination) versions() {
	versions := map[string]bool{}
	var said []string
	for i := range x.ensemble.Servers {
		if s := &x.ensemble.Servers[i]; s.Version != "" {
			version, _, _ := strings.Cut(s.Version, ",")
			versions[version] = true
			said = append(said, s.Name()+" "+version)
		}
	}
	if len(versions) > 1 {
		x.find(Finding{"version", Warning, "the ensemble", "servers differ: " + strings.Join(said, ", "), "finish the upgrade, one server at a time and the leader last"})
	}
}

// ownDirs are the directories of the server of this host; nil = there is none, or they are not known.
func (x *examination) ownDirs() (dirs []string) {
	if x.Own < 0 || x.Config == nil || x.Config.DataDir == "" {
		return nil
	}
	dirs = []string{x.Config.DataDir}
	if x.Config.DataLogDir != "" && x.Config.DataLogDir != x.Config.DataDir {
		dirs = append(dirs, x.Config.DataLogDir)
	}
	return dirs
}

// reason is an error without what was tried.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
